package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// standIn answers publishes in the stream's place, in its own time.
func standIn(t *testing.T, answer func(*nats.Msg)) (*server.Server, *stream.Client) {
	t.Helper()
	s := startServer(t, func(o *server.Options) { o.JetStream = false })
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("alipay.events.>", answer); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s, connect(t, stream.ConnectOptions{URL: s.ClientURL()})
}

func ackOf(sequence int) []byte {
	return fmt.Appendf(nil, `{"stream":"ALIPAY_EVENTS","seq":%d}`, sequence)
}

// An answer that comes after its caller has left belongs to nobody. Taken for that
// of the next publish it would acknowledge an event that is not stored.
func TestInboxLateAnswer(t *testing.T) {
	arrived := make(chan *nats.Msg, 10)
	_, c := standIn(t, func(m *nats.Msg) { arrived <- m })
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := c.PublishAcked(ctx, event(1), limit); left <- err }()
	first := <-arrived
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	second := make(chan uint64)
	go func() {
		ack, err := c.PublishAcked(t.Context(), event(2), limit)
		if err != nil {
			t.Error(err)
		}
		second <- ack.Sequence
	}()
	m := <-arrived
	for _, late := range []error{first.Respond(ackOf(1)), first.Respond(ackOf(1)), m.Respond(ackOf(2)), m.Respond(ackOf(3))} {
		if late != nil {
			t.Fatal(late)
		}
	}
	if got := <-second; got != 2 {
		t.Errorf("the second event was told of sequence %d", got)
	}
	if n := c.Unanswered(); n != 0 {
		t.Errorf("%d are still waited for", n)
	}
}

// Many at once, some of whom leave: each gets its own answer or none.
func TestInboxEachItsOwn(t *testing.T) {
	var held sync.Map
	_, c := standIn(t, func(m *nats.Msg) {
		var n int
		if _, err := fmt.Sscanf(m.Header.Get(events.HeaderID), "2024010100222%06d", &n); err != nil {
			t.Error(err)
		}
		if n%5 == 0 {
			held.Store(n, m) // answered after its caller has left
			return
		}
		if err := m.Respond(ackOf(n)); err != nil {
			t.Error(err)
		}
	})
	var wg sync.WaitGroup
	for n := 1; n <= 400; n++ {
		wg.Go(func() {
			timeout := limit
			if n%5 == 0 {
				timeout = 20 * time.Millisecond
			}
			ack, err := c.PublishAcked(t.Context(), event(n), timeout)
			switch {
			case n%5 == 0 && !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("%d: %v, %v; want no answer", n, ack, err)
			case n%5 != 0 && (err != nil || ack.Sequence != uint64(n)): //nolint:gosec // small
				t.Errorf("%d: %v, %v", n, ack, err)
			}
			if m, ok := held.Load(n); ok {
				m.(*nats.Msg).Respond(ackOf(n)) //nolint:errcheck // too late in any case
			}
		})
	}
	wg.Wait()
	if n := c.Unanswered(); n != 0 {
		t.Errorf("%d are still waited for", n)
	}
}

// Whoever waits when the connection is lost is told at once: with a claim, a slot
// and a sender behind each, nobody can wait for what will hardly come. It is not
// told that the event was not stored, and nothing counts as a missed answer.
func TestInboxConnectionLost(t *testing.T) {
	arrived := make(chan *nats.Msg, 1)
	s, c := standIn(t, func(m *nats.Msg) { arrived <- m })
	failed := make(chan error)
	go func() { _, err := c.PublishAcked(t.Context(), event(1), limit); failed <- err }()
	<-arrived
	began := time.Now()
	stopServer(s)
	err := <-failed
	if !errors.Is(err, nats.ErrDisconnected) || fault.KindOf(stream.Classify(err)) != fault.Uncertain {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > limit/2 {
		t.Errorf("it took %v", took)
	}
	// Now the library takes nothing, and says so.
	if _, err := c.PublishAcked(t.Context(), event(2), limit); !errors.Is(err, nats.ErrReconnectBufExceeded) || fault.KindOf(stream.Classify(err)) != fault.Unavailable {
		t.Errorf("without a connection: %v", err)
	}
	c.Close()
	if _, err := c.PublishAcked(t.Context(), event(3), limit); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestParseAck(t *testing.T) {
	plain := func(sequence uint64) jetstream.PubAck {
		return jetstream.PubAck{Stream: stream.Events, Sequence: sequence}
	}
	duplicate := plain(7)
	duplicate.Duplicate = true
	domain := plain(7)
	domain.Domain = "hub"
	for data, want := range map[string]jetstream.PubAck{
		`{"stream":"ALIPAY_EVENTS","seq":12}`:                        plain(12),
		`{"stream":"ALIPAY_EVENTS", "seq":12}`:                       plain(12),
		`{"stream":"ALIPAY_EVENTS","seq":18446744073709551615}`:      plain(1<<64 - 1),
		`{"stream":"ALIPAY_EVENTS","seq":7,"duplicate": true}`:       duplicate,
		`{"stream":"ALIPAY_EVENTS", "domain":"hub", "seq":7}`:        domain,
		`{"duplicate":true,"seq":7,"stream":"ALIPAY_EVENTS"}`:        duplicate,
		`{"stream":"OTHER","seq":12}`:                                {Stream: "OTHER", Sequence: 12},
		`{"type":"io.nats","stream":"ALIPAY_EVENTS","seq":12,"x":1}`: plain(12),
	} {
		if got, err := stream.ParseAck(&nats.Msg{Data: []byte(data)}); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, %v", data, got, err)
		}
	}
	for data, want := range map[string]error{
		"":                                    jetstream.ErrInvalidJSAck,
		"+OK":                                 jetstream.ErrInvalidJSAck,
		"{}":                                  jetstream.ErrInvalidJSAck,
		`{"stream":"ALIPAY_EVENTS","seq":-1}`: jetstream.ErrInvalidJSAck,
		`{"stream":"ALIPAY_EVENTS","seq":1}}`: jetstream.ErrInvalidJSAck,
		`{"stream":"ALIPAY_EVENTS","seq":18446744073709551616}`: jetstream.ErrInvalidJSAck,
	} {
		if got, err := stream.ParseAck(&nats.Msg{Data: []byte(data)}); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", data, got, err)
		}
	}
	_, err := stream.ParseAck(&nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"ALIPAY_EVENTS","seq":0}`)})
	if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.ErrorCode != 10077 {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := stream.ParseAck(&nats.Msg{Header: nats.Header{"Status": {"503"}}}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody listens: %v", err)
	}
}
