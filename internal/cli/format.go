package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// Format is the value of -o: how a command prints its data.
type Format string

// The three formats. Table is for people and may change; JSON (one array) and
// NDJSON (one object a line, printed as it becomes known) are contracts.
const (
	Table  Format = "table"
	JSON   Format = "json"
	NDJSON Format = "ndjson"
)

// AddFormat adds -o/--output to flags; f keeps its value as the default, and
// an unset f becomes Table.
func AddFormat(flags *pflag.FlagSet, f *Format) {
	if *f == "" {
		*f = Table
	}
	flags.VarP(f, "output", "o", "table, json (one array) or ndjson (one object a line)")
}

func (f *Format) String() string { return string(*f) }

// Type is what the help text calls the value.
func (f *Format) Type() string { return "format" }

// Set takes one of the three names.
func (f *Format) Set(s string) error {
	switch Format(s) {
	case Table, JSON, NDJSON:
		*f = Format(s)
		return nil
	}
	return fmt.Errorf("unknown format %q: want table, json or ndjson", s)
}

// Printer writes rows in one format. Close must be called: it ends the array
// or flushes the table. A printer is for one goroutine.
type Printer struct {
	w      io.Writer
	format Format
	tab    *tabwriter.Writer
	head   []string
	rows   int
}

// NewPrinter begins the output; head are the titles of a table's columns.
func NewPrinter(w io.Writer, format Format, head ...string) *Printer {
	p := &Printer{w: w, format: format, head: head}
	if format == Table || format == "" {
		p.tab = tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	}
	return p
}

// Row prints one item: cells in a table, value as JSON elsewhere. Cells are
// cleaned of control bytes, which come from outside and could drive a terminal.
func (p *Printer) Row(value any, cells ...string) error {
	p.rows++
	if p.tab != nil {
		if p.rows == 1 && len(p.head) > 0 {
			fmt.Fprintln(p.tab, strings.Join(p.head, "\t"))
		}
		for i, c := range cells {
			cells[i] = Clean(c)
		}
		_, err := fmt.Fprintln(p.tab, strings.Join(cells, "\t"))
		return err
	}
	line, err := Marshal(value)
	if err != nil {
		return err
	}
	if p.format == JSON {
		lead := ",\n"
		if p.rows == 1 {
			lead = "[\n"
		}
		_, err = fmt.Fprintf(p.w, "%s  %s", lead, line)
		return err
	}
	_, err = fmt.Fprintf(p.w, "%s\n", line)
	return err
}

// Flush lets a person see a table's rows so far, for commands that wait.
func (p *Printer) Flush() error {
	if p.tab != nil {
		return p.tab.Flush()
	}
	return nil
}

// Close ends the output. No rows give an empty array, an empty NDJSON, or the
// table's head alone.
func (p *Printer) Close() error {
	switch {
	case p.tab != nil:
		if p.rows == 0 && len(p.head) > 0 {
			fmt.Fprintln(p.tab, strings.Join(p.head, "\t"))
		}
		return p.tab.Flush()
	case p.format == JSON && p.rows == 0:
		_, err := fmt.Fprintln(p.w, "[]")
		return err
	case p.format == JSON:
		_, err := fmt.Fprintln(p.w, "\n]")
		return err
	}
	return nil
}

// Marshal is json.Marshal without the escaping of <, > and &, which is meant
// for web pages and makes a URL or a name hard to read in a terminal, and with
// that of whatever could drive one.
func Marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return EscapeJSON([]byte(strings.TrimSuffix(b.String(), "\n"))), nil
}

// EscapeJSON writes what could drive a terminal as \uXXXX. JSON has such
// characters in its strings alone, and reads both as the same; those below 0x20
// it has escaped itself, and its line breaks stay. Bytes that are no UTF-8, which JSON readers take for U+FFFD, and
// an old terminal for control characters, become just that.
func EscapeJSON(data []byte) []byte {
	if !bytes.ContainsFunc(data, drives) {
		return data
	}
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, r := range string(data) {
		if r >= 0x7f && r != utf8.RuneError && drives(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// Clean replaces what could drive a terminal or break a table: control bytes,
// and the invisible characters that reorder text.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if drives(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// drives tells whether a character does something to a terminal instead of
// being shown by it: the control characters (C0, DEL, C1), the marks and
// overrides of the writing direction, and what is no character at all.
func drives(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == utf8.RuneError,
		r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}
