package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// letterVerb is one of the two verbs that end a dead letter.
type letterVerb struct {
	name    string
	discard bool
	short   string
	long    string
	example string
	done    string // what the summary calls what was done
}

var (
	redriveLetters = letterVerb{
		name: "redrive", done: "redriven",
		short: "Send dead letters to their consumers again (writes)",
		long: `Send what consumers gave up to them again, each to its own consumer alone, by
alipay.replays.<consumer>, with the same event id and the headers of a replay; the
pointers are removed once the event is stored there. What is interrupted between
the two is sent once more by the next run.

What was sent to the same consumer ` + fmt.Sprint(replay.MaxRedrives) + ` times within the 7 days that ` + stream.Replays + ` keeps is
held back: a fourth time mends nothing. --force sends it all the same.`,
		example: `  replayer dlq redrive --consumer orders                       # a dry run
  replayer dlq redrive --consumer orders --execute --reason 'database is back, INC-42'
  replayer dlq redrive --seq 7 --force --execute --reason 'fixed in 1.4.2'`,
	}
	discardLetters = letterVerb{
		name: "discard", discard: true, done: "discarded",
		short: "Strike dead letters off (writes)",
		long: `Remove the pointers to what consumers gave up. The events stay where they are; who
struck them off, and why, stays in the audit trail.`,
		example: `  replayer dlq discard --why terminated --consumer orders      # a dry run
  replayer dlq discard --seq 7 --execute --reason 'test data, agreed with the shop team'`,
	}
)

func settleLettersCommand(a *archive, v letterVerb) *cobra.Command {
	var values letterFlags
	s := settling{verb: v}
	cmd := &cobra.Command{
		Use: v.name, Short: v.short, Long: v.long + consentHelp + settledRowHelp, Example: v.example,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			if err := s.consent.check(cmd, s.name()); err != nil {
				return err
			}
			client, err := a.connect(s.name())
			if err != nil {
				return err
			}
			defer client.Close()
			s.cmd, s.client = cmd, client
			return s.run(selection)
		},
	}
	addConsent(cmd.Flags(), &s.consent)
	if !v.discard {
		cmd.Flags().BoolVar(&s.force, "force", false, fmt.Sprintf("also what was sent to its consumer %d times already", replay.MaxRedrives))
	}
	return selectingLetters(cmd, &values, &s.format)
}

// settling is one run of redrive or discard.
type settling struct {
	verb    letterVerb
	consent consentFlags
	force   bool
	format  cli.Format
	cmd     *cobra.Command
	client  *stream.Client
}

func (s settling) name() string { return "dlq " + s.verb.name }

// say writes a line of conversation.
func (s settling) say(format string, args ...any) {
	fmt.Fprintln(s.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

func (s settling) run(selection letterSelection) error {
	plan, err := s.plan(selection)
	if err != nil {
		return err
	}
	what := plan.Audit(s.name(), s.parameters())
	s.announce(plan, what)
	if plan.Held > 0 && len(plan.Letters) == 0 && s.consent.execute {
		return cli.Declinedf("replayer dlq show --seq N    # why does it fail? then the same with --force, or replayer dlq discard",
			"%s: all of it was sent to its consumer %d times already", s.name(), replay.MaxRedrives)
	}
	report, err := s.execute(plan, what)
	switch report.Status {
	case audit.StatusDryRun:
		line := "dry run: nothing was done"
		if what.Items > 0 {
			line += "; --execute --reason TEXT does it"
		}
		if what.NeedsExpect() {
			line += fmt.Sprintf(", with --expect %d", what.Items)
		}
		s.say("%s", line)
	case audit.StatusRefused:
	default:
		o := report.Outcome
		s.say("job %s: %s: %d %s, %d dealt with before, %d failed", orDash(report.Job), report.Status, o.Done, s.verb.done, o.Skipped, o.Failed)
	}
	return guardError(s.cmd, what, err)
}

// plan decides on everything selected. A dry run prints each decision.
func (s settling) plan(selection letterSelection) (*replay.LetterPlan, error) {
	ctx, stderr := s.cmd.Context(), s.cmd.ErrOrStderr()
	var letters []*replay.DeadLetter
	if err := readLetters(ctx, s.client, stderr, selection, func(d *replay.DeadLetter) error {
		letters = append(letters, d)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(letters) == 0 {
		nothingMatched(ctx, stderr, s.client, stream.DLQ, "pointers")
	}
	plan := &replay.LetterPlan{Discard: s.verb.discard, Force: s.force}
	if !s.verb.discard {
		if err := countRedrives(ctx, s.client, letters); err != nil {
			return nil, err
		}
	}
	out := newRowPrinter(s.cmd.OutOrStdout(), s.format, settledHead...)
	for _, d := range letters {
		row := newSettledRow(plan.Add(d))
		if s.consent.execute {
			continue
		}
		if err := out.put(row, row.cells()...); err != nil {
			return nil, err
		}
	}
	if s.consent.execute {
		return plan, nil
	}
	return plan, out.finish(s.format, nil)
}

// redriveChunk is how many subjects are asked for at once.
const redriveChunk = 200

// countRedrives finds out how often each was sent to its consumer already.
func countRedrives(ctx context.Context, client *stream.Client, letters []*replay.DeadLetter) error {
	type sending struct {
		subject string
		origin  uint64
	}
	counts := make(map[sending]int)
	subjects := make(map[string]bool)
	for _, d := range letters {
		if !d.Gone {
			subjects[d.Subject()] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(subjects)), redriveChunk) {
		err := client.Read(ctx, stream.ReadOptions{Stream: stream.Replays, Subjects: chunk, Light: true}, func(m events.Stored) error {
			counts[sending{m.Subject, (replay.DeadLetter{Message: m}).Origin()}]++
			return nil
		})
		if err := readingError(ctx, err); err != nil {
			return err
		}
	}
	for _, d := range letters {
		if !d.Gone {
			d.Redrives = counts[sending{d.Subject(), d.Origin()}]
		}
	}
	return nil
}

// parameters are the flags that chose, for the audit trail.
func (s settling) parameters() map[string]string {
	p := make(map[string]string)
	s.cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"app", "type", "key", "id", "since", "until", "seq", "limit", "consumer", "why", "force"}, f.Name) {
			p[f.Name] = events.MaskText(f.Value.String())
		}
	})
	return p
}

// announce states the plan.
func (s settling) announce(plan *replay.LetterPlan, what audit.Plan) {
	s.say("%s", what)
	if what.Items > 0 {
		s.say("of: %s", what.Parameters["consumers"])
	}
	if plan.Held > 0 {
		s.say("%d were sent to their consumer %d times already and are held back; --force sends them", plan.Held, replay.MaxRedrives)
	}
	if plan.Expired > 0 {
		s.say("the events of %d are no longer stored; replayer dlq discard strikes them off", plan.Expired)
	}
	if s.verb.discard {
		return
	}
	for _, name := range s.unread(plan.Consumers()) {
		s.say("note: no consumer of %s reads alipay.replays.%s.>: what is sent there waits, for 7 days", stream.Replays, name)
	}
}

// unread gives the consumers to whom nobody would deliver what is sent again.
func (s settling) unread(names []string) []string {
	consumers, err := s.client.Consumers(s.cmd.Context(), stream.Replays)
	if err != nil {
		s.say("note: who reads %s cannot be seen: %v", stream.Replays, err)
		return nil
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(consumers, func(c stream.Consumer) bool {
			return len(c.Filters) == 0 || slices.ContainsFunc(c.Filters, func(f string) bool {
				token, below := strings.CutPrefix(f, events.ReplaysRoot+".")
				token, _, _ = strings.Cut(token, ".")
				return below && (token == name || token == "*" || token == ">")
			})
		})
	})
}

// execute takes the plan through the guard, and prints what became of each.
func (s settling) execute(plan *replay.LetterPlan, what audit.Plan) (audit.Report, error) {
	out := newRowPrinter(s.cmd.OutOrStdout(), s.format, settledHead...)
	bar := newProgress(s.cmd.ErrOrStderr(), s.name(), int64(what.Items), false)
	bar.every = releaseProgressEvery
	began := false
	var denied error
	report, err := audit.New(s.client, audit.Options{}).Run(s.cmd.Context(), what, s.consent.consent(s.cmd), func(ctx context.Context, job string) (audit.Outcome, error) {
		began = true
		s.say("job %s begins", job)
		outcome, err := plan.Execute(ctx, letterStore{s.client}, job, s.consent.reason, func(d replay.SettledLetter) error {
			bar.reach(bar.done + 1)
			row := newSettledRow(d)
			return out.put(row, row.cells()...)
		})
		denied = err
		return outcome, out.finish(s.format, err)
	})
	if report.Status == audit.StatusDone && !began { // a plan of nothing
		return report, out.finish(s.format, err)
	}
	if try, no := wire.Denied(denied, "replayer"); no && err != nil {
		return report, cli.Failedf(try, "%w", err)
	}
	return report, err
}

// letterStore is where dead letters are dealt with.
type letterStore struct{ client *stream.Client }

func (s letterStore) Pointed(ctx context.Context, sequence uint64) (bool, error) {
	_, err := s.client.Get(ctx, stream.DLQ, sequence)
	if errors.Is(err, stream.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s letterStore) Resend(ctx context.Context, subject string, header map[string][]string, data []byte) (uint64, error) {
	return s.client.Resend(ctx, subject, header, data)
}

func (s letterStore) Remove(ctx context.Context, sequence uint64) error {
	if err := s.client.Remove(ctx, stream.DLQ, sequence); !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	return nil
}

// settledRow is one dead letter as redrive and discard print it. The names are a contract.
type settledRow struct {
	Sequence uint64 `json:"sequence"` // of the pointer
	Consumer string `json:"consumer"`
	Stream   string `json:"stream"`
	EventSeq uint64 `json:"event_sequence"`
	EventID  string `json:"event_id"`
	Type     string `json:"type"`
	Redrives int    `json:"redrives"` // how often it was sent to this consumer before
	Outcome  string `json:"outcome"`
	Detail   string `json:"detail"`          // why it is not done
	Subject  string `json:"subject"`         // where it is sent
	StoredAt uint64 `json:"stored_sequence"` // its sequence on ALIPAY_REPLAYS
	Removed  bool   `json:"removed"`         // no pointer is left
}

// settledRowHelp is settledRow for the help texts.
const settledRowHelp = `

-o json prints an array, -o ndjson one object a line, of: sequence, consumer,
stream, event_sequence, event_id, type, redrives (before), outcome, detail,
subject, stored_sequence, removed. outcome is would_redrive or would_discard in a
dry run; redriven, discarded or gone (dealt with by somebody else) when it is done;
held (sent too often), expired (the event is gone) or failed where it is not.`

var settledHead = []string{"SEQ", "CONSUMER", "OUTCOME", "STREAM", "EVENT", "TYPE", "ID", "REDRIVES", "DETAIL"}

func newSettledRow(s replay.SettledLetter) settledRow {
	d := s.Letter
	return settledRow{
		Sequence: d.Sequence, Consumer: d.Consumer, Stream: d.Stream, EventSeq: d.Event, EventID: d.Message.ID, Type: d.Message.Kind,
		Redrives: d.Redrives, Outcome: s.Outcome, Detail: events.MaskText(s.Detail), Subject: events.MaskText(s.Subject),
		StoredAt: s.Stored, Removed: s.Removed,
	}
}

func (r settledRow) cells() []string {
	return []string{
		fmt.Sprintf("%-5d", r.Sequence), fmt.Sprintf("%-10s", r.Consumer), fmt.Sprintf("%-13s", r.Outcome), r.Stream, fmt.Sprint(r.EventSeq),
		fmt.Sprintf("%-15s", orDash(r.Type)), fmt.Sprintf("%-34s", orDash(r.EventID)), fmt.Sprint(r.Redrives), orDash(r.Detail),
	}
}
