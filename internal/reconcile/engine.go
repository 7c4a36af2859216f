package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// maxAway is how many items in a row may fail to be asked for before a run gives
// up: each waits for its time-out, and the next thousand would fare alike.
const maxAway = 20

// ErrAway means that Alipay could not be asked several times in a row.
var ErrAway = fmt.Errorf("%d items in a row could not be asked for", maxAway)

// ErrItem is what errors of an Asker are that say something about their own item
// alone, and nothing about the next.
var ErrItem = errors.New("about this item alone")

// AboutItem makes err one of these. Its text stays.
func AboutItem(err error) error { return itemError{err} }

type itemError struct{ error }

func (e itemError) Unwrap() error      { return e.error }
func (itemError) Is(target error) bool { return target == ErrItem }

// Away tells whether the item could not be asked for, for a reason that will meet
// the next items, too.
func (r Report) Away() bool { return r.Verdict == NotAsked && !errors.Is(r.Err, ErrItem) }

// Options are what an Engine is made of. Asker and Archive are needed.
type Options struct {
	Asker   Asker
	Archive Archive
	Books   []Book
	Limits

	Concurrency int           // items at work at once; 0 is 1
	Grace       time.Duration // how long an event that is missing may still be on its way, before it is called missing
	Now         func() time.Time

	// Worth tells whether a pass asks about an expectation that is overdue by so
	// much; nil: always. What is not asked about is overdue without a finding.
	Worth func(record Expected, over time.Duration) bool
}

// Engine reconciles items. It holds no state of its own.
type Engine struct{ o Options }

// New makes an engine.
func New(o Options) *Engine {
	o.Concurrency = max(1, o.Concurrency)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Engine{o}
}

// One reconciles one item, without a second look.
func (e *Engine) One(ctx context.Context, item Item) Report {
	r := e.look(ctx, item)
	if r.Verdict == Unexplained {
		// The events are younger than the state: what came in between contradicts it.
		r = e.look(ctx, item)
	}
	return r
}

func (e *Engine) look(ctx context.Context, item Item) Report {
	at := e.o.Now()
	item, err := e.withRequests(ctx, item)
	if err != nil {
		return failed(item, at, err)
	}
	state, err := e.o.Asker.Ask(ctx, item)
	if err != nil {
		return failed(item, at, err)
	}
	past, err := recall(ctx, e.o.Archive, item)
	if err != nil {
		return failed(item, at, err)
	}
	return assess(e.o.Limits, at, item, state, past)
}

func failed(item Item, at time.Time, err error) Report {
	return Report{Item: item, AskedAt: at, Verdict: NotAsked, Err: err, Findings: []Finding{{Verdict: NotAsked, Why: err.Error()}}}
}

// again judges a report anew by what is stored now; the state is not asked for.
func (e *Engine) again(ctx context.Context, r Report) Report {
	past, err := recall(ctx, e.o.Archive, r.Item)
	if err != nil {
		return failed(r.Item, r.AskedAt, err)
	}
	return assess(e.o.Limits, r.AskedAt, r.Item, r.State, past)
}

// withRequests adds what the books know. What the source says comes first; a
// request that two know of is one.
func (e *Engine) withRequests(ctx context.Context, item Item) (Item, error) {
	all := slices.Clone(item.Requests)
	for _, b := range e.o.Books {
		more, err := b.Requests(ctx, item)
		if err != nil {
			return item, fmt.Errorf("look for requests: %w", err)
		}
		for _, r := range more {
			same := func(o Request) bool {
				return o.Kind == r.Kind && o.OutBizNo == r.OutBizNo && (r.OutBizNo != "" || o.Source == r.Source)
			}
			if i := slices.IndexFunc(all, same); i < 0 {
				all = append(all, r)
			} else {
				all[i] = merge(all[i], r)
			}
		}
	}
	item.Requests = all
	return item, nil
}

// merge adds to a request what another source knows of it.
func merge(r, more Request) Request {
	if len(r.Values) == 0 {
		r.Values = more.Values
	}
	if r.At.IsZero() {
		r.At = more.At
	}
	if r.Due.IsZero() {
		r.Due = more.Due
	}
	r.Doubtful = r.Doubtful && more.Doubtful
	return r
}

// Run reconciles what source gives, and hands each report to each, one at a time,
// in the order in which they are done. It ends with the source, whose error it
// gives once what came before is reported; at once with each's error, with ErrAway,
// or with ctx's. Its memory does not grow with the number of items.
func (e *Engine) Run(ctx context.Context, source iter.Seq2[Item, error], each func(Report) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	items, reports := make(chan Item), make(chan Report)
	suspects := make(chan Report, maxSuspects)
	var workers, rest sync.WaitGroup
	var ended error // of the source
	rest.Go(func() {
		defer close(items)
		for item, err := range source {
			if err != nil {
				ended = err
				return
			}
			select {
			case items <- item:
			case <-ctx.Done():
				return
			}
		}
	})
	for range e.o.Concurrency {
		workers.Go(func() { e.work(ctx, items, suspects, reports) })
	}
	rest.Go(func() {
		workers.Wait()
		close(suspects)
	})
	rest.Go(func() {
		defer close(reports)
		e.secondLook(ctx, suspects, reports)
		workers.Wait()
	})
	err := collect(reports, each, stop)
	stop(errOver)
	rest.Wait()
	return cmp.Or(err, runError(ctx), ended)
}

var errOver = errors.New("the run is over")

// runError is why the context of a run ended before its source did.
func runError(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, errOver) {
		return err
	}
	return nil
}

// maxSuspects bounds how many items wait for their second look.
const maxSuspects = 4096

func (e *Engine) work(ctx context.Context, items <-chan Item, suspects chan<- Report, reports chan<- Report) {
	for item := range items {
		if ctx.Err() != nil {
			continue
		}
		r := e.One(ctx, item)
		switch {
		case ctx.Err() != nil: // it says that it was interrupted, and nothing of the item
		case r.Verdict == Missing && e.o.Grace > 0:
			suspects <- r
		default:
			reports <- r
		}
	}
}

// secondLook looks again, after the grace, for what was missing.
func (e *Engine) secondLook(ctx context.Context, suspects <-chan Report, reports chan<- Report) {
	for r := range suspects {
		if wait := e.o.Grace - e.o.Now().Sub(r.AskedAt); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
		if ctx.Err() != nil {
			continue // too early to say that it is missing
		}
		if r = e.again(ctx, r); r.Verdict == Unexplained { // more has happened meanwhile
			r = e.One(ctx, r.Item)
		}
		reports <- r
	}
}

// collect hands the reports on until there are no more. After the first error the
// rest is only let go.
func collect(reports <-chan Report, each func(Report) error, stop context.CancelCauseFunc) error {
	var failure error
	away := 0
	for r := range reports {
		if failure != nil {
			continue
		}
		failure = each(r)
		switch {
		case r.Away():
			away++
		case r.Verdict != NotAsked:
			away = 0
		}
		if failure == nil && away == maxAway {
			failure = fmt.Errorf("%w: %w", ErrAway, r.Err)
		}
		if failure != nil {
			stop(failure)
		}
	}
	return failure
}
