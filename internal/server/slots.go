package server

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// slotWait is how long a request waits for a slot, and at the least for a refusal.
	// Who is refused at once comes again at once, and refusing costs half as much as
	// storing: under twice the load that fits, little else was done. Who waits sends
	// nothing meanwhile. Under mere overload an answer comes within 1.2 s; where the
	// stores hang besides, 3.8 s is the worst.
	slotWait = time.Second
	// waitingRoom bounds what waits, in bytes of bodies, each counted as seatSize at
	// least: 16,384 requests of the usual size.
	waitingRoom = 16 << 20
	seatSize    = 1 << 10
)

// slots are the requests at work, and those that wait to be. It is safe for
// concurrent use.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int64 // bytes
}

func newSlots(most int) *slots { return &slots{taken: make(chan struct{}, most)} }

// take gives a slot, soon or not at all, for a request whose body has so many
// bytes. Whoever gets one gives it back. Without one, room says whether there was
// room to wait for it; whoever found none lets go of his body, and pauses.
func (s *slots) take(ctx context.Context, bytes int) (taken, room bool) {
	select {
	case s.taken <- struct{}{}:
		return true, true
	default:
	}
	seat := int64(max(bytes, seatSize))
	defer s.waiting.Add(-seat)
	if s.waiting.Add(seat) > waitingRoom {
		return false, false
	}
	end := time.NewTimer(slotWait)
	defer end.Stop()
	select {
	case s.taken <- struct{}{}:
		return true, true
	case <-end.C:
	case <-ctx.Done(): // the sender has hung up
	}
	return false, true
}

// pause is the wait of those for whom there was no room.
func (s *slots) pause(ctx context.Context) {
	end := time.NewTimer(slotWait)
	defer end.Stop()
	select {
	case <-end.C:
	case <-ctx.Done():
	}
}

func (s *slots) giveBack() { <-s.taken }
