package replay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// now is when the tests select.
var now = time.Date(2026, 8, 10, 12, 0, 0, 0, time.FixedZone("UTC+8", 8*60*60)) // 04:00 UTC

func utc(day, hour, minute int) time.Time {
	return time.Date(2026, 8, day, hour, minute, 0, 0, time.UTC)
}

func TestParseSelection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  replay.RawSelection
		want replay.Selection
	}{
		"nothing":           {replay.RawSelection{}, replay.Selection{}},
		"app":               {replay.RawSelection{App: "2021000000000001"}, replay.Selection{App: "2021000000000001"}},
		"the unknown app":   {replay.RawSelection{App: "_unknown"}, replay.Selection{App: "_unknown"}},
		"type":              {replay.RawSelection{Type: "voucher.created"}, replay.Selection{Type: "voucher.created"}},
		"entity":            {replay.RawSelection{Type: "order.*"}, replay.Selection{Type: "order.*"}},
		"other":             {replay.RawSelection{Type: "other.a_b-c"}, replay.Selection{Type: "other.a_b-c"}},
		"all others":        {replay.RawSelection{Type: "other.*"}, replay.Selection{Type: "other.*"}},
		"key, verbatim":     {replay.RawSelection{Key: " a.b *>"}, replay.Selection{Key: " a.b *>"}},
		"id, verbatim":      {replay.RawSelection{ID: "a~b"}, replay.Selection{ID: "a~b"}},
		"since, RFC 3339":   {replay.RawSelection{Since: "2026-08-01T09:30:00+08:00"}, replay.Selection{Since: utc(1, 1, 30)}},
		"since, fraction":   {replay.RawSelection{Since: "2026-08-01T09:30:00.5Z"}, replay.Selection{Since: utc(1, 9, 30).Add(time.Second / 2)}},
		"since, a date":     {replay.RawSelection{Since: "2026-08-01"}, replay.Selection{Since: utc(1, 0, 0)}},
		"since, hours":      {replay.RawSelection{Since: "2h"}, replay.Selection{Since: utc(10, 2, 0)}},
		"since, minutes":    {replay.RawSelection{Since: "30m"}, replay.Selection{Since: utc(10, 3, 30)}},
		"since, days":       {replay.RawSelection{Since: "7d"}, replay.Selection{Since: utc(3, 4, 0)}},
		"since, both":       {replay.RawSelection{Since: "1d3h30m"}, replay.Selection{Since: utc(9, 0, 30)}},
		"since now":         {replay.RawSelection{Since: "0s"}, replay.Selection{Since: utc(10, 4, 0)}},
		"a day":             {replay.RawSelection{Since: "2026-08-01", Until: "2026-08-02"}, replay.Selection{Since: utc(1, 0, 0), Until: utc(2, 0, 0)}},
		"until, back":       {replay.RawSelection{Until: "1h"}, replay.Selection{Until: utc(10, 3, 0)}},
		"until, ahead":      {replay.RawSelection{Until: "2999-01-01"}, replay.Selection{Until: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"one sequence":      {replay.RawSelection{Seq: "7"}, replay.Selection{FirstSeq: 7, LastSeq: 7}},
		"sequences":         {replay.RawSelection{Seq: "7-9"}, replay.Selection{FirstSeq: 7, LastSeq: 9}},
		"one, as a range":   {replay.RawSelection{Seq: "7-7"}, replay.Selection{FirstSeq: 7, LastSeq: 7}},
		"from a sequence":   {replay.RawSelection{Seq: "7-"}, replay.Selection{FirstSeq: 7}},
		"limit and replays": {replay.RawSelection{Limit: 5, IncludeReplays: true}, replay.Selection{Limit: 5, IncludeReplays: true}},
	} {
		got, err := replay.ParseSelection(c.raw, now)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParseSelectionTakesEveryKind(t *testing.T) {
	t.Parallel()
	for _, k := range events.Kinds() {
		entity, _, _ := strings.Cut(k.Name, ".")
		for _, typ := range []string{k.Name, entity + ".*"} {
			if _, err := replay.ParseSelection(replay.RawSelection{Type: typ}, now); err != nil {
				t.Error(err)
			}
		}
		_, err := replay.ParseSelection(replay.RawSelection{Type: k.Method}, now)
		want := &replay.FieldError{Field: "type", Value: k.Method, Reason: "unknown type", Meant: []string{k.Name}}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k.Method, diff)
		}
	}
}

// The reasons of refusals.
const (
	wantApp   = "want an app_id, which is digits, such as 2021000000000001"
	wantTime  = "want RFC 3339 (2026-08-01T09:30:00+08:00), a date (2026-08-01, from 00:00 UTC), or a duration back from now (30m, 2h, 7d)"
	wantSeq   = "want N, A-B or A-, counted from 1"
	wantLimit = "want 0 (all) or more"
)

type raw = replay.RawSelection

// refused checks the whole message, and what is offered instead.
func refused(t *testing.T, r raw, want string, meant []string) {
	t.Helper()
	got, err := replay.ParseSelection(r, now)
	wrong, ok := errors.AsType[*replay.FieldError](err)
	if !ok || err.Error() != want || got != (replay.Selection{}) {
		t.Errorf("%+v: %v, %+v, want %s", r, err, got, want)
		return
	}
	if diff := cmp.Diff(meant, wrong.Meant); diff != "" {
		t.Errorf("%s: meant (-want +got):\n%s", want, diff)
	}
}

func TestParseSelectionRefuses(t *testing.T) {
	t.Parallel()
	all := replay.Types()
	for _, c := range []struct {
		raw   raw
		want  string
		meant []string
	}{
		{raw{App: "abc"}, `app "abc": ` + wantApp, nil},
		{raw{App: "*"}, `app "*": ` + wantApp, nil},
		{raw{App: ">"}, `app ">": ` + wantApp, nil},
		{raw{App: "1.2"}, `app "1.2": ` + wantApp, nil},
		{raw{App: strings.Repeat("1", 33)}, `app "` + strings.Repeat("1", 33) + `": ` + wantApp, nil},
		{raw{Type: "voucher.craeted"}, `type "voucher.craeted": unknown type`, []string{"voucher.created"}},
		{raw{Type: "vouchers.stopped"}, `type "vouchers.stopped": unknown type`, []string{"voucher.stopped"}},
		{raw{Type: "voucher.stop"}, `type "voucher.stop": unknown type`, all},
		{raw{Type: "voucher"}, `type "voucher": unknown type`, all},
		{raw{Type: "*"}, `type "*": unknown type`, all},
		{raw{Type: "*.*"}, `type "*.*": unknown type`, all},
		{raw{Type: "*.created"}, `type "*.created": unknown type`, all},
		{raw{Type: ".*"}, `type ".*": unknown type`, all},
		{raw{Type: "voucher.>"}, `type "voucher.>": unknown type`, all},
		{raw{Type: "vouch.*"}, `type "vouch.*": unknown type`, all},
		{raw{Type: "other"}, `type "other": unknown type`, all},
		{raw{Type: "other."}, `type "other.": unknown type`, all},
		{raw{Type: "other.>"}, `type "other.>": unknown type`, []string{"other._"}},
		{raw{Type: "other.a.b c"}, `type "other.a.b c": unknown type`, []string{"other.a_b_c"}},
		{raw{Type: "other." + strings.Repeat("a", 129)}, `type "other.` + strings.Repeat("a", 129) + `": unknown type`, all},
		{raw{Limit: -1}, `limit "-1": ` + wantLimit, nil},
		{raw{Since: "2026-08-02", Until: "2026-08-02"}, `until "2026-08-02": want a time after 2026-08-02T00:00:00Z, where the selection begins`, nil},
		{raw{Since: "1h", Until: "2h"}, `until "2h": want a time after 2026-08-10T03:00:00Z, where the selection begins`, nil},
		{raw{Seq: "9-3"}, `seq "9-3": want the smaller one first`, []string{"3-9"}},
	} {
		refused(t, c.raw, c.want, c.meant)
	}
}

func TestParseSelectionRefusesSequences(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"0", "x", "-", "-5", "1--2", "0-5", "3-0", "1,2", "+1", " 1", "1-x", "99999999999999999999"} {
		refused(t, raw{Seq: s}, fmt.Sprintf("seq %q: %s", s, wantSeq), nil)
	}
}

func TestParseSelectionRefusesTimes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"yesterday", "7", "-2h", "+2h", "1d-1h", "1d+1h", "d", "99999d", "1.5d", " 2h", "2026-08-01T09:30:00",
		"2026-13-01", "01/08/2026", "0001-01-01", "1969-12-31", "9999-12-31T23:59:59-08:00",
	} {
		refused(t, raw{Since: s}, fmt.Sprintf("since %q: %s", s, wantTime), nil)
		refused(t, raw{Until: s}, fmt.Sprintf("until %q: %s", s, wantTime), nil)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 200)
	for _, c := range []struct {
		selection  replay.Selection
		root, want string
	}{
		{replay.Selection{}, "alipay.events", "alipay.events.>"},
		{replay.Selection{ID: "n", IncludeReplays: true, FirstSeq: 4, Limit: 1}, "alipay.events", "alipay.events.>"},
		{replay.Selection{App: "1"}, "alipay.events", "alipay.events.1.*.*.*"},
		{replay.Selection{Type: "voucher.created"}, "alipay.events", "alipay.events.*.voucher.created.*"},
		{replay.Selection{Type: "voucher.*"}, "alipay.events", "alipay.events.*.voucher.*.*"},
		{replay.Selection{Type: "other.a_b"}, "alipay.events", "alipay.events.*.other.a_b.*"},
		{replay.Selection{Key: "k-1"}, "alipay.events", "alipay.events.*.*.*.k-1"},
		{replay.Selection{App: "1", Type: "voucher.created", Key: "k"}, "alipay.events", "alipay.events.1.voucher.created.k"},
		{replay.Selection{App: "1", Type: "card.*"}, "alipay.inferred", "alipay.inferred.1.card.*.*"},
		{replay.Selection{App: "1", Key: "k"}, "alipay.replays.billing", "alipay.replays.billing.1.*.*.k"},

		// These say an app and a reason: type and key are for Match.
		{replay.Selection{}, "alipay.quarantine", "alipay.quarantine.>"},
		{replay.Selection{Type: "voucher.created", Key: "k"}, "alipay.quarantine", "alipay.quarantine.>"},
		{replay.Selection{App: "1", Type: "voucher.created"}, "alipay.quarantine", "alipay.quarantine.1.>"},
		{replay.Selection{App: "_unknown"}, "alipay.rejects", "alipay.rejects._unknown.>"},
		{replay.Selection{App: "1"}, "alipay.audit", "alipay.audit.1.>"},

		// What comes from outside never widens a filter.
		{replay.Selection{Key: ">"}, "alipay.events", "alipay.events.*.*.*._"},
		{replay.Selection{Key: "*"}, "alipay.events", "alipay.events.*.*.*._"},
		{replay.Selection{Key: "a.>"}, "alipay.events", "alipay.events.*.*.*.a__"},
		{replay.Selection{Key: "a b\tc\r\n"}, "alipay.events", "alipay.events.*.*.*.a_b_c__"},
		{replay.Selection{Key: "券"}, "alipay.events", "alipay.events.*.*.*.___"},
		{replay.Selection{Key: long}, "alipay.events", "alipay.events.*.*.*." + long[:128]},
		{replay.Selection{App: ">", Type: ">.>"}, "alipay.events", "alipay.events._._._.*"}, // not from ParseSelection
	} {
		if got := c.selection.Filters(c.root); len(got) != 1 || got[0] != c.want {
			t.Errorf("%+v on %s: %q, want %q", c.selection, c.root, got, c.want)
		}
	}
}

// at is a message: sequence n, stored n minutes after midnight.
func at(n uint64, change ...func(*events.Stored)) events.Stored {
	m := events.Stored{
		Event:    events.Event{ID: "n-1", AppID: "1", Kind: "voucher.created", Key: "a.b"},
		Sequence: n, StoredAt: utc(1, 0, int(n)),
	}
	for _, f := range change {
		f(&m)
	}
	return m
}

func replayed(m *events.Stored) {
	m.Header = map[string][]string{events.HeaderReplayJob: {"job"}}
}

func conflict(m *events.Stored) { m.ID, m.Conflict = "n-1~0a1b2c3d", "n-1" }

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		selection replay.Selection
		message   events.Stored
		want      bool
	}{
		{"everything", replay.Selection{}, at(5), true},
		{"app", replay.Selection{App: "1"}, at(5), true},
		{"another app", replay.Selection{App: "12"}, at(5), false},
		{"type", replay.Selection{Type: "voucher.created"}, at(5), true},
		{"another type", replay.Selection{Type: "voucher.creat"}, at(5), false},
		{"entity", replay.Selection{Type: "voucher.*"}, at(5), true},
		{"another entity", replay.Selection{Type: "order.*"}, at(5), false},
		{"no type at all", replay.Selection{Type: "voucher.*"}, at(5, func(m *events.Stored) { m.Kind = "" }), false},
		{"an entity that begins alike", replay.Selection{Type: "voucher.*"}, at(5, func(m *events.Stored) { m.Kind = "vouchers.created" }), false},
		{"key", replay.Selection{Key: "a.b"}, at(5), true},
		{"another key of the same token", replay.Selection{Key: "a_b"}, at(5), false},
		{"id", replay.Selection{ID: "n-1"}, at(5), true},
		{"another id", replay.Selection{ID: "n-"}, at(5), false},
		{"the conflict of an id", replay.Selection{ID: "n-1"}, at(5, conflict), true},
		{"the conflict's own id", replay.Selection{ID: "n-1~0a1b2c3d"}, at(5, conflict), true},
		{"its id, of the first", replay.Selection{ID: "n-1~0a1b2c3d"}, at(5), false},
		{"an id with a tilde is no conflict", replay.Selection{ID: "n-1"}, at(5, func(m *events.Stored) { m.ID = "n-1~0a1b2c3d" }), false},
		{"a replay", replay.Selection{}, at(5, replayed), false},
		{"a replay, included", replay.Selection{IncludeReplays: true}, at(5, replayed), true},
		{"the first sequence", replay.Selection{FirstSeq: 5}, at(5), true},
		{"before it", replay.Selection{FirstSeq: 6}, at(5), false},
		{"the last sequence", replay.Selection{LastSeq: 5}, at(5), true},
		{"after it", replay.Selection{LastSeq: 4}, at(5), false},
		{"since, the moment", replay.Selection{Since: utc(1, 0, 5)}, at(5), true},
		{"since, later", replay.Selection{Since: utc(1, 0, 6)}, at(5), false},
		{"until, later", replay.Selection{Until: utc(1, 0, 6)}, at(5), true},
		{"until, the moment", replay.Selection{Until: utc(1, 0, 5)}, at(5), false},
		{"limit is not its business", replay.Selection{Limit: 1}, at(5), true},
	} {
		if got := c.selection.Match(c.message); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestPicker: what is taken, and behind which message reading ends.
func TestPicker(t *testing.T) {
	t.Parallel()
	order := func(m *events.Stored) { m.Kind = "order.received" }
	stream := []events.Stored{at(1), at(2, order), at(3), at(4, replayed), at(6), at(7), at(8, order)}
	for _, c := range []struct {
		name      string
		selection replay.Selection
		want      string // the sequences taken
		read      int    // how many messages were looked at
	}{
		{"everything", replay.Selection{}, "[1 2 3 6 7 8]", 7},
		{"a type", replay.Selection{Type: "voucher.*"}, "[1 3 6 7]", 7},
		{"limit", replay.Selection{Limit: 2}, "[1 2]", 2},
		{"limit of a type", replay.Selection{Limit: 2, Type: "voucher.*"}, "[1 3]", 3},
		{"more than there is", replay.Selection{Limit: 99}, "[1 2 3 6 7 8]", 7},
		{"to a sequence", replay.Selection{LastSeq: 3}, "[1 2 3]", 3},
		{"to a sequence that is not there", replay.Selection{FirstSeq: 2, LastSeq: 5}, "[2 3]", 5},
		{"one that is not there", replay.Selection{FirstSeq: 5, LastSeq: 5}, "[]", 5},
		{"until", replay.Selection{Until: utc(1, 0, 3)}, "[1 2]", 3},
	} {
		got, read, pick := []uint64{}, 0, c.selection.Picker()
		for _, m := range stream {
			read++
			selected, more := pick.Pick(m)
			if selected {
				got = append(got, m.Sequence)
			}
			if !more {
				break
			}
		}
		if fmt.Sprint(got) != c.want || read != c.read {
			t.Errorf("%s: %v after %d, want %s after %d", c.name, got, read, c.want, c.read)
		}
	}
	full := replay.Selection{Limit: 1}.Picker()
	full.Pick(at(1))
	if selected, more := full.Pick(at(2)); selected || more {
		t.Error("a full picker takes one more")
	}
}
