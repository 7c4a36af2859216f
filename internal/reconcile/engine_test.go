package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/reconcile"
)

func marshal(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Everything that comes in is reported once, whatever the order.
func TestRunReportsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld()
	keys := numbered(500)
	for i, key := range keys {
		w.states[key] = of("ACTIVE")
		if i%50 > 0 {
			w.store(t, reconcile.Created, key, "c", now)
		}
	}
	var got []string
	missing := 0
	err := w.engine(reconcile.Options{Concurrency: 8}).Run(t.Context(), source(keys...), func(r reconcile.Report) error {
		got = append(got, r.Item.Key)
		if r.Verdict == reconcile.Missing {
			missing++
		}
		return nil
	})
	slices.Sort(got)
	if err != nil || !slices.Equal(got, keys) || missing != 10 {
		t.Errorf("%d of %d reported, %d missing: %v", len(got), len(keys), missing, err)
	}
}

// What is on its way is not missing: it has the grace to come.
func TestRunLooksTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.clock = func() time.Time { return time.Now().UTC() }
		keys := numbered(3)
		for _, key := range keys {
			w.states[key] = of("ACTIVE")
		}
		begin := time.Now()
		time.AfterFunc(50*time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.put(reconcile.Created, keys[1], `{}`, time.Now(), true)
		})
		verdicts := make(map[string]reconcile.Verdict)
		err := w.engine(reconcile.Options{Concurrency: 2, Grace: time.Minute, Limits: reconcile.Limits{Began: time.Unix(1, 0)}}).Run(t.Context(), source(keys...), func(r reconcile.Report) error {
			verdicts[r.Item.Key] = r.Verdict
			return nil
		})
		if err != nil || verdicts[keys[0]] != reconcile.Missing || verdicts[keys[1]] != reconcile.InStep || verdicts[keys[2]] != reconcile.Missing {
			t.Errorf("%v: %v", verdicts, err)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("it took %v, want the grace once", took)
		}
	})
}

// The state is read before the events. What happened in between looks like a
// contradiction, and is looked at again.
func TestStateThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = of("ACTIVE")
	w.store(t, reconcile.Created, key, "c", now)
	first := true
	w.onAsk = func(string) error {
		if first {
			first = false
			w.put(reconcile.Stopped, key, `{}`, now, true) // stored after the state below was true
			return nil
		}
		w.states[key] = of("FINISHED")
		return nil
	}
	if r := w.engine(reconcile.Options{}).One(t.Context(), reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key}); r.Verdict != reconcile.InStep {
		t.Errorf("%s: %+v", r.Verdict, r.Findings)
	}
}

// A source that fails in the end has given true items before.
func TestRunGivesTheSourcesError(t *testing.T) {
	t.Parallel()
	w := newWorld()
	keys, broken := numbered(20), errors.New("the list shifted")
	n := 0
	err := w.engine(reconcile.Options{Concurrency: 4}).Run(t.Context(), func(yield func(reconcile.Item, error) bool) {
		for item := range source(keys...) {
			yield(item, nil)
		}
		yield(reconcile.Item{}, broken)
	}, func(reconcile.Report) error { n++; return nil })
	if !errors.Is(err, broken) || n != len(keys) {
		t.Errorf("%d reported, error %v", n, err)
	}
}

// When Alipay is away, nobody waits for the time-out of ten thousand items.
func TestRunGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	away := errors.New("no answer in time")
	w.onAsk = func(string) error { return away }
	n := 0
	err := w.engine(reconcile.Options{Concurrency: 4}).Run(t.Context(), source(numbered(10_000)...), func(r reconcile.Report) error {
		if r.Verdict != reconcile.NotAsked || !errors.Is(r.Err, away) {
			t.Errorf("%s: %v", r.Verdict, r.Err)
		}
		n++
		return nil
	})
	if !errors.Is(err, reconcile.ErrAway) || !errors.Is(err, away) || n > 40 {
		t.Errorf("%d reported, error %v", n, err)
	}
	// What cannot be asked for because of what it is says nothing of the next.
	w.onAsk = func(string) error { return reconcile.AboutItem(away) }
	n = 0
	if err := w.engine(reconcile.Options{}).Run(t.Context(), source(numbered(100)...), func(r reconcile.Report) error {
		if n++; r.Verdict != reconcile.NotAsked || !errors.Is(r.Err, away) || r.Err.Error() != away.Error() {
			t.Errorf("%s: %v", r.Verdict, r.Err)
		}
		return nil
	}); err != nil || n != 100 {
		t.Errorf("%d reported, error %v", n, err)
	}
	// Once in a while something fails, and the others go on.
	count := 0
	w.onAsk = func(string) error {
		if count++; count%3 > 0 {
			return away
		}
		return nil
	}
	if err := w.engine(reconcile.Options{}).Run(t.Context(), source(numbered(100)...), func(reconcile.Report) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestRunStops(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for _, tt := range []struct {
		name  string
		grace time.Duration
		stop  func(cancel context.CancelFunc) error
		want  error
	}{
		{"each says so", 0, func(context.CancelFunc) error { return enough }, enough},
		{"interrupted", 0, func(c context.CancelFunc) error { c(); return nil }, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			err := w.engine(reconcile.Options{Concurrency: 4, Grace: tt.grace}).Run(ctx, source(numbered(10_000)...), func(reconcile.Report) error {
				if n++; n == 10 {
					return tt.stop(cancel)
				}
				return nil
			})
			if !errors.Is(err, tt.want) || n > 100 {
				t.Errorf("%d reported, error %v", n, err)
			}
		})
	}
	t.Run("interrupted while something may still come", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		for _, key := range numbered(5) {
			w.states[key] = of("ACTIVE")
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		w.onAsk = func(string) error {
			if asked++; asked == 5 {
				cancel()
			}
			return nil
		}
		err := w.engine(reconcile.Options{Grace: time.Hour}).Run(ctx, source(numbered(5)...), func(r reconcile.Report) error {
			t.Errorf("%s was called %s too early", r.Item.Key, r.Verdict)
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// book is a Book with one request for everything.
type book struct {
	request reconcile.Request
	err     error
}

func (b book) Requests(context.Context, reconcile.Item) ([]reconcile.Request, error) {
	return []reconcile.Request{b.request}, b.err
}

// A request that several know of is one, with all that is known of it.
func TestBooksAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = with(of("ACTIVE"), func(s *reconcile.State) { s.Total = 2000 })
	w.store(t, reconcile.Created, key, "c", now)
	item := reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key, Requests: []reconcile.Request{{Kind: reconcile.Appended, OutBizNo: "a", Doubtful: true}}}
	known := book{request: reconcile.Request{Kind: reconcile.Appended, OutBizNo: "a", Values: json.RawMessage(`{"voucher_quantity":"2000"}`), Doubtful: true}}
	other := book{request: reconcile.Request{Kind: reconcile.Modified, OutBizNo: "m"}}
	r := w.engine(reconcile.Options{Books: []reconcile.Book{known, other, known}}).One(t.Context(), item)
	if got, want := summary(r), "missing appended/a=missing modified/m=cannot_tell"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	broken := errors.New("not readable")
	if r := w.engine(reconcile.Options{Books: []reconcile.Book{book{err: broken}}}).One(t.Context(), item); r.Verdict != reconcile.NotAsked || !errors.Is(r.Err, broken) {
		t.Errorf("%s: %v", r.Verdict, r.Err)
	}
}

// Memory does not grow with the number of items.
func TestRunInConstantMemory(t *testing.T) {
	w := newWorld()
	w.states[key] = of("ACTIVE")
	w.store(t, reconcile.Created, key, "c", now)
	heap := func(n int) uint64 {
		var peak, m = uint64(0), runtime.MemStats{}
		items := func(yield func(reconcile.Item, error) bool) {
			for i := range n {
				if i%(n/8) == n/8-1 {
					w.mu.Lock()
					w.asked = nil
					w.mu.Unlock()
					runtime.GC()
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
				if !yield(reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key, Cursor: uint64(i) + 1}, nil) {
					return
				}
			}
		}
		if err := w.engine(reconcile.Options{Concurrency: 4, Grace: time.Hour}).Run(t.Context(), items, func(reconcile.Report) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return peak
	}
	small, large := heap(1_000), heap(50_000)
	if large > small+1<<20 {
		t.Errorf("the heap is %d KiB after 1,000 items and %d KiB after 50,000", small>>10, large>>10)
	}
}

// An emission says nothing twice, and nothing that has come meanwhile.
func TestEmit(t *testing.T) {
	t.Parallel()
	w := newWorld()
	keys := numbered(6)
	for _, key := range keys {
		w.states[key] = of("FINISHED")
		w.store(t, reconcile.Created, key, "c", now)
	}
	run := func() *reconcile.EmitPlan {
		plan := &reconcile.EmitPlan{}
		err := w.engine(reconcile.Options{}).Run(t.Context(), source(append(keys, keys[0])...), func(r reconcile.Report) error {
			plan.Add(r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	emit := func(plan *reconcile.EmitPlan) string {
		outcomes := make(map[string]int)
		e := reconcile.Emitter{Archive: w, Publisher: w}
		o, err := e.Execute(t.Context(), plan.Conclusions, func(e reconcile.Emitted) error { outcomes[e.Outcome]++; return nil })
		return fmt.Sprint(o.Done, o.Failed, o.Skipped, outcomes, err)
	}
	plan := run()
	if a := plan.Audit("X", nil); a.Items != 6 || a.App != app || a.Parameters["kinds"] != "voucher.stopped 6" || a.Bytes == 0 {
		t.Errorf("plan %+v", a)
	}
	w.store(t, reconcile.Stopped, keys[2], "s", now) // comes between plan and act
	w.lose = 1                                       // stored, and nobody heard of it
	if got, want := emit(plan), "4 1 1 map[arrived:1 failed:1 published:4] <nil>"; got != want {
		t.Errorf("first: %s, want %s", got, want)
	}
	if got, want := emit(plan), "0 0 6 map[arrived:1 concluded_before:5] <nil>"; got != want {
		t.Errorf("again: %s, want %s", got, want)
	}
	if len(run().Conclusions) != 0 || len(w.inferred) != 5 {
		t.Errorf("a second run finds %d, and %d are stored", len(run().Conclusions), len(w.inferred))
	}
	// The genuine one comes late: it is in step, and nothing is said again.
	w.store(t, reconcile.Stopped, keys[0], "s", now)
	r := w.engine(reconcile.Options{}).One(t.Context(), reconcile.Item{App: app, Entity: reconcile.Voucher, Key: keys[0]})
	if r.Verdict != reconcile.InStep {
		t.Errorf("after the genuine event: %s", r.Verdict)
	}
}

// Uncertain is not missing: of what cannot be told nothing is ever emitted.
func TestEmitOnlyWhatIsProved(t *testing.T) {
	t.Parallel()
	plan := &reconcile.EmitPlan{}
	for _, v := range reconcile.Verdicts() {
		plan.Add(reconcile.Report{Item: reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key}, Findings: []reconcile.Finding{{Kind: reconcile.Stopped, Verdict: v, Proof: string(v)}}})
	}
	if len(plan.Conclusions) != 1 || plan.Conclusions[0].State != string(reconcile.Missing) {
		t.Errorf("%+v", plan.Conclusions)
	}
}

// The id says what was concluded and from what, and not when: created stays one
// conclusion while the activity moves on from ACTIVE to FINISHED.
func TestConclusionsHaveStableIDs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	item := reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key, Requests: []reconcile.Request{
		{Kind: reconcile.Appended, OutBizNo: "a", Values: json.RawMessage(`{"voucher_quantity":1000}`)},
		{Kind: reconcile.Modified, OutBizNo: "m", Values: json.RawMessage(`{"activity_name":"n"}`)},
	}}
	ids := func(status string) string {
		w.states[key] = with(of(status), func(s *reconcile.State) { s.Data = json.RawMessage(`{"activity_name":"n"}`) })
		plan := &reconcile.EmitPlan{}
		plan.Add(w.engine(reconcile.Options{}).One(t.Context(), item))
		var all []string
		for _, c := range plan.Conclusions {
			all = append(all, c.ID()+" "+string(c.Data))
		}
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	const created = `voucher.created:` + key + `:ACTIVE {"activity_id":"` + key + `"}`
	const appended = `voucher.appended:` + key + `:1000 {"activity_id":"` + key + `","out_biz_no":"a"}`
	const modified = `voucher.modified:` + key + `:39423b9957b04275 {"activity_id":"` + key + `","out_biz_no":"m"}`
	const stopped = `voucher.stopped:` + key + `:FINISHED {"activity_id":"` + key + `"}`
	for status, want := range map[string][]string{
		"ACTIVE": {appended, created, modified}, "PAUSE": {appended, created, modified}, "FINISHED": {appended, created, modified, stopped},
	} {
		if got := ids(status); got != fmt.Sprint(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", status, got, want)
		}
	}
}
