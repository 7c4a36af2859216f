package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// auditFlags are the flags of audit.
type auditFlags struct {
	flagValues
	verb, job, who string
	unfinished     bool
	format         cli.Format
}

// auditedVerbs are the verbs that leave records, for completion.
var auditedVerbs = []string{
	"replay", "quarantine release", "rejects release", "dlq", "dlq redrive", "dlq discard", "reconcile", "call", "streams apply", "jobs cancel", revealVerb,
}

func auditCommand(a *archive) *cobra.Command {
	var o auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who did what, why, and what came of it",
		Long: `List the runs of writing verbs, and the looks at personal data, in the order in
which they began: who, why, what was planned and what came of it. A run that has a
record of before the work and none of after it is "unfinished": it is still at
work, or its process died, and any part of its plan may be done.

A job that was resumed has a row for each run. --verb dlq is every verb of dlq.
--who is the name that was given by --as, or the user of the machine, or that with
its host (user@host). Times are those of the beginning.` + auditRowHelp,
		Example: `  replayer audit --since 1d
  replayer audit --verb replay --who wang
  replayer audit --unfinished --since 7d
  replayer audit --job 20260102t150405-k5u2n7cwq3txm4zb -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := o.selection(cmd)
			if err != nil {
				return err
			}
			client, err := a.connect("audit")
			if err != nil {
				return err
			}
			defer client.Close()
			return listAudit(cmd, client, selection, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.verb, "verb", "", "only this `verb`, such as replay or \"dlq redrive\"")
	flags.StringVar(&o.job, "job", "", "only this `job`")
	flags.StringVar(&o.who, "who", "", "only what this `person` did")
	flags.StringVar(&o.App, "app", "", "only what was about this `app_id` alone")
	flags.StringVar(&o.Since, "since", "", "only what began at this `time` or later: RFC 3339, a date, or a duration back from now (30m, 7d)")
	flags.StringVar(&o.Until, "until", "", "only what began before this `time`")
	flags.IntVar(&o.Limit, "limit", 0, "only the first `N`; 0 is all")
	flags.BoolVar(&o.unfinished, "unfinished", false, "only runs without a record of their end")
	cli.AddFormat(flags, &o.format)
	completeFixed(cmd, "verb", auditedVerbs...)
	completeFixed(cmd, "output", formats...)
	return cmd
}

func listAudit(cmd *cobra.Command, client *stream.Client, s replay.Selection, o auditFlags) error {
	ctx := cmd.Context()
	passes, strange, err := readTrail(ctx, client, s, o.job)
	if err != nil {
		return err
	}
	out := newRowPrinter(cmd.OutOrStdout(), o.format, auditHead...)
	for _, p := range passes {
		if !o.match(p, s) {
			continue
		}
		row := newAuditRow(p)
		if err := out.put(row, row.cells()...); err != nil {
			return err
		}
		if s.Limit > 0 && out.rows >= s.Limit {
			break
		}
	}
	if strange > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "replayer: %d messages on %s are no audit records and are left out\n", strange, stream.Audit)
	}
	if out.rows == 0 {
		nothingMatched(ctx, cmd.ErrOrStderr(), client, stream.Audit, "records")
	}
	return out.finish(o.format, nil)
}

// readTrail reads the records of the runs that began in a time. It reads on
// behind that time, for the record of a run's end.
func readTrail(ctx context.Context, client *stream.Client, s replay.Selection, job string) (passes []audit.Pass, strange int, err error) {
	filter := []string{"alipay.audit", "*", "*", "*"}
	if s.App != "" {
		filter[1] = events.Token(s.App)
	}
	if job != "" {
		filter[3] = events.Token(job)
	}
	var trail audit.Trail
	err = client.Read(ctx, stream.ReadOptions{
		Stream: stream.Audit, Subjects: []string{strings.Join(filter, ".")}, FromTime: s.Since,
	}, func(m events.Stored) error {
		if trail.Add(m.Sequence, m.Data) != nil {
			strange++
		}
		return nil
	})
	passes = slices.DeleteFunc(trail.Passes(), func(p audit.Pass) bool {
		return p.Began == "" && !s.Since.IsZero() // it began before
	})
	return passes, strange, readingError(ctx, err)
}

// match tells whether a run is asked for.
func (o auditFlags) match(p audit.Pass, s replay.Selection) bool {
	began, err := time.Parse(time.RFC3339, p.Began)
	return (o.verb == "" || p.Of(o.verb)) &&
		(o.who == "" || p.By(o.who)) &&
		(!o.unfinished || p.Status() == audit.StatusUnfinished) &&
		(s.Until.IsZero() || err == nil && began.Before(s.Until))
}

// auditRow is one run. The names are a contract.
type auditRow struct {
	Sequence   uint64            `json:"sequence"` // of its first record
	BeganAt    string            `json:"began_at"`
	EndedAt    string            `json:"ended_at"` // empty when it is unfinished
	Verb       string            `json:"verb"`
	Job        string            `json:"job"`
	Run        string            `json:"run"`
	Resumed    bool              `json:"resumed"`
	AppID      string            `json:"app_id"`
	Who        string            `json:"who"` // the name that was given, else the user
	OSUser     string            `json:"os_user"`
	Host       string            `json:"host"`
	Reason     string            `json:"reason"`
	Status     audit.Status      `json:"status"` // done, partial, interrupted, failed or unfinished
	Items      int               `json:"items"`  // planned
	Bytes      int64             `json:"bytes"`
	First      uint64            `json:"first"`
	Last       uint64            `json:"last"`
	Target     string            `json:"target"`
	Parameters map[string]string `json:"parameters"`
	Digest     string            `json:"digest"` // of the plan
	Done       int               `json:"done"`
	Failed     int               `json:"failed"`
	Skipped    int               `json:"skipped"`
	Error      string            `json:"error"`
	DurationMS int64             `json:"duration_ms"`
}

const auditRowHelp = `

-o json prints an array, -o ndjson one object a line, of:
  sequence, began_at, ended_at, verb, job, run, resumed, app_id, who, os_user,
  host, reason, status (done, partial, interrupted, failed, unfinished), items,
  bytes, first, last, target, parameters, digest, done, failed, skipped, error,
  duration_ms.`

var auditHead = []string{"BEGAN", "STATUS", "VERB", "ITEMS", "DONE", "FAILED", "SKIPPED", "WHO", "REASON", "JOB"}

func newAuditRow(p audit.Pass) auditRow {
	row := auditRow{
		Sequence: p.Sequence, BeganAt: p.Began, EndedAt: p.Ended, Verb: p.Verb, Job: p.Job, Run: p.Run, Resumed: p.Resumed,
		AppID: p.App, Who: p.Operator.Name, OSUser: p.Operator.OSUser, Host: p.Operator.Host, Reason: p.Reason, Status: p.Status(),
		Items: p.Plan.Items, Bytes: p.Plan.Bytes, First: p.Plan.First, Last: p.Plan.Last, Target: p.Plan.Target,
		Parameters: p.Plan.Parameters, Digest: p.Plan.Digest,
	}
	if row.Parameters == nil {
		row.Parameters = map[string]string{}
	}
	if r := p.Result; r != nil {
		row.Error, row.DurationMS = r.Error, r.DurationMS
		if r.Outcome != nil {
			row.Done, row.Failed, row.Skipped = r.Outcome.Done, r.Outcome.Failed, r.Outcome.Skipped
		}
	}
	return row
}

func (r auditRow) cells() []string {
	done, failed, skipped := fmt.Sprint(r.Done), fmt.Sprint(r.Failed), fmt.Sprint(r.Skipped)
	if r.Status == audit.StatusUnfinished {
		done, failed, skipped = "?", "?", "?"
	}
	return []string{
		orDash(r.BeganAt), string(r.Status), r.Verb, fmt.Sprint(r.Items), done, failed, skipped, r.Who, r.Reason, r.Job,
	}
}
