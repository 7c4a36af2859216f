//go:build e2e

package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/dedupe/dedupetest"
)

// TestDedupeConformance runs the suite of the dedupe protocol on a real server;
// the unit tests run it on a fake one.
func TestDedupeConformance(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	dedupetest.Run(t, func(t testing.TB) redis.UniversalClient {
		client, err := dedupe.Open(server.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return client
	})
}

// TestOneNotificationOneEvent sends one notification 200 times over 32
// connections, stamped and signed anew each time as Alipay's retries are.
func TestOneNotificationOneEvent(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, _ := external(t, app)
	r := ready(t, config)
	n := voucher(t, app)

	const requests, connections = 200, 32
	bodies := make(chan []byte, requests)
	for i := range requests {
		body, err := n.Body(time.Now().Add(-time.Duration(i) * time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		bodies <- body
	}
	close(bodies)
	answers := make(chan reply, requests)
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			for body := range bodies {
				got, err := r.try(body)
				if err != nil {
					t.Errorf("no answer: %v", err)
				}
				answers <- got
			}
		})
	}
	senders.Wait()
	close(answers)

	successes := 0
	for got := range answers {
		if got.acknowledged() {
			successes++
		} else if got.status != http.StatusServiceUnavailable || got.body != "fail" {
			t.Errorf("got %d %q, want 200 success or 503 fail", got.status, got.body)
		}
	}
	if successes == 0 {
		t.Error("nobody got success")
	}
	t.Logf("%d times success, %d times 503 fail", successes, requests-successes)
	wantOnce(t, ids(r.events(t)), []string{n.ID()})

	r.send(t, n).want(t, http.StatusOK, "success")
	if e := r.logged(t, requests+1); e.text("outcome") != "duplicate" {
		t.Errorf("the repetition is logged as %v, want duplicate", e)
	}
	wantOnce(t, ids(r.events(t)), []string{n.ID()})

	key := "alipay:dedupe:{" + app.ID + ":" + n.ID() + "}"
	if keys := redis.keys(t); len(keys) != 1 || keys[0] != key {
		t.Errorf("keys %v, want %s alone", keys, key)
	}
	if ttl := redis.client.PTTL(t.Context(), key).Val(); ttl > 72*time.Hour || ttl < 72*time.Hour-patience-time.Minute {
		t.Errorf("the key expires in %v, want 72h", ttl)
	}
}

// TestConflict sends other content under an id that was used before: both are
// kept, the second under an id of its own, and a repetition of either is a
// duplicate. Without Redis the stream alone has to see it.
func TestConflict(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	withRedis, _, _ := external(t, app)
	for name, config := range map[string]*config{"redis": withRedis, "embedded": newConfig(t, app)} {
		t.Run(name, func(t *testing.T) {
			r := ready(t, config)
			one := voucher(t, app)
			two := app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: one.ID()})
			for range 2 {
				r.send(t, one).want(t, http.StatusOK, "success")
				r.send(t, two).want(t, http.StatusOK, "success")
			}
			events := r.events(t)
			if len(events) != 2 {
				t.Fatalf("%d events are stored, want both and no more: %v", len(events), ids(events))
			}
			second := events[1]
			if want := one.ID() + "~" + header(second, "Alipay-Fingerprint")[:8]; header(second, "ce-id") != want {
				t.Errorf("ce-id %s, want %s", header(second, "ce-id"), want)
			}
			if header(second, "ce-conflict") != one.ID() || header(events[0], "ce-conflict") != "" {
				t.Errorf("ce-conflict %q and %q, want it on the second alone", header(events[0], "ce-conflict"), header(second, "ce-conflict"))
			}
		})
	}
}
