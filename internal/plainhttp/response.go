package plainhttp

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// response collects an answer, which is sent in one piece.
type response struct {
	header http.Header
	status int  // 0: not said yet
	typed  bool // it has a Content-Type
	closes bool
	out    []byte // the head, as far as it is known before the body
	body   []byte
}

func (w *response) reset() {
	clear(w.header)
	w.status, w.typed, w.closes, w.out, w.body = 0, false, false, kept(w.out), kept(w.body)
}

// kept empties a buffer, and lets go of one that a connection should not keep.
func kept(b []byte) []byte {
	if cap(b) > 4<<10 {
		return nil
	}
	return b[:0]
}

// Header is what the answer will say. What is changed behind WriteHeader is not said.
func (w *response) Header() http.Header { return w.header }

// WriteHeader says the head. Only the first call does anything, and none with an
// informational status, which nobody waits for where the request is whole. A status
// that is none panics, as in net/http: what is broken must not end up as a 200.
func (w *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("plainhttp: status %d", status))
	}
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	w.out = append(w.out, "HTTP/1.1 "...)
	w.out = strconv.AppendInt(w.out, int64(status), 10)
	w.out = append(w.out, ' ')
	w.out = append(w.out, http.StatusText(status)...)
	w.out = append(w.out, "\r\n"...)
	var few [8]string
	names := few[:0]
	for name := range w.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w.say(name, w.header[name])
	}
}

// say adds a field, unless it is one that only this package knows.
func (w *response) say(name string, values []string) {
	switch name {
	case "Connection":
		w.closes = w.closes || slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "close") })
		return
	case "Content-Length", "Date", "Transfer-Encoding":
		return
	case "Content-Type":
		w.typed = true
	}
	if !inName.hasAll(name) {
		return // it could be read as something else
	}
	for _, v := range values {
		w.out = append(w.out, name...)
		w.out = append(w.out, ": "...)
		w.out = appendValue(w.out, v)
		w.out = append(w.out, "\r\n"...)
	}
}

// appendValue keeps a value on its line.
func appendValue(out []byte, value string) []byte {
	if strings.ContainsAny(value, "\r\n") {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	return append(out, value...)
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.bare() {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// bare tells whether such answers have no body, by their status.
func (w *response) bare() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// end says the head where the handler did not.
func (w *response) end() { w.WriteHeader(http.StatusOK) }

// bytes gives the whole answer, which has ended, until the next begins.
func (w *response) bytes(date string, goesOn bool) []byte {
	out := w.out
	if !w.typed && len(w.body) > 0 {
		out = append(append(out, "Content-Type: "...), http.DetectContentType(w.body)...)
		out = append(out, "\r\n"...)
	}
	out = append(append(out, "Date: "...), date...)
	if !w.bare() {
		out = append(out, "\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(len(w.body)), 10)
	}
	if !goesOn {
		out = append(out, "\r\nConnection: close"...)
	}
	out = append(out, "\r\n\r\n"...)
	w.out = append(out, w.body...)
	return w.out
}

// date is what the field of that name says for one second.
type date struct {
	second int64
	text   string
}

// dateAt gives the date for an answer.
func (s *Server) dateAt(now time.Time) string {
	if d := s.date.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	s.date.Store(d)
	return d.text
}
