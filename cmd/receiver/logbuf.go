package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// logDelay is how long a line at level info or below may wait for others: one
	// system call for each line is one in three that a notification costs.
	logDelay = 5 * time.Millisecond
	// logBuffer is how much may wait; whoever fills it writes.
	logBuffer = 64 << 10
)

// lineBuffer writes lines together. What is worse than info is written at once,
// with all before it, and order is kept. A process that is killed loses the lines
// of its last five milliseconds; what they tell of is in the stream. It is safe
// for concurrent use.
type lineBuffer struct {
	out io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // set while lines wait
}

func newLineBuffer(out io.Writer) *lineBuffer { return &lineBuffer{out: out} }

// Write takes lines without a level, and does not let them wait.
func (b *lineBuffer) Write(p []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel takes one line.
func (b *lineBuffer) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, p...)
	if level > zerolog.InfoLevel || len(b.lines) > logBuffer {
		return len(p), b.flush()
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(logDelay, b.Flush)
	}
	return len(p), nil
}

// Flush writes what waits.
func (b *lineBuffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush() //nolint:errcheck,gosec // there is nobody to tell, as with any line of a log
}

func (b *lineBuffer) flush() error {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.lines) == 0 {
		return nil
	}
	_, err := b.out.Write(b.lines)
	if b.lines = b.lines[:0]; cap(b.lines) > 2*logBuffer {
		b.lines = nil
	}
	return err
}
