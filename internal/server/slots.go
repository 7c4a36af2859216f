package server

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// slotWait is how long a request waits for a slot, and at the least for a refusal.
	// Who is refused at once comes again at once, and refusing costs half as much as
	// storing: under twice the load that fits, little else was done. Who waits sends
	// nothing meanwhile. Answers should come well within 3 s (PROTOCOL.md 1.3): under
	// mere overload they do within 2.2 s. Where the stores hang besides, 4.9 s is the
	// worst.
	slotWait = 1500 * time.Millisecond
	// ebbWait is how much longer it waits where the queue ebbs: its turn comes soon.
	ebbWait = 500 * time.Millisecond
	// waitingRoom bounds what waits, in bytes of bodies, each counted as seatSize at
	// least: 16,384 requests of the usual size.
	waitingRoom = 16 << 20
	seatSize    = 1 << 10
)

// slots are the requests at work, and those that wait to be. It is safe for
// concurrent use.
//
// While more come than can be served, everybody waits his turn. Once fewer come
// than go (the queue ebbs), whoever comes is served at once, and those who wait, in
// their order, while not too many are at work; at the end of their patience they get
// any slot that is free. Behind a queue of a second, at half the load that fits,
// everybody would be late for two.
type slots struct {
	most int

	mu      sync.Mutex
	taken   int
	queue   list.List // of *seat, in the order in which they came
	waiting int       // bytes
	tide    tide
}

// seat is a place in the queue.
type seat struct {
	bytes int
	slot  chan struct{} // closed with the slot
}

func newSlots(most int) *slots { return &slots{most: most} }

// take gives a slot, soon or not at all, for a request whose body has so many
// bytes. Whoever gets one gives it back. Without one, room says whether there was
// room to wait for it; whoever found none lets go of his body, and pauses.
func (s *slots) take(ctx context.Context, bytes int) (taken, room bool) {
	place, room := s.arrive(max(bytes, seatSize))
	if place == nil {
		return room, room
	}
	end := time.NewTimer(slotWait)
	defer end.Stop()
	slot := place.Value.(*seat).slot //nolint:forcetypeassert // nothing else is queued
	for longer := true; ; longer = false {
		select {
		case <-slot:
			return true, true
		case <-end.C:
			if longer && s.ebbs() {
				end.Reset(ebbWait)
				continue
			}
			return s.leave(place, false), true
		case <-ctx.Done():
			return s.leave(place, true), true
		}
	}
}

// arrive takes a slot where one is free for whoever comes, or else a seat.
func (s *slots) arrive(bytes int) (place *list.Element, room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() > 0 {
		s.tide.came++
		s.admit()
	}
	if s.taken < s.most && (s.queue.Len() == 0 || s.tide.ebbs) {
		s.taken++
		return nil, true
	}
	s.tide.late++
	if s.waiting+bytes > waitingRoom {
		return nil, false
	}
	if s.queue.Len() == 0 {
		s.tide = tide{since: time.Now()}
	}
	s.waiting += bytes
	return s.queue.PushBack(&seat{bytes: bytes, slot: make(chan struct{})}), true
}

// admit gives slots to those who have waited longest, as many as may have one.
func (s *slots) admit() {
	s.tide.look(time.Now())
	for most := s.tide.quota(s.most); s.taken < most && s.queue.Len() > 0; {
		s.taken++
		close(s.rise(s.queue.Front()).slot)
	}
}

// rise takes a seat out of the queue.
func (s *slots) rise(place *list.Element) *seat {
	was := s.queue.Remove(place).(*seat) //nolint:forcetypeassert // nothing else is queued
	s.waiting -= was.bytes
	return was
}

// leave gives a seat up. At this very moment it may have become a slot; and while
// the queue ebbs nobody who is still there is refused beside a free one.
func (s *slots) leave(place *list.Element, hungUp bool) (taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-place.Value.(*seat).slot: //nolint:forcetypeassert // nothing else is queued
		return true
	default:
	}
	s.rise(place)
	if hungUp || s.taken >= s.most {
		return false
	}
	s.taken++
	return true
}

// ebbs tells whether it is worth waiting longer. While the stores hang nobody else
// comes by to see that it is not.
func (s *slots) ebbs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	return s.tide.ebbs
}

func (s *slots) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.queue.Len() > 0 {
		s.tide.gone++
		s.admit()
	}
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

const (
	// tideWindow is how often it is looked at whether more come or more go, and
	// tideWindows how many windows are looked at together. In an overload, when
	// everybody who is served comes again, as many come as go in the long run, and half
	// as many in a window after a pause of the stores.
	tideWindow  = 100 * time.Millisecond
	tideWindows = 3
	// tideLeast is how many have to go meanwhile for their number to mean anything.
	tideLeast = 50
	// ebbBegins and ebbEnds are how many come, in percent of those who go, when a
	// queue begins to ebb and when it does so no longer.
	ebbBegins, ebbEnds = 75, 90
	// ebbShare of the slots, one in so many, and ebbLeast at the least, may be taken
	// when those who wait get some while the queue ebbs: as many at work as keep a
	// machine busy, and not so many that each takes long.
	ebbShare, ebbLeast = 16, 16
	// everything is how many doublings of that are all slots.
	everything = 4
)

// tide tells whether a queue grows or ebbs.
type tide struct {
	ebbs  bool
	full  int // how many went in the windows before it ebbed,
	wider int // and how often the quota is doubled since, because fewer do

	window
	since time.Time           // of it
	past  [tideWindows]window // those before it,
	seen  int                 // so many
}

// window is what happened in one.
type window struct{ came, gone, late int } // late found no slot

// quota is how many slots may be taken when those who wait get one.
func (t *tide) quota(most int) int {
	if !t.ebbs {
		return most
	}
	return min(most, max(most/ebbShare, ebbLeast)<<t.wider)
}

// look decides for the next window when one is over.
func (t *tide) look(now time.Time) {
	if now.Sub(t.since) < tideWindow {
		return
	}
	last := t.window
	t.past[t.seen%tideWindows] = last
	t.seen++
	t.since, t.window = now, window{}
	if last.came == 0 { // there is nobody to keep slots free for
		t.wider = everything
		return
	}
	if t.seen < tideWindows {
		return
	}
	var all window
	for _, w := range t.past {
		all.came, all.gone, all.late = all.came+w.came, all.gone+w.gone, all.late+w.late
	}
	switch {
	case t.ebbs && all.late > 0 && 100*all.came >= ebbEnds*all.gone:
		t.ebbs, t.seen = false, 0
	case t.ebbs:
		t.widen(all)
	case all.gone >= tideLeast && 100*all.came < ebbBegins*all.gone:
		t.ebbs, t.seen, t.full, t.wider = true, 0, all.gone, 0
	}
}

// widen lets more be at work where fewer go than did before: the stores take their
// time then, and not the processors; and fewer again, as far as that does no harm.
func (t *tide) widen(all window) {
	if 100*all.gone < ebbBegins*t.full {
		t.wider = min(t.wider+1, everything)
	} else {
		t.wider = max(t.wider-1, 0)
	}
}
