package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// archiveReader is ALIPAY_EVENTS as the engine reads it.
type archiveReader struct {
	client *stream.Client
	each   func(events.Stored) // told of every message; or nil
}

func (a archiveReader) Read(ctx context.Context, subjects []string, from uint64, since time.Time, fn func(events.Stored) error) error {
	return a.client.Read(ctx, stream.ReadOptions{
		Stream: stream.Events, Subjects: subjects, FromSeq: from, FromTime: since, Light: true,
	}, func(m events.Stored) error {
		if a.each != nil {
			a.each(m)
		}
		return fn(m)
	})
}

func (a archiveReader) Extent(ctx context.Context) (replay.Extent, error) {
	e, err := a.client.ExtentOf(ctx, stream.Events)
	return replay.Extent(e), err
}

// jobStore is ALIPAY_JOBS as the engine uses it.
type jobStore struct{ client *stream.Client }

// jobPrefix keeps the jobs of replays apart from what else the bucket holds.
const jobPrefix = "replay."

func (s jobStore) Load(ctx context.Context, id string) (replay.Kept, error) {
	c, err := s.client.LoadCheckpoint(ctx, jobPrefix+id)
	if errors.Is(err, stream.ErrNoCheckpoint) {
		return replay.Kept{}, replay.ErrNoJob
	}
	return replay.Kept{Record: c.Value, Revision: c.Revision, Age: c.Age}, err
}

func (s jobStore) Save(ctx context.Context, id string, record []byte, revision uint64) (uint64, error) {
	revision, err := s.client.SaveCheckpoint(ctx, jobPrefix+id, record, revision)
	if errors.Is(err, stream.ErrStale) {
		return 0, replay.ErrTaken
	}
	return revision, err
}

// streamSender is a stream as the target of a job.
type streamSender struct{ *stream.Resender }

func (s streamSender) Send(ctx context.Context, m replay.Message) error {
	return s.Resender.Send(ctx, m.Sequence, m.Subject, m.Header, m.Data)
}

// openStream opens the stream of a target.
func openStream(client *stream.Client, t replay.Target, j replay.Job, settled func(replay.Settlement)) (replay.Sender, error) {
	r, err := client.NewResender(stream.ResendOptions{
		Stream: streamOf(t), Window: j.Window,
		Settled: func(s stream.Settled) {
			settled(replay.Settlement{Sequence: s.Sequence, StoredAt: s.StoredAt, Repeated: s.Duplicate, Err: s.Err})
		},
	})
	if err != nil {
		return nil, err
	}
	return streamSender{r}, nil
}

// thisProcess is who works on a job here.
func thisProcess() replay.Runner {
	who := audit.Operator()
	return replay.Runner{Name: who.Name, Host: who.Host, PID: os.Getpid(), Run: audit.NewJobID(time.Now())}
}

// asked is who asks for what a consent is given to.
func asked(c audit.Consent) string { return cmp.Or(c.As, audit.Operator().Name) }

// lightGC lets garbage lie for longer while very many messages pass through: what
// is alive at once is small, and to look for the rest all the time would cost a
// quarter of the speed. The limit keeps the whole far below what a small machine has.
// What it gives puts things back.
func lightGC() (restore func()) {
	const percent, limit = 400, 80 << 20
	was, wasLimit := debug.SetGCPercent(percent), debug.SetMemoryLimit(limit)
	return func() {
		debug.SetGCPercent(was)
		debug.SetMemoryLimit(wasLimit)
	}
}
