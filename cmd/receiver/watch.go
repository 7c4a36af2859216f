package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/dedupe"
)

// health collects the reasons for not being ready. It is safe for concurrent use.
type health struct {
	mu     sync.Mutex
	causes map[string]error
}

// set gives a reason under a name, or takes it back with nil.
func (h *health) set(name string, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.causes == nil {
		h.causes = make(map[string]error)
	}
	if why == nil {
		delete(h.causes, name)
	} else {
		h.causes[name] = why
	}
}

// reasons lists why the receiver is not ready; none means that it is.
func (h *health) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h.causes)) {
		all = append(all, h.causes[name].Error())
	}
	return all
}

const (
	// firstCheckWait is how long a start waits for the NATS servers, to be reached
	// and to answer, before it goes on without them, not ready.
	firstCheckWait = 3 * time.Second
	// checkEvery is how often the layout is compared again.
	checkEvery = time.Minute
	// checkTimeout bounds one comparison that somebody has asked for.
	checkTimeout = 10 * time.Second
	// compareTimeout bounds one of our own: while it lasts, nothing else is looked
	// at, and readiness must not be old news.
	compareTimeout = 3 * time.Second
	// probeTimeout bounds one probe of the stream; a healthy one takes milliseconds.
	probeTimeout = 2 * time.Second
	// retryCheck is how often we try while the layout was never seen.
	retryCheck = time.Second
)

var errNotChecked = errors.New("the streams were not checked yet")

// firstCheck refuses to start on streams that would lose something. Servers
// that cannot be reached are another matter: the receiver then runs, answers
// `unavailable`, and watch checks as soon as they are there.
func (r *receiver) firstCheck(ctx context.Context) error {
	r.suspend(fmt.Errorf("%w: NATS cannot be reached", errNotChecked))
	wait, cancel := context.WithTimeout(ctx, firstCheckWait)
	defer cancel()
	for !r.client.Connected() {
		select {
		case <-wait.Done():
			r.log.Warn().Msg("NATS cannot be reached; running without it, not ready")
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	fatal, err := r.check(wait)
	if err != nil {
		r.log.Warn().Err(err).Msg("the streams cannot be checked; running, not ready")
		return nil
	}
	if len(fatal) > 0 {
		return cli.Failedf("receiver provision --dry-run    # says what would be changed", "the streams are not as they must be:\n  %s", strings.Join(fatal, "\n  "))
	}
	return nil
}

// check compares the layout, logs each difference, and stops or allows
// publishing. It gives the fatal differences as text.
func (r *receiver) check(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if usage, err := r.client.Usage(ctx); err == nil { // also where the rest cannot be read
		r.metrics.Stream(usage.Bytes, usage.MaxBytes)
	}
	diffs, err := r.client.Check(ctx, wire.Layout(r.cfg))
	if err != nil {
		if errors.Is(r.publisher.Suspended(), errNotChecked) && r.client.Connected() {
			r.suspend(fmt.Errorf("%w: %w", errNotChecked, err))
		}
		return nil, err
	}
	var fatal []string
	for _, d := range diffs {
		if d.Fatal {
			fatal = append(fatal, d.String())
			r.log.Error().Str("stream", d.Stream).Msg(d.String())
		} else {
			r.log.Warn().Str("stream", d.Stream).Msg(d.String())
		}
	}
	r.metrics.Layout(len(fatal), len(diffs)-len(fatal))
	if len(fatal) > 0 {
		r.suspend(fmt.Errorf("the streams are not as they must be: %s", strings.Join(fatal, "; ")))
	} else {
		r.suspend(nil)
	}
	return fatal, nil
}

func (r *receiver) suspend(why error) {
	r.publisher.Suspend(why)
	r.health.set("streams", why)
}

// steady is how many good looks in a row it takes to be ready again.
const steady = 3

// damper keeps readiness from flapping: one bad look in passing changes nothing,
// two do, and only some good ones in a row take that back.
type damper struct {
	bad, good int
	why       error
}

func (d *damper) see(why error) error {
	if why != nil {
		d.good = 0
		if d.bad++; d.bad > 1 {
			d.why = why
		}
		return d.why
	}
	d.bad = 0
	if d.good++; d.good >= steady {
		d.why = nil
	}
	return d.why
}

// firstLook is taken before the receiver can be ready, and believed at once: two
// seconds of "ready" were enough for a rolling update to replace instances that work
// by some that cannot.
func (r *receiver) firstLook(ctx context.Context) {
	r.looks.stream.why, r.looks.redis.why = r.streamAway(ctx), r.redisAway(ctx)
	r.health.set("nats", r.looks.stream.why)
	r.health.set("redis", r.looks.redis.why)
}

// watch looks every second whether events would be stored, and at the layout
// every minute.
func (r *receiver) watch(ctx context.Context) {
	tick := time.NewTicker(retryCheck)
	defer tick.Stop()
	checked := time.Now()
	said := strings.Join(r.health.reasons(), "; ")
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			connected := r.client.Connected()
			r.health.set("nats", r.looks.stream.see(r.streamAway(ctx)))
			r.health.set("redis", r.looks.redis.see(r.redisAway(ctx)))
			if ctx.Err() != nil {
				return // what was not answered says nothing: we are stopping
			}
			said = r.sayReadiness(said)
			due := now.Sub(checked) >= checkEvery || errors.Is(r.publisher.Suspended(), errNotChecked)
			if !connected || !due {
				continue
			}
			checked = now
			if _, err := r.check(ctx); err != nil {
				r.log.Warn().Err(err).Msg("the streams cannot be checked")
			}
		}
	}
}

// sayReadiness logs a change of readiness. It gives what was said last.
func (r *receiver) sayReadiness(said string) string {
	why := strings.Join(r.health.reasons(), "; ")
	switch why {
	case said:
	case "":
		r.log.Info().Msg("ready")
	default:
		r.log.Warn().Str("why", why).Msg("not ready")
	}
	return why
}

// streamAway tells why an event would not be stored now.
func (r *receiver) streamAway(ctx context.Context) error {
	switch {
	case !r.client.Connected():
		return errors.New("NATS cannot be reached")
	case r.publisher.Suspended() != nil:
		return nil // a reason of its own
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, errors.New("no answer to a probe"))
	defer cancel()
	return r.publisher.Ready(ctx)
}

// redisAway tells why nothing would be taken for want of Redis. Where the policy
// is to publish without it, its absence is no reason. A server that answers is not
// enough: a replica does, and so does one whose memory is full.
func (r *receiver) redisAway(ctx context.Context) error {
	if r.redis == nil || dedupe.Policy(r.cfg.Redis.OnUnavailable) != dedupe.Refuse {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dedupe.DefaultTimeout)
	defer cancel()
	err := dedupe.Probe(ctx, r.redis)
	if err == nil {
		return nil
	}
	if code := dedupe.Refusal(err); code != "" {
		return fmt.Errorf("redis refuses claims (%s), and redis.on_unavailable is refuse", code)
	}
	return errors.New("redis cannot be reached, and redis.on_unavailable is refuse")
}

func (r *receiver) observeConnection(event string, err error) {
	r.metrics.Connection(event)
	if event == "connected" || event == "reconnected" || err == nil {
		r.log.Info().Str("event", event).Msg("nats")
		return
	}
	if r.complaints.due(event+err.Error(), time.Now()) {
		r.log.Warn().Str("event", event).Err(err).Msg("nats")
	}
}

// seldom lets what is said again and again through once a minute. It is safe for
// concurrent use.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// mostSaid bounds what is remembered: some addresses, each with some errors.
const mostSaid = 100

func (s *seldom) due(text string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.said[text]) < time.Minute {
		return false
	}
	if s.said == nil || len(s.said) >= mostSaid {
		s.said = make(map[string]time.Time)
	}
	s.said[text] = now
	return true
}

// observeKept hears of what was not accepted. A flood would flood the log too,
// so that only what should not happen is written there; the rest is counted.
func (r *receiver) observeKept(event string, err error) {
	r.metrics.Kept(event)
	if err != nil {
		r.log.Warn().Str("event", event).Err(err).Msg("a request that was not accepted could not be kept")
	}
}

// logServer takes the lines of the embedded server.
func (r *receiver) logServer(level, message string) {
	switch level {
	case "error":
		r.log.Error().Str("component", "nats-server").Msg(message)
	case "warn":
		r.log.Warn().Str("component", "nats-server").Msg(message)
	default:
		r.log.Debug().Str("component", "nats-server").Msg(message)
	}
}
