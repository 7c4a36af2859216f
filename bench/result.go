//go:build linux

package main

import (
	"math"
	"slices"
	"time"
)

// latency is that of the accepted ones, in microseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// phaseResult is what the generator saw in one phase. An answer belongs to the
// phase in which it came.
type phaseResult struct {
	Seconds  float64        `json:"seconds"` // shorter than asked for where the bodies were used up
	Due      int            `json:"due"`     // requests of an open loop that this phase asked for
	Answers  map[string]int `json:"answers"`
	Accepted int            `json:"accepted"`
	Latency  latency        `json:"latency_us"`
	OwnCPU   float64        `json:"generator_cpu_s"`
}

// loadResult is the whole run.
type loadResult struct {
	Phases   []phaseResult `json:"phases"`
	UsedUp   bool          `json:"used_up"`     // there were not enough bodies
	Recovery float64       `json:"recovery_ms"` // of an open loop; -1: not within the last phase
}

func (g *generator) result() loadResult {
	r := loadResult{UsedUp: true}
	var begin, last time.Duration
	for _, s := range g.shots {
		last = max(last, s.done)
		if s.answer == unused {
			r.UsedUp = false
		}
	}
	for i, p := range g.phases {
		end := begin + p.Last
		r.Phases = append(r.Phases, g.phaseResult(begin, end, last))
		r.Phases[i].OwnCPU = (g.cpu[i+1] - g.cpu[i]).Seconds()
		begin = end
	}
	if g.phases[0].Rate > 0 && len(g.phases) > 2 {
		r.Recovery = g.recovery()
	}
	return r
}

func (g *generator) phaseResult(begin, end, last time.Duration) phaseResult {
	p := phaseResult{Answers: map[string]int{}, Seconds: max(min(end, last)-begin, 0).Seconds()}
	var took []time.Duration
	for _, s := range g.shots {
		if s.answer != unused && s.due >= begin && s.due < end {
			p.Due++
		}
		if s.answer == unused || s.done < begin || s.done >= end {
			continue
		}
		p.Answers[s.answer.String()]++
		if s.answer == accepted {
			took = append(took, s.done-s.due)
		}
	}
	p.Accepted, p.Latency = len(took), latencyOf(took)
	return p
}

func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	return latency{P50: percentile(took, 0.5), P99: percentile(took, 0.99), P999: percentile(took, 0.999), Max: percentile(took, 1)}
}

// percentile is the least value that the share q does not exceed, in
// microseconds; 0 of nothing.
func percentile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := max(int(math.Ceil(q*float64(len(sorted))))-1, 0)
	return float64(sorted[at]) / float64(time.Microsecond)
}

const (
	window  = 100 * time.Millisecond // of the search for the recovery
	inARow  = 3                      // windows that must be good
	settled = 500 * time.Millisecond // of the first phase, left out: connections are made
)

// recovery is how long after the drop of an open loop's load everything is as
// it was before the overload: the first of three windows in a row in which all
// requests were accepted, with a p99 of at most twice that of the first phase, or
// 20 ms more. In milliseconds; -1 when there is no such window.
func (g *generator) recovery() float64 {
	drop := g.phases[0].Last + g.phases[1].Last
	_, before := g.window(settled, g.phases[0].Last)
	limit := max(2*before, before+20_000)
	good := 0
	for at := drop; at+window <= drop+g.phases[2].Last; at += window {
		all, p99 := g.window(at, at+window)
		if !all || p99 > limit {
			good = 0
			continue
		}
		if good++; good == inARow {
			return float64((at - (inARow-1)*window - drop).Milliseconds())
		}
	}
	return -1
}

// window looks at what was due in a time: were all accepted, and their p99.
func (g *generator) window(begin, end time.Duration) (all bool, p99 float64) {
	var took []time.Duration
	all = true
	for _, s := range g.shots {
		if s.answer == unused || s.due < begin || s.due >= end {
			continue
		}
		all = all && s.answer == accepted
		took = append(took, s.done-s.due)
	}
	slices.Sort(took)
	return all && len(took) > 0, percentile(took, 0.99)
}
