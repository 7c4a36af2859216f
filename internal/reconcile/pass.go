package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"alipay-notify/internal/events"
)

// Standing is how an expectation stands.
type Standing string

// The standings.
const (
	Pending   Standing = "pending"   // not due yet
	Fulfilled Standing = "fulfilled" // the event is stored, and the record closed
	Concluded Standing = "concluded" // an inferred event stands for it, and the record is closed
	Overdue   Standing = "overdue"   // the event is due and not stored; the finding says why
	Forgotten Standing = "forgotten" // so long overdue that nothing can be said any more; the record is closed
	Broken    Standing = "broken"    // the record is no expectation
)

// Standings is the whole set.
func Standings() []Standing {
	return []Standing{Pending, Fulfilled, Concluded, Overdue, Forgotten, Broken}
}

// Expected is a record of ALIPAY_EXPECT.
type Expected struct {
	Name     string
	Value    []byte
	Revision uint64
}

// Ledger keeps expectations.
type Ledger interface {
	// Open gives all records.
	Open(ctx context.Context) ([]Expected, error)
	// Close removes a record, unless somebody has written it meanwhile.
	Close(ctx context.Context, x Expected) error
}

// Answer is what became of one expectation.
type Answer struct {
	Record      Expected
	Expectation Expectation // as far as it could be read
	Standing    Standing
	Finding     Finding // of what is overdue; its verdict is empty where it was not worth asking
	Item        Item    // and what it is about
	State       State   // and what Alipay says of it
}

// Pass goes once through the expectations: it closes those whose event is stored,
// asks about those that are overdue, and hands what became of each to each. What
// is overdue by more than forget (0: never) is closed without a word of Alipay.
// Nothing is kept from one pass to the next.
func (e *Engine) Pass(ctx context.Context, ledger Ledger, forget time.Duration, each func(Answer) error) error {
	records, err := ledger.Open(ctx)
	if err != nil {
		return err
	}
	due := newDue()
	for _, record := range records {
		a, err := e.stand(ctx, record, forget)
		if err != nil {
			return err
		}
		switch {
		case a.Standing == Overdue && a.Expectation.provable():
			if e.o.Worth == nil || e.o.Worth(record, e.o.Now().Sub(a.Expectation.Due)) {
				due.add(a)
				continue
			}
		case a.Standing == Overdue:
			a.Finding = Finding{Kind: a.Expectation.Type, OutBizNo: a.Expectation.OutBizNo, Verdict: CannotTell, Why: "no query proves it"}
		case a.Standing == Fulfilled, a.Standing == Forgotten:
			if err := ledger.Close(ctx, record); err != nil {
				return err
			}
		}
		if err := each(a); err != nil {
			return err
		}
	}
	return e.Run(ctx, due.items(), func(r Report) error {
		for _, a := range due.of(r.Item) {
			a.Finding, a.Item, a.State = a.Expectation.answer(r), r.Item, r.State
			switch a.Finding.Verdict {
			case InStep, Late, OutOfOrder: // it came while we asked
				a.Standing = Fulfilled
			case Inferred:
				a.Standing = Concluded
			}
			if a.Standing != Overdue {
				if err := ledger.Close(ctx, a.Record); err != nil {
					return err
				}
			}
			if err := each(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// stand says how an expectation stands, without asking Alipay.
func (e *Engine) stand(ctx context.Context, record Expected, forget time.Duration) (Answer, error) {
	a := Answer{Record: record, Standing: Pending}
	var err error
	if a.Expectation, err = ParseExpectation(record.Value); err != nil {
		a.Standing, a.Finding = Broken, Finding{Verdict: CannotTell, Why: err.Error()}
		return a, nil
	}
	x := a.Expectation
	err = e.o.Archive.Events(ctx, x.AppID, x.Type, x.Key, func(m events.Stored) error {
		if x.fits(m) {
			a.Finding.Sequence = m.Sequence
			return errFound
		}
		return nil
	})
	over := e.o.Now().Sub(x.Due)
	switch {
	case errors.Is(err, errFound):
		a.Standing = Fulfilled
	case err != nil:
		return a, fmt.Errorf("look up %s of %s: %w", x.Type, x.Key, err)
	case forget > 0 && over > forget:
		a.Standing = Forgotten
	case over > 0:
		a.Standing = Overdue
	}
	return a, nil
}

// due gathers what is overdue by the item that it is about: each is asked for once.
type due struct {
	byName  map[name]int
	answers [][]Answer
}

// name is what tells items apart.
type name struct{ app, entity, key string }

func newDue() *due { return &due{byName: make(map[name]int)} }

func (d *due) add(a Answer) {
	i := a.Expectation.item()
	n := name{i.App, i.Entity, i.Key}
	at, known := d.byName[n]
	if !known {
		at = len(d.answers)
		d.byName[n], d.answers = at, append(d.answers, nil)
	}
	d.answers[at] = append(d.answers[at], a)
}

func (d *due) of(i Item) []Answer { return d.answers[d.byName[name{i.App, i.Entity, i.Key}]] }

func (d *due) items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, answers := range d.answers {
			item := answers[0].Expectation.item()
			for _, a := range answers {
				item.Requests = append(item.Requests, a.Expectation.Request())
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}
