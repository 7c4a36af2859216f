package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// place is one stream of events, as far as the reading of it differs.
type place struct {
	stream string
	root   string // of its subjects
}

var (
	archived = place{stream.Events, events.SubjectRoot}
	inferred = place{stream.Inferred, "alipay.inferred"}
	resent   = place{stream.Replays, events.ReplaysRoot + ".*"}
)

// rest is what follows the root in a subject of an event: app, entity, action and
// key, which all of its relatives have in common.
func rest(subject string) string {
	for _, root := range []string{archived.root, inferred.root} {
		if r, ok := strings.CutPrefix(subject, root+"."); ok {
			return r
		}
	}
	r, _ := strings.CutPrefix(subject, events.ReplaysRoot+".")
	_, r, _ = strings.Cut(r, ".")
	return r
}

// relative is one message of an event's lineage. The names are a contract.
type relative struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	StoredAt string `json:"stored_at"`
	Relation string `json:"relation"` // delivery, conflict, replay, inferred or quarantined
	ID       string `json:"id"`
	To       string `json:"to"`        // the consumer of a replay; empty when it went to all
	Job      string `json:"job"`       // of a replay
	ReplayOf string `json:"replay_of"` // the sequence that it repeats
	Reason   string `json:"reason"`    // of a replay, or why it was quarantined
}

func (r relative) String() string {
	what := r.Relation
	if r.Job != "" {
		what += " of " + r.ReplayOf
		if r.To != "" {
			what += " to " + r.To
		}
		what += ", job " + r.Job
	}
	if r.Reason != "" {
		what += ": " + r.Reason
	}
	return fmt.Sprintf("%-17s %-8d %s  %s", r.Stream, r.Sequence, r.StoredAt, what)
}

// lineage collects what belongs to the events that it was told of: the same
// notify_id on any stream, and what was concluded of the same type and key.
type lineage struct {
	client *stream.Client
	ids    map[string]bool
	apps   map[string]bool
	rests  map[string]fact // by what their subjects have in common
}

// fact is what tells whether an inferred event says the same as a genuine one.
type fact struct {
	kind, key, outBizNo string
	inferred            bool // the fact was told by an inferred event
}

func newLineage(client *stream.Client) *lineage {
	return &lineage{client: client, ids: map[string]bool{}, apps: map[string]bool{}, rests: map[string]fact{}}
}

// note tells of an event whose relatives are wanted.
func (l *lineage) note(m events.Stored) {
	l.ids[cmp.Or(m.Conflict, m.ID)] = true
	l.apps[m.AppID] = true
	l.rests[rest(m.Subject)] = factOf(m)
}

func factOf(m events.Stored) fact {
	var data struct {
		OutBizNo string `json:"out_biz_no"`
	}
	_ = json.Unmarshal(m.Data, &data) // what cannot be read says nothing
	return fact{kind: m.Kind, key: m.Key, outBizNo: data.OutBizNo, inferred: strings.HasPrefix(m.Subject, inferred.root+".")}
}

// twins tells whether one of two facts is the conclusion of what the other says.
func twins(a, b fact) bool {
	return a.inferred != b.inferred && a.key != "" && a.kind == b.kind && a.key == b.key &&
		(a.outBizNo == "" || b.outBizNo == "" || a.outBizNo == b.outBizNo)
}

func (l *lineage) related(m events.Stored) bool {
	return m.ID != "" && l.ids[cmp.Or(m.Conflict, m.ID)] || twins(l.rests[rest(m.Subject)], factOf(m))
}

// trace looks for the relatives, by the subjects that they can have. A stream
// that cannot be read is named in notes.
func (l *lineage) trace(ctx context.Context) (all []relative, notes []string, err error) {
	for _, p := range []place{archived, resent, inferred} {
		var filters []string
		for _, r := range slices.Sorted(maps.Keys(l.rests)) {
			filters = append(filters, p.root+"."+r)
		}
		err := l.client.Read(ctx, stream.ReadOptions{Stream: p.stream, Subjects: filters, Light: true}, func(m events.Stored) error {
			if l.related(m) {
				all = append(all, newRelative(p, m))
			}
			return nil
		})
		if ctx.Err() != nil {
			return all, notes, readingError(ctx, err)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s was not looked into: %v", p.stream, err))
		}
	}
	var filters []string
	for _, app := range slices.Sorted(maps.Keys(l.apps)) {
		filters = append(filters, events.QuarantineRoot+"."+events.Token(app)+".*")
	}
	err = l.client.Read(ctx, stream.ReadOptions{Stream: stream.Quarantine, Subjects: filters}, func(m events.Stored) error {
		if r := replay.NewRefused(m); l.ids[r.NotifyID] {
			all = append(all, relative{
				Stream: stream.Quarantine, Sequence: m.Sequence, StoredAt: formatTime(m.StoredAt),
				Relation: "quarantined", ID: r.NotifyID, Reason: r.Reason,
			})
		}
		return nil
	})
	if ctx.Err() != nil {
		return all, notes, readingError(ctx, err)
	}
	if err != nil {
		notes = append(notes, fmt.Sprintf("%s was not looked into: %v", stream.Quarantine, err))
	}
	slices.SortStableFunc(all, func(a, b relative) int { return cmp.Compare(a.StoredAt, b.StoredAt) })
	return all, notes, nil
}

func newRelative(p place, m events.Stored) relative {
	r := relative{
		Stream: p.stream, Sequence: m.Sequence, StoredAt: formatTime(m.StoredAt), Relation: "delivery", ID: m.ID,
		Job: m.ReplayJob(), ReplayOf: header(m, events.HeaderReplayOf), Reason: m.ReplayReason(),
	}
	switch {
	case r.Job != "":
		r.Relation = "replay"
		if p == resent {
			consumer, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, events.ReplaysRoot+"."), ".")
			r.To = consumer
		}
	case p == inferred:
		r.Relation = "inferred"
	case m.Conflict != "":
		r.Relation = "conflict"
	}
	return r
}

// writeLineage prints it for people.
func writeLineage(b *bytes.Buffer, all []relative) {
	fmt.Fprintln(b, "\nlineage")
	for _, r := range all {
		fmt.Fprintln(b, "  "+cli.Clean(r.String()))
	}
}
