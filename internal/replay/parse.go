package replay

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"alipay-notify/internal/events"
)

// RawSelection is a selection as somebody wrote it. Every text may be empty,
// which selects by nothing.
type RawSelection struct {
	App   string // app_id
	Type  string // entity.action, or entity.*
	Key   string
	ID    string // notify_id
	Since string // RFC 3339, a date, or a duration back from now
	Until string // as Since
	Seq   string // N, A-B or A-
	Limit int

	IncludeReplays bool
}

// FieldError says which part of a RawSelection cannot be meant.
type FieldError struct {
	Field  string // as users name it: app, type, ..., limit
	Value  string
	Reason string
	Meant  []string // what could be meant instead; may be empty
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Reason) }

const (
	anyAction  = "*"
	otherMark  = "other."
	allUnknown = "_unknown" // the app of rejects that name none of ours
)

// ParseSelection reads a selection; durations count back from now. The error
// is a *FieldError about the first field that is wrong.
func ParseSelection(raw RawSelection, now time.Time) (Selection, error) {
	s := Selection{App: raw.App, Type: raw.Type, Key: raw.Key, ID: raw.ID, Limit: raw.Limit, IncludeReplays: raw.IncludeReplays}
	if err := checkApp(raw.App); err != nil {
		return Selection{}, err
	}
	if err := checkType(raw.Type); err != nil {
		return Selection{}, err
	}
	var err error
	if s.Since, err = parseTime("since", raw.Since, now); err != nil {
		return Selection{}, err
	}
	if s.Until, err = parseTime("until", raw.Until, now); err != nil {
		return Selection{}, err
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until) {
		return Selection{}, &FieldError{
			Field: "until", Value: raw.Until,
			Reason: "want a time after " + s.Since.Format(time.RFC3339) + ", where the selection begins",
		}
	}
	if s.FirstSeq, s.LastSeq, err = parseSeq(raw.Seq); err != nil {
		return Selection{}, err
	}
	if raw.Limit < 0 {
		return Selection{}, &FieldError{Field: "limit", Value: strconv.Itoa(raw.Limit), Reason: "want 0 (all) or more"}
	}
	return s, nil
}

func checkApp(app string) error {
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	if app == allUnknown || len(app) <= 32 && !strings.ContainsFunc(app, notDigit) {
		return nil
	}
	return &FieldError{Field: "app", Value: app, Reason: "want an app_id, which is digits, such as 2021000000000001"}
}

// checkType takes what exists: the catalogue's kinds, whole entities, and the
// other.* form of every method, of which there is no list.
func checkType(name string) error {
	if name == "" {
		return nil
	}
	if _, known := events.KindByName(name); known {
		return nil
	}
	entity, action, _ := strings.Cut(name, ".")
	if entity == "other" && action != "" && (action == anyAction || events.Token(action) == action) {
		return nil
	}
	for _, k := range events.Kinds() {
		if action == anyAction && strings.HasPrefix(k.Name, entity+".") {
			return nil
		}
	}
	return &FieldError{Field: "type", Value: name, Reason: "unknown type", Meant: suggestType(name)}
}

// suggestType gives the one type that is meant, where Alipay's own name, its dots
// or a slip of the finger tell, and else all there are.
func suggestType(name string) []string {
	for _, k := range events.Kinds() {
		if k.Method == name || slip(k.Name, name) {
			return []string{k.Name}
		}
	}
	if method, ok := strings.CutPrefix(name, otherMark); ok && method != "" && len(method) <= 128 {
		return []string{otherMark + events.Token(method)}
	}
	return Types()
}

// slip tells whether two words are one letter apart, or have two swapped.
func slip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || len(a) <= 1 && len(b) <= 1
}

// Types gives what a selection's type can be, for help texts and completion:
// the kinds of the catalogue, the whole entities, and the form of all others.
func Types() []string {
	var types, whole []string
	last := ""
	for _, k := range events.Kinds() { // in the order of the names
		types = append(types, k.Name)
		if entity, _, _ := strings.Cut(k.Name, "."); entity != last {
			whole = append(whole, entity+"."+anyAction)
			last = entity
		}
	}
	return append(append(types, whole...), otherMark+anyAction, otherMark+"<method with _ for .>")
}

// timeForms is what the times of a selection may look like.
const timeForms = "RFC 3339 (2026-08-01T09:30:00+08:00), a date (2026-08-01, from 00:00 UTC), or a duration back from now (30m, 2h, 7d)"

// parseTime gives the moment that a text means, in UTC.
func parseTime(field, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, ok := time.Time{}, false
	if back, isDuration := parseBack(text); isDuration {
		at, ok = now.Add(-back).UTC(), true
	} else {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if t, err := time.Parse(layout, text); err == nil {
				at, ok = t.UTC(), true
				break
			}
		}
	}
	// A zero time would mean no bound at all, and NATS takes no year beyond 9999.
	if !ok || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, &FieldError{Field: field, Value: text, Reason: "want " + timeForms}
	}
	return at, nil
}

const day = 24 * time.Hour

// parseBack reads a duration, which may begin with whole days: 7d, 1d12h. It
// takes no sign: nothing is stored in the future.
func parseBack(text string) (time.Duration, bool) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	rest, days := text, time.Duration(0)
	if before, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, false
		}
		days, rest = time.Duration(n)*day, after
	}
	if rest == "" {
		return days, true
	}
	d, err := time.ParseDuration(rest)
	return days + d, err == nil && d >= 0 && days+d >= 0 && rest[0] != '+'
}

// parseSeq reads N, A-B or A-.
func parseSeq(text string) (first, last uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	first, errFrom := strconv.ParseUint(from, 10, 63)
	switch {
	case !isRange:
		last = first
	case to != "":
		var errTo error
		if last, errTo = strconv.ParseUint(to, 10, 63); errTo != nil {
			errFrom = errTo
		}
	}
	if errFrom != nil || first == 0 || isRange && to != "" && last == 0 {
		return 0, 0, &FieldError{Field: "seq", Value: text, Reason: "want N, A-B or A-, counted from 1"}
	}
	if isRange && to != "" && last < first {
		return 0, 0, &FieldError{Field: "seq", Value: text, Reason: "want the smaller one first", Meant: []string{fmt.Sprintf("%d-%d", last, first)}}
	}
	return first, last, nil
}
