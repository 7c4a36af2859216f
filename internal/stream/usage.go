package stream

import (
	"context"
	"fmt"
	"time"
)

// Usage is how full ALIPAY_EVENTS is.
type Usage struct {
	Messages uint64
	Bytes    uint64
	MaxBytes int64 // 0 or less without a limit
	First    time.Time
	Last     time.Time
}

// Usage reads the size of ALIPAY_EVENTS.
func (c *Client) Usage(ctx context.Context) (Usage, error) {
	s, err := c.js.Stream(ctx, Events)
	if err != nil {
		return Usage{}, fmt.Errorf("read %s: %w", Events, err)
	}
	info := s.CachedInfo()
	return Usage{
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
		First: info.State.FirstTime, Last: info.State.LastTime,
	}, nil
}
