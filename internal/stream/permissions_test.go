package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// What nobody but the server's own administrator may do.
func nobody() []string {
	var all []string
	for _, name := range []string{stream.Events, stream.Audit, stream.Quarantine, "KV_ALIPAY_KEYS"} {
		all = append(all, "$JS.API.STREAM.DELETE."+name, "$JS.API.STREAM.PURGE."+name, "$JS.API.STREAM.SNAPSHOT."+name, "$JS.API.STREAM.RESTORE."+name)
	}
	return append(all,
		"$JS.API.STREAM.MSG.DELETE.ALIPAY_EVENTS", "$JS.API.STREAM.MSG.DELETE.ALIPAY_AUDIT",
		"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ALIPAY_EVENTS.orders", "$JS.API.ACCOUNT.PURGE.ALIPAY",
		"$SYS.REQ.SERVER.PING", "anything.else", "_INBOX.somebody.elses")
}

func TestPermissionsReceiver(t *testing.T) {
	d := startDeployed(t)
	t.Run("does all that a receiver does", func(t *testing.T) {
		c := d.client(t, "receiver")
		if diffs := check(t, c, d.layout); len(diffs) != 0 {
			t.Errorf("the layout: %v", diffs)
		}
		if _, err := c.Usage(t.Context()); err != nil {
			t.Error(err)
		}
		p := c.NewPublisher()
		r := publish(t, p, event(1))
		if again := publish(t, p, event(1)); !again.Duplicate {
			t.Errorf("%+v", again)
		}
		if got, err := p.Fingerprint(t.Context(), r.Sequence); err != nil || got != event(1).Fingerprint {
			t.Errorf("fingerprint %q, %v", got, err)
		}
		if ok, err := p.Holds(t.Context(), r.Place); !ok || err != nil {
			t.Errorf("holds: %v, %v", ok, err)
		}
		for range 2 { // the second time it is there
			if err := c.RememberKey(t.Context(), "k1", []byte("key")); err != nil {
				t.Error(err)
			}
		}
		if got, err := d.client(t, "replayer").RememberedKey(t.Context(), "k1"); err != nil || string(got) != "key" {
			t.Errorf("remembered key: %q, %v", got, err)
		}
		keepBoth(t, c)
	})
	t.Run("and nothing else", func(t *testing.T) {
		p := d.person(t, "receiver")
		p.mayNotPublish(t, "$JS.API.DIRECT.GET.KV_ALIPAY_KEYS.$KV.ALIPAY_KEYS.k1")
		p.mayNotPublish(t, nobody()...)
		p.mayNotPublish(t,
			"alipay.audit._.replay.job1", "alipay.replays.orders.x", "alipay.inferred.1.voucher.created.k",
			"$KV.ALIPAY_JOBS.x", "$KV.ALIPAY_EXPECT.x",
			"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.ALIPAY_EVENTS",
			"$JS.API.CONSUMER.CREATE.ALIPAY_EVENTS.x", "$JS.API.CONSUMER.CREATE.ALIPAY_AUDIT.x.alipay.audit.>",
			"$JS.API.CONSUMER.DURABLE.CREATE.ALIPAY_EVENTS.x", "$JS.API.CONSUMER.DELETE.ALIPAY_EVENTS.orders",
			"$JS.API.CONSUMER.MSG.NEXT.ALIPAY_EVENTS.orders", "$JS.ACK.ALIPAY_EVENTS.orders.1.1.1.1.1",
			"$JS.API.STREAM.MSG.GET.ALIPAY_AUDIT", "$JS.API.INFO", "$JS.API.STREAM.LIST")
		p.mayNotSubscribe(t, "alipay.>", "alipay.events.>", ">", "$JS.API.>", "$KV.>", "$SYS.>")
	})
}

// keepBoth stores one of each of what was not accepted.
func keepBoth(t *testing.T, c *stream.Client) {
	t.Helper()
	kept := make(chan string, 10)
	k := c.NewKeeper(func(event string, err error) {
		if err != nil {
			t.Error(err)
		}
		kept <- event
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { k.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	request := events.Kept{AppID: appID, Reason: "stale", Source: "192.0.2.1", ReceivedAt: time.Now(), Body: "a=b"}
	signed := request
	signed.Proof = event(1).Proof
	if err := k.Quarantine(t.Context(), signed); err != nil {
		t.Error(err)
	}
	if got := <-kept; got != stream.KeptQuarantine {
		t.Errorf("quarantine: %s", got)
	}
	k.Reject(request)
	select {
	case got := <-kept:
		if got != stream.KeptReject {
			t.Errorf("reject: %s", got)
		}
	case <-time.After(limit):
		t.Error("the reject was not written")
	}
}

// makeConsumers is what README.md tells an operator to do for each consumer.
func (d deployed) makeConsumers(t *testing.T) {
	t.Helper()
	p := d.person(t, "provision")
	for name, filter := range map[string]string{stream.Events: "alipay.events.>", stream.Replays: "alipay.replays.orders.>"} {
		if _, err := p.js.CreateConsumer(t.Context(), name, jetstream.ConsumerConfig{
			Durable: "orders", FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 10,
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPermissionsConsumer(t *testing.T) {
	d := startDeployed(t)
	d.makeConsumers(t)
	receiver, replayer := d.client(t, "receiver"), d.person(t, "replayer")
	publish(t, receiver.NewPublisher(), event(1))
	for _, subject := range []string{"alipay.replays.orders.2021.voucher.created.k", "alipay.replays.stock.2021.voucher.created.k"} {
		if _, err := replayer.js.Publish(t.Context(), subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	p := d.person(t, "orders")
	t.Run("reads and acknowledges its own", func(t *testing.T) {
		for name, want := range map[string]string{stream.Events: event(1).Subject, stream.Replays: "alipay.replays.orders.2021.voucher.created.k"} {
			consumer, err := p.js.Consumer(t.Context(), name, "orders")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			msg, err := consumer.Next(jetstream.FetchMaxWait(limit))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if msg.Subject() != want {
				t.Errorf("%s gives %s", name, msg.Subject())
			}
			if err := msg.Nak(); err != nil {
				t.Error(err)
			}
			if msg, err = consumer.Next(jetstream.FetchMaxWait(limit)); err != nil {
				t.Fatalf("%s after a nak: %v", name, err)
			}
			if err := msg.DoubleAck(t.Context()); err != nil {
				t.Errorf("%s: ack: %v", name, err)
			}
			if info, err := consumer.Info(t.Context()); err != nil || info.NumPending != 0 || info.NumAckPending != 0 {
				t.Errorf("%s: something is left for orders: %+v, %v", name, info, err)
			}
		}
		if err := p.wait(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("points to what it gives up", func(t *testing.T) {
		before := messages(t, replayer.js, stream.DLQ)
		for _, name := range []string{stream.Events, stream.Replays} {
			ack, err := p.js.Publish(t.Context(), "ALIPAY.DLQ."+name+".orders", []byte(`{"stream_seq":1,"deliveries":1,"reason":"r"}`))
			if err != nil || ack.Stream != stream.DLQ {
				t.Errorf("%s: %+v, %v", name, ack, err)
			}
		}
		if got := messages(t, replayer.js, stream.DLQ); got != before+2 {
			t.Errorf("%s had %d messages and has %d", stream.DLQ, before, got)
		}
	})
	t.Run("and nothing else", func(t *testing.T) {
		p.mayNotPublish(t, nobody()...)
		p.mayNotPublish(t,
			"ALIPAY.DLQ.ALIPAY_EVENTS.stock", "ALIPAY.DLQ.ALIPAY_AUDIT.orders",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.orders", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.stock",
			event(2).Subject, "alipay.replays.orders.x", "alipay.replays.stock.x", "alipay.inferred.1.x", "alipay.quarantine.1.x",
			"alipay.rejects.1.x", "alipay.audit._.x.y", "$KV.ALIPAY_KEYS.k1", "$KV.ALIPAY_JOBS.x",
			"$JS.API.CONSUMER.CREATE.ALIPAY_EVENTS.orders", "$JS.API.CONSUMER.CREATE.ALIPAY_EVENTS.orders.alipay.events.>",
			"$JS.API.CONSUMER.DURABLE.CREATE.ALIPAY_EVENTS.orders", "$JS.API.CONSUMER.CREATE.ALIPAY_REPLAYS.x.alipay.replays.>",
			"$JS.API.CONSUMER.DELETE.ALIPAY_EVENTS.orders", "$JS.API.CONSUMER.PAUSE.ALIPAY_EVENTS.orders", "$JS.API.CONSUMER.RESET.ALIPAY_EVENTS.orders",
			"$JS.API.CONSUMER.MSG.NEXT.ALIPAY_EVENTS.stock", "$JS.API.CONSUMER.INFO.ALIPAY_EVENTS.stock",
			"ALIPAY.API.CONSUMER.MSG.NEXT.ALIPAY_EVENTS.stock", "ALIPAY.API.CONSUMER.CREATE.ALIPAY_EVENTS.orders",
			"$JS.ACK.ALIPAY_EVENTS.stock.1.1.1.1.1", "$JS.ACK.ALIPAY_AUDIT.orders.1.1.1.1.1",
			"$JS.API.STREAM.INFO.ALIPAY_EVENTS", "$JS.API.STREAM.MSG.GET.ALIPAY_EVENTS", "$JS.API.DIRECT.GET.KV_ALIPAY_KEYS.x",
			"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.ALIPAY_EVENTS", "$JS.API.INFO",
			"_INBOX.spoofed.ack")
		testReplySubjects(t, d, p)
		p.mayNotSubscribe(t, "alipay.>", "alipay.events.>", "alipay.replays.stock.>", ">", "$JS.>", "$KV.>", "ALIPAY.>")
	})
}

// A pull request names the subject of its answers, and no permission covers that.
// In the account of the streams a consumer that may do no more than pull could so
// have the server store forged events, audit records and keys. Its account of its
// own is what prevents it.
func testReplySubjects(t *testing.T, d deployed, p person) {
	t.Helper()
	operator := d.person(t, "replayer")
	var before []uint64
	count := func() (all []uint64) {
		for _, name := range d.layout.Names() {
			all = append(all, messages(t, operator.js, name))
		}
		return all
	}
	if _, err := operator.js.Publish(t.Context(), "alipay.replays.orders.x", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	before = count()
	for _, reply := range []string{"alipay.events.1.voucher.created.k", "alipay.audit._.x.y", "$KV.ALIPAY_KEYS.k1", "$JS.API.STREAM.PURGE.ALIPAY_REJECTS"} {
		for _, name := range []string{stream.Events, stream.Replays} {
			if err := p.nc.PublishMsg(&nats.Msg{
				Subject: "ALIPAY.API.CONSUMER.MSG.NEXT." + name + ".orders", Reply: reply, Data: []byte(`{"batch":1,"no_wait":true}`),
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.wait(t); err != nil {
		t.Fatalf("the request itself is denied: %v", err)
	}
	// Each consumer answers in order: what it says to this comes behind the rest.
	for _, name := range []string{stream.Events, stream.Replays} {
		inbox, err := p.nc.SubscribeSync(nats.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.nc.PublishRequest("ALIPAY.API.CONSUMER.MSG.NEXT."+name+".orders", inbox.Subject, []byte(`{"batch":1,"no_wait":true}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := inbox.NextMsg(limit); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if after := count(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the messages of %v were %v and are %v", d.layout.Names(), before, after)
	}
}

func TestPermissionsReplayer(t *testing.T) {
	d := startDeployed(t)
	receiver := d.client(t, "receiver")
	publish(t, receiver.NewPublisher(), event(1))
	if err := receiver.RememberKey(t.Context(), "k1", []byte("key")); err != nil {
		t.Fatal(err)
	}
	keepBoth(t, receiver)
	t.Run("reads everything, and records", func(t *testing.T) {
		c := d.client(t, "replayer")
		if diffs := check(t, c, d.layout); len(diffs) != 0 {
			t.Errorf("the layout: %v", diffs)
		}
		for _, subject := range []string{"alipay.audit._.replay.job1", "alipay.audit._.replay.job1"} {
			if err := c.Record(t.Context(), subject, "audit:1", []byte("{}")); err != nil {
				t.Error(err)
			}
		}
		for name, filters := range map[string][]string{
			stream.Events: nil, stream.Audit: {"alipay.audit.>"}, stream.Quarantine: {"alipay.quarantine.1.>", "alipay.quarantine." + appID + ".>"}, stream.Rejects: nil,
		} {
			n := 0
			if err := c.Read(t.Context(), stream.ReadOptions{Stream: name, Subjects: filters}, func(events.Stored) error { n++; return nil }); err != nil || n != 1 {
				t.Errorf("%s: read %d, %v", name, n, err)
			}
			if _, err := c.Get(t.Context(), name, 1); err != nil {
				t.Errorf("%s: get: %v", name, err)
			}
		}
		if got, err := d.client(t, "replayer").RememberedKey(t.Context(), "k1"); err != nil || string(got) != "key" {
			t.Errorf("remembered key: %q, %v", got, err)
		}
		for _, name := range []string{stream.Quarantine, stream.Rejects} { // what was released
			if err := c.Remove(t.Context(), name, 1); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("publishes what an operator decides", func(t *testing.T) {
		p := d.person(t, "replayer")
		for _, subject := range []string{event(1).Subject, "alipay.replays.orders.x", "alipay.inferred.1.voucher.created.k"} {
			if _, err := p.js.Publish(t.Context(), subject, nil); err != nil {
				t.Errorf("%s: %v", subject, err)
			}
		}
		for _, bucket := range []string{stream.JobsBucket, stream.ExpectBucket} {
			testBucket(t, p, bucket)
		}
		if err := p.wait(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("and nothing else", func(t *testing.T) {
		p := d.person(t, "replayer")
		p.mayNotPublish(t, nobody()...)
		p.mayNotPublish(t, "alipay.quarantine.1.x", "alipay.rejects.1.x", "$KV.ALIPAY_KEYS.k1", "$JS.API.CONSUMER.DURABLE.CREATE.ALIPAY_EVENTS.x")
		// A stream that an operator's key could change would be an archive without
		// its guards: applying the layout is another user's.
		p.mayNotPublish(t, "$JS.API.STREAM.CREATE.ALIPAY_EVENTS", "$JS.API.STREAM.UPDATE.ALIPAY_EVENTS", "$JS.API.STREAM.DELETE.ALIPAY_EVENTS", "$JS.API.STREAM.PURGE.ALIPAY_EVENTS", "$JS.API.STREAM.MSG.DELETE.ALIPAY_EVENTS")
		// A stream that an operator's account could change would be an archive
		// without its guards: applying the layout is another user's.
		for _, action := range []string{"CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE"} {
			p.mayNotPublish(t, "$JS.API.STREAM."+action+".ALIPAY_EVENTS")
		}
		p.mayNotSubscribe(t, "alipay.events.>", ">", "$JS.>")
	})
}

// testBucket keeps a checkpoint as a replay does.
func testBucket(t *testing.T, p person, name string) {
	t.Helper()
	bucket, err := p.js.KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := bucket.Create(t.Context(), "job1", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Update(t.Context(), "job1", []byte("2"), revision); err != nil {
		t.Error(err)
	}
	if got, err := bucket.Get(t.Context(), "job1"); err != nil || string(got.Value()) != "2" {
		t.Errorf("%s: %v, %v", name, got, err)
	}
	if keys, err := bucket.Keys(t.Context()); err != nil || fmt.Sprint(keys) != "[job1]" {
		t.Errorf("%s: %v, %v", name, keys, err)
	}
	if err := bucket.Delete(t.Context(), "job1"); err != nil {
		t.Error(err)
	}
}

func TestPermissionsProvision(t *testing.T) {
	d := startDeployed(t) // which it has provisioned already
	o := options()
	o.Redis, o.MaxAge = true, 40*day
	c := d.client(t, "provision")
	provision(t, c, stream.NewLayout(o))
	if diffs := check(t, c, stream.NewLayout(o)); len(diffs) != 0 {
		t.Errorf("the layout: %v", diffs)
	}
	d.makeConsumers(t)
	p := d.person(t, "provision")
	p.mayNotPublish(t, nobody()...)
	p.mayNotPublish(t, event(1).Subject, "alipay.audit._.x.y", "alipay.replays.orders.x", "$KV.ALIPAY_KEYS.k1",
		"$JS.API.CONSUMER.DELETE.ALIPAY_EVENTS.orders", "$JS.API.CONSUMER.CREATE.ALIPAY_AUDIT.x", "$JS.API.STREAM.MSG.GET.ALIPAY_EVENTS")
	p.mayNotSubscribe(t, "alipay.>", ">")
}

func TestPermissionsNobodyWithoutAPassword(t *testing.T) {
	d := startDeployed(t)
	for _, u := range []string{"nats://" + d.server.Addr().String(), "nats://receiver:wrong@" + d.server.Addr().String()} {
		if nc, err := nats.Connect(u, nats.MaxReconnects(0)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", u, err)
			if err == nil {
				nc.Close()
			}
		}
	}
}
