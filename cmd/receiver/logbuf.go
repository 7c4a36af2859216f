package main

import (
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
	// logBuffer is how much may wait; whoever fills it writes.
	logBuffer = 256 << 10
)

// lineBuffer writes lines together. What is worse than info is written at once,
// with all before it, and order is kept. A process that is killed loses the lines
// of its last twenty milliseconds, and of the write before where the disk is slow;
// what they tell of is in the stream. It is safe for concurrent use.
type lineBuffer struct {
	out io.Writer

	writing sync.Mutex // held by whoever writes; mu is not, so that lines can be added meanwhile, up to logBuffer
	spare   []byte     // the writer's

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // set while lines wait
}

func newLineBuffer(out io.Writer) *lineBuffer { return &lineBuffer{out: out} }

// Write takes lines without a level, and does not let them wait.
func (b *lineBuffer) Write(p []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel takes one line.
func (b *lineBuffer) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	if b.add(p) || level > zerolog.InfoLevel {
		return len(p), b.flush()
	}
	return len(p), nil
}

// add tells whether so much waits that it is to be written.
func (b *lineBuffer) add(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, p...)
	if b.timer == nil {
		b.timer = time.AfterFunc(logDelay, b.Flush)
	}
	return len(b.lines) > logBuffer
}

// Flush writes what waits.
func (b *lineBuffer) Flush() {
	b.flush() //nolint:errcheck,gosec // there is nobody to tell, as with any line of a log
}

// flush returns when all that was added before is written, by us or by another.
func (b *lineBuffer) flush() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	lines := b.take()
	var err error
	if len(lines) > 0 {
		_, err = b.out.Write(lines)
	}
	if cap(lines) <= 2*logBuffer {
		b.spare = lines[:0]
	}
	return err
}

// take takes what waits, and leaves the spare buffer for what comes.
func (b *lineBuffer) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	lines := b.lines
	b.lines, b.spare = b.spare, nil // nobody else has it now
	return lines
}
