package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// member is one name and value of a JSON object, both as they were written. JSON is
// strings here: its parts are parts of the form, and taking them costs nothing.
type member struct {
	name    string // decoded, for look-ups
	rawName string // as written, quotes included
	value   string
}

var errNotObject = errors.New("not a JSON object")

// splitObject gives the members of a valid JSON object in their order, values
// untouched, and the names that stand more than once, of which a map would
// silently drop a value. members is room for them. It is on the path of every
// notification, and walks the text once instead of building values.
func splitObject(members []member, data string) (_ []member, repeated []string, err error) {
	s := scanner{data: data}
	if !s.take('{') {
		return nil, nil, errNotObject
	}
	if s.take('}') {
		return members, nil, nil
	}
	for {
		rawName, ok := s.value()
		if !ok || rawName[0] != '"' {
			return nil, nil, errNotObject
		}
		name := rawName[1 : len(rawName)-1]
		if !plain(name) {
			if name, ok = textOf(rawName); !ok {
				return nil, nil, errNotObject
			}
		}
		if !s.take(':') {
			return nil, nil, errNotObject
		}
		value, ok := s.value()
		if !ok {
			return nil, nil, errNotObject
		}
		for _, m := range members {
			if m.name == name {
				repeated = append(repeated, name)
				break
			}
		}
		members = append(members, member{name: name, rawName: rawName, value: value})
		if s.take('}') {
			return members, repeated, nil
		}
		if !s.take(',') {
			return nil, nil, errNotObject
		}
	}
}

// gather makes one member of those that share a name: a list of their values.
func gather(members []member) []member {
	out := members[:0:0]
	for i, m := range members {
		same := func(other member) bool { return other.name == m.name }
		if slices.ContainsFunc(members[:i], same) {
			continue
		}
		var list []byte
		for _, other := range members[i+1:] {
			if !same(other) {
				continue
			}
			if list == nil {
				list = append(append(list, '['), m.value...)
			}
			list = append(append(list, ','), other.value...)
		}
		if list != nil {
			m.value = string(append(list, ']'))
		}
		out = append(out, m)
	}
	return out
}

// scanner walks over JSON that is known to be valid. On other text it stops,
// and never runs past the end.
type scanner struct {
	data string
	at   int
}

func (s *scanner) space() {
	for ; s.at < len(s.data); s.at++ {
		if c := s.data[s.at]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return
		}
	}
}

// take passes over one structural byte, if it comes next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// value passes over one value and gives its text.
func (s *scanner) value() (text string, ok bool) {
	s.space()
	start, depth := s.at, 0
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case '"':
			if !s.text() {
				return "", false
			}
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return "", false
			}
			s.at++
			continue
		default:
			for s.at < len(s.data) && strings.IndexByte(",:{}[]\" \t\r\n", s.data[s.at]) < 0 {
				s.at++
			}
		}
		if depth == 0 {
			return s.data[start:s.at], true
		}
		if depth < 0 {
			return "", false
		}
	}
	return "", false
}

// text passes over one string.
func (s *scanner) text() bool {
	for s.at++; s.at < len(s.data); s.at++ {
		if c := s.data[s.at]; c == '"' {
			s.at++
			return true
		} else if c == '\\' {
			s.at++
		}
	}
	s.at = len(s.data)
	return false
}

// appendObject writes members as one compact JSON object.
func appendObject(dst []byte, members []member) []byte {
	size := 2
	for _, m := range members {
		size += len(m.rawName) + len(m.value) + 2
	}
	dst = append(slices.Grow(dst, size), '{')
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

func appendCompact(dst []byte, value string) []byte {
	if value != "" && value[0] != '{' && value[0] != '[' {
		return append(dst, value...)
	}
	b := bytes.NewBuffer(dst)
	if err := json.Compact(b, []byte(value)); err != nil {
		return append(dst, value...) // not reached: the object was valid
	}
	return b.Bytes()
}

// quote writes s as a JSON string without the escaping that is meant for web
// pages, so that a URL stays readable.
func quote(s string) string {
	if plain(s) {
		return `"` + s + `"`
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // not reached: a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plain tells whether JSON writes s between quotes as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func newMember(name, value string) member {
	return member{name: name, rawName: quote(name), value: value}
}
