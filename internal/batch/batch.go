// Package batch lets what comes at the same moment be sent together: a round trip
// or a write costs two system calls and wakes another process, however much it
// carries. It lets it share its deadline, too. It knows nothing of what is sent, nor of
// where to.
package batch

import (
	"runtime"
	"sync"
	"time"
)

const (
	// gatherTime is how long a batch waits at the most for as many as the one before
	// it carried. A process that has nothing else to do wakes up to a millisecond
	// late, which is how fine the runtime's timers are then.
	gatherTime = 250 * time.Microsecond
	// gatherShare is how many of them in percent are enough. With all of them the
	// wanted number never falls by itself, and a few senders wait for each other for
	// the whole of gatherTime: a tenth of the throughput at 16 connections.
	gatherShare = 85
	// gatherLeast is how many must be wanted; fewer are not worth a wait. So whoever
	// is alone, or one of two or three, waits for nobody.
	gatherLeast = 3
	// recent is how long the size of the last batch says what may come now, once
	// nothing has been waiting behind it.
	recent = time.Millisecond
)

// Options bound a Sender.
type Options struct {
	Most    int // in one batch
	Batches int // under way at once
	// Patience is how long a batch may take before the next leaves beside it. Until
	// then whatever comes waits, and shares the next.
	Patience time.Duration
	// Gather lets a batch wait a moment for as many as the last one carried. It is
	// for what comes one by one; what comes in crowds is together already.
	Gather bool
}

// Sender sends in batches what it is given, in the order of Add as far as one
// batch is under way at a time. It has goroutines only while there is something
// to send, and is safe for concurrent use.
type Sender[T any] struct {
	options Options
	send    func(batch []T)

	mu       sync.Mutex
	waiting  []T
	underway int         // goroutines that send, or are about to
	departed time.Time   // the last batch,
	last     int         // and what it carried
	idle     time.Time   // when somebody last found nothing to send
	late     *time.Timer // starts another batch when one takes long; nil unless Batches > 1
	armed    bool        // late runs

	gathering bool          // a batch waits for others, one at a time:
	wanted    int           // for so many,
	enough    chan struct{} // which is closed, and nil, when they are there
}

// NewSender makes a sender. send takes a batch that is never empty, returns when
// it is done with it, and keeps none of it; it runs in several goroutines where
// Options.Batches says so.
func NewSender[T any](o Options, send func(batch []T)) *Sender[T] {
	s := &Sender[T]{options: o, send: send}
	if o.Batches > 1 {
		s.late = time.AfterFunc(time.Hour, s.overdue)
		s.late.Stop()
	}
	return s
}

// Add gives v to be sent, and does not wait for that.
func (s *Sender[T]) Add(v T) {
	s.mu.Lock()
	s.waiting = append(s.waiting, v)
	if s.enough != nil && len(s.waiting) >= s.wanted {
		close(s.enough)
		s.enough = nil
	}
	start := s.start()
	s.mu.Unlock()
	if start {
		go s.run()
	}
}

// start tells whether another batch begins now. One that cannot yet, because
// those under way still have time, is begun by the timer: whoever comes last must
// not be left behind a batch that hangs.
func (s *Sender[T]) start() bool {
	switch {
	case s.underway == 0:
	case s.gathering || s.underway >= s.options.Batches:
		return false // somebody takes what waits before long, or nobody may
	default:
		if left := s.options.Patience - time.Since(s.departed); left > 0 {
			if !s.armed {
				s.armed = true
				s.late.Reset(left)
			}
			return false
		}
	}
	s.underway++
	s.departed = time.Now() // or it will before anybody gets impatient
	return true
}

// overdue begins a batch beside those that take long, if anything waits.
func (s *Sender[T]) overdue() {
	s.mu.Lock()
	s.armed = false
	start := len(s.waiting) > 0 && s.start()
	s.mu.Unlock()
	if start {
		s.run()
	}
}

// Waiting is how many have not left yet, for tests.
func (s *Sender[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// Underway is how many batches are being sent, or are about to be, for tests.
func (s *Sender[T]) Underway() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underway
}

// run sends whatever waits, again and again, until nothing does.
func (s *Sender[T]) run() {
	var batch []T
	for fresh := true; ; fresh = false {
		runtime.Gosched() // whoever can run now may be about to add, too
		s.gather(fresh)
		clear(batch)
		if batch = s.take(batch[:0]); len(batch) == 0 {
			return
		}
		s.send(batch)
	}
}

// gather waits a moment for others, where the last batch says that they come and
// somebody is there already. What it says is old for a fresh goroutine.
func (s *Sender[T]) gather(fresh bool) {
	s.mu.Lock()
	wanted := min(s.last*gatherShare/100, s.options.Most)
	if fresh && time.Since(s.idle) > recent {
		wanted = 0
	}
	if !s.options.Gather || wanted < gatherLeast || len(s.waiting) == 0 || len(s.waiting) >= wanted || s.gathering {
		s.mu.Unlock()
		return
	}
	enough := make(chan struct{})
	s.gathering, s.wanted, s.enough = true, wanted, enough
	s.mu.Unlock()
	end := time.NewTimer(gatherTime)
	defer end.Stop()
	select {
	case <-enough:
	case <-end.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gathering, s.enough = false, nil
}

// take takes a batch, or ends the goroutine with none: both under the lock, so
// that nothing is left behind without one.
func (s *Sender[T]) take(batch []T) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), s.options.Most)
	if n == 0 {
		s.underway--
		s.idle = time.Now()
		return batch
	}
	batch = append(batch, s.waiting[:n]...)
	rest := copy(s.waiting, s.waiting[n:])
	clear(s.waiting[rest:])
	s.waiting = s.waiting[:rest]
	s.departed, s.last = time.Now(), n
	return batch
}
