package server

import (
	"context"
	"time"
)

// The waits for a slot.
const (
	SlotWait = slotWait
	EbbWait  = ebbWait
)

// Window is what happened in one of the tide's.
type Window struct{ Came, Gone, Late int }

// Tide draws windows: '.' after those that leave the queue as it was, and while it
// ebbs the slots of 1,024 that may be taken, in 64ths: '1', then '2', '4', '8' and '*'.
func Tide(windows []Window) string {
	now := time.Now()
	tide, drawn := tide{since: now}, make([]byte, len(windows))
	for i, w := range windows {
		now = now.Add(tideWindow)
		tide.window = window{w.Came, w.Gone, w.Late}
		tide.look(now)
		drawn[i] = map[int]byte{64: '1', 128: '2', 256: '4', 512: '8', 1024: '*'}[tide.quota(1024)]
		if !tide.ebbs {
			drawn[i] = '.'
		}
	}
	return string(drawn)
}

// Slots are slots with nobody at work.
type Slots struct{ s *slots }

// NewSlots makes some.
func NewSlots(most int) Slots { return Slots{newSlots(most)} }

// Take is take for a small request.
func (s Slots) Take(ctx context.Context) bool {
	taken, _ := s.s.take(ctx, 1)
	return taken
}

// GiveBack is giveBack.
func (s Slots) GiveBack() { s.s.giveBack() }

// Ebbs tells whether the queue ebbs.
func (s Slots) Ebbs() bool {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	return s.s.queue.Len() > 0 && s.s.tide.ebbs
}

// Ebb makes the queue ebb.
func (s Slots) Ebb() {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.tide = tide{ebbs: true, since: time.Now()}
}

// Left is how many are at work and wait, and the bytes of these: nothing when nobody
// is there any more.
func (s Slots) Left() [3]int {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	return [3]int{s.s.taken, s.s.queue.Len(), s.s.waiting}
}
