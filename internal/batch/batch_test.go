package batch_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/batch"
)

// left is a batch as it left.
type left struct {
	at    time.Duration // since the test began
	count int
}

// sends counts batches in a bubble of time; each takes as long as it is told.
type sends struct {
	began time.Time
	takes time.Duration

	mu   sync.Mutex
	left []left
	all  []int
}

func (s *sends) send(batch []int) {
	s.mu.Lock()
	s.left = append(s.left, left{time.Since(s.began), len(batch)})
	s.all = append(s.all, batch...)
	s.mu.Unlock()
	pass(s.takes)
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func (s *sends) want(t *testing.T, want ...left) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.left, want) {
		t.Errorf("left %v, want %v", s.left, want)
	}
}

func add(s *batch.Sender[int], from, count int) {
	for i := range count {
		s.Add(from + i)
	}
}

// TestAlone: who is alone leaves at once, and again at once: a sender with one
// request at a time must not pay for what many share.
func TestAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: 100 * time.Microsecond}
		s := batch.NewSender(batch.Options{Most: 10, Batches: 1, Gather: true}, to.send)
		var want []left
		for i := range 3 {
			want = append(want, left{time.Since(to.began), 1})
			s.Add(i)
			pass(200 * time.Microsecond) // it is back by then
		}
		to.want(t, want...)
	})
}

// TestGather: after a batch of ten the next leaves when eight are there, or after
// a quarter of a millisecond with what is there; and what it carried is what the
// one after it waits for.
func TestGather(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: 100 * us}
		s := batch.NewSender(batch.Options{Most: 64, Batches: 1, Gather: true}, to.send)
		s.Add(0)
		synctest.Wait()
		add(s, 1, 10) // while the first is under way
		pass(100 * us)
		to.want(t, left{0, 1}, left{100 * us, 10})
		add(s, 11, 1)
		pass(200 * us)
		add(s, 12, 6)
		to.want(t, left{0, 1}, left{100 * us, 10})
		add(s, 18, 1)
		to.want(t, left{0, 1}, left{100 * us, 10}, left{300 * us, 8})
		add(s, 19, 4) // of 85 % of 8, which is 6
		pass(400 * us)
		want := []left{{0, 1}, {100 * us, 10}, {300 * us, 8}, {650 * us, 4}}
		to.want(t, want...)
		pass(100 * us) // the four are back, and nobody waits behind them
		add(s, 23, 2)  // they may be the first of three
		to.want(t, want...)
		pass(250 * us)
		want = append(want, left{1050 * us, 2})
		to.want(t, want...)
		for i, v := range to.all {
			if v != i {
				t.Fatalf("sent %v, want them in order", to.all)
			}
		}
		pass(time.Second)
	})
}

// TestGatherForgets: a burst is no reason for whoever comes alone later to wait.
// The first version kept gathering behind it when nobody was there, and whoever
// came then waited for a crowd that had gone.
func TestGatherForgets(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: 100 * us}
		s := batch.NewSender(batch.Options{Most: 64, Batches: 1, Gather: true}, to.send)
		add(s, 0, 20)
		pass(100 * us)
		synctest.Wait()
		pass(1100 * us)
		s.Add(20)
		to.want(t, left{0, 20}, left{1200 * us, 1})
		pass(time.Second)
	})
}

// TestGatherAlone: what comes while a batch gathers joins it, also when the last
// one left longer ago than the patience: another beside it would rob it of those
// that it waits for.
func TestGatherAlone(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: 50 * us}
		s := batch.NewSender(batch.Options{Most: 64, Batches: 8, Patience: 100 * us, Gather: true}, to.send)
		add(s, 0, 20)
		pass(60 * us)
		add(s, 20, 1) // gathers for 17
		synctest.Wait()
		pass(140 * us)
		add(s, 21, 1)
		to.want(t, left{0, 20})
		pass(110 * us)
		to.want(t, left{0, 20}, left{310 * us, 2})
		pass(time.Second)
	})
}

// TestPatience: one that takes its time holds up the others only so long, and so
// many leave beside it.
func TestPatience(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: time.Second}
		s := batch.NewSender(batch.Options{Most: 2, Batches: 2, Patience: 5 * ms, Gather: true}, to.send)
		s.Add(0)
		synctest.Wait()
		pass(4 * ms)
		add(s, 1, 2)
		to.want(t, left{0, 1})
		pass(ms)
		to.want(t, left{0, 1}, left{5 * ms, 2})
		pass(10 * ms)
		add(s, 3, 3) // two are under way
		pass(10 * ms)
		to.want(t, left{0, 1}, left{5 * ms, 2})
		if n := s.Waiting(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		pass(3 * time.Second)
		to.want(t, left{0, 1}, left{5 * ms, 2}, left{time.Second, 2}, left{time.Second + 5*ms, 1})
	})
}

// TestLastBehindOneThatHangs: who comes last is not left behind a batch that
// hangs. Patience was once looked at only when somebody else came, so a single
// call waited for Redis's whole timeout behind a connection that had died.
func TestLastBehindOneThatHangs(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		to := &sends{began: time.Now(), takes: time.Second}
		s := batch.NewSender(batch.Options{Most: 10, Batches: 8, Patience: 5 * ms, Gather: true}, to.send)
		s.Add(0)
		synctest.Wait()
		for i := range 3 {
			pass(4 * ms)
			s.Add(1 + i)
			pass(ms) // five since the one before it
		}
		to.want(t, left{0, 1}, left{5 * ms, 1}, left{10 * ms, 1}, left{15 * ms, 1})
		pass(5 * time.Second)
	})
}

// TestEverythingOnce: whatever many give at once is sent once, in batches that are
// not too large.
func TestEverythingOnce(t *testing.T) {
	t.Parallel()
	for _, batches := range []int{1, 4} {
		t.Run(fmt.Sprint(batches), func(t *testing.T) {
			t.Parallel()
			const each, by = 500, 64
			var mu sync.Mutex
			count := map[int]int{}
			var sent sync.WaitGroup
			sent.Add(each * by)
			s := batch.NewSender(batch.Options{Most: 16, Batches: batches}, func(b []int) {
				if len(b) == 0 || len(b) > 16 {
					t.Errorf("a batch of %d", len(b))
				}
				mu.Lock()
				for _, v := range b {
					count[v]++
				}
				mu.Unlock()
				for range b {
					sent.Done()
				}
			})
			for g := range by {
				go add(s, g*each, each)
			}
			sent.Wait()
			for v := range each * by {
				if count[v] != 1 {
					t.Fatalf("%d was sent %d times", v, count[v])
				}
			}
		})
	}
}
