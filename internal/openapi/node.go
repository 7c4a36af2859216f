package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// member is one member of the outermost object of an answer of gateway.do, its
// value as it came: the signature covers these very bytes, so nothing is decoded
// and encoded again on the way to the proof.
type member struct {
	name string
	raw  []byte
}

var (
	errCutOff = errors.New("the answer is cut off")
	errShape  = errors.New("the answer is not a JSON object")
)

// maxDepth is how deep an answer may be nested.
const maxDepth = 200

// members splits the outermost object. It honours strings and escapes, and
// characters of GBK, whose second byte may be a backslash or a bracket; where the
// whole is UTF-8 there are none of those. A name that comes twice is refused: two
// readers could take different ones for the answer.
func members(body []byte) ([]member, error) {
	s := scanner{b: body, gbk: !utf8.Valid(body)}
	if s.space(); s.peek() != '{' {
		return nil, errShape
	}
	s.i++
	var out []member
	for s.space(); s.peek() != '}'; s.space() {
		if len(out) > 0 {
			if err := s.expect(','); err != nil {
				return nil, err
			}
			s.space()
		}
		name, err := s.str()
		if err != nil {
			return nil, err
		}
		s.space()
		if err := s.expect(':'); err != nil {
			return nil, err
		}
		s.space()
		raw, err := s.value()
		if err != nil {
			return nil, err
		}
		m := member{name: string(name[1 : len(name)-1]), raw: raw}
		for _, o := range out {
			if o.name == m.name {
				return nil, fmt.Errorf("%w: a name comes twice", errShape)
			}
		}
		if bytes.IndexByte(name, '\\') >= 0 {
			return nil, fmt.Errorf("%w: a name is escaped", errShape) // it could be another spelling of sign
		}
		out = append(out, m)
	}
	s.i++
	if s.space(); s.i < len(body) {
		return nil, fmt.Errorf("%w: something comes after it", errShape)
	}
	return out, nil
}

// scanner walks over JSON without reading it.
type scanner struct {
	b   []byte
	i   int
	gbk bool
}

// peek is the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) expect(c byte) error {
	if s.i >= len(s.b) {
		return errCutOff
	}
	if s.b[s.i] != c {
		return errShape
	}
	s.i++
	return nil
}

// str gives a string with its quotes.
func (s *scanner) str() ([]byte, error) {
	start := s.i
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			s.i++
			return s.b[start:s.i], nil
		case c < ' ':
			return nil, fmt.Errorf("%w: a control character in a string", errShape)
		case c == '\\', s.gbk && c > 0x80 && c < 0xFF: // with the byte that belongs to it
			s.i++
			if s.gbk && c != '\\' && s.i < len(s.b) && s.b[s.i] < '0' {
				return nil, fmt.Errorf("%w: half a character of GBK", errShape)
			}
		}
		s.i++
	}
	return nil, errCutOff
}

// value gives any value: a string, an object or list to its matching bracket, or
// a literal.
func (s *scanner) value() ([]byte, error) {
	start := s.i
	switch s.peek() {
	case '"':
		return s.str()
	case '{', '[':
		return s.nested()
	}
	for s.i < len(s.b) && bytes.IndexByte([]byte(",}] \t\r\n"), s.b[s.i]) < 0 {
		s.i++
	}
	if s.i == len(s.b) {
		return nil, errCutOff
	}
	if s.i == start {
		return nil, errShape
	}
	return s.b[start:s.i], nil
}

func (s *scanner) nested() ([]byte, error) {
	start := s.i
	var open []byte // the brackets that wait for their match
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			if _, err := s.str(); err != nil {
				return nil, err
			}
			continue
		case '{', '[':
			if open = append(open, c+2); len(open) > maxDepth { // } and ] come two after { and [
				return nil, fmt.Errorf("%w: it is nested too deep", errShape)
			}
		case '}', ']':
			if open[len(open)-1] != c {
				return nil, errShape
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				s.i++
				return s.b[start:s.i], nil
			}
		}
		s.i++
	}
	return nil, errCutOff
}
