package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// Verb is what the audit trail calls the publishing of inferred events.
const Verb = "reconcile"

// Conclusion is one event that is missing, ready to be published as inferred.
type Conclusion struct {
	events.Inferred
	OutBizNo string // of the request, where it is known
}

// EmitPlan is what would be published: what is missing, each once, and never what
// is uncertain. It grows with what is missing alone.
type EmitPlan struct {
	Conclusions []Conclusion

	known map[string]bool // subject and id
	kinds map[string]int
}

// Add takes the missing events of a report in.
func (p *EmitPlan) Add(r Report) {
	for _, f := range r.Findings {
		p.AddFinding(r.Item, f, r.AskedAt)
	}
}

// AddFinding takes one finding in, if something is missing.
func (p *EmitPlan) AddFinding(item Item, f Finding, at time.Time) {
	if f.Verdict != Missing {
		return
	}
	c := Conclusion{OutBizNo: f.OutBizNo, Inferred: events.Inferred{
		AppID: item.App, Kind: f.Kind, Key: item.Key, State: f.Proof, At: at, Data: f.Data,
	}}
	name := c.Subject() + " " + c.ID()
	if p.known[name] {
		return
	}
	if p.known == nil {
		p.known, p.kinds = make(map[string]bool), make(map[string]int)
	}
	p.known[name] = true
	p.kinds[f.Kind]++
	p.Conclusions = append(p.Conclusions, c)
}

// Kinds counts the plan by kind: "voucher.created 3, voucher.stopped 1".
func (p *EmitPlan) Kinds() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(p.kinds)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, p.kinds[kind]))
	}
	return strings.Join(parts, ", ")
}

// Audit is the plan as the guard takes it.
func (p *EmitPlan) Audit(target string, parameters map[string]string) audit.Plan {
	plan := audit.Plan{Verb: Verb, Items: len(p.Conclusions), Target: target, Parameters: maps.Clone(parameters)}
	if plan.Parameters == nil {
		plan.Parameters = make(map[string]string)
	}
	for i, c := range p.Conclusions {
		plan.Bytes += int64(len(c.Data))
		if i == 0 {
			plan.App = c.AppID
		}
		if plan.App != c.AppID {
			plan.App = ""
		}
	}
	if len(p.kinds) > 0 {
		plan.Parameters["kinds"] = p.Kinds()
	}
	return plan
}

// Publisher stores inferred events.
//
// PublishInferred returns nil only when the event is stored, now or (Duplicate)
// before; after an error of the kind fault.Uncertain it may be.
type Publisher interface {
	PublishInferred(ctx context.Context, i events.Inferred) (events.Receipt, error)
}

// Emitter publishes conclusions.
type Emitter struct {
	Archive   Archive
	Publisher Publisher
}

// Emitted is what became of one conclusion.
type Emitted struct {
	Conclusion
	Outcome  string // see below
	Sequence uint64 // where it is stored on ALIPAY_INFERRED
	Err      error  // of what failed
}

// The outcomes of an emission.
const (
	WasPublished = "published"
	WasConcluded = "concluded_before" // somebody has published the same conclusion
	HasArrived   = "arrived"          // the genuine event is stored by now
	NotPublished = "failed"
)

// maxFailed is how many publications in a row may fail before the rest is left alone.
const maxFailed = 5

// Execute publishes the conclusions one after the other, and tells each about
// every one. What is stored already, as genuine or as inferred, is skipped: doing
// it twice changes nothing. It stops between two when ctx ends.
func (e *Emitter) Execute(ctx context.Context, all []Conclusion, each func(Emitted) error) (audit.Outcome, error) {
	var o audit.Outcome
	row := 0
	for _, c := range all {
		if ctx.Err() != nil {
			return o, context.Cause(ctx)
		}
		out := e.emit(ctx, c)
		row++
		switch out.Outcome {
		case WasPublished:
			o.Done++
			if o.First == 0 {
				o.First = out.Sequence
			}
			o.Last, row = max(o.Last, out.Sequence), 0
		case NotPublished:
			o.Failed++
			o.Problem = "not stored: " + string(fault.KindOf(out.Err))
		default:
			o.Skipped++
			row = 0
		}
		if err := each(out); err != nil {
			return o, err
		}
		if row == maxFailed {
			return o, fmt.Errorf("%d in a row were not stored: %w", maxFailed, out.Err)
		}
	}
	return o, nil
}

// emit publishes one, unless it is stored already.
func (e *Emitter) emit(ctx context.Context, c Conclusion) Emitted {
	out := Emitted{Conclusion: c, Outcome: NotPublished}
	err := e.Archive.Events(ctx, c.AppID, c.Kind, c.Key, func(m events.Stored) error {
		number := newSeen(c.Kind, m).outBizNo
		many := c.Kind == Modified || c.Kind == Appended
		if m.Key == c.Key && !m.Replayed() && (!many || c.OutBizNo != "" && number == c.OutBizNo) {
			out.Outcome, out.Sequence = HasArrived, 0
			return errFound
		}
		return nil
	})
	if err == nil {
		err = e.Archive.Inferred(ctx, c.AppID, c.Kind, c.Key, func(m events.Stored) error {
			if m.ID == c.ID() {
				out.Outcome, out.Sequence = WasConcluded, m.Sequence
				return errFound
			}
			return nil
		})
	}
	switch {
	case errors.Is(err, errFound):
		return out
	case err != nil:
		out.Err = err
		return out
	}
	receipt, err := e.Publisher.PublishInferred(ctx, c.Inferred)
	switch {
	case err != nil:
		// It may be stored: the next run looks, and finds it.
		out.Err = err
	case receipt.Duplicate:
		out.Outcome, out.Sequence = WasConcluded, receipt.Sequence
	default:
		out.Outcome, out.Sequence = WasPublished, receipt.Sequence
	}
	return out
}
