package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

// probeSubject is one that no event has: there is no app with that id.
const probeSubject = "alipay.events._.probe.none._"

// ErrFull says that ALIPAY_EVENTS takes nothing more.
var ErrFull = errors.New("ALIPAY_EVENTS is full: raise nats.max_bytes and provision, or give the disk more room")

// Probe tells whether ALIPAY_EVENTS would take an event now, and stores nothing:
// it publishes on the condition that the last sequence is one that cannot be, so
// that the stream's leader gets as far as looking at its own state and refuses.
// What lies behind that, as the disk that a server may use, only an event meets:
// Publisher.Ready knows of it.
//
// A leader that has just lost its followers still answers so until it steps down,
// which takes it some ten seconds; Publisher.Silent knows of that sooner.
func (c *Client) Probe(ctx context.Context) error {
	if !c.Connected() {
		return errors.New("not connected to NATS")
	}
	err := c.ask(ctx, askTimeout, func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, nats.NewMsg(probeSubject), jetstream.WithRetryAttempts(0),
			jetstream.WithExpectStream(Events), jetstream.WithExpectLastSequence(math.MaxInt64))
		return err
	})
	if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		return fmt.Errorf("%s does not take events: %w", Events, errProbe(err))
	}
	// The limits come after that condition, so they have to be looked at.
	usage, err := c.Usage(ctx)
	if err != nil {
		return err
	}
	if usage.MaxBytes > 0 && usage.Bytes+maxHeaders > uint64(usage.MaxBytes) {
		return ErrFull
	}
	if usage.MaxMessages > 0 && usage.Messages >= uint64(usage.MaxMessages) {
		return fmt.Errorf("%s holds all the %d messages that it may: receiver provision takes that limit away", Events, usage.MaxMessages)
	}
	return nil
}

// errProbe is the error of a probe; that it was stored would be one, too.
func errProbe(err error) error {
	switch {
	case err == nil:
		return errors.New("it stored what it had to refuse")
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return errors.New("it has no leader, or is missing")
	}
	return err
}

const (
	// silentAfter is how many answers in a row have to fail to come before we no
	// longer wait for more of them.
	silentAfter = 3
	// trialEvery is how often one event is still tried then.
	trialEvery = time.Second
	// silentFor is how long a missed answer counts against readiness.
	silentFor = 10 * time.Second
	// refusedFor is how long a refused event does. Whoever is not ready may get no
	// more requests, and only by one can it be seen that the stream takes them again.
	refusedFor = 30 * time.Second
)

// acks watches whether answers come. Where they do not (a stream without a
// quorum, a server that hangs) each request would wait for its whole time, and
// a thousand of them would hold every slot: after a few, one at a time is tried
// and the others are told at once. It is safe for concurrent use.
type acks struct {
	missed atomic.Int32 // in a row; changed under mu, read by every publish

	mu    sync.Mutex
	last  time.Time
	trial time.Time // when the next one may be tried
}

// allow tells whether to try, and counts the trial. Nearly always nobody needs the
// clock, which is why it is not the time that is asked for.
func (a *acks) allow(clock func() time.Time) bool {
	if a.missed.Load() < silentAfter {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock()
	if now.Before(a.trial) && a.missed.Load() >= silentAfter { // an answer may just have come
		return false
	}
	a.trial = now.Add(publishTimeout + trialEvery)
	return true
}

// heard notes that the server answered, whatever it said.
func (a *acks) heard() {
	if a.missed.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missed.Store(0)
}

// miss notes that no answer came in time.
func (a *acks) miss(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missed.Add(1)
	a.last, a.trial = now, now.Add(trialEvery)
}

func (a *acks) silent(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.missed.Load() > 0 && now.Sub(a.last) < silentFor
}

// Silent says that the stream lately took events without saying that it has
// stored them. It forgets after some seconds: who is not ready gets no requests,
// and only with requests can it be seen that answers come again.
func (p *Publisher) Silent() error {
	if p.acks.silent(time.Now()) {
		return fmt.Errorf("%s did not confirm an event within the last %v", Events, silentFor)
	}
	return nil
}

// refusals remembers that the stream refuses what no probe can see that it would. It
// is safe for concurrent use.
type refusals struct {
	any atomic.Bool // since the last event that was stored

	mu   sync.Mutex
	last time.Time
	why  error
}

// heard notes what the stream said of an event. That it has one already says nothing
// of whether it would take another. clock as in allow.
func (r *refusals) heard(duplicate bool, err error, clock func() time.Time) {
	if err == nil && (duplicate || !r.any.Load()) {
		return // nearly always
	}
	if err != nil && fault.ReasonOf(err) != reasonRefused {
		return // it is about this event alone, or about the connection
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.any.Store(err != nil)
	r.last, r.why = clock(), err
}

// forget is for what has another explanation, which is looked at every second.
func (r *refusals) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.any.Store(false)
	r.why = nil
}

func (r *refusals) since(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil || now.Sub(r.last) >= refusedFor {
		return nil
	}
	return r.why
}

// Ready tells whether an event would be stored now, by a probe and by what became of
// the last ones.
func (p *Publisher) Ready(ctx context.Context) error {
	if err := p.client.Probe(ctx); err != nil {
		p.refusals.forget() // whoever is back after this cause need not wait for a trial
		return err
	}
	return cmp.Or(p.refused(), p.Silent())
}

// refused says that the stream lately refused events and has stored none since. Like
// Silent it forgets, for the same reason.
func (p *Publisher) refused() error {
	if why := p.refusals.since(time.Now()); why != nil {
		return fmt.Errorf("%s refused an event within the last %v: %w", Events, refusedFor, why)
	}
	return nil
}
