package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"alipay-notify/internal/events"
)

// The entities that can be asked for.
const (
	Voucher = "voucher" // an activity; its key is the activity_id
	Card    = "card"    // a membership card; its key is the biz_card_no
)

// The kinds of events whose absence state may prove.
const (
	Created  = "voucher.created"
	Modified = "voucher.modified"
	Appended = "voucher.appended"
	Stopped  = "voucher.stopped"
	Opened   = "card.open_result"
)

// Kinds are the kinds of an entity's events that are compared.
func Kinds(entity string) []string {
	if entity == Card {
		return []string{Opened}
	}
	return []string{Created, Modified, Appended, Stopped}
}

// Item is one thing to be reconciled.
type Item struct {
	App, Entity, Key string

	Born     time.Time // when it came into being at Alipay; zero where the source does not say
	Requests []Request // what is known to have been asked for, as far as the source knows
	Cursor   uint64    // where it stands in its source; 0 where nobody can go on from there
}

// Request is one operation that somebody asked Alipay for.
type Request struct {
	Kind     string          // of the event that confirms it
	OutBizNo string          // empty where it is not known
	Values   json.RawMessage // an object of what was asked for, under Alipay's names; or nothing
	At       time.Time       // when; zero where it is not known
	Due      time.Time       // until when its event should have come; zero: nobody said
	Doubtful bool            // whether Alipay took it is not known
	Source   string          // who says so: an expectation, the audit trail, a file
}

// The states of an activity (PROTOCOL.md 5.2).
const (
	statusNone     = "" // accepted, and not created yet
	statusInit     = "INIT"
	statusActive   = "ACTIVE"
	statusPaused   = "PAUSE"
	statusFinished = "FINISHED"
)

// State is what Alipay says about an item. Fields of which it says nothing are
// empty.
type State struct {
	Unknown bool   // Alipay does not know the item
	Why     string // Alipay's word on that

	Status    string    // activity_status
	Operation string    // activity_operation_status: what is at work
	Ends      time.Time // publish_end_time
	Born      time.Time // of a card: open_date
	Total     int64     // vouchers that there are in all
	Given     int64     // vouchers that users have

	Data json.RawMessage // the whole answer: what was asked for is compared with it
}

// Asker asks Alipay. An error means that nothing is known; one that is not about
// the item alone (AboutItem) will meet the next items, too. It is used from several
// goroutines.
type Asker interface {
	Ask(ctx context.Context, item Item) (State, error)
}

// Archive finds what is stored of one kind and key, oldest first. It is used from
// several goroutines; an error of fn ends the reading and is returned.
type Archive interface {
	// Events are those that Alipay proved it said.
	Events(ctx context.Context, app, kind, key string, fn func(events.Stored) error) error
	// Inferred are those that were concluded before.
	Inferred(ctx context.Context, app, kind, key string, fn func(events.Stored) error) error
}

// Book knows of requests. It is used from several goroutines.
type Book interface {
	Requests(ctx context.Context, item Item) ([]Request, error)
}

// Verdict is what a comparison came to. The set is closed.
type Verdict string

// The verdicts, of an item the worst of its findings, in this order.
const (
	NotAsked    Verdict = "could_not_ask"     // nothing is known of the state
	Unknown     Verdict = "unknown_to_alipay" // there is no such item, or not for this app
	Missing     Verdict = "missing"           // the state proves that it happened, and no event says so
	Unexplained Verdict = "state_unexplained" // state, events and requests contradict each other
	CannotTell  Verdict = "cannot_tell"       // neither proved nor disproved
	OutOfOrder  Verdict = "out_of_order"      // the event is there, stored before an earlier one
	Late        Verdict = "late"              // the event is there, and came late
	Inferred    Verdict = "inferred"          // missing, and concluded before
	InStep      Verdict = "in_step"           // what is proved is there, and nothing else is due
)

// Verdicts is the whole set, the worst first.
func Verdicts() []Verdict {
	return []Verdict{NotAsked, Unknown, Missing, Unexplained, CannotTell, OutOfOrder, Late, Inferred, InStep}
}

// Alarming tells whether somebody has to do something.
func (v Verdict) Alarming() bool { return v == Missing || v == Unexplained || v == Unknown }

// Finding is what is said about one kind of event, or about one request.
type Finding struct {
	Kind     string
	OutBizNo string // where it is known
	Verdict  Verdict
	Why      string // for people
	Sequence uint64 // of the event, or of the inferred one; 0 without

	// Of what is missing: how an inferred event of it names what proves it, and
	// what it can say.
	Proof string
	Data  json.RawMessage

	request int // of the item's, from 1; 0: none
}

// Report is what is said about one item.
type Report struct {
	Item     Item
	State    State
	AskedAt  time.Time
	Verdict  Verdict
	Findings []Finding // the worst first; in step only where a request is answered
	Unproved []string  // kinds of which a missing event could not be seen, because no request is known
	Err      error     // of NotAsked
}

// settle gives the report its verdict.
func (r *Report) settle() {
	r.Verdict = InStep
	var sorted []Finding
	for _, v := range Verdicts() {
		for _, f := range r.Findings {
			if f.Verdict != v || v == InStep && f.request == 0 {
				continue
			}
			sorted = append(sorted, f)
			if r.Verdict == InStep {
				r.Verdict = v
			}
		}
	}
	r.Findings = sorted
}
