package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// releaseFlags are the flags of release beside the selection.
type releaseFlags struct {
	consent        consentFlags
	allowAmbiguous bool
	format         cli.Format
}

func releaseCommand(a *archive, k refusedKind) *cobra.Command {
	var values refusedFlags
	var o releaseFlags
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Take refused requests in after all (writes)",
		Long: `Decide on refused requests once more, by the receiver's own rules with today's
keys, and store those that pass as events on ` + stream.Events + `, with the time at
which they once came in. Their age is waived; nothing else is. What passes is
taken out of ` + k.stream + ` once its event is stored, and what does not pass
stays. Redis is asked where it is configured, so that nothing is stored twice
that Alipay has delivered meanwhile; what is older than redis.retention (without
Redis: than 26 h) can be stored a second time, under the same event id.` + consentHelp + releaseRowHelp,
		Example: `  replayer ` + k.verb + ` release --why ` + k.why + `                # what would pass, and why the rest would not
  replayer ` + k.verb + ` release --why ` + k.why + ` --execute --reason 'the key was wrong, INC-42'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			if err := o.consent.check(cmd, k.verb+" release"); err != nil {
				return err
			}
			cfg, keys, err := wire.ReceiverConfig(a.file, a.environ)
			if err != nil {
				return err
			}
			client, err := wire.ConnectTool(cfg, "alipay-notify replayer "+k.verb)
			if err != nil {
				return err
			}
			defer client.Close()
			r := &release{cmd: cmd, kind: k, flags: o, cfg: cfg, client: client}
			return r.run(selection, keys)
		},
	}
	addConsent(cmd.Flags(), &o.consent)
	if k.verb == quarantine.verb {
		cmd.Flags().BoolVar(&o.allowAmbiguous, "allow-ambiguous", false,
			"also what is ambiguous: you have looked at it, and decided that it is what it seems to be")
	}
	return selectingRefused(cmd, &values, &o.format)
}

// release is one run of the verb.
type release struct {
	cmd    *cobra.Command
	kind   refusedKind
	flags  releaseFlags
	cfg    config.Config
	client *stream.Client

	redis    redis.UniversalClient // nil without
	releaser *replay.Releaser
}

func (r *release) verb() string { return r.kind.verb + " release" }

// say writes a line of conversation.
func (r *release) say(format string, args ...any) {
	fmt.Fprintln(r.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

func (r *release) run(s replay.RefusedSelection, keys wire.Keys) error {
	if err := r.wire(keys); err != nil {
		return err
	}
	if r.redis != nil {
		defer r.redis.Close() //nolint:errcheck // nothing is pending
	}
	plan, err := r.plan(s)
	if err != nil {
		return err
	}
	if plan.Selected == 0 {
		nothingMatched(r.cmd.Context(), r.cmd.ErrOrStderr(), r.client, r.kind.stream, "requests")
	}
	// An interrupted plan has returned above: nothing partial is ever executed.
	what := plan.Audit(r.verb(), stream.Events, r.parameters())
	r.announce(plan, what)
	problem := r.checkLayout()
	if r.flags.consent.execute && problem != nil {
		return problem
	}
	report, err := r.execute(plan, what)
	switch report.Status {
	case audit.StatusDryRun:
		r.sayDry(what, problem)
	case audit.StatusRefused:
	default:
		o := report.Outcome
		r.say("job %s: %s: %d released, %d stored before, %d failed", orDash(report.Job), report.Status, o.Done, o.Skipped, o.Failed)
	}
	return guardError(r.cmd, what, err)
}

// wire makes the receiver's pipeline, but for what a release is to do otherwise.
func (r *release) wire(keys wire.Keys) error {
	publisher := r.client.NewPublisher()
	told := make(map[string]bool)
	once, client, _, err := wire.Once(r.cfg, dedupe.Options{
		Holds: publisher.Holds,
		Observe: func(op string, err error) {
			if !told[op] { // one release is one goroutine
				r.say("warning: Redis: %v", err)
			}
			told[op] = true
		},
	})
	if err != nil {
		return err
	}
	r.redis = client
	r.releaser = &replay.Releaser{
		Stream: keptStream{r.client, r.kind.stream},
		Pipeline: ingest.New(ingest.Options{
			Once: once, Key: dedupe.Key, Publisher: publisher,
			MaxSignedAge:   0, // it was kept because somebody may want it later
			AllowAmbiguous: r.flags.allowAmbiguous,
		}, keys.Apps...),
	}
	return nil
}

// keptStream is one of the streams of refused requests.
type keptStream struct {
	client *stream.Client
	name   string
}

func (s keptStream) Get(ctx context.Context, sequence uint64) (m events.Stored, gone bool, err error) {
	m, err = s.client.Get(ctx, s.name, sequence)
	if errors.Is(err, stream.ErrNotFound) {
		return m, true, nil
	}
	return m, false, err
}

func (s keptStream) Remove(ctx context.Context, sequence uint64) error {
	if err := s.client.Remove(ctx, s.name, sequence); !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	return nil
}

// plan decides on everything selected. A dry run prints each decision: memory
// does not grow with what a request holds.
func (r *release) plan(s replay.RefusedSelection) (*replay.ReleasePlan, error) {
	plan := &replay.ReleasePlan{}
	var out *rowPrinter
	if !r.flags.consent.execute {
		out = newRowPrinter(r.cmd.OutOrStdout(), r.flags.format, releaseHead...)
	}
	err := readRefused(r.cmd.Context(), r.client, r.kind, s, func(x replay.Refused) error {
		decision := r.releaser.Decide(x)
		plan.Add(x, decision)
		if out == nil {
			return nil
		}
		row := newReleaseRow(decision)
		return out.put(row, row.cells()...)
	})
	if out != nil {
		err = out.finish(r.flags.format, err)
	}
	return plan, err
}

// parameters are the flags that chose, for the audit trail.
func (r *release) parameters() map[string]string {
	p := make(map[string]string)
	r.cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"app", "id", "since", "until", "seq", "limit", "why", "allow-ambiguous"}, f.Name) {
			p[f.Name] = f.Value.String()
		}
	})
	return p
}

// announce states the plan.
func (r *release) announce(plan *replay.ReleasePlan, what audit.Plan) {
	r.say("%s", what)
	if what.Items > 0 {
		r.say("they were kept as: %s", replay.Counts(plan.Was))
	}
	if len(plan.Stay) > 0 {
		r.say("%d would not pass, and stay: %s", plan.Selected-what.Items, replay.Counts(plan.Stay))
	}
	if horizon := r.horizon(); what.Items > 0 && time.Since(plan.Oldest) > horizon {
		r.say("note: some were received more than %v ago: what Alipay has delivered again since then can be stored a second time, under the same event id", horizon)
	}
}

// horizon is how far back a duplicate is recognized.
func (r *release) horizon() time.Duration {
	if r.redis != nil {
		return r.cfg.Redis.Retention
	}
	return wire.Layout(r.cfg).Window()
}

// checkLayout refuses what the receiver would refuse: to publish to streams
// from which something acknowledged could be lost.
func (r *release) checkLayout() error {
	diffs, err := r.client.Check(r.cmd.Context(), wire.Layout(r.cfg))
	if err != nil {
		return cli.Failedf(checkFirst, "the streams cannot be checked: %w", err)
	}
	fatal := stream.Fatal(diffs)
	if len(fatal) == 0 {
		return nil
	}
	lines := make([]string, len(fatal))
	for i, d := range fatal {
		lines[i] = d.String()
	}
	return cli.Failedf("receiver provision --dry-run", "the streams are not as they must be: %s", strings.Join(lines, "; "))
}

// sayDry ends a dry run: what to do next.
func (r *release) sayDry(what audit.Plan, problem error) {
	if problem != nil {
		r.say("note: --execute would be refused: %v", problem)
	}
	line := "dry run: nothing was done"
	if what.Items > 0 {
		line += "; --execute --reason TEXT does it"
	}
	if what.NeedsExpect() {
		line += fmt.Sprintf(", with --expect %d", what.Items)
	}
	r.say("%s", line)
}

// execute takes the plan through the guard, and prints what became of each.
func (r *release) execute(plan *replay.ReleasePlan, what audit.Plan) (audit.Report, error) {
	ctx := r.cmd.Context()
	guard := audit.New(r.client, audit.Options{})
	out := newRowPrinter(r.cmd.OutOrStdout(), r.flags.format, releaseHead...)
	bar := newProgress(r.cmd.ErrOrStderr(), r.verb(), int64(what.Items), false)
	bar.every = releaseProgressEvery
	began := false
	report, err := guard.Run(ctx, what, r.flags.consent.consent(r.cmd), func(ctx context.Context, job string) (audit.Outcome, error) {
		began = true
		r.say("job %s begins", job)
		outcome, err := r.releaser.Execute(ctx, plan.Sequences, func(d replay.Released) error {
			bar.reach(bar.done + 1)
			row := newReleaseRow(d)
			return out.put(row, row.cells()...)
		})
		return outcome, out.finish(r.flags.format, err)
	})
	if report.Status == audit.StatusDone && !began { // a plan of nothing
		return report, out.finish(r.flags.format, err)
	}
	return report, err
}

// releaseProgressEvery is after how many requests a line says how far it is.
const releaseProgressEvery = 500
