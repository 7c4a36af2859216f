package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/stream"
)

// streamsFlags are the flags of streams and streams list.
type streamsFlags struct {
	soon   time.Duration
	format cli.Format
}

func streamsCommand(a *archive) *cobra.Command {
	list, own := listStreamsCommand(a), listStreamsCommand(a)
	list.Use, list.Example = "list", `  replayer streams list
  replayer streams list -o json | jq '.[] | select(.percent > 80) | .stream'`
	own.AddCommand(list, planStreamsCommand(a), applyStreamsCommand(a))
	return own
}

func listStreamsCommand(a *archive) *cobra.Command {
	var o streamsFlags
	cmd := &cobra.Command{
		Use:   "streams",
		Short: "Look at the streams and their consumers; plan and apply the layout",
		Long: `Look at every stream of the layout: what it holds, how full it is, what is about
to expire, whether anything is missing between its first sequence and its last,
whether it is as the layout says; and at the consumers: how far each is behind
(lag), what waits for its acknowledgement, and what it was given more than once.

What this NATS user may not see is named on stderr, and is empty or 0.` + streamRowHelp,
		Example: `  replayer streams                     # is anything full, or behind?
  replayer streams list --soon 72h     # what goes within three days
  replayer streams plan                # how the streams differ from the layout
  replayer streams apply               # a dry run of mending that`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.soon <= 0 {
				return cli.Usagef(cmd.CommandPath()+" --soon 24h", "--soon %v: want a time ahead", o.soon)
			}
			cfg, client, err := a.open("streams")
			if err != nil {
				return err
			}
			defer client.Close()
			return listStreams(cmd, cfg, client, o)
		},
	}
	cmd.Flags().DurationVar(&o.soon, "soon", 24*time.Hour, "how far ahead to look for what expires")
	cli.AddFormat(cmd.Flags(), &o.format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

func listStreams(cmd *cobra.Command, cfg config.Config, client *stream.Client, o streamsFlags) error {
	ctx, layout := cmd.Context(), wire.Layout(cfg)
	diffs, err := client.Check(ctx, layout)
	if err != nil {
		return readingError(ctx, err)
	}
	head := slices.Clone(streamHead)
	head[len(head)-2] = "GOES IN " + trimDuration(o.soon)
	out := newRowPrinter(cmd.OutOrStdout(), o.format, head...)
	var consumers []stream.Consumer
	var notes []string
	for _, name := range layout.Names() {
		overview, err := client.Overview(ctx, name, time.Now().Add(o.soon))
		if err != nil {
			return out.finish(o.format, readingError(ctx, err))
		}
		row := newStreamRow(overview, diffs)
		if err := out.put(row, row.cells()...); err != nil {
			return err
		}
		consumers = append(consumers, overview.Consumers...)
		notes = append(notes, row.notes()...)
	}
	err = out.finish(o.format, nil)
	if err == nil && o.format == cli.Table {
		err = writeConsumers(cmd, consumers)
	}
	for _, note := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "replayer: "+cli.Clean(note))
	}
	return err
}

// writeConsumers is the second table.
func writeConsumers(cmd *cobra.Command, all []stream.Consumer) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout())
	out := cli.NewPrinter(cmd.OutOrStdout(), cli.Table, consumerHead...)
	for _, c := range all {
		if err := out.Row(nil, newConsumerRow(c).cells(c.Stream)...); err != nil {
			return err
		}
	}
	return out.Close()
}

func planStreamsCommand(a *archive) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say how the streams differ from the layout, and change nothing",
		Long:  `Say what applying the layout of the configuration would do to each stream.` + changeRowHelp,
		Example: `  replayer streams plan
  replayer streams plan -o ndjson | jq 'select(.action != "none")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, client, err := a.open("streams plan")
			if err != nil {
				return err
			}
			defer client.Close()
			_, err = planStreams(cmd, cfg, client, format)
			return err
		},
	}
	cli.AddFormat(cmd.Flags(), &format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

// planTimeout covers the questions about ten streams, and a slow leader.
const planTimeout = time.Minute

// planStreams prints the plan, and gives its changes.
func planStreams(cmd *cobra.Command, cfg config.Config, client *stream.Client, format cli.Format) ([]stream.Change, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), planTimeout)
	defer cancel()
	changes, err := client.Plan(ctx, wire.Layout(cfg), 0)
	if err != nil {
		return nil, cli.Failedf(checkFirst, "%w", err)
	}
	return changes, wire.PrintChanges(cli.NewPrinter(cmd.OutOrStdout(), format, wire.ChangesHead...), changes)
}

// changeRowHelp is wire.ChangeRow for the help texts.
const changeRowHelp = `

-o json prints an array, -o ndjson one object a line, of: stream, action (create,
update or none), differences and shrinks (lists of text), and note where there is one.`

// trimDuration is a duration without the zeroes behind it: 24h, 1h30m.
func trimDuration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
