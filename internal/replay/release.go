package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// WouldPass is the outcome of a decision that nothing speaks against.
const WouldPass = "would_pass"

// Unreadable is the outcome of a stored request of which something needed
// cannot be read. It stays where it is.
const Unreadable = "unreadable"

// Gone is the outcome of a request that somebody else has released meanwhile.
const Gone = "gone"

// Released is what became, or would become, of one refused request.
type Released struct {
	Sequence uint64 // where it was kept
	App      string // of the subject it was kept under
	Was      string // the reason for which it was kept
	Outcome  string // WouldPass, Unreadable, Gone, or an ingest.Outcome
	Reason   string // of an outcome that is no success; a short constant
	Detail   string // for people
	EventID  string // once it is proved
	Type     string
	StoredAt uint64 // its event's sequence on ALIPAY_EVENTS, where the stream said it
	Removed  bool   // it is no longer kept
}

// Request is the request as it once came in: with the time of then, so that the
// event says when Alipay sent it and not when somebody released it.
func (r Refused) Request() ingest.Request {
	return ingest.Request{
		Body: r.Body, Source: r.Source, ReceivedAt: r.ReceivedAt,
		Arrival: events.Arrival{PathApp: r.PathApp, ContentType: r.ContentType},
	}
}

// KeptStream is a stream of refused requests.
type KeptStream interface {
	// Get reads one message. gone means that the stream has none there.
	Get(ctx context.Context, sequence uint64) (m events.Stored, gone bool, err error)
	// Remove takes one message out. That it is gone already is no error.
	Remove(ctx context.Context, sequence uint64) error
}

// Releaser takes refused requests in after all. Its pipeline is the receiver's
// decision function with today's keys; it must keep nothing itself, because
// what is refused again is kept already.
type Releaser struct {
	Pipeline *ingest.Pipeline
	Stream   KeptStream
}

// Decide says what releasing the request would come to. It touches no memory.
func (r *Releaser) Decide(x Refused) Released {
	if x.Problem != "" {
		return unreadable(x)
	}
	out := begin(x)
	var res ingest.Result
	_, err := r.Pipeline.Decide(x.Request(), &res)
	out.EventID, out.Type = res.EventID, res.Type
	if out.Outcome = WouldPass; err != nil {
		out.Outcome, out.Reason, out.Detail = string(fault.KindOf(err)), fault.ReasonOf(err), err.Error()
	}
	return out
}

func begin(x Refused) Released {
	return Released{Sequence: x.Stored.Sequence, App: x.App, Was: x.Reason}
}

func unreadable(x Refused) Released {
	out := begin(x)
	out.Outcome, out.Reason, out.Detail = Unreadable, Unreadable, x.Problem
	return out
}

// ReleasePlan is what a release would do: the decisions on everything selected,
// added up.
type ReleasePlan struct {
	Sequences []uint64 // of what would pass, in their order
	Bytes     int64    // of these
	Selected  int      // what was decided on
	Was       map[string]int
	Stay      map[string]int // the others, by today's reason
	Oldest    time.Time      // when the first of those that would pass was received

	app string // of those that would pass, while it is one
}

// Add takes one decision in.
func (p *ReleasePlan) Add(x Refused, d Released) {
	p.Selected++
	if d.Outcome != WouldPass {
		count(&p.Stay, d.Reason)
		return
	}
	count(&p.Was, d.Was)
	if len(p.Sequences) == 0 {
		p.app, p.Oldest = d.App, x.ReceivedAt
	}
	if p.app != d.App {
		p.app = ""
	}
	if x.ReceivedAt.Before(p.Oldest) {
		p.Oldest = x.ReceivedAt
	}
	p.Sequences = append(p.Sequences, d.Sequence)
	p.Bytes += int64(len(x.Body))
}

// count adds one to a map that may not be there yet.
func count(m *map[string]int, name string) {
	if *m == nil {
		*m = make(map[string]int)
	}
	(*m)[name]++
}

// Counts writes counts by name, the largest first: "bad_signature 12, stale 1".
func Counts(m map[string]int) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, m[name])
	}
	return strings.Join(parts, ", ")
}

// Audit is the plan as the guard takes it: only what would pass is written, and
// therefore counted. target is where to.
func (p *ReleasePlan) Audit(verb, target string, parameters map[string]string) audit.Plan {
	plan := audit.Plan{
		Verb: verb, App: p.app, Items: len(p.Sequences), Bytes: p.Bytes, Target: target,
		Parameters: maps.Clone(parameters),
	}
	if plan.App == events.UnknownApp {
		plan.App = "" // no app of ours
	}
	if n := len(p.Sequences); n > 0 {
		plan.First, plan.Last = p.Sequences[0], p.Sequences[n-1]
	}
	if plan.Parameters == nil {
		plan.Parameters = make(map[string]string)
	}
	plan.Parameters["selected"] = fmt.Sprint(p.Selected)
	plan.Parameters["kept-as"] = Counts(p.Was)
	return plan
}

// maxAway is how many times in a row the stores may be away before a release
// gives up: each try waits for seconds, and the next thousand would fare alike.
const maxAway = 5

// notRead is the reason of a request that could not be had from its stream.
const notRead = "not_read"

var errAway = fmt.Errorf("%d in a row found a store away", maxAway)

// Execute releases the requests at the sequences, one after the other, and
// tells each about every one of them. It stops between two when ctx ends, and
// with each's error. The outcome accounts for what was tried; the rest is where
// it was, and a later release finds it.
func (r *Releaser) Execute(ctx context.Context, sequences []uint64, each func(Released) error) (audit.Outcome, error) {
	t := tally{left: "stored and not removed"}
	for _, sequence := range sequences {
		if ctx.Err() != nil {
			return t.outcome(), context.Cause(ctx)
		}
		done, away := r.release(ctx, sequence)
		if done.Reason == notRead && ctx.Err() != nil {
			return t.outcome(), context.Cause(ctx) // not the stream's fault
		}
		t.add(done, away)
		if err := each(done); err != nil {
			return t.outcome(), err
		}
		if t.away == maxAway {
			return t.outcome(), fmt.Errorf("%w: %s", errAway, done.Detail)
		}
	}
	if t.kept > 0 {
		return t.outcome(), fmt.Errorf("%d are stored as events, and could not be taken out of where they were kept; releasing them again finds that they are stored", t.kept)
	}
	return t.outcome(), nil
}

// tally adds up what an execution has done.
type tally struct {
	audit.Outcome
	failed map[string]int // by reason
	kept   int            // done, and not removed
	left   string         // what those are called in the record
	away   int            // how many of the last found a store away
}

func (t *tally) add(d Released, away bool) {
	switch {
	case d.Outcome == string(ingest.Accepted):
		t.Done++
		t.First, t.Last = widen(t.First, t.Last, d.StoredAt)
	case d.Outcome == string(ingest.Duplicate), d.Outcome == Gone:
		t.Skipped++ // an earlier delivery or release has stored it
	default:
		t.Failed++
		count(&t.failed, d.Reason)
	}
	if !d.Removed && ingest.Outcome(d.Outcome).Acknowledged() {
		t.kept++
	}
	if t.away++; !away {
		t.away = 0
	}
}

// outcome is what the audit record says; it holds no word of a request or an
// event.
func (t *tally) outcome() audit.Outcome {
	var parts []string
	if len(t.failed) > 0 {
		parts = append(parts, "failed: "+Counts(t.failed))
	}
	if t.kept > 0 {
		parts = append(parts, fmt.Sprintf("%s: %d", t.left, t.kept))
	}
	if t.away == maxAway {
		parts = append(parts, "given up: a store is away")
	}
	o := t.Outcome
	o.Problem = strings.Join(parts, "; ")
	return o
}

func widen(first, last, sequence uint64) (uint64, uint64) {
	if sequence == 0 {
		return first, last
	}
	if first == 0 {
		first = sequence
	}
	return min(first, sequence), max(last, sequence)
}

// release takes one request in. away tells whether a store, and not the
// request, was the reason for a failure.
func (r *Releaser) release(ctx context.Context, sequence uint64) (out Released, away bool) {
	out = Released{Sequence: sequence}
	m, gone, err := r.Stream.Get(ctx, sequence)
	switch {
	case err != nil:
		out.Outcome, out.Reason, out.Detail = string(fault.Unavailable), notRead, err.Error()
		return out, true
	case gone:
		out.Outcome, out.Removed = Gone, true
		return out, false
	}
	x := NewRefused(m)
	if x.Problem != "" {
		return unreadable(x), false
	}
	out = begin(x)
	res := r.Pipeline.Ingest(ctx, x.Request())
	out.Outcome, out.Reason = string(res.Outcome), res.Reason
	out.EventID, out.Type, out.StoredAt = res.EventID, res.Type, res.Sequence
	if res.Err != nil {
		out.Detail = res.Err.Error()
	}
	if !res.Outcome.Acknowledged() {
		// It stays, also when the answer was lost and the event may be stored
		// (uncertain): releasing it again finds out, by the same message id.
		kind := fault.Kind(res.Outcome)
		return out, kind == fault.Unavailable || kind == fault.Uncertain
	}
	// At this point the event is stored and the request is still kept. If we die
	// here, the next release comes to it again: inside the dedupe horizon it is
	// a duplicate and only removed; beyond that there is one more event with the
	// same id. The other order could lose the request.
	if err := r.Stream.Remove(context.WithoutCancel(ctx), sequence); err != nil {
		out.Detail = err.Error()
		return out, false
	}
	// At this point nothing is owed: no later release meets this request.
	out.Removed = true
	return out, false
}
