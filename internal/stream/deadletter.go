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

// resendOnceTimeout bounds the storing of one message by Resend.
const resendOnceTimeout = 5 * time.Second

// Resend stores one message on ALIPAY_REPLAYS and returns when it is stored. It
// is sent a second time when no answer comes: with its message id among the
// headers it is stored once all the same. The kinds of errors are those of
// Publisher.Publish, and ErrDenied.
func (c *Client) Resend(ctx context.Context, subject string, header map[string][]string, data []byte) (sequence uint64, err error) {
	msg := &nats.Msg{Subject: subject, Header: header, Data: data}
	var ack *jetstream.PubAck
	for range 2 {
		err = c.ask(ctx, resendOnceTimeout, func(ctx context.Context) (err error) {
			ack, err = c.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(Replays))
			return err
		})
		if err == nil {
			return ack.Sequence, nil
		}
		if errors.Is(err, ErrDenied) {
			return 0, fault.Errorf(fault.Unavailable, "denied", "send to %s: %w", subject, err)
		}
		if ctx.Err() != nil || fault.KindOf(classify(err)) != fault.Uncertain {
			break
		}
	}
	return 0, fmt.Errorf("send to %s: %w", subject, classify(err))
}
