package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

// removeTimeout bounds one removal. It runs after something was stored, often
// while the operator is already leaving.
const removeTimeout = 5 * time.Second

// Remove takes a message out of a stream: a released request, a resolved
// pointer. It gives ErrNotFound when the message is gone already, which after a
// lost answer may be our own doing. ALIPAY_EVENTS and ALIPAY_AUDIT deny it to
// everybody.
func (c *Client) Remove(ctx context.Context, stream string, sequence uint64) error {
	if err := c.remove(ctx, stream, sequence); err != nil {
		return fmt.Errorf("remove %s %d: %w", stream, sequence, err)
	}
	return nil
}

func (c *Client) remove(ctx context.Context, stream string, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	// The library's own call tells a missing message by its text alone.
	request := fmt.Sprintf(`{"seq":%d,"no_erase":true}`, sequence)
	reply, err := c.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+stream, []byte(request))
	if err != nil {
		return fault.Errorf(fault.Uncertain, "no_stream", "ask the stream: %w", err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Success bool                `json:"success"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Errorf("the stream's answer is not JSON: %w", err)
	}
	switch {
	case answer.Error == nil && answer.Success:
		return nil
	case answer.Error == nil:
		return errors.New("the stream says neither yes nor no")
	}
	// The server has one code for all reasons why a removal fails.
	if _, err := c.leaderMessage(ctx, stream, sequence); errors.Is(err, ErrNotFound) {
		return ErrNotFound
	}
	return answer.Error
}
