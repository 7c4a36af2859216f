package ingest

import "alipay-notify/internal/fault"

// Outcome is how the handling of one notification ended. The set is closed:
// the reply to Alipay, the metric label, the log field and the alert are all
// looked up by it.
type Outcome string

// The outcomes that are no failure; each failure kind is an outcome too.
const (
	Accepted  Outcome = "accepted"  // stored now
	Duplicate Outcome = "duplicate" // stored before
	Checked   Outcome = "checked"   // a gateway check, answered
)

// Outcomes is the whole set, for tables and tests that walk it.
func Outcomes() []Outcome {
	all := []Outcome{Accepted, Duplicate, Checked}
	for _, k := range fault.Kinds() {
		all = append(all, Outcome(k))
	}
	return all
}

// Acknowledged tells whether the outcome means that the event is stored.
func (o Outcome) Acknowledged() bool { return o == Accepted || o == Duplicate }
