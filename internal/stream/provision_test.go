package stream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/stream"
)

func plan(tb testing.TB, c *stream.Client, l stream.Layout, free int64) []stream.Change {
	tb.Helper()
	changes, err := c.Plan(tb.Context(), l, free)
	if err != nil {
		tb.Fatal(err)
	}
	return changes
}

func planned(tb testing.TB, c *stream.Client, l stream.Layout, name string) stream.Change {
	tb.Helper()
	changes := plan(tb, c, l, 0)
	return changes[slices.IndexFunc(changes, func(c stream.Change) bool { return c.Stream == name })]
}

func TestPlanEmptyServer(t *testing.T) {
	s := startServer(t, nil)
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	layout := stream.NewLayout(options())
	first := plan(t, c, layout, 0)
	var names []string
	for _, change := range first {
		names = append(names, change.Stream)
		if !change.Create || !change.Pending() || change.String() != change.Stream+": create" {
			t.Errorf("%v is not to be created", change)
		}
	}
	if diff := cmp.Diff(layout.Names(), names); diff != "" {
		t.Errorf("the plan's streams (-want +got):\n%s", diff)
	}
	if diffs := check(t, c, layout); len(diffs) != len(names) {
		t.Errorf("a plan alone has changed something: %v", diffs)
	}
	if err := c.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, change := range plan(t, c, layout, 0) {
		if change.Pending() || len(change.Shrinks) > 0 || change.String() != change.Stream+": in order" {
			t.Errorf("the second plan still has %v", change)
		}
	}
}

// An operator's own settings stay when ours are mended.
func TestApplyKeepsWhatOperatorsSet(t *testing.T) {
	f := newFixture(t)
	s, err := f.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.Subjects = append(config.Subjects, "legacy.alipay.>")
	config.Compression = jetstream.S2Compression
	config.Description = "ours, says the operator"
	config.MaxMsgSize = 5 << 20 // larger than we need
	config.Metadata["team"] = "payments"
	config.AllowDirect = true
	config.MaxAge = time.Hour * 24 * 40
	if _, err := f.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	provision(t, f.client, f.layout)
	s, err = f.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	want := serverSays(config)
	want.MaxAge = 30 * day
	anyOrder := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(want, serverSays(s.CachedInfo().Config), anyOrder); diff != "" {
		t.Errorf("after Apply (-want +got):\n%s", diff)
	}
}

func TestPlanShrinks(t *testing.T) {
	f := newFixture(t)
	for name, tt := range map[string]struct {
		change func(*stream.LayoutOptions)
		want   []string
	}{
		"less age":             {func(o *stream.LayoutOptions) { o.MaxAge = 27 * time.Hour }, []string{"max_age 720h0m0s to 27h0m0s"}},
		"less space":           {func(o *stream.LayoutOptions) { o.MaxBytes = 1 << 20 }, []string{"max_bytes 1073741824 to 1048576"}},
		"both":                 {func(o *stream.LayoutOptions) { o.MaxAge, o.MaxBytes = 48*time.Hour, 1<<20 }, []string{"max_age 720h0m0s to 48h0m0s", "max_bytes 1073741824 to 1048576"}},
		"more of both":         {func(o *stream.LayoutOptions) { o.MaxAge, o.MaxBytes = 1000*time.Hour, 1<<31 }, nil},
		"age without end":      {func(o *stream.LayoutOptions) { o.MaxAge = 0 }, nil},
		"space that is chosen": {func(o *stream.LayoutOptions) { o.MaxBytes = 0 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			tt.change(&o)
			got := planned(t, f.client, stream.NewLayout(o), stream.Events)
			if diff := cmp.Diff(tt.want, got.Shrinks); diff != "" {
				t.Errorf("shrinks (-want +got):\n%s", diff)
			}
		})
	}
}

// The size that is chosen at creation stays: were it reckoned again, a stream
// would shrink as its own messages fill the disk.
func TestArchiveSizeIsFixedAtCreation(t *testing.T) {
	s := startServer(t, nil)
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	o := options()
	o.MaxBytes = 0
	layout := stream.NewLayout(o)
	if err := c.Apply(t.Context(), plan(t, c, layout, 1_000_000_000)); err != nil {
		t.Fatal(err)
	}
	usage, err := c.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if usage.MaxBytes != 600_000_000 {
		t.Errorf("max_bytes is %d, want 60 %% of the free disk", usage.MaxBytes)
	}
	for _, change := range plan(t, c, layout, 500_000) {
		if change.Pending() {
			t.Errorf("another free disk changes %v: %v", change, change.Differences)
		}
	}
	if diffs := check(t, c, layout); len(diffs) != 0 {
		t.Errorf("got %v", diffs)
	}
}

func TestArchiveSizeWithoutADisk(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		account := server.NewAccount("alipay")
		o.Accounts = []*server.Account{account}
		o.Users = []*server.User{{Username: "a", Password: "b", Account: account}}
	})
	account, err := s.LookupAccount("alipay")
	if err != nil {
		t.Fatal(err)
	}
	limits := server.JetStreamAccountLimits{MaxMemory: 1 << 20, MaxStore: 10 << 30, MaxStreams: -1, MaxConsumers: -1}
	if err := account.EnableJetStream(map[string]server.JetStreamAccountLimits{"": limits}, nil); err != nil {
		t.Fatal(err)
	}
	c := connect(t, stream.ConnectOptions{URL: "nats://a:b@" + s.Addr().String()})
	o := options()
	o.MaxBytes = 0
	if err := c.Apply(t.Context(), plan(t, c, stream.NewLayout(o), 0)[:1]); err != nil {
		t.Fatal(err)
	}
	usage, err := c.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(6 << 30); usage.MaxBytes != want {
		t.Errorf("max_bytes is %d, want 60 %% of the account's, %d", usage.MaxBytes, want)
	}
}

func TestArchiveSizeUnknown(t *testing.T) {
	s := startServer(t, nil)
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	o := options()
	o.MaxBytes = 0
	change := planned(t, c, stream.NewLayout(o), stream.Events)
	if change.Note == "" {
		t.Error("nobody is told that the stream will have no limit")
	}
}
