package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
)

// consentFlags are the flags of every writing verb: what the operator has to
// say before anything is done.
type consentFlags struct {
	execute bool
	reason  string
	expect  int
	as      string
}

func addConsent(flags *pflag.FlagSet, c *consentFlags) {
	flags.BoolVar(&c.execute, "execute", false, "do it; without this it is a dry run")
	flags.StringVar(&c.reason, "reason", "", "why, for whoever reads the audit trail: `TEXT`; needed to execute")
	flags.IntVar(&c.expect, "expect", 0, fmt.Sprintf("how many items are expected: `N`; needed to execute on more than %d", audit.MaxWithoutExpect))
	flags.StringVar(&c.as, "as", "", "`WHO` asks for it; default is the user of this machine")
}

// consentHelp ends the help text of every writing verb.
const consentHelp = `

It writes, and is a dry run until --execute --reason TEXT: it says how many, which
range, how many bytes and where to, and does nothing. Over 1,000 items it takes
--expect N as well. A record before and one after the work are stored on
ALIPAY_AUDIT; without the first nothing is done. Ctrl-C ends it between two items;
exit code 4 says that a part is done, and the same command does the rest.`

// consent is what the flags say to the guard.
func (c consentFlags) consent(cmd *cobra.Command) audit.Consent {
	consent := audit.Consent{Execute: c.execute, Reason: c.reason, As: c.as}
	if cmd.Flags().Changed("expect") {
		consent.Expect = &c.expect
	}
	return consent
}

// check refuses, before anything is read, what no plan can cure: the guard is
// asked about a plan of nothing, with which only the words can be wrong.
func (c consentFlags) check(cmd *cobra.Command, verb string) error {
	consent := c.consent(cmd)
	consent.Expect = nil
	_, err := audit.New(nil, audit.Options{}).Run(cmd.Context(), audit.Plan{Verb: verb, Target: "nowhere"}, consent, nil)
	return guardError(cmd, audit.Plan{}, err)
}

// guardError gives an error of the guard its exit code, and what to try.
func guardError(cmd *cobra.Command, plan audit.Plan, err error) error {
	e, ok := errors.AsType[*audit.Error](err)
	if !ok {
		return err
	}
	switch e.Kind {
	case audit.Usage:
		return cli.Usagef("the same with --reason 'why it is done'; "+help(cmd), "%w", err)
	case audit.Declined:
		return cli.Declinedf(fmt.Sprintf("the same without --execute, and when that is what you mean, with --expect %d", plan.Items), "%w", err)
	case audit.Partial:
		try := "the same command again, which does the rest"
		if cmd.Flags().Changed("expect") {
			try += "; what --expect counts is less now"
		}
		return cli.Partlyf(try, "%w", err)
	case audit.Failed:
	}
	try := checkFirst
	if errors.Is(err, context.Canceled) {
		try = ""
	}
	return cli.Failedf(try, "%w", err)
}
