package verify

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// MaxFields bounds the work that an unverified form can cause. The longest
// documented notification (trade) has about fifty fields.
const MaxFields = 256

// What can be wrong with a form. All of them mean: not a notification.
var (
	ErrEncoding      = errors.New("broken percent-encoding")
	ErrRepeatedField = errors.New("repeated field")
	ErrFieldName     = errors.New("a field name that holds '&' or '='")
	ErrTooManyFields = fmt.Errorf("more than %d fields", MaxFields)
)

// Field is one form field, percent-decoded exactly once. Both parts hold bytes
// in whatever charset the sender used; nothing is assumed to be UTF-8.
type Field struct {
	Name, Value string
}

// Form is the fields of one request body in the byte order of their names,
// each name once. It is read-only, and safe for concurrent use.
type Form struct {
	fields []Field
}

// ParseForm reads an application/x-www-form-urlencoded body: pairs between
// '&', '+' is a space, %XX is a byte. Empty pairs are passed over, as every
// form parser does; a pair without '=' is a field with an empty value. It
// refuses what would make the signed string a matter of opinion: a broken
// escape, a repeated name, and a name with '&' or '=' in it. Such a name can
// only come of merging fields under the signature of the genuine form
// ("charset=GBK&encrypt_type" as one name), which would hide the first from
// every check of its value.
func ParseForm(body string) (Form, error) {
	type span struct{ name, value, end int }
	var spans [32]span
	pairs := spans[:0]

	// One string holds every name and value, so that a form costs two allocations
	// however many fields it has.
	var decoded strings.Builder
	decoded.Grow(len(body)) // decoding never makes it longer
	for rest := body; len(rest) > 0; {
		pair := rest
		if i := strings.IndexByte(rest, '&'); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		if len(pair) == 0 {
			continue
		}
		if len(pairs) == MaxFields {
			return Form{}, ErrTooManyFields
		}
		name, value := pair, ""
		if i := strings.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		s := span{name: decoded.Len()}
		if !writeDecoded(&decoded, name) {
			return Form{}, ErrEncoding
		}
		s.value = decoded.Len()
		// Unescaped they would have ended the name.
		if s.value-s.name != len(name) && strings.ContainsAny(decoded.String()[s.name:], "&=") {
			return Form{}, ErrFieldName
		}
		if !writeDecoded(&decoded, value) {
			return Form{}, ErrEncoding
		}
		s.end = decoded.Len()
		pairs = append(pairs, s)
	}

	all := decoded.String()
	f := Form{fields: make([]Field, len(pairs))}
	for i, s := range pairs {
		f.fields[i] = Field{Name: all[s.name:s.value], Value: all[s.value:s.end]}
	}
	return f, f.sort()
}

// NewForm makes a form of fields that are decoded already, for tools and tests.
func NewForm(fields ...Field) (Form, error) {
	if len(fields) > MaxFields {
		return Form{}, ErrTooManyFields
	}
	f := Form{fields: slices.Clone(fields)}
	return f, f.sort()
}

func (f *Form) sort() error {
	slices.SortFunc(f.fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(f.fields); i++ {
		if f.fields[i].Name == f.fields[i-1].Name {
			return ErrRepeatedField
		}
	}
	return nil
}

// Lookup gives a field's value and whether the form has the field at all.
func (f Form) Lookup(name string) (string, bool) {
	// One by one: a form has some fifteen fields of different lengths, and searching in
	// their order compares more of them. This is called twenty times a request.
	for i := range f.fields {
		if fd := &f.fields[i]; fd.Name == name {
			return fd.Value, true
		}
	}
	return "", false
}

// Get gives a field's value. An absent field and an empty one are the same:
// one way of building the signed string leaves empty fields out, so that
// anybody may add or remove them (PROTOCOL.md 3.1).
func (f Form) Get(name string) string {
	v, _ := f.Lookup(name)
	return v
}

// All gives the fields in the byte order of their names.
func (f Form) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, fd := range f.fields {
			if !yield(fd.Name, fd.Value) {
				return
			}
		}
	}
}

// Len is the number of fields.
func (f Form) Len() int { return len(f.fields) }

// writeDecoded decodes src. It is false at a broken escape.
func writeDecoded(to *strings.Builder, src string) bool {
	from := 0 // of what is not written yet, and is as it is
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c != '%' && c != '+' {
			continue
		}
		to.WriteString(src[from:i])
		if from = i + 1; c == '+' {
			to.WriteByte(' ')
			continue
		}
		if i+2 >= len(src) {
			return false
		}
		hi, lo := unhex(src[i+1]), unhex(src[i+2])
		if hi > 15 || lo > 15 {
			return false
		}
		to.WriteByte(hi<<4 | lo)
		i += 2
		from = i + 1
	}
	to.WriteString(src[from:])
	return true
}

// unhex gives the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
