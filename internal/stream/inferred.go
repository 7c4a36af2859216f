package stream

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// PublishInferred stores what reconciliation concluded on ALIPAY_INFERRED, and
// waits for the stream's word. The same conclusion again, within the stream's
// window, is stored once (Duplicate). The errors are those of Publisher.Publish.
func (c *Client) PublishInferred(ctx context.Context, i events.Inferred) (events.Receipt, error) {
	header, err := i.Header()
	if err != nil {
		return events.Receipt{}, fault.Errorf(fault.Malformed, "no_kind", "%w", err)
	}
	if !c.Connected() { // what waits in a buffer would be stored after we have given up
		return events.Receipt{}, fault.Errorf(fault.Unavailable, "disconnected", "not connected to NATS")
	}
	msg := &nats.Msg{Subject: i.Subject(), Data: i.Data, Header: make(nats.Header, len(header))}
	for name, value := range header {
		msg.Header[name] = []string{value}
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return events.Receipt{}, classify(err)
	}
	if ack.Stream != Inferred {
		return events.Receipt{}, fault.Errorf(fault.Internal, "wrong_stream", "stored on %s instead of %s", ack.Stream, Inferred)
	}
	return events.Receipt{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
}
