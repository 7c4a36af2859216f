package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// objectOf reads the one object that -o json prints.
func objectOf[R any](t *testing.T, stdout string) R {
	t.Helper()
	rows := rowsOf[R](t, stdout)
	if len(rows) != 1 {
		t.Fatalf("%d objects: %s", len(rows), stdout)
	}
	return rows[0]
}

// on is what is stored on a stream, as a consumer would get it.
func (s *site) on(t *testing.T, name string) []events.Stored {
	t.Helper()
	var all []events.Stored
	if err := s.client.Read(t.Context(), stream.ReadOptions{Stream: name}, func(m events.Stored) error {
		all = append(all, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// wantReplay checks that a message is the event of a sequence, sent again.
func (s *site) wantReplay(t *testing.T, m events.Stored, of uint64, job, reason, subject string) {
	t.Helper()
	was := s.stored(t, of)
	want := maps.Clone(was.Header)
	want[events.HeaderReplayJob], want[events.HeaderReplayReason] = []string{job}, []string{reason}
	want[events.HeaderReplayOf] = []string{fmt.Sprint(of)}
	want[events.HeaderMessageID] = []string{fmt.Sprintf("replay:%s:%d", job, of)}
	if diff := cmp.Diff(want, m.Header); diff != "" || m.Subject != subject || !bytes.Equal(m.Data, was.Data) {
		t.Errorf("%s, want %s; headers (-want +got):\n%s", m.Subject, subject, diff)
	}
}

// TestReplayToConsumer is the usual story: a dry run, consent, and what the
// consumer then sees.
func TestReplayToConsumer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, typ := range []string{"voucher.created", "voucher.stopped", "voucher.created", "order.refunded"} {
		s.receive(t, typ, alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1)})
	}
	s.replayed(t, 1, "job-0")
	line := []string{"replay", "--to", "consumer:orders", "--type", "voucher.*"}

	dry := s.run(t, append(line, "-o", "json")...).want(t, "dry run", 0,
		"replayer: replay: 3 items (", "sequences 1 to 3, app "+s.app.ID+", to consumer:orders\n", ": voucher.created 2, voucher.stopped 1\n",
		"as fast as the server takes them, it takes about a second\n", "no consumer of ALIPAY_REPLAYS reads alipay.replays.orders.>",
		"dry run: nothing was done; --execute --reason TEXT does it\n")
	plan := objectOf[planRow](t, dry.stdout)
	if plan.Status != "dry_run" || plan.Items != 3 || plan.First != 1 || plan.Last != 3 || plan.Target != "consumer:orders" || plan.AppID != s.app.ID ||
		plan.Bytes < 1000 || plan.FirstStoredAt == "" || plan.Obstacle != "" || len(plan.Types) != 2 || plan.Types[0].Type != "voucher.created" || plan.Types[0].Items != 2 {
		t.Errorf("plan %+v", plan)
	}
	table := s.run(t, line...).want(t, "as a table", 0)
	if !strings.HasPrefix(table.stdout, "TYPE ") || !strings.Contains(table.stdout, "\nvoucher.created  2 ") {
		t.Errorf("table:\n%s", table.stdout)
	}
	s.run(t, append(line, "--execute")...).want(t, "without a reason", 2, "a reason is needed", "\nTry: the same with --reason")
	s.run(t, append(line, "--execute", "--reason", "r", "--expect", "2")...).want(t, "another number", 3, "2 items were expected, the plan has 3")
	if s.messages(t, stream.Replays)+s.messages(t, stream.Audit) != 0 || len(s.jobs(t)) != 0 {
		t.Fatal("something was done")
	}

	done := s.run(t, append(line, "--execute", "--reason", "lost its store", "--as", "li", "-o", "json")...).
		want(t, "execute", 0, "begins; Ctrl-C stops it, and replayer jobs resume ", ": done: 3 sent, 0 of them were there before, 0 failed, 0 missing, 0 left; in ")
	job := objectOf[jobRow](t, done.stdout)
	if job.State != "done" || job.Sent != 3 || job.Items != 3 || job.Cursor != 3 || job.StoredFirst != 1 || job.StoredLast != 3 ||
		job.By != "li" || job.Reason != "lost its store" || job.Digest != plan.Digest || job.Resume != "" || job.Runs != 1 || job.PID != os.Getpid() {
		t.Errorf("job %+v", job)
	}
	got := s.on(t, stream.Replays)
	if len(got) != 3 || s.messages(t, stream.Events) != 5 {
		t.Fatalf("%d replays, %d events", len(got), s.messages(t, stream.Events))
	}
	for i, m := range got {
		of := uint64(i) + 1
		subject := "alipay.replays.orders." + strings.TrimPrefix(s.stored(t, of).Subject, "alipay.events.")
		s.wantReplay(t, m, of, job.Job, "lost%20its%20store", subject)
	}
	checkReplayTrail(t, s, plan, job)

	// A second replay is a job of its own, and delivers a second time.
	s.run(t, append(line, "--execute", "--reason", "r")...).want(t, "the second time", 0, ": done: 3 sent, 0 of them were there before")
	if n := s.messages(t, stream.Replays); n != 6 {
		t.Errorf("%d replays, want 6", n)
	}
}

// checkReplayTrail looks at the audit trail of TestReplayToConsumer.
func checkReplayTrail(t *testing.T, s *site, plan planRow, job jobRow) {
	t.Helper()
	records := s.trail(t)
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	before, after := records[0], records[1]
	if before.Verb != "replay" || before.Job != job.Job || before.Resumed || before.Plan.Digest != plan.Digest || before.Plan.Items != 3 ||
		before.Plan.Target != "consumer:orders" || before.Plan.Parameters["type"] != "voucher.*" || before.Plan.Parameters["types"] != "voucher.created 2, voucher.stopped 1" ||
		before.Reason != "lost its store" || before.Operator.Name != "li" {
		t.Errorf("before: %+v", before)
	}
	if after.Phase != audit.PhaseAfter || after.Result == nil || after.Result.Status != audit.StatusDone ||
		*after.Result.Outcome != (audit.Outcome{Done: 3, First: 1, Last: 3}) {
		t.Errorf("after: %+v", after.Result)
	}
}

// jobs are the records of all replays.
func (s *site) jobs(t *testing.T) []jobRow {
	t.Helper()
	return rowsOf[jobRow](t, s.run(t, "jobs", "list", "-o", "ndjson").want(t, "jobs list", 0).stdout)
}

// TestReplayToAll: the archive grows by what is sent, which no later replay sends
// again unless it is told to.
func TestReplayToAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 3 {
		s.receive(t, "voucher.created", alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1)})
	}
	line := []string{"replay", "--to", "all", "--execute", "--reason", "r", "-o", "json"}
	first := objectOf[jobRow](t, s.run(t, line...).want(t, "first", 0, "note: every subscriber of alipay.events.> sees them again").stdout)
	if first.Sent != 3 || first.StoredFirst != 4 || first.StoredLast != 6 {
		t.Errorf("%+v", first)
	}
	for i, m := range s.on(t, stream.Events)[3:] {
		s.wantReplay(t, m, uint64(i)+1, first.Job, "r", s.stored(t, uint64(i)+1).Subject)
	}
	if second := objectOf[jobRow](t, s.run(t, line...).want(t, "second", 0).stdout); second.Items != 3 || second.Last != 3 {
		t.Errorf("%+v", second)
	}
	with := objectOf[jobRow](t, s.run(t, append(line, "--include-replays")...).want(t, "with replays", 0).stdout)
	if with.Items != 9 || s.messages(t, stream.Events) != 18 {
		t.Errorf("%+v, %d events", with, s.messages(t, stream.Events))
	}
	// What was a replay is now one of that replay.
	s.wantReplay(t, s.stored(t, 13), 4, with.Job, "r", s.stored(t, 4).Subject)
	s.run(t, "verify", "--include-replays").want(t, "they prove themselves", 0)
}

// TestReplayToFile and to standard output: the events as they are, unmasked.
func TestReplayToFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	body := s.receive(t, "voucher.received", alipaytest.Options{NotifyID: "n-1"})
	s.receive(t, "trade.status_changed", alipaytest.Options{NotifyID: "n-2"})
	s.publish(t, "alipay.events.x", "no\nJSON", nil)
	file := filepath.Join(s.dir, "out.ndjson")
	line := []string{"replay", "--to", "file:" + file}
	s.run(t, line...).want(t, "dry run", 0, "3 items", "unmasked", "dry run: nothing was done")
	if _, err := os.Lstat(file); err == nil {
		t.Error("a dry run has made the file")
	}
	job := objectOf[jobRow](t, s.run(t, append(line, "--execute", "--reason", "r", "-o", "json")...).want(t, "execute", 0).stdout)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := rowsOf[replayLine](t, string(text))
	if len(lines) != 3 || lines[0].Sequence != 1 || lines[0].Subject != s.stored(t, 1).Subject || lines[0].StoredAt == "" ||
		lines[0].Headers[events.HeaderRaw] != string(body) || lines[0].Headers[events.HeaderMessageID] != "replay:"+job.Job+":1" ||
		!json.Valid(lines[1].Data) || string(lines[2].Data) != `{"_base64":"bm8KSlNPTg=="}` {
		t.Errorf("%s", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s.run(t, line...).want(t, "it is there", 0, "note: --execute would be refused: "+file+" is there already")
	s.run(t, append(line, "--execute", "--reason", "r")...).want(t, "it is there", 2, file+" is there already, and is not written over\n")
	if n := s.messages(t, stream.Events) + s.messages(t, stream.Replays); n != 3 {
		t.Errorf("%d messages are stored", n)
	}

	out := s.run(t, "replay", "--to", "stdout", "--execute", "--reason", "r").want(t, "stdout", 0, ": done: 3 sent")
	if got := rowsOf[replayLine](t, out.stdout); len(got) != 3 || !bytes.Equal(got[1].Data, lines[1].Data) || got[1].Headers[events.HeaderReplayJob] == job.Job {
		t.Errorf("stdout: %s", out.stdout)
	}
	if dry := s.run(t, "replay", "--to", "stdout").want(t, "stdout, dry", 0, "dry run"); dry.stdout != "" {
		t.Errorf("a dry run prints %q", dry.stdout)
	}
	// Both have left the archive, and the trail says so; only one has a record.
	if len(s.trail(t)) != 4 || len(s.jobs(t)) != 1 {
		t.Errorf("%d records, %d jobs", len(s.trail(t)), len(s.jobs(t)))
	}
}

// TestReplayOfManyNeedsTheirNumber: over 1,000 events the operator says how many.
func TestReplayOfManyNeedsTheirNumber(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 1001)
	line := []string{"replay", "--to", "consumer:orders"}
	s.run(t, line...).want(t, "dry run", 0, "1,001 items", "--execute --reason TEXT does it, with --expect 1001\n")
	line = append(line, "--execute", "--reason", "r")
	s.run(t, line...).want(t, "without the number", 3, "the expected number must be given", "with --expect 1001\n")
	if s.messages(t, stream.Replays) != 0 {
		t.Fatal("something was sent")
	}
	s.run(t, append(line, "--expect", "1001", "--window", "10")...).want(t, "with it", 0, ": done: 1001 sent")
	if n := s.messages(t, stream.Replays); n != 1001 {
		t.Errorf("%d were sent", n)
	}
}

// TestReplayLeavesRoom: a replay never takes what Alipay's next notification needs.
func TestReplayLeavesRoom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 20)
	for to, name := range map[string]string{"consumer:orders": stream.Replays, "all": stream.Events} {
		str, err := s.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		config := str.CachedInfo().Config
		config.MaxBytes = int64(s.usage(t, stream.Events)) * 3 / 2 // two thirds full, of what is there or would be sent
		if to != "all" {                                           // empty now; 19 would fill it to some 85 %
			config.MaxBytes = config.MaxBytes * 3 / 4
		}
		if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		line := []string{"replay", "--to", to, "--limit", map[string]string{"all": "5", "consumer:orders": "19"}[to]}
		dry := objectOf[planRow](t, s.run(t, append(line, "-o", "json")...).want(t, to, 0, "note: --execute would be refused: the target stream would be too full: "+name+" is ").stdout)
		if dry.Obstacle == "" {
			t.Errorf("%s: %+v", to, dry)
		}
		got := s.run(t, append(line, "--execute", "--reason", "r")...).want(t, to, 3, "% full and would be ", "at most 80 %\nTry: a narrower selection")
		if got.stdout != "" || s.messages(t, stream.Audit) != 0 || s.messages(t, stream.Events) != 20 {
			t.Errorf("%s: something was done", to)
		}
		line[len(line)-1] = "1"
		s.run(t, line...).want(t, "one fits", 0)
	}
}

func (s *site) usage(t *testing.T, name string) uint64 {
	t.Helper()
	u, err := s.client.UsageOf(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u.Bytes
}

// TestReplayChecksTheStreams: nothing is sent to streams that could lose it.
func TestReplayChecksTheStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{})
	s.shorten(t, time.Minute, 0)
	for _, line := range []string{"replay --to all", "replay --to consumer:orders"} {
		s.run(t, strings.Fields(line)...).want(t, line, 0, "note: --execute would be refused: the streams are not as they must be: ALIPAY_EVENTS: ")
		s.run(t, append(strings.Fields(line), "--execute", "--reason", "r")...).want(t, line, 1, "the streams are not as they must be", "\nTry: receiver provision --dry-run\n")
	}
	if s.messages(t, stream.Events) != 1 || s.messages(t, stream.Replays) != 0 {
		t.Error("something was sent")
	}
}

// shorten changes the window of ALIPAY_EVENTS, and for how long it keeps events
// where that is given.
func (s *site) shorten(t *testing.T, window, age time.Duration) {
	t.Helper()
	str, err := s.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	config := str.CachedInfo().Config
	config.Duplicates = window
	if age > 0 {
		config.MaxAge = age
	}
	if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// TestReplayToFileResumed: the file then has every event once, also where a
// killed process has written beyond its checkpoint.
func TestReplayToFileResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 300)
	file := filepath.Join(s.dir, "out.ndjson")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan ran)
	go func() {
		done <- runLine(ctx, nil, "replay", "--to", "file:"+file, "--execute", "--reason", "r", "-o", "json", "--rate", "200", "--config", s.config)
	}()
	s.await(t, "something is written", func() bool { info, err := os.Stat(file); return err == nil && info.Size() > 0 })
	cancel()
	job := objectOf[jobRow](t, (<-done).want(t, "interrupted", 4, "jobs resume").stdout)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"sequence": half a li`); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	aside := file + ".aside"
	if err := os.Rename(file, aside); err != nil {
		t.Fatal(err)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "without the file", 4, "resumed where the file is")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "another file", 4, "it is another file, or was cut")
	if err := os.Rename(aside, file); err != nil {
		t.Fatal(err)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "resume", 0, ": done: ")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range rowsOf[replayLine](t, string(text)) {
		if line.Sequence != uint64(i)+1 {
			t.Fatalf("line %d has sequence %d", i+1, line.Sequence)
		}
	}
	if n := strings.Count(string(text), "\n"); n != 300 {
		t.Errorf("%d lines", n)
	}
}

// TestJobBar: lines where there is no terminal, and the time that is left.
func TestJobBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	b := newJobBar(&out, replay.Job{Items: 1000, Progress: replay.Progress{Sent: 100}})
	b.now = func() time.Time { return now }
	b.began, b.last = now, now
	b.observe(replay.Progress{Sent: 150})
	now = now.Add(10 * time.Second)
	b.observe(replay.Progress{Sent: 290, Failed: 10})
	b.observe(replay.Progress{Sent: 300})
	b.end()
	if got := out.String(); got != "replayer: replay: 300 of 1000, 20/s, 35s left\n" {
		t.Errorf("%q", got)
	}
	out.Reset()
	drawn := newJobBar(&out, replay.Job{Items: 10})
	drawn.draw()
	drawn.now = func() time.Time { return drawn.began.Add(time.Second) }
	drawn.observe(replay.Progress{Sent: 5})
	drawn.end() // goleak sees whether it is gone
	if got := drawn.pace(5); got != ", 5/s, 1s left" {
		t.Errorf("the bar shows %q", got)
	}
}
