package platform

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"alipay-notify/internal/alipaytest"
)

// Mischief is what becomes of notifications on their way. Each probability is
// that of one notification, and what becomes of it depends on the seed, its
// app, its type and the number of the call that caused it, and on nothing else.
type Mischief struct {
	Drop      float64       // never sent
	Duplicate float64       // sent once more after it was acknowledged
	Reorder   float64       // held back until one that was caused later has been posted
	Tamper    float64       // the first posting is changed on its way; the retry is genuine
	Delay     time.Duration // the first posting comes up to so much later; unscaled
}

// reorderPatience bounds how long a notification waits to be overtaken; unscaled.
const reorderPatience = 10 * time.Minute

func (m Mischief) check() error {
	for name, p := range map[string]float64{"drop": m.Drop, "duplicate": m.Duplicate, "reorder": m.Reorder, "tamper": m.Tamper} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("%s %v: want a probability, 0 to 1", name, p)
		}
	}
	if m.Delay < 0 {
		return fmt.Errorf("delay %s: want 0 or more", m.Delay)
	}
	return nil
}

// fate is Mischief for one notification.
type fate struct {
	drop, duplicate, reorder, tamper bool
	delay                            time.Duration
}

func (m Mischief) fate(r *rand.Rand) fate {
	// All are drawn, whatever they say, so that raising one probability does
	// not shuffle the others.
	hit := func(p float64) bool { return r.Float64() < p }
	f := fate{drop: hit(m.Drop), duplicate: hit(m.Duplicate), reorder: hit(m.Reorder), tamper: hit(m.Tamper)}
	f.delay = time.Duration(r.Float64() * float64(m.Delay))
	return f
}

// event is something that Alipay tells about.
type event struct {
	app     *app
	typ     string // entity.action of alipaytest's catalogue
	key     string
	number  string // of the call that caused it
	payload payload
}

// payload is what a notification's content says, and what it does not.
type payload struct {
	fields  []alipaytest.Field
	without string
}

func activityPayload(id, number string) payload {
	return payload{fields: []alipaytest.Field{{Name: "activity_id", Value: id}, {Name: "out_biz_no", Value: number}}}
}

// letter is a notification on its way.
type letter struct {
	*alipaytest.Notification
	entry Entry // what all its lines in the journal have
	fate  fate
}

// later lets an accepted operation be in flight, then finishes it and sends
// what it causes. The caller holds mu, and finish is called with it held.
func (p *Platform) later(e *event, finish func()) {
	p.begin(func(ctx context.Context) {
		if !p.wait(ctx, p.config.OperationDelay) {
			return
		}
		p.mu.Lock()
		finish()
		l := p.cause(e) // under the lock: whoever sees the state finds it in the journal
		p.mu.Unlock()
		p.deliver(ctx, l)
	})
}

// cause makes the notification. The caller holds mu.
func (p *Platform) cause(e *event) *letter {
	r := p.draw("notification", e.app.ID, e.typ, e.number)
	l := &letter{fate: p.config.Mischief.fate(r)}
	opts := alipaytest.Options{AppID: e.app.ID, Key: p.config.Key, Payload: e.payload.fields, Time: time.Now(), Rand: r}
	if e.app.Encrypt {
		opts.AESKey = e.app.AESKey
	}
	n, err := alipaytest.New(e.typ, opts)
	if err != nil {
		panic(err) // the types are three of the catalogue's, and the options are ours
	}
	n.RemovePayload(e.payload.without)
	l.Notification = n
	l.entry = Entry{App: e.app.ID, Notification: p.passing.caused(), NotifyID: n.ID(), Type: e.typ, Key: e.key, Number: e.number}
	p.note(l, Caused, "")
	return l
}

func (p *Platform) note(l *letter, what, detail string) {
	e := l.entry
	e.What, e.Detail = what, detail
	p.journal.add(e)
}

// deliver does to a notification what its fate says, and posts it on Alipay's
// schedule until it is acknowledged.
func (p *Platform) deliver(ctx context.Context, l *letter) {
	switch {
	case l.fate.drop:
		p.note(l, Dropped, "")
		return
	case p.config.Notifier == nil:
		return
	case !p.hold(ctx, l):
		p.note(l, Interrupted, "")
		return
	}
	schedule := l.Schedule()
	for i := 0; ; i++ {
		acknowledged := p.post(ctx, l, i+1, l.fate.tamper && i == 0, false)
		p.passing.posted(l.entry.Notification)
		switch {
		case acknowledged:
			p.note(l, Acknowledged, "")
			if l.fate.duplicate {
				p.post(ctx, l, i+2, false, true)
			}
			return
		case i == len(schedule):
			p.note(l, GivenUp, "")
			return
		case !p.wait(ctx, schedule[i]):
			p.note(l, Interrupted, "")
			return
		}
	}
}

// hold lets the delay pass, and others overtake.
func (p *Platform) hold(ctx context.Context, l *letter) bool {
	if l.fate.delay > 0 {
		p.note(l, Held, "for "+l.fate.delay.String())
		if !p.wait(ctx, l.fate.delay) {
			return false
		}
	}
	if l.fate.reorder {
		p.note(l, Held, "until overtaken")
		overtaken, cancel := p.passing.after(ctx, l.entry.Notification)
		p.wait(overtaken, reorderPatience)
		cancel()
	}
	return ctx.Err() == nil
}

// post makes one attempt, and tells whether the receiver said success.
func (p *Platform) post(ctx context.Context, l *letter, attempt int, tampered, duplicate bool) bool {
	e := l.entry
	e.What, e.Attempt, e.Tampered, e.Duplicate = Tried, attempt, tampered, duplicate
	n, result, err := l.Notification, alipaytest.Result{}, error(nil)
	if tampered {
		n, err = n.Tampered(time.Now())
	}
	if err == nil {
		result, err = p.config.Notifier.Deliver(ctx, n, nil)
	}
	if err == nil {
		last := result.Last()
		e.Status, err = last.Status, last.Err
		e.Body = last.Body[:min(len(last.Body), 64)]
	}
	if err != nil {
		e.Detail = err.Error()
	}
	p.journal.add(e)
	return err == nil && result.Outcome == alipaytest.Acknowledged
}

// passing knows which notifications have been posted, for those that wait to be
// overtaken.
type passing struct {
	mu      sync.Mutex
	last    int
	waiting map[int]context.CancelFunc
}

func newPassing() *passing { return &passing{waiting: map[int]context.CancelFunc{}} }

// caused counts one more.
func (w *passing) caused() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	return w.last
}

// posted lets go of all that were caused before.
func (w *passing) posted(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiting, done := range w.waiting {
		if waiting < number {
			done()
			delete(w.waiting, waiting)
		}
	}
}

// after ends when one that was caused after number has been posted.
func (w *passing) after(ctx context.Context, number int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[number] = cancel
	return ctx, cancel
}
