package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

func runsOnce(h *harness) {
	r := h.new()
	// A place is opaque: it may hold the separator, blanks, and bytes that are no
	// text.
	place := "2026-01-02T03:04:05Z 17:\x00\xff\r\n"
	h.wantRun(r, "fp", place)
	h.wantPrior(r, "fp", place, "fp", "")
	h.wantPrior(h.new(), "fp", place, "fp", "")
	h.wantObserved()
}

func setsExpiry(h *harness) {
	r := h.new()
	_, _, err := r.Do(h.Context(), h.key, "fp", nil, func(ctx context.Context, _ bool) (string, error) {
		if ttl := h.client.PTTL(ctx, h.key).Val(); ttl <= 0 || ttl > leaseTime {
			h.Errorf("the lease expires in %s, want up to %s", ttl, leaseTime)
		}
		return "p", nil
	})
	if err != nil {
		h.Fatal(err)
	}
	if ttl := h.client.PTTL(h.Context(), h.key).Val(); ttl <= leaseTime || ttl > retention {
		h.Errorf("the commit expires in %s, want up to %s", ttl, retention)
	}
}

func failureReleases(h *harness) {
	r := h.new()
	place, prior, err := r.Do(h.Context(), h.key, "fp", nil, failing)
	if place != "" || prior != "" || err != errFn { //nolint:errorlint // it must come back unchanged
		h.Fatalf("Do = %q, %q, %v; want fn's own error", place, prior, err)
	}
	h.wantRun(r, "fp", "p")
	h.wantObserved()
}

func panicReleases(h *harness) {
	r := h.new()
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				h.Fatalf("recovered %v, want boom", got)
			}
		}()
		_, _, _ = r.Do(h.Context(), h.key, "fp", nil, func(context.Context, bool) (string, error) { panic("boom") })
	}()
	h.wantRun(r, "fp", "p")
}

func endedContextReleases(h *harness) {
	r := h.new()
	ctx, cancel := context.WithCancel(h.Context())
	_, _, err := r.Do(ctx, h.key, "fp", nil, func(ctx context.Context, _ bool) (string, error) {
		cancel()
		return "", ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		h.Fatalf("err = %v, want fn's", err)
	}
	h.wantRun(r, "fp", "p")
}

func endedContextCommits(h *harness) {
	r := h.new()
	ctx, cancel := context.WithCancel(h.Context())
	place, _, err := r.Do(ctx, h.key, "fp", nil, func(context.Context, bool) (string, error) {
		cancel()
		return "p", nil
	})
	if place != "p" || err != nil {
		h.Fatalf("Do = %q, %v; want success", place, err)
	}
	h.wantPrior(r, "fp", "p", "fp", "")
}

func endedContextRunsNothing(h *harness) {
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, _, err := h.new().Do(ctx, h.key, "fp", nil, func(context.Context, bool) (string, error) {
		h.Error("fn ran")
		return "p", nil
	})
	if fault.KindOf(err) != fault.Unavailable {
		h.Fatalf("err = %v, want unavailable", err)
	}
	h.wantRun(h.new(), "fp", "p")
}

func conflictVisible(h *harness) {
	r, other := h.new(), h.new()
	_, _, err := r.Do(h.Context(), h.key, "one", nil, func(context.Context, bool) (string, error) {
		h.wantPrior(other, "two", "", "one", fault.InFlight)
		h.wantPrior(other, "one", "", "one", fault.InFlight)
		return "p", nil
	})
	if err != nil {
		h.Fatal(err)
	}
	h.wantPrior(other, "two", "p", "one", "")
}

func takesOver(h *harness) {
	r := h.new()
	h.wantRun(r, "one", "old")
	h.holds = func(_ context.Context, place string) (bool, error) { return place != "old", nil }
	h.wantRun(r, "two", "new")
	h.wantPrior(r, "two", "new", "two", "")
	h.wantObserved()
}

// lostTakeover: while one is asked whether the place is gone, another has taken
// over already.
func lostTakeover(h *harness) {
	r := h.new()
	h.wantRun(r, "fp", "old")
	nested := false
	h.holds = func(_ context.Context, place string) (bool, error) {
		if place == "old" && !nested {
			nested = true
			h.wantRun(h.new(), "fp", "new")
		}
		return place == "new", nil
	}
	h.wantPrior(r, "fp", "new", "fp", "")

	// Each time it looks there is one more commit that is gone: it gives up.
	n := 0
	h.holds = func(context.Context, string) (bool, error) {
		n++
		if n%2 == 1 && n < 20 {
			h.wantRun(h.new(), "fp", fmt.Sprint("gone", n))
		}
		return false, nil
	}
	h.wantPrior(r, "fp", "", "fp", fault.InFlight)
	h.wantObserved()
}

func holdsUnknown(h *harness) {
	r := h.new()
	h.wantRun(r, "fp", "p")
	before := h.stored()
	down := errors.New("the stream does not answer")
	h.holds = func(context.Context, string) (bool, error) { return false, down }
	_, prior, err := r.Do(h.Context(), h.key, "fp", nil, func(context.Context, bool) (string, error) {
		h.Error("fn ran")
		return "", nil
	})
	if prior != "" || fault.KindOf(err) != fault.Unavailable || !errors.Is(err, down) {
		h.Fatalf("Do = %q, %v; want unavailable because of Holds", prior, err)
	}
	if got := h.stored(); got != before {
		h.Errorf("the commit became %q", got)
	}
}

func lateCommit(h *harness) {
	r, other := h.new(), h.new()
	_, _, err := r.Do(h.Context(), h.key, "one", nil, func(context.Context, bool) (string, error) {
		h.expire()
		_, _, err := other.Do(h.Context(), h.key, "two", nil, func(context.Context, bool) (string, error) {
			lease := h.stored()
			// A third ends meanwhile whose lease is no more, either.
			h.lateEnd(r, lease)
			return "second", nil
		})
		return "first", err
	})
	if err != nil {
		h.Fatalf("a success became %v", err)
	}
	h.wantPrior(r, "x", "second", "two", "")
}

// lateEnd lets two holders, one that succeeds and one that fails, find their
// lease replaced by lease, and checks that it is still there afterwards.
func (h *harness) lateEnd(r *dedupe.Redis, lease string) {
	h.Helper()
	for _, fnErr := range []error{nil, errFn} {
		h.expire()
		_, _, err := r.Do(h.Context(), h.key, "late", nil, func(context.Context, bool) (string, error) {
			return "late", errors.Join(fnErr, h.client.Set(h.Context(), h.key, lease, leaseTime).Err())
		})
		if !errors.Is(err, fnErr) {
			h.Errorf("err = %v, want %v", err, fnErr)
		}
		if got := h.stored(); got != lease {
			h.Errorf("the other's lease became %q", got)
		}
		h.wantObserved(dedupe.ErrOverrun)
	}
}

func lateCommitAfterCommit(h *harness) {
	r := h.new()
	place, _, err := r.Do(h.Context(), h.key, "one", nil, func(context.Context, bool) (string, error) {
		h.expire()
		h.wantRun(h.new(), "two", "second")
		return "first", nil
	})
	if place != "first" || err != nil {
		h.Fatalf("Do = %q, %v; want first", place, err)
	}
	h.wantPrior(r, "x", "second", "two", "")
	h.wantObserved(dedupe.ErrOverrun)
}

func lateRelease(h *harness) {
	r, other := h.new(), h.new()
	_, _, err := r.Do(h.Context(), h.key, "one", nil, func(context.Context, bool) (string, error) {
		h.expire()
		h.wantRun(other, "two", "second")
		return "", errFn
	})
	if !errors.Is(err, errFn) {
		h.Fatal(err)
	}
	h.wantPrior(r, "x", "second", "two", "")
	h.wantObserved(dedupe.ErrOverrun)
}

func lateCommitUntaken(h *harness) {
	r := h.new()
	for _, took := range []bool{false, true} {
		h.expire()
		_, _, err := r.Do(h.Context(), h.key, "one", nil, func(context.Context, bool) (string, error) {
			h.expire()
			if took { // and gave it back
				_, _, _ = r.Do(h.Context(), h.key, "two", nil, failing)
			}
			return "p", nil
		})
		if err != nil {
			h.Fatal(err)
		}
		h.wantPrior(r, "one", "p", "one", "")
	}
	h.wantObserved()
}

func foreignValues(h *harness) {
	r := h.new()
	ctx := h.Context()
	kinds := map[string]func() error{
		"garbage":         func() error { return h.client.Set(ctx, h.key, "garbage", 0).Err() },
		"empty":           func() error { return h.client.Set(ctx, h.key, "", 0).Err() },
		"a later version": func() error { return h.client.Set(ctx, h.key, "2C:fp:p", 0).Err() },
		"a torn lease":    func() error { return h.client.Set(ctx, h.key, "1L:token", 0).Err() },
		"another type":    func() error { return h.client.RPush(ctx, h.key, "a", "b").Err() },
	}
	for name, put := range kinds {
		h.expire()
		if err := put(); err != nil {
			h.Fatal(err)
		}
		before := h.client.Dump(ctx, h.key).Val()
		for _, fnErr := range []error{nil, errFn} {
			ran, asked := false, true
			_, prior, err := r.Do(ctx, h.key, "fp", nil, func(_ context.Context, a bool) (string, error) {
				ran, asked = true, a
				return "p", fnErr
			})
			if !ran || asked || prior != "" || !errors.Is(err, fnErr) {
				h.Errorf("%s: ran %v, asked %v, prior %q, err %v; want fn to run as if Redis were away", name, ran, asked, prior, err)
			}
			h.wantObserved(dedupe.ErrUnreadable)
		}
		if after := h.client.Dump(ctx, h.key).Val(); after != before {
			h.Errorf("%s: the value was changed", name)
		}
	}

	// It comes while fn is at work: the same, the other way round.
	h.expire()
	_, _, err := r.Do(ctx, h.key, "fp", nil, func(context.Context, bool) (string, error) {
		return "p", h.client.Set(ctx, h.key, "garbage", 0).Err()
	})
	if err != nil || h.stored() != "garbage" {
		h.Errorf("err %v, stored %q; want success and the garbage", err, h.stored())
	}
	h.wantObserved(dedupe.ErrUnreadable)
}

func bracesInID(h *harness) {
	r := h.new()
	for _, id := range []string{"{", "}", "{}", "}{", "a}b", "a{b}c", "{{}}", "~", "!"} {
		h.expire()
		h.key = dedupe.Key("2021", id+h.key[len(h.key)-8:])
		h.wantRun(r, "fp", "p"+id)
		h.wantPrior(r, "fp", "p"+id, "fp", "")
		h.expire()
	}
}

func scriptFlush(h *harness) {
	r := h.new()
	_, _, err := r.Do(h.Context(), h.key, "fp", nil, func(ctx context.Context, asked bool) (string, error) {
		return "p", h.client.ScriptFlush(ctx).Err()
	})
	if err != nil {
		h.Fatal(err)
	}
	h.wantPrior(r, "fp", "p", "fp", "")
	h.wantObserved()
}

// manyAtOnce: some fn fail first, so that the key passes from hand to hand.
func manyAtOnce(h *harness) {
	r := h.new()
	var wg sync.WaitGroup
	var running, runs, stored, duplicates, inFlight, failed atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			place, prior, err := r.Do(h.Context(), h.key, fmt.Sprint("fp", i), nil, func(_ context.Context, asked bool) (string, error) {
				if running.Add(1) != 1 || !asked {
					h.Error("two at work at once, or one without a claim")
				}
				defer running.Add(-1)
				if runs.Add(1) <= 2 {
					return "", errFn
				}
				return "p", nil
			})
			switch {
			case errors.Is(err, errFn):
				failed.Add(1)
			case err == nil && prior == "":
				stored.Add(1)
			case err == nil && place == "p":
				duplicates.Add(1)
			case prior != "" && fault.KindOf(err) == fault.InFlight:
				inFlight.Add(1)
			default:
				h.Errorf("Do = %q, %q, %v", place, prior, err)
			}
		})
	}
	wg.Wait()
	if stored.Load() > 1 || stored.Load()+failed.Load()+duplicates.Load()+inFlight.Load() != 50 {
		h.Errorf("%d stored, %d failed, %d duplicates, %d in flight; want at most one stored, 50 in all",
			stored.Load(), failed.Load(), duplicates.Load(), inFlight.Load())
	}
	// However the race went, the retries that follow store it, once.
	for stored.Load() == 0 {
		_, prior, err := r.Do(h.Context(), h.key, "fp", nil, func(context.Context, bool) (string, error) {
			if runs.Add(1) <= 2 {
				return "", errFn
			}
			return "p", nil
		})
		if prior != "" || (err != nil && !errors.Is(err, errFn)) {
			h.Fatalf("prior %q, err %v", prior, err)
		}
		if err == nil {
			stored.Add(1)
		}
	}
	if place, prior, err := r.Do(h.Context(), h.key, "fp", nil, storing("again")); place != "p" || prior == "" || err != nil {
		h.Errorf("Do = %q, %q, %v; want the one that was stored", place, prior, err)
	}
	h.wantObserved()
}

// manyKeys: shared round trips must not mix up their answers.
func manyKeys(h *harness) {
	r := h.new()
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			key, want := fmt.Sprint(h.key, i), fmt.Sprint("p", i)
			defer h.client.Del(context.Background(), key)
			for round := range 2 {
				place, prior, err := r.Do(h.Context(), key, "fp", nil, storing(want))
				if place != want || (prior != "") != (round == 1) || err != nil {
					h.Errorf("key %d, round %d: Do = %q, %q, %v", i, round, place, prior, err)
				}
			}
		})
	}
	wg.Wait()
	h.wantObserved()
}
