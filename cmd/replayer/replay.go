package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// defaultWindow is enough to keep a server on the same network busy, and little
// enough for a consumer to see twice.
const (
	defaultWindow = 4096
	maxWindow     = 65536
)

// replayFlags are the flags of replay beside the selection.
type replayFlags struct {
	consent consentFlags
	to      string
	rate    string
	window  int
	format  cli.Format
}

func replayCommand(a *archive) *cobra.Command {
	var values flagValues
	var o replayFlags
	cmd := &cobra.Command{
		Use:   "replay --to all|consumer:NAME|file:PATH|stdout",
		Short: "Send stored events again (writes)",
		Long: `Send stored events again, in the order of the archive.

--to all            to the original subjects: every subscriber sees them again, and
                    the archive grows by them
--to consumer:NAME  to one consumer alone: alipay.replays.NAME.<what follows
                    alipay.events. in the original subject>
--to file:PATH      to a new file, one JSON object a line: sequence, stored_at,
                    subject, headers and data, with personal data and the request
--to stdout         the same to standard output; it cannot be resumed

An event keeps its id and all its headers, and gets ce-replayjob, ce-replayof (its
sequence), ce-replayreason and a message id of its own. So consumers that know ids
are not troubled, and a second replay delivers a second time. What an earlier replay
stored is left out without --include-replays, and what is stored from now on always
is. A replay that would fill its stream by more than ` + strconv.Itoa(replay.MaxFill) + ` % is refused.` + replayConsentHelp + replayRowHelp,
		Example: `  replayer replay --to consumer:orders --since 2h --type voucher.stopped     # a dry run
  replayer replay --to consumer:orders --since 2h --execute --reason 'lost its store, INC-42'
  replayer replay --to all --since 2026-08-01 --until 2026-08-02 --rate 200/s --execute --reason INC-42 --expect 48112
  replayer replay --to file:incident.ndjson --key 2026080100 --execute --reason 'for the shop team'
  replayer jobs resume 20260102t150405-k5u2n7cwq3txm4zb --execute             # after Ctrl-C, or kill -9`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, selection, err := o.read(cmd, values)
			if err != nil {
				return err
			}
			cfg, client, err := a.open("replay")
			if err != nil {
				return err
			}
			defer client.Close()
			r.cfg, r.client = cfg, client
			defer lightGC()()
			return r.run(selection)
		},
	}
	addConsent(cmd.Flags(), &o.consent)
	flags := cmd.Flags()
	flags.StringVar(&o.to, "to", "", "`target`: all, consumer:NAME, file:PATH or stdout")
	flags.StringVar(&o.rate, "rate", "", "send at most so many a second: `N/s`; default is as many as the server takes")
	flags.IntVar(&o.window, "window", defaultWindow, "how many may be under way at once; after a kill -9 no more than these are sent twice: `N`, also --concurrency")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "concurrency" {
			name = "window"
		}
		return pflag.NormalizedName(name)
	})
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag is there
	}
	cmd = selectingCommand(cmd, &values, &o.format)
	completeFixed(cmd, "to", "all", "consumer:", "file:", "stdout")
	return cmd
}

// replayConsentHelp is consentHelp for what has jobs.
const replayConsentHelp = `

It writes, and is a dry run until --execute --reason TEXT: it says how many, which
range, how many bytes, of which types, where to and for how long, and does nothing.
Over 1,000 events it takes --expect N as well. A record before and one after the work
are stored on ALIPAY_AUDIT; without the first nothing is done. Ctrl-C stops it with a
checkpoint and exit code 4; replayer jobs resume does the rest, here or elsewhere. The
same command again is a new job, which sends everything once more.`

// read checks the flags, before anything is connected to.
func (o replayFlags) read(cmd *cobra.Command, values flagValues) (*resending, replay.Selection, error) {
	selection, err := values.selection(cmd)
	if err != nil {
		return nil, selection, err
	}
	r := &resending{cmd: cmd, flags: o}
	if r.target, err = replay.ParseTarget(o.to); err != nil {
		return nil, selection, flagError(cmd, err)
	}
	if r.rate, err = parseRate(o.rate); err != nil {
		return nil, selection, flagError(cmd, err)
	}
	if o.window < 1 || o.window > maxWindow {
		return nil, selection, cli.Usagef(help(cmd), "--window %d: want 1 to %d", o.window, maxWindow)
	}
	if r.target.Kind == replay.ToStdout && cmd.Flags().Changed("output") {
		return nil, selection, cli.Usagef(help(cmd), "--to stdout prints the events, one JSON object a line: -o does not apply")
	}
	if r.target.Kind == replay.ToFile { // a job may be resumed elsewhere on this machine
		if r.target.Name, err = filepath.Abs(r.target.Name); err != nil {
			return nil, selection, err
		}
	}
	return r, selection, o.consent.check(cmd, replay.Verb)
}

// parseRate reads N/s, or N.
func parseRate(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	number, _ := strings.CutSuffix(text, "/s")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return 0, &replay.FieldError{Field: "rate", Value: text, Reason: "want N/s, such as 200/s"}
	}
	return int(n), nil
}

// resending is one run of replay.
type resending struct {
	cmd    *cobra.Command
	flags  replayFlags
	cfg    config.Config
	client *stream.Client
	target replay.Target
	rate   int
}

// say writes a line of conversation.
func (r *resending) say(format string, args ...any) {
	fmt.Fprintln(r.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

func (r *resending) run(s replay.Selection) error {
	plan, err := r.plan(s)
	if err != nil {
		return err
	}
	if plan.Items == 0 {
		nothingMatched(r.cmd.Context(), r.cmd.ErrOrStderr(), r.client, stream.Events, "events")
	}
	what := plan.Audit(r.parameters(plan))
	r.announce(plan, what)
	obstacle := r.obstacle(plan)
	if !r.flags.consent.execute || plan.Items == 0 {
		return r.dry(plan, what, obstacle)
	}
	if obstacle != nil {
		return obstacle
	}
	consent := r.flags.consent.consent(r.cmd)
	run := &jobRun{cmd: r.cmd, client: r.client, format: r.flags.format}
	return run.carryOut(what, consent, func(id string) (replay.Job, uint64, error) {
		j := replay.NewJob(id, plan, what)
		j.Reason, j.By, j.Rate, j.Window = consent.Reason, asked(consent), r.rate, r.flags.window
		j.Begun, j.Runner, j.Runs = time.Now().UTC(), thisProcess(), 1
		return j, 0, nil
	})
}

// plan looks at everything selected.
func (r *resending) plan(s replay.Selection) (*replay.Plan, error) {
	ctx := r.cmd.Context()
	usage, err := r.client.Usage(ctx)
	if err != nil {
		return nil, cli.Failedf(checkFirst, "%w", err)
	}
	bar := newProgress(r.cmd.ErrOrStderr(), "plan", lastOf(s, usage), true)
	bar.every = 10 * progressEvery
	defer bar.end()
	plan, err := replay.BuildPlan(ctx, archiveReader{client: r.client, each: func(m events.Stored) {
		bar.reach(int64(m.Sequence)) //nolint:gosec // no stream comes to 2^63
	}}, s, r.target)
	return plan, readingError(ctx, err)
}

// parameters are what was asked for, for the audit trail and the job.
func (r *resending) parameters(plan *replay.Plan) map[string]string {
	p := make(map[string]string)
	r.cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"app", "type", "key", "id", "since", "until", "seq", "limit", "include-replays", "rate"}, f.Name) {
			p[f.Name] = events.MaskText(f.Value.String())
		}
	})
	if len(plan.Types) > 0 {
		p["types"] = plan.Counts()
	}
	return p
}

// announce states the plan.
func (r *resending) announce(plan *replay.Plan, what audit.Plan) {
	r.say("%s", what)
	if plan.Items == 0 {
		return
	}
	r.say("stored from %s to %s: %s", formatTime(plan.FirstAt), formatTime(plan.LastAt), mostTypes(plan))
	at := "as fast as the server takes them"
	if r.rate > 0 {
		at = fmt.Sprintf("at %d a second", r.rate)
	}
	r.say("%s, it takes about %s", at, shortDuration(plan.Estimate(r.rate)))
	switch r.target.Kind {
	case replay.ToAll:
		r.say("note: every subscriber of alipay.events.> sees them again")
	case replay.ToConsumer:
		for _, name := range (settling{cmd: r.cmd, client: r.client}).unread([]string{r.target.Name}) {
			r.say("note: no consumer of %s reads alipay.replays.%s.>: what is sent there waits, for 7 days", stream.Replays, name)
		}
	case replay.ToFile, replay.ToStdout:
		r.say("note: personal data and the original requests are written out, unmasked")
	}
}

// obstacle is why the plan must not be carried out, or nil.
func (r *resending) obstacle(plan *replay.Plan) error {
	if r.target.Kind == replay.ToFile {
		if _, err := os.Lstat(r.target.Name); !errors.Is(err, fs.ErrNotExist) {
			return cli.Usagef("--to file: with another name", "%s is there already, and is not written over", r.target.Name)
		}
	}
	if !r.target.OnStream() {
		return nil
	}
	if err := fitToSend(r.cmd.Context(), r.client, r.cfg); err != nil {
		return err
	}
	name := streamOf(r.target)
	usage, err := r.client.UsageOf(r.cmd.Context(), name)
	if err != nil {
		return cli.Failedf(checkFirst, "%w", err)
	}
	// Of every name the longest: a job's is not known yet.
	mark := events.NewReplayMark(strings.Repeat("x", 32), r.flags.consent.reason).Size(plan.Last) + len(r.target.Subject("")) - len(events.SubjectRoot)
	if err := plan.CheckRoom(name, usage.Bytes, usage.MaxBytes, max(0, mark)); err != nil {
		return cli.Declinedf("a narrower selection, --to file:PATH, or more room: replayer streams", "%w", err)
	}
	return nil
}

// fitToSend refuses to send to streams from which what they confirm could be lost.
func fitToSend(ctx context.Context, client *stream.Client, cfg config.Config) error {
	diffs, err := client.Check(ctx, wire.Layout(cfg))
	if err != nil {
		return cli.Failedf(checkFirst, "the streams cannot be checked: %w", err)
	}
	if fatal := stream.Fatal(diffs); len(fatal) > 0 {
		return cli.Failedf("receiver provision --dry-run", "the streams are not as they must be: %s", fatal[0])
	}
	return nil
}

func streamOf(t replay.Target) string {
	if t.Kind == replay.ToConsumer {
		return stream.Replays
	}
	return stream.Events
}

// dry ends what does nothing: the plan is the data.
func (r *resending) dry(plan *replay.Plan, what audit.Plan, obstacle error) error {
	_, err := audit.New(nil, audit.Options{}).Run(r.cmd.Context(), what, r.flags.consent.consent(r.cmd), nil)
	if err != nil {
		return guardError(r.cmd, what, err)
	}
	if r.target.Kind != replay.ToStdout {
		if err := printPlan(r.cmd.OutOrStdout(), r.flags.format, newPlanRow(plan, what, r.rate, obstacle)); err != nil {
			return err
		}
	}
	if obstacle != nil {
		r.say("note: --execute would be refused: %v", obstacle)
	}
	line := "dry run: nothing was done"
	if r.flags.consent.execute {
		line = "nothing was to be done"
	} else if what.Items > 0 {
		line += "; --execute --reason TEXT does it"
	}
	if what.NeedsExpect() {
		line += fmt.Sprintf(", with --expect %d", what.Items)
	}
	r.say("%s", line)
	return nil
}
