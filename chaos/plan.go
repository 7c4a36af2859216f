package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The tracks. Faults of one track come one after the other, each mended before
// the next; those of different tracks overlap as chance has it.
const (
	trackReceivers = "receivers"
	trackRedis     = "redis"
	trackNATS      = "nats"
	trackLines     = "lines" // between receivers and NATS, and between sender and receivers
)

var tracks = []string{trackReceivers, trackRedis, trackNATS, trackLines}

// step is one fault in the plan.
type step struct {
	fault fault
	pause time.Duration // of calm before it
	hold  time.Duration // that it lasts, as far as it is ours to say
	nth   int           // how often the fault came before
	seed  uint64        // of its own choices
}

// plan is what a seed breaks, in each track. Every fault of a track comes once
// before one comes again. How long the mending takes is the servers' matter, so
// that the times of two runs of one seed are not the same; the order is.
func plan(seed uint64, lasts time.Duration) map[string][]step {
	all := map[string][]step{}
	for i, track := range tracks {
		random := rand.New(rand.NewPCG(seed, 100+uint64(i)))
		var deck []fault
		before := map[string]int{}
		for total := time.Duration(0); total < lasts; {
			if len(deck) == 0 {
				deck = faultsOf(track)
				random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			f := deck[0]
			deck = deck[1:]
			s := step{
				fault: f,
				pause: between(random, 500*time.Millisecond, 4*time.Second),
				hold:  between(random, f.least, f.most),
				nth:   before[f.name],
				seed:  random.Uint64(),
			}
			before[f.name]++
			all[track] = append(all[track], s)
			total += s.pause + s.hold
		}
	}
	return all
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(random.Int64N(int64(most-least)))
}

// faultsOf are the faults of a track, in the order of the catalogue.
func faultsOf(track string) []fault {
	return slices.DeleteFunc(catalogue(), func(f fault) bool { return f.track != track })
}
