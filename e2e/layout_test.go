//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// TestBrokenStreams starts the receiver on streams that would lose something:
// it refuses, and names every difference. Provisioning mends what can be
// mended, says what cannot, and then it starts.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, nats := external(t, app)
	js := jetStream(t, nats.url(), "")
	ctx := t.Context()
	for _, name := range []string{"ALIPAY_EVENTS", "ALIPAY_AUDIT", "KV_ALIPAY_KEYS"} {
		if err := js.DeleteStream(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	broken := jetstream.StreamConfig{
		Name: "ALIPAY_EVENTS", Subjects: []string{"alipay.events.2021000000000001.>"}, Storage: jetstream.MemoryStorage,
		Discard: jetstream.DiscardOld, NoAck: true, MaxAge: time.Hour, Duplicates: time.Minute, MaxMsgSize: 1 << 10,
	}
	if _, err := js.CreateStream(ctx, broken); err != nil {
		t.Fatal(err)
	}
	differences := []string{
		"ALIPAY_EVENTS: subjects is ",
		"ALIPAY_EVENTS: storage is Memory, want File",
		"ALIPAY_EVENTS: no_ack is true",
		"ALIPAY_EVENTS: discard is DiscardOld, want DiscardNew",
		"ALIPAY_EVENTS: duplicate_window is 1m0s",
		"ALIPAY_EVENTS: max_age is 1h0m0s",
		"ALIPAY_EVENTS: max_msg_size is 1024",
		"ALIPAY_AUDIT: missing",
		"KV_ALIPAY_KEYS: missing",
	}
	config.run(t).want(t, 1, append(differences, "Try: receiver provision --dry-run")...)
	checked := config.run(t, "check", "-o", "json")
	checked.want(t, 1)
	planned := config.run(t, "provision", "--dry-run")
	planned.want(t, 0)
	if info, err := js.Stream(ctx, "ALIPAY_AUDIT"); err == nil {
		t.Fatalf("a dry run made %s", info.CachedInfo().Config.Name)
	}

	// Memory cannot become file under a stream that exists, and provisioning must
	// not say that it did.
	config.run(t, "provision").want(t, 1, "ALIPAY_EVENTS")
	config.run(t).want(t, 1, "ALIPAY_EVENTS: storage is Memory, want File")
	if err := js.DeleteStream(ctx, "ALIPAY_EVENTS"); err != nil {
		t.Fatal(err)
	}
	broken.Storage, broken.NoAck = jetstream.FileStorage, false
	if _, err := js.CreateStream(ctx, broken); err != nil {
		t.Fatal(err)
	}
	config.run(t).want(t, 1, "ALIPAY_EVENTS: discard is DiscardOld, want DiscardNew")
	config.run(t, "provision").want(t, 0)

	r := ready(t, config)
	n := voucher(t, app)
	r.send(t, n).want(t, http.StatusOK, "success")
	wantOnce(t, ids(r.events(t)), []string{n.ID()})
	config.run(t, "provision").want(t, 0) // nothing is left to do
	config.run(t, "check").want(t, 0)
}

// TestProvisionShrinks asks for less than is kept: nobody throws events away
// without being told to.
func TestProvisionShrinks(t *testing.T) {
	t.Parallel()
	config, _, nats := external(t, alipaytest.NewApp(t, ""))
	config.keys["nats.max_age"] = "100h"
	config.run(t, "provision").want(t, 3, "would drop stored messages", "max_age 720h0m0s to 100h0m0s", "--shrink")
	js := jetStream(t, nats.url(), "")
	age := func() time.Duration {
		stream, err := js.Stream(t.Context(), "ALIPAY_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config.MaxAge
	}
	if age() != 720*time.Hour {
		t.Fatalf("max_age is %v after it was declined", age())
	}
	config.run(t, "provision", "--shrink").want(t, 0)
	if age() != 100*time.Hour {
		t.Errorf("max_age is %v, want 100h", age())
	}
}

// rows reads the output of -o json: one array of objects.
func rows(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("no JSON array of objects: %v\n%s", err, text)
	}
	return all
}

// storedIn is what a stream has stored.
func storedIn(t testing.TB, js jetstream.JetStream, stream string) jetstream.StreamState {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("open %s: %v", stream, err)
	}
	return s.CachedInfo().State
}
