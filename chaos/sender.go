package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"alipay-notify/internal/alipaytest"
)

// answerTimeout is how long the sender waits for an answer. What Alipay's bound
// is, no document says; its sibling protocol has 3 s.
const answerTimeout = 4 * time.Second

// kinds are what is sent, by turns.
var kinds = []string{"voucher.created", "voucher.used", "order.received", "card.open_result", "trade.status_changed"}

// sender plays Alipay: unique notifications, each delivered until it is
// acknowledged, on Alipay's schedule in compressed time, stamped and signed anew
// each time. Some are sent twice at once, some again after they were
// acknowledged, as Alipay does.
type sender struct {
	app     *alipaytest.App
	journal *journal
	client  alipaytest.Client
	scale   float64 // how many times as fast as Alipay's the schedule is
	seed    uint64
	life    context.Context // ends when the run is broken off

	ahead  atomic.Int64  // of the sender's clock, in nanoseconds
	healed chan struct{} // closed when nothing is broken any more
	turns  turns         // of those who then come at once

	delivering sync.WaitGroup
	mu         sync.Mutex
	done       []*alipaytest.Notification // acknowledged, for repeats
	failed     error                      // a notification could not be made
	records    map[string]*record
}

// leastGap keeps a short run, whose time is compressed most, from being nothing
// but retries.
const leastGap = time.Second

// newSender makes a sender whose schedule is as long as the faults last: the
// last deliveries of the very first notification come when all is healed.
func newSender(l *lab, lasts time.Duration) *sender {
	s := &sender{
		app: l.app, journal: l.journal, seed: l.options.seed, life: l.life, healed: make(chan struct{}),
		scale: float64(alipaytest.MessageSchedule().Total()) / float64(lasts), records: map[string]*record{},
	}
	s.client = alipaytest.Client{
		URL: "http://balancer/alipay/notify", HTTP: &http.Client{Transport: l.balancer}, Timeout: answerTimeout,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }, Wait: s.wait,
	}
	return s
}

// run sends rate notifications a second until ctx ends.
func (s *sender) run(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	random := rand.New(rand.NewPCG(s.seed, 1))
	for n := uint64(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		made, err := alipaytest.New(kinds[n%uint64(len(kinds))], alipaytest.Options{
			AppID: s.app.ID, Key: s.app.Key, Rand: rand.New(rand.NewPCG(s.seed, 1000+n)),
		})
		if err != nil {
			s.fail(err)
			return
		}
		r := s.journal.open(made.ID(), made.Type())
		s.mu.Lock()
		s.records[made.ID()] = r
		s.mu.Unlock()
		s.deliver(made, r, made.Schedule().Scaled(s.scale))
		switch random.IntN(40) {
		case 0:
			s.deliver(made, r, made.Schedule().Scaled(s.scale)) // twice at once
		case 1, 2:
			later := time.Duration(random.Int64N(int64(time.Minute)))
			s.delivering.Go(func() {
				s.pause(later)
				s.once(made, r)
			})
		}
	}
}

// deliver sends one notification along a schedule, without waiting for it.
func (s *sender) deliver(n *alipaytest.Notification, r *record, schedule alipaytest.Schedule) {
	s.delivering.Go(func() {
		c := &chain{record: r, last: len(schedule)}
		result, err := s.client.Deliver(withChain(s.life, c), n, schedule)
		switch {
		case err != nil:
			s.fail(fmt.Errorf("deliver %s: %w", n.ID(), err))
		case result.Outcome == alipaytest.Acknowledged:
			s.mu.Lock()
			s.done = append(s.done, n)
			s.mu.Unlock()
		case result.Outcome == alipaytest.GivenUp && len(schedule) > 0:
			r.mu.Lock()
			r.given++
			r.mu.Unlock()
		}
	})
}

// once delivers without retries, whatever the answer; it waits for that.
func (s *sender) once(n *alipaytest.Notification, r *record) {
	if _, err := s.client.Deliver(withChain(s.life, &chain{record: r}), n, nil); err != nil {
		s.fail(fmt.Errorf("deliver %s: %w", n.ID(), err))
	}
}

// repeat sends some of what was acknowledged once more, and waits for the answers.
func (s *sender) repeat(count int, random *rand.Rand) int {
	s.mu.Lock()
	var picked []*alipaytest.Notification
	for range min(count, len(s.done)) {
		picked = append(picked, s.done[random.IntN(len(s.done))])
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, n := range picked {
		s.mu.Lock()
		r := s.records[n.ID()]
		s.mu.Unlock()
		all.Go(func() { s.once(n, r) })
	}
	all.Wait()
	return len(picked)
}

// wait is the gap before the next delivery. The last two come when all is healed,
// whatever the schedule says: Alipay's last gaps are 6 and 15 hours, longer than
// any of our faults. When all is healed nobody waits longer than for a lease and
// for his turn.
func (s *sender) wait(ctx context.Context, gap time.Duration) error {
	c := chainOf(ctx)
	c.gaps++
	over := time.After(max(gap, leastGap))
	if c.gaps >= c.last-1 {
		over = nil
	}
	select {
	case <-over:
	case <-ctx.Done():
	case <-s.healed:
		pass(ctx, lease+time.Second+s.turns.next(time.Now()))
	}
	return ctx.Err()
}

// afterwards is how many deliveries a second are left over when all is healed.
// Thousands wait for that moment. Alipay's come over fifteen hours; ours took the
// processors at once, so that this process, with the proxies in it, was half a
// second late, and what was healed was too slow to be used.
const afterwards = 200

// turns lets what comes at once go one after the other. It is safe for
// concurrent use.
type turns struct {
	mu   sync.Mutex
	free time.Time // the next turn that nobody has
}

// next is how long it takes until one's turn.
func (t *turns) next(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free.Before(now) {
		t.free = now
	}
	wait := t.free.Sub(now)
	t.free = t.free.Add(time.Second / afterwards)
	return wait
}

// pause waits, or until all is healed.
func (s *sender) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.healed:
	case <-s.life.Done():
	}
}

// finish lets the sender come to the end of its schedule: all is healed.
func (s *sender) finish(ctx context.Context) error {
	close(s.healed)
	done := make(chan struct{})
	go func() {
		s.delivering.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * patience):
		return fmt.Errorf("the sender is not done within %v", 10*patience)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil && s.life.Err() == nil {
		s.failed = err
	}
}
