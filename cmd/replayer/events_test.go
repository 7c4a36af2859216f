package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// The keys of the events of fill.
const (
	keyOne = "2026080100000000000001"
	keyTwo = "a.b*>c"
)

// fill stores one of everything that events can list.
//
//	1 voucher.created keyOne n-created     2 voucher.stopped keyOne n-stopped
//	3 order.refunded keyTwo n-order        4 other.* n-other
//	5 voucher.created n-created, conflict  6 a replay of 2
//	7 voucher.used without its key         8 trade.status_changed of the other app
//	9 not shaped as an event
func fill(t *testing.T, s *site) {
	t.Helper()
	payload := func(name, value string) []alipaytest.Field { return []alipaytest.Field{{Name: name, Value: value}} }
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-created", Payload: payload("activity_id", keyOne)})
	s.receive(t, "voucher.stopped", alipaytest.Options{NotifyID: "n-stopped", Payload: payload("activity_id", keyOne)})
	s.receive(t, "order.refunded", alipaytest.Options{NotifyID: "n-order", Payload: payload("order_no", keyTwo)})
	s.receive(t, "other.alipay_open_auth_appauth_cancelled", alipaytest.Options{NotifyID: "n-other"})
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-created", Payload: payload("activity_id", "2")})
	s.replayed(t, 2, "job-1")
	s.receive(t, "voucher.used", alipaytest.Options{NotifyID: "n-used"}, func(n *alipaytest.Notification) { n.RemovePayload("activity_id") })
	s.receive(t, "trade.status_changed", alipaytest.Options{NotifyID: "n-trade", AppID: otherApp})
	s.publish(t, "alipay.events.stray", "no JSON \x1b[31m", map[string]string{"ce-id": "stray\x1b[2J", "ce-time": "noon"})
}

// sequences are those of the rows that an NDJSON output holds.
func sequences(t *testing.T, ndjson string) string {
	t.Helper()
	var list []string
	for line := range strings.Lines(ndjson) {
		var row eventRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, fmt.Sprint(row.Sequence))
	}
	return strings.Join(list, " ")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fill(t, s)
	t.Run("selection", func(t *testing.T) { t.Parallel(); testEventsSelection(t, s) })
	t.Run("table", func(t *testing.T) { t.Parallel(); testEventsTable(t, s) })
	t.Run("objects", func(t *testing.T) { t.Parallel(); testEventsObjects(t, s) })
	t.Run("nothing", func(t *testing.T) { t.Parallel(); testEventsNothing(t, s) })
}

func testEventsSelection(t *testing.T, s *site) {
	third := s.stored(t, 3).StoredAt.Format(time.RFC3339Nano)
	for _, c := range []struct{ args, want string }{
		{"", "1 2 3 4 5 7 8 9"},
		{"--include-replays", "1 2 3 4 5 6 7 8 9"},
		{"--app " + alipaytest.DefaultAppID, "1 2 3 4 5 7"},
		{"--app " + otherApp, "8"},
		{"--type voucher.created", "1 5"},
		{"--type voucher.*", "1 2 5"},
		{"--type voucher.* --include-replays", "1 2 5 6"},
		{"--type other.*", "4 7"},
		{"--type other.alipay_open_auth_appauth_cancelled", "4"},
		{"--key " + keyOne, "1 2"},
		{"--key " + keyTwo, "3"},
		{"--key a_b__c", ""}, // the same token, another key
		{"--key > --include-replays", ""},
		{"--key *", ""},
		{"--id n-created", "1 5"},
		{"--id n-created~" + s.stored(t, 5).Fingerprint[:8], "5"},
		{"--seq 3", "3"},
		{"--seq 6", ""},
		{"--seq 4-7", "4 5 7"},
		{"--seq 7-", "7 8 9"},
		{"--seq 100-", ""},
		{"--limit 2", "1 2"},
		{"--seq 2- --limit 3", "2 3 4"},
		{"--since 1h", "1 2 3 4 5 7 8 9"},
		{"--until 1h", ""},
		{"--since " + third + " --limit 1", "3"},
		{"--until " + third, "1 2"},
		{"--app " + alipaytest.DefaultAppID + " --type voucher.created --key " + keyOne + " --id n-created --since 1d --seq 1-5 --limit 1", "1"},
	} {
		got := s.run(t, append([]string{"events", "-o", "ndjson"}, strings.Fields(c.args)...)...)
		if list := sequences(t, got.stdout); got.code != 0 || list != c.want || (got.stderr == "") != (c.want != "") {
			t.Errorf("%s: exit %d, sequences %q, want %q; stderr %q", c.args, got.code, list, c.want, got.stderr)
		}
	}
}

func testEventsTable(t *testing.T, s *site) {
	got := s.run(t, "events", "--include-replays")
	const at = `20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  `
	want := regexp.MustCompile(`^SEQ +STORED +TYPE +KEY +ID +FLAGS\n` +
		`1 +` + at + `voucher.created +` + keyOne + ` +n-created +unasked\n` +
		`2 +` + at + `voucher.stopped +` + keyOne + ` +n-stopped +unasked\n` +
		`3 +` + at + `order.refunded +` + regexp.QuoteMeta(keyTwo) + ` +n-order +unasked\n` +
		`4 +` + at + `other.alipay_open_auth_appauth_cancelled +- +n-other +unasked\n` +
		`5 +` + at + `voucher.created +2 +n-created~[0-9a-f]{8} +conflict,unasked\n` +
		`6 +` + at + `voucher.stopped +` + keyOne + ` +n-stopped +replay,unasked\n` +
		`7 +` + at + `other.alipay_marketing_activity_message_used +- +n-used +decode-error,unasked\n` +
		`8 +` + at + `trade.status_changed +\S+ +n-trade +unasked\n` +
		`9 +` + at + `- +- +stray�\[2J +unreadable\n$`)
	if got.code != 0 || got.stderr != "" || !want.MatchString(got.stdout) {
		t.Errorf("exit %d, stderr %q, stdout:\n%s\nwant:\n%s", got.code, got.stderr, got.stdout, want)
	}
}

func testEventsObjects(t *testing.T, s *site) {
	got := s.run(t, "events", "--seq", "1-9", "--include-replays", "-o", "json")
	var objects []map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &objects); err != nil || got.code != 0 || len(objects) != 9 {
		t.Fatalf("exit %d, %d objects, %v:\n%s", got.code, len(objects), err, got.stdout)
	}
	first := s.stored(t, 1)
	want := map[string]any{
		"sequence": 1.0, "stored_at": first.StoredAt.Format("2006-01-02T15:04:05.000Z"), "subject": "alipay.events." + s.app.ID + ".voucher.created." + keyOne,
		"type": "voucher.created", "ce_type": "alipay.marketing.activity.message.created", "id": "n-created",
		"app_id": s.app.ID, "source": "/alipay/" + s.app.ID, "key": keyOne,
		"time": first.Time.Format("2006-01-02T15:04:05.000Z"), "received_at": first.ReceivedAt.Format("2006-01-02T15:04:05.000Z"),
		"conflict": "", "decode_error": "", "dedupe": "stream", "replay_job": "", "masked": true,
		"fingerprint": first.Fingerprint, "proof": first.Proof, "data": objects[0]["data"],
	}
	if diff := cmp.Diff(want, objects[0]); diff != "" {
		t.Errorf("the first object (-want +got):\n%s", diff)
	}
	if data, ok := objects[0]["data"].(map[string]any); !ok || data["activity_id"] != keyOne {
		t.Errorf("data: %v", objects[0]["data"])
	}
	for i, want := range map[int]map[string]any{
		4: {"conflict": "n-created"},
		5: {"replay_job": "job-1", "id": "n-stopped"},
		6: {"decode_error": "the field activity_id is missing, empty or no text", "type": "other.alipay_marketing_activity_message_used", "key": ""},
		8: {"id": "stray\x1b[2J", "type": "", "data": map[string]any{"_base64": events.Hidden}},
	} {
		for name, value := range want {
			if diff := cmp.Diff(value, objects[i][name]); diff != "" {
				t.Errorf("object %d, %s (-want +got):\n%s", i, name, diff)
			}
		}
	}
	if p, _ := objects[8]["problem"].(string); !strings.HasPrefix(p, events.HeaderTime+": ") || !strings.HasSuffix(p, "; the data is not JSON") {
		t.Errorf("problem: %q", p)
	}
	if line := s.run(t, "events", "--seq", "1", "-o", "ndjson").stdout; strings.Count(line, "\n") != 1 || "[\n  "+line+"]\n" != s.run(t, "events", "--seq", "1", "-o", "json").stdout {
		t.Errorf("json and ndjson differ: %s", line)
	}
}

func testEventsNothing(t *testing.T, s *site) {
	line := regexp.MustCompile(`^replayer: nothing matched; ALIPAY_EVENTS holds 9 events, stored from 20\S+Z to 20\S+Z\n$`)
	for format, want := range map[string]string{"table": "", "json": "[]\n", "ndjson": ""} {
		got := s.run(t, "events", "--key", "nowhere", "-o", format)
		if got.code != 0 || got.stdout != want || !line.MatchString(got.stderr) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", format, got.code, got.stdout, got.stderr)
		}
	}
}

func TestEventsOfAnEmptyStream(t *testing.T) {
	t.Parallel()
	got := newSite(t).run(t, "events")
	if got.code != 0 || got.stdout != "" || got.stderr != "replayer: nothing matched; ALIPAY_EVENTS is empty\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}

// TestEventsInBlocks: a table longer than what is aligned at once keeps its
// columns, and loses nothing.
func TestEventsInBlocks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	m, header := events.Event{AppID: s.app.ID, Subject: events.Subject(s.app.ID, "voucher.created", "1")}, map[string]string{}
	for i := range flushEvery + 3 {
		header["ce-id"] = fmt.Sprintf("n-%030d", i)
		s.publish(t, m.Subject, "{}", header)
	}
	got := s.run(t, "events")
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	if len(lines) != flushEvery+4 {
		t.Fatalf("%d lines, want %d", len(lines), flushEvery+4)
	}
	column := strings.Index(lines[1], "n-")
	for _, l := range lines[1:] {
		if strings.Index(l, "n-") != column {
			t.Errorf("the columns moved: %q", l)
		}
	}
}

// TestStreamMissing: the error says what to look at.
func TestStreamMissing(t *testing.T) {
	t.Parallel()
	s := newBareSite(t)
	for _, verb := range [][]string{{"events"}, {"show", "x"}, {"tail"}} {
		got := s.run(t, verb...)
		if got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "replayer: open ALIPAY_EVENTS: ") || !strings.Contains(got.stderr, "\nTry: receiver check ") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", verb, got.code, got.stdout, got.stderr)
		}
	}
}

// TestLeavesNothingBehind: no verb leaves a consumer on the stream.
func TestLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{})
	for _, line := range []string{"events", "events --key nowhere", "show --seq 1", "tail --since 1h --limit 1"} {
		if got := s.run(t, strings.Fields(line)...); got.code != 0 {
			t.Errorf("%s: exit %d: %s", line, got.code, got.stderr)
		}
		if n := s.consumers(t); n != 0 {
			t.Errorf("%s leaves %d consumers", line, n)
		}
	}
}

// TestEventsInterrupted: Ctrl-C is no success of a listing.
func TestEventsInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := runLine(ctx, nil, "events", "--config", s.config)
	if got.code != 1 || got.stdout != "" || got.stderr != "replayer: interrupted\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}

// brokenPipe is a stdout that nobody reads.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestBrokenStdout: what could not be printed is a failure.
func TestBrokenStdout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n"})
	for _, line := range []string{"events", "events -o json", "events -o ndjson", "show n", "show n -o ndjson", "show n --raw --reveal", "tail --seq 1", "tail --seq 1 -o json"} {
		var stderr bytes.Buffer
		args := append(strings.Fields(line), "--config", s.config)
		if code := run(t.Context(), args, brokenPipe{}, &stderr, nil); code != 1 || !strings.HasSuffix(stderr.String(), "replayer: broken pipe\n") {
			t.Errorf("%s: exit %d, stderr %q", line, code, stderr.String())
		}
	}
}
