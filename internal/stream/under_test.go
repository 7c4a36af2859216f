package stream_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// What is stored below a subject comes in its order, and nothing else does.
func TestUnder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.client.NewPublisher()
	for i := range 6 {
		e := event(i % 2) // two activities, three events each
		e.ID = fmt.Sprintf("%s-%d", e.ID, i)
		e.Kind = []string{"voucher.created", "voucher.modified", "voucher.stopped"}[i/2]
		e.Subject = events.Subject(appID, e.Kind, e.Key)
		publish(t, p, e)
	}
	read := func(subject string, from uint64) []uint64 {
		var got []uint64
		if err := f.client.Under(t.Context(), stream.Events, subject, from, func(m events.Stored) error {
			if m.AppID != appID || m.ID == "" || len(m.Raw) == 0 || m.StoredAt.IsZero() {
				t.Errorf("read %+v", m)
			}
			got = append(got, m.Sequence)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, tt := range []struct {
		subject string
		from    uint64
		want    []uint64
	}{
		{events.Subject(appID, "voucher.modified", "act0"), 0, []uint64{3}},
		{events.Subject(appID, "voucher.modified", "act0"), 4, nil},
		{"alipay.events." + appID + ".voucher.*.act1", 0, []uint64{2, 4, 6}},
		{"alipay.events." + appID + ".voucher.*.act1", 3, []uint64{4, 6}},
		{events.Subject(appID, "voucher.appended", "act0"), 0, nil},
		{"alipay.events.>", 5, []uint64{5, 6}},
	} {
		if got := read(tt.subject, tt.from); !slices.Equal(got, tt.want) {
			t.Errorf("%s from %d: %v, want %v", tt.subject, tt.from, got, tt.want)
		}
	}
	enough := errors.New("enough")
	if err := f.client.Under(t.Context(), stream.Events, "alipay.events.>", 0, func(events.Stored) error { return enough }); err != enough { //nolint:errorlint // as it is
		t.Errorf("error %v", err)
	}
	if err := f.client.Under(t.Context(), "NOWHERE", "x", 0, nil); err == nil {
		t.Error("no error for a stream that is not there")
	}
}

var conclusion = events.Inferred{
	AppID: appID, Kind: "voucher.stopped", Key: "act1", State: "FINISHED", At: time.Now(), Data: []byte(`{"activity_id":"act1"}`),
}

// The same conclusion, drawn again, is stored once, and read back as what it is.
func TestPublishInferred(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, err := f.client.PublishInferred(t.Context(), conclusion)
	if err != nil || first.Duplicate || first.Sequence != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	later := conclusion
	later.At = later.At.Add(time.Hour)
	if again, err := f.client.PublishInferred(t.Context(), later); err != nil || !again.Duplicate || again.Sequence != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if n := messages(t, f.js, stream.Inferred); n != 1 || f.messages(t) != 0 {
		t.Errorf("%d inferred, %d genuine", n, f.messages(t))
	}
	err = f.client.Under(t.Context(), stream.Inferred, conclusion.Subject(), 0, func(m events.Stored) error {
		if m.ID != conclusion.ID() || m.Key != "act1" || m.Kind != "voucher.stopped" || string(m.Data) != string(conclusion.Data) {
			t.Errorf("read back %+v", m)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	strange := conclusion
	strange.Kind = "other.x"
	if _, err := f.client.PublishInferred(t.Context(), strange); err == nil {
		t.Error("what has no kind was published")
	}
}

// Expectations come, are written anew, are found by what they are about, and go.
func TestExpectations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	for i, name := range []string{"1.voucher.stopped.a.n1", "1.voucher.appended.a.n2", "1.voucher.appended.b.n3", "1.voucher.stopped.a.n1"} {
		if err := f.client.Expect(ctx, name, fmt.Appendf(nil, "v%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	all := func() (got []string) {
		if err := f.client.AllExpected(ctx, func(x stream.Expected) error {
			got = append(got, x.Name+"="+string(x.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return got
	}
	want := []string{"1.voucher.appended.a.n2=v1", "1.voucher.appended.b.n3=v2", "1.voucher.stopped.a.n1=v3"}
	if got := all(); !slices.Equal(got, want) {
		t.Errorf("all: %v", got)
	}
	under := func() (got []stream.Expected) {
		got, err := f.client.ExpectedUnder(ctx, "1.voucher.*.a.*")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	found := under()
	if len(found) != 2 || found[0].Name != "1.voucher.stopped.a.n1" || string(found[0].Value) != "v3" || found[0].Since.IsZero() {
		t.Fatalf("of a: %+v", found)
	}
	if err := f.client.CloseExpected(ctx, found[0].Name, found[0].Revision-1); !errors.Is(err, stream.ErrStale) {
		t.Errorf("what was written anew could be closed: %v", err)
	}
	if err := f.client.CloseExpected(ctx, found[0].Name, found[0].Revision); err != nil {
		t.Error(err)
	}
	if got := all(); !slices.Equal(got, want[:2]) {
		t.Errorf("after closing: %v", got)
	}
	if got := under(); len(got) != 1 || got[0].Name != "1.voucher.appended.a.n2" {
		t.Errorf("of a, after closing: %+v", got)
	}
	if err := f.client.Expect(ctx, "1.voucher.stopped.a.n1", []byte("v4")); err != nil { // somebody asks again
		t.Error(err)
	}
	if got := under(); len(got) != 2 {
		t.Errorf("of a, expected again: %+v", got)
	}
}

// The permissions of deploy/ are enough for all of it.
func TestReconcilingAsDeployed(t *testing.T) {
	d := startDeployed(t)
	c := d.client(t, "replayer")
	publish(t, d.client(t, "receiver").NewPublisher(), event(1))
	n := 0
	if err := c.Under(t.Context(), stream.Events, event(1).Subject, 0, func(events.Stored) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
	if _, err := c.PublishInferred(t.Context(), conclusion); err != nil {
		t.Error(err)
	}
	if err := c.Expect(t.Context(), "1.voucher.stopped.a.n", []byte("v")); err != nil {
		t.Fatal(err)
	}
	found, err := c.ExpectedUnder(t.Context(), "1.voucher.*.a.*")
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := c.CloseExpected(t.Context(), found[0].Name, found[0].Revision); err != nil {
		t.Error(err)
	}
	if err := c.AllExpected(t.Context(), func(x stream.Expected) error { t.Errorf("left: %s", x.Name); return nil }); err != nil {
		t.Error(err)
	}
}
