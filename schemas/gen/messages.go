package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/schemas"
)

// message is one kind of event, known other message, or the rest, with
// everything that the documents say of it.
type message struct {
	name     string // entity.action; "other" is the rest
	method   string // ce-type; empty for the rest
	title    string
	key      string // the payload's field in the last token; empty: "_"
	fact     string
	schemaID string // of schema; empty without one
	schema   object // without $schema and $id; nil without one
	kind     events.Kind
	examples []example
}

// messages gives every message of events, with its examples.
func (a *author) messages() ([]message, error) {
	var all []message
	for _, k := range events.Kinds() {
		m := message{name: k.Name, method: k.Method, title: k.Title, key: k.Key, fact: k.Fact, schemaID: k.Schema(), kind: k}
		all = append(all, m)
	}
	for _, o := range events.Others() {
		all = append(all, message{name: o.Name, method: o.Method, title: o.Title, fact: o.Fact, schemaID: o.Schema()})
	}
	for i := range all {
		if err := a.complete(&all[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", all[i].name, err)
		}
	}
	rest, err := a.rest()
	return append(all, rest), err
}

// complete adds schema and examples to a message that has a name.
func (a *author) complete(m *message) error {
	if m.schemaID != "" {
		var err error
		if m.schema, err = loadSchema(m.name); err != nil {
			return err
		}
		if err := m.schema.get("title", &m.title); err != nil { // it has Alipay's own term
			return err
		}
	}
	e, err := a.of(m.name, nil)
	if err != nil {
		return err
	}
	if e.Kind != m.name || e.DataSchema != m.schemaID {
		return fmt.Errorf("its example became a %s with the schema %q: %s", e.Kind, e.DataSchema, e.DecodeError)
	}
	x, err := stored(e, "stored", "As Alipay sends it")
	if err != nil {
		return err
	}
	m.examples = []example{x}
	special, err := a.special(e, x)
	m.examples = append(m.examples, special...)
	return err
}

// special gives the forms that any event may take, each in one place.
func (a *author) special(e events.Event, x example) ([]example, error) {
	switch e.Kind {
	case "voucher.created":
		return a.specialVoucher(e, x)
	case "trade.status_changed":
		n, err := a.notification(e.Kind, "")
		if err != nil {
			return nil, err
		}
		const text = "堂食"
		bare, err := a.event(n, func(body []byte) []byte {
			return bytes.Replace(body, []byte(url.QueryEscape(text)), []byte(text), 1)
		})
		if err != nil {
			return nil, err
		}
		y, err := stored(bare, "base64", "A body with bytes that a header cannot hold: Alipay-Raw is base64 of it")
		return []example{y}, err
	}
	return nil, nil
}

func (a *author) specialVoucher(e events.Event, x example) ([]example, error) {
	odd, err := a.of(e.Kind, func(n *alipaytest.Notification) {
		n.SetPayload("event_time", "12342425435232423")
		n.Set("auth_app_id", "2021000000000002")
		n.Set("msg_uid", "2088101122136241")
	})
	if err != nil {
		return nil, err
	}
	y, err := stored(odd, "unparsed", "To a service provider, for a merchant; its event_time means nothing, is under _unparsed, and ce-time is when it was sent")
	if err != nil {
		return nil, err
	}
	changed, err := a.of(e.Kind, func(n *alipaytest.Notification) { n.SetPayload("out_biz_no", "act202601029999999999") })
	if err != nil {
		return nil, err
	}
	changed = changed.AsConflict()
	changed.Unasked = true
	z, err := stored(changed, "conflict", "The notify_id of before with other content, stored while Redis was away")
	return []example{y, z, replayed(x)}, err
}

// rest is what neither the catalogue nor the list of known messages has.
func (a *author) rest() (message, error) {
	m := message{name: "other", title: "Anything else that is verified"}
	for _, s := range []struct {
		name, summary, typ string
		charset            alipaytest.Charset
		edit               func(*alipaytest.Notification)
	}{
		{"unknown", "A message that nobody here has heard of", "voucher.created", "", func(n *alipaytest.Notification) {
			n.Set("msg_method", "alipay.example.unheard.of")
		}},
		{"undecodable", "A known kind without its key, under its method's name", "voucher.created", "", func(n *alipaytest.Notification) {
			n.RemovePayload("activity_id")
		}},
		{"notText", "GBK that calls itself UTF-8: the bytes are kept as base64", "other.alipay_open_app_service_audit_notify", alipaytest.GBK, func(n *alipaytest.Notification) {
			n.Set("charset", "UTF-8")
		}},
	} {
		n, err := a.notification(s.typ, s.charset)
		if err != nil {
			return m, err
		}
		s.edit(n)
		e, err := a.event(n, nil)
		if err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
		x, err := stored(e, s.name, s.summary)
		if err != nil {
			return m, err
		}
		m.examples = append(m.examples, x)
	}
	return m, nil
}

// loadSchema reads a schema file without what names it and its dialect.
func loadSchema(name string) (object, error) {
	text, err := schemas.FS.ReadFile(name + ".v1.json")
	if err != nil {
		return nil, err
	}
	all, err := parseObject(text)
	var out object
	for _, m := range all {
		if m.name != "$schema" && m.name != "$id" {
			out = append(out, m)
		}
	}
	return out, err
}

// field is a property of a schema, for a table.
type field struct {
	Name, Type, Description string
	Values                  []string // some that are known, where it has a set of them
	Required                bool
}

// fields reads the properties of a message's data from its schema.
func (m message) fields() ([]field, error) {
	var text json.RawMessage
	if err := m.schema.get("properties", &text); err != nil {
		return nil, err
	}
	properties, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	var out []field
	for _, p := range properties {
		var s struct {
			Type        any
			Format      string
			Pattern     string
			Description string
			Examples    []any
		}
		if err := properties.get(p.name, &s); err != nil {
			return nil, err
		}
		f := field{Name: p.name, Type: typeWord(s.Type, s.Format, s.Pattern), Description: s.Description}
		switch p.name {
		case m.key:
			f.Required = true
		case "_unparsed":
			f.Description = "[What did not convert](#when-something-is-odd), exactly as it came."
		}
		if f.Type == "string" && !slices.ContainsFunc(s.Examples, notWord) {
			for _, e := range s.Examples {
				if word := e.(string); !strings.Contains(f.Description, word) {
					f.Values = append(f.Values, word)
				}
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// notWord tells ids and texts from the values of Alipay's enums: TRADE_SUCCESS,
// follow.
func notWord(example any) bool {
	s, text := example.(string)
	return !text || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != ""
}

// typeWord says in a word what a property is.
func typeWord(typ any, format, pattern string) string {
	text, single := typ.(string)
	switch {
	case !single:
		return "JSON"
	case format == "date-time":
		return "time"
	case strings.HasPrefix(pattern, "^-?[0-9]+"):
		return "amount"
	}
	return text
}
