//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// wantOutcome posts a notification and checks reply, outcome and reason; n is
// the number of requests with this one.
func wantOutcome(t *testing.T, r *receiver, notification *alipaytest.Notification, n int, outcome, reason string) {
	t.Helper()
	got := r.send(t, notification)
	switch outcome {
	case "accepted", "duplicate":
		got.want(t, http.StatusOK, "success")
	default:
		got.want(t, http.StatusServiceUnavailable, "fail")
	}
	e := r.logged(t, n)
	if e.text("outcome") != outcome || e.text("reason") != reason {
		t.Errorf("logged %v, want outcome %q and reason %q", e, outcome, reason)
	}
}

// TestNATSAway takes NATS away from a running receiver: nothing is acknowledged
// meanwhile, the balancer is told, and all is well again when NATS is, without
// anybody restarting anything.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, nats := external(t, app)
	r := ready(t, config)
	first, second := voucher(t, app), voucher(t, app)
	wantOutcome(t, r, first, 1, "accepted", "")

	nats.kill()
	eventually(t, "the receiver is not ready", func() bool { return r.readyz(t).status == http.StatusServiceUnavailable })
	if why := r.readyz(t).body; !strings.Contains(why, "NATS cannot be reached") {
		t.Errorf("readyz says %q, want why", why)
	}
	wantOutcome(t, r, second, 2, "unavailable", "disconnected")
	// What was acknowledged cannot be looked up now, and Redis' memory alone is
	// no reason to say success again.
	wantOutcome(t, r, first, 3, "unavailable", "disconnected")
	if keys := redis.keys(t); len(keys) != 1 {
		t.Errorf("keys %v, want that of the first alone: what cannot be sent is not claimed", keys)
	}

	nats.begin(t)
	r.waitReady(t)
	wantOutcome(t, r, second, 4, "accepted", "")
	wantOutcome(t, r, first, 5, "duplicate", "")
	wantOnce(t, ids(r.events(t)), []string{first.ID(), second.ID()})
}

// TestStartWithoutNATS starts the receiver first: it runs, is not ready, says
// why, acknowledges nothing, and becomes ready when NATS comes.
func TestStartWithoutNATS(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, nats := external(t, app)
	nats.kill()
	r := listen(t, config)
	got := r.readyz(t)
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "NATS cannot be reached") {
		t.Errorf("readyz: %d %q, want 503 and why", got.status, got.body)
	}
	n := voucher(t, app)
	wantOutcome(t, r, n, 1, "unavailable", "layout")

	nats.begin(t)
	r.waitReady(t)
	wantOutcome(t, r, n, 2, "accepted", "")
	wantOnce(t, ids(r.events(t)), []string{n.ID()})
}

// TestRedisAway takes Redis away. By the default policy the stream's window
// decides alone, and the event says so; whoever chose refuse gets nothing
// acknowledged until Redis is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	for policy, want := range map[string]struct{ outcome, reason, again, dedupe string }{
		"publish": {"accepted", "", "duplicate", "stream"},
		"refuse":  {"unavailable", "redis", "accepted", ""},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			config, redis, _ := external(t, app)
			config.keys["redis.on_unavailable"] = policy
			r := ready(t, config)
			redis.kill()
			n := voucher(t, app)
			wantOutcome(t, r, n, 1, want.outcome, want.reason)

			redis.restart(t)
			requests := 1
			eventually(t, "the receiver finds Redis again", func() bool {
				requests++
				return r.send(t, n).acknowledged()
			})
			if e := r.logged(t, requests); e.text("outcome") != want.again {
				t.Errorf("after Redis came back: %v, want %s", e, want.again)
			}
			events := r.events(t)
			wantOnce(t, ids(events), []string{n.ID()})
			if got := header(events[0], "ce-dedupe"); got != want.dedupe {
				t.Errorf("ce-dedupe %q, want %q", got, want.dedupe)
			}
		})
	}
}

// TestRedisTakesNoClaims: a Redis that answers PING and takes no claims is as good
// as away for whoever chose refuse. The receiver used to ask for no more than PING
// and said that it was ready, while every notification was answered 503: balancers
// kept sending to it, and the alert for it slept.
func TestRedisTakesNoClaims(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	for name, tt := range map[string]struct {
		breaks, heals []any
		outcome       string // of a notification meanwhile; empty: not asked
		why           string
	}{
		"a replica since a failover": {[]any{"replicaof", "127.0.0.1", "1"}, []any{"replicaof", "no", "one"}, "unavailable", "READONLY"},
		"full":                       {[]any{"config", "set", "maxmemory", "1"}, []any{"config", "set", "maxmemory", "0"}, "unavailable", "OOM"},
		// Claims are plain commands where the key is free, so that only commits fail.
		"a login without scripts": {[]any{"acl", "setuser", "receiver", "-evalsha", "-eval"}, []any{"acl", "setuser", "receiver", "+evalsha", "+eval"}, "", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, redis, _ := external(t, app)
			redis.must(t, "acl", "setuser", "receiver", "on", ">pw", "~alipay:dedupe:*", "+@all")
			config.keys["redis.url"] = "redis://receiver:pw@127.0.0.1:" + redis.port
			config.keys["redis.on_unavailable"] = "refuse"
			r := ready(t, config)
			if keys := redis.keys(t); len(keys) > 0 {
				t.Errorf("looking stored %q", keys)
			}

			redis.must(t, tt.breaks...)
			eventually(t, "the receiver is not ready", func() bool { return r.readyz(t).status == http.StatusServiceUnavailable })
			if why := r.readyz(t).body; !strings.Contains(why, tt.why) {
				t.Errorf("readyz says %q, want %s", why, tt.why)
			}
			if check := config.run(t, "check"); check.code != 1 || !strings.Contains(check.stdout, "claims are refused: "+tt.why) {
				t.Errorf("check: exit code %d\n%s", check.code, check.stdout)
			}
			n, requests := voucher(t, app), 1
			if tt.outcome != "" {
				wantOutcome(t, r, n, requests, tt.outcome, "redis")
				requests++
			}

			redis.must(t, tt.heals...)
			r.waitReady(t)
			wantOutcome(t, r, n, requests, "accepted", "")
		})
	}
}

// TestStartWithoutRedis: whoever chose refuse and starts while Redis is away was
// "ready" for its first two seconds, in which a rolling update replaces the next
// instance.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, _ := external(t, app)
	config.keys["redis.on_unavailable"] = "refuse"
	redis.kill()
	r := listen(t, config)
	if got := r.readyz(t); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "redis cannot be reached") {
		t.Errorf("readyz: %d %q, want 503 and why", got.status, got.body)
	}
	redis.begin(t)
	r.waitReady(t)
	wantOutcome(t, r, voucher(t, app), 1, "accepted", "")
}

// TestStreamRecreated loses the archive while Redis still remembers: the
// notification is published again, never answered from Redis' memory.
func TestStreamRecreated(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, nats := external(t, app)
	r := ready(t, config)
	n := voucher(t, app)
	wantOutcome(t, r, n, 1, "accepted", "")
	wantOutcome(t, r, n, 2, "duplicate", "")

	if err := jetStream(t, nats.url(), "").DeleteStream(t.Context(), "ALIPAY_EVENTS"); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r, n, 3, "unavailable", "no_stream")
	config.run(t, "provision").want(t, 0)
	wantOutcome(t, r, n, 4, "accepted", "")
	wantOutcome(t, r, n, 5, "duplicate", "")
	wantOnce(t, ids(r.events(t)), []string{n.ID()})
}
