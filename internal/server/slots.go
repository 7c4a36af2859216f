package server

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// slotWait is how long a request waits for a slot. Who is refused at once comes
	// again at once, and refusing costs nearly as much as storing: under twice the
	// load that fits, little else was done. Who waits sends nothing meanwhile. With
	// the time to store, an answer still comes within some three seconds.
	slotWait = 500 * time.Millisecond
	// waitingRoom bounds what waits, in bytes of bodies, each counted as seatSize at
	// least: 4,096 requests of the usual size.
	waitingRoom = 16 << 20
	seatSize    = 4 << 10
)

// slots are the requests at work, and the few that wait to be. It is safe for
// concurrent use.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int64 // bytes
}

func newSlots(most int) *slots { return &slots{taken: make(chan struct{}, most)} }

// take gives a slot, soon or not at all, for a request whose body has so many
// bytes. Whoever gets one gives it back.
func (s *slots) take(ctx context.Context, bytes int) bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	seat := int64(max(bytes, seatSize))
	defer s.waiting.Add(-seat)
	if s.waiting.Add(seat) > waitingRoom {
		return false
	}
	end := time.NewTimer(slotWait)
	defer end.Stop()
	select {
	case s.taken <- struct{}{}:
		return true
	case <-end.C:
	case <-ctx.Done(): // the sender has hung up
	}
	return false
}

func (s *slots) giveBack() { <-s.taken }
