//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"alipay-notify/internal/alipaytest"
)

const (
	wronglyRefused = 1000
	cameAgain      = 20 // of them, after the key was right and before the release
	forgeries      = 5
)

// TestRelease starts the receiver with the wrong key, the commonest fault of
// all. Alipay's notifications are refused, and kept; with the right key they
// become events after all, once each, however often somebody asks for it, and
// also where Alipay has come again meanwhile. Forgeries stay where they are.
func TestRelease(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, nats := external(t, app)
	config.file(t, "alipay.pem", alipaytest.NewApp(t, "").PublicPEM)
	r := ready(t, config)
	file := config.save(t)
	replayer := func(code int, args ...string) result {
		t.Helper()
		got := run(t, tools.replayer, append(args, "--config", file)...)
		got.want(t, code)
		return got
	}
	kept := func() uint64 { return storedIn(t, jetStream(t, nats.url(), ""), "ALIPAY_REJECTS").Msgs }
	stored := func() uint64 { return storedIn(t, jetStream(t, nats.url(), ""), "ALIPAY_EVENTS").Msgs }

	refused := map[string]*alipaytest.Notification{}
	var want []string
	for range wronglyRefused {
		n := voucher(t, app)
		refused[n.ID()], want = n, append(want, n.ID())
	}
	refuseAll(t, r, refused)
	for range forgeries {
		r.send(t, app.Notification(t, "voucher.created", alipaytest.Options{Key: app.OwnKey})).want(t, http.StatusUnauthorized, "fail")
	}
	eventually(t, "all are kept", func() bool { return kept() == wronglyRefused+forgeries })
	if listed := rows(t, replayer(0, "rejects", "list", "-o", "json").stdout); len(listed) != wronglyRefused+forgeries {
		t.Errorf("rejects list shows %d requests, want %d", len(listed), wronglyRefused+forgeries)
	}

	// As long as the key is wrong nothing passes.
	replayer(0, "rejects", "release", "--execute", "--reason", "TEST-ONLY: too early")
	config.file(t, "alipay.pem", app.PublicPEM)
	r.signal(t, syscall.SIGHUP)
	eventually(t, "the keys are reloaded", func() bool { return len(r.lines("keys reloaded")) == 1 })
	for _, id := range want[:cameAgain] {
		r.send(t, refused[id]).want(t, http.StatusOK, "success")
	}

	// A dry run does nothing, and nobody executes without saying why.
	dry := replayer(0, "rejects", "release")
	if !strings.Contains(dry.stderr, "dry run: nothing was done") || !strings.Contains(dry.stderr, "1,000 items") {
		t.Errorf("the dry run says:\n%s", dry.stderr)
	}
	replayer(2, "rejects", "release", "--execute")
	replayer(3, "rejects", "release", "--execute", "--reason", "TEST-ONLY", "--expect", "7")
	if kept() != wronglyRefused+forgeries || stored() != cameAgain {
		t.Fatalf("%d are kept and %d stored: something was done", kept(), stored())
	}

	execute := []string{"rejects", "release", "--execute", "--reason", "TEST-ONLY: the key was wrong", "-o", "json"}
	outcomes := map[any]int{}
	for _, row := range rows(t, replayer(0, execute...).stdout) {
		if row["removed"] != true {
			t.Errorf("%v is released and still kept", row["event_id"])
		}
		outcomes[row["outcome"]]++
	}
	if outcomes["accepted"] != wronglyRefused-cameAgain || outcomes["duplicate"] != cameAgain || len(outcomes) != 2 {
		t.Errorf("the release says %v, want %d accepted and %d duplicates", outcomes, wronglyRefused-cameAgain, cameAgain)
	}
	wantOnce(t, ids(r.events(t)), want)
	if kept() != forgeries {
		t.Errorf("%d requests are still kept, want the %d forgeries", kept(), forgeries)
	}

	if again := rows(t, replayer(0, execute...).stdout); len(again) > 0 {
		t.Errorf("a second release says %v, want nothing", again)
	}
	r.send(t, refused[want[wronglyRefused-1]]).want(t, http.StatusOK, "success") // Alipay comes again, too late
	if stored() != wronglyRefused || kept() != forgeries {
		t.Errorf("%d are stored and %d kept after a second release, want %d and %d", stored(), kept(), wronglyRefused, forgeries)
	}

	var proof struct {
		Checked, Proved int
		Fits            bool
	}
	if text := replayer(0, "verify", "-o", "json").stdout; json.Unmarshal([]byte(text), &proof) != nil ||
		!proof.Fits || proof.Checked != wronglyRefused || proof.Proved != wronglyRefused {
		t.Errorf("verify says %s, want that all %d fit", text, wronglyRefused)
	}
}

// refuseAll sends notifications of which none is accepted.
func refuseAll(t *testing.T, r *receiver, all map[string]*alipaytest.Notification) {
	t.Helper()
	bodies := make(chan []byte, len(all))
	for _, n := range all {
		bodies <- bodyOf(t, n)
	}
	close(bodies)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for body := range bodies {
				if got, err := r.try(body); err != nil || got.status != http.StatusUnauthorized || got.body != "fail" {
					t.Errorf("got %d %q (%v), want 401 fail", got.status, got.body, err)
				}
			}
		})
	}
	senders.Wait()
}
