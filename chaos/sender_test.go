package main

import (
	"testing"
	"time"
)

// A run once ended with 3,700 deliveries in one second, which waited for the end
// of the faults: signing them kept the proxies from the processors, everything
// was too slow, and 2,310 were given up with nothing broken any more.
func TestTurnsComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var s turns
	const apart = time.Second / afterwards
	for i := range 1000 {
		if got, want := s.next(start), time.Duration(i)*apart; got != want {
			t.Fatalf("turn %d comes after %v, want %v", i, got, want)
		}
	}
	if got := s.next(start.Add(time.Hour)); got != 0 {
		t.Errorf("when nobody waits, one waits %v", got)
	}
}
