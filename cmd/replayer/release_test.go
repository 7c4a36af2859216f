package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
)

// want checks a run: its exit code, and texts of stderr.
func (got ran) want(t *testing.T, what string, code int, stderr ...string) ran {
	t.Helper()
	if got.code != code {
		t.Errorf("%s: exit %d, want %d; stderr:\n%s", what, got.code, code, got.stderr)
	}
	for _, w := range stderr {
		if !strings.Contains(got.stderr, w) {
			t.Errorf("%s: %q is not on stderr:\n%s", what, w, got.stderr)
		}
	}
	return got
}

func outcomes(rows []releaseRow) string {
	var list []string
	for _, r := range rows {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Sequence, r.Outcome, r.Reason)))
	}
	return strings.Join(list, ", ")
}

// TestReleaseAfterAWrongKey is the whole story: the wrong key is configured, a
// day's notifications are refused, the key is put right, and all of them become
// events, each once, with the time at which they came.
func TestReleaseAfterAWrongKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newRefusing(t, s, wrongKey(t))
	const genuine = 5
	for i := range genuine {
		r.refuse(t, s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i)}), time.Now())
	}
	twice := s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "n-twice"})
	for i := range 2 { // a retry, signed anew
		r.refuse(t, twice, time.Now().Add(time.Duration(i)*time.Minute))
	}
	forged := r.refuseBody(t, []byte("app_id="+s.app.ID+"&notify_id=forged&notify_type=trade_status_sync&sign=x&sign_type=RSA2"), "")

	got := s.run(t, "rejects", "list", "-o", "ndjson").want(t, "list", 0)
	rows := rowsOf[refusedRow](t, got.stdout)
	if len(rows) != 8 || rows[0].Reason != "bad_signature" || rows[0].AppID != s.app.ID || rows[0].Source != "192.0.2.7" ||
		rows[0].ClaimedID != "n-0" || rows[0].NotifyID != "" || rows[0].Type != "" || rows[7].Bytes != len(forged) {
		t.Errorf("%d rows: %+v", len(rows), rows)
	}

	dry := s.run(t, "rejects", "release", "-o", "ndjson").want(t, "dry run", 0,
		"replayer: rejects release: 7 items (", "sequences 1 to 7, app "+s.app.ID+", to ALIPAY_EVENTS\n", "they were kept as: bad_signature 7\n",
		"1 would not pass, and stay: signature_format 1\n", "dry run: nothing was done; --execute --reason TEXT does it\n")
	if diff := cmp.Diff("1 would_pass, 2 would_pass, 3 would_pass, 4 would_pass, 5 would_pass, 6 would_pass, 7 would_pass, 8 refused signature_format",
		outcomes(rowsOf[releaseRow](t, dry.stdout))); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	s.run(t, "rejects", "release", "--execute").want(t, "without a reason", 2, "a reason is needed")
	if n, m := s.messages(t, stream.Events), s.messages(t, stream.Audit); n != 0 || m != 0 {
		t.Fatalf("a dry run and a refusal have stored %d events and %d records", n, m)
	}

	done := s.run(t, "rejects", "release", "--execute", "--reason", "the key was wrong", "--as", "li", "-o", "ndjson").
		want(t, "execute", 0, ": done: 6 released, 1 stored before, 0 failed\n")
	if diff := cmp.Diff("1 accepted, 2 accepted, 3 accepted, 4 accepted, 5 accepted, 6 accepted, 7 duplicate", outcomes(rowsOf[releaseRow](t, done.stdout))); diff != "" {
		t.Errorf("execute (-want +got):\n%s", diff)
	}
	checkReleased(t, s, rowsOf[releaseRow](t, done.stdout))

	again := s.run(t, "rejects", "release", "--execute", "--reason", "once more", "-o", "json").
		want(t, "the second time", 0, "rejects release: 0 items", "1 would not pass, and stay: signature_format 1\n")
	if again.stdout != "[]\n" || s.messages(t, stream.Events) != 6 || s.messages(t, stream.Rejects) != 1 || len(s.trail(t)) != 2 {
		t.Errorf("the second time: %q, %d events, %d rejects", again.stdout, s.messages(t, stream.Events), s.messages(t, stream.Rejects))
	}
}

// checkReleased looks at what TestReleaseAfterAWrongKey has left.
func checkReleased(t *testing.T, s *site, rows []releaseRow) {
	t.Helper()
	for i, row := range rows {
		if !row.Removed || row.StoredSequence == 0 {
			t.Errorf("row %d: %+v", i, row)
			continue
		}
		if m := s.stored(t, row.StoredSequence); m.ID != row.EventID || !m.ReceivedAt.Equal(receivedAt) || m.Kind != "voucher.created" {
			t.Errorf("row %d: %+v became %s %s, received %s", i, row, m.ID, m.Kind, m.ReceivedAt)
		}
	}
	if n := s.messages(t, stream.Rejects); n != 1 {
		t.Errorf("%d rejects are left, want the forged one", n)
	}
	s.run(t, "verify").want(t, "verify", 0)
	records := s.trail(t)
	if len(records) != 2 {
		t.Fatalf("%d audit records, want two", len(records))
	}
	before, after := records[0], records[1]
	if before.Phase != audit.PhaseBefore || before.Verb != "rejects release" || before.Reason != "the key was wrong" || before.Operator.Name != "li" ||
		before.Plan.Items != 7 || before.App != s.app.ID || before.Plan.Target != stream.Events || before.Plan.Parameters["kept-as"] != "bad_signature 7" {
		t.Errorf("before: %+v", before)
	}
	if after.Phase != audit.PhaseAfter || after.Result == nil || after.Result.Status != audit.StatusDone ||
		*after.Result.Outcome != (audit.Outcome{Done: 6, Skipped: 1, First: 1, Last: 6}) {
		t.Errorf("after: %+v", after.Result)
	}
}

// TestReleaseFromQuarantine: age is waived, ambiguity only by a person's word.
func TestReleaseFromQuarantine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newRefusing(t, s, s.app.PublicPEM)
	r.refuse(t, s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "n-stale"}), time.Now().Add(-100*time.Hour))
	ambiguous := s.app.Notification(t, "trade.status_changed", alipaytest.Options{NotifyID: "n-ambiguous"})
	ambiguous.Set("aaa", "x&agreement_no=1")
	r.refuse(t, ambiguous, time.Now())
	r.refuse(t, s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "n-sealed", AESKey: s.app.AESKey}), time.Now())

	rows := rowsOf[refusedRow](t, s.run(t, "quarantine", "list", "-o", "ndjson").want(t, "list", 0).stdout)
	var got []string
	for _, row := range rows {
		got = append(got, row.Reason+" "+row.NotifyID+" "+row.Type+row.ClaimedID)
	}
	want := []string{
		"stale n-stale alipay.marketing.activity.message.created", "ambiguous n-ambiguous trade_status_sync",
		"undecryptable n-sealed alipay.marketing.activity.message.created",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}

	dry := s.run(t, "quarantine", "release", "-o", "ndjson").want(t, "dry run", 0, "2 would not pass, and stay: ambiguous 1, undecryptable 1\n")
	if diff := cmp.Diff("1 would_pass, 2 refused ambiguous, 3 refused undecryptable", outcomes(rowsOf[releaseRow](t, dry.stdout))); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	s.run(t, "quarantine", "release", "--execute", "--reason", "r").want(t, "execute", 0, "1 released")
	s.run(t, "quarantine", "release", "--execute", "--reason", "r", "--allow-ambiguous", "--id", "n-ambiguous").want(t, "ambiguous", 0, "1 released")
	if id := s.stored(t, 1).ID + " " + s.stored(t, 2).ID; id != "n-stale n-ambiguous" || s.messages(t, stream.Quarantine) != 1 {
		t.Errorf("events %s, %d in quarantine", id, s.messages(t, stream.Quarantine))
	}
	if p := s.trail(t)[2].Plan.Parameters; p["allow-ambiguous"] != "true" || p["id"] != "n-ambiguous" {
		t.Errorf("the trail does not say what was allowed: %v", p)
	}
}

// TestReleaseOfWhatIsStored: Alipay came again with the right key meanwhile.
func TestReleaseOfWhatIsStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newRefusing(t, s, wrongKey(t))
	n := s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"})
	body := r.refuse(t, n, time.Now())
	if res := s.pipeline.Ingest(t.Context(), ingest.Request{Body: string(body), ReceivedAt: time.Now()}); res.Outcome != ingest.Accepted {
		t.Fatal(res.Outcome)
	}
	got := s.run(t, "rejects", "release", "--execute", "--reason", "r", "-o", "ndjson").want(t, "release", 0, "0 released, 1 stored before, 0 failed")
	rows := rowsOf[releaseRow](t, got.stdout)
	if len(rows) != 1 || rows[0].Outcome != "duplicate" || rows[0].StoredSequence != 1 || !rows[0].Removed ||
		s.messages(t, stream.Events) != 1 || s.messages(t, stream.Rejects) != 0 {
		t.Errorf("%+v", rows)
	}
}

// TestReleaseOfManyNeedsTheirNumber: over 1,000 items the operator says how many.
func TestReleaseOfManyNeedsTheirNumber(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keep(t, audit.MaxWithoutExpect+1, s.body(t, "n-1"))
	line := []string{"rejects", "release", "-o", "ndjson"}
	s.run(t, line...).want(t, "dry run", 0, "1,001 items", "--execute --reason TEXT does it, with --expect 1001\n")
	line = append(line, "--execute", "--reason", "r")
	got := s.run(t, line...).want(t, "without the number", 3, "the expected number must be given", "\nTry: the same without --execute, and when that is what you mean, with --expect 1001\n")
	other := s.run(t, append(line, "--expect", "1000")...).want(t, "another number", 3, "1000 items were expected, the plan has 1001")
	if got.stdout != "" || other.stdout != "" || s.messages(t, stream.Events) != 0 || s.messages(t, stream.Audit) != 0 {
		t.Errorf("something was done: %q %q", got.stdout, other.stdout)
	}
	s.run(t, append(line, "--expect", "2", "--limit", "2")...).want(t, "two of them", 0, "1 released, 1 stored before")
}

// interruptingWriter stands for the operator who has seen enough.
type interruptingWriter struct {
	bytes.Buffer
	interrupt context.CancelFunc
}

func (w *interruptingWriter) Write(b []byte) (int, error) {
	w.interrupt()
	return w.Buffer.Write(b)
}

// TestReleaseInterrupted: Ctrl-C ends between two items, the trail says how far
// it came, and the same command does the rest.
func TestReleaseInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 4 {
		s.keep(t, 1, s.body(t, fmt.Sprintf("n-%d", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	stdout, stderr := &interruptingWriter{interrupt: cancel}, &bytes.Buffer{}
	line := []string{"rejects", "release", "--execute", "--reason", "r", "-o", "ndjson", "--config", s.config}
	code := run(ctx, line, stdout, stderr, nil)
	if code != 4 || outcomes(rowsOf[releaseRow](t, stdout.String())) != "1 accepted" || !strings.Contains(stderr.String(), ": partial: 1 released, 0 stored before, 0 failed\n") ||
		!strings.HasSuffix(stderr.String(), "\nTry: the same command again, which does the rest\n") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
	records := s.trail(t)
	if len(records) != 2 || !records[1].Result.Interrupted || records[1].Result.Outcome.Done != 1 || records[1].Result.Status != audit.StatusPartial {
		t.Errorf("trail: %+v", records)
	}
	s.run(t, line[:len(line)-2]...).want(t, "the rest", 0, "3 items", ": done: 3 released, 0 stored before, 0 failed\n")
	if s.messages(t, stream.Events) != 4 || s.messages(t, stream.Rejects) != 0 {
		t.Errorf("%d events, %d rejects", s.messages(t, stream.Events), s.messages(t, stream.Rejects))
	}
}

// TestReleaseChecksTheStreams: what the receiver would not run on, a release
// does not publish to.
func TestReleaseChecksTheStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keep(t, 1, s.body(t, "n"))
	str, err := s.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	config := str.CachedInfo().Config
	config.Duplicates = time.Minute
	if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.run(t, "rejects", "release").want(t, "dry run", 0, "note: --execute would be refused: the streams are not as they must be: ALIPAY_EVENTS: duplicate_window is 1m0s")
	got := s.run(t, "rejects", "release", "--execute", "--reason", "r").
		want(t, "execute", 1, "the streams are not as they must be", "\nTry: receiver provision --dry-run\n")
	if got.stdout != "" || s.messages(t, stream.Events) != 0 || s.messages(t, stream.Audit) != 0 || s.messages(t, stream.Rejects) != 1 {
		t.Errorf("something was done: %q", got.stdout)
	}
}

// TestReleaseAsksRedis: where Redis is configured its memory counts, and what
// another holder is at work on stays.
func TestReleaseAsksRedis(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	store := miniredis.RunT(t)
	environ := []string{"ALIPAY_NOTIFY_CONFIG=" + s.config, "ALIPAY_NOTIFY_REDIS__URL=redis://" + store.Addr()}
	s.keep(t, 2, s.body(t, "n-free"))
	held := s.body(t, "n-held")
	s.keep(t, 1, held)
	key := dedupe.Key(s.app.ID, "n-held")
	if err := store.Set(key, "1L:somebody:"+s.fingerprint(t, held)); err != nil {
		t.Fatal(err)
	}
	line := []string{"rejects", "release", "--execute", "--reason", "r", "-o", "ndjson"}
	got := runLine(t.Context(), environ, line...).want(t, "release", 4, ": partial: 1 released, 1 stored before, 1 failed\n")
	if diff := cmp.Diff("1 accepted, 2 duplicate, 3 in_flight lease", outcomes(rowsOf[releaseRow](t, got.stdout))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if v, err := store.Get(dedupe.Key(s.app.ID, "n-free")); err != nil || !strings.HasPrefix(v, "1C:") {
		t.Errorf("Redis does not remember the release: %q, %v", v, err)
	}
	if problem := s.trail(t)[1].Result.Error; problem != "failed: lease 1" {
		t.Errorf("the trail says %q", problem)
	}
	store.Del(key)
	runLine(t.Context(), environ, line...).want(t, "the rest", 0, "1 released")

	// Away, with the policy to refuse: it fails, and stays.
	s.keep(t, 1, s.body(t, "n-away"))
	store.Close()
	runLine(t.Context(), append(environ, "ALIPAY_NOTIFY_REDIS__ON_UNAVAILABLE=refuse"), line...).
		want(t, "Redis away", 1, "warning: Redis: ", "0 released, 0 stored before, 1 failed\n")
	if s.messages(t, stream.Rejects) != 1 || s.messages(t, stream.Events) != 2 {
		t.Errorf("%d rejects, %d events", s.messages(t, stream.Rejects), s.messages(t, stream.Events))
	}
}

// fingerprint is what the pipeline would make of a body.
func (s *site) fingerprint(t *testing.T, body []byte) string {
	t.Helper()
	var res ingest.Result
	e, err := s.pipeline.Decide(ingest.Request{Body: string(body), ReceivedAt: time.Now()}, &res)
	if err != nil {
		t.Fatal(err)
	}
	return e.Fingerprint
}

// TestReleaseReportsWhatIsUnreadable: nothing is skipped silently, and nothing
// that cannot be read is made an event.
func TestReleaseReportsWhatIsUnreadable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	body := string(s.body(t, "n"))
	s.publish(t, "alipay.rejects.stray", body, map[string]string{events.HeaderReceivedTime: "2026-08-01T00:00:00Z"})
	s.publish(t, "alipay.rejects._unknown.bad_form", body, map[string]string{events.HeaderReceivedTime: "noon\x1b[2J"})
	rows := rowsOf[refusedRow](t, s.run(t, "rejects", "list", "-o", "ndjson").want(t, "list", 0).stdout)
	if len(rows) != 2 || !strings.Contains(rows[0].Problem, "the subject is not") || !strings.Contains(rows[1].Problem, "ce-receivedtime") {
		t.Errorf("%+v", rows)
	}
	if table := s.run(t, "rejects", "list").stdout; strings.Contains(table, "\x1b") || strings.Count(table, "unreadable: ") != 2 {
		t.Errorf("table:\n%s", table)
	}
	got := s.run(t, "rejects", "release", "--execute", "--reason", "r").want(t, "release", 0, "2 would not pass, and stay: unreadable 2")
	if got.stdout != "" || s.messages(t, stream.Events) != 0 {
		t.Errorf("stdout %q", got.stdout)
	}
}

// TestReleaseWithoutItsStreams: whatever is missing, the error says what to do.
func TestReleaseWithoutItsStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.keep(t, 1, s.body(t, "n"))
	if err := s.js.DeleteStream(t.Context(), stream.Quarantine); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"quarantine list", "quarantine show x", "quarantine release"} {
		got := s.run(t, strings.Fields(line)...).want(t, line, 1, "open ALIPAY_QUARANTINE", "\nTry: receiver check ")
		if got.stdout != "" {
			t.Errorf("%s: stdout %q", line, got.stdout)
		}
	}
}

// TestReleaseBrokenStdout: who cannot see what is released, releases no more.
func TestReleaseBrokenStdout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 3 {
		s.keep(t, 1, s.body(t, fmt.Sprintf("n-%d", i)))
	}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"rejects", "release", "--execute", "--reason", "r", "-o", "ndjson", "--config", s.config}, brokenPipe{}, &stderr, nil)
	if code != 4 || !strings.Contains(stderr.String(), "broken pipe") || s.messages(t, stream.Events) != 1 || s.messages(t, stream.Rejects) != 2 {
		t.Errorf("exit %d, %d events, stderr %q", code, s.messages(t, stream.Events), stderr.String())
	}
}

// TestGuardErrors: each kind of the guard's errors has its exit code.
func TestGuardErrors(t *testing.T) {
	t.Parallel()
	cmd := refusedCommand(&archive{}, rejects)
	for kind, want := range map[audit.Kind]int{audit.Usage: 2, audit.Declined: 3, audit.Failed: 1, audit.Partial: 4} {
		err := guardError(cmd, audit.Plan{}, &audit.Error{Kind: kind, Err: errors.New("x")})
		if code := cli.Code(err); code != want {
			t.Errorf("%s: exit %d, want %d", kind, code, want)
		}
	}
	if len(audit.Kinds()) != 4 || guardError(cmd, audit.Plan{}, nil) != nil {
		t.Error("a kind is not here, or nothing is an error")
	}
}
