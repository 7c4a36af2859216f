package replay

import (
	"cmp"
	"strings"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/verify"
)

// Refused is one stored request that was not accepted.
type Refused struct {
	events.Kept
	Stored  events.Stored // as the stream keeps it
	App     string        // of the subject: an app_id, or _unknown
	Claimed string        // the notify_id that an unproved body names; anybody can write one
	Problem string        // what could not be read of it, or empty
}

// NewRefused reads a message of ALIPAY_QUARANTINE or ALIPAY_REJECTS.
func NewRefused(m events.Stored) Refused {
	r := Refused{Stored: m, App: m.KeptApp()}
	var err error
	if r.Kept, err = m.Kept(); err != nil {
		r.Problem = err.Error()
	}
	if r.Proved() {
		return r
	}
	if form, err := verify.ParseForm(r.Body); err == nil {
		if id := form.Get("notify_id"); len(id) <= maxClaim {
			r.Claimed = id
		}
	}
	return r
}

// maxClaim is the longest id that Alipay gives; longer ones are no ids.
const maxClaim = 128

// RefusedSelection is a set of refused requests: those parts of a Selection
// that mean something of them (App, ID, times, sequences, Limit), and why they
// were refused. ID is the notify_id, proved or claimed.
type RefusedSelection struct {
	Selection
	Why string // the reason; empty: all
}

// ParseRefusedSelection reads a selection of refused requests. A type or a key
// is an error: what was refused was never typed.
func ParseRefusedSelection(raw RawSelection, why string, now time.Time) (RefusedSelection, error) {
	const never = "it does not apply: what was refused was never typed, and has no type and no key"
	switch {
	case raw.Type != "":
		return RefusedSelection{}, &FieldError{Field: "type", Value: raw.Type, Reason: never}
	case raw.Key != "":
		return RefusedSelection{}, &FieldError{Field: "key", Value: raw.Key, Reason: never}
	case why != "" && (events.Token(why) != why || strings.ToLower(why) != why):
		return RefusedSelection{}, &FieldError{Field: "why", Value: why, Reason: "want a reason as list prints it, such as bad_signature"}
	}
	s, err := ParseSelection(raw, now)
	return RefusedSelection{Selection: s, Why: why}, err
}

// Filters gives the subjects that hold the selection below alipay.quarantine
// or alipay.rejects.
func (s RefusedSelection) Filters(root string) []string {
	if s.Why == "" {
		return s.Selection.Filters(root)
	}
	return []string{strings.Join([]string{root, orAny(s.App), s.Why}, ".")}
}

// Picker begins a reading.
func (s RefusedSelection) Picker() *RefusedPicker {
	return &RefusedPicker{why: s.Why, picker: s.Selection.Picker()}
}

// RefusedPicker is a Picker of refused requests.
type RefusedPicker struct {
	why    string
	picker *Picker
}

// Pick is Picker.Pick.
func (p *RefusedPicker) Pick(r Refused) (selected, more bool) {
	if p.why != "" && r.Reason != p.why {
		return false, true
	}
	m := r.Stored
	m.AppID, m.ID = r.App, cmp.Or(r.NotifyID, r.Claimed)
	return p.picker.Pick(m)
}
