package main

import (
	"fmt"
	"strings"

	"alipay-notify/internal/stream"
)

// streamRow is one stream as streams prints it. The names are a contract.
type streamRow struct {
	Stream      string        `json:"stream"`
	Missing     bool          `json:"missing"`  // there is no such stream
	Messages    uint64        `json:"messages"` // held now
	Bytes       uint64        `json:"bytes"`
	MaxBytes    int64         `json:"max_bytes"` // 0 without a limit
	Percent     int           `json:"percent"`   // of max_bytes; -1 without a limit
	MaxAge      string        `json:"max_age"`   // how long it is kept; 0s without end
	FirstSeq    uint64        `json:"first_sequence"`
	LastSeq     uint64        `json:"last_sequence"`
	FirstAt     string        `json:"first_at"` // when it was stored
	LastAt      string        `json:"last_at"`
	Absent      uint64        `json:"absent"`   // sequences between first and last that hold nothing
	Gaps        []string      `json:"gaps"`     // the first of these: N or A-B
	Expiring    uint64        `json:"expiring"` // what goes within --soon
	Discard     string        `json:"discard"`  // what a full stream does
	Replicas    int           `json:"replicas"`
	Leader      string        `json:"leader"` // empty without a cluster
	Behind      []string      `json:"behind"` // replicas that are away or not current
	Differences []string      `json:"differences"`
	Consumers   []consumerRow `json:"consumers"`
	Unseen      []string      `json:"unseen"` // what this user may not see
}

// consumerRow is one consumer.
type consumerRow struct {
	Name        string   `json:"name"`
	Durable     bool     `json:"durable"`
	Filters     []string `json:"filters"`
	Lag         uint64   `json:"lag"`         // not yet delivered
	AckPending  int      `json:"ack_pending"` // delivered, not settled
	Redelivered int      `json:"redelivered"` // delivered more than once and not settled, given up included
	Delivered   uint64   `json:"delivered"`   // the last sequence that was
	AckFloor    uint64   `json:"ack_floor"`   // all up to here is settled
	MaxDeliver  int      `json:"max_deliver"` // -1 without end
	ActiveAt    string   `json:"active_at"`   // the last delivery
	Paused      bool     `json:"paused"`
}

// streamRowHelp is streamRow for the help texts.
const streamRowHelp = `

-o json prints an array, -o ndjson one object a line, of:
  stream, missing, messages, bytes, max_bytes, percent (-1 without a limit),
  max_age, first_sequence, last_sequence, first_at, last_at, absent, gaps,
  expiring, discard, replicas, leader, behind, differences, unseen, and
  consumers, each with name, durable, filters, lag, ack_pending, redelivered,
  delivered, ack_floor, max_deliver, active_at, paused.`

var (
	streamHead   = []string{"STREAM", "MESSAGES", "SIZE", "FULL", "SEQUENCES", "FIRST", "LAST", "ABSENT", "GOES", "LAYOUT"}
	consumerHead = []string{"STREAM", "CONSUMER", "LAG", "UNACKED", "REDELIVERED", "ACK FLOOR", "ACTIVE", "FILTER"}
)

func newStreamRow(o stream.Overview, diffs []stream.Difference) streamRow {
	row := streamRow{
		Stream: o.Name, Missing: o.Missing, Messages: o.Usage.Messages, Bytes: o.Usage.Bytes, MaxBytes: max(0, o.Usage.MaxBytes),
		Percent: o.Usage.Percent(), MaxAge: o.MaxAge.String(), FirstSeq: o.Usage.FirstSeq, LastSeq: o.Usage.LastSeq,
		Absent: o.Absent, Expiring: o.Expiring, Discard: strings.ToLower(strings.TrimPrefix(o.Discard, "Discard")),
		Replicas: o.Replicas, Leader: o.Leader,
		Gaps: []string{}, Behind: append([]string{}, o.Behind...), Unseen: append([]string{}, o.Unseen...),
		Differences: []string{}, Consumers: []consumerRow{},
	}
	if o.Usage.Messages > 0 {
		row.FirstAt, row.LastAt = formatTime(o.Usage.First), formatTime(o.Usage.Last)
	}
	for _, g := range o.Gaps {
		row.Gaps = append(row.Gaps, span(g.First, g.Last))
	}
	for _, c := range o.Consumers {
		row.Consumers = append(row.Consumers, newConsumerRow(c))
	}
	for _, d := range diffs {
		if d.Stream == o.Name {
			row.Differences = append(row.Differences, d.String())
		}
	}
	return row
}

func newConsumerRow(c stream.Consumer) consumerRow {
	return consumerRow{
		Name: c.Name, Durable: c.Durable, Filters: append([]string{}, c.Filters...), Lag: c.Lag, AckPending: c.AckPending,
		Redelivered: c.Redelivered, Delivered: c.Delivered, AckFloor: c.AckFloor, MaxDeliver: c.MaxDeliver,
		ActiveAt: formatTime(c.Active), Paused: c.Paused,
	}
}

func (r streamRow) cells() []string {
	if r.Missing {
		return []string{r.Stream, "-", "-", "-", "-", "-", "-", "-", "-", "missing"}
	}
	full, sequences, layout := "-", "-", "ok"
	if r.Percent >= 0 {
		full = fmt.Sprintf("%d%%", r.Percent)
	}
	if r.Messages > 0 {
		sequences = span(r.FirstSeq, r.LastSeq)
	}
	if n := len(r.Differences); n > 0 {
		layout = fmt.Sprintf("%d differ", n)
	}
	return []string{
		r.Stream, fmt.Sprint(r.Messages), formatBytes(r.Bytes), full, sequences, orDash(r.FirstAt), orDash(r.LastAt),
		fmt.Sprint(r.Absent), fmt.Sprint(r.Expiring), layout,
	}
}

// notes say what an operator should know and a table has no room for.
func (r streamRow) notes() []string {
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, r.Stream+": "+fmt.Sprintf(format, args...)) }
	if r.Stream == stream.Events || r.Stream == stream.Audit {
		if r.Absent > 0 {
			say("%d sequences hold nothing (%s), though nobody may remove anything from it", r.Absent, strings.Join(r.Gaps, ", "))
		}
	}
	if len(r.Behind) > 0 {
		say("the replicas %s are away or behind", strings.Join(r.Behind, ", "))
	}
	for _, d := range r.Differences {
		notes = append(notes, "layout: "+d)
	}
	for _, u := range r.Unseen {
		say("not to be seen: %s", u)
	}
	return notes
}

func (r consumerRow) cells(stream string) []string {
	name := r.Name
	if r.Paused {
		name += " (paused)"
	}
	return []string{
		stream, name, fmt.Sprint(r.Lag), fmt.Sprint(r.AckPending), fmt.Sprint(r.Redelivered), fmt.Sprint(r.AckFloor),
		orDash(r.ActiveAt), orDash(strings.Join(r.Filters, " ")),
	}
}

// span writes a run of sequences.
func span(first, last uint64) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// formatBytes writes a size for people.
func formatBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.95 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}
