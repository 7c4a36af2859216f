package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

// Checkpoint is one record of ALIPAY_JOBS.
type Checkpoint struct {
	Name     string
	Value    []byte
	Revision uint64
	Age      time.Duration // since it was written, by the servers' clocks alone
}

var (
	// ErrNoCheckpoint means that there is no record of that name.
	ErrNoCheckpoint = errors.New("no such record")
	// ErrStale means that somebody has written the record meanwhile.
	ErrStale = errors.New("the record has been written by somebody else")
)

// checkpointTimeout bounds one access to ALIPAY_JOBS.
const checkpointTimeout = 5 * time.Second

// SaveCheckpoint writes a record if it still has the revision, which is 0 where
// there must be none yet, and gives the new one. It fails with ErrStale, and after
// any other error the record may be written or not.
func (c *Client) SaveCheckpoint(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: "$KV." + JobsBucket + "." + name, Data: value},
		jetstream.WithExpectLastSequencePerSubject(revision))
	if wrongRevision(err) {
		return 0, ErrStale
	}
	if err != nil {
		return 0, fmt.Errorf("write %s of %s: %w", name, JobsBucket, classify(err))
	}
	return ack.Sequence, nil
}

func wrongRevision(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// LoadCheckpoint reads a record. It fails with ErrNoCheckpoint.
func (c *Client) LoadCheckpoint(ctx context.Context, name string) (Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	bucket, now, err := c.jobs(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	entry, err := bucket.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Checkpoint{}, ErrNoCheckpoint
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read %s of %s: %w", name, JobsBucket, err)
	}
	return newCheckpoint(entry, now), nil
}

// Checkpoints hands the records whose names match to fn, in no order. A * in
// match stands for one part of a name, between dots.
func (c *Client) Checkpoints(ctx context.Context, match string, fn func(Checkpoint) error) error {
	bucket, now, err := c.jobs(ctx)
	if err != nil {
		return err
	}
	watcher, err := bucket.Watch(ctx, match, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("list %s: %w", JobsBucket, err)
	}
	defer watcher.Stop() //nolint:errcheck // the server forgets it by itself
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return fault.Errorf(fault.Unavailable, "disconnected", "list %s: the connection has ended", JobsBucket)
			}
			if entry == nil { // the end of what there is
				return nil
			}
			if err := fn(newCheckpoint(entry, now)); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// jobs opens the bucket, and says what time it is there: two hosts that want the
// same job need not agree about the time.
func (c *Client) jobs(ctx context.Context) (jetstream.KeyValue, time.Time, error) {
	bucket, err := c.js.KeyValue(ctx, JobsBucket)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("open %s: %w", JobsBucket, err)
	}
	s, err := c.js.Stream(ctx, "KV_"+JobsBucket)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("open %s: %w", JobsBucket, err)
	}
	return bucket, s.CachedInfo().TimeStamp, nil
}

func newCheckpoint(entry jetstream.KeyValueEntry, now time.Time) Checkpoint {
	return Checkpoint{Name: entry.Key(), Value: entry.Value(), Revision: entry.Revision(), Age: max(0, now.Sub(entry.Created()))}
}

// Extent is a stream's life, as its time of creation, and the sequences that it
// holds. A stream that was made anew has another life, and its sequences are of
// other messages.
type Extent struct {
	Created     time.Time
	First, Last uint64
}

// ExtentOf reads the extent of a stream.
func (c *Client) ExtentOf(ctx context.Context, stream string) (Extent, error) {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return Extent{}, fmt.Errorf("read %s: %w", stream, err)
	}
	info := s.CachedInfo()
	return Extent{Created: info.Created, First: info.State.FirstSeq, Last: info.State.LastSeq}, nil
}
