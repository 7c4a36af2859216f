package main

import (
	"fmt"
	"io"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// verifySummary is what -o json and ndjson print. The names are a contract.
type verifySummary struct {
	Checked     int    `json:"checked"`        // the events that were looked at
	Fits        bool   `json:"fits"`           // all of them are proved
	Proved      int    `json:"proved"`         // by a key of the configuration
	OldKey      int    `json:"proved_old_key"` // by a key that is only remembered
	KeyUnknown  int    `json:"key_unknown"`    // nothing can be said
	NoLongerFit int    `json:"no_longer_fits"` // altered
	Disagrees   int    `json:"disagrees"`      // proved, but stored otherwise than the request says
	NoRaw       int    `json:"no_raw"`         // no request
	Sealed      int    `json:"sealed"`         // of all: encrypted content that no AES key opens
	FirstSeq    uint64 `json:"first_sequence"`
	LastSeq     uint64 `json:"last_sequence"`
}

func (s *verifySummary) add(m events.Stored, c replay.Checked) {
	s.Checked++
	if s.FirstSeq == 0 {
		s.FirstSeq = m.Sequence
	}
	s.LastSeq = m.Sequence
	if c.Sealed {
		s.Sealed++
	}
	*s.count(c.Verdict)++
}

func (s *verifySummary) count(v replay.Verdict) *int {
	switch v {
	case replay.Proved:
		return &s.Proved
	case replay.ProvedOld:
		return &s.OldKey
	case replay.KeyUnknown:
		return &s.KeyUnknown
	case replay.Disagrees:
		return &s.Disagrees
	case replay.NoRaw:
		return &s.NoRaw
	case replay.NoLongerFit:
	}
	return &s.NoLongerFit // the safe default: what is not known to be well is not
}

func (s *verifySummary) bad() int { return s.Checked - s.Proved - s.OldKey }

// verifyRow is one event as verify --all prints it. The names are a contract.
type verifyRow struct {
	Sequence uint64 `json:"sequence"`
	StoredAt string `json:"stored_at"`
	AppID    string `json:"app_id"`
	Type     string `json:"type"` // entity.action
	ID       string `json:"id"`
	Verdict  string `json:"verdict"` // proved, proved_old_key, key_unknown, no_longer_fits, disagrees, no_raw
	KeyID    string `json:"key_id"`  // that the proof names
	Detail   string `json:"detail"`  // for people
}

// verifyRowHelp is the output for the help texts.
const verifyRowHelp = `

-o json and ndjson print one object and no list: checked, fits, proved,
proved_old_key, key_unknown, no_longer_fits (altered), disagrees (proved, but the
stored event is not what the request says), no_raw, sealed (encrypted content that
no AES key of today opens: only id, app and type were compared), first_sequence,
last_sequence. With --all ndjson begins with a line for each event, and json has
them as the list events: sequence, stored_at, app_id, type, id, verdict, key_id,
detail.`

// verifyPrinter prints the rows, where they are asked for, and the summary.
type verifyPrinter struct {
	w      io.Writer
	format cli.Format
	all    bool

	table *rowPrinter
	rows  int
}

func (p *verifyPrinter) row(m events.Stored, c replay.Checked) error {
	if !p.all {
		return nil
	}
	row := verifyRow{m.Sequence, formatTime(m.StoredAt), m.AppID, m.Kind, m.ID, string(c.Verdict), c.KeyID, c.Detail}
	p.rows++
	if p.format == cli.Table {
		if p.table == nil {
			p.table = newRowPrinter(p.w, p.format, "SEQ", "STORED", "TYPE", "ID", "VERDICT", "KEY", "DETAIL")
		}
		return p.table.put(row, fmt.Sprintf("%-6d", row.Sequence), row.StoredAt, fmt.Sprintf("%-20s", orDash(row.Type)),
			fmt.Sprintf("%-34s", orDash(row.ID)), fmt.Sprintf("%-14s", row.Verdict), orDash(row.KeyID), orDash(row.Detail))
	}
	line, err := cli.Marshal(row)
	if err != nil {
		return err
	}
	lead, end := "", "\n"
	if p.format == cli.JSON {
		lead, end = ",\n    ", ""
		if p.rows == 1 {
			lead = "{\n  \"events\": [\n    "
		}
	}
	_, err = fmt.Fprintf(p.w, "%s%s%s", lead, line, end)
	return err
}

// finish prints the summary behind the rows.
func (p *verifyPrinter) finish(s verifySummary) error {
	s.Fits = s.bad() == 0
	if p.format == cli.Table {
		return p.finishTable(s)
	}
	line, err := cli.Marshal(s)
	if err != nil {
		return err
	}
	switch {
	case p.format == cli.JSON && p.all && p.rows == 0:
		_, err = fmt.Fprintf(p.w, "{\n  \"events\": [],\n  %s\n", line[1:])
	case p.format == cli.JSON && p.all:
		_, err = fmt.Fprintf(p.w, "\n  ],\n  %s\n", line[1:]) // the members go on in the same object
	default:
		_, err = fmt.Fprintf(p.w, "%s\n", line)
	}
	return err
}

func (p *verifyPrinter) finishTable(s verifySummary) error {
	if p.table != nil {
		if err := p.table.Close(); err != nil {
			return err
		}
		fmt.Fprintln(p.w)
	}
	_, err := fmt.Fprintf(p.w, `checked         %d
proved          %d
proved old key  %d
key unknown     %d
no longer fits  %d
disagrees       %d
no raw          %d
sealed          %d
`, s.Checked, s.Proved, s.OldKey, s.KeyUnknown, s.NoLongerFit, s.Disagrees, s.NoRaw, s.Sealed)
	return err
}

// abandon ends an output whose reading failed: what was found is worth seeing,
// and a list worth ending, but there is no summary of a part.
func (p *verifyPrinter) abandon() error {
	switch {
	case p.table != nil:
		return p.table.Close()
	case p.format == cli.JSON && p.rows > 0:
		_, err := fmt.Fprint(p.w, "\n  ]\n}\n")
		return err
	}
	return nil
}
