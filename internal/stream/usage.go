package stream

import (
	"context"
	"fmt"
	"time"
)

// Usage is how full a stream is.
type Usage struct {
	Messages uint64
	Bytes    uint64
	MaxBytes int64 // 0 or less without a limit
	First    time.Time
	Last     time.Time
	FirstSeq uint64
	LastSeq  uint64
}

// Usage reads the size of ALIPAY_EVENTS.
func (c *Client) Usage(ctx context.Context) (Usage, error) { return c.UsageOf(ctx, Events) }

// UsageOf reads the size of a stream.
func (c *Client) UsageOf(ctx context.Context, stream string) (Usage, error) {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return Usage{}, fmt.Errorf("read %s: %w", stream, err)
	}
	info := s.CachedInfo()
	return Usage{
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
		First: info.State.FirstTime, Last: info.State.LastTime,
		FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq,
	}, nil
}
