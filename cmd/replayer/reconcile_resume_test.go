package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/stream"
)

// outage lets so many calls pass, and after them no answer can be proved.
func (s *shop) outage(t *testing.T, after int32) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == after+1 {
			if err := s.p.AddFault(platform.Fault{Kind: "unsigned", Probability: 1}); err != nil {
				t.Error(err)
			}
		}
		s.p.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.configure(t, s.app.ID)
}

// givesUp runs a reconciliation that an outage ends, and gives its job.
func (s *shop) givesUp(t *testing.T, args ...string) (job string) {
	t.Helper()
	got := s.run(t, args...)
	_, job, resumable := strings.Cut(got.stderr, "--resume ")
	if got.code != 4 || !strings.Contains(got.stderr, "20 items in a row could not be asked for") || !resumable {
		t.Fatalf("exit %d, stderr %s", got.code, got.stderr)
	}
	job, _, _ = strings.Cut(job, ",")
	return job
}

// The archive begins a little later each day, and a job still goes on with it: its
// source used to be named by that time, so that nothing could be resumed.
func TestReconcileResumesAnArchiveThatMovesOn(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	if _, err := s.p.AddActivities("", 40, "ACTIVE"); err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 40)
	s.outage(t, 10)
	args := append([]string{"reconcile", "--concurrency", "1"}, fast...)
	job := s.givesUp(t, args...)
	s.p.ClearFaults()
	age := func(d time.Duration) {
		t.Helper()
		str, err := s.js.Stream(t.Context(), stream.Events)
		if err != nil {
			t.Fatal(err)
		}
		c := str.CachedInfo().Config
		c.MaxAge, c.Duplicates = d, min(c.Duplicates, d)
		if _, err := s.js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	age(100 * time.Millisecond)
	eventually(t, "the oldest have gone", func() bool { return s.stores(t, stream.Events) == 0 })
	age(time.Hour)
	if _, err := s.p.AddActivities("", 1, "ACTIVE"); err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 41)
	if rows := s.rows(t, 0, append(args, "--resume", job)...); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

// A run that is cut short says how to go on, and the rest is the rest.
func TestReconcileResume(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 60, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 60)
	file := s.write(t, "ids.csv", "activity_id\n"+strings.Join(ids, "\n")+"\n")
	args := append([]string{"reconcile", "--file", file, "--concurrency", "1"}, fast...)
	s.outage(t, 10)
	path := filepath.Join(s.dir, "half.prom")
	job := s.givesUp(t, append(args, "--textfile", path)...)
	if _, err := os.Stat(path); err == nil {
		t.Error("half a run has written metrics, which call alerts off")
	}
	s.p.ClearFaults()
	if got := s.run(t, append([]string{"reconcile", ids[0], "--resume", job}, fast...)...); got.code != 2 || !strings.Contains(got.stderr, "reconciles something else") {
		t.Errorf("of another source: exit %d, %s", got.code, got.stderr)
	}
	// What could not be asked for is not done: the job used to leave it out.
	rows := s.rows(t, 0, append(args, "--resume", job)...)
	if len(rows) != 50 || rows[0]["key"] != ids[10] {
		t.Errorf("the rest has %d rows, the first is %v", len(rows), rows[0]["key"])
	}
	if rows := s.rows(t, 0, append(args, "--resume", job)...); len(rows) != 0 {
		t.Errorf("of what is done %d rows are left", len(rows))
	}
	if got := s.run(t, append(args, "--resume", "nobody")...); got.code != 2 || !strings.Contains(got.stderr, "there is no job nobody") {
		t.Errorf("of no job: exit %d, %s", got.code, got.stderr)
	}
}

func TestReconcileUsage(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	bad := map[string]string{
		"a column":     "activity_id,nonsense\nA,1\n",
		"no name":      "activity_id,type\n,voucher.stopped\n",
		"both names":   "activity_id,biz_card_no\nA,B\n",
		"another type": "activity_id,type\nA,card.open_result\n",
		"no JSON":      "activity_id,requested\nA,{\n",
		"a list":       `{"activity_id":"A","requested":[1]}`,
		"misspelt":     `{"activity_id":"A","out_biz_nr":"1"}`,
		"a time":       "activity_id,requested_at\nA,noon\n",
		"a number":     "activity_id,voucher_quantity\nA,many\n",
		"ragged":       "activity_id,type\nA\n",
		"no table":     strings.Repeat("a", 3<<20), // all of it used to be in the error
		"one cell":     "activity_id,type\nA," + strings.Repeat("a", 3<<20),
		"one line":     `{"activity_id":"` + strings.Repeat("a", 3<<20),
	}
	for name, text := range bad {
		file := s.write(t, "bad.csv", text)
		if got := s.run(t, append([]string{"reconcile", "--file", file}, fast...)...); got.code != 2 || !strings.Contains(got.stderr, "--file: ") || len(got.stderr) > 500 {
			t.Errorf("%s: exit %d, %.1000s", name, got.code, got.stderr)
		}
	}
	for line, words := range map[string]string{
		"A --from-alipay": "one source at a time", "A --since 1h": "about the archive", "--cards": "--cards goes with", "--watch": "--watch goes with",
		"--merchant-id 1": "go with --from-alipay", "A --execute --reason x": "go with --emit", "A --rate 0": "must be positive",
		"--from-alipay --resume j": "have a place to go on", "A --emit --execute": "a reason is needed", "--file nowhere.csv": "no such file",
		"A --recorded-since noon": "--recorded-since", "--since noon": "--since", "A -o xml": "want table, json, ndjson or csv",
		"--expectations --watch --emit": "wants --execute", "A --app 42": "app 42 is not configured", "--expectations --app 42": "app 42 is not configured",
	} {
		got := s.run(t, append([]string{"reconcile"}, strings.Fields(line)...)...)
		if code := got.code; !strings.Contains(got.stderr, words) || code != 2 {
			t.Errorf("%s: exit %d, stderr %q; want %q", line, code, got.stderr, words)
		}
	}
	// Without events there is nothing to ask, and without --all nothing to print.
	if got := s.want(t, 0, append([]string{"reconcile"}, fast...)...); got.stdout != "" {
		t.Errorf("stdout %q", got.stdout)
	}
	if rows := s.rows(t, 0, append([]string{"reconcile"}, fast...)...); len(rows) != 0 {
		t.Errorf("%v", rows)
	}
}

// A monitor reads the counts from a file.
func TestReconcileTextfile(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 1 })
	ids, err := s.p.AddActivities("", 2, "FINISHED")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 4)
	path := filepath.Join(s.dir, "reconcile.prom")
	s.want(t, 1, append([]string{"reconcile", ids[0], ids[1], "--textfile", path}, fast...)...)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`alipay_notify_reconcile_items{verdict="missing"} 2`, `alipay_notify_reconcile_items{verdict="in_step"} 0`,
		`alipay_notify_reconcile_missing_events{type="voucher.stopped"} 2`, "alipay_notify_reconcile_timestamp_seconds 1",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
