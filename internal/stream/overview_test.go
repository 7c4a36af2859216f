package stream_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

func overview(t *testing.T, c *stream.Client, name string, soon time.Duration) stream.Overview {
	t.Helper()
	o, err := c.Overview(t.Context(), name, time.Now().Add(soon))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOverview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 10 {
		if _, err := f.js.Publish(t.Context(), "alipay.rejects.1.x", []byte(strings.Repeat("x", i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, sequence := range []uint64{3, 4, 5, 7} {
		if err := f.client.Remove(t.Context(), stream.Rejects, sequence); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := f.js.CreateConsumer(t.Context(), stream.Rejects, jetstream.ConsumerConfig{
		Durable: "orders", FilterSubject: "alipay.rejects.1.>", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m, err := consumer.Next(jetstream.FetchMaxWait(limit))
		if err != nil {
			t.Fatal(err)
		}
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream == 1 {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := overview(t, f.client, stream.Rejects, time.Hour)
	if o.Usage.Messages != 6 || o.Usage.FirstSeq != 1 || o.Usage.LastSeq != 10 || o.Absent != 4 || fmt.Sprint(o.Gaps) != "[{3 5} {7 7}]" {
		t.Errorf("%+v", o)
	}
	if o.Missing || o.MaxAge != 7*day || o.Window != 30*time.Minute || o.Replicas != 1 || len(o.Behind) != 0 || len(o.Unseen) != 0 || o.Expiring != 0 {
		t.Errorf("%+v", o)
	}
	if len(o.Consumers) != 1 {
		t.Fatalf("%+v", o.Consumers)
	}
	c := o.Consumers[0]
	if c.Name != "orders" || !c.Durable || c.Lag != 3 || c.AckPending != 2 || c.AckFloor != 1 || c.Delivered != 6 || c.MaxDeliver != 5 ||
		fmt.Sprint(c.Filters) != "[alipay.rejects.1.>]" || time.Since(c.Active) > limit {
		t.Errorf("%+v", c)
	}
	// It leaves nothing behind, and counts what is about to go without reading it.
	if o = overview(t, f.client, stream.Rejects, 7*day+limit); o.Expiring != 6 || len(overview(t, f.client, stream.Rejects, day).Consumers) != 1 {
		t.Errorf("expiring %d, consumers %+v", o.Expiring, o.Consumers)
	}
	if o = overview(t, f.client, "ALIPAY_NOWHERE", day); !o.Missing {
		t.Errorf("%+v", o)
	}
}

// TestOverviewExpiring counts on both sides of each moment.
func TestOverviewExpiring(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var at []time.Time
	for range 4 {
		ack, err := f.js.Publish(t.Context(), "alipay.rejects.1.x", nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.client.Get(t.Context(), stream.Rejects, ack.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, m.StoredAt)
	}
	for i, stored := range at {
		for _, c := range []struct {
			then time.Time
			want uint64
		}{{stored, uint64(i)}, {stored.Add(time.Nanosecond), uint64(i + 1)}} {
			o, err := f.client.Overview(t.Context(), stream.Rejects, c.then.Add(7*day))
			if err != nil || o.Expiring != c.want {
				t.Errorf("message %d, %v: %d expire, want %d; %v", i, c.then.Sub(stored), o.Expiring, c.want, err)
			}
		}
	}
}

// TestOverviewManyGaps: a stream full of holes costs neither memory nor patience.
func TestOverviewManyGaps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 60 {
		if _, err := f.js.Publish(t.Context(), "alipay.rejects.1.x", nil); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := f.client.Remove(t.Context(), stream.Rejects, uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if o := overview(t, f.client, stream.Rejects, day); o.Absent != 29 || len(o.Gaps) != 10 { // the first of all is before the first
		t.Errorf("absent %d, gaps %v", o.Absent, o.Gaps)
	}
}

// TestDenied: what a user may not do is said at once, and by name, and does not
// look like a server that hangs.
func TestDenied(t *testing.T) {
	d := startDeployed(t)
	receiver := d.client(t, "receiver")
	publish(t, receiver.NewPublisher(), event(1))
	d.makeConsumers(t)
	client := func(user string) *stream.Client {
		return connect(t, stream.ConnectOptions{URL: d.url(user), Name: user})
	}
	began := time.Now()

	o := options()
	o.MaxAge = 40 * day
	changes, err := client("replayer").Plan(t.Context(), stream.NewLayout(o), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := client("replayer").Apply(t.Context(), changes); !errors.Is(err, stream.ErrDenied) || !strings.Contains(err.Error(), "publish to $JS.API.STREAM.UPDATE.ALIPAY_EVENTS") {
		t.Errorf("apply as the replayer: %v", err)
	}
	p := client("provision")
	if err := p.Apply(t.Context(), changes); err != nil {
		t.Errorf("apply as provision: %v", err)
	}
	if err := p.Record(t.Context(), "alipay.audit._.streams_apply.job1", "audit:1", []byte("{}")); err != nil {
		t.Errorf("its record: %v", err)
	}
	if err := p.Probe(t.Context()); !errors.Is(err, stream.ErrDenied) {
		t.Errorf("probe as provision: %v", err)
	}
	if err := p.Read(t.Context(), stream.ReadOptions{Stream: stream.Audit}, func(events.Stored) error { return nil }); !errors.Is(err, stream.ErrDenied) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read the trail as provision: %v", err)
	}
	if _, err := p.Resend(t.Context(), "alipay.replays.orders.x", nil, nil); !errors.Is(err, stream.ErrDenied) {
		t.Errorf("resend as provision: %v", err)
	}
	seen := overview(t, client("receiver"), stream.Events, day)
	if seen.Usage.Messages != 1 || len(seen.Unseen) != 1 || !strings.Contains(seen.Unseen[0], "consumers: "+stream.ErrDenied.Error()) {
		t.Errorf("overview as the receiver: %+v", seen)
	}
	if time.Since(began) > limit/3 {
		t.Errorf("it took %v", time.Since(began))
	}
	// And the replayer may look at all of it, and send.
	r := d.client(t, "replayer") // fails the test when anything is denied
	for _, name := range d.layout.Names() {
		if o := overview(t, r, name, 30*day); len(o.Unseen) != 0 {
			t.Errorf("%s: %v", name, o.Unseen)
		}
	}
	if err := r.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := r.Account(t.Context()); err != nil {
		t.Error(err)
	}
	if sequence, err := r.Resend(t.Context(), "alipay.replays.orders.x", map[string][]string{events.HeaderMessageID: {"replay:1:1"}}, []byte("{}")); err != nil || sequence != 1 {
		t.Errorf("resend: %d, %v", sequence, err)
	}
	if sequence, err := r.Resend(t.Context(), "alipay.replays.orders.x", map[string][]string{events.HeaderMessageID: {"replay:1:1"}}, []byte("{}")); err != nil || sequence != 1 {
		t.Errorf("the same once more: %d, %v", sequence, err)
	}
}

// TestResendRefused: nothing lands elsewhere, and what is refused says why.
func TestResendRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.client.Resend(t.Context(), "alipay.inferred.1.voucher.created.k", nil, []byte("{}")); err == nil {
		t.Error("it was stored on another stream")
	}
	if _, err := f.client.Resend(t.Context(), "alipay.replays.orders.x", map[string][]string{"X": {strings.Repeat("x", 70<<10)}}, nil); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("headers of 70 KiB: %v", err)
	}
	if err := f.js.DeleteStream(t.Context(), stream.Replays); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Resend(t.Context(), "alipay.replays.orders.x", nil, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a stream: %v", err)
	}
	for _, name := range []string{stream.Inferred, stream.Events} {
		if n := messages(t, f.js, name); n != 0 {
			t.Errorf("%s holds %d", name, n)
		}
	}
}
