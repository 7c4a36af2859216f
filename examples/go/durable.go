package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// backoff is how long the server waits for an acknowledgement before it delivers
// again, the first time, the second, and so on; the last one holds for the rest.
// We wait as long after what may be better later. With maxDeliver it covers an
// outage of some ten hours; then the server gives the message up, and the operators
// see it in ALIPAY_DLQ.
var backoff = []time.Duration{
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
}

const (
	maxDeliver = 12
	// maxAckPending bounds what is delivered and not yet acknowledged. It has to be
	// more than what is in hand, and little enough to be worked off within backoff[0].
	maxAckPending = 1000
)

// durables are the consumers that a name has: one on all events, and one on what
// an operator sends again to this name alone.
func durables(name string) map[string]jetstream.ConsumerConfig {
	config := func(filters ...string) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable: name, FilterSubjects: filters,
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
			MaxDeliver: maxDeliver, BackOff: backoff, MaxAckPending: maxAckPending,
		}
	}
	return map[string]jetstream.ConsumerConfig{
		"ALIPAY_EVENTS":  config("alipay.events.*.voucher.>", "alipay.events.*.card.>"),
		"ALIPAY_REPLAYS": config("alipay.replays." + name + ".>"),
	}
}

// bindWait is between two attempts while the server is away or not yet ready.
const bindWait = time.Second

// bind gives the consumer of a name on a stream, and waits for a server that is
// away. It makes the consumer when create says so; else one has to be there.
func (s session) bind(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	for {
		c, err := s.bindOnce(ctx, stream, config)
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) && refused.Code < 500 || errors.Is(err, errConfig) {
			return c, err
		}
		if ctx.Err() == nil {
			s.log.Warn("the server does not give the consumer yet", "stream", stream, "name", config.Durable, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(bindWait):
		}
	}
}

var errConfig = errors.New("the consumer is not configured as this program needs it")

func (s session) bindOnce(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if s.create {
		c, err := s.js.CreateOrUpdateConsumer(ctx, stream, config)
		if err != nil {
			return nil, fmt.Errorf("make consumer %s on %s: %w", config.Durable, stream, err)
		}
		return c, nil
	}
	c, err := s.js.Consumer(ctx, stream, config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, missing(stream, config, err)
	}
	if err != nil {
		return nil, fmt.Errorf("look for consumer %s on %s: %w", config.Durable, stream, err)
	}
	if got := c.CachedInfo().Config; got.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("%w: %s on %s acknowledges by %q, want explicit", errConfig, config.Durable, stream, got.AckPolicy)
	}
	return c, nil
}

// missing says how the consumer is made by somebody who may (deploy/README.md).
func missing(stream string, config jetstream.ConsumerConfig, err error) error {
	return fmt.Errorf("there is no consumer %[1]s on %[2]s (%[3]w). Start with --create where this user may make it; else an operator makes it, once: "+
		"nats consumer add %[2]s %[1]s --pull --ack explicit --deliver all --wait %[4]v --max-deliver %[5]d --max-pending %[6]d --filter '%[7]s' --defaults",
		config.Durable, stream, err, backoff[0], maxDeliver, maxAckPending, strings.Join(config.FilterSubjects, "' --filter '"))
}
