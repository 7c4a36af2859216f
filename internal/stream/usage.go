package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Usage is how full a stream is.
type Usage struct {
	Messages uint64
	Bytes    uint64
	MaxBytes int64 // 0 or less without a limit
	// MaxMessages is how many it may hold; 0 or less without a limit, as in our layout.
	MaxMessages int64
	First       time.Time
	Last        time.Time
	FirstSeq    uint64
	LastSeq     uint64
}

// Percent is how much of MaxBytes is used, or -1 without a limit.
func (u Usage) Percent() int {
	if u.MaxBytes <= 0 {
		return -1
	}
	return int(u.Bytes * 100 / uint64(u.MaxBytes)) //nolint:gosec // a share
}

// Usage reads the size of ALIPAY_EVENTS.
func (c *Client) Usage(ctx context.Context) (Usage, error) { return c.UsageOf(ctx, Events) }

// UsageOf reads the size of a stream.
func (c *Client) UsageOf(ctx context.Context, stream string) (Usage, error) {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return Usage{}, fmt.Errorf("read %s: %w", stream, err)
	}
	return usageOf(s.CachedInfo()), nil
}

func usageOf(info *jetstream.StreamInfo) Usage {
	return Usage{
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes, MaxMessages: info.Config.MaxMsgs,
		First: info.State.FirstTime, Last: info.State.LastTime,
		FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq,
	}
}

// Account reads how much of its disk the account uses, and may use: 0 without a
// limit.
func (c *Client) Account(ctx context.Context) (used, limit uint64, err error) {
	err = c.ask(ctx, askTimeout, func(ctx context.Context) error {
		info, err := c.js.AccountInfo(ctx)
		if err == nil {
			used, limit = info.Store, uint64(max(0, info.Limits.MaxStore))
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read the account: %w", err)
	}
	return used, limit, nil
}
