package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// showOptions are the flags of show that are its own.
type showOptions struct {
	raw    bool
	look   revealFlags
	format cli.Format
}

func showCommand(a *archive) *cobra.Command {
	var values flagValues
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show everything that is stored of one notification",
		Long: `Show every message that is stored under a notify_id (the delivery, what came
under the same id with other content, replays; --include-replays is always on)
or at a --seq: headers as stored, the data, and whether the original request is
there. An id that is not in the archive is looked for among inferred events and
what was sent again to one consumer.

Then its lineage: every delivery, replay to all or to one consumer, inferred twin
(of the same type and key) and quarantined copy.

There is no index of ids: a search reads the archive from its beginning. --since,
--app, --type and --key narrow it, and --limit 1 ends it at the first.` + revealHelp + `

-o json prints an array, -o ndjson one object a line, of what "replayer events
--help" lists, and: stream, headers (name to value, as stored), raw_bytes (the
size of the original request, 0 without one), raw_error (why it cannot be read),
and lineage (not for a range of sequences), each with stream, sequence, stored_at,
relation (delivery, conflict, replay, inferred, quarantined), id, to, job,
replay_of and reason.`,
		Example: `  replayer show 2026080100222091545004711407822111
  replayer show 2026080100222091545004711407822111 --since 2d -o json
  replayer show --seq 1042
  replayer show --seq 1042 --reveal --reason INC-42          # with personal data; recorded
  replayer show --seq 1042 --reveal --raw > request.form     # byte for byte`,
		RunE: func(cmd *cobra.Command, args []string) error {
			selection, err := values.shown(cmd, args, o)
			if err != nil {
				return err
			}
			client, err := a.connect("show")
			if err != nil {
				return err
			}
			defer client.Close()
			return o.look.run(cmd, client, stream.Events, selection.App, func(context.Context) error {
				if o.raw {
					return showRaw(cmd, client, selection)
				}
				return show(cmd, client, selection, o)
			})
		},
	}
	addReveal(cmd.Flags(), &o.look)
	cmd.Flags().BoolVar(&o.raw, "raw", false, "print the original request alone, byte for byte")
	return selectingCommand(cmd, &values, &o.format)
}

// shown is the selection of show: replays belong to the story of an event.
func (v flagValues) shown(cmd *cobra.Command, args []string, o showOptions) (replay.Selection, error) {
	v, err := v.named(cmd, args, o)
	if err != nil {
		return replay.Selection{}, err
	}
	v.IncludeReplays = true
	return v.selection(cmd)
}

// named takes the argument of show verbs in: the id that is looked for.
func (v flagValues) named(cmd *cobra.Command, args []string, o showOptions) (flagValues, error) {
	switch {
	case len(args) > 1:
		return v, cli.Usagef(help(cmd), "one ID at a time: there are %d", len(args))
	case len(args) == 1 && args[0] == "":
		return v, cli.Usagef(help(cmd), "the ID is empty")
	case len(args) == 1 && v.ID != "" && v.ID != args[0]:
		return v, cli.Usagef(cmd.CommandPath()+" "+args[0], "two ids: %q and --id %q", args[0], v.ID)
	case len(args) == 1:
		v.ID = args[0]
	case v.ID == "" && v.Seq == "":
		path := cmd.CommandPath()
		return v, cli.Usagef(path+" NOTIFY_ID, or "+path+" --seq N", "which one is to be shown?")
	}
	if o.raw && o.format != cli.Table {
		return v, cli.Usagef(help(cmd), "--raw and -o %s exclude each other", o.format)
	}
	return v, o.look.check(cmd, o.raw)
}

func show(cmd *cobra.Command, client *stream.Client, s replay.Selection, o showOptions) error {
	p := &showPrinter{cmd: cmd, format: o.format, reveal: o.look.reveal, objects: cli.NewPrinter(cmd.OutOrStdout(), o.format)}
	if s.ID != "" || s.FirstSeq == s.LastSeq {
		p.lineage = newLineage(client)
	}
	places := []place{archived}
	if s.ID != "" && s.FirstSeq == 0 {
		places = append(places, inferred, resent)
	}
	var err error
	for _, from := range places {
		err = readPlace(cmd.Context(), client, from, s, stream.ReadOptions{}, func(m events.Stored) error {
			return p.print(from.stream, m)
		})
		if err != nil || p.found > 0 {
			break
		}
	}
	if p.found == 0 {
		return cmp.Or(err, notFound(s))
	}
	return p.finish(err)
}

// showPrinter prints messages as they are found, and their lineage. Objects wait
// for the lineage, which is a part of each.
type showPrinter struct {
	cmd     *cobra.Command
	format  cli.Format
	reveal  bool
	objects *cli.Printer // of a table there are none
	lineage *lineage     // nil where it is not wanted
	found   int
	waiting []showRow
}

func (p *showPrinter) print(name string, m events.Stored) error {
	row := newShowRow(name, m, p.reveal)
	p.found++
	if p.lineage != nil {
		p.lineage.note(m)
	}
	stdout := p.cmd.OutOrStdout()
	switch {
	case p.format != cli.Table && p.lineage != nil:
		p.waiting = append(p.waiting, row)
		return nil
	case p.format != cli.Table:
		return p.objects.Row(row)
	case p.found > 1:
		fmt.Fprintln(stdout)
	}
	return row.write(stdout)
}

// finish ends the output of a reading that ended with err.
func (p *showPrinter) finish(err error) error {
	var relatives []relative
	if p.lineage != nil && err == nil {
		var notes []string
		relatives, notes, err = p.lineage.trace(p.cmd.Context())
		for _, note := range notes {
			fmt.Fprintln(p.cmd.ErrOrStderr(), "replayer: lineage: "+cli.Clean(note))
		}
	}
	if p.format == cli.Table && relatives != nil {
		var b bytes.Buffer
		writeLineage(&b, relatives)
		err = cmp.Or(err, writeAll(p.cmd.OutOrStdout(), b.Bytes()))
	}
	for _, row := range p.waiting {
		row.Lineage = relatives
		if rowErr := p.objects.Row(row); rowErr != nil {
			return cmp.Or(err, rowErr)
		}
	}
	return cmp.Or(err, p.objects.Close())
}

// notFound says what was looked for, and where else it may be.
func notFound(s replay.Selection) error {
	what := "no such event"
	if s.ID != "" {
		what = fmt.Sprintf("no event %q", s.ID)
	}
	try := "replayer events --since 1d    # and its --help; what is older than nats.max_age is gone"
	if s.App != "" || s.Type != "" || s.Key != "" || !s.Since.IsZero() || !s.Until.IsZero() || s.ID != "" && s.FirstSeq > 0 {
		what += " in this selection"
		try = "the same with fewer flags"
	}
	return cli.Failedf(try, "%s on %s", what, stream.Events)
}

// maxNamed is how many sequences an error names.
const maxNamed = 10

// showRaw prints the one request. Nothing else may reach stdout: it is evidence.
func showRaw(cmd *cobra.Command, client *stream.Client, s replay.Selection) error {
	var first events.Stored
	var sequences []string
	found := 0
	err := readSelected(cmd.Context(), client, s, stream.ReadOptions{}, func(m events.Stored) error {
		if found++; found == 1 {
			first = m
		}
		if found <= maxNamed {
			sequences = append(sequences, fmt.Sprint(m.Sequence))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case found == 0:
		return notFound(s)
	case found > maxNamed:
		sequences = append(sequences, "...")
		fallthrough
	case found > 1:
		return cli.Failedf("replayer show --raw --reveal --seq "+sequences[0], "--raw is for one message; this selects %d, at the sequences %s", found, strings.Join(sequences, ", "))
	}
	if err := rawError(first); err != nil {
		return cli.Failedf(fmt.Sprintf("replayer show --seq %d", first.Sequence), "the request of the event at %d: %w", first.Sequence, err)
	}
	return writeAll(cmd.OutOrStdout(), []byte(first.Raw))
}

// rawError says why there is no request to be had from an event.
func rawError(m events.Stored) error {
	switch {
	case len(m.Raw) > 0:
		return nil
	case len(m.Header[events.HeaderRaw]) == 0:
		return errors.New("there is no header " + events.HeaderRaw)
	case m.Problem != "":
		return errors.New(m.Problem)
	}
	return errors.New("the header " + events.HeaderRaw + " is empty")
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}
