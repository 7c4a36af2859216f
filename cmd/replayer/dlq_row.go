package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// letterRow is one dead letter. The names are a contract.
type letterRow struct {
	Sequence   uint64         `json:"sequence"` // of the first pointer on ALIPAY_DLQ; what --seq means
	Pointers   []uint64       `json:"pointers"` // all of them
	GivenUpAt  string         `json:"given_up_at"`
	AgeS       int64          `json:"age_s"` // seconds since then
	Consumer   string         `json:"consumer"`
	Causes     []replay.Cause `json:"causes"` // max_deliveries, terminated
	Reason     string         `json:"reason"` // the consumer's own words
	Deliveries int            `json:"deliveries"`
	Stream     string         `json:"stream"` // where the event is
	EventSeq   uint64         `json:"event_sequence"`
	Gone       bool           `json:"gone"`  // it is no longer there
	Event      *eventRow      `json:"event"` // as events prints it; null when it is gone
	Lineage    []relative     `json:"lineage,omitempty"`
}

// letterRowHelp is letterRow for the help texts.
const letterRowHelp = `

-o json prints an array, -o ndjson one object a line, of:
  sequence and pointers (on ALIPAY_DLQ), given_up_at, age_s, consumer, causes,
  reason (the consumer's own words), deliveries, stream and event_sequence (where
  the event is), gone (whether it is there no longer), and event, as "replayer
  events" prints it, or null.`

var letterHead = []string{"SEQ", "AGE", "CONSUMER", "CAUSE", "DELIVERIES", "STREAM", "EVENT", "TYPE", "KEY", "ID", "REASON"}

func newLetterRow(d *replay.DeadLetter, now time.Time, reveal bool) letterRow {
	row := letterRow{
		Sequence: d.Sequence, Pointers: d.Pointers, GivenUpAt: formatTime(d.StoredAt), AgeS: int64(d.Age(now).Seconds()),
		Consumer: d.Consumer, Causes: d.Causes, Reason: d.Reason, Deliveries: d.Deliveries,
		Stream: d.Stream, EventSeq: d.Event, Gone: d.Gone,
	}
	if !reveal {
		row.Reason = events.MaskText(row.Reason)
	}
	if !d.Gone {
		event := newEventRow(d.Message)
		if reveal {
			event = clearEventRow(d.Message)
		}
		row.Event = &event
	}
	return row
}

func (r letterRow) causes() string {
	var names []string
	for _, c := range r.Causes {
		names = append(names, string(c))
	}
	return strings.Join(names, ",")
}

func (r letterRow) cells() []string {
	kind, key, id := "-", "-", "(gone)"
	if r.Event != nil {
		kind, key, id = orDash(r.Event.Type), orDash(r.Event.Key), orDash(r.Event.ID)
	}
	return []string{
		fmt.Sprintf("%-5d", r.Sequence), fmt.Sprintf("%-6s", age(r.AgeS)), fmt.Sprintf("%-10s", r.Consumer), fmt.Sprintf("%-14s", r.causes()),
		fmt.Sprint(r.Deliveries), r.Stream, fmt.Sprint(r.EventSeq), fmt.Sprintf("%-15s", kind), fmt.Sprintf("%-20s", key),
		fmt.Sprintf("%-34s", id), orDash(r.Reason),
	}
}

// age writes seconds for people, in their largest unit: 40s, 12m, 5h, 3d.
func age(s int64) string {
	for _, unit := range []struct {
		name    string
		seconds int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}} {
		if s >= unit.seconds {
			return fmt.Sprintf("%d%s", s/unit.seconds, unit.name)
		}
	}
	return fmt.Sprintf("%ds", s)
}

// write prints the dead letter for people.
func (r letterRow) write(w io.Writer, d *replay.DeadLetter, reveal bool) error {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, cli.Clean(value))
		}
	}
	line("dead letter", fmt.Sprintf("%d on %s", r.Sequence, stream.DLQ))
	line("consumer", r.Consumer)
	line("cause", fmt.Sprintf("%s, after %d deliveries", r.causes(), r.Deliveries))
	line("reason", r.Reason)
	line("given up", r.GivenUpAt+", "+age(r.AgeS)+" ago")
	if n := len(r.Pointers); n > 1 {
		line("pointers", fmt.Sprint(n))
	}
	if d.Gone {
		line("event", fmt.Sprintf("%d is no longer on %s", r.EventSeq, r.Stream))
		return writeAll(w, b.Bytes())
	}
	fmt.Fprintln(&b)
	if err := newShowRow(r.Stream, d.Message, reveal).write(&b); err != nil {
		return err
	}
	writeLineage(&b, r.Lineage)
	return writeAll(w, b.Bytes())
}
