package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

func tailCommand(a *archive) *cobra.Command {
	var values flagValues
	var format cli.Format
	var look revealFlags
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow events as they are stored",
		Long: `Follow events as they are stored, from now on, or from --since or --seq. It ends
with Ctrl-C, after --limit events, at --until, or behind the last of --seq.
When the server goes away it waits, and goes on where it was.` + flagsHelp + revealHelp + rowHelp,
		Example: `  replayer tail
  replayer tail --type 'voucher.*' --since 10m
  replayer tail --app 2021000000000001 --limit 1 -o ndjson    # wait for the next one`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err == nil {
				err = look.check(cmd, false)
			}
			if err != nil {
				return err
			}
			if !selection.Until.IsZero() && !selection.Until.After(time.Now()) {
				return cli.Usagef("replayer events --until "+values.Until, "--until %q: nothing more can come that was stored before", values.Until)
			}
			client, err := a.connect("tail")
			if err != nil {
				return err
			}
			defer client.Close()
			return look.run(cmd, client, stream.Events, selection.App, func(context.Context) error {
				return follow(cmd, client, selection, format, look.reveal)
			})
		},
	}
	addReveal(cmd.Flags(), &look)
	return addWide(selectingCommand(cmd, &values, &format, string(wide)), &format)
}

func follow(cmd *cobra.Command, client *stream.Client, s replay.Selection, format cli.Format, reveal bool) error {
	ctx := cmd.Context()
	if !s.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, s.Until)
		defer cancel()
	}
	out, format := newEventPrinter(cmd.OutOrStdout(), format, reveal)
	out.every = 1
	err := readSelected(ctx, client, s, stream.ReadOptions{
		Follow:  true,
		OnlyNew: s.FirstSeq == 0 && s.Since.IsZero(),
		Began: func() {
			fmt.Fprintln(cmd.ErrOrStderr(), "replayer: waiting for events; Ctrl-C ends")
		},
	}, out.print)
	if ctx.Err() != nil {
		err = nil // Ctrl-C and --until are how it is meant to end
	}
	return out.finish(format, err)
}
