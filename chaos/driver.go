package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// fault is one way to break something.
type fault struct {
	name        string
	track       string
	least, most time.Duration // how long it lasts
	forgets     bool          // Redis may have lost keys by it
	window      bool          // the stream has forgotten message ids by it
	run         func(b *breaking) error
}

// breaking is one fault under way.
type breaking struct {
	ctx    context.Context // ends with the time of breaking: what holds, is mended at once
	life   context.Context // ends when the run is broken off
	lab    *lab
	hold   time.Duration
	nth    int // how often this fault came before, in this run
	random *rand.Rand

	told string   // details for the log
	whom []string // the processes that it hit
}

// hit says which process is broken.
func (b *breaking) hit(u *unit) {
	b.tell("%s", u.name)
	b.whom = append(b.whom, u.name)
}

// tell says what exactly is broken.
func (b *breaking) tell(format string, args ...any) {
	if b.told != "" {
		b.told += "; "
	}
	b.told += fmt.Sprintf(format, args...)
}

// wait lets the fault last.
func (b *breaking) wait() { pass(b.ctx, b.hold) }

// errSkipped says that a fault cannot be made here.
var errSkipped = errors.New("skipped")

// incident is a fault that happened.
type incident struct {
	fault
	begin, end time.Time // of the breaking; mending is done at the end
	detail     string
	whom       []string // the processes that it hit
	skipped    string   // why it was not done
	trouble    string   // what did not go as it should, without being the product's
}

// driver breaks things by plan. Nothing of it is told to the receivers or to the
// sender.
type driver struct {
	lab *lab

	mu        sync.Mutex
	incidents []incident
}

// run follows the plan until ctx ends, and returns when every fault is mended.
func (d *driver) run(ctx context.Context, steps map[string][]step) {
	var all sync.WaitGroup
	for _, track := range tracks {
		all.Go(func() {
			for _, s := range steps[track] {
				pass(ctx, s.pause)
				if ctx.Err() != nil {
					return
				}
				d.add(d.lab.breakOne(ctx, s))
			}
		})
	}
	all.Wait()
}

// note keeps an incident for the checker.
func (d *driver) note(i incident) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.incidents = append(d.incidents, i)
}

func (d *driver) add(i incident) {
	d.note(i)
	d.lab.say("%6.1fs %5.1fs  %-9s  %s", i.begin.Sub(d.lab.began).Seconds(), i.end.Sub(i.begin).Seconds(), i.track, i.text())
}

// text is the incident in words.
func (i incident) text() string {
	text := i.name
	for _, more := range []struct{ before, what string }{{": ", i.detail}, {": skipped: ", i.skipped}, {" - note: ", i.trouble}} {
		if more.what != "" {
			text += more.before + more.what
		}
	}
	return text
}

// breakOne breaks, waits and mends.
func (l *lab) breakOne(ctx context.Context, s step) incident {
	b := &breaking{
		ctx: ctx, life: l.life, lab: l, hold: s.hold, nth: s.nth,
		random: rand.New(rand.NewPCG(s.seed, 0)),
	}
	i := incident{fault: s.fault, begin: time.Now()}
	var before *redisNode
	if s.fault.track == trackRedis {
		before, _ = l.redis.primary(l.life) // then another one is another one
	}
	err := s.fault.run(b)
	i.detail, i.whom = b.told, b.whom
	if errors.Is(err, errSkipped) {
		i.skipped, i.end = err.Error(), time.Now()
		return i
	}
	if mended := l.mend(s.fault.track); mended != nil {
		err = errors.Join(err, mended)
	}
	if err != nil && l.life.Err() == nil {
		i.trouble = err.Error()
	}
	if s.fault.track == trackRedis && !i.forgets {
		now, err := l.redis.primary(l.life)
		// What the old one had not yet passed on is forgotten.
		i.forgets = err != nil || now != before
	}
	i.end = time.Now()
	return i
}

// mend undoes what a fault of a track may have left, and waits until the servers
// have come to terms with it.
func (l *lab) mend(track string) error {
	switch track {
	case trackReceivers:
		return l.mendReceivers()
	case trackRedis:
		if err := l.redis.mend(); err != nil {
			return err
		}
		return l.redis.healthy(l.life)
	case trackNATS:
		if err := l.nats.mend(); err != nil {
			return err
		}
		if l.nats.missing(l.life) {
			if err := l.provision(l.life); err != nil {
				return err
			}
		}
		return l.nats.healthy(l.life)
	default:
		l.mendLines()
		l.balancer.losing.Store(false)
		return nil
	}
}
