package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

func dlqCommand(a *archive) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at what consumers gave up, and send it to them again",
		Long: `What a consumer was given as often as it allows, or said it will never do, is
pointed at by ` + stream.DLQ + `: a dead letter. The event itself stays in its stream.`,
		Example: `  replayer dlq list
  replayer dlq show --seq 7
  replayer dlq redrive --consumer orders          # a dry run
  replayer dlq compare                            # is a pointer missing?`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Usagef(help(cmd), "list, show, redrive, discard or compare?")
		},
	}
	cmd.AddCommand(listLettersCommand(a), showLettersCommand(a), settleLettersCommand(a, redriveLetters),
		settleLettersCommand(a, discardLetters), compareLettersCommand(a))
	return cmd
}

// letterFlags are the selection flags of these verbs.
type letterFlags struct {
	flagValues
	consumer string
	why      string
}

// selectingLetters is selectingCommand for these verbs.
func selectingLetters(cmd *cobra.Command, v *letterFlags, format *cli.Format) *cobra.Command {
	cmd.Long += `

--seq and the times are those of ` + stream.DLQ + `, where the message was given up;
everything else is the event's.`
	selectingCommand(cmd, &v.flagValues, format)
	cmd.Flags().StringVar(&v.consumer, "consumer", "", "only what this consumer `NAME` gave up")
	cmd.Flags().StringVar(&v.why, "why", "", "only what was given up for this `cause`: max_deliveries or terminated")
	cmd.Flags().Lookup("include-replays").Hidden = true
	completeFixed(cmd, "why", string(replay.MaxDeliveries), string(replay.Terminated))
	return cmd
}

// letterSelection is what the flags select.
type letterSelection struct {
	replay.Selection
	consumer string
	why      replay.Cause
}

func (v letterFlags) selection(cmd *cobra.Command) (letterSelection, error) {
	v.IncludeReplays = true // what was sent again can be given up again
	s, err := v.flagValues.selection(cmd)
	switch why := replay.Cause(v.why); {
	case err != nil:
		return letterSelection{}, err
	case v.consumer != "" && strings.ContainsAny(v.consumer, ".*> \t"):
		return letterSelection{}, cli.Usagef("replayer streams    # names them", "--consumer %q: want the name of a consumer", v.consumer)
	case why != "" && why != replay.MaxDeliveries && why != replay.Terminated:
		return letterSelection{}, cli.Usagef("--why max_deliveries, or --why terminated", "--why %q: no such cause", v.why)
	default:
		return letterSelection{s, v.consumer, why}, nil
	}
}

// readLetters hands the selected dead letters to fn, in the order in which they
// were given up, each with its event. All pointers are read first, because one
// letter can have several; what is in memory grows with their number, not with
// that of the events.
func readLetters(ctx context.Context, client *stream.Client, stderr io.Writer, s letterSelection, fn func(*replay.DeadLetter) error) error {
	var letters replay.DeadLetters
	strange := 0
	err := client.Read(ctx, stream.ReadOptions{Stream: stream.DLQ, Subjects: []string{replay.PointerFilter(s.consumer)}}, func(m events.Stored) error {
		p, err := replay.NewPointer(m)
		if err != nil {
			strange++
			return nil
		}
		letters.Add(p)
		return nil
	})
	if err := readingError(ctx, err); err != nil {
		return err
	}
	if strange > 0 {
		fmt.Fprintf(stderr, "replayer: %d messages on %s are no pointers and are left out\n", strange, stream.DLQ)
	}
	wanted := slices.DeleteFunc(letters.All(), func(d *replay.DeadLetter) bool { return !s.mayBe(d) })
	pick := s.Picker()
	for page := range slices.Chunk(wanted, letterPage) {
		if err := resolve(ctx, client, page); err != nil {
			return readingError(ctx, err)
		}
		for _, d := range page {
			selected, more := d.Pick(pick)
			if selected {
				if err := fn(d); err != nil {
					return err
				}
			}
			if !more {
				return nil
			}
		}
	}
	return nil
}

// mayBe tells whether it can be selected, by what is known without its event.
func (s letterSelection) mayBe(d *replay.DeadLetter) bool {
	return (s.why == "" || slices.Contains(d.Causes, s.why)) &&
		d.Sequence >= s.FirstSeq && (s.LastSeq == 0 || d.Sequence <= s.LastSeq) &&
		!d.StoredAt.Before(s.Since) && (s.Until.IsZero() || d.StoredAt.Before(s.Until))
}

const (
	// letterPage is how many dead letters have their events looked up together.
	letterPage = 256
	// lookups is how many of these are asked for at once: each is a request, and
	// nearly all of its time is the way to the server and back.
	lookups = 32
)

// resolve finds the messages that dead letters are about.
func resolve(ctx context.Context, client *stream.Client, page []*replay.DeadLetter) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	free := make(chan struct{}, lookups)
	for _, d := range page {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			m, err := client.Get(ctx, d.Stream, d.Event)
			switch {
			case errors.Is(err, stream.ErrNotFound):
				d.Gone = true
			case err != nil:
				stop(err) // the first is the reason
			default:
				d.Message = m
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func listLettersCommand(a *archive) *cobra.Command {
	var values letterFlags
	var format cli.Format
	var look revealFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what consumers gave up",
		Long:  "List what consumers gave up, the oldest first, with the events themselves." + revealHelp + letterRowHelp,
		Example: `  replayer dlq list
  replayer dlq list --consumer orders --since 2h
  replayer dlq list --why terminated -o ndjson | jq -r .reason | sort | uniq -c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err == nil {
				err = look.check(cmd, false)
			}
			if err != nil {
				return err
			}
			client, err := a.connect("dlq list")
			if err != nil {
				return err
			}
			defer client.Close()
			return look.run(cmd, client, stream.DLQ, selection.App, func(ctx context.Context) error {
				return listLetters(ctx, cmd, client, selection, format, look.reveal)
			})
		},
	}
	addReveal(cmd.Flags(), &look)
	return selectingLetters(cmd, &values, &format)
}

func listLetters(ctx context.Context, cmd *cobra.Command, client *stream.Client, s letterSelection, format cli.Format, reveal bool) error {
	out := newRowPrinter(cmd.OutOrStdout(), format, letterHead...)
	now := time.Now()
	err := readLetters(ctx, client, cmd.ErrOrStderr(), s, func(d *replay.DeadLetter) error {
		row := newLetterRow(d, now, reveal)
		d.Message = events.Stored{} // the list of dead letters must not grow by their events
		return out.put(row, row.cells()...)
	})
	if err == nil && out.rows == 0 {
		nothingMatched(ctx, cmd.ErrOrStderr(), client, stream.DLQ, "pointers")
	}
	return out.finish(format, err)
}

func showLettersCommand(a *archive) *cobra.Command {
	var values letterFlags
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Show a dead letter, with its event and the event's lineage",
		Long: `Show what was given up of a notify_id, or at a --seq of ` + stream.DLQ + `: who gave it up
and why, the event, and everything else with the same id.` + revealHelp + letterRowHelp + `
show adds lineage, as "replayer show" does.`,
		Example: `  replayer dlq show --seq 7
  replayer dlq show 2026080100222091545004711407822111 --consumer orders -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if values.flagValues, err = values.named(cmd, args, o); err != nil {
				return err
			}
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			client, err := a.connect("dlq show")
			if err != nil {
				return err
			}
			defer client.Close()
			return o.look.run(cmd, client, stream.DLQ, selection.App, func(ctx context.Context) error {
				return showLetters(ctx, cmd, client, selection, o)
			})
		},
	}
	addReveal(cmd.Flags(), &o.look)
	return selectingLetters(cmd, &values, &o.format)
}

func showLetters(ctx context.Context, cmd *cobra.Command, client *stream.Client, s letterSelection, o showOptions) error {
	stdout, found, now := cmd.OutOrStdout(), 0, time.Now()
	objects := cli.NewPrinter(stdout, o.format) // in a table there are none
	err := readLetters(ctx, client, cmd.ErrOrStderr(), s, func(d *replay.DeadLetter) error {
		found++
		row := newLetterRow(d, now, o.look.reveal)
		if !d.Gone {
			line := newLineage(client)
			line.note(d.Message)
			var notes []string
			var err error
			if row.Lineage, notes, err = line.trace(ctx); err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "replayer: lineage: "+cli.Clean(note))
			}
		}
		if o.format != cli.Table {
			return objects.Row(row)
		}
		if found > 1 {
			fmt.Fprintln(stdout)
		}
		return row.write(stdout, d, o.look.reveal)
	})
	if found == 0 {
		if err == nil {
			err = cli.Failedf("replayer dlq list", "no such dead letter on %s", stream.DLQ)
		}
		return err
	}
	return errors.Join(err, objects.Close())
}
