package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"alipay-notify/internal/events"
)

// Under hands the messages below a subject, which may hold wildcards, to fn in
// their order, from a sequence on. It makes no consumer and is meant for few
// messages: each is one request to the stream's leader, and one more tells the
// end. It sees everything that was stored before it began. An error of fn ends it
// and is returned as it is. It is safe for concurrent use.
func (c *Client) Under(ctx context.Context, stream, subject string, from uint64, fn func(events.Stored) error) error {
	for next := max(1, from); ; {
		request, err := json.Marshal(struct {
			Sequence uint64 `json:"seq"`
			Next     string `json:"next_by_subj"`
		}{next, subject})
		if err != nil {
			return err // not reached: both are plain
		}
		m, err := c.askLeader(ctx, stream, string(request))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s below %s: %w", stream, subject, err)
		}
		if err := fn(decode(m.Subject, m.Header, m.Data, m.Sequence, m.Time)); err != nil {
			return err
		}
		next = m.Sequence + 1
	}
}
