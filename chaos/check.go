package main

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// evidence is what the checker judges by: the sender's journal, the stream as it
// was read, and what was broken when. Nothing of it comes from the receivers.
type evidence struct {
	records   []*record
	lives     []life // in their order; the last one is the stream that is there
	incidents []incident
	refused   map[string]uint64 // messages in the streams of what was not accepted
	refuse    bool              // nothing may be taken without Redis
	exam      exam
	keys      map[string]remembered // of the product in Redis, by the id of the notification
}

// broken are the lives of the stream while things were broken: without the one that
// the exam began.
func (e evidence) broken() []life {
	if e.exam.began.IsZero() {
		return e.lives
	}
	return e.lives[:len(e.lives)-1]
}

// verdict is what the checker says.
type verdict struct {
	violations []string
	classes    map[string]int // copies beyond one that are allowed, by why
	stored     int            // events in the stream that is there
	distinct   int            // ids in it
	onlyCopy   int            // acknowledged, and lost with a stream that was taken away
}

// Why a copy beyond one is allowed; docs/CHAOS.md explains them.
const (
	classUnasked   = "Redis away, beyond the window"
	classForgotten = "Redis lost keys, beyond the window"
	classCrash     = "not committed (crash, no ack), beyond the window"
	classRecreated = "stream recreated or restored: published again"
)

// judge compares.
func judge(e evidence) verdict {
	v := verdict{classes: map[string]int{}}
	byID := map[string]*record{}
	for _, r := range e.records {
		byID[r.id] = r
	}
	v.answers(e)
	var began time.Time // of the life that is looked at
	for _, l := range e.lives {
		v.genuine(byID, l)
		if e.refuse {
			v.asked(l)
		}
		v.copies(e, byID, l, began)
		began = l.ended
	}
	v.acknowledged(e)
	v.early(e)
	v.unasked(e)
	v.arrived(e)
	v.again(e)
	v.remembered(e)
	for _, stream := range slices.Sorted(maps.Keys(e.refused)) {
		if n := e.refused[stream]; n > 0 {
			v.violate("%d messages on %s: every notification was genuine", n, stream)
		}
	}
	lives := e.broken()
	last := lives[len(lives)-1].events
	v.stored, v.distinct = len(last), len(idsOf(last))
	return v
}

func (v *verdict) violate(format string, args ...any) {
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

func idsOf(events []event) map[string]bool {
	ids := map[string]bool{}
	for _, e := range events {
		ids[e.ID] = true
	}
	return ids
}

// answers wants nothing but success and "come again".
func (v *verdict) answers(e evidence) {
	for _, r := range e.records {
		for _, a := range r.attempts {
			if a.Status != 0 && !a.success() && (a.Status != 503 || a.Answer != "fail") {
				v.violate("%s was answered %d %q by %s at %s", r.id, a.Status, a.Answer, a.Receiver, clock(a.End))
			}
		}
	}
}

// acknowledged wants every notification that got success in the stream: in the
// one that is there, or in one that was taken away after the success. Each success
// is looked at: a later one, which rests on Redis alone, is as wrong as the first.
func (v *verdict) acknowledged(e evidence) {
	held := make([]map[string]bool, len(e.lives))
	for i, l := range e.lives {
		held[i] = idsOf(l.events)
	}
	last := len(e.broken()) - 1
	for _, r := range e.records {
		kept, acknowledged := held[len(held)-1][r.id], false
		for _, a := range r.attempts {
			if !a.success() {
				continue
			}
			acknowledged = true
			found := kept
			for i, l := range e.lives[:len(e.lives)-1] {
				found = found || held[i][r.id] && !a.Begin.After(l.ended)
			}
			if !found {
				v.violate("LOST: %s (%s) got success from %s at %s and is not stored", r.id, r.kind, a.Receiver, clock(a.End))
				break
			}
		}
		if acknowledged && !kept && !held[last][r.id] {
			v.onlyCopy++
		}
	}
}

// early wants an event to be stored before success is said of it.
func (v *verdict) early(e evidence) {
	first := map[string]time.Time{}
	for _, l := range e.lives {
		for _, n := range l.events {
			if t, known := first[n.ID]; !known || n.At.Before(t) {
				first[n.ID] = n.At
			}
		}
	}
	for _, r := range e.records {
		for _, a := range r.attempts {
			if t, known := first[r.id]; known && a.success() && t.After(a.End) {
				v.violate("EARLY: %s got success from %s at %s and was stored at %s", r.id, a.Receiver, clock(a.End), clock(t))
			}
		}
	}
}

// unasked wants something to have been wrong where a receiver says that it did not
// ask Redis: that excuses a copy, and must not rest on its word alone.
func (v *verdict) unasked(e evidence) {
	const before, after = 3 * time.Second, time.Second // its request may have waited
	seen := map[string]bool{}                          // an event comes back with a backup
	for _, l := range e.lives {
		for _, n := range l.events {
			key := n.ID + n.At.String()
			if !n.Unasked || seen[key] {
				continue
			}
			seen[key] = true
			if !slices.ContainsFunc(e.incidents, func(i incident) bool {
				return i.skipped == "" && i.track != trackNATS && i.begin.Before(n.At.Add(after)) && i.end.After(n.At.Add(-before))
			}) {
				v.violate("NOT ASKED: event %d (%s) at %s was taken without Redis, and nothing was wrong with it", n.Seq, n.ID, clock(n.At))
			}
		}
	}
}

// arrived wants that nothing was tried to the end of the schedule in vain: the
// last deliveries of each came when all was healed. (Of two that come at once, one
// may be told that the other is at work.)
func (v *verdict) arrived(e evidence) {
	for _, r := range e.records {
		if r.given > 0 && !slices.ContainsFunc(r.attempts, func(a attempt) bool { return a.success() && !a.Lost }) {
			v.violate("GIVEN UP: %s (%s) was delivered %d times, to the end of the schedule, and never acknowledged", r.id, r.kind, len(r.attempts))
		}
	}
}

// genuine wants every event to be of a request that was sent under its id, byte
// for byte.
func (v *verdict) genuine(byID map[string]*record, l life) {
	for _, e := range l.events {
		r := byID[e.ID]
		if r == nil {
			v.violate("event %d has the id %s, which was never sent", e.Seq, e.ID)
			continue
		}
		if !slices.ContainsFunc(r.attempts, func(a attempt) bool { return a.Body == e.Body }) {
			v.violate("event %d (%s) is not of a request that was sent", e.Seq, e.ID)
		}
	}
}

// asked wants Redis to have been asked about every event.
func (v *verdict) asked(l life) {
	for _, e := range l.events {
		if e.Unasked {
			v.violate("event %d (%s) was taken without Redis", e.Seq, e.ID)
		}
	}
}

// copies wants one event an id in one life of the stream, except where DESIGN.md
// section 7 says that there may be another. What is older than the life came
// with the backup; a stream restored by the server's own means knows neither the
// message ids of the backup nor its old time of creation, so that this may come
// again, too.
func (v *verdict) copies(e evidence, byID map[string]*record, l life, began time.Time) {
	last := map[string]event{}
	for _, b := range l.events {
		a, twice := last[b.ID]
		last[b.ID] = b
		if !twice || b.At.Before(began) {
			continue // or both came with the backup, and were judged before
		}
		class := e.allowed(a, b, byID[b.ID])
		if a.At.Before(began) {
			class = classRecreated
		}
		if e.exam.holds(byID[b.ID]) {
			class = ""
		}
		if class == "" {
			v.violate("TWICE: %s is stored at %d (%s) and at %d (%s)", b.ID, a.Seq, clock(a.At), b.Seq, clock(b.At))
			continue
		}
		v.classes[class]++
	}
}

// allowed says why a second event b after a is allowed, or nothing. The stream
// itself must have forgotten a; and Redis was not asked about b, or has lost what
// it knew of a, or never heard of it.
func (e evidence) allowed(a, b event, r *record) string {
	happened := func(from, to time.Time, which func(incident) bool) bool {
		return slices.ContainsFunc(e.incidents, func(i incident) bool {
			return i.skipped == "" && which(i) && i.begin.Before(to) && i.end.After(from)
		})
	}
	// The commit is made beside the answer, and replicas follow a moment later.
	const moment = 3 * time.Second
	around := a.At.Add(-moment)
	switch {
	case !happened(a.At, b.At, func(i incident) bool { return i.window }):
		return ""
	case b.Unasked:
		return classUnasked
	case happened(around, b.At, func(i incident) bool { return i.forgets }),
		happened(around, a.At.Add(moment), func(i incident) bool { return i.track == trackRedis }):
		return classForgotten
	case happened(around, a.At.Add(moment), func(i incident) bool { return i.track == trackReceivers }), !storedBySuccess(a, r):
		return classCrash
	}
	return ""
}

// storedBySuccess tells whether the delivery that an event is of was acknowledged.
func storedBySuccess(e event, r *record) bool {
	return r != nil && slices.ContainsFunc(r.attempts, func(a attempt) bool { return a.Body == e.Body && a.success() })
}

// again counts what was published again because its stream was taken away, and
// did not come back with a backup; that, copies has counted.
func (v *verdict) again(e evidence) {
	lives := e.broken()
	for i, old := range lives[:len(lives)-1] {
		here := idsOf(slices.DeleteFunc(slices.Clone(lives[i+1].events), func(n event) bool { return n.At.Before(old.ended) }))
		back := idsOf(slices.DeleteFunc(slices.Clone(lives[i+1].events), func(n event) bool { return !n.At.Before(old.ended) }))
		for id := range idsOf(old.events) {
			if here[id] && !back[id] {
				v.classes[classRecreated]++
			}
		}
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
