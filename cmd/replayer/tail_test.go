package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

const waiting = "replayer: waiting for events; Ctrl-C ends"

// tailing is a tail under way. Its lines come through pipes, so that a test
// waits for what it needs and for nothing else.
type tailing struct {
	t              *testing.T
	stdout, stderr chan string
	interrupt      context.CancelFunc
	code           chan int
}

func (s *site) tail(t *testing.T, args ...string) *tailing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tl := &tailing{t: t, interrupt: cancel, code: make(chan int, 1)}
	var out, err io.WriteCloser
	tl.stdout, out = lines()
	tl.stderr, err = lines()
	go func() {
		code := run(ctx, append([]string{"tail", "--config", s.config}, args...), out, err, nil)
		_, _ = out.Close(), err.Close() // a pipe's never fails
		tl.code <- code
	}()
	t.Cleanup(cancel)
	return tl
}

// lines gives a writer, and what is written to it line by line.
func lines() (chan string, io.WriteCloser) {
	r, w := io.Pipe()
	out := make(chan string, 1024)
	go func() {
		defer close(out)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			out <- scan.Text()
		}
	}()
	return out, w
}

// patience is how long a line may take: long enough for a loaded machine, and
// waited for only when the test fails.
const patience = 30 * time.Second

// next waits for a line that begins with this.
func (tl *tailing) next(from chan string, prefix string) string {
	tl.t.Helper()
	select {
	case line, open := <-from:
		if !open || !strings.HasPrefix(line, prefix) {
			tl.t.Fatalf("%q (open %v), want %q", line, open, prefix)
		}
		return line
	case <-time.After(patience):
		tl.t.Fatalf("no line %q came", prefix)
	}
	return ""
}

// end waits for the exit, and gives the code and what was left on the pipes.
func (tl *tailing) end() (code int, stdout, stderr string) {
	tl.t.Helper()
	select {
	case code = <-tl.code:
	case <-time.After(patience):
		tl.t.Fatal("tail does not end")
	}
	for line := range tl.stdout {
		stdout += line + "\n"
	}
	for line := range tl.stderr {
		stderr += line + "\n"
	}
	return code, stdout, stderr
}

// TestTailFollows: what is stored before is left out, what comes is printed at
// once, and Ctrl-C is a good end.
func TestTailFollows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "before"})
	tl := s.tail(t, "--type", "voucher.*")
	tl.next(tl.stderr, waiting)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "first"})
	tl.next(tl.stdout, "SEQ ")
	tl.next(tl.stdout, "2 ")
	s.receive(t, "order.received", alipaytest.Options{NotifyID: "no-voucher"})
	s.receive(t, "voucher.stopped", alipaytest.Options{NotifyID: "second"})
	if line := tl.next(tl.stdout, "4 "); !strings.Contains(line, "voucher.stopped") || !strings.Contains(line, "second") {
		t.Errorf("row %q", line)
	}
	tl.interrupt()
	if code, stdout, stderr := tl.end(); code != 0 || stdout != "" || stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestTailFromAPoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"a", "b", "c"} {
		s.receive(t, "voucher.created", alipaytest.Options{NotifyID: id})
	}
	for args, want := range map[string]string{
		"--since 1h --limit 2": "1 2",
		"--seq 2- --limit 2":   "2 3",
		"--seq 1-2":            "1 2",
		"--seq 2":              "2",
		"--since " + s.stored(t, 3).StoredAt.Format(time.RFC3339Nano) + " --limit 1": "3",
	} {
		tl := s.tail(t, append(strings.Fields(args), "-o", "ndjson")...)
		code, stdout, stderr := tl.end()
		if list := sequences(t, stdout); code != 0 || list != want || stderr != waiting+"\n" {
			t.Errorf("%s: exit %d, sequences %q, want %q; stderr %q", args, code, list, want, stderr)
		}
	}
}

// TestTailGoesOn: from the past into what comes, and --limit ends it.
func TestTailGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "past"})
	tl := s.tail(t, "--since", "1h", "--limit", "2", "-o", "json")
	tl.next(tl.stderr, waiting)
	tl.next(tl.stdout, "[")
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "now"})
	code, rest, stderr := tl.end()
	var rows []eventRow
	if err := json.Unmarshal([]byte("["+rest), &rows); err != nil || code != 0 || stderr != "" || len(rows) != 2 || rows[1].ID != "now" {
		t.Errorf("exit %d, stderr %q, %v:\n%s", code, stderr, err, rest)
	}
}

func TestTailOfNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for format, want := range map[string]string{"table": "", "json": "[]\n", "ndjson": ""} {
		tl := s.tail(t, "-o", format)
		tl.next(tl.stderr, waiting)
		tl.interrupt()
		if code, stdout, stderr := tl.end(); code != 0 || stdout != want || stderr != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", format, code, stdout, stderr)
		}
	}
}

// TestTailUntil: it ends by itself when the time has come.
func TestTailUntil(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tl := s.tail(t, "--until", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano))
	tl.next(tl.stderr, waiting)
	if code, stdout, stderr := tl.end(); code != 0 || stdout != "" || stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// TestTailOutlivesARestart: what is stored while the line is cut, even before
// the first row, is printed when it is back.
func TestTailOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "before"})
	tl := s.tail(t, "-o", "ndjson", "--limit", "1")
	tl.next(tl.stderr, waiting)
	address := strings.TrimPrefix(s.server.URL(), "nats://")
	s.stop(t)
	s.start(t, "127.0.0.1:0") // where the tail does not look for it
	s.publish(t, "alipay.events."+s.app.ID+".voucher.created.1", "{}", map[string]string{"ce-id": "meanwhile"})
	s.stop(t)
	s.start(t, address)
	code, stdout, stderr := tl.end()
	if list := sequences(t, stdout); code != 0 || list != "2" || stderr != "" {
		t.Errorf("exit %d, sequences %q, stderr %q", code, list, stderr)
	}
}

// TestTailEndsWithoutServer: Ctrl-C ends it also while the server is away.
func TestTailEndsWithoutServer(t *testing.T) {
	t.Parallel()
	s := newBareSite(t)
	s.provision(t)
	tl := s.tail(t)
	tl.next(tl.stderr, waiting)
	address := strings.TrimPrefix(s.server.URL(), "nats://")
	s.stop(t)
	tl.interrupt()
	if code, stdout, stderr := tl.end(); code != 0 || stdout != "" || stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	s.start(t, address) // for the cleanup
}
