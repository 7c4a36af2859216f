package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// writes is a log file that keeps each write apart.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.all, "|"); got != strings.Join(want, "|") {
		t.Errorf("written %q, want %q", w.all, want)
	}
	w.all = nil
}

// Lines wait for each other, and not longer than they may; a warning does not
// wait, and does not overtake.
func TestLineBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out writes
		b := newLineBuffer(&out)
		log := zerolog.New(b)
		log.Info().Msg("1")
		<-time.After(logDelay - time.Microsecond)
		log.Info().Msg("2")
		out.want(t)
		<-time.After(time.Microsecond)
		synctest.Wait()
		out.want(t, `{"level":"info","message":"1"}`+"\n"+`{"level":"info","message":"2"}`+"\n")

		log.Info().Msg("3")
		log.Warn().Msg("4")
		synctest.Wait()
		out.want(t, `{"level":"info","message":"3"}`+"\n"+`{"level":"warn","message":"4"}`+"\n")
		<-time.After(time.Second)
		out.want(t)

		log.Info().Msg("5")
		b.Flush()
		b.Flush()
		out.want(t, `{"level":"info","message":"5"}`+"\n")

		long := strings.Repeat("x", logBuffer)
		log.Info().Msg(long)
		out.want(t, `{"level":"info","message":"`+long+`"}`+"\n")
		<-time.After(time.Second)
		out.want(t)
	})
}

// Nothing is torn or lost when many write and the disk is slow.
func TestLineBufferConcurrently(t *testing.T) {
	var out bytes.Buffer
	b := newLineBuffer(&out)
	var wg sync.WaitGroup
	line := strings.Repeat("y", 99) + "\n"
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if n, err := b.WriteLevel(zerolog.InfoLevel, []byte(line)); n != len(line) || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	b.Flush()
	if got := strings.Count(out.String(), line); got != 16_000 || out.Len() != 16_000*len(line) {
		t.Errorf("%d whole lines, %d bytes", got, out.Len())
	}
}

// slowDisk writes when it is told to.
type slowDisk struct {
	bytes.Buffer
	begun, resume chan struct{}
}

func (d *slowDisk) Write(p []byte) (int, error) {
	d.begun <- struct{}{}
	<-d.resume
	return d.Buffer.Write(p)
}

// Who adds a line does not wait for the disk, until too much waits; and what comes
// during a write is written behind it.
func TestLineBufferSlowDisk(t *testing.T) {
	disk := &slowDisk{begun: make(chan struct{}), resume: make(chan struct{})}
	b := newLineBuffer(disk)
	info := func(line string) { b.WriteLevel(zerolog.InfoLevel, []byte(line)) } //nolint:errcheck,gosec // it is a line that waits
	info("1")
	<-disk.begun // the timer's
	info("2")
	var wg sync.WaitGroup
	wg.Go(func() { b.WriteLevel(zerolog.WarnLevel, []byte("3")) })                            //nolint:errcheck // a buffer takes it
	wg.Go(func() { b.WriteLevel(zerolog.InfoLevel, []byte(strings.Repeat("x", logBuffer))) }) //nolint:errcheck // a buffer takes it
	disk.resume <- struct{}{}
	go func() {
		for range disk.begun {
			disk.resume <- struct{}{}
		}
	}()
	wg.Wait()
	b.Flush()
	got := disk.String()
	if !strings.HasPrefix(got, "12") || strings.Count(got, "3") != 1 || len(got) != 3+logBuffer {
		t.Errorf("%d bytes, beginning with %.10q", len(got), got)
	}
	close(disk.begun)
}

// waiting is how many bytes wait.
func (b *lineBuffer) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.next.lines)
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

// A log that cannot be written does not fill the memory.
func TestLineBufferBroken(t *testing.T) {
	b := newLineBuffer(brokenPipe{})
	for _, level := range []zerolog.Level{zerolog.InfoLevel, zerolog.ErrorLevel, zerolog.NoLevel} {
		if _, err := b.WriteLevel(level, []byte("x")); err != nil {
			t.Errorf("%v: %v", level, err)
		}
	}
	b.Flush()
	if _, err := b.WriteLevel(zerolog.InfoLevel, make([]byte, logBuffer+1)); !errors.Is(err, errPipe) {
		t.Errorf("whoever waits hears of it: %v", err)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

// A reader that has stopped reading, as a pipe to a logger that hangs. The first
// version wrote warnings while their requests waited: some hundred requests of a
// stranger filled the pipe, after them genuine ones were stored and never answered,
// and the process did not stop either.
func TestLineBufferNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{begun: make(chan struct{}, 10), resume: make(chan struct{})}
		b := newLineBuffer(disk)
		log := zerolog.New(b)
		began := time.Now()
		log.Warn().Msg("1")
		if took := time.Since(began); took != 0 {
			t.Errorf("the first waited %v", took)
		}
		<-time.After(time.Millisecond)
		began = time.Now()
		line := strings.Repeat("x", 1<<10)
		for range 2 * logLimit / len(line) {
			log.Warn().Msg(line)
		}
		if took := time.Since(began); took != logPatience {
			t.Errorf("those after it waited %v together, want %v", took, logPatience)
		}
		if n := b.waiting(); n > logLimit {
			t.Errorf("%d bytes wait", n)
		}
		began = time.Now()
		b.Flush()
		if took := time.Since(began); took != lastLines {
			t.Errorf("the end waited %v, want %v", took, lastLines)
		}
		close(disk.resume) // somebody reads again
		b.Flush()
		synctest.Wait()
		got := disk.String()
		if kept := strings.Count(got, line); !strings.Contains(got, fmt.Sprintf(`"dropped":%d,`, 2*logLimit/len(line)-kept)) || !strings.HasPrefix(got, `{"level":"warn","message":"1"}`) {
			t.Errorf("%d lines are written, and at the end %q", kept, got[max(0, len(got)-200):])
		}
	})
}

// The target of the collector: five times of what lives while that is little, a
// fixed amount of garbage beside more, and never less than Go's own.
func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1: 400, 4 << 20: 400, 12 << 20: 400, 16 << 20: 300, 24 << 20: 200, 48 << 20: 100, 1 << 30: 100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}
