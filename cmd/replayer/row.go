package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
)

// eventRow is one event as -o json and ndjson print it, in every verb. The names
// are a contract. Every member but problem is always there; a text is empty
// where the event has nothing to say. Times are RFC 3339 in UTC with
// milliseconds, or as precise as they are known.
type eventRow struct {
	Sequence    uint64          `json:"sequence"`          // on ALIPAY_EVENTS
	StoredAt    string          `json:"stored_at"`         // when the stream stored it; what --since and --until mean
	Subject     string          `json:"subject"`           // where it is stored
	Type        string          `json:"type"`              // entity.action
	CEType      string          `json:"ce_type"`           // Alipay's own name
	ID          string          `json:"id"`                // ce-id: the notify_id, except for conflicts
	AppID       string          `json:"app_id"`            // whose keys proved it
	Source      string          `json:"source"`            // ce-source
	Key         string          `json:"key"`               // verbatim
	Time        string          `json:"time"`              // ce-time: when it happened
	ReceivedAt  string          `json:"received_at"`       // when the request came
	Conflict    string          `json:"conflict"`          // the notify_id that had other content before
	DecodeError string          `json:"decode_error"`      // why a known type could not be typed
	Dedupe      string          `json:"dedupe"`            // "stream": Redis was not asked
	ReplayJob   string          `json:"replay_job"`        // the job that sent it again
	Fingerprint string          `json:"fingerprint"`       // the same for every delivery of one notification
	Proof       string          `json:"proof"`             // which key and rule proved it
	Problem     string          `json:"problem,omitempty"` // what could not be read of it; only where there is something
	Masked      bool            `json:"masked"`            // personal data is hidden in this row
	Data        json.RawMessage `json:"data"`              // the JSON itself; {"_base64": ...} where it is none
}

// rowHelp is eventRow for the help texts.
const rowHelp = `

-o json prints an array, -o ndjson one object a line, of:
  sequence, stored_at, subject, type (entity.action), ce_type (Alipay's name),
  id, app_id, source, key, time, received_at, conflict, decode_error, dedupe,
  replay_job, fingerprint, proof, masked, and data, which is the JSON itself.
Every member is always there, and empty where there is nothing to say; one more,
problem, says what could not be read of a stored event, and is there only then.`

// newEventRow makes an event printable, with personal data masked. Everything
// that a verb prints of an event comes from here, or with --reveal from
// clearEventRow.
func newEventRow(m events.Stored) eventRow {
	row := clearEventRow(m)
	row.Masked = true
	for _, text := range []*string{&row.Subject, &row.Key, &row.DecodeError, &row.Problem} {
		*text = events.MaskText(*text)
	}
	row.Data = events.Mask(row.Data)
	return row
}

// clearEventRow is newEventRow with personal data.
func clearEventRow(m events.Stored) eventRow {
	row := eventRow{
		Sequence: m.Sequence, StoredAt: formatTime(m.StoredAt), Subject: m.Subject,
		Type: m.Kind, CEType: m.Type, ID: m.ID, AppID: m.AppID, Source: header(m, events.HeaderSource),
		Key: m.Key, Time: formatTime(m.Time), ReceivedAt: formatTime(m.ReceivedAt),
		Conflict: m.Conflict, DecodeError: m.DecodeError, Dedupe: header(m, events.HeaderDedupe),
		ReplayJob: m.ReplayJob(), Fingerprint: m.Fingerprint, Proof: m.Proof,
		Problem: m.Problem, Data: m.Data,
	}
	if !json.Valid(m.Data) {
		row.Data = json.RawMessage(`{"_base64":"` + base64.StdEncoding.EncodeToString(m.Data) + `"}`)
		if row.Problem != "" {
			row.Problem += "; "
		}
		row.Problem += "the data is not JSON"
	}
	return row
}

// header is a header as stored: its values, of which we write one, in a row.
func header(m events.Stored, name string) string { return strings.Join(m.Header[name], ", ") }

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// tableHead is the head of the table of events; cells are its row.
var tableHead = []string{"SEQ", "STORED", "TYPE", "KEY", "ID", "FLAGS"}

// cells pads what usually varies, because a long table is flushed in parts, and
// a live one row by row: the columns should stay where they are.
func (r eventRow) cells() []string {
	return []string{
		fmt.Sprintf("%-6d", r.Sequence), r.StoredAt, fmt.Sprintf("%-20s", orDash(r.Type)),
		fmt.Sprintf("%-20s", orDash(r.Key)), fmt.Sprintf("%-34s", orDash(r.ID)), orDash(r.flags()),
	}
}

// flags says in a word each what is out of the ordinary.
func (r eventRow) flags() string {
	var flags []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"conflict", r.Conflict != ""},
		{"decode-error", r.DecodeError != ""},
		{"replay", r.ReplayJob != ""},
		{"unasked", r.Dedupe == "stream"},
		{"unreadable", r.Problem != ""},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return strings.Join(flags, ",")
}

// flagsHelp explains the last column.
const flagsHelp = `

FLAGS: conflict (the same notify_id came with other content), decode-error (a
known type that could not be typed), replay, unasked (Redis was not asked, so
that the stream alone looked for duplicates), unreadable (some of what is stored
cannot be read).`

// orDash keeps an empty cell visible, and a table fit for awk.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// flushEvery bounds the rows of a table that wait for their columns' width.
const flushEvery = 256

// rowPrinter prints rows as a table or as JSON.
type rowPrinter struct {
	*cli.Printer
	every  int  // rows of a table that are printed together
	reveal bool // print personal data
	wide   bool // print events with more columns
	rows   int
}

func newRowPrinter(w io.Writer, format cli.Format, head ...string) *rowPrinter {
	return &rowPrinter{Printer: cli.NewPrinter(w, format, head...), every: flushEvery}
}

// print prints an event.
func (p *rowPrinter) print(m events.Stored) error {
	row := newEventRow(m)
	if p.reveal {
		row = clearEventRow(m)
	}
	if p.wide {
		return p.put(row, row.wideCells()...)
	}
	return p.put(row, row.cells()...)
}

// put prints a row.
func (p *rowPrinter) put(row any, cells ...string) error {
	if err := p.Row(row, cells...); err != nil {
		return err
	}
	if p.rows++; p.rows%p.every == 0 {
		return p.Flush()
	}
	return nil
}

// finish ends the output of a reading that ended with err. What was found is
// worth seeing and an array worth ending; where nothing was, a table has not
// even its head, and a failure leaves stdout empty.
func (p *rowPrinter) finish(format cli.Format, err error) error {
	if p.rows == 0 && (err != nil || format == cli.Table) {
		return err
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	return err
}
