package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

func jobsCommand(a *archive) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List, show, resume and cancel replays",
		Long: `List, show, resume and cancel replays. Each has a record in ` + stream.JobsBucket + `, with what was
consented to and how far it has come, so that it can be resumed on any machine.`,
		Example: `  replayer jobs list
  replayer jobs resume 20260102t150405-k5u2n7cwq3txm4zb --execute`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef(help(cmd), "unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return cli.Usagef(help(cmd), "list, show, resume or cancel?")
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.AddCommand(jobsListCommand(a), jobsShowCommand(a), jobsResumeCommand(a), jobsCancelCommand(a))
	return cmd
}

func jobsListCommand(a *archive) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List replays",
		Long:  "List replays, the newest last." + jobRowHelp,
		Example: `  replayer jobs list
  replayer jobs list -o json | jq -r '.[] | select(.resume != "") | .resume'    # what is left to do`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.connect("jobs")
			if err != nil {
				return err
			}
			defer client.Close()
			return listJobs(cmd, client, format)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cli.AddFormat(cmd.Flags(), &format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

func listJobs(cmd *cobra.Command, client *stream.Client, format cli.Format) error {
	ctx := cmd.Context()
	var rows []jobRow
	err := client.Checkpoints(ctx, jobPrefix+"*", func(c stream.Checkpoint) error {
		j, err := replay.ParseJob(c.Value)
		if err != nil { // also what cannot be read is there
			j = replay.Job{ID: strings.TrimPrefix(c.Name, jobPrefix), Problem: err.Error()}
		}
		rows = append(rows, newJobRow(j, c.Age))
		return nil
	})
	if err := readingError(ctx, err); err != nil {
		return cli.Failedf(checkFirst, "%w", err)
	}
	slices.SortFunc(rows, func(a, b jobRow) int {
		return cmp.Or(strings.Compare(a.BegunAt, b.BegunAt), strings.Compare(a.Job, b.Job))
	})
	out := newRowPrinter(cmd.OutOrStdout(), format, jobHead...)
	for _, row := range rows {
		if err := out.put(row, row.cells()...); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "replayer: there are no replays")
	}
	return out.finish(format, nil)
}

func jobsShowCommand(a *archive) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:     "show JOB",
		Short:   "Show one replay",
		Long:    "Show one replay: what was consented to, and how far it has come." + jobRowHelp,
		Example: "  replayer jobs show 20260102t150405-k5u2n7cwq3txm4zb",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, client, err := a.forJob(cmd, args)
			if err != nil {
				return err
			}
			defer client.Close()
			j, age, err := loadJob(cmd.Context(), client, id)
			if err != nil {
				return err
			}
			return printJob(cmd.OutOrStdout(), format, newJobRow(j, age))
		},
	}
	return jobCommand(a, cmd, &format)
}

// jobCommand is what the verbs about one job have in common.
func jobCommand(a *archive, cmd *cobra.Command, format *cli.Format) *cobra.Command {
	cli.AddFormat(cmd.Flags(), format)
	completeFixed(cmd, "output", formats...)
	cmd.Args = cobra.ArbitraryArgs // forJob says it better
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.jobNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// jobNames are the jobs there are, for completion: none where they cannot be had.
func (a *archive) jobNames(ctx context.Context) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // somebody waits with a finger on the key
	defer cancel()
	client, err := a.connect("jobs")
	if err != nil {
		return nil
	}
	defer client.Close()
	var names []string
	_ = client.Checkpoints(ctx, jobPrefix+"*", func(c stream.Checkpoint) error { // what came is better than nothing
		names = append(names, strings.TrimPrefix(c.Name, jobPrefix))
		return nil
	})
	slices.Sort(names)
	return names
}

// forJob reads the one argument, and connects.
func (a *archive) forJob(cmd *cobra.Command, args []string) (string, *stream.Client, error) {
	switch {
	case len(args) == 0:
		return "", nil, cli.Usagef(cmd.CommandPath()+" JOB; replayer jobs list has them", "which job?")
	case len(args) > 1:
		return "", nil, cli.Usagef(help(cmd), "one job at a time: there are %d", len(args))
	case strings.ContainsFunc(args[0], func(r rune) bool { return !strings.ContainsRune(jobRunes, r) }) || args[0] == "" || len(args[0]) > 64:
		return "", nil, cli.Usagef("replayer jobs list", "%q is not the name of a job", args[0])
	}
	client, err := a.connect("jobs")
	return args[0], client, err
}

// jobRunes are what the name of a job is made of.
const jobRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

func loadJob(ctx context.Context, client *stream.Client, id string) (replay.Job, time.Duration, error) {
	kept, err := jobStore{client}.Load(ctx, id)
	if errors.Is(err, replay.ErrNoJob) {
		return replay.Job{}, 0, cli.Failedf("replayer jobs list", "there is no job %s", id)
	}
	if err != nil {
		return replay.Job{}, 0, cli.Failedf(checkFirst, "%w", err)
	}
	j, err := replay.ParseJob(kept.Record)
	return j, kept.Age, err
}

func jobsResumeCommand(a *archive) *cobra.Command {
	var format cli.Format
	var c consentFlags
	cmd := &cobra.Command{
		Use:   "resume JOB",
		Short: "Do the rest of a replay (writes)",
		Long: `Do the rest of a replay that was interrupted, failed, or lost its process, on this
machine or another. Nothing is lost; what was under way when it stopped, at most its
window, may be sent again, and is known to the stream by its message ids (for 30
minutes, without Redis for 26 h on ` + stream.Events + `).

The plan is the one that was consented to, with its digest and range, and so is the
reason, unless --reason gives another for the trail. A job whose process died is taken
over ` + replay.Lease.String() + ` after its last sign of life.

It is a dry run until --execute, which says what is left.` + replayRowHelp,
		Example: `  replayer jobs resume 20260102t150405-k5u2n7cwq3txm4zb              # what is left?
  replayer jobs resume 20260102t150405-k5u2n7cwq3txm4zb --execute`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, client, err := a.forJob(cmd, args)
			if err != nil {
				return err
			}
			defer client.Close()
			cfg, err := wire.Config(a.file, a.environ)
			if err != nil {
				return err
			}
			defer lightGC()()
			return resumeJob(cmd, cfg, client, id, c, format)
		},
	}
	addJobConsent(cmd, &c)
	return jobCommand(a, cmd, &format)
}

// addJobConsent adds the flags of consent to what was planned before.
func addJobConsent(cmd *cobra.Command, c *consentFlags) {
	flags := cmd.Flags()
	flags.BoolVar(&c.execute, "execute", false, "do it; without this it is a dry run")
	flags.StringVar(&c.reason, "reason", "", "why, for whoever reads the audit trail: `TEXT`; default is the reason of the job")
	flags.StringVar(&c.as, "as", "", "`WHO` asks for it; default is the user of this machine")
}

func resumeJob(cmd *cobra.Command, cfg config.Config, client *stream.Client, id string, c consentFlags, format cli.Format) error {
	ctx := cmd.Context()
	j, age, err := loadJob(ctx, client, id)
	if err != nil {
		return err
	}
	r := &jobRun{cmd: cmd, client: client, format: format}
	what, err := j.Plan()
	if err != nil {
		return cli.Declinedf("replayer replay --help    # begin a new one", "%w", err)
	}
	r.say("job %s: %s", id, what)
	r.say("%s; %d sent, %d failed, %d left", newJobRow(j, age).State, j.Sent, j.Failed, j.Left())
	if j.State == replay.Cancelled {
		return cli.Declinedf("replayer replay --help    # begin a new one", "job %s was cancelled", id)
	}
	if !c.execute {
		r.say("dry run: nothing was done; --execute does the rest")
		return printJob(cmd.OutOrStdout(), format, newJobRow(j, age))
	}
	if target, err := replay.ParseTarget(j.Target); err != nil || target.OnStream() {
		if err = cmp.Or(err, fitToSend(ctx, client, cfg)); err != nil {
			return err
		}
	}
	c.reason = cmp.Or(c.reason, j.Reason)
	consent := audit.Consent{Execute: true, Reason: c.reason, As: c.as, Job: id, Expect: &what.Items}
	return r.carryOut(what, consent, func(string) (replay.Job, uint64, error) {
		return replay.Claim(ctx, jobStore{client}, id, thisProcess(), func(who replay.Runner, wait time.Duration) {
			r.say("the job belongs to %s; it is taken over in %v unless that process gives a sign of life", who, wait.Round(time.Second))
		})
	})
}

func jobsCancelCommand(a *archive) *cobra.Command {
	var format cli.Format
	var c consentFlags
	cmd := &cobra.Command{
		Use:   "cancel JOB",
		Short: "Stop a replay for good (writes)",
		Long: `Stop a replay for good. A process that works on it, on whatever machine, stops within
` + replay.Lease.String() + `. What was sent stays sent. A job that is to go on later is stopped by Ctrl-C.

It is a dry run until --execute --reason TEXT, and leaves its records on ALIPAY_AUDIT.` + jobRowHelp,
		Example: `  replayer jobs cancel 20260102t150405-k5u2n7cwq3txm4zb --execute --reason 'the wrong consumer'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(cmd, cancelVerb); err != nil {
				return err
			}
			id, client, err := a.forJob(cmd, args)
			if err != nil {
				return err
			}
			defer client.Close()
			return cancelJob(cmd, client, id, c, format)
		},
	}
	addJobConsent(cmd, &c)
	cmd.Flags().Lookup("reason").Usage = "why, for whoever reads the audit trail: `TEXT`; needed to execute"
	return jobCommand(a, cmd, &format)
}

// cancelVerb is what the audit trail calls it.
const cancelVerb = "jobs cancel"

func cancelJob(cmd *cobra.Command, client *stream.Client, id string, c consentFlags, format cli.Format) error {
	ctx := cmd.Context()
	j, age, err := loadJob(ctx, client, id)
	if err != nil {
		return err
	}
	r := &jobRun{cmd: cmd, client: client}
	r.say("job %s: %s; %d of %d sent, %d left", id, newJobRow(j, age).State, j.Sent, j.Items, j.Left())
	if j.State == replay.Done || j.State == replay.Cancelled {
		return cli.Declinedf("replayer jobs show "+id, "job %s is %s already", id, j.State)
	}
	if !c.execute {
		r.say("dry run: nothing was done; --execute --reason TEXT does it")
		return printJob(cmd.OutOrStdout(), format, newJobRow(j, age))
	}
	what := audit.Plan{
		Verb: cancelVerb, App: j.App, Items: 1, Target: "job " + id,
		Parameters: map[string]string{"plan": j.Digest, "target": j.Target, "sent": fmt.Sprint(j.Sent), "left": fmt.Sprint(j.Left())},
	}
	// The job's own name, so that its whole story is found by it.
	consent := audit.Consent{Execute: true, Reason: c.reason, As: c.as, Job: id}
	_, err = audit.New(client, audit.Options{}).Run(ctx, what, consent, func(ctx context.Context, _ string) (audit.Outcome, error) {
		j, err = replay.Cancel(ctx, jobStore{client}, id)
		if err != nil {
			return audit.Outcome{Failed: 1, Problem: replay.Problem(err)}, err
		}
		return audit.Outcome{Done: 1}, nil
	})
	if err != nil {
		return guardError(cmd, what, err)
	}
	r.say("job %s is cancelled", id)
	return printJob(cmd.OutOrStdout(), format, newJobRow(j, 0))
}
