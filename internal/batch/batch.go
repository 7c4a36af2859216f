// Package batch lets what comes at the same moment be sent together: a round trip
// or a write costs two system calls and wakes another process, however much it
// carries. It knows nothing of what is sent, nor of where to.
package batch

import (
	"runtime"
	"sync"
	"time"
)

const (
	// gatherTime is how long a batch waits at the most for as many as the one before
	// it carried. It waits only where several came together, so somebody who is
	// alone waits for nobody. Four times as long costs 5 % of the throughput at 64
	// connections, and gains nothing.
	gatherTime = 250 * time.Microsecond
	// gatherShare is how many of them in percent are enough. With all of them the
	// wanted number never falls by itself, and a few senders wait for each other for
	// the whole of gatherTime: a tenth of the throughput at 16 connections.
	gatherShare = 85
	// gatherLeast is how many must be wanted; fewer are not worth a wait.
	gatherLeast = 3
)

// Options bound a Sender.
type Options struct {
	Most    int // in one batch
	Batches int // under way at once
	// Patience is how long a batch may take before the next leaves beside it. Until
	// then whatever comes waits, and shares the next.
	Patience time.Duration
}

// Sender sends in batches what it is given, in the order of Add as far as one
// batch is under way at a time. It has goroutines only while there is something
// to send, and is safe for concurrent use.
type Sender[T any] struct {
	options Options
	send    func(batch []T)

	mu        sync.Mutex
	waiting   []T
	underway  int
	departed  time.Time     // the last batch
	gathering bool          // a batch waits for others, one at a time
	wanted    int           // how many are enough for it; 0 once they are there
	enough    chan struct{} // of one: says so
}

// NewSender makes a sender. send takes a batch that is never empty, returns when
// it is done with it, and keeps none of it; it runs in several goroutines where
// Options.Batches says so.
func NewSender[T any](o Options, send func(batch []T)) *Sender[T] {
	return &Sender[T]{options: o, send: send, enough: make(chan struct{}, 1)}
}

// Add gives v to be sent, and does not wait for that.
func (s *Sender[T]) Add(v T) {
	s.mu.Lock()
	s.waiting = append(s.waiting, v)
	if s.wanted > 0 && len(s.waiting) >= s.wanted {
		s.wanted = 0
		s.enough <- struct{}{}
	}
	start := s.underway == 0 || s.underway < s.options.Batches && time.Since(s.departed) > s.options.Patience
	if start {
		s.underway++
		s.departed = time.Now()
	}
	s.mu.Unlock()
	if start {
		go s.run()
	}
}

// Waiting is how many have not left yet.
func (s *Sender[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// run sends whatever waits, again and again, until nothing does.
func (s *Sender[T]) run() {
	var batch []T
	for {
		s.gather(len(batch))
		clear(batch)
		if batch = s.take(batch[:0]); len(batch) == 0 {
			return
		}
		s.send(batch)
	}
}

// gather waits a moment for others, where the last batch says that they come.
func (s *Sender[T]) gather(last int) {
	runtime.Gosched() // whoever can run now may be about to add, too
	wanted := min(last*gatherShare/100, s.options.Most)
	s.mu.Lock()
	wait := wanted >= gatherLeast && len(s.waiting) < wanted && !s.gathering
	if wait {
		s.gathering, s.wanted = true, wanted
	}
	s.mu.Unlock()
	if !wait {
		return
	}
	end := time.NewTimer(gatherTime)
	defer end.Stop()
	said := false
	select {
	case <-s.enough:
		said = true
	case <-end.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted == 0 && !said {
		<-s.enough // it was said at this very moment
	}
	s.gathering, s.wanted = false, 0
}

// take takes a batch, or ends the goroutine with none: both under the lock, so
// that nothing is left behind without one.
func (s *Sender[T]) take(batch []T) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), s.options.Most)
	batch = append(batch, s.waiting[:n]...)
	left := copy(s.waiting, s.waiting[n:])
	clear(s.waiting[left:])
	s.waiting = s.waiting[:left]
	if n == 0 {
		s.underway--
	}
	s.departed = time.Now()
	return batch
}
