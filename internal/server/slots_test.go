package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
)

// Slots are for requests at work; the next one is told to come again, and those
// at work are not disturbed.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 3
		started, release := make(chan struct{}), make(chan struct{})
		f := newFixture(t, &ingester{answer: func(context.Context, ingest.Request) ingest.Result {
			started <- struct{}{}
			<-release
			return ingest.Result{Outcome: ingest.Accepted}
		}}, func(o *server.Options) { o.MaxInFlight = slots })
		done := make(chan *httptest.ResponseRecorder, slots)
		for range slots {
			go func() { done <- f.do(post(path, "a=b")) }()
		}
		for range slots {
			<-started
		}
		if got := f.series()["alipay_notify_in_flight"]; got != slots {
			t.Errorf("in flight: %v, want %d", got, slots)
		}
		for i := range 3 {
			w := f.do(post(path, "a=b"))
			f.want(w, 503, "fail")
			if w.Header().Get("Retry-After") != "5" {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
			f.lastLine(i+1, map[string]any{"outcome": "overloaded", "reason": "max_in_flight"})
		}
		// What needs no slot is answered all the same.
		f.want(f.do(httptest.NewRequest("GET", path, nil)), 405, "fail")
		close(release)
		for range slots {
			f.want(<-done, 200, "success")
		}
		go func() { <-started }()
		f.want(f.do(post(path, "a=b")), 200, "success")
	})
}

// Who finds no slot waits a little for the one that becomes free, and not when the
// sender hangs up. Where too much is waiting already he waits as long, without his
// body and in vain: refused at once, 3,000 connections came again at once, each some
// seven times a second, and three quarters of what the receiver can store was spent
// on telling them so.
func TestWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan struct{}, 10), make(chan struct{})
		f := newFixture(t, &ingester{answer: func(context.Context, ingest.Request) ingest.Result {
			started <- struct{}{}
			<-release
			return ingest.Result{Outcome: ingest.Accepted}
		}}, func(o *server.Options) { o.MaxInFlight, o.MaxBody = 1, 8<<20 })
		begin := func(r *http.Request) chan *httptest.ResponseRecorder {
			done := make(chan *httptest.ResponseRecorder, 1)
			go func() { done <- f.do(r) }()
			synctest.Wait()
			return done
		}
		first, second := begin(post(path, "a=1")), begin(post(path, "a=2"))
		<-time.After(server.SlotWait - time.Millisecond)
		release <- struct{}{}
		f.want(<-first, 200, "success")
		synctest.Wait() // the second has the slot, and the others wait for it
		if len(started) != 2 {
			t.Fatalf("%d were begun, want both", len(started))
		}
		ctx, hangUp := context.WithCancel(t.Context())
		gone, large := begin(post(path, "a=3").WithContext(ctx)), begin(post(path, "a="+strings.Repeat("x", 7<<20)))
		more := begin(post(path, "a="+strings.Repeat("x", 7<<20)))
		began := time.Now()
		full := begin(post(path, "a="+strings.Repeat("x", 7<<20)))
		hangUp()
		f.want(<-gone, 503, "fail")
		if took := time.Since(began); took != 0 {
			t.Errorf("who hung up was told after %v, want at once", took)
		}
		f.want(<-large, 503, "fail")
		f.want(<-more, 503, "fail")
		f.want(<-full, 503, "fail")
		if took := time.Since(began); took != server.SlotWait {
			t.Errorf("the others waited %v, want %v", took, server.SlotWait)
		}
		release <- struct{}{}
		f.want(<-second, 200, "success")
		// Nobody waits any more: there is room again.
		third := begin(post(path, "a=4"))
		fourth := begin(post(path, "a="+strings.Repeat("x", 7<<20)))
		release <- struct{}{}
		release <- struct{}{}
		f.want(<-third, 200, "success")
		f.want(<-fourth, 200, "success")
	})
}

// Half the load that fits came after an overload, and each of it stood behind the
// whole queue: everybody was late for two seconds and more. Now whoever comes is
// served at once as soon as it shows that fewer come than go, and of those who wait
// nobody is refused for that.
func TestQueueEbbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			each = 625 * time.Microsecond // of the one processor
			wait = 50 * time.Millisecond  // of the newcomers at the most, once it shows
		)
		processor := make(chan struct{}, 1)
		f := newFixture(t, &ingester{answer: func(context.Context, ingest.Request) ingest.Result {
			processor <- struct{}{}
			<-time.After(each)
			<-processor
			return ingest.Result{Outcome: ingest.Accepted}
		}}, func(o *server.Options) { o.MaxInFlight = 32 })
		var answers sync.WaitGroup
		come := func(many int, every time.Duration) (took []time.Duration) {
			took = make([]time.Duration, many)
			for i := range took {
				answers.Go(func() {
					began := time.Now()
					f.want(f.do(post(path, "a=b")), 200, "success")
					took[i] = time.Since(began)
				})
				<-time.After(every)
			}
			return took
		}
		come(1600, each/4)          // four times what fits, for a quarter of a second
		shows := come(320, 2*each)  // half of it,
		after := come(1200, 2*each) // and again half of it, 400 ms later
		answers.Wait()
		if longest := slices.Max(shows); longest < 10*wait {
			t.Errorf("the first newcomer waited %v: there was no queue to speak of", longest)
		}
		if longest := slices.Max(after); longest > wait {
			t.Errorf("a newcomer waited %v, want %v at the most", longest, wait)
		}
	})
}

// The stores paused, and whoever had waited for them was served at once: for a
// moment more went than came, which is no end of an overload. A moment must not turn
// the order around, or the oldest wait in vain. And where less is done while few
// are at work than was before, more may be.
func TestTideTurns(t *testing.T) {
	t.Parallel()
	come := func(each ...int) (windows []server.Window) { // while a hundred go
		for _, n := range each {
			windows = append(windows, server.Window{Came: n, Gone: 100, Late: n})
		}
		return windows
	}
	quick := server.Window{Came: 95, Gone: 100}
	slow := func(gone int) server.Window { return server.Window{Came: 50, Gone: gone} }
	for _, tt := range []struct {
		name    string
		windows []server.Window
		want    string
	}{
		{"as many come as go", come(100, 95, 104, 100), "...."},
		{"a moment", come(100, 40, 160, 40, 160), "....."},
		{"the load has dropped", come(100, 74, 74, 74, 50, 50), "...111"},
		{"and is back for a moment", come(50, 50, 50, 120, 50, 50), "..1111"},
		{"and is back", come(50, 50, 50, 90, 90, 90, 50), "..111.."},
		{"as many again, but nobody is late", append(come(50, 50, 50), quick, quick, quick), "..1111"},
		{"the stores are slow", append(come(50, 50, 50), slow(20), slow(50), slow(70), slow(70), slow(70), slow(100), slow(100), slow(100)), "..111248421"},
		{"nobody comes any more", append(come(50, 50, 50), server.Window{Gone: 100}), "..1*"},
		{"nobody comes", []server.Window{{0, 100, 0}, {0, 100, 0}, {0, 100, 0}, {0, 100, 0}}, "...."},
		{"hardly anything to go by", []server.Window{{1, 16, 0}, {1, 16, 0}, {1, 16, 0}, {1, 16, 0}}, "...."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := server.Tide(tt.windows); got != tt.want {
				t.Errorf("%v: %s, want %s", tt.windows, got, tt.want)
			}
		})
	}
}

// A burst came, and nothing behind it. It was taken for an overload that ends, and
// served by a sixteenth of the slots with nobody to keep the others free for: where
// the stores took 100 ms, a quarter of it was refused.
func TestBurstIsServedByAllSlots(t *testing.T) {
	for _, store := range []time.Duration{20, 100, 150} {
		synctest.Test(t, func(t *testing.T) {
			slots := server.NewSlots(1024)
			var at sync.WaitGroup
			for range 300 {
				for range 40 {
					at.Go(func() {
						if !slots.Take(t.Context()) {
							t.Error("refused")
							return
						}
						<-time.After(store * time.Millisecond)
						slots.GiveBack()
					})
				}
				<-time.After(time.Millisecond)
			}
			at.Wait()
			if left := slots.Left(); left != [3]int{} {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Whoever hangs up at the moment in which his turn comes has the slot and gives it
// back, or has it not; in both cases he is gone from the queue, once.
func TestHangUpWhenTheTurnComes(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			slots := server.NewSlots(1)
			if !slots.Take(t.Context()) {
				t.Fatal("the only slot was not given")
			}
			ctx, hangUp := context.WithCancel(t.Context())
			taken := make(chan bool)
			go func() { taken <- slots.Take(ctx) }()
			synctest.Wait()
			hangUp()
			slots.GiveBack()
			if <-taken {
				slots.GiveBack()
			}
			if left := slots.Left(); left != [3]int{} {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// crowd is requests that take slots in front of a store with a fixed latency, in a
// bubble.
type crowd struct {
	t       *testing.T
	slots   server.Slots
	store   atomic.Int64 // nanoseconds
	at      sync.WaitGroup
	refused atomic.Int64
}

func newCrowd(t *testing.T, slots int, store time.Duration) *crowd {
	t.Helper()
	c := &crowd{t: t, slots: server.NewSlots(slots)}
	c.store.Store(int64(store))
	return c
}

// come brings many, one every so often.
func (c *crowd) come(many int, every time.Duration) {
	for range many {
		c.at.Go(func() {
			if !c.slots.Take(c.t.Context()) {
				c.refused.Add(1)
				return
			}
			<-time.After(time.Duration(c.store.Load()))
			c.slots.GiveBack()
		})
		<-time.After(every)
	}
}

// Newcomers leave some slots free, and too few for those who wait to get one of their
// share. They wait a little longer then, and are not refused beside a free slot; who
// has hung up meanwhile gets none.
func TestNobodyRefusedBesideAFreeSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := full(t, 64)
		began := time.Now()
		var taken, refused atomic.Int64
		var at sync.WaitGroup
		for range 10 {
			at.Go(func() {
				if slots.Take(t.Context()) {
					taken.Add(1)
				} else {
					refused.Add(1)
				}
				if took := time.Since(began); took != server.SlotWait+server.EbbWait {
					t.Errorf("told after %v, want %v", took, server.SlotWait+server.EbbWait)
				}
			})
		}
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		at.Go(func() {
			if slots.Take(ctx) {
				t.Error("who has hung up has a slot")
			}
		})
		synctest.Wait()
		slots.Ebb()
		for range 4 {
			slots.GiveBack()
		}
		for time.Since(began) < server.SlotWait+server.EbbWait-50*time.Millisecond {
			<-time.After(40 * time.Millisecond)
			if !slots.Take(t.Context()) { // a newcomer, who is quick
				t.Fatal("a newcomer got no slot")
			}
			slots.GiveBack()
			if time.Since(began) > time.Second {
				hangUp()
			}
		}
		at.Wait()
		if taken.Load() != 4 || refused.Load() != 6 {
			t.Errorf("%d have a slot and %d were refused, want the 4 free ones taken", taken.Load(), refused.Load())
		}
	})
}

// full gives slots that are all taken.
func full(t *testing.T, most int) server.Slots {
	t.Helper()
	slots := server.NewSlots(most)
	for range most {
		if !slots.Take(t.Context()) {
			t.Fatal("a free slot was not given")
		}
	}
	return slots
}

// An overload began when the one before had just ebbed away. What was true of that
// one's end is not true of this: those who wait have their turn.
func TestNextOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := full(t, 64)
		var at sync.WaitGroup
		wait := func() {
			at.Go(func() {
				if !slots.Take(t.Context()) {
					t.Error("refused")
				}
			})
			synctest.Wait()
			if left := slots.Left(); left != [3]int{64, 1, 1 << 10} {
				t.Errorf("at work, waiting, bytes: %v", left)
			}
		}
		wait()
		slots.Ebb()
		for range 64 {
			slots.GiveBack() // and the one who waits has one of them
		}
		for range 63 {
			if !slots.Take(t.Context()) {
				t.Fatal("a free slot was not given")
			}
		}
		wait()
		slots.GiveBack()
		if left := slots.Left(); left != [3]int{64, 0, 0} {
			t.Errorf("at work, waiting: %v, want the one who waits to have the slot", left)
		}
		at.Wait()
	})
}

// The stores began to hang while the queue ebbed. Nobody came or went, so nobody saw
// it, and who waited was told to wait longer, beside free slots. The first whose
// patience ends looks.
func TestStoresHangWhileTheQueueEbbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const store, hang = 20 * time.Millisecond, 2800 * time.Millisecond
		c := newCrowd(t, 64, store)
		began := time.Now()
		c.come(8000, 50*time.Microsecond) // in 400 ms, 1,280 of which fit
		for !c.slots.Ebbs() {
			if time.Since(began) > server.SlotWait {
				t.Fatalf("the queue does not ebb: %v", c.slots.Left())
			}
			c.come(16, store/32) // half of what fits
		}
		c.store.Store(int64(hang)) // for those who begin now
		c.come(16, 0)
		<-time.After(time.Until(began.Add(server.SlotWait + 400*time.Millisecond)))
		if left := c.slots.Left(); left[0] != 64 || left[1] == 0 {
			t.Errorf("at work, waiting: %v, want all 64 slots taken while others wait", left)
		}
		c.at.Wait()
		if took, most := time.Since(began), 400*time.Millisecond+server.SlotWait+server.EbbWait+hang; took > most {
			t.Errorf("the last answer came after %v, want %v at the most", took, most)
		}
		if left := c.slots.Left(); left != [3]int{} {
			t.Errorf("left: %v", left)
		}
	})
}
