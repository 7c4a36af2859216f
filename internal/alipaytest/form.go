package alipaytest

import "slices"

// Field is one name and value. In a Form the value is bytes in the declared
// charset, before percent-encoding; in Options it is UTF-8 text.
type Field struct{ Name, Value string }

// Form is what is posted: fields in sending order. The order means nothing to
// the signature, but it is that of the captures (PROTOCOL.md 1.1). With and
// Without leave the form they are called on alone, so one form can serve many
// cases of a test; append adds a repeated field.
type Form []Field

// Get is the first value of name, and whether there is one.
func (f Form) Get(name string) (string, bool) {
	for _, field := range f {
		if field.Name == name {
			return field.Value, true
		}
	}
	return "", false
}

// With is a copy in which name has this value: in its old place, or at the end.
func (f Form) With(name, value string) Form {
	out := slices.Clone(f)
	for i := range out {
		if out[i].Name == name {
			out[i].Value = value
			return out
		}
	}
	return append(out, Field{name, value})
}

// Without is a copy that lacks every field of these names.
func (f Form) Without(names ...string) Form {
	return slices.DeleteFunc(slices.Clone(f), func(field Field) bool {
		return slices.Contains(names, field.Name)
	})
}

// Encode is the body: application/x-www-form-urlencoded as Java's URLEncoder
// writes it, which is what Alipay runs. A space is '+', and '*' stays as it is.
func (f Form) Encode() []byte {
	var out []byte
	for i, field := range f {
		if i > 0 {
			out = append(out, '&')
		}
		out = appendEscaped(out, field.Name)
		out = append(out, '=')
		out = appendEscaped(out, field.Value)
	}
	return out
}

func appendEscaped(out []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '.', c == '-', c == '*', c == '_':
			out = append(out, c)
		case c == ' ':
			out = append(out, '+')
		default:
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return out
}
