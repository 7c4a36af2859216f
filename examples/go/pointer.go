package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pointerLimit bounds the leaving of the pointers of one batch. It is well below
// backoff[0], after which the server would deliver the messages again.
const pointerLimit = 5 * time.Second

// advised is where the server itself points to what was terminated.
const advised = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED"

// pointerRoot begins the subject of this consumer's pointers: that of the server's,
// or, in an account of its own, what deploy/nats maps there (ALIPAY.DLQ beside
// ALIPAY.API). The stream and the name of the consumer follow.
func (o options) pointerRoot() string {
	if o.apiPrefix == "" {
		return advised
	}
	return strings.TrimSuffix(o.apiPrefix, ".API") + ".DLQ"
}

// pointer is what ALIPAY_DLQ keeps of a message that was given up: where it is, and
// why. Nothing of the message itself: the operators find that in its stream.
type pointer struct {
	Sequence   uint64 `json:"stream_seq"`
	Deliveries uint64 `json:"deliveries"`
	Reason     string `json:"reason"`
}

// pointerTo gives the function that leaves a pointer and returns when it is stored.
// The server points to what was terminated as well, but once and to whoever listens
// at that moment; nobody hears of a pointer that was lost.
func pointerTo(js jetstream.JetStream, root string) func(context.Context, jetstream.Msg, string) error {
	return func(ctx context.Context, m jetstream.Msg, reason string) error {
		at, err := m.Metadata()
		if err != nil {
			return err
		}
		body, err := json.Marshal(pointer{at.Sequence.Stream, at.NumDelivered, reason})
		if err != nil {
			return err
		}
		msg := &nats.Msg{Subject: root + "." + at.Stream + "." + at.Consumer, Data: body}
		// The id lets the server know it again when its answer was lost.
		id := fmt.Sprintf("%s:%s:%d:%d", at.Stream, at.Consumer, at.Sequence.Stream, at.NumDelivered)
		_, err = js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream("ALIPAY_DLQ"))
		return err
	}
}
