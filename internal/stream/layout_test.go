package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/stream"
)

const day = 24 * time.Hour

// golden is DESIGN.md section 4, written by hand a second time: a change of the
// layout has to be made twice, and so is made on purpose.
func golden() []jetstream.StreamConfig {
	stream := func(name, description string, age time.Duration, bytes int64, discard jetstream.DiscardPolicy, window time.Duration, locked bool, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: description, Subjects: subjects, Retention: jetstream.LimitsPolicy,
			Storage: jetstream.FileStorage, Discard: discard, MaxAge: age, MaxBytes: bytes, Replicas: 1,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: -1, Duplicates: window,
			DenyDelete: locked, DenyPurge: locked, Metadata: map[string]string{"layout": "1"},
		}
	}
	kv := func(name, description string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: "KV_" + name, Description: description, Subjects: []string{"$KV." + name + ".>"},
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxBytes: 64 << 20, Replicas: 1,
			MaxMsgs: -1, MaxMsgsPerSubject: 5, MaxConsumers: -1, MaxMsgSize: -1, Duplicates: 2 * time.Minute,
			DenyDelete: true, AllowRollup: true, AllowDirect: true, Metadata: map[string]string{"layout": "1"},
		}
	}
	const brief, long = 30 * time.Minute, 26 * time.Hour
	return []jetstream.StreamConfig{
		stream("ALIPAY_EVENTS", "Verified notifications, the archive", 30*day, 1<<30, jetstream.DiscardNew, long, true, "alipay.events.>"),
		stream("ALIPAY_REPLAYS", "Events sent again to one consumer", 7*day, 4<<30, jetstream.DiscardOld, brief, false, "alipay.replays.>"),
		stream("ALIPAY_INFERRED", "Events concluded by reconciliation", 30*day, 1<<30, jetstream.DiscardOld, brief, false, "alipay.inferred.>"),
		stream("ALIPAY_QUARANTINE", "Signed, but not accepted", 30*day, 1<<30, jetstream.DiscardNew, long, false, "alipay.quarantine.>"),
		stream("ALIPAY_REJECTS", "Neither proved nor accepted", 7*day, 64<<20, jetstream.DiscardOld, brief, false, "alipay.rejects.>"),
		stream("ALIPAY_DLQ", "Pointers to what consumers gave up", 30*day, 256<<20, jetstream.DiscardOld, brief, false,
			"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ALIPAY_EVENTS.>", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ALIPAY_REPLAYS.>",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.>", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_REPLAYS.>"),
		stream("ALIPAY_AUDIT", "A record before and after every writing command", 365*day, 1<<30, jetstream.DiscardNew, brief, true, "alipay.audit.>"),
		kv("ALIPAY_KEYS", "Public keys by id, for proofs after rotation"),
		kv("ALIPAY_JOBS", "Checkpoints of replays and cursors of reconciliations"),
		kv("ALIPAY_EXPECT", "Events that somebody expects"),
	}
}

// serverSays leaves out what the server adds of its own.
func serverSays(c jetstream.StreamConfig) jetstream.StreamConfig {
	meta := map[string]string{}
	for k, v := range c.Metadata {
		if !strings.HasPrefix(k, "_nats.") {
			meta[k] = v
		}
	}
	c.Metadata = meta
	return c
}

func TestLayoutOnAServer(t *testing.T) {
	f := newFixture(t)
	want := golden()
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = w.Name
		s, err := f.js.Stream(t.Context(), w.Name)
		if err != nil {
			t.Errorf("%s: %v", w.Name, err)
			continue
		}
		if diff := cmp.Diff(w, serverSays(s.CachedInfo().Config), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.Name, diff)
		}
	}
	if diff := cmp.Diff(names, f.layout.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestLayoutWindowFollowsRedis(t *testing.T) {
	f := newFixture(t)
	o := options()
	o.Redis = true
	window := func() time.Duration {
		s, err := f.js.Stream(t.Context(), stream.Events)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().Config.Duplicates
	}
	if got := window(); got != 26*time.Hour {
		t.Errorf("without Redis the window is %v", got)
	}
	// A window that is too long is only dear, one that is too short loses.
	if diffs := check(t, f.client, stream.NewLayout(o)); len(diffs) != 1 || diffs[0].Fatal || diffs[0].Field != "duplicate_window" {
		t.Errorf("a long window with Redis: %v", diffs)
	}
	provision(t, f.client, stream.NewLayout(o))
	if got := window(); got != 30*time.Minute {
		t.Errorf("with Redis the window is %v", got)
	}
	if diffs := stream.Fatal(check(t, f.client, f.layout)); len(diffs) != 1 || diffs[0].Field != "duplicate_window" {
		t.Errorf("a short window without Redis: %v", diffs)
	}
}

func TestLayoutMessageSize(t *testing.T) {
	if got, want := options().MessageSize(), 64<<10+2*(256<<10); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func check(tb testing.TB, c *stream.Client, l stream.Layout) []stream.Difference {
	tb.Helper()
	diffs, err := c.Check(tb.Context(), l)
	if err != nil {
		tb.Fatal(err)
	}
	return diffs
}
