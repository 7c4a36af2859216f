package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// refusedKind is one of the two places of what was not accepted. Their verbs
// are the same.
type refusedKind struct {
	verb   string
	stream string
	root   string // of its subjects
	what   string // is in it
	why    string // an example of a reason
}

var (
	quarantine = refusedKind{
		verb: "quarantine", stream: stream.Quarantine, root: events.QuarantineRoot,
		what: "what was signed and not accepted (stale, ambiguous, undecryptable, ...)", why: "ambiguous",
	}
	rejects = refusedKind{
		verb: "rejects", stream: stream.Rejects, root: events.RejectsRoot,
		what: "what was neither proved nor accepted (bad_signature, unknown_app, ...)", why: "bad_signature",
	}
)

func refusedCommand(a *archive, k refusedKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:   k.verb,
		Short: "List, show and release " + k.what,
		Example: `  replayer ` + k.verb + ` list --since 2h
  replayer ` + k.verb + ` show --seq 7
  replayer ` + k.verb + ` release --why ` + k.why + `    # a dry run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Usagef(help(cmd), "list, show or release?")
		},
	}
	cmd.AddCommand(listRefusedCommand(a, k), showRefusedCommand(a, k), releaseCommand(a, k))
	return cmd
}

// refusedFlags are the selection flags of these verbs.
type refusedFlags struct {
	flagValues
	why string
}

// selectingRefused is selectingCommand for these verbs. The flags that do not
// apply stay, so that a wrong idea gets an answer and not "unknown flag".
func selectingRefused(cmd *cobra.Command, v *refusedFlags, format *cli.Format) *cobra.Command {
	cmd.Long += `

--id is the notify_id, which an unproved request only claims. --type and --key do
not apply: what was refused was never typed.`
	selectingCommand(cmd, &v.flagValues, format)
	cmd.Flags().StringVar(&v.why, "why", "", "only what was refused for this `reason`, such as bad_signature, stale or ambiguous")
	for _, name := range []string{"type", "key", "include-replays"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	return cmd
}

func (v refusedFlags) selection(cmd *cobra.Command) (replay.RefusedSelection, error) {
	s, err := replay.ParseRefusedSelection(replay.RawSelection(v.flagValues), v.why, time.Now())
	return s, flagError(cmd, err)
}

func listRefusedCommand(a *archive, k refusedKind) *cobra.Command {
	var values refusedFlags
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List " + k.what,
		Long:  "List " + k.what + ", the oldest first." + refusedRowHelp,
		Example: `  replayer ` + k.verb + ` list --since 2h
  replayer ` + k.verb + ` list --why ` + k.why + ` -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			client, err := a.connect(k.verb)
			if err != nil {
				return err
			}
			defer client.Close()
			return listRefused(cmd, client, k, selection, format)
		},
	}
	return selectingRefused(cmd, &values, &format)
}

func listRefused(cmd *cobra.Command, client *stream.Client, k refusedKind, s replay.RefusedSelection, format cli.Format) error {
	ctx := cmd.Context()
	out := newRowPrinter(cmd.OutOrStdout(), format, refusedHead...)
	err := readRefused(ctx, client, k, s, func(r replay.Refused) error {
		row := newRefusedRow(r)
		return out.put(row, row.cells()...)
	})
	if err == nil && out.rows == 0 {
		nothingMatched(ctx, cmd.ErrOrStderr(), client, k.stream, "requests")
	}
	return out.finish(format, err)
}

func showRefusedCommand(a *archive, k refusedKind) *cobra.Command {
	var values refusedFlags
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show everything that is kept of one request",
		Long: `Show everything that is kept of the requests under a notify_id, or at a --seq:
why it was refused, where it came from, and the body.

The body is masked (***) without --reveal, which leaves a record on ALIPAY_AUDIT
before anything is shown. "replayer explain" says what is in it.

-o json and ndjson print what list does, and: masked, headers (name to value, as
stored), and body, or body_base64 where the body is no text.`,
		Example: `  replayer ` + k.verb + ` show --seq 7
  replayer ` + k.verb + ` show --seq 7 --reveal --raw > request.form    # byte for byte; replayer explain reads it`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if values.flagValues, err = values.named(cmd, args, o); err != nil {
				return err
			}
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			client, err := a.connect(k.verb)
			if err != nil {
				return err
			}
			defer client.Close()
			return o.look.run(cmd, client, k.stream, selection.App, func(context.Context) error {
				return showRefused(cmd, client, k, selection, o)
			})
		},
	}
	addReveal(cmd.Flags(), &o.look)
	cmd.Flags().BoolVar(&o.raw, "raw", false, "print the body alone, byte for byte")
	return selectingRefused(cmd, &values, &o.format)
}

func showRefused(cmd *cobra.Command, client *stream.Client, k refusedKind, s replay.RefusedSelection, o showOptions) error {
	stdout, found := cmd.OutOrStdout(), 0
	objects := cli.NewPrinter(stdout, o.format) // in a table there are none
	var first replay.Refused
	var sequences []string
	err := readRefused(cmd.Context(), client, k, s, func(r replay.Refused) error {
		found++
		switch {
		case o.raw:
			if found == 1 {
				first = r
			}
			if found <= maxNamed {
				sequences = append(sequences, fmt.Sprint(r.Stored.Sequence))
			}
			return nil
		case o.format != cli.Table:
			return objects.Row(newRefusedShowRow(r, o.look.reveal))
		case found > 1:
			fmt.Fprintln(stdout)
		}
		return newRefusedShowRow(r, o.look.reveal).write(stdout)
	})
	switch {
	case found == 0 && err == nil:
		return cli.Failedf("replayer "+k.verb+" list", "no such request on %s", k.stream)
	case found == 0:
		return err
	case o.raw && err != nil:
		return err
	case o.raw && found > 1:
		return cli.Failedf("replayer "+k.verb+" show --raw --reveal --seq "+sequences[0],
			"--raw is for one request; this selects %d, at the sequences %s", found, strings.Join(sequences, ", "))
	case o.raw:
		return writeAll(stdout, []byte(first.Body))
	}
	if closeErr := objects.Close(); err == nil {
		err = closeErr
	}
	return err
}
