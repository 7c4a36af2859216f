package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

func TestShow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fill(t, s)
	t.Run("people", func(t *testing.T) { t.Parallel(); testShowForPeople(t, s) })
	t.Run("objects", func(t *testing.T) { t.Parallel(); testShowObjects(t, s) })
	t.Run("selection", func(t *testing.T) { t.Parallel(); testShowSelection(t, s) })
	t.Run("hostile", func(t *testing.T) { t.Parallel(); testShowHostile(t, s) })
	t.Run("not found", func(t *testing.T) { t.Parallel(); testShowNotFound(t, s) })
}

func testShowForPeople(t *testing.T, s *site) {
	m := s.stored(t, 1)
	got := s.run(t, "show", "--seq", "1")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d, stderr %q", got.code, got.stderr)
	}
	want := []string{
		"sequence    1\nstored      20",
		"subject     alipay.events." + s.app.ID + ".voucher.created." + keyOne + "\n",
		"type        voucher.created (alipay.marketing.activity.message.created)\n",
		"id          n-created\n", "app         " + s.app.ID + "\n", "key         " + keyOne + "\n",
		"flags       unasked\n",
		fmt.Sprintf("request     %d bytes, decoded from Alipay-Raw; --raw --reveal prints them\n", len(m.Raw)),
		"\nheaders\n  Alipay-Fingerprint: " + m.Fingerprint + "\n",
		"\n  Alipay-Raw: ***\n",
		"\n  ce-id: n-created\n",
		"\ndata\n  {\n    \"",
		"\"activity_id\": \"" + keyOne + "\"",
		"\n  }\n\nlineage\n  ALIPAY_EVENTS     1        20",
	}
	for _, w := range want {
		if !strings.Contains(got.stdout, w) {
			t.Errorf("%q is not in:\n%s", w, got.stdout)
		}
	}
	message, _, _ := strings.Cut(got.stdout, "\nlineage\n")
	if twice := s.run(t, "show", "n-created").stdout; strings.Count(twice, "\n\nsequence ") != 1 || !strings.HasPrefix(twice, message) {
		t.Errorf("two messages:\n%s", twice)
	}
}

func testShowObjects(t *testing.T, s *site) {
	got := s.run(t, "show", "n-stopped", "-o", "json")
	var rows []showRow
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || got.code != 0 || len(rows) != 2 {
		t.Fatalf("exit %d, %d rows, %v:\n%s", got.code, len(rows), err, got.stdout)
	}
	m := s.stored(t, 2)
	headers := map[string]string{}
	for name := range m.Header {
		headers[name] = m.Header[name][0]
	}
	headers[events.HeaderRaw] = events.Hidden
	if diff := cmp.Diff(headers, rows[0].Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if rows[0].Sequence != 2 || rows[0].RawBytes != len(m.Raw) || rows[0].RawError != "" || len(rows[0].Data) == 0 || rows[0].ID != "n-stopped" {
		t.Errorf("row: %+v", rows[0])
	}
	if rows[1].Sequence != 6 || rows[1].ReplayJob != "job-1" || rows[1].Headers[events.HeaderReplayOf] != "2" {
		t.Errorf("the replay: %+v", rows[1])
	}
	if list := sequences(t, s.run(t, "show", "n-stopped", "-o", "ndjson").stdout); list != "2 6" {
		t.Errorf("ndjson: %s", list)
	}
}

func testShowSelection(t *testing.T, s *site) {
	for args, want := range map[string]string{
		"n-created":           "1 5",
		"--id n-created":      "1 5",
		"n-created --limit 1": "1",
		"n-created --id n-created --app " + alipaytest.DefaultAppID + " --since 1h": "1 5",
		"n-created --key " + keyOne:       "1",
		"n-created~" + conflictMark(t, s): "5",
		"--seq 6":                         "6", // a replay
		"--seq 3-4":                       "3 4",
	} {
		got := s.run(t, append([]string{"show", "-o", "ndjson"}, strings.Fields(args)...)...)
		if list := sequences(t, got.stdout); got.code != 0 || got.stderr != "" || list != want {
			t.Errorf("%s: exit %d, sequences %q, want %q; stderr %q", args, got.code, list, want, got.stderr)
		}
	}
}

// conflictMark is what the conflict's id has behind the notify_id.
func conflictMark(t *testing.T, s *site) string {
	t.Helper()
	return s.stored(t, 5).Fingerprint[:8]
}

// testShowHostile: what somebody stored cannot drive the terminal that shows it.
func testShowHostile(t *testing.T, s *site) {
	got := s.run(t, "show", "--seq", "9")
	if got.code != 0 || regexp.MustCompile(`[^\n -~�]`).MatchString(got.stdout) {
		t.Errorf("exit %d, stdout %q", got.code, got.stdout)
	}
	for _, w := range []string{"flags       unreadable\n", "problem     ce-time: ", "request     cannot be read: there is no header Alipay-Raw\n", "  ce-id: stray�[2J\n"} {
		if !strings.Contains(got.stdout, w) {
			t.Errorf("%q is not in:\n%s", w, got.stdout)
		}
	}
}

func testShowNotFound(t *testing.T, s *site) {
	const (
		when  = "Try: replayer events --since 1d    # and its --help; what is older than nats.max_age is gone\n"
		fewer = "Try: the same with fewer flags\n"
	)
	for args, want := range map[string]string{
		"nowhere":                "replayer: no event \"nowhere\" on ALIPAY_EVENTS\n" + when,
		"--seq 99":               "replayer: no such event on ALIPAY_EVENTS\n" + when,
		"n-created --until 1h":   "replayer: no event \"n-created\" in this selection on ALIPAY_EVENTS\n" + fewer,
		"n-created --seq 9":      "replayer: no event \"n-created\" in this selection on ALIPAY_EVENTS\n" + fewer,
		"nowhere -o json":        "replayer: no event \"nowhere\" on ALIPAY_EVENTS\n" + when,
		"nowhere --raw --reveal": "replayer: no event \"nowhere\" on ALIPAY_EVENTS\n" + when,
		"--seq 1 --type card.*":  "replayer: no such event in this selection on ALIPAY_EVENTS\n" + fewer,
	} {
		got := s.run(t, append([]string{"show"}, strings.Fields(args)...)...)
		if got.code != 1 || got.stdout != "" || got.stderr != want {
			t.Errorf("%s: exit %d, stdout %q, stderr:\n%s\nwant:\n%s", args, got.code, got.stdout, got.stderr, want)
		}
	}
}

// TestShowDataIsCleanAndTheSame: what could drive a terminal is shown as an
// escape, and still says what is stored.
func TestShowDataIsCleanAndTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const data = `{"name":"券 <&> \u001b[31m` + "\u009b31m\u202e\x7f" + `","n":1.10,"list":[1,2],"none":{}}`
	s.publish(t, "alipay.events."+s.app.ID+".voucher.created.1", data, map[string]string{events.HeaderID: "n"})
	got := s.run(t, "show", "n")
	_, shown, _ := strings.Cut(got.stdout, "\ndata\n")
	shown, _, _ = strings.Cut(shown, "\nlineage\n")
	const want = `  {
    "name": "券 <&> \u001b[31m\u009b31m\u202e\u007f",
    "n": 1.10,
    "list": [
      1,
      2
    ],
    "none": {}
  }
`
	if diff := cmp.Diff(want, shown); diff != "" || got.code != 0 {
		t.Errorf("exit %d, data (-want +got):\n%s", got.code, diff)
	}
	var before, after any
	if err := errors.Join(json.Unmarshal([]byte(data), &before), json.Unmarshal([]byte(shown), &after)); err != nil || !cmp.Equal(before, after) {
		t.Errorf("%v: %s", err, cmp.Diff(before, after))
	}
}

// TestShowRaw: the request comes back byte for byte, however it was stored.
func TestShowRaw(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bodies := [][]byte{
		s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "plain"}),
		s.receive(t, "trade.status_changed", alipaytest.Options{
			NotifyID: "gbk", Charset: alipaytest.GBK, Payload: []alipaytest.Field{{Name: "subject", Value: "代金券"}},
		}),
		s.receive(t, "trade.status_changed", alipaytest.Options{
			NotifyID: "long", Payload: []alipaytest.Field{{Name: "body", Value: strings.Repeat("券", 20<<10)}},
		}),
	}
	if encoding := s.stored(t, 3).Header[events.HeaderRawEncoding]; len(encoding) == 0 {
		t.Error("the long request is stored verbatim, so that this proves less than it should")
	}
	for i, id := range []string{"plain", "gbk", "long"} {
		got := s.run(t, "show", id, "--raw", "--reveal")
		if got.code != 0 || got.stderr != "" || got.stdout != string(bodies[i]) {
			t.Errorf("%s: exit %d, stderr %q, %d bytes, want %d", id, got.code, got.stderr, len(got.stdout), len(bodies[i]))
		}
	}
}

func TestShowRawNeedsOneRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, raw := range []string{"", "%%%"} {
		header := map[string]string{events.HeaderID: "broken", events.HeaderRawEncoding: "base64"}
		if raw != "" {
			header[events.HeaderRaw] = raw
		}
		s.publish(t, "alipay.events."+s.app.ID+".voucher.created.1", "{}", header)
	}
	for range maxNamed {
		s.publish(t, "alipay.events."+s.app.ID+".voucher.created.2", "{}", map[string]string{events.HeaderID: "many"})
	}
	s.publish(t, "alipay.events."+s.app.ID+".voucher.created.2", "{}", map[string]string{events.HeaderID: "many"})
	for args, want := range map[string]string{
		"broken":  "replayer: --raw is for one message; this selects 2, at the sequences 1, 2\nTry: replayer show --raw --reveal --seq 1\n",
		"many":    "replayer: --raw is for one message; this selects 11, at the sequences 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, ...\nTry: replayer show --raw --reveal --seq 3\n",
		"--seq 1": "replayer: the request of the event at 1: there is no header Alipay-Raw\nTry: replayer show --seq 1\n",
		"--seq 2": "replayer: the request of the event at 2: Alipay-Raw: illegal base64 data at input byte 0\nTry: replayer show --seq 2\n",
	} {
		got := s.run(t, append([]string{"show", "--raw", "--reveal"}, strings.Fields(args)...)...)
		if got.code != 1 || got.stdout != "" || got.stderr != want {
			t.Errorf("%s: exit %d, stdout %q, stderr:\n%s\nwant:\n%s", args, got.code, got.stdout, got.stderr, want)
		}
	}
	got := s.run(t, "show", "--seq", "2")
	if !strings.Contains(got.stdout, "request     cannot be read: Alipay-Raw: illegal base64") {
		t.Errorf("stdout:\n%s", got.stdout)
	}
}
