package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
)

// Classify lets the tests ask about errors that no server gives on demand.
var Classify = classify

// Server gives the server itself, to break it as a full disk would.
func (e *Embedded) Server() *server.Server { return e.server }

// Acks is acks.
type Acks struct{ acks }

// Allow is allow.
func (a *Acks) Allow(now time.Time) bool { return a.allow(func() time.Time { return now }) }

// Heard is heard.
func (a *Acks) Heard() { a.heard() }

// Miss is miss.
func (a *Acks) Miss(now time.Time) { a.miss(now) }

// Silent is silent.
func (a *Acks) Silent(now time.Time) bool { return a.silent(now) }

// SilentAfter is silentAfter.
const SilentAfter = silentAfter

// Refusals is refusals.
type Refusals struct{ refusals }

// Heard is heard.
func (r *Refusals) Heard(duplicate bool, err error, now time.Time) {
	r.heard(duplicate, err, func() time.Time { return now })
}

// Since is since.
func (r *Refusals) Since(now time.Time) error { return r.since(now) }

// RefusedFor is refusedFor.
const RefusedFor = refusedFor

// ParseAck is parseAck.
var ParseAck = parseAck

// BreakAnswers makes subscribing to the answers fail until mend is called.
func (c *Client) BreakAnswers() (mend func()) {
	prefix := c.acks.prefix
	c.acks.prefix = "not a subject."
	return func() { c.acks.prefix = prefix }
}

// Subscriptions is how many the connection has.
func (c *Client) Subscriptions() int { return c.nc.NumSubscriptions() }

// PublishAcked is a publish without a Publisher's checks before it.
func (c *Client) PublishAcked(ctx context.Context, e events.Event, timeout time.Duration) (jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.acks.open(); err != nil {
		return jetstream.PubAck{}, err
	}
	s := &sending{event: &e, done: make(chan struct{}, 1)}
	c.acks.begin(s)
	got := c.acks.wait(ctx, s)
	return got.ack, got.err
}

// Unanswered counts the publishes that are waited for.
func (c *Client) Unanswered() int {
	c.acks.mu.Lock()
	defer c.acks.mu.Unlock()
	return len(c.acks.waiting)
}

// Over tells whether a sending has ended.
func Over(s Sending) bool {
	return s.(*sending).over.Load() //nolint:forcetypeassert // there is no other
}
