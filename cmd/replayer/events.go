package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

func eventsCommand(a *archive) *cobra.Command {
	var values flagValues
	var format cli.Format
	var look revealFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List stored events",
		Long:  "List stored events, the oldest first." + flagsHelp + revealHelp + rowHelp,
		Example: `  replayer events --since 2h
  replayer events --type voucher.created --key 2026080100
  replayer events --type 'other.*' --since 2026-08-01 --until 2026-08-02 -o ndjson
  replayer events --seq 1000- --limit 20 -o wide
  replayer events --key 2026080100 -o json --reveal --reason INC-42    # with personal data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err == nil {
				err = look.check(cmd, false)
			}
			if err != nil {
				return err
			}
			client, err := a.connect("events")
			if err != nil {
				return err
			}
			defer client.Close()
			return look.run(cmd, client, stream.Events, selection.App, func(context.Context) error {
				return list(cmd, client, selection, format, look.reveal)
			})
		},
	}
	addReveal(cmd.Flags(), &look)
	return addWide(selectingCommand(cmd, &values, &format, string(wide)), &format)
}

func list(cmd *cobra.Command, client *stream.Client, s replay.Selection, format cli.Format, reveal bool) error {
	ctx := cmd.Context()
	out, format := newEventPrinter(cmd.OutOrStdout(), format, reveal)
	err := readSelected(ctx, client, s, stream.ReadOptions{}, out.print)
	if err == nil && out.rows == 0 {
		nothingMatched(ctx, cmd.ErrOrStderr(), client, stream.Events, "events")
	}
	return out.finish(format, err)
}

// nothingMatched says so, and what there is, because the likeliest reasons are
// a selection that is too narrow and the wrong server.
func nothingMatched(ctx context.Context, stderr io.Writer, client *stream.Client, name, things string) {
	line := "nothing matched"
	if u, err := client.UsageOf(ctx, name); err == nil && u.Messages == 0 {
		line += "; " + name + " is empty"
	} else if err == nil {
		line += fmt.Sprintf("; %s holds %d %s, stored from %s to %s", name, u.Messages, things, formatTime(u.First), formatTime(u.Last))
	}
	fmt.Fprintln(stderr, "replayer: "+line)
}
