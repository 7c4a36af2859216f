package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/reconcile"
)

// reportFormat is the value of -o of reconcile: those of every verb, and CSV.
type reportFormat string

const csvFormat reportFormat = "csv"

func addReportFormat(flags *pflag.FlagSet, f *reportFormat) {
	*f = reportFormat(cli.Table)
	flags.VarP(f, "output", "o", "table, json (one array), ndjson (one object a line) or csv")
}

func (f *reportFormat) String() string { return string(*f) }

// Type is what the help text calls the value.
func (f *reportFormat) Type() string { return "format" }

// Set takes one of the names.
func (f *reportFormat) Set(s string) error {
	if reportFormat(s) == csvFormat {
		*f = csvFormat
		return nil
	}
	var known cli.Format
	if err := known.Set(s); err != nil {
		return fmt.Errorf("unknown format %q: want table, json, ndjson or csv", s)
	}
	*f = reportFormat(known)
	return nil
}

// tableOut prints rows as a table, JSON or CSV.
type tableOut struct {
	rows *rowPrinter
	csv  *csv.Writer // nil but for CSV
	head []string
}

func newTableOut(w io.Writer, format reportFormat, head, csvHead []string) *tableOut {
	if format == csvFormat {
		return &tableOut{csv: csv.NewWriter(w), head: csvHead}
	}
	return &tableOut{rows: newRowPrinter(w, cli.Format(format), head...)}
}

// put prints a row; cells are the table's, fields those of CSV.
func (t *tableOut) put(row any, cells, fields []string) error {
	if t.csv == nil {
		return t.rows.put(row, cells...)
	}
	if t.head != nil {
		_ = t.csv.Write(t.head) // an error stays until Flush
		t.head = nil
	}
	for i := range fields {
		fields[i] = spreadsheetSafe(fields[i])
	}
	return t.csv.Write(fields)
}

// spreadsheetSafe keeps a cell from being a formula where somebody opens the file:
// ids and Alipay's words come from outside.
func spreadsheetSafe(s string) string {
	s = cli.Clean(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (t *tableOut) close(format reportFormat) error {
	if t.csv == nil {
		return t.rows.finish(cli.Format(format), nil)
	}
	if t.head != nil {
		_ = t.csv.Write(t.head) // an error stays until Flush
	}
	t.csv.Flush()
	return t.csv.Error()
}

// reportRow is one item as reconcile prints it. The names are a contract.
type reportRow struct {
	AppID      string            `json:"app_id"`
	Entity     string            `json:"entity"` // voucher or card
	Key        string            `json:"key"`
	Verdict    reconcile.Verdict `json:"verdict"`     // the worst of the findings
	Missing    []string          `json:"missing"`     // types of events
	CannotTell []string          `json:"cannot_tell"` // types of which nobody can tell whether one is missing
	Why        string            `json:"why"`         // of the worst finding
	Status     string            `json:"status"`      // activity_status, or EXISTS of a card
	Operation  string            `json:"operation"`   // what Alipay is at work on
	AskedAt    string            `json:"asked_at"`
	Findings   []findingRow      `json:"findings"` // all that is to be said, the worst first
}

// findingRow is what is said of one kind of event or one request.
type findingRow struct {
	Type     string            `json:"type"`
	OutBizNo string            `json:"out_biz_no"`
	Verdict  reconcile.Verdict `json:"verdict"`
	Why      string            `json:"why"`
	Sequence uint64            `json:"sequence"` // of the event, or of the inferred one; 0 without
}

const reconcileRowHelp = `

-o json prints an array, -o ndjson one object a line, for every item: app_id, entity,
key, verdict, missing, cannot_tell, why, status, operation, asked_at, findings (type,
out_biz_no, verdict, why, sequence). -o csv has all but the findings. verdict is
in_step, missing, inferred (missing, and concluded before), late, out_of_order,
cannot_tell, state_unexplained, unknown_to_alipay or could_not_ask.

With --expectations: name, app_id, type, key, out_biz_no, due, by, standing (pending,
fulfilled, concluded, overdue, forgotten, broken), verdict, why, status.`

func newReportRow(r reconcile.Report) reportRow {
	row := reportRow{
		AppID: r.Item.App, Entity: r.Item.Entity, Key: r.Item.Key, Verdict: r.Verdict, Missing: []string{}, CannotTell: []string{},
		Status: r.State.Status, Operation: r.State.Operation, AskedAt: formatTime(r.AskedAt), Findings: []findingRow{},
	}
	for i, f := range r.Findings {
		if i == 0 {
			row.Why = f.Why
		}
		switch {
		case f.Verdict == reconcile.Missing && !slices.Contains(row.Missing, f.Kind):
			row.Missing = append(row.Missing, f.Kind)
		case f.Verdict == reconcile.CannotTell && !slices.Contains(row.CannotTell, f.Kind):
			row.CannotTell = append(row.CannotTell, f.Kind)
		}
		row.Findings = append(row.Findings, findingRow{f.Kind, f.OutBizNo, f.Verdict, f.Why, f.Sequence})
	}
	for _, kind := range r.Unproved {
		if !slices.Contains(row.CannotTell, kind) {
			row.CannotTell = append(row.CannotTell, kind)
		}
		row.Findings = append(row.Findings, findingRow{Type: kind, Verdict: reconcile.CannotTell, Why: "no request is known, so that one that is missing could not be seen"})
	}
	return row
}

var (
	reportHead    = []string{"KEY", "STATUS", "VERDICT", "MISSING", "WHY", "CANNOT TELL"}
	reportCSVHead = []string{"app_id", "entity", "key", "verdict", "missing", "cannot_tell", "why", "status", "operation", "asked_at"}
)

func (r reportRow) cells() []string {
	return []string{
		fmt.Sprintf("%-28s", r.Key), fmt.Sprintf("%-8s", orDash(r.Status)), fmt.Sprintf("%-17s", r.Verdict),
		orDash(strings.Join(r.Missing, " ")), orDash(r.Why), orDash(strings.Join(r.CannotTell, " ")),
	}
}

func (r reportRow) fields() []string {
	return []string{
		r.AppID, r.Entity, r.Key, string(r.Verdict), strings.Join(r.Missing, " "), strings.Join(r.CannotTell, " "), r.Why, r.Status, r.Operation, r.AskedAt,
	}
}

// reportPrinter prints reports. A table is for eyes, and leaves out what is in step.
type reportPrinter struct {
	out    *tableOut
	format reportFormat
	all    bool
}

func newReportPrinter(w io.Writer, format reportFormat, all bool) *reportPrinter {
	return &reportPrinter{out: newTableOut(w, format, reportHead, reportCSVHead), format: format, all: all || format != reportFormat(cli.Table)}
}

func (p *reportPrinter) report(r reconcile.Report) error {
	if !p.all && r.Verdict == reconcile.InStep {
		return nil
	}
	row := newReportRow(r)
	return p.out.put(row, row.cells(), row.fields())
}

func (p *reportPrinter) close() error { return p.out.close(p.format) }
