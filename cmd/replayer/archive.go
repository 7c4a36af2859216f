package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// archive is where the events are: what the configuration says, connected to
// when a verb asks for it.
type archive struct {
	file    string // --config
	environ []string
}

func (a *archive) connect(verb string) (*stream.Client, error) {
	_, client, err := a.open(verb)
	return client, err
}

// open is connect for verbs that need the configuration as well.
func (a *archive) open(verb string) (config.Config, *stream.Client, error) {
	cfg, err := wire.Config(a.file, a.environ)
	if err != nil {
		return cfg, nil, err
	}
	client, err := wire.ConnectTool(cfg, "alipay-notify replayer "+verb)
	return cfg, client, err
}

// errEnough ends a reading: nothing that comes later can be selected.
var errEnough = errors.New("nothing later is selected")

// readSelected hands the selected events to fn in their order; memory does not
// grow with their number. It fills in which part of the stream o is to read, and
// ends as soon as nothing later can be selected.
func readSelected(ctx context.Context, client *stream.Client, s replay.Selection, o stream.ReadOptions, fn func(events.Stored) error) error {
	return readPlace(ctx, client, archived, s, o, fn)
}

// readPlace is readSelected for any stream of events.
func readPlace(ctx context.Context, client *stream.Client, p place, s replay.Selection, o stream.ReadOptions, fn func(events.Stored) error) error {
	o.Stream, o.Subjects = p.stream, s.Filters(p.root)
	o.FromSeq, o.FromTime = s.FirstSeq, s.Since
	pick := s.Picker()
	err := client.Read(ctx, o, func(m events.Stored) error {
		selected, more := pick.Pick(m)
		if selected {
			if err := fn(m); err != nil {
				return err
			}
		}
		if !more {
			return errEnough
		}
		return nil
	})
	return readingError(ctx, err)
}

// readRefused is readSelected for the requests that were not accepted.
func readRefused(ctx context.Context, client *stream.Client, k refusedKind, s replay.RefusedSelection, fn func(replay.Refused) error) error {
	pick := s.Picker()
	err := client.Read(ctx, stream.ReadOptions{
		Stream: k.stream, Subjects: s.Filters(k.root), FromSeq: s.FirstSeq, FromTime: s.Since,
	}, func(m events.Stored) error {
		r := replay.NewRefused(m)
		selected, more := pick.Pick(r)
		if selected {
			if err := fn(r); err != nil {
				return err
			}
		}
		if !more {
			return errEnough
		}
		return nil
	})
	return readingError(ctx, err)
}

// readingError is how a reading that ended with err ends the verb.
func readingError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errEnough):
		return nil
	case ctx.Err() != nil:
		return cli.Failedf("", "interrupted")
	case errors.Is(err, stream.ErrDenied):
		try, _ := wire.Denied(err, "replayer")
		return cli.Failedf(try, "%w", err)
	case fault.KindOf(err) == fault.Unavailable:
		return cli.Failedf(checkFirst, "%w", err)
	}
	return err
}

// checkFirst is what to try when a stream cannot be used.
const checkFirst = "receiver check    # says what is wrong with the connection and the streams"

// selectingCommand is what the verbs that select have in common. more are formats
// beside the usual ones.
func selectingCommand(cmd *cobra.Command, v *flagValues, format *cli.Format, more ...string) *cobra.Command {
	cmd.Long += selectionHelp
	addSelection(cmd.Flags(), v)
	cli.AddFormat(cmd.Flags(), format)
	completeSelection(cmd, more...)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}
