package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// MaxRedrives is how often one event is sent again to one consumer without
// somebody insisting: what has failed three times is not mended by a fourth.
const MaxRedrives = 3

// The outcomes of a dead letter beside Gone, which here is that somebody else has
// dealt with it.
const (
	WouldRedrive = "would_redrive"
	WouldDiscard = "would_discard"
	Redriven     = "redriven"
	Discarded    = "discarded"
	Held         = "held"    // it was redriven MaxRedrives times
	Expired      = "expired" // the event is no longer in its stream
	NotDone      = "failed"
)

// SettledLetter is what became, or would become, of a dead letter.
type SettledLetter struct {
	Letter  *DeadLetter
	Outcome string
	Detail  string // for people, of what is not done
	Subject string // where it was sent to
	Stored  uint64 // its sequence there
	Removed bool   // no pointer to it is left
}

// LetterStore is where dead letters are dealt with.
type LetterStore interface {
	// Pointed tells whether there is still a message of ALIPAY_DLQ at a sequence.
	Pointed(ctx context.Context, sequence uint64) (bool, error)
	// Resend stores a message on ALIPAY_REPLAYS, and returns when it is stored.
	Resend(ctx context.Context, subject string, header map[string][]string, data []byte) (sequence uint64, err error)
	// Remove takes a message out of ALIPAY_DLQ. That it is gone already is no error.
	Remove(ctx context.Context, sequence uint64) error
}

// LetterPlan is what a redrive, or a discard, would do.
type LetterPlan struct {
	Discard bool // remove the pointers and send nothing
	Force   bool // also what was redriven MaxRedrives times

	Letters []*DeadLetter // what would be done
	Held    int           // what is left out, because of MaxRedrives
	Expired int           // what is left out, because the event is gone
	Bytes   int64
	counts  LetterCounts
	to      map[string]int // by consumer
	app     string
}

// Add decides on a dead letter.
func (p *LetterPlan) Add(d *DeadLetter) SettledLetter {
	s := SettledLetter{Letter: d, Outcome: WouldRedrive}
	switch {
	case p.Discard:
		s.Outcome = WouldDiscard
	case d.Gone:
		p.Expired++
		s.Outcome, s.Detail = Expired, "the event is no longer on "+d.Stream
		return s
	case d.Redrives >= MaxRedrives && !p.Force:
		p.Held++
		s.Outcome, s.Detail = Held, fmt.Sprintf("it was sent to %s %d times already", d.Consumer, d.Redrives)
		return s
	}
	if !p.Discard {
		s.Subject = d.Subject()
		p.Bytes += int64(len(d.Message.Data) + len(d.Message.Raw))
	}
	if p.counts == nil {
		p.counts, p.app = make(LetterCounts), d.Message.AppID
	}
	if p.app != d.Message.AppID {
		p.app = ""
	}
	p.counts.Count(d)
	count(&p.to, d.Consumer)
	p.Letters = append(p.Letters, d)
	return s
}

// Consumers names whose dead letters they are.
func (p *LetterPlan) Consumers() []string { return slices.Sorted(maps.Keys(p.to)) }

// CountsParameter is the name of the parameter of an audit record that says how
// many of a consumer's messages were dealt with.
const CountsParameter = "given-up"

// Audit is the plan as the guard takes it. The range is that of the pointers.
func (p *LetterPlan) Audit(verb string, parameters map[string]string) audit.Plan {
	plan := audit.Plan{Verb: verb, App: p.app, Items: len(p.Letters), Bytes: p.Bytes, Parameters: maps.Clone(parameters)}
	if plan.Parameters == nil {
		plan.Parameters = make(map[string]string)
	}
	plan.Parameters["consumers"], plan.Parameters[CountsParameter] = Counts(p.to), p.counts.String()
	var targets []string
	for _, c := range p.Consumers() {
		targets = append(targets, events.ReplaysRoot+"."+c+".>")
	}
	switch {
	case p.Discard, len(targets) == 0:
		plan.Target = "nowhere: the pointers are removed"
		if !p.Discard {
			plan.Target = events.ReplaysRoot + ".>"
		}
	default:
		plan.Target = strings.Join(targets, ", ")
	}
	if n := len(p.Letters); n > 0 {
		plan.First, plan.Last = p.Letters[0].Sequence, p.Letters[n-1].Sequence
	}
	return plan
}

// Execute does what the plan says, one dead letter after the other, and tells
// each about every one. It sends first and removes the pointers after: what is
// interrupted between the two is sent again by the next run, under the same event
// id, and nothing is lost. It stops between two when ctx ends, and with each's error.
func (p *LetterPlan) Execute(ctx context.Context, store LetterStore, job, reason string, each func(SettledLetter) error) (audit.Outcome, error) {
	t := letterTally{tally{left: "sent and still pointed to"}}
	mark := events.NewReplayMark(job, reason)
	for _, d := range p.Letters {
		if ctx.Err() != nil {
			return t.outcome(), context.Cause(ctx)
		}
		s, err := p.settle(ctx, store, d, job, mark)
		if err != nil && ctx.Err() != nil {
			return t.outcome(), context.Cause(ctx)
		}
		t.add(s, err)
		if err := each(s); err != nil {
			return t.outcome(), err
		}
		if t.away == maxAway {
			return t.outcome(), fmt.Errorf("%w: %s", errAway, s.Detail)
		}
	}
	if t.kept > 0 {
		return t.outcome(), fmt.Errorf("%d were sent, and the pointers to them could not be removed: doing it again sends them again", t.kept)
	}
	return t.outcome(), nil
}

func (p *LetterPlan) settle(ctx context.Context, store LetterStore, d *DeadLetter, job string, mark events.ReplayMark) (SettledLetter, error) {
	s := SettledLetter{Letter: d, Outcome: NotDone}
	there, err := store.Pointed(ctx, d.Sequence)
	if err != nil {
		s.Detail = err.Error()
		return s, err
	}
	if !there {
		s.Outcome, s.Removed = Gone, true
		return s, nil
	}
	if !p.Discard {
		header := maps.Clone(d.Message.Header)
		mark.Put(header, d.Origin())
		// One job can send the same event to two consumers, and a number can be an
		// event's and a replay's: only the pointer's is one alone.
		header[events.HeaderMessageID] = []string{fmt.Sprintf("replay:%s:%d", job, d.Sequence)}
		s.Subject = d.Subject()
		if s.Stored, err = store.Resend(ctx, s.Subject, header, d.Message.Data); err != nil {
			s.Detail = err.Error()
			return s, err
		}
	}
	// At this point the consumer has it, and the pointers still say that it has not.
	for _, sequence := range d.Pointers {
		if err := store.Remove(context.WithoutCancel(ctx), sequence); err != nil {
			if s.Detail = err.Error(); !p.Discard {
				s.Outcome = Redriven
			}
			return s, err
		}
	}
	s.Removed, s.Outcome = true, Redriven
	if p.Discard {
		s.Outcome = Discarded
	}
	return s, nil
}

// letterTally adds up what became of dead letters.
type letterTally struct{ tally }

func (t *letterTally) add(s SettledLetter, err error) {
	switch s.Outcome {
	case Redriven, Discarded:
		t.Done++
		t.First, t.Last = widen(t.First, t.Last, s.Stored)
		if !s.Removed {
			t.kept++
		}
	case Gone:
		t.Skipped++
	default:
		t.Failed++
		count(&t.failed, fault.ReasonOf(err))
	}
	if t.away++; err == nil || fault.KindOf(err) == fault.TooLarge {
		t.away = 0
	}
}
