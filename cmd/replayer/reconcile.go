package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// reconcileFlags are the flags of reconcile.
type reconcileFlags struct {
	asking

	// What is reconciled.
	cards      bool
	file       string
	fromAlipay bool
	merchant   string
	status     string
	since      string
	until      string
	resume     string

	// How.
	rate        float64
	concurrency int
	grace, late time.Duration
	recorded    string

	// What becomes of it.
	all      bool
	textfile string
	format   reportFormat
	emit     bool
	consent  consentFlags

	expectations bool
	watch        bool
	every        time.Duration
	forget       time.Duration
}

func reconcileCommand(a *archive) *cobra.Command {
	var o reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile [ID...]",
		Short: "Compare the state at Alipay with the stored events (--emit writes)",
		Long: `Ask Alipay for the state of voucher activities or cards, compare it with the stored
events, and say what has never arrived. Which activities: those of the archive (the
default; --since and --until are times of storing), those that are named, those of
--file, or with --from-alipay every one of the merchant. With --cards the arguments
are card numbers (biz_card_no).

State proves that an activity was published and that it was stopped, and that a card
was opened. A modification or an append is proved only where the request is known:
from an expectation, from the audit trail of "replayer call", or from a file. Of
everything else the report says cannot_tell. docs/RECONCILE.md has the table.

` + fileHelp + `

--emit publishes, on ALIPAY_INFERRED, an inferred event for what is missing, and
never for what is uncertain. A second run emits nothing.

--expectations looks at ALIPAY_EXPECT instead: it closes the expectations whose event
has come, asks about those that are overdue, and reports them. With --watch it does
so --every 30s until it is stopped.

Exit code 0: nothing is missing. 1: something is missing, unexplained, or unknown to
Alipay (--emit --execute: and not all of it could be made up for). 4: some could not
be asked, or it was interrupted, and nothing of the above was found.` + strings.Replace(consentHelp, "It writes", "--emit writes", 1) + reconcileRowHelp,
		Example: `  replayer reconcile --since 7d                                  # activities with events of the last week
  replayer reconcile 2026080100826004508401111111 --all
  replayer reconcile --file requests.csv -o csv > report.csv
  replayer reconcile --from-alipay --rate 5 --emit               # a dry run of making up for it
  replayer reconcile --cards 0012345678901234
  replayer reconcile --expectations --watch -o ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.checkAll(cmd, args); err != nil {
				return err
			}
			r, err := newReconciling(cmd, a, o)
			if err != nil {
				return err
			}
			defer r.close()
			if o.expectations {
				return r.runExpectations()
			}
			return r.run(args)
		},
	}
	noFiles(cmd)
	o.register(cmd)
	return cmd
}

func (o *reconcileFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.addFlags(cmd)
	o.addMode(cmd)
	flags.BoolVar(&o.cards, "cards", false, "the arguments are card numbers")
	flags.StringVar(&o.file, "file", "", "activities or cards, and what was asked for: a CSV or NDJSON `FILE`; - is stdin")
	flags.BoolVar(&o.fromAlipay, "from-alipay", false, "every activity of the merchant, as Alipay lists them")
	flags.StringVar(&o.merchant, "merchant-id", "", "with --from-alipay: only activities of this `merchant`")
	flags.StringVar(&o.status, "status", "", "with --from-alipay: only activities in this `state`, such as ACTIVE")
	flags.StringVar(&o.since, "since", "", "of the archive: activities with an event stored at this `time` or later")
	flags.StringVar(&o.until, "until", "", "and before this `time`")
	flags.StringVar(&o.resume, "resume", "", "go on with an interrupted `JOB`; the rest of the command line must be the same")

	flags.Float64Var(&o.rate, "rate", 10, "requests to Alipay a second; the quota is the app's, whoever else uses it")
	flags.IntVar(&o.concurrency, "concurrency", 8, "requests at once")
	flags.DurationVar(&o.grace, "grace", time.Minute, "how long an event may still be on its way before it is called missing")
	flags.DurationVar(&o.late, "late", 30*time.Minute, "after how long an event is called late; 0: never")
	flags.StringVar(&o.recorded, "recorded-since", "", "since when everything was received here: what may be older is not called missing (a `time`; default: the beginning of the archive)")

	flags.BoolVar(&o.all, "all", false, "print a row for everything; without it, a table leaves out what is in step, and --expectations what is not overdue")
	flags.StringVar(&o.textfile, "textfile", "", "also write the counts to this `FILE`, as metrics for node_exporter")
	flags.BoolVar(&o.emit, "emit", false, "publish inferred events of what is missing")
	flags.BoolVar(&o.expectations, "expectations", false, "look at what is expected, in ALIPAY_EXPECT")
	flags.BoolVar(&o.watch, "watch", false, "with --expectations: go on until it is stopped")
	flags.DurationVar(&o.every, "every", 30*time.Second, "with --watch: how often")
	flags.DurationVar(&o.forget, "forget", 30*24*time.Hour, "with --expectations: close what is overdue by more than this; 0: never")
	addConsent(flags, &o.consent)
	addReportFormat(flags, &o.format)
	completeFixed(cmd, "output", "table", "json", "ndjson", "csv")
}

func (o *reconcileFlags) checkAll(cmd *cobra.Command, args []string) error {
	sources := 0
	for _, given := range []bool{len(args) > 0, o.file != "", o.fromAlipay, o.expectations} {
		if given {
			sources++
		}
	}
	times := cmd.Flags().Changed("since") || cmd.Flags().Changed("until")
	usage := func(format string, a ...any) error { return cli.Usagef(help(cmd), format, a...) }
	switch {
	case sources > 1:
		return usage("one source at a time: IDs, --file, --from-alipay or --expectations")
	case times && sources > 0:
		return usage("--since and --until are about the archive")
	case o.cards && len(args) == 0:
		return usage("--cards goes with card numbers; a file has a column biz_card_no")
	case !o.fromAlipay && (o.merchant != "" || o.status != ""):
		return usage("--merchant-id and --status go with --from-alipay")
	case o.watch && !o.expectations:
		return usage("--watch goes with --expectations")
	case o.watch && o.emit && !o.consent.execute:
		return usage("--watch with --emit wants --execute --reason: nobody reads a dry run again and again")
	case o.resume != "" && (o.fromAlipay || o.expectations):
		return usage("--resume: neither expectations nor Alipay's list, which shifts while it is read, have a place to go on from")
	case o.rate <= 0 || o.concurrency < 1 || o.grace < 0 || o.late < 0 || o.every <= 0 || o.forget < 0:
		return usage("--rate, --concurrency and --every must be positive, --grace, --late and --forget not negative")
	case !o.emit && (o.consent.execute || o.consent.reason != ""):
		return usage("--execute and --reason go with --emit: nothing else writes")
	}
	if err := o.check(cmd); err != nil {
		return err
	}
	return o.consent.check(cmd, reconcile.Verb)
}

// reconciling is one run of the verb.
type reconciling struct {
	reconcileFlags
	cmd    *cobra.Command
	cfg    config.Config
	client *stream.Client
	alipay *alipay
	limits reconcile.Limits
	engine *reconcile.Engine
	stored storedEvents

	restraint restraint // of --watch
}

func newReconciling(cmd *cobra.Command, a *archive, o reconcileFlags) (*reconciling, error) {
	r := &reconciling{cmd: cmd, reconcileFlags: o}
	var err error
	if r.cfg, err = wire.Config(a.file, a.environ); err != nil {
		return nil, err
	}
	if r.client, err = wire.ConnectTool(r.cfg, "alipay-notify replayer reconcile"); err != nil {
		return nil, err
	}
	r.stored = storedEvents{r.client}
	r.alipay = &alipay{cfg: r.cfg, mode: o.mode, over: o.over(), tune: func(c *openapi.Config) {
		c.Rate, c.Burst, c.Timeout = o.rate, max(1, min(o.concurrency, int(o.rate))), o.timeout
	}}
	if err := r.prepare(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// prepare reads what a comparison needs besides the items.
func (r *reconciling) prepare() error {
	ctx := r.cmd.Context()
	r.limits.Late = r.late
	var err error
	if r.limits.Began, err = r.began(ctx); err != nil {
		return err
	}
	calls, err := readCalls(ctx, r.client, r.app)
	if err != nil {
		return readingError(ctx, err)
	}
	o := reconcile.Options{
		Asker: r.alipay, Archive: r.stored, Books: []reconcile.Book{expectedRequests{r.client}, calls}, Limits: r.limits,
		Concurrency: r.concurrency, Grace: r.grace,
	}
	if r.expectations {
		o.Grace, o.Books = 0, nil // they are due already, and are the requests
	}
	if r.watch {
		r.restraint = make(restraint)
		o.Worth = r.restraint.worth
	}
	r.engine = reconcile.New(o)
	return nil
}

// began is since when nothing that was acknowledged is missing from the archive.
func (r *reconciling) began(ctx context.Context) (time.Time, error) {
	if r.recorded != "" {
		s, err := flagValues{Since: r.recorded}.selection(r.cmd)
		if err != nil {
			return time.Time{}, cli.Usagef(help(r.cmd), "--recorded-since: %s", strings.TrimPrefix(err.Error(), "--since "))
		}
		return s.Since, nil
	}
	extent, err := r.client.ExtentOf(ctx, stream.Events)
	if err != nil {
		return time.Time{}, cli.Failedf(checkFirst, "%w", err)
	}
	usage, err := r.client.UsageOf(ctx, stream.Events)
	if err != nil {
		return time.Time{}, cli.Failedf(checkFirst, "%w", err)
	}
	if usage.Messages > 0 && (extent.First > 1 || usage.First.Before(extent.Created)) { // the rest has aged out, or was restored
		return usage.First, nil
	}
	return extent.Created, nil
}

func (r *reconciling) close() {
	r.alipay.close()
	r.client.Close()
}

// say writes a line of conversation.
func (r *reconciling) say(format string, args ...any) {
	fmt.Fprintln(r.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

// run reconciles what is asked for.
func (r *reconciling) run(args []string) error {
	ctx := r.cmd.Context()
	source, err := r.source(args)
	if err != nil {
		return err
	}
	cursor, err := r.newCursor(ctx, source)
	if err != nil {
		return err
	}
	out := newReportPrinter(r.cmd.OutOrStdout(), r.format, r.all)
	began, plan, count := time.Now(), &reconcile.EmitPlan{}, newTally()
	bar := newProgress(r.cmd.ErrOrStderr(), "reconcile", source.total, source.total > 0 && !isTerminal(r.cmd.OutOrStdout()))
	err = r.engine.Run(ctx, cursor.watch(source.items(ctx)), func(report reconcile.Report) error {
		at := cursor.done(ctx, report.Item.Cursor, !report.Away())
		bar.reach(max(int64(at), bar.done+1)) //nolint:gosec // a sequence or an offset
		count.add(report)
		if r.emit {
			plan.Add(report)
		}
		return out.report(report)
	})
	bar.end()
	if closeErr := out.close(); err == nil {
		err = closeErr
	}
	count.print(r, time.Since(began))
	if err != nil {
		return r.broken(ctx, cursor, count, err)
	}
	cursor.finish(ctx)
	if r.textfile != "" { // half a run would call an alert off
		if err := writeTextfile(r.textfile, count.metrics()); err != nil {
			return err
		}
	}
	if r.emit {
		return r.emitPlan(plan, count)
	}
	return count.outcome()
}

// broken ends a run that did not come to its end.
func (r *reconciling) broken(ctx context.Context, c *cursor, count *tally, err error) error {
	job := c.save(detached(ctx))
	if r.emit {
		r.say("nothing was emitted: the report is not whole")
	}
	try := ""
	if job != "" {
		try = "the same with --resume " + job + ", which does the rest"
	}
	switch {
	case ctx.Err() != nil && count.alarming() > 0:
		return cli.Failedf(try, "interrupted after %d items, of which %d need somebody's eye", count.items, count.alarming())
	case ctx.Err() != nil:
		return cli.Partlyf(try, "interrupted after %d items", count.items)
	case errors.Is(err, openapi.ErrShifted), errors.Is(err, reconcile.ErrAway):
		if count.alarming() > 0 {
			return cli.Failedf(try, "%w", err)
		}
		return cli.Partlyf(try, "%w", err)
	}
	if e := openapi.As(err); e != nil {
		return askError(err)
	}
	return err
}
