//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// TestSimulatorRetries begins to send before the receiver is there. As with
// Alipay, it takes some attempts, and one event comes of them.
func TestSimulatorRetries(t *testing.T) {
	t.Parallel()
	config, keys := developmentConfig(t)
	config.keys["http.listen"] = "127.0.0.1:" + heldPort(t)
	url := "http://" + config.keys["http.listen"].(string) + "/alipay/notify"

	// A hundred times as fast: the first retry comes after 1.2 s, the next ones
	// after 6 s each.
	out := filepath.Join(t.TempDir(), "stdout")
	sim := start(t, "alipaysim", "sh", "-c", `out=$1; shift; exec "$@" >"$out"`, "sh", out,
		tools.alipaysim, "send", "voucher.created", "--url", url, "--key", filepath.Join(keys, "alipay-private.pem"),
		"--time-scale", "100", "--duplicate", "2", "-o", "json")
	eventually(t, "the first delivery fails", func() bool { return strings.Contains(sim.out.String(), "next delivery in") })
	r := ready(t, config)
	if code := sim.wait(t); code != 0 {
		t.Fatalf("alipaysim: exit code %d, want 0", code)
	}

	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	sent := rows(t, string(text))
	if len(sent) != 1 || sent[0]["outcome"] != "acknowledged" || sent[0]["body"] != "success" {
		t.Fatalf("alipaysim printed %s, want one notification, acknowledged", text)
	}
	deliveries := sent[0]["deliveries"].([]any)
	if first := deliveries[0].(map[string]any); first["error"] == nil || len(deliveries) < 4 {
		t.Errorf("deliveries %v, want one without an answer, a success and two repetitions", deliveries)
	}
	wantOnce(t, ids(r.events(t)), []string{sent[0]["notify_id"].(string)})
}

// TestSimulatorStorm sends a few hundred of everything that Alipay can send, as
// make targets and first steps do. Each becomes one event.
func TestSimulatorStorm(t *testing.T) {
	t.Parallel()
	config, keys := developmentConfig(t)
	r := ready(t, config)
	sim := run(t, tools.alipaysim, "send", "order.refunded", "--url", r.url, "--key", filepath.Join(keys, "alipay-private.pem"),
		"--aes-key", filepath.Join(keys, "aes.key"), "--count", "200", "--concurrency", "16", "-o", "json")
	sim.want(t, 0, "200 of 200 acknowledged")
	var want []string
	for _, row := range rows(t, sim.stdout) {
		want = append(want, row["notify_id"].(string))
	}
	wantOnce(t, ids(r.events(t)), want)

	stranger := t.TempDir()
	run(t, tools.alipaysim, "keys", "--dir", stranger).want(t, 0)
	run(t, tools.alipaysim, "send", "voucher.created", "--url", r.url, "--key", filepath.Join(stranger, "alipay-private.pem"),
		"--no-retry").want(t, 1, "public key")
	if n := len(r.events(t)); n != len(want) {
		t.Errorf("%d events after a stranger's, want %d", n, len(want))
	}
}

// developmentConfig is the configuration of first steps: keys made by alipaysim,
// which the receiver takes in development alone. It gives the keys' folder.
func developmentConfig(t *testing.T) (*config, string) {
	t.Helper()
	c := newConfig(t, &alipaytest.App{ID: alipaytest.DefaultAppID})
	keys := filepath.Join(c.dir, "dev")
	run(t, tools.alipaysim, "keys", "--dir", keys).want(t, 0)
	c.keys["apps"] = []any{map[string]any{
		"app_id": alipaytest.DefaultAppID, "alipay_public_keys": []string{"dev/alipay-public.pem"},
		"aes_keys": []string{"dev/aes.key"}, "private_key": "dev/app-private.pem",
	}}
	c.run(t).want(t, 2, "development key", "dev: true")
	c.keys["dev"] = true
	return c, keys
}
