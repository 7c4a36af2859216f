package dedupe_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

// work is something that can begin ahead, and ends when it is told to.
type work struct {
	begun atomic.Int32
}

func (w *work) Begin(chan struct{}) { w.begun.Add(1) }

// ended is work that is done as soon as it begins.
type ended struct{ *work }

func (w ended) Begin(done chan struct{}) {
	w.work.Begin(done)
	done <- struct{}{}
}

// TestAhead: what waits for a claim begins with it, once, and fn follows.
func TestAhead(t *testing.T) {
	t.Parallel()
	g := newRig(t, dedupe.Publish, false)
	w := ended{new(work)}
	place, prior, err := g.redis.Do(t.Context(), g.key, "fp", w, func(_ context.Context, asked bool) (string, error) {
		if n := w.begun.Load(); n != 1 || !asked {
			t.Errorf("begun %d times, asked %v", n, asked)
		}
		return "p", nil
	})
	if place != "p" || prior != "" || err != nil || g.stored() != "1C:fp:p" {
		t.Errorf("place %q, prior %q, err %v; stored %q", place, prior, err, g.stored())
	}
	again := new(work)
	if place, prior, err = g.redis.Do(t.Context(), g.key, "fp", again, nil); place != "p" || prior != "fp" || err != nil || again.begun.Load() != 0 {
		t.Errorf("a duplicate: place %q, prior %q, err %v; begun %d times", place, prior, err, again.begun.Load())
	}
}

// TestAheadNotWithoutAClaim: nothing begins for whom Redis has not given the key,
// whatever it said instead.
func TestAheadNotWithoutAClaim(t *testing.T) {
	t.Parallel()
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, dedupe.Publish, m.hangs)
			g.breaker.set(dedupe.OpClaim, m)
			w := new(work)
			_, _, err := g.redis.Do(t.Context(), g.key, "fp", w, func(_ context.Context, asked bool) (string, error) {
				if asked || w.begun.Load() != 0 {
					t.Errorf("asked %v, begun %d times", asked, w.begun.Load())
				}
				return "p", nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	g := newRig(t, dedupe.Publish, false)
	if err := g.server.Set(g.key, "1L:another:fp"); err != nil {
		t.Fatal(err)
	}
	w := new(work)
	if _, _, err := g.redis.Do(t.Context(), g.key, "fp", w, nil); fault.KindOf(err) != fault.InFlight || w.begun.Load() != 0 {
		t.Errorf("another's lease: %v, begun %d times", err, w.begun.Load())
	}
}

// TestAheadOfWhoLeft: a caller that left while its claim was under way has been
// told that nothing was sent. When the claim arrives, nothing may begin any more.
func TestAheadOfWhoLeft(t *testing.T) {
	t.Parallel()
	g := newRig(t, dedupe.Publish, false)
	gate := &gate{open: make(chan struct{}), arrived: make(chan int, 10), first: true}
	r := g.through(gate, dedupe.Options{})
	dedupe.SetPatience(r, 0) // so that the release does not wait behind the claim
	ctx, cancel := context.WithCancel(t.Context())
	w, left := new(work), make(chan error)
	go func() {
		_, _, err := r.Do(ctx, g.key, "fp", w, func(context.Context, bool) (string, error) {
			return "", errors.New("fn ran")
		})
		left <- err
	}()
	<-gate.arrived
	cancel()
	if err := <-left; fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	close(gate.open)
	dedupe.Land(r) // the claim has arrived
	if n := w.begun.Load(); n != 0 || g.stored() == "" {
		t.Errorf("begun %d times; stored %q", n, g.stored())
	}
}

// TestAheadOutlivesItsCaller: once something has begun, fn runs, also for a caller
// whose time ends meanwhile: it alone knows what became of it.
func TestAheadOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	g := newRig(t, dedupe.Publish, false)
	ctx, cancel := context.WithCancel(t.Context())
	w := new(work)
	cancelling := cancelsOnBegin{w, cancel}
	ran := false
	_, _, err := g.redis.Do(ctx, g.key, "fp", cancelling, func(ctx context.Context, asked bool) (string, error) {
		ran = true
		if !asked || w.begun.Load() != 1 {
			t.Errorf("asked %v, begun %d times", asked, w.begun.Load())
		}
		return "", ctx.Err()
	})
	if !ran || !errors.Is(err, context.Canceled) {
		t.Errorf("ran %v, err %v", ran, err)
	}
	if g.stored() != "" {
		t.Errorf("the claim is still there: %q", g.stored())
	}
}

type cancelsOnBegin struct {
	*work
	cancel func()
}

func (c cancelsOnBegin) Begin(done chan struct{}) {
	c.work.Begin(done)
	c.cancel()
}
