package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
)

// replayLine is one event as --to file and --to stdout write it. The names are a
// contract.
type replayLine struct {
	Sequence uint64            `json:"sequence"`  // on ALIPAY_EVENTS
	StoredAt string            `json:"stored_at"` // when it was stored there
	Subject  string            `json:"subject"`   // where
	Headers  map[string]string `json:"headers"`   // as stored, and those of the replay
	Data     json.RawMessage   `json:"data"`      // the JSON itself; {"_base64": ...} where it is none
}

func newReplayLine(m replay.Message) replayLine {
	line := replayLine{
		Sequence: m.Sequence, StoredAt: formatTime(m.StoredAt), Subject: m.Subject,
		Headers: make(map[string]string, len(m.Header)), Data: m.Data,
	}
	for name, values := range m.Header {
		line.Headers[name] = strings.Join(values, ", ")
	}
	if !json.Valid(m.Data) {
		line.Data = json.RawMessage(`{"_base64":"` + base64.StdEncoding.EncodeToString(m.Data) + `"}`)
	}
	return line
}

// syncEvery is how often a file is brought to the disk, at the least while lines
// come.
const syncEvery = time.Second

// lineSender writes the messages of a job as lines. They are settled once they
// are on the disk, where there is one, else once they are written.
type lineSender struct {
	w        *bufio.Writer
	file     *os.File // nil: standard output
	window   int
	position int64
	synced   time.Time
	settled  func(replay.Settlement)
	waiting  []replay.Settlement
}

func newLineSender(w io.Writer, settled func(replay.Settlement)) *lineSender {
	return &lineSender{w: bufio.NewWriterSize(w, 64<<10), window: 1, synced: time.Now(), settled: settled}
}

// openFile opens the file of a job: a new one, or on resuming the one that it has
// begun, from which everything beyond the checkpoint goes. Nothing is ever taken
// out of a file that the job has not written.
func openFile(path string, j replay.Job, settled func(replay.Settlement)) (replay.Sender, error) {
	flags := os.O_WRONLY
	if j.Position == 0 {
		flags |= os.O_CREATE | os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600) // it holds personal data
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("move the file away, and resume: there is one, and the job is not known to have written into it: %w", err)
	case errors.Is(err, fs.ErrNotExist) && j.Position > 0:
		return nil, fmt.Errorf("a replay to a file is resumed where the file is, which was on %s: %w", j.Runner.Host, err)
	case err != nil:
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < j.Position {
		err = fmt.Errorf("%s has %d bytes, and %d were written: it is another file, or was cut", path, info.Size(), j.Position)
	}
	if err == nil {
		err = file.Truncate(j.Position)
	}
	if err == nil {
		_, err = file.Seek(j.Position, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := newLineSender(file, settled)
	s.file, s.position, s.window = file, j.Position, max(1, j.Window/4)
	return s, nil
}

func (s *lineSender) Send(_ context.Context, m replay.Message) error {
	line, err := cli.Marshal(newReplayLine(m))
	if err != nil {
		return err
	}
	if _, err := s.w.Write(append(line, '\n')); err != nil {
		return err
	}
	s.position += int64(len(line)) + 1
	s.waiting = append(s.waiting, replay.Settlement{Sequence: m.Sequence, Position: s.position})
	if len(s.waiting) < s.window && time.Since(s.synced) < syncEvery {
		return nil
	}
	return s.sync()
}

// sync settles what was written.
func (s *lineSender) sync() error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if s.file != nil {
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	for _, x := range s.waiting {
		s.settled(x)
	}
	s.waiting, s.synced = s.waiting[:0], time.Now()
	return nil
}

func (s *lineSender) Flush(context.Context) error { return s.sync() }

func (s *lineSender) Close() {
	if s.file != nil {
		s.file.Close() //nolint:errcheck,gosec // what counts was synced
	}
}
