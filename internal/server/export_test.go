package server

import "time"

// The waits for a slot.
const (
	SlotWait = slotWait
	EbbWait  = ebbWait
)

// Tide draws windows in which so many come while a hundred go: '#' after those that
// leave the queue ebbing.
func Tide(came []int) string {
	now := time.Now()
	tide, drawn := tide{since: now}, make([]byte, len(came))
	for i, n := range came {
		now = now.Add(tideWindow)
		tide.came, tide.gone = n, 100
		tide.look(now)
		drawn[i] = '.'
		if tide.ebbs {
			drawn[i] = '#'
		}
	}
	return string(drawn)
}
