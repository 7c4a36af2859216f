package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// param is one parameter at the top level of what the caller gave, as JSON.
type param struct {
	name string
	raw  json.RawMessage
}

// parseParams reads the parameters in the order in which they were given. Null
// means absent: Alipay's own client in Java once signed the word.
func parseParams(from any) ([]param, error) {
	data, err := encode(from)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the parameters are not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the parameters are not one JSON object")
	}
	var out []param
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("the parameters are not JSON")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("the parameters are not JSON: %s", shorten(strconv.QuoteToASCII(name), 64))
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is given twice", shorten(strconv.QuoteToASCII(name), 64))
		}
		seen[name] = true
		if !bytes.Equal(raw, []byte("null")) {
			out = append(out, param{name, raw})
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the parameters are not JSON: the object does not end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something comes after the parameters")
	}
	return out, nil
}

// wired are parameters that are not sent as encoding/json shows them, because one
// of them is a Secret.
type wired interface{ wire() any }

// encode gives JSON without HTML escapes, which only make a request unreadable.
func encode(from any) ([]byte, error) {
	switch v := from.(type) {
	case nil:
		return []byte("{}"), nil
	case json.RawMessage:
		return compact(v)
	case []byte:
		return compact(v)
	case wired:
		from = v.wire()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(from); err != nil {
		return nil, errors.New("the parameters cannot be written as JSON") // the cause may quote them
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func compact(data []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		return nil, errors.New("the parameters are not JSON")
	}
	return b.Bytes(), nil
}

// object writes parameters as one JSON object.
func object(params []param) []byte {
	b := []byte{'{'}
	for i, p := range params {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quote(p.name)...)
		b = append(append(b, ':'), p.raw...)
	}
	return append(b, '}')
}

func quote(s string) []byte {
	b, err := encode(s)
	if err != nil {
		return []byte(`""`) // not reached: every string can be written
	}
	return b
}

// text is a parameter as it stands in a query: a string's content, anything else
// as JSON.
func (p param) text() string {
	var s string
	if json.Unmarshal(p.raw, &s) == nil {
		return s
	}
	return string(p.raw)
}

// empty tells whether a parameter has no content: Alipay leaves those out of the
// signed string, so that a required one would be missing.
func (p param) empty() bool {
	switch string(p.raw) {
	case `""`, "[]", "{}", "null":
		return true
	}
	return false
}

// get finds a parameter; the path is dotted for those of blocks.
func get(params []param, path string) (param, bool) {
	name, rest, nested := strings.Cut(path, ".")
	i := slices.IndexFunc(params, func(p param) bool { return p.name == name })
	if i < 0 || params[i].empty() {
		return param{}, false
	}
	if !nested {
		return params[i], true
	}
	inner, err := parseParams(params[i].raw)
	if err != nil {
		return param{}, false
	}
	return get(inner, rest)
}

// check names every required field that is missing and every value that is too
// long, and quotes none: some are personal.
func (op Operation) check(params []param) error {
	var wrong []string
	for _, f := range op.Fields {
		p, given := get(params, f.Name)
		if !given {
			if f.Required && op.asksFor(params, f.Name) {
				wrong = append(wrong, f.Name+" is required")
			}
			continue
		}
		if problem := f.check(p); problem != "" {
			wrong = append(wrong, f.Name+" "+problem)
		}
	}
	has := func(path string) bool { _, given := get(params, path); return given }
	for _, group := range op.Either {
		if !slices.ContainsFunc(group, has) && op.asksFor(params, group[0]) {
			wrong = append(wrong, "one of "+strings.Join(group, ", ")+" is required")
		}
	}
	if n := len(op.OnlyOf); n > 0 {
		if n -= len(slices.DeleteFunc(slices.Clone(op.OnlyOf), has)); n != 1 {
			wrong = append(wrong, fmt.Sprintf("exactly one of %s is required, not %d", strings.Join(op.OnlyOf, ", "), n))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// asksFor tells whether a field's block is there; a missing block is named by
// itself where it is required.
func (op Operation) asksFor(params []param, path string) bool {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return true
	}
	_, given := get(params, path[:i])
	return given
}

func (f Field) check(p param) string {
	text := p.text()
	if n := utf8.RuneCountInString(text); f.Max > 0 && p.raw[0] == '"' && n > f.Max {
		return fmt.Sprintf("has %d characters, at most %d are allowed", n, f.Max)
	}
	if f.Most == 0 {
		return ""
	}
	if p.raw[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(p.raw, &items); err == nil && int64(len(items)) > f.Most {
			return fmt.Sprintf("has %d items, at most %d are allowed", len(items), f.Most)
		}
		return ""
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 1 || n > f.Most {
		return fmt.Sprintf("must be a whole number from 1 to %d", f.Most)
	}
	return ""
}

// ascii escapes what is not ASCII, so that the same bytes are the same JSON in
// UTF-8 and in GBK.
func ascii(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, r := range string(data) {
		switch {
		case r < utf8.RuneSelf:
			out = append(out, string(r)...)
		case r > 0xFFFF:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
