package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// decode maps a message by the NATS protocol binding, 1.0.3-wip section 3.1, has
// the SDK validate the event, and gives what comes back from the SDK's JSON.
func decode(header map[string][]string, data []byte) (event.Event, error) {
	attributes, err := attributesOf(header)
	if err != nil {
		return event.Event{}, err
	}
	e, err := newEvent(attributes, data)
	if err != nil {
		return event.Event{}, err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return event.Event{}, fmt.Errorf("write as JSON: %w", err)
	}
	var back event.Event
	if err := json.Unmarshal(text, &back); err != nil {
		return event.Event{}, fmt.Errorf("read back from JSON: %w", err)
	}
	if err := back.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("after JSON: %w", err)
	}
	if !reflect.DeepEqual(values(e), values(back)) || !sameJSON(data, back.Data()) {
		return event.Event{}, errors.New("JSON and back gives another event")
	}
	return back, nil
}

var attributeName = regexp.MustCompile(`^[a-z0-9]+$`)

// attributesOf decodes the headers of the binding. The binding has receivers
// take more than senders may write; here it is the sender that is on trial.
func attributesOf(header map[string][]string) (map[string]string, error) {
	all := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if strings.EqualFold(name, "content-type") && strings.HasPrefix(strings.ToLower(header[name][0]), "application/cloudevents") {
			return nil, errors.New("this is structured mode, not binary")
		}
		if len(name) < 3 || !strings.EqualFold(name[:3], "ce-") {
			continue
		}
		attribute, lower := strings.CutPrefix(name, "ce-")
		if !lower || !attributeName.MatchString(attribute) || attribute == "data" {
			return nil, fmt.Errorf("%s: no attribute can have this name", name)
		}
		if len(header[name]) != 1 {
			return nil, fmt.Errorf("%s: %d values, want one", name, len(header[name]))
		}
		value, err := unescape(header[name][0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[attribute] = value
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if all[name] == "" {
			return nil, fmt.Errorf("ce-%s is missing or empty", name)
		}
	}
	if all["specversion"] != "1.0" {
		return nil, errors.New("ce-specversion is not 1.0")
	}
	return all, nil
}

// unescape decodes a value that has exactly those bytes encoded which the
// binding says must be.
func unescape(raw string) (string, error) {
	value, err := url.PathUnescape(raw)
	switch {
	case err != nil:
		return "", err
	case !utf8.ValidString(value):
		return "", errors.New("not UTF-8 behind its percent-encoding")
	case escape(value) != raw:
		return "", errors.New("other bytes are percent-encoded than have to be")
	}
	return value, nil
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// newEvent makes the SDK's event of the attributes and has it say that it is
// valid. The SDK trims and normalises some values; who sees that has lost what
// was sent, so it counts as a failure.
func newEvent(attributes map[string]string, data []byte) (event.Event, error) {
	e := event.New(attributes["specversion"])
	for name, value := range attributes {
		switch name {
		case "specversion", "datacontenttype":
		case "id":
			e.SetID(value)
		case "source":
			e.SetSource(value)
		case "type":
			e.SetType(value)
		case "subject":
			e.SetSubject(value)
		case "dataschema":
			e.SetDataSchema(value)
		case "time":
			at, err := types.ParseTime(value)
			if err != nil {
				return e, fmt.Errorf("ce-time: not RFC 3339: %w", err)
			}
			e.SetTime(at)
			attributes[name] = types.FormatTime(at)
		default:
			e.SetExtension(name, value)
		}
	}
	if err := e.SetData(attributes["datacontenttype"], json.RawMessage(data)); err != nil {
		return e, fmt.Errorf("data: %w", err)
	}
	if err := e.Validate(); err != nil {
		return e, err
	}
	for name, value := range values(e) {
		if attributes[name] != value {
			return e, fmt.Errorf("%s is not what the SDK makes of it", name)
		}
		delete(attributes, name)
	}
	if len(attributes) > 0 {
		return e, fmt.Errorf("the SDK drops %v", slices.Sorted(maps.Keys(attributes)))
	}
	return e, nil
}

// values are all attributes of an event as text, extensions included.
func values(e event.Event) map[string]string {
	all := map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(),
		"subject": e.Subject(), "dataschema": e.DataSchema(), "datacontenttype": e.DataContentType(),
	}
	if !e.Time().IsZero() {
		all["time"] = types.FormatTime(e.Time())
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	for name, value := range e.Extensions() {
		all[name] = fmt.Sprint(value)
	}
	return all
}

// sameJSON compares numbers by their digits.
func sameJSON(a, b []byte) bool {
	read := func(text []byte) (value any, err error) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		return value, d.Decode(&value)
	}
	x, errX := read(a)
	y, errY := read(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// line is what is printed of a message.
type line struct {
	Sequence   uint64            `json:"sequence"`
	Attributes map[string]string `json:"attributes"`
	Extensions map[string]string `json:"extensions"`
	Data       json.RawMessage   `json:"data"`
}

func lineOf(sequence uint64, e event.Event) line {
	l := line{Sequence: sequence, Attributes: values(e), Extensions: map[string]string{}, Data: e.Data()}
	for name := range e.Extensions() {
		l.Extensions[name] = l.Attributes[name]
		delete(l.Attributes, name)
	}
	return l
}
