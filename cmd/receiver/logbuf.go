package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// logDelay is how long a line at level info or below may wait for others: one
	// system call for each line is one in three that a notification costs, and with
	// a delay of 5 ms the calls still were 2 % of its CPU.
	logDelay = 20 * time.Millisecond
	// logBuffer is how much may wait for that; whoever fills it has it written.
	logBuffer = 256 << 10
	// logPatience is how long somebody waits for his line to be written when so much
	// waits already.
	logPatience = 100 * time.Millisecond
	// logLimit is how much may wait for a reader that has stopped reading. What comes
	// then is dropped, and counted.
	logLimit = 4 << 20
	// lastLines is how long the end of the process waits for its lines.
	lastLines = time.Second
)

// lineBuffer writes lines together. What is worse than info is written at once,
// with all before it, and order is kept. A process that is killed loses the lines
// of its last twenty milliseconds, and of the write before where the disk is slow;
// what they tell of is in the stream. Nobody waits for a line of his, but where too
// much waits already, and then no longer than logPatience: a flood of refusals has a
// warning each. It is safe for concurrent use.
type lineBuffer struct {
	out io.Writer

	mu      sync.Mutex
	next    *linesTogether // what waits; never nil
	spare   []byte         // a buffer that nobody has
	dropped int
	timer   *time.Timer // set while lines wait for others
	writing bool        // somebody writes, and goes on until nothing waits
	stuck   time.Time   // since when the same write lasts
}

// linesTogether is lines that are written with one call.
type linesTogether struct {
	lines   []byte
	written chan struct{} // closed when they are, or could not be
	err     error         // before that
}

func newLineBuffer(out io.Writer) *lineBuffer {
	return &lineBuffer{out: out, next: &linesTogether{written: make(chan struct{})}}
}

// Write takes lines without a level, which are written at once.
func (b *lineBuffer) Write(p []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel takes one line.
func (b *lineBuffer) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	b.mu.Lock()
	together := b.add(p)
	full := len(together.lines) > logBuffer
	if level > zerolog.InfoLevel || full {
		b.start()
	}
	wait := full && time.Since(b.stuck) <= logPatience // or others have waited
	b.mu.Unlock()
	if wait {
		return len(p), together.wait(logPatience)
	}
	return len(p), nil
}

// add takes a line, with mu held, and tells with which others.
func (b *lineBuffer) add(p []byte) *linesTogether {
	if len(b.next.lines)+len(p) > logLimit {
		b.dropped++
		return b.next
	}
	b.next.lines = append(b.next.lines, p...)
	if b.timer == nil && !b.writing {
		b.timer = time.AfterFunc(logDelay, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.start()
		})
	}
	return b.next
}

// Flush writes what waits, and waits for that, but not for ever.
func (b *lineBuffer) Flush() {
	b.mu.Lock()
	together := b.next
	if len(together.lines) == 0 && !b.writing {
		b.mu.Unlock()
		return
	}
	b.start()
	b.mu.Unlock()
	together.wait(lastLines) //nolint:errcheck,gosec // there is nobody to tell, as with any line of a log
}

// start has what waits written, with mu held.
func (b *lineBuffer) start() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if !b.writing {
		b.writing, b.stuck = true, time.Now()
		go b.write()
	}
}

// write writes until nothing waits any more.
func (b *lineBuffer) write() {
	for {
		together := b.take()
		if together == nil {
			return
		}
		_, together.err = b.out.Write(together.lines)
		close(together.written)
		b.giveBack(together.lines)
	}
}

// take takes what waits, and leaves the spare buffer for what comes; nil ends the
// writing.
func (b *lineBuffer) take() *linesTogether {
	b.mu.Lock()
	defer b.mu.Unlock()
	together := b.next
	if b.dropped > 0 {
		together.lines = fmt.Appendf(together.lines, `{"level":"warn","time":%q,"dropped":%d,"message":"lines of the log were dropped: nobody read them"}`+"\n",
			time.Now().UTC().Format(time.RFC3339), b.dropped)
		b.dropped = 0
	}
	if len(together.lines) == 0 {
		close(together.written)
		b.next = &linesTogether{lines: together.lines, written: make(chan struct{})}
		b.writing = false
		return nil
	}
	b.next, b.spare = &linesTogether{lines: b.spare, written: make(chan struct{})}, nil
	b.stuck = time.Now()
	return together
}

func (b *lineBuffer) giveBack(lines []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(lines) <= 2*logBuffer {
		b.spare = lines[:0]
	}
}

func (l *linesTogether) wait(patience time.Duration) error {
	select {
	case <-l.written:
		return l.err
	case <-time.After(patience):
		return nil // they are written later, if ever
	}
}
