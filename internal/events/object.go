package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// member is one name and value of a JSON object, both as they were written.
type member struct {
	name    string          // decoded, for look-ups
	rawName json.RawMessage // as written, quotes included
	value   json.RawMessage
}

// splitObject gives the members of a JSON object in their order, values
// untouched. A repeated name is an error: which of the two is meant cannot be
// told, and a map would silently drop one.
func splitObject(data []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object")
	}
	var members []member
	for dec.More() {
		from := dec.InputOffset()
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("broken JSON object: %w", err)
		}
		name, _ := t.(string) // the decoder allows nothing else here
		raw := bytes.TrimLeft(data[from:dec.InputOffset()], ", \t\r\n")
		for _, m := range members {
			if m.name == name {
				return nil, fmt.Errorf("the name %q stands twice", Token(name))
			}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("broken JSON object: %w", err)
		}
		members = append(members, member{name: name, rawName: raw, value: value})
	}
	return members, nil
}

// appendObject writes members as one compact JSON object.
func appendObject(dst []byte, members []member) []byte {
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, m.rawName...)
		dst = append(dst, ':')
		dst = appendCompact(dst, m.value)
	}
	return append(dst, '}')
}

func appendCompact(dst []byte, value json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return append(dst, value...) // not reached: values come out of the decoder
	}
	return append(dst, b.Bytes()...)
}

// quote writes s as a JSON string without the escaping that is meant for web
// pages, so that a URL stays readable.
func quote(s string) json.RawMessage {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return json.RawMessage(`""`) // not reached: a string always encodes
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n"))
}

func newMember(name string, value json.RawMessage) member {
	return member{name: name, rawName: quote(name), value: value}
}
