package stream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// The server's own limit of disk (or the account's) lies behind everything that a
// probe can ask: each event was answered 503, and the receiver said that it was
// ready.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *server.Options) { o.JetStreamMaxStore = 1 << 20 })
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	js := admin(t, s.ClientURL())
	for _, g := range golden() {
		g.MaxBytes = -1
		if _, err := js.CreateStream(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "filler", make([]byte, 500<<10)); err != nil {
		t.Fatal(err)
	}
	p := c.NewPublisher()
	large := func(n int) events.Event {
		e := event(n)
		e.Data = fmt.Appendf(nil, `{"x":%q}`, strings.Repeat("x", 100<<10))
		return e
	}
	for n := 0; ; n++ {
		if n == 100 {
			t.Fatal("it took 10 MB")
		}
		if _, err := p.Publish(t.Context(), large(n)); fault.ReasonOf(err) == "refused_by_stream" {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Probe(t.Context()); err != nil {
		t.Errorf("the probe sees it: %v; then Refused is not needed", err)
	}
	if r := publish(t, p, large(0)); !r.Duplicate {
		t.Errorf("got %+v, want a duplicate", r)
	}
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "insufficient") {
		t.Errorf("ready: %v", err)
	}
	if err := js.DeleteStream(t.Context(), "FILLER"); err != nil {
		t.Fatal(err)
	}
	publish(t, p, large(200))
	if err := p.Ready(t.Context()); err != nil {
		t.Errorf("an event was stored since: %v", err)
	}
}

// A stream that is full by its own limit is what a probe sees: once there is room,
// nothing else keeps the receiver from being ready.
func TestRefusedAsTheProbeSees(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.client.NewPublisher()
	full := golden()[0]
	full.MaxBytes = 1
	if _, err := f.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	expect(t, p, event(1), fault.Unavailable, atOnce)
	if err := p.Ready(t.Context()); !errors.Is(err, stream.ErrFull) {
		t.Errorf("ready: %v", err)
	}
	if _, err := f.js.UpdateStream(t.Context(), golden()[0]); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Errorf("there is room: %v", err)
	}
}

// Refusals count for half a minute, and those of one event alone not at all.
func TestRefusedIsForgotten(t *testing.T) {
	t.Parallel()
	var r stream.Refusals
	now := time.Now()
	r.Heard(false, fault.Errorf(fault.TooLarge, "message_too_large", "too large"), now)
	if err := r.Since(now); err != nil {
		t.Errorf("too large: %v", err)
	}
	r.Heard(false, fault.Errorf(fault.Unavailable, "refused_by_stream", "no room"), now)
	if r.Since(now.Add(stream.RefusedFor-1)) == nil || r.Since(now.Add(stream.RefusedFor)) != nil {
		t.Error("it does not end when it should")
	}
	r.Heard(false, nil, now)
	if err := r.Since(now); err != nil {
		t.Errorf("one was stored: %v", err)
	}
}

// A probe finds what would keep an event from being stored, and leaves nothing
// behind.
func TestProbe(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	for range 3 {
		if err := f.client.Probe(t.Context()); err != nil {
			t.Errorf("an empty stream: %v", err)
		}
	}
	publish(t, p, event(1))
	if err := f.client.Probe(t.Context()); err != nil {
		t.Errorf("a stream with an event: %v", err)
	}
	if n := f.messages(t); n != 1 {
		t.Errorf("%d messages are stored, want the one", n)
	}
	s, err := f.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	if last := s.CachedInfo().State.LastSeq; last != 1 {
		t.Errorf("the last sequence is %d, want 1", last)
	}

	full := golden()[0]
	full.MaxBytes = 5000
	if _, err := f.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Probe(t.Context()); !errors.Is(err, stream.ErrFull) {
		t.Errorf("a full stream: %v", err)
	}
	full.MaxBytes, full.MaxMsgs = golden()[0].MaxBytes, 1
	if _, err := f.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, f.client, "takes that limit away")
	other := golden()[0]
	other.Subjects = []string{"alipay.events.2021000000000001.>"}
	if _, err := f.js.UpdateStream(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, f.client, "no leader, or is missing")
	if err := f.js.DeleteStream(t.Context(), stream.Events); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, f.client, "no leader, or is missing")
	stopServer(f.server)
	eventually(t, "the client notices", func() bool { return !f.client.Connected() })
	wantProbe(t, f.client, "not connected")
}

// Another stream that has taken our subjects answers as ours would.
func TestProbeOfAnotherStream(t *testing.T) {
	f := newFixture(t)
	if err := f.js.DeleteStream(t.Context(), stream.Events); err != nil {
		t.Fatal(err)
	}
	if _, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"alipay.events.>"}}); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, f.client, "expected stream does not match")
	if n := messages(t, f.js, "OTHER"); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func wantProbe(t *testing.T, c *stream.Client, want string) {
	t.Helper()
	began := time.Now()
	if err := c.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if took := time.Since(began); took > atOnce {
		t.Errorf("it took %v", took)
	}
}

// A stream that takes events and confirms none held every request for its whole
// time, until all slots were taken by requests that had no chance. After a few it
// is said at once, and one is tried from time to time.
func TestPublishSilentStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	p := c.NewPublisher()
	publish(t, p, event(1))
	if err := p.Silent(); err != nil {
		t.Errorf("a stream that answers: %v", err)
	}
	line.mute.Store(true)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	missed := make(chan error)
	for n := range stream.SilentAfter {
		go func() { _, err := p.Publish(short, event(2+n)); missed <- err }()
	}
	for range stream.SilentAfter {
		if err := <-missed; fault.KindOf(err) != fault.Uncertain {
			t.Errorf("got %v, want uncertain", err)
		}
	}
	if p.Silent() == nil {
		t.Error("it is not known to be silent")
	}
	err := expect(t, p, event(20), fault.Unavailable, 100*time.Millisecond)
	if fault.ReasonOf(err) != "no_acks" {
		t.Errorf("got %v", err)
	}
	if n := f.messages(t); n > 1+stream.SilentAfter {
		t.Errorf("%d are stored: what was refused was sent", n)
	}
	line.mute.Store(false)
	line.cut()
	eventually(t, "an event is tried, and confirmed", func() bool { _, err := p.Publish(t.Context(), event(21)); return err == nil })
	publish(t, p, event(22))
	if err := p.Silent(); err != nil {
		t.Errorf("after an answer: %v", err)
	}
}

// The trials of a silent stream, by the clock.
func TestAcks(t *testing.T) {
	var a stream.Acks
	now := time.Now()
	for n := range stream.SilentAfter {
		if !a.Allow(now) {
			t.Fatalf("refused after %d", n)
		}
		a.Miss(now)
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {999 * time.Millisecond, false}, {time.Second, true}, {time.Second, false}, {3 * time.Second, false}, {4 * time.Second, true}} {
		if got := a.Allow(now.Add(tt.after)); got != tt.want {
			t.Errorf("after %v: %v", tt.after, got)
		}
	}
	if !a.Silent(now.Add(9*time.Second)) || a.Silent(now.Add(10*time.Second)) {
		t.Error("silent for another time than 10 s")
	}
	a.Heard()
	if !a.Allow(now) || a.Silent(now) {
		t.Error("an answer does not end it")
	}
}

// A cluster of three that has lost two: nobody takes an event, and each probe
// says so in no time once the leader has stepped down.
func TestProbeWithoutQuorum(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the time of an election")
	}
	t.Parallel()
	servers := startCluster(t, 3)
	c := connect(t, stream.ConnectOptions{URL: servers[0].ClientURL()})
	o := options()
	o.Replicas = 3
	eventually(t, "the cluster has a leader", func() bool {
		changes, err := c.Plan(t.Context(), stream.NewLayout(o), 0)
		return err == nil && c.Apply(t.Context(), changes) == nil
	})
	p := c.NewPublisher()
	eventually(t, "the cluster takes an event", func() bool { _, err := p.Publish(t.Context(), event(1)); return err == nil })
	if err := c.Probe(t.Context()); err != nil {
		t.Errorf("with all: %v", err)
	}
	stopServer(servers[1])
	eventually(t, "two of three take an event", func() bool { _, err := p.Publish(t.Context(), event(2)); return err == nil })
	stopServer(servers[2])
	within(t, 4*limit, "the probe finds no quorum", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return c.Probe(ctx) != nil
	})
	if _, err := p.Publish(t.Context(), event(3)); err == nil {
		t.Error("one of three acknowledged an event")
	}
}

// startCluster starts JetStream servers that know each other. Each has to name
// the others' ports before it listens, so that these cannot be the kernel's
// choice at that moment; they were a moment before.
func startCluster(t *testing.T, n int) []*server.Server {
	t.Helper()
	var ports []int
	var routes []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var servers []*server.Server
	for i, port := range ports {
		servers = append(servers, startServer(t, func(o *server.Options) {
			o.ServerName = fmt.Sprint("n", i)
			o.Cluster.Name, o.Cluster.Host, o.Cluster.Port = "test", "127.0.0.1", port
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}))
	}
	return servers
}
