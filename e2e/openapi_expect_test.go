//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// state sets the state of an activity, of which nobody is notified.
func (p *openPlatform) state(t *testing.T, id, status string) {
	t.Helper()
	answer, err := http.Post(p.base+"/_sim/activities", "application/json", strings.NewReader(object(t, map[string]any{"activity_id": id, "activity_status": status})))
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, answer); r.status != http.StatusOK && r.status != http.StatusNoContent {
		t.Fatalf("%s of %s: %d %s", status, id, r.status, r.body)
	}
}

// reported are the rows that a daemon has printed so far, by key.
func reported(t *testing.T, d *process) map[string]map[string]any {
	t.Helper()
	found := make(map[string]map[string]any)
	for line := range strings.Lines(d.out.String()) {
		var row map[string]any
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "\n") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		key := row["key"].(string)
		if found[key] != nil {
			t.Errorf("%s is reported again: %v", key, row)
		}
		found[key] = row
	}
	return found
}

// TestExpectations: a service, which is any NATS client, declares 500 expectations
// in ALIPAY_EXPECT. 475 are met. Of 13 the notification never comes, and 12 were
// never done: those 25 are reported, each with the reason that the query gives, by
// the daemon as by a run from cron, in rows, metrics and exit code.
func TestExpectations(t *testing.T) {
	t.Parallel()
	p := startPlatform(t)
	good := p.activities(t, 475, "ACTIVE")
	p.settle(t, 475)
	bad := p.activities(t, 25, "INIT")
	reasons := make(map[string]string)
	for i, id := range bad {
		reasons[id] = "state_unexplained: it was asked for, and activity_status is INIT: not done"
		if i < 13 {
			p.state(t, id, "ACTIVE")
			reasons[id] = "missing: activity_status is ACTIVE, and no event says so"
		}
	}
	nc := jetStream(t, p.receiver.nats, p.receiver.config.token()).Conn()
	due := time.Now().UTC() // over when the last is declared, so that one pass sees all of them
	for i, id := range append(good, bad...) {
		x := map[string]any{
			"schema": "urn:alipay-notify:schema:expectation:v1", "app_id": alipaytest.DefaultAppID, "type": "voucher.created", "key": id,
			"out_biz_no": fmt.Sprint("publish-", i), "due": due.Format(time.RFC3339Nano), "by": "campaign-service",
		}
		subject := fmt.Sprintf("$KV.ALIPAY_EXPECT.%s.voucher.created.%s.publish-%d", alipaytest.DefaultAppID, id, i)
		if ack, err := nc.Request(subject, []byte(object(t, x)), patience); err != nil || strings.Contains(string(ack.Data), "error") {
			t.Fatalf("declare: %v %s", err, ack.Data)
		}
	}

	metrics := filepath.Join(p.receiver.config.dir, "expectations.prom")
	flags := []string{"reconcile", "--expectations", "--rate", "100000", "-o", "ndjson", "--textfile", metrics, "--config", p.config}
	daemon := start(t, "replayer", tools.replayer, append(flags, "--watch", "--every", "100ms")...)
	counted := func(line string) func() bool {
		return func() bool {
			text, err := os.ReadFile(metrics)
			return err == nil && strings.Contains(string(text), line)
		}
	}
	eventually(t, "25 are overdue", counted(`alipay_notify_expectations{standing="overdue"} 25`))
	eventually(t, "all others are closed", counted(`alipay_notify_expectations{standing="fulfilled"} 0`))
	check := func(found map[string]map[string]any) {
		t.Helper()
		if len(found) != len(bad) {
			t.Errorf("%d are reported, want %d", len(found), len(bad))
		}
		for _, id := range bad {
			row := found[id]
			if got := fmt.Sprintf("%v: %v", row["verdict"], row["why"]); got != reasons[id] || row["standing"] != "overdue" || row["by"] != "campaign-service" {
				t.Errorf("%s: %v, want %s", id, row, reasons[id])
			}
		}
	}
	check(reported(t, daemon))
	daemon.signal(t, syscall.SIGTERM)
	if code := daemon.wait(t); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
	if text := daemon.out.String(); !strings.Contains(text, "25 expectations are overdue") || strings.Count(text, "are overdue") != 1 {
		t.Errorf("the log does not say once that 25 are overdue:\n%s", text)
	}

	once := run(t, tools.replayer, flags...)
	once.want(t, 1, "expectations: overdue 25\n", "25 expectations are overdue")
	cron := &process{out: &output{}}
	if _, err := cron.out.Write([]byte(once.stdout)); err != nil {
		t.Fatal(err)
	}
	check(reported(t, cron))
}
