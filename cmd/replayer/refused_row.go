package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// refusedRow is one refused request as -o json and ndjson print it. The names
// are a contract. Every member but problem is always there.
type refusedRow struct {
	Sequence    uint64 `json:"sequence"`          // on ALIPAY_QUARANTINE or ALIPAY_REJECTS
	StoredAt    string `json:"stored_at"`         // what --since and --until mean
	ReceivedAt  string `json:"received_at"`       // when the request came
	Subject     string `json:"subject"`           // where it is kept
	AppID       string `json:"app_id"`            // a configured app, or _unknown
	Outcome     string `json:"outcome"`           // what it was answered with
	Reason      string `json:"reason"`            // a short constant
	Detail      string `json:"detail"`            // for people
	Source      string `json:"source"`            // the address that it came from
	PathApp     string `json:"path_app"`          // the app in the URL
	ContentType string `json:"content_type"`      // as the request declared it
	NotifyID    string `json:"notify_id"`         // only where the signature was good
	Type        string `json:"type"`              // Alipay's own name; only where the signature was good
	ClaimedID   string `json:"claimed_id"`        // the notify_id of a body that nobody proved
	Fingerprint string `json:"fingerprint"`       // only where the signature was good
	Proof       string `json:"proof"`             // which key and rule; empty when nothing was proved
	Bytes       int    `json:"bytes"`             // the size of the body
	Problem     string `json:"problem,omitempty"` // what could not be read of it
}

func newRefusedRow(r replay.Refused) refusedRow {
	row := refusedRow{
		Sequence: r.Stored.Sequence, StoredAt: formatTime(r.Stored.StoredAt), ReceivedAt: formatTime(r.ReceivedAt),
		Subject: r.Stored.Subject, AppID: r.App, Outcome: r.Outcome, Reason: r.Reason, Detail: r.Detail,
		Source: r.Source, PathApp: r.PathApp, ContentType: r.ContentType,
		NotifyID: r.NotifyID, Type: r.Type, ClaimedID: r.Claimed,
		Fingerprint: r.Fingerprint, Proof: r.Proof, Bytes: len(r.Body), Problem: r.Problem,
	}
	// What a stranger chose may be anything; a row is in no need of user ids.
	for _, text := range []*string{&row.ClaimedID, &row.PathApp, &row.ContentType, &row.Detail} {
		*text = events.MaskText(*text)
	}
	return row
}

// refusedRowHelp is refusedRow for the help texts.
const refusedRowHelp = `

-o json prints an array, -o ndjson one object a line, of:
  sequence, stored_at, received_at, subject, app_id (or _unknown), outcome, reason,
  detail, source, path_app, content_type, notify_id, type, claimed_id, fingerprint,
  proof, bytes; and problem where something could not be read.
notify_id, type, fingerprint and proof are empty where the signature was not good.
claimed_id is the notify_id of such a body: anybody can write one.`

// refusedHead is the head of the table; cells are its row.
var refusedHead = []string{"SEQ", "STORED", "APP", "REASON", "DETAIL", "SOURCE", "NOTIFY_ID", "TYPE", "BYTES"}

func (r refusedRow) cells() []string {
	detail := r.Detail
	if r.Problem != "" {
		detail = "unreadable: " + r.Problem
	}
	return []string{
		fmt.Sprintf("%-6d", r.Sequence), r.StoredAt, fmt.Sprintf("%-16s", orDash(r.AppID)),
		fmt.Sprintf("%-14s", orDash(r.Reason)), fmt.Sprintf("%-40s", orDash(detail)), fmt.Sprintf("%-15s", orDash(r.Source)),
		fmt.Sprintf("%-34s", orDash(r.NotifyID)), orDash(r.Type), fmt.Sprint(r.Bytes),
	}
}

// refusedShowRow is what show prints besides.
type refusedShowRow struct {
	refusedRow
	Masked  bool              `json:"masked"`                // the body is hidden
	Headers map[string]string `json:"headers"`               // as stored
	Body    string            `json:"body"`                  // where it is text
	Base64  string            `json:"body_base64,omitempty"` // where it is not
}

func newRefusedShowRow(r replay.Refused, reveal bool) refusedShowRow {
	row := refusedShowRow{refusedRow: newRefusedRow(r), Headers: make(map[string]string, len(r.Stored.Header))}
	for name := range r.Stored.Header {
		row.Headers[name] = header(r.Stored, name)
		if !reveal {
			row.Headers[name] = events.MaskText(row.Headers[name])
		}
	}
	if !reveal {
		row.Masked, row.Body = true, events.Hidden
		return row
	}
	if utf8.ValidString(r.Body) {
		row.Body = r.Body
	} else {
		row.Base64 = base64.StdEncoding.EncodeToString([]byte(r.Body))
	}
	return row
}

// write prints the request for people.
func (r refusedShowRow) write(w io.Writer) error {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, cli.Clean(value))
		}
	}
	line("sequence", fmt.Sprint(r.Sequence))
	line("stored", r.StoredAt)
	line("received", r.ReceivedAt)
	line("subject", r.Subject)
	line("app", r.AppID)
	line("outcome", strings.TrimSpace(r.Outcome+" "+r.Reason))
	line("detail", r.Detail)
	line("source", r.Source)
	line("url app", r.PathApp)
	line("content type", r.ContentType)
	line("notify_id", r.NotifyID)
	line("type", r.Type)
	if r.ClaimedID != "" {
		line("claims", "to be "+r.ClaimedID+", which nothing proves")
	}
	line("problem", r.Problem)
	line("body", fmt.Sprintf("%d bytes; --raw --reveal prints them", r.Bytes))
	fmt.Fprintln(&b, "headers")
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, "  %s: %s\n", cli.Clean(name), cli.Clean(r.Headers[name]))
	}
	fmt.Fprintf(&b, "body\n  %s\n", cli.Clean(cmp.Or(r.Body, r.Base64)))
	return writeAll(w, b.Bytes())
}
