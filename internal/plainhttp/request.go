package plainhttp

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// kind is what the bytes of a connection are.
type kind int

const (
	partial kind = iota // they may become a plain request
	whole               // they are one, to the last byte
	foreign             // they are for net/http
)

// mostFields is the most lines that a plain head has.
const mostFields = 32

// The bytes that a part of a plain head consists of.
var (
	inName  = bytesOf(letters + digits + "-_")
	inPath  = bytesOf(letters + digits + "/-_.~")
	inQuery = bytesOf(letters + digits + "/-_.~=&")
	inHost  = bytesOf(letters + digits + "-._:[]")
	inValue = visible()
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

type byteSet [256]bool

func bytesOf(text string) *byteSet {
	var set byteSet
	for i := range len(text) {
		set[text[i]] = true
	}
	return &set
}

func visible() *byteSet {
	var set byteSet
	for b := ' '; b <= '~'; b++ {
		set[b] = true
	}
	return &set
}

// hasAll tells whether text is of these bytes alone, and not empty.
func (s *byteSet) hasAll(text string) bool {
	for i := range len(text) {
		if !s[text[i]] {
			return false
		}
	}
	return text != ""
}

// parse reads a request from bytes that begin with one. It is plain, and nothing else
// is, when
//   - it is a POST of HTTP/1.1 to a path with an optional query, neither of them escaped;
//   - each line ends in CR LF and none goes on in the next; names are letters, digits,
//     dashes and underscores, values printable ASCII, and no name comes twice;
//   - it has a Host of the usual characters, a Content-Length from 1 on, and a
//     Connection of keep-alive if it has one;
//   - it has no Transfer-Encoding, Trailer, Expect, Upgrade or Pragma, which mean
//     something to net/http;
//   - it fits the buffer, and nothing follows its body.
//
// The request is a copy of base with what was read. It keeps nothing of b, and is made
// of made, which has nothing of what it was before.
func parse(base *http.Request, made *parts, b []byte) (*http.Request, kind) {
	const begin = "POST /"
	if n := min(len(b), len(begin)); string(b[:n]) != begin[:n] {
		return nil, foreign
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, partial
	}
	text := string(b) // in one piece, which everything below is a part of
	head, body := text[:end+2], text[end+4:]
	line, fields, _ := strings.Cut(head, "\r\n")
	made.forget()
	made.used = true
	made.Request = *base
	r := &made.Request
	if !made.setTarget(line) || !made.setFields(fields) {
		return nil, foreign
	}
	switch most := mostBytes - (end + 4); {
	case r.ContentLength > int64(most), r.ContentLength < int64(len(body)):
		return nil, foreign
	case r.ContentLength > int64(len(body)):
		return nil, partial
	}
	made.body.whole = body
	r.Body = &made.body
	return r, whole
}

// parts are what a request is made of, but for its text. They are made together, and
// used again when it was answered.
type parts struct {
	http.Request
	url    url.URL
	body   Body
	fields http.Header
	values [12]string // of the fields of most heads
	used   bool       // since it was forgotten
}

// forget lets go of what a request said.
func (r *parts) forget() {
	if !r.used {
		return
	}
	r.used = false
	r.Request, r.url, r.body = http.Request{}, url.URL{}, Body{}
	clear(r.fields)
	clear(r.values[:])
}

// setTarget reads the first line.
func (r *parts) setTarget(line string) bool {
	target, ok := strings.CutSuffix(strings.TrimPrefix(line, "POST "), " HTTP/1.1")
	if !ok {
		return false
	}
	path, query, asks := strings.Cut(target, "?")
	if !inPath.hasAll(path) || strings.HasPrefix(path, "//") || asks && !inQuery.hasAll(query) {
		return false
	}
	r.url.Path, r.url.RawQuery = path, query
	r.RequestURI, r.URL = target, &r.url
	return true
}

// setFields reads the other lines of the head.
func (r *parts) setFields(fields string) bool {
	n := strings.Count(fields, "\r\n")
	if n > mostFields {
		return false
	}
	if r.fields == nil {
		r.fields = make(http.Header, n)
	}
	r.Header = r.fields
	values := r.values[:]
	if n > len(values) {
		values = make([]string, n)
	}
	for i := range n {
		var line string
		line, fields, _ = strings.Cut(fields, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " ")
		if !ok || !inName.hasAll(name) || value != "" && !inValue.hasAll(value) {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !r.setField(name, value) {
			return false
		}
		if name == "Host" { // net/http has it in the request alone
			continue
		}
		values[i] = value
		r.Header[name] = values[i : i+1 : i+1]
	}
	// All but the Host stand in the header, or one came twice.
	return r.Host != "" && r.ContentLength > 0 && len(r.Header) == n-1
}

// setField looks at the fields that mean something to HTTP.
func (r *parts) setField(name, value string) (plain bool) {
	switch name {
	case "Host":
		r.Host = value
		return inHost.hasAll(value)
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 31)
		r.ContentLength = int64(n)
		return err == nil && value[0] != '0'
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Pragma":
		return false
	}
	return true
}

// Body is the body of a plain request: all of it is here.
type Body struct {
	whole string
	read  int
}

// Whole gives the whole body.
func (b *Body) Whole() string { return b.whole }

// Read never waits.
func (b *Body) Read(p []byte) (int, error) {
	n := copy(p, b.whole[b.read:])
	b.read += n
	if b.read == len(b.whole) {
		return n, io.EOF
	}
	return n, nil
}

// Close does nothing.
func (*Body) Close() error { return nil }
