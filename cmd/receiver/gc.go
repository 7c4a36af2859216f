package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Collecting garbage when the heap has doubled, as Go does by default, costs 3 to 8 %
// of the CPU of everything: what lives is a few megabytes, so the next collection is
// never far. The receiver lets more pile up, while that is little memory.
const (
	// mostGarbage is how much garbage may pile up before it is collected, where that
	// is more than Go's own default, which is as much as lives.
	mostGarbage = 48 << 20
	// mostPercent is the most in percent of what lives; more gains nothing.
	mostPercent = 400
	// leastPercent is Go's default.
	leastPercent = 100
	// tuneEvery is how often what lives is looked at. Reading it costs nothing.
	tuneEvery = time.Second
)

// gcPercent is the target of the collector for a heap in which so many bytes live.
// With it the heap grows by mostGarbage at the most, or to twice of what lives
// where that is more, as it would by default.
func gcPercent(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	return int(min(max(mostGarbage*100/live, leastPercent), mostPercent))
}

// tuneGC sets the target of the garbage collector by what lives, until ctx ends.
// An operator who sets GOGC has decided; GOMEMLIMIT holds beside ours.
func tuneGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(tuneEvery)
	defer tick.Stop()
	last := 0
	for {
		metrics.Read(sample)
		if percent := gcPercent(sample[0].Value.Uint64()); percent != last {
			debug.SetGCPercent(percent)
			last = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
