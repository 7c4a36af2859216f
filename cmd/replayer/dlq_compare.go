package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

func compareLettersCommand(a *archive) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Compare the pointers with the consumers' own counts",
		Long: `Compare the pointers on ` + stream.DLQ + ` with what each consumer itself counts as given
up. A pointer is an advisory that the server sends once: when ` + stream.DLQ + ` has no
leader at that moment it is lost, and nobody is told of the message.

A consumer counts what it has redelivered and not seen settled; what is more than
waits for an acknowledgement was certainly given up after its last delivery. From
that go the pointers that are there, and what was redriven or discarded, by the
audit trail. What is left is the gap: at least so many messages were given up and
nothing points to them. No part of this is what a consumer terminated, which is
not in its counts, and consumers that allow a single delivery, which count nothing.
A consumer that was removed has no counts, and a row where it left dead letters.

Exit code 0: no gap. 4: there is one.` + compareRowHelp,
		Example: `  replayer dlq compare
  replayer dlq compare -o json | jq '.[] | select(.gap > 0)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.connect("dlq compare")
			if err != nil {
				return err
			}
			defer client.Close()
			return compareLetters(cmd, client, format)
		},
	}
	cli.AddFormat(cmd.Flags(), &format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

func compareLetters(cmd *cobra.Command, client *stream.Client, format cli.Format) error {
	ctx := cmd.Context()
	rows, err := lettersByConsumer(ctx, client)
	if err != nil {
		return readingError(ctx, err)
	}
	out := newRowPrinter(cmd.OutOrStdout(), format, compareHead...)
	gaps, worst := 0, compareRow{}
	for _, row := range rows {
		if err := out.put(row, row.cells()...); err != nil {
			return err
		}
		if gaps += row.Gap; row.Gap > worst.Gap {
			worst = row
		}
	}
	if len(rows) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "replayer: %s and %s have no consumers\n", stream.Events, stream.Replays)
	}
	if err := out.finish(format, nil); err != nil || gaps == 0 {
		return err
	}
	return cli.Partlyf(worst.try(), "%d messages were given up and nothing points to them", gaps)
}

// compareRow is one consumer. The names are a contract.
type compareRow struct {
	Stream      string `json:"stream"`
	Consumer    string `json:"consumer"`
	Delivered   uint64 `json:"delivered"` // the last sequence
	AckFloor    uint64 `json:"ack_floor"`
	AckPending  int    `json:"ack_pending"`
	Redelivered int    `json:"redelivered"`
	GivenUp     int    `json:"given_up"` // certainly, after the last delivery, by the consumer's counts
	Pointers    int    `json:"pointers"` // for that reason, on ALIPAY_DLQ
	Terminated  int    `json:"terminated"`
	Settled     int    `json:"settled"` // redriven or discarded, by the audit trail
	Gap         int    `json:"gap"`     // given up, and nothing points to them
	first       uint64 // on the stream
}

// compareRowHelp is compareRow for the help texts.
const compareRowHelp = `

-o json prints an array, -o ndjson one object a line, of: stream, consumer,
delivered and ack_floor (sequences), ack_pending, redelivered, given_up, pointers,
terminated (pointers to what was terminated), settled, gap.`

var compareHead = []string{"STREAM", "CONSUMER", "REDELIVERED", "UNACKED", "GIVEN UP", "POINTERS", "SETTLED", "GAP", "TERMINATED"}

func (r compareRow) cells() []string {
	return []string{
		r.Stream, r.Consumer, fmt.Sprint(r.Redelivered), fmt.Sprint(r.AckPending), fmt.Sprint(r.GivenUp), fmt.Sprint(r.Pointers),
		fmt.Sprint(r.Settled), fmt.Sprint(r.Gap), fmt.Sprint(r.Terminated),
	}
}

// try says how to find the messages of a gap.
func (r compareRow) try() string {
	if r.Stream != stream.Events {
		return fmt.Sprintf("nats stream view %s --subject 'alipay.replays.%s.>'    # they are among these", r.Stream, r.Consumer)
	}
	return fmt.Sprintf("replayer replay --seq %d-%d --to consumer:%s    # they are among these; it knows the others by their ids", r.first, r.Delivered, r.Consumer)
}

// lettersByConsumer compares the durable consumers of both streams. Who is gone and
// left dead letters comes last.
func lettersByConsumer(ctx context.Context, client *stream.Client) ([]compareRow, error) {
	pointers, terminated, err := countPointers(ctx, client)
	if err != nil {
		return nil, err
	}
	passes, _, err := readTrail(ctx, client, replay.Selection{}, "")
	if err != nil {
		return nil, err
	}
	var rows []compareRow
	for _, name := range []string{stream.Events, stream.Replays} {
		consumers, err := client.Consumers(ctx, name)
		if err != nil {
			return nil, err
		}
		usage, err := client.UsageOf(ctx, name)
		if err != nil {
			return nil, err
		}
		// Settled before the oldest message was stored: these are no longer there,
		// and the consumer has forgotten them.
		settled := countSettled(passes, usage.First)
		for _, c := range consumers {
			if !c.Durable {
				continue
			}
			key := replay.LetterKey(name, c.Name)
			row := compareRow{
				Stream: name, Consumer: c.Name, first: usage.FirstSeq, Delivered: c.Delivered, AckFloor: c.AckFloor, AckPending: c.AckPending, Redelivered: c.Redelivered,
				GivenUp: max(0, c.Redelivered-c.AckPending), Pointers: pointers[key], Terminated: terminated[key], Settled: settled[key],
			}
			row.Gap = max(0, row.GivenUp-row.Pointers-row.Settled)
			rows = append(rows, row)
			delete(pointers, key)
			delete(terminated, key)
		}
	}
	return append(rows, orphans(pointers, terminated)...), nil
}

// orphans are the rows of consumers that are no longer there, and left dead letters.
func orphans(pointers, terminated replay.LetterCounts) []compareRow {
	names := slices.Collect(maps.Keys(pointers))
	for name := range terminated {
		if _, both := pointers[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var rows []compareRow
	for _, name := range names {
		stream, consumer, _ := strings.Cut(name, "/")
		rows = append(rows, compareRow{Stream: stream, Consumer: consumer, Pointers: pointers[name], Terminated: terminated[name]})
	}
	return rows
}

// countPointers counts dead letters, by cause.
func countPointers(ctx context.Context, client *stream.Client) (delivered, terminated replay.LetterCounts, err error) {
	var letters replay.DeadLetters
	err = client.Read(ctx, stream.ReadOptions{Stream: stream.DLQ}, func(m events.Stored) error {
		if p, err := replay.NewPointer(m); err == nil {
			letters.Add(p)
		}
		return nil
	})
	delivered, terminated = make(replay.LetterCounts), make(replay.LetterCounts)
	for _, d := range letters.All() {
		delivered.Count(d)
		if len(d.Causes) == 1 && d.Causes[0] == replay.Terminated {
			terminated[replay.LetterKey(d.Stream, d.Consumer)]++
		}
	}
	return delivered, terminated, err
}

// countSettled counts what was redriven or discarded since a time. A run that
// was cut short counts with as much as it says it has done, and at the most with
// its plan.
func countSettled(passes []audit.Pass, since time.Time) replay.LetterCounts {
	all := make(replay.LetterCounts)
	for _, p := range passes {
		began, err := time.Parse(time.RFC3339, cmp.Or(p.Began, p.Ended))
		if err != nil || !p.Of("dlq") || began.Before(since) {
			continue
		}
		planned := replay.ParseLetterCounts(p.Plan.Parameters[replay.CountsParameter])
		if p.Status() != audit.StatusDone {
			done := 0
			if p.Result != nil && p.Result.Outcome != nil {
				done = p.Result.Outcome.Done
			}
			for name, n := range planned {
				planned[name] = min(n, done)
			}
		}
		all.Add(planned)
	}
	return all
}
