package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
)

// planRow is the plan of a replay as a dry run prints it. The names are a contract.
type planRow struct {
	Status        string    `json:"status"` // dry_run
	Target        string    `json:"target"`
	AppID         string    `json:"app_id"` // empty where there are several
	Items         int       `json:"items"`
	Bytes         int64     `json:"bytes"` // as the archive keeps them
	First         uint64    `json:"first"` // sequences; 0 without any
	Last          uint64    `json:"last"`
	FirstStoredAt string    `json:"first_stored_at"`
	LastStoredAt  string    `json:"last_stored_at"`
	Types         []typeRow `json:"types"` // those of the most items first
	EstimateMS    int64     `json:"estimate_ms"`
	Digest        string    `json:"digest"`
	Obstacle      string    `json:"obstacle"` // why --execute would be refused, or empty
}

// typeRow is a part of a plan.
type typeRow struct {
	Type  string `json:"type"` // entity.action
	Items int    `json:"items"`
	Bytes int64  `json:"bytes"`
}

func newPlanRow(plan *replay.Plan, what audit.Plan, rate int, obstacle error) planRow {
	row := planRow{
		Status: string(audit.StatusDryRun), Target: what.Target, AppID: what.App, Items: what.Items, Bytes: what.Bytes,
		First: what.First, Last: what.Last, FirstStoredAt: formatTime(plan.FirstAt), LastStoredAt: formatTime(plan.LastAt),
		Types: []typeRow{}, EstimateMS: plan.Estimate(rate).Milliseconds(), Digest: what.Digest(),
	}
	for _, name := range plan.Names() {
		row.Types = append(row.Types, typeRow{name, plan.Types[name].Items, plan.Types[name].Bytes})
	}
	if obstacle != nil {
		row.Obstacle = obstacle.Error()
	}
	return row
}

// shownTypes is how many types a line of conversation names.
const shownTypes = 6

// mostTypes names the types of the most events.
func mostTypes(plan *replay.Plan) string {
	var parts []string
	names := plan.Names()
	for _, name := range names[:min(shownTypes, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %d", name, plan.Types[name].Items))
	}
	if more := len(names) - shownTypes; more > 0 {
		parts = append(parts, fmt.Sprintf("and of %d other types", more))
	}
	return strings.Join(parts, ", ")
}

// printPlan prints a plan: one object, or a table of its types.
func printPlan(w io.Writer, format cli.Format, row planRow) error {
	if format != cli.Table {
		return printObject(w, row)
	}
	if len(row.Types) == 0 {
		return nil
	}
	out := cli.NewPrinter(w, format, "TYPE", "EVENTS", "BYTES")
	for _, t := range row.Types {
		if err := out.Row(t, t.Type, fmt.Sprint(t.Items), fmt.Sprint(t.Bytes)); err != nil {
			return err
		}
	}
	return out.Close()
}

func printObject(w io.Writer, v any) error {
	line, err := cli.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

// jobRow is a job as replay, resume and the verbs of jobs print it. The names
// are a contract.
type jobRow struct {
	Job         string            `json:"job"`
	State       string            `json:"state"` // running, abandoned, stopped, done or cancelled
	Target      string            `json:"target"`
	AppID       string            `json:"app_id"`
	Items       int               `json:"items"`
	Bytes       int64             `json:"bytes"`
	First       uint64            `json:"first"`
	Last        uint64            `json:"last"`
	Cursor      uint64            `json:"cursor"`   // of the plan, all up to this sequence is settled
	Sent        int               `json:"sent"`     // stored, by whichever run
	Repeated    int               `json:"repeated"` // of these, what the target had from this job already
	Failed      int               `json:"failed"`   // what the target will never take
	Failures    []replay.Failure  `json:"failures"` // the first of them
	Missing     int               `json:"missing"`  // what had left the archive before it was sent
	MissingFrom uint64            `json:"missing_from"`
	MissingTo   uint64            `json:"missing_to"` // among these sequences
	Left        int               `json:"left"`
	StoredFirst uint64            `json:"stored_first"` // sequences on the target's stream
	StoredLast  uint64            `json:"stored_last"`
	Rate        int               `json:"rate"` // a second; 0: no limit
	Window      int               `json:"window"`
	Runs        int               `json:"runs"`
	By          string            `json:"by"`
	Reason      string            `json:"reason"`
	User        string            `json:"user"` // whose process works on it, or did last
	Host        string            `json:"host"`
	PID         int               `json:"pid"`
	BegunAt     string            `json:"begun_at"`
	UpdatedAt   string            `json:"updated_at"`
	Problem     string            `json:"problem"` // why it stopped: a short constant
	Digest      string            `json:"digest"`
	Parameters  map[string]string `json:"parameters"`
	Resume      string            `json:"resume"` // the command that does the rest; empty where nothing can
}

// newJobRow makes a job printable. age is since when there was no sign of life.
func newJobRow(j replay.Job, age time.Duration) jobRow {
	row := jobRow{
		Job: j.ID, State: string(j.State), Target: j.Target, AppID: j.App, Items: j.Items, Bytes: j.Bytes, First: j.First, Last: j.Last,
		Cursor: j.Cursor, Sent: j.Sent, Repeated: j.Repeated, Failed: j.Failed, Failures: append([]replay.Failure{}, j.Failures...),
		Missing: j.Missing, MissingFrom: j.Gone.First, MissingTo: j.Gone.Last, Left: j.Left(),
		StoredFirst: j.Stored.First, StoredLast: j.Stored.Last, Rate: j.Rate, Window: j.Window, Runs: j.Runs,
		By: j.By, Reason: j.Reason, User: j.Runner.Name, Host: j.Runner.Host, PID: j.Runner.PID,
		BegunAt: formatTime(j.Begun), UpdatedAt: formatTime(j.Updated), Problem: j.Problem, Digest: j.Digest, Parameters: j.Params,
	}
	if j.State == replay.Running && age >= replay.Lease {
		row.State = "abandoned"
	}
	if row.Parameters == nil {
		row.Parameters = map[string]string{}
	}
	if row.State == "abandoned" || j.State == replay.Stopped {
		row.Resume = resumeCommand(j)
	}
	return row
}

// resumeCommand is what does the rest of a job; a replay to standard output has
// no record.
func resumeCommand(j replay.Job) string {
	if j.Target == string(replay.ToStdout) {
		return ""
	}
	return "replayer jobs resume " + j.ID + " --execute"
}

var jobHead = []string{"JOB", "STATE", "TARGET", "SENT", "OF", "LEFT", "UPDATED", "BY", "REASON"}

func (r jobRow) cells() []string {
	return []string{
		r.Job, r.State, r.Target, fmt.Sprint(r.Sent), fmt.Sprint(r.Items), fmt.Sprint(r.Left), r.UpdatedAt, r.By, r.Reason,
	}
}

// write prints the job for people.
func (r jobRow) write(w io.Writer) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, cli.Clean(value))
		}
	}
	line("job", r.Job)
	line("state", r.State)
	line("target", r.Target)
	line("plan", fmt.Sprintf("%d events, %d bytes, sequences %d to %d", r.Items, r.Bytes, r.First, r.Last))
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		line("  "+name, r.Parameters[name])
	}
	line("progress", fmt.Sprintf("%d sent (%d of them were there before), %d failed, %d missing, %d left; at sequence %d",
		r.Sent, r.Repeated, r.Failed, r.Missing, r.Left, r.Cursor))
	for _, f := range r.Failures {
		line("  failed", fmt.Sprintf("sequence %d: %s", f.Sequence, f.Reason))
	}
	if r.Missing > 0 {
		line("  missing", fmt.Sprintf("among the sequences %d to %d", r.MissingFrom, r.MissingTo))
	}
	line("by", r.By)
	line("reason", r.Reason)
	line("begun", r.BegunAt)
	line("updated", fmt.Sprintf("%s, run %d, by %s@%s, process %d", r.UpdatedAt, r.Runs, r.User, r.Host, r.PID))
	line("problem", r.Problem)
	line("digest", r.Digest)
	line("resume", r.Resume)
	_, err := io.WriteString(w, b.String())
	return err
}

// printJob prints one job: one object, or lines for people.
func printJob(w io.Writer, format cli.Format, row jobRow) error {
	if format != cli.Table {
		return printObject(w, row)
	}
	return row.write(w)
}

// replayRowHelp is planRow and jobRow for the help texts.
const replayRowHelp = `

-o json and -o ndjson print one object. In a dry run it is the plan: status, target,
app_id, items, bytes, first, last, first_stored_at, last_stored_at, types, estimate_ms,
digest, obstacle (why --execute would be refused). Else it is the job, as jobs show
prints it.`

const jobRowHelp = `

The members of a job in -o json and -o ndjson: job, state, target, app_id, items, bytes,
first, last, cursor, sent, repeated, failed, failures, missing, missing_from, missing_to,
left, stored_first, stored_last, rate, window, runs, by, reason, user, host, pid,
begun_at, updated_at, problem, digest, parameters, resume. state is running, abandoned
(its process gives no sign of life), stopped, done or cancelled.`

// shortDuration is a duration for people.
func shortDuration(d time.Duration) string {
	if d < time.Second {
		return "a second"
	}
	return d.Round(time.Second).String()
}
