package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// showRow is one message as show -o json and ndjson print it: what every verb
// prints of an event, and what only show does. The names are a contract.
type showRow struct {
	Stream string `json:"stream"` // where the sequence is one: ALIPAY_EVENTS, or where it was found instead
	eventRow
	Headers  map[string]string `json:"headers"`             // as stored
	RawBytes int               `json:"raw_bytes"`           // the size of the original request; 0 without one
	RawError string            `json:"raw_error,omitempty"` // why it cannot be read; only where it cannot
	Lineage  []relative        `json:"lineage,omitempty"`   // everything with the same id; not for a range of sequences
}

// newShowRow makes a message printable, with personal data or masked.
func newShowRow(name string, m events.Stored, reveal bool) showRow {
	row := showRow{Stream: name, eventRow: clearEventRow(m), Headers: make(map[string]string, len(m.Header)), RawBytes: len(m.Raw)}
	for name := range m.Header {
		row.Headers[name] = header(m, name)
	}
	if err := rawError(m); err != nil {
		row.RawError = err.Error()
	}
	if reveal {
		return row
	}
	row.eventRow, row.RawError = newEventRow(m), events.MaskText(row.RawError)
	for name, value := range row.Headers {
		if strings.EqualFold(name, events.HeaderRaw) {
			value = events.Hidden
		}
		row.Headers[name] = events.MaskText(value)
	}
	return row
}

// write prints the message for people.
func (r showRow) write(w io.Writer) error {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, cli.Clean(value))
		}
	}
	line("sequence", fmt.Sprint(r.Sequence))
	if r.Stream != stream.Events {
		line("stream", r.Stream)
	}
	line("stored", r.StoredAt)
	line("subject", r.Subject)
	line("type", typeLine(r.Type, r.CEType))
	line("id", r.ID)
	line("app", r.AppID)
	line("key", r.Key)
	line("time", r.Time)
	line("received", r.ReceivedAt)
	line("flags", r.flags())
	line("problem", r.Problem)
	if r.RawError == "" {
		line("request", fmt.Sprintf("%d bytes, decoded from %s; --raw --reveal prints them", r.RawBytes, events.HeaderRaw))
	} else {
		line("request", "cannot be read: "+r.RawError)
	}
	fmt.Fprintln(&b, "headers")
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, "  %s: %s\n", cli.Clean(name), cli.Clean(r.Headers[name]))
	}
	fmt.Fprintln(&b, "data")
	writeData(&b, r.Data)
	return writeAll(w, b.Bytes())
}

func typeLine(kind, ceType string) string {
	if ceType == "" {
		return kind
	}
	return strings.TrimSpace(kind + " (" + ceType + ")")
}

// writeData prints JSON indented, and what could drive a terminal as \uXXXX.
func writeData(b *bytes.Buffer, data json.RawMessage) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "  ", "  "); err != nil {
		indented.Reset()
		indented.Write(data) // newEventRow has made it valid
	}
	b.WriteString("  ")
	b.Write(cli.EscapeJSON(indented.Bytes()))
	b.WriteByte('\n')
}
