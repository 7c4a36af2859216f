// Package replay is about stored events that somebody wants to see or send
// again: which ones are meant, what sending them would do, and the sending, as a
// job whose record lets another process go on with it. A Selection says what is
// meant in the words that every verb shares. It narrows the reading on the server
// as far as subjects can, and decides the rest on each message.
//
// The package reaches the archive, the records and the targets through the
// interfaces that it declares. It prints nothing, asks nothing, and knows neither
// flags nor formats.
package replay

import (
	"strings"
	"time"

	"alipay-notify/internal/events"
)

// Selection is a set of stored messages. The zero value is everything but
// replays. Make one with ParseSelection, which checks what the fields rely on:
// App and Type are made of subject tokens.
type Selection struct {
	App  string // app_id; empty: all
	Type string // entity.action, or entity.* for all of an entity; empty: all
	Key  string // the event's key, verbatim; empty: all
	ID   string // ce-id; what came under the same id with other content is meant too; empty: all

	// Times are those of storing on the stream, the only ones that are in the
	// stream's order: from Since on, and before Until. Zero: no bound.
	Since, Until time.Time

	FirstSeq, LastSeq uint64 // both included; 0: no bound

	Limit          int  // the first so many of the selection; 0: all
	IncludeReplays bool // also what was sent again, not only what Alipay sent
}

// byApp are the roots below which subjects go on with an app and a reason or
// verb, not with the entity, action and key of an event.
var byApp = map[string]bool{
	"alipay.quarantine": true,
	"alipay.rejects":    true,
	"alipay.audit":      true,
}

// Filters gives the subjects that hold the selection, for the server to filter
// by. root is where a stream's subjects begin, such as alipay.events or
// alipay.replays.<consumer>. The filters may let more through than is selected
// (Match decides), and never less. No value can act as a wildcard.
func (s Selection) Filters(root string) []string {
	app := orAny(s.App)
	switch {
	case byApp[root] && s.App == "", s.App == "" && s.Type == "" && s.Key == "":
		return []string{root + ".>"} // also what is not shaped as it should be
	case byApp[root]:
		return []string{strings.Join([]string{root, app, ">"}, ".")}
	}
	entity, action := "*", "*"
	if s.Type != "" {
		before, after, _ := strings.Cut(s.Type, ".")
		entity = events.Token(before)
		if after != anyAction {
			action = events.Token(after)
		}
	}
	return []string{strings.Join([]string{root, app, entity, action, orAny(s.Key)}, ".")}
}

// orAny is the token of a value, or the wildcard where nothing is selected.
func orAny(value string) string {
	if value == "" {
		return "*"
	}
	return events.Token(value)
}

// Match tells whether a message belongs to the selection, Limit aside.
func (s Selection) Match(m events.Stored) bool {
	switch {
	case s.App != "" && m.AppID != s.App,
		s.Type != "" && !s.matchType(m.Kind),
		s.Key != "" && m.Key != s.Key,
		s.ID != "" && m.ID != s.ID && m.Conflict != s.ID,
		!s.IncludeReplays && m.Replayed(),
		m.Sequence < s.FirstSeq,
		!s.Since.IsZero() && m.StoredAt.Before(s.Since):
		return false
	}
	return !s.beyond(m)
}

func (s Selection) matchType(kind string) bool {
	if entity, ok := strings.CutSuffix(s.Type, anyAction); ok {
		return strings.HasPrefix(kind, entity) // the dot is part of it
	}
	return kind == s.Type
}

// beyond tells whether the message, and therefore every later one, comes after
// the end of the selection.
func (s Selection) beyond(m events.Stored) bool {
	return s.LastSeq > 0 && m.Sequence > s.LastSeq || !s.Until.IsZero() && !m.StoredAt.Before(s.Until)
}

// Picker takes the selection out of a stream that is read in its order. It is
// for one reading and one goroutine.
type Picker struct {
	selection Selection
	taken     int
}

// Picker begins a reading.
func (s Selection) Picker() *Picker { return &Picker{selection: s} }

// Pick tells whether the next message is selected, and whether a later one can
// be: without more, reading on would be in vain.
func (p *Picker) Pick(m events.Stored) (selected, more bool) {
	s := p.selection
	if s.beyond(m) || s.Limit > 0 && p.taken >= s.Limit {
		return false, false
	}
	selected = s.Match(m)
	if selected {
		p.taken++
	}
	return selected, (s.Limit == 0 || p.taken < s.Limit) && (s.LastSeq == 0 || m.Sequence < s.LastSeq)
}
