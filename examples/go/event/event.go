// Package event reads a stored event as it comes from NATS: a CloudEvent in the
// binary mode of the NATS binding, with data as the published schema says. Copy
// it, and put the kinds that you want into kinds.go.
package event

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrOther is a message of a kind that this consumer has not asked for. It is
// acknowledged and forgotten.
var ErrOther = errors.New("a kind that this consumer does not read")

// Event is one event, reduced to what this consumer needs of it.
type Event struct {
	// Source and ID name the notification. Retries of Alipay's, redeliveries and
	// replays of one notification all have the same.
	Source, ID string

	// A replay has in ReplayJob which job of an operator sent it again; its ID is
	// the original's, so here it has no second effect. A consumer whose effect
	// shall be repeated on request (an index that is built anew, say) remembers
	// Source, ID and ReplayJob in place of Source and ID.
	ReplayJob string

	// Business is Alipay's own id of what happened (data.id), or empty. Alipay may
	// tell of one happening in two notifications: within Source and Type the same
	// Business is the same happening.
	Type, Business string

	// Time is when it happened, and orders the events of one Key: they arrive in
	// no order. TimeText is the same as it was written.
	Time     time.Time
	TimeText string

	AppID  string // of Source
	Kind   string // entity.action, such as voucher.modified
	Key    string // the activity or the card, verbatim (the subject has it mangled)
	Opened bool   // card.open_result: whether the card was opened
}

// maxID is more than any id of Alipay's has (128 characters by its documents).
const maxID = 1024

// Parse reads a message. An error other than ErrOther means that the message can
// never be read, however often it comes; it does not quote the message, which
// holds personal data.
func Parse(subject string, header nats.Header, data []byte) (Event, error) {
	stored := kindOf(subject)
	if entity, _, _ := strings.Cut(stored, "."); !ours[entity] {
		return Event{}, ErrOther
	}
	if attribute(header, "ce-specversion") != "1.0" {
		return Event{}, errors.New("not a CloudEvent 1.0")
	}
	e := Event{
		Source:    attribute(header, "ce-source"),
		ID:        attribute(header, "ce-id"),
		Type:      attribute(header, "ce-type"),
		TimeText:  attribute(header, "ce-time"),
		ReplayJob: attribute(header, "ce-replayjob"),
	}
	var named bool
	// /alipay/<app>/inferred is what reconciliation concluded: not ours to count.
	if e.AppID, named = strings.CutPrefix(e.Source, "/alipay/"); !named || e.AppID == "" || strings.Contains(e.AppID, "/") {
		return Event{}, errors.New("ce-source names no app")
	}
	if e.ID == "" || len(e.ID) > maxID {
		return Event{}, errors.New("ce-id is missing or too long")
	}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, e.TimeText); err != nil {
		return Event{}, errors.New("ce-time is not a time of RFC 3339")
	}
	k, known := kinds[e.Type]
	if !known || k.name != stored {
		return Event{}, errors.New("ce-type is of no kind that this consumer knows, or not that of the subject")
	}
	e.Kind = k.name
	if err := k.read(data, &e); err != nil {
		return Event{}, err
	}
	if e.Key == "" || len(e.Key) > maxID {
		return Event{}, errors.New("the key in data is empty or too long")
	}
	return e, nil
}

// kindOf gives entity.action of alipay.events.<app>.<entity>.<action>.<key>, and
// of alipay.replays.<consumer>.<app>..., which has one token more.
func kindOf(subject string) string {
	tokens := strings.Split(subject, ".")
	at := 3
	if len(tokens) > 1 && tokens[1] == "replays" {
		at = 4
	}
	if len(tokens) < at+2 {
		return ""
	}
	return tokens[at] + "." + tokens[at+1]
}

// attribute gives a CloudEvents attribute. The binding percent-encodes what is
// not printable ASCII. Names are looked up as they are: NATS keeps their case.
func attribute(h nats.Header, name string) string {
	v := h.Get(name)
	if decoded, err := url.PathUnescape(v); err == nil {
		return decoded
	}
	return v // somebody else's way of writing it
}

// undecodable says what is wrong with data, and quotes nothing of it.
func undecodable(kind string, err error) error {
	return fmt.Errorf("data is not what the schema of %s says: %w", kind, redacted(err))
}
