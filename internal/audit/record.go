package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SchemaID names the JSON Schema of a Record, schemas/audit.record.v1.json.
const SchemaID = "urn:alipay-notify:schema:audit.record:v1"

// Phase says on which side of the work a record stands.
type Phase string

// The phases.
const (
	PhaseBefore Phase = "before" // the work is announced
	PhaseAfter  Phase = "after"  // the work is over
)

// Record is one entry of the audit trail. A run leaves two; a "before" without
// its "after" (same job and run) means that the process died or could not
// store it, and that any part of the plan may be done.
type Record struct {
	Schema   string  `json:"schema"`
	Job      string  `json:"job"`
	Run      string  `json:"run"`
	Verb     string  `json:"verb"`
	App      string  `json:"app"`
	Phase    Phase   `json:"phase"`
	At       string  `json:"at"`
	Operator Actor   `json:"operator"`
	Reason   string  `json:"reason"`
	Resumed  bool    `json:"resumed"`
	Plan     Planned `json:"plan"`
	Result   *Result `json:"result,omitempty"` // of an "after" record only
}

// Actor says who was at work. Name is what was claimed, where something was;
// OSUser and Host are what the machine said.
type Actor struct {
	Name   string `json:"name"`
	OSUser string `json:"os_user"`
	Host   string `json:"host"`
}

// Planned is the plan as a record keeps it.
type Planned struct {
	Items      int               `json:"items"`
	Bytes      int64             `json:"bytes"`
	First      uint64            `json:"first"`
	Last       uint64            `json:"last"`
	Target     string            `json:"target"`
	Parameters map[string]string `json:"parameters"`
	Digest     string            `json:"digest"`
}

// Result is what an "after" record adds. Outcome is nil when nobody knows.
type Result struct {
	Status      Status   `json:"status"`
	Outcome     *Outcome `json:"outcome,omitempty"`
	Interrupted bool     `json:"interrupted"`
	Error       string   `json:"error,omitempty"`
	DurationMS  int64    `json:"duration_ms"`
}

func newRecord(report Report, consent Consent, who Person) Record {
	plan := report.Plan
	parameters := make(map[string]string, len(plan.Parameters))
	for key, value := range plan.Parameters {
		parameters[key] = clip(clean(value), maxText)
	}
	return Record{
		Schema: SchemaID,
		Job:    report.Job,
		Run:    report.Run,
		Verb:   clip(clean(plan.Verb), maxName),
		App:    clip(clean(plan.App), maxName),
		Operator: Actor{
			Name:   name(cmp.Or(consent.As, who.Name)),
			OSUser: name(who.Name),
			Host:   name(who.Host),
		},
		Reason:  clean(consent.Reason),
		Resumed: report.Resumed,
		Plan: Planned{
			Items: plan.Items, Bytes: plan.Bytes, First: plan.First, Last: plan.Last,
			Target: clip(clean(plan.Target), maxText), Parameters: parameters, Digest: report.Digest,
		},
	}
}

func name(s string) string { return cmp.Or(clip(clean(s), maxName), "unknown") }

// encode leaves <, > and & alone: they are in subjects, and this is no web page.
func (r Record) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode audit record: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// subject is where the records of a job go. Whatever the names hold, it has
// five tokens and no wildcard.
func subject(p Plan, job string) string {
	return "alipay.audit." + token(p.App) + "." + token(p.Verb) + "." + token(job)
}

// token makes one subject token: A-Z a-z 0-9 _ - stay, any other byte becomes
// _, the empty text becomes _, and at most 128 bytes are kept. The events package has the
// public one; this copy keeps the guard free of the domain.
func token(s string) string {
	if s == "" {
		return "_"
	}
	b := []byte(s[:min(len(s), 128)])
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			b[i] = '_'
		}
	}
	return string(b)
}

// clean makes text fit for a record and for a terminal: what does not print
// (control bytes, line ends, what reorders or hides text) becomes a space, and
// space at the ends goes. It never makes a text longer in bytes.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

// isBlank says whether nothing of s can be seen.
func isBlank(s string) bool { return clean(s) == "" }

// clip keeps at most limit bytes of s, whole characters, and marks a cut.
func clip(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	n := limit - len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
