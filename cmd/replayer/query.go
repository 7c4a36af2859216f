package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/stream"
)

// querying is one run of a query.
type querying struct {
	cmd    *cobra.Command
	client *openapi.Client
	asking
}

// question is one of the verbs below query.
type question struct {
	use, short, example string
	more                string // of the help text
	mode                bool   // merchant_access_mode is asked for
	flags               func(cmd *cobra.Command)
	ask                 func(q querying, ctx context.Context, key string) ([]queryRow, error)
}

func queryCommand(a *archive) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Ask Alipay what is true",
		Example: `  replayer query voucher 2026080100826004508401111111
  replayer query card 0012345678901234 --gateway v2
  replayer query user-vouchers 2088302463082075 --sender-merchant 2088000000000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Usagef(help(cmd), "voucher, ordervoucher, activity, card, card-template, account or user-vouchers?")
		},
	}
	for _, q := range []question{
		activityQuestion("voucher", "支付券"), activityQuestion("ordervoucher", "商家券"), activityQuestion("activity", "either family, once it was published"),
		cardQuestion(), templateQuestion(), accountQuestion(), userVouchersQuestion(),
	} {
		cmd.AddCommand(q.command(a))
	}
	return cmd
}

func (question question) command(a *archive) *cobra.Command {
	var q asking
	var reveal revealFlags
	var format cli.Format
	cmd := noFiles(&cobra.Command{
		Use: question.use, Short: question.short, Example: question.example,
		Long: question.short + `. The answer is shown only when Alipay's signature on it is good.

Exit code 0 when all were found, 4 when some were, 1 when none was.` + question.more + queryRowHelp + revealHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(cmd); err != nil {
				return err
			}
			if err := reveal.check(cmd, false); err != nil {
				return err
			}
			_, client, err := q.client(cmd, a)
			if err != nil {
				return err
			}
			defer client.Close()
			run := querying{cmd: cmd, client: client, asking: q}
			return reveal.withAudit(cmd, a, "Alipay", q.app, func(ctx context.Context) error {
				return run.print(ctx, question, args, format, reveal.reveal)
			})
		},
	})
	cmd.Args = cobra.MinimumNArgs(1)
	q.addFlags(cmd)
	if question.mode {
		q.addMode(cmd)
	}
	if question.flags != nil {
		question.flags(cmd)
	}
	addReveal(cmd.Flags(), &reveal)
	cli.AddFormat(cmd.Flags(), &format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

// withAudit is run where the trail is needed for the look alone: without --reveal
// a question to Alipay needs no NATS server.
func (r revealFlags) withAudit(cmd *cobra.Command, a *archive, place, app string, f func(context.Context) error) error {
	var client *stream.Client
	if r.reveal {
		var err error
		if client, err = a.connect(cmd.Name()); err != nil {
			return err
		}
		defer client.Close()
	}
	return r.run(cmd, client, place, app, f)
}

// print asks about each key and prints the answers.
func (q querying) print(ctx context.Context, question question, keys []string, format cli.Format, reveal bool) error {
	out := newRowPrinter(q.cmd.OutOrStdout(), format, queryHead...)
	out.every = 1 // each answer takes its time
	found, begun := 0, 0
	var last error
	for _, key := range keys {
		rows, err := question.ask(q, ctx, key)
		why, unknown := unknownToAlipay(err)
		switch {
		case err == nil:
			found++
		case len(rows) > 0: // a list that could not be read to its end
			last, begun = err, begun+1
		case unknown:
			rows, last = []queryRow{{Meaning: "Alipay does not know it: " + why}}, err
		case len(keys) == 1 || ctx.Err() != nil || openapi.As(err) == nil:
			return out.finish(format, askError(err))
		default:
			rows, last = []queryRow{{Problem: err.Error(), Meaning: "could not be asked"}}, err
		}
		for _, row := range rows {
			row.complete(q.app, q.cmd.Name(), key, !reveal)
			if err := out.put(row, row.cells()...); err != nil {
				return err
			}
		}
	}
	return out.finish(format, q.outcome(found, begun, len(keys), last))
}

// outcome is how a query ends: what was not found is no success.
func (q querying) outcome(found, begun, all int, last error) error {
	switch {
	case found == all:
		return nil
	case begun > 0:
		return cli.Partlyf("", "%d of %d could not be read to the end: %w", begun, all, last)
	case found > 0:
		return cli.Partlyf("", "%d of %d were found", found, all)
	}
	err := fmt.Errorf("not found: %w", last)
	if e := openapi.As(last); e != nil && e.Kind != openapi.Refused {
		return askError(last)
	}
	return cli.Failedf("replayer query "+q.cmd.Name()+" --help; is --app right, and openapi.base_url: production or sandbox?", "%w", err)
}
