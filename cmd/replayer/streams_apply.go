package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/stream"
)

func applyStreamsCommand(a *archive) *cobra.Command {
	var consent consentFlags
	var shrink bool
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the streams what the layout says (writes)",
		Long: `Create the streams that are missing and change those that differ from the layout
of the configuration. What would drop stored messages is declined without --shrink.

The NATS user of the replayer may not change streams: use the user provision, by
ALIPAY_NOTIFY_NATS__URL or ALIPAY_NOTIFY_NATS__CREDS. Where the audit trail itself
is missing, "receiver provision" makes the first layout.` + strings.Replace(consentHelp, "which\nrange, how many bytes and where to", "and\nwhat", 1) + changeRowHelp,
		Example: `  replayer streams apply                                    # a dry run
  replayer streams apply --execute --reason 'nats.max_bytes raised, INC-42'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := consent.check(cmd, applyVerb); err != nil {
				return err
			}
			cfg, client, err := a.open(applyVerb)
			if err != nil {
				return err
			}
			defer client.Close()
			changes, err := planStreams(cmd, cfg, client, format)
			if err != nil {
				return err
			}
			return applyStreams(cmd, client, changes, consent, shrink)
		},
	}
	addConsent(cmd.Flags(), &consent)
	cmd.Flags().BoolVar(&shrink, "shrink", false, "also make limits smaller, which drops what is stored beyond them")
	cli.AddFormat(cmd.Flags(), &format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

const applyVerb = "streams apply"

func applyStreams(cmd *cobra.Command, client *stream.Client, changes []stream.Change, consent consentFlags, shrink bool) error {
	stderr := cmd.ErrOrStderr()
	shrinks := wire.Shrinks(changes)
	changes = slices.DeleteFunc(changes, func(c stream.Change) bool { return !c.Pending() })
	plan := audit.Plan{Verb: applyVerb, Items: len(changes), Target: client.Server(), Parameters: map[string]string{}}
	for i, c := range changes {
		plan.Parameters[fmt.Sprintf("change-%d", i+1)] = c.String()
	}
	fmt.Fprintf(stderr, "replayer: %s: %d changes, at %s\n", applyVerb, len(changes), cli.Clean(client.Server()))
	problem := applyProblem(changes, shrinks, shrink)
	if !consent.execute {
		if problem != nil {
			fmt.Fprintf(stderr, "replayer: note: --execute would be refused: %v\n", problem)
		}
		line := "replayer: dry run: nothing was done"
		if len(changes) > 0 {
			line += "; --execute --reason TEXT does it"
		}
		fmt.Fprintln(stderr, line)
		return nil
	}
	if problem != nil {
		return problem
	}
	var denied error
	report, err := audit.New(client, audit.Options{}).Run(cmd.Context(), plan, consent.consent(cmd), func(ctx context.Context, _ string) (audit.Outcome, error) {
		var o audit.Outcome
		for _, c := range changes {
			if err := client.Apply(ctx, []stream.Change{c}); err != nil {
				denied = err
				o.Failed++
				o.Problem = c.Stream + " could not be changed"
				return o, err
			}
			o.Done++
		}
		return o, nil
	})
	if report.Status != audit.StatusRefused {
		fmt.Fprintf(stderr, "replayer: job %s: %s: %d of %d changes done\n", orDash(report.Job), report.Status, report.Outcome.Done, len(changes))
	}
	if try, no := wire.Denied(denied, "provision"); no && err != nil {
		return cli.Failedf(try, "%w", err)
	}
	return guardError(cmd, plan, err)
}

// applyProblem is why the plan may not be executed.
func applyProblem(changes []stream.Change, shrinks []string, shrink bool) error {
	if slices.ContainsFunc(changes, func(c stream.Change) bool { return c.Create && c.Stream == stream.Audit }) {
		return cli.Failedf("receiver provision    # makes the first layout, the audit trail included",
			"%s is missing: there is nowhere to record who changes what", stream.Audit)
	}
	if len(shrinks) > 0 && !shrink {
		return cli.Declinedf("the same with --shrink, which drops what is stored beyond the new limits", "this would drop stored messages: %s", strings.Join(shrinks, "; "))
	}
	return nil
}
