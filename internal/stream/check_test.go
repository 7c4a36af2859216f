package stream_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// differ is one way in which an operator's stream can differ.
type differ struct {
	name   string
	stream string
	change func(*jetstream.StreamConfig)
	want   string // the difference, as an operator reads it
	fatal  bool
	stuck  bool // no update can mend it
}

func differs() []differ {
	type config = *jetstream.StreamConfig
	return []differ{
		{"memory storage", stream.Events, func(c config) { c.Storage = jetstream.MemoryStorage },
			"ALIPAY_EVENTS: storage is Memory, want File", true, true},
		{"no ack", stream.Events, func(c config) { c.NoAck = true },
			"ALIPAY_EVENTS: no_ack is true, want false", true, false},
		{"interest retention", stream.Events, func(c config) { c.Retention = jetstream.InterestPolicy },
			"ALIPAY_EVENTS: retention is Interest, want Limits", true, false},
		{"work queue", stream.Events, func(c config) { c.Retention = jetstream.WorkQueuePolicy },
			"ALIPAY_EVENTS: retention is WorkQueue, want Limits", true, true},
		{"discard old", stream.Events, func(c config) { c.Discard = jetstream.DiscardOld },
			"ALIPAY_EVENTS: discard is DiscardOld, want DiscardNew", true, false},
		{"short window", stream.Events, func(c config) { c.Duplicates = time.Hour },
			"ALIPAY_EVENTS: duplicate_window is 1h0m0s, want at least 26h0m0s", true, false},
		{"short age", stream.Events, func(c config) { c.MaxAge = 48 * time.Hour },
			"ALIPAY_EVENTS: max_age is 48h0m0s, want at least 720h0m0s", true, false},
		{"small messages", stream.Events, func(c config) { c.MaxMsgSize = 100_000 },
			"ALIPAY_EVENTS: max_msg_size is 100000, want at least 589824 for http.max_body 262144", true, false},
		{"missing subject", stream.Events, func(c config) { c.Subjects = []string{"alipay.events.2021000000000001.>"} },
			"ALIPAY_EVENTS: subjects is alipay.events.2021000000000001.>, want alipay.events.>", true, false},
		{"asynchronous writes", stream.Events, func(c config) { c.PersistMode = jetstream.AsyncPersistMode },
			"ALIPAY_EVENTS: persist_mode is Async, want Default", true, true},
		{"sealed", stream.Events, func(c config) { c.Sealed = true },
			"ALIPAY_EVENTS: sealed is true, want false", true, true},
		{"limit of each subject", stream.Events, func(c config) { c.MaxMsgsPerSubject = 1 },
			"ALIPAY_EVENTS: max_msgs_per_subject is 1, want no limit: it drops the oldest", true, false},
		{"new of each subject discarded", stream.Events, func(c config) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true },
			"ALIPAY_EVENTS: max_msgs_per_subject is 1, want no limit: it drops the oldest", true, false},
		{"audit in memory", stream.Audit, func(c config) { c.Storage = jetstream.MemoryStorage },
			"ALIPAY_AUDIT: storage is Memory, want File", true, true},
		{"keys in memory", "KV_ALIPAY_KEYS", func(c config) { c.Storage = jetstream.MemoryStorage },
			"KV_ALIPAY_KEYS: storage is Memory, want File", true, true},
		{"keys that are forgotten", "KV_ALIPAY_KEYS", func(c config) { c.MaxAge = time.Hour },
			"KV_ALIPAY_KEYS: max_age is 1h0m0s, want 0s", false, false},

		{"long age", stream.Events, func(c config) { c.MaxAge = 1000 * time.Hour },
			"ALIPAY_EVENTS: max_age is 1000h0m0s, want 720h0m0s", false, false},
		{"age without end", stream.Events, func(c config) { c.MaxAge = 0 },
			"ALIPAY_EVENTS: max_age is 0s, want 720h0m0s", false, false},
		{"long window", stream.Events, func(c config) { c.Duplicates = 48 * time.Hour },
			"ALIPAY_EVENTS: duplicate_window is 48h0m0s, want 26h0m0s", false, false},
		{"other size", stream.Events, func(c config) { c.MaxBytes = 1 << 29 },
			"ALIPAY_EVENTS: max_bytes is 536870912, want 1073741824", false, false},
		{"no size", stream.Events, func(c config) { c.MaxBytes = -1 },
			"ALIPAY_EVENTS: max_bytes is without limit, want a limit, so that a full disk is refused before it is reached", false, false},
		{"number of messages", stream.Events, func(c config) { c.MaxMsgs = 10 },
			"ALIPAY_EVENTS: max_msgs is 10, want no limit", false, false},
		{"delete allowed", stream.Events, func(c config) { c.DenyDelete = false },
			"ALIPAY_EVENTS: deny_delete is false, want true", false, false},
		{"purge allowed", stream.Events, func(c config) { c.DenyPurge = false },
			"ALIPAY_EVENTS: deny_purge is false, want true", false, false},
		{"rollup", stream.Events, func(c config) { c.AllowRollup, c.DenyPurge = true, false },
			"ALIPAY_EVENTS: allow_rollup_hdrs is true, want false", false, false},
		{"metadata", stream.Events, func(c config) { c.Metadata = map[string]string{"layout": "0"} },
			`ALIPAY_EVENTS: metadata layout is "0", want "1"`, false, false},
		{"discard of rejects", stream.Rejects, func(c config) { c.Discard = jetstream.DiscardNew },
			"ALIPAY_REJECTS: discard is DiscardNew, want DiscardOld", false, false},
		{"short age of rejects", stream.Rejects, func(c config) { c.MaxAge = time.Hour },
			"ALIPAY_REJECTS: max_age is 1h0m0s, want at least 168h0m0s", false, false},
	}
}

// Every difference is found, named in words, and of the right weight; a plan
// mends it, or says that it cannot; and what was mended is in order.
func TestCheckFindsAndPlanMends(t *testing.T) {
	f := newFixture(t)
	if diffs := check(t, f.client, f.layout); len(diffs) != 0 {
		t.Fatalf("a fresh server differs: %v", diffs)
	}
	good := map[string]jetstream.StreamConfig{}
	for _, c := range golden() {
		good[c.Name] = c
	}
	remake := func(t *testing.T, c jetstream.StreamConfig) {
		t.Helper()
		if err := f.js.DeleteStream(t.Context(), c.Name); err != nil {
			t.Fatal(err)
		}
		sealed := c.Sealed
		c.Sealed = false
		if _, err := f.js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if c.Sealed = sealed; sealed {
			if _, err := f.js.UpdateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, d := range differs() {
		t.Run(d.name, func(t *testing.T) {
			config := good[d.stream]
			d.change(&config)
			remake(t, config)
			defer remake(t, good[d.stream])

			found := check(t, f.client, f.layout)
			at := slices.IndexFunc(found, func(have stream.Difference) bool { return have.String() == d.want })
			if at < 0 {
				t.Fatalf("got %v, want %q", found, d.want)
			}
			if found[at].Fatal != d.fatal {
				t.Errorf("fatal is %v", found[at].Fatal)
			}
			if d.fatal != (len(stream.Fatal(found)) > 0) {
				t.Errorf("all that is fatal: %v", stream.Fatal(found))
			}
			testMend(t, f, d)
		})
	}
}

func testMend(t *testing.T, f fixture, d differ) {
	t.Helper()
	changes, err := f.client.Plan(t.Context(), f.layout, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(changes, func(c stream.Change) bool { return c.Stream == d.stream })
	if !changes[i].Pending() {
		t.Errorf("the plan has nothing to do: %v", changes[i])
	}
	err = f.client.Apply(t.Context(), changes)
	if d.stuck {
		// A stream in memory was once updated without a word: the operator was
		// told that all was done, and the receiver refused to start all the same.
		if err == nil || !strings.Contains(err.Error(), d.want) || !strings.Contains(err.Error(), "cannot be changed") {
			t.Errorf("Apply: got %v, want it to name %q", err, d.want)
		}
		if len(changes[i].Stuck) == 0 || !strings.Contains(changes[i].Note, changes[i].Stuck[0].Field) {
			t.Errorf("the plan does not say that it cannot: %+v", changes[i])
		}
		return
	}
	if err != nil {
		t.Errorf("Apply: %v", err)
	}
	if left := check(t, f.client, f.layout); len(left) != 0 {
		t.Errorf("left after Apply: %v", left)
	}
}

func TestCheckMissing(t *testing.T) {
	f := newFixture(t)
	for _, name := range f.layout.Names() {
		if err := f.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	diffs := stream.Fatal(check(t, f.client, f.layout))
	if len(diffs) != len(f.layout.Names()) {
		t.Fatalf("got %v", diffs)
	}
	for i, name := range f.layout.Names() {
		if want := name + ": missing, want a stream (receiver provision creates it)"; diffs[i].String() != want {
			t.Errorf("got %q, want %q", diffs[i], want)
		}
	}
}

func TestCheckServerMaxPayload(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 512 << 10 })
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	layout := stream.NewLayout(options())
	provision(t, c, layout)
	diffs := check(t, c, layout)
	const want = "server: max_payload is 524288, want at least 589824 for http.max_body 262144"
	if len(diffs) != 1 || !diffs[0].Fatal || diffs[0].String() != want {
		t.Errorf("got %v, want %q", diffs, want)
	}
}

// Replicas can only be compared on one server, not made.
func TestCheckReplicas(t *testing.T) {
	f := newFixture(t)
	o := options()
	o.Replicas = 3
	diffs := check(t, f.client, stream.NewLayout(o))
	if len(diffs) != len(f.layout.Names()) || len(stream.Fatal(diffs)) != 0 {
		t.Errorf("got %v, want a warning for each stream", diffs)
	}
	changes, err := f.client.Plan(t.Context(), stream.NewLayout(o), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		// Check warned of the buckets for ever, and no plan mended them.
		if !c.Pending() {
			t.Errorf("%s: the plan does nothing about the replicas", c.Stream)
		}
	}
}

func TestCheckServerAway(t *testing.T) {
	f := newFixture(t)
	stopServer(f.server)
	eventually(t, "the client notices", func() bool { return !f.client.Connected() })
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if diffs, err := f.client.Check(ctx, f.layout); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v, %v: a server that is away says nothing about the layout", diffs, err)
	}
}

// One stream whose only replica is away. The comparison gave up there, so that a
// receiver that started meanwhile answered 503 although ALIPAY_EVENTS took events:
// a rolling restart during such an outage took all of them down.
func TestCheckOneStreamAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, func(o *server.Options) { o.StoreDir = dir })
	provision(t, connect(t, stream.ConnectOptions{URL: s.ClientURL()}), stream.NewLayout(options()))
	stopServer(s)
	for name, fails := range map[string]bool{"ALIPAY_INFERRED": false, "KV_ALIPAY_KEYS": false, stream.Events: true} {
		s := startServer(t, func(o *server.Options) {
			o.StoreDir = dir
			o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{"$JS.API.STREAM.INFO." + name}},
			}}}
		})
		c := connect(t, stream.ConnectOptions{URL: "nats://u:p@" + s.Addr().String()})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		diffs, err := c.Check(ctx, stream.NewLayout(options()))
		cancel()
		if (err != nil) != fails {
			t.Errorf("%s: %v", name, err)
		}
		if !fails && (len(diffs) != 1 || diffs[0].Fatal || diffs[0].Stream != name) {
			t.Errorf("%s: %v, want that it cannot be read", name, diffs)
		}
		c.Close()
		stopServer(s)
	}
}
