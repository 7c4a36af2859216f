package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// revealVerb is what the audit trail calls a look at personal data.
const revealVerb = "reveal"

// noReason stands in the trail where nobody said why.
const noReason = "not given"

// revealFlags are the flags of verbs that show events.
type revealFlags struct {
	reveal bool
	reason string
	as     string
}

func addReveal(flags *pflag.FlagSet, r *revealFlags) {
	flags.BoolVar(&r.reveal, "reveal", false, "show personal data; who looks, and why, is recorded first")
	flags.StringVar(&r.reason, "reason", "", "with --reveal: why, for whoever reads the audit trail: `TEXT`")
	flags.StringVar(&r.as, "as", "", "with --reveal: `WHO` looks; default is the user of this machine")
}

// revealHelp ends the help text of verbs that show events.
const revealHelp = `

Personal data is masked: user ids keep their ends (2088****9749), names, logon ids,
free text and the original request are ***. --reveal shows it, and leaves a record
on ALIPAY_AUDIT before anything is shown.`

// check refuses what makes no sense before anything is read.
func (r revealFlags) check(cmd *cobra.Command, raw bool) error {
	switch {
	case raw && !r.reveal:
		return cli.Usagef("the same with --reveal, which is recorded", "--raw prints the request, and all personal data in it")
	case !r.reveal && (r.reason != "" || r.as != ""):
		return cli.Usagef(help(cmd), "--reason and --as go with --reveal")
	}
	return nil
}

// run runs f, which reads a stream and prints it: at once where personal data
// stays masked, else once the record of it is stored. That the look was taken is
// what the trail says, not what was found.
func (r revealFlags) run(cmd *cobra.Command, client *stream.Client, place, app string, f func(context.Context) error) error {
	if !r.reveal {
		return f(cmd.Context())
	}
	plan := audit.Plan{Verb: revealVerb, App: app, Items: 1, Target: place, Parameters: map[string]string{"verb": cmd.CommandPath()}}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Name != "reveal" && flag.Name != "reason" && flag.Name != "as" && flag.Name != "config" {
			plan.Parameters[flag.Name] = events.MaskText(flag.Value.String())
		}
	})
	for i, arg := range cmd.Flags().Args() {
		plan.Parameters[fmt.Sprintf("arg-%d", i+1)] = events.MaskText(arg)
	}
	consent := audit.Consent{Execute: true, Reason: cmp.Or(r.reason, noReason), As: r.as}
	var result error
	_, err := audit.New(client, audit.Options{}).Run(cmd.Context(), plan, consent, func(ctx context.Context, _ string) (audit.Outcome, error) {
		result = f(ctx)
		return audit.Outcome{Done: 1}, nil
	})
	if e, ok := errors.AsType[*audit.Error](err); ok && e.Kind == audit.Failed {
		return cli.Failedf("without --reveal; or "+checkFirst, "nothing is shown: %w", err)
	}
	return cmp.Or(result, guardError(cmd, plan, err))
}
