package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// jobRun is one run of one job, whether it begins the job or resumes it.
type jobRun struct {
	cmd    *cobra.Command
	client *stream.Client
	format cli.Format

	before, after replay.Job
	spent         time.Duration // at work, without waiting for a job
}

func (r *jobRun) say(format string, args ...any) {
	fmt.Fprintln(r.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

// carryOut takes the plan of a job through the guard. open gives the job, with
// the revision of its record, once the guard lets it be done.
func (r *jobRun) carryOut(what audit.Plan, consent audit.Consent, open func(id string) (replay.Job, uint64, error)) error {
	report, err := audit.New(r.client, audit.Options{}).Run(r.cmd.Context(), what, consent, func(ctx context.Context, id string) (audit.Outcome, error) {
		j, revision, err := open(id)
		if err != nil {
			return audit.Outcome{Problem: replay.Problem(err)}, err
		}
		r.before, r.after = j, j
		err = r.work(ctx, j, revision)
		return r.after.Outcome(r.before), err
	})
	if report.Job == "" || r.after.ID == "" {
		return r.failure(what, report, err)
	}
	j := r.after
	r.say("job %s: %s: %d sent, %d of them were there before, %d failed, %d missing, %d left; %s", j.ID, report.Status,
		j.Sent-r.before.Sent, j.Repeated-r.before.Repeated, j.Failed, j.Missing, j.Left(), speed(j.Sent-r.before.Sent, r.spent))
	if j.Target != string(replay.ToStdout) {
		if err := printJob(r.cmd.OutOrStdout(), r.format, newJobRow(j, 0)); err != nil {
			return err
		}
	}
	return r.failure(what, report, err)
}

// work runs the engine, and shows how far it is.
func (r *jobRun) work(ctx context.Context, j replay.Job, revision uint64) error {
	target, err := replay.ParseTarget(j.Target)
	if err != nil {
		return err
	}
	engine := &replay.Replayer{Archive: archiveReader{client: r.client}, Jobs: jobStore{r.client}}
	switch target.Kind {
	case replay.ToStdout:
		r.say("job %s begins", j.ID)
		engine.Jobs = nil
	default:
		r.say("job %s begins; Ctrl-C stops it, and %s does the rest", j.ID, resumeCommand(j))
	}
	engine.Open = func(_ context.Context, j replay.Job, settled func(replay.Settlement)) (replay.Sender, error) {
		switch target.Kind {
		case replay.ToFile:
			return openFile(target.Name, j, settled)
		case replay.ToStdout:
			return newLineSender(r.cmd.OutOrStdout(), settled), nil
		}
		return openStream(r.client, target, j, settled)
	}
	bar := newJobBar(r.cmd.ErrOrStderr(), j)
	engine.Observe = bar.observe
	began := time.Now()
	r.after, err = engine.Run(ctx, j, revision)
	r.spent = time.Since(began)
	bar.end()
	return err
}

// failure gives the error of a run its exit code, and what to try. What was sent
// once must not be sent by the same command again.
func (r *jobRun) failure(what audit.Plan, report audit.Report, err error) error {
	e, ok := errors.AsType[*audit.Error](err)
	if !ok || e.Kind == audit.Usage || e.Kind == audit.Declined {
		return guardError(r.cmd, what, err)
	}
	j := r.after
	try := checkFirst
	switch {
	case errors.Is(err, replay.ErrTaken) && j.ID == "":
		return cli.Declinedf("replayer jobs show "+report.Job, "%w", err)
	case j.ID == "":
	case errors.Is(err, replay.ErrTaken), errors.Is(err, replay.ErrCancelled), j.State == replay.Done:
		try = "replayer jobs show " + j.ID
	case resumeCommand(j) == "": // standard output: who reads it has what came until then
		try = fmt.Sprintf("what is left, by the same command with --seq %d-%d", j.Cursor+1, j.Last)
	default:
		try = resumeCommand(j)
	}
	if e.Kind == audit.Failed && j.Sent == 0 && j.State != replay.Done {
		return cli.Failedf(try, "%w", err)
	}
	return cli.Partlyf(try, "%w", err)
}

func speed(n int, d time.Duration) string {
	if n == 0 || d <= 0 {
		return "in " + d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("in %v, %.0f/s", d.Round(time.Millisecond), float64(n)/d.Seconds())
}
