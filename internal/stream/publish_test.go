package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
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

// expect publishes what must not be stored, and soon.
func expect(tb testing.TB, p *stream.Publisher, e events.Event, kind fault.Kind, within time.Duration) error {
	tb.Helper()
	began := time.Now()
	r, err := p.Publish(tb.Context(), e)
	if fault.KindOf(err) != kind {
		tb.Errorf("got %+v, %v (%s), want %s", r, err, fault.KindOf(err), kind)
	}
	if took := time.Since(began); took > within {
		tb.Errorf("it took %v, want at most %v", took, within)
	}
	return err
}

const atOnce = time.Second

func TestPublishStoresTheEvent(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	e := event(1)
	e.Unasked, e.Key = true, "活动 1\r\nNats-Msg-Id: x"
	r := publish(t, p, e)
	s, err := f.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Receipt{Sequence: 1, Place: fmt.Sprintf("%d/1/%s", s.CachedInfo().Created.UnixNano(), e.Fingerprint[:16])}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	raw, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	header, err := e.Header()
	if err != nil {
		t.Fatal(err)
	}
	wantHeader := nats.Header{}
	for name, value := range header {
		wantHeader[name] = []string{value}
	}
	if diff := cmp.Diff(wantHeader, raw.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if raw.Subject != e.Subject || !bytes.Equal(raw.Data, e.Data) {
		t.Errorf("stored %s %s", raw.Subject, raw.Data)
	}
	if got, err := p.Fingerprint(t.Context(), 1); err != nil || got != e.Fingerprint {
		t.Errorf("fingerprint %q, %v", got, err)
	}
}

func prepare(tb testing.TB, p *stream.Publisher, e *events.Event) stream.Sending {
	tb.Helper()
	s, err := p.Prepare(tb.Context(), e)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Publishing in steps: nothing is sent before it begins, and that is once, whoever
// says so; what cannot be sent ends as it does in one step.
func TestPublishInSteps(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	e, other := event(1), event(2)
	sending := prepare(t, p, &e)
	if _, err := prepare(t, p, &other).Wait(t.Context()); err != nil { // it begins by itself
		t.Fatal(err)
	}
	if n := f.messages(t); n != 1 {
		t.Fatalf("%d messages are stored before it began", n)
	}
	var wg sync.WaitGroup
	done := make(chan struct{}, 1)
	for range 4 {
		wg.Go(func() { sending.Begin(done) })
	}
	<-done
	wg.Wait()
	if r, err := sending.Wait(t.Context()); err != nil || r.Sequence != 2 || r.Duplicate {
		t.Errorf("got %+v, %v", r, err)
	}
	if n := f.messages(t); n != 2 {
		t.Errorf("%d messages are stored", n)
	}

	third := event(3)
	sending = prepare(t, p, &third)
	why := errors.New("ALIPAY_EVENTS: storage is Memory")
	p.Suspend(why)
	sending.Begin(done)
	<-done
	if _, err := sending.Wait(t.Context()); !errors.Is(err, why) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	if _, err := p.Prepare(t.Context(), &third); !errors.Is(err, why) {
		t.Errorf("prepared while suspended: %v", err)
	}
	if n := f.messages(t); n != 2 {
		t.Errorf("%d messages are stored", n)
	}
}

// Whoever has been woken may use his channel for something else at once. So what ends
// says so first and wakes then; the other way round whoever waits for it might still take
// what is sent to the channel's next user.
func TestPublishEndsBeforeItWakes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	e := event(1)
	sending := prepare(t, f.client.NewPublisher(), &e)
	done := make(chan struct{}) // without room: its end stops where it wakes somebody
	sending.Begin(done)
	eventually(t, "the publish has ended", func() bool { return stream.Over(sending) })
	if r, err := sending.Wait(t.Context()); err != nil || r.Sequence != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	select {
	case <-done:
	case <-time.After(limit):
		t.Error("Wait took what was another's")
	}
}

// Without a subscription nobody hears the stream's answers: what was sent all the
// same would be stored and answered "uncertain". It was; now nothing is sent, and
// the next event tries to subscribe again. The subscription is made while nobody
// holds a claim yet, since it may wait for a connection that is busy.
func TestPublishWithoutASubscription(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	mend := f.client.BreakAnswers()
	e := event(1)
	expect(t, p, e, fault.Unavailable, atOnce)
	if n := f.messages(t); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
	mend()
	before := f.client.Subscriptions()
	sending := prepare(t, p, &e)
	if n := f.client.Subscriptions(); n != before+1 {
		t.Errorf("%d subscriptions more before it begins", n-before)
	}
	if _, err := sending.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A claim that found a commit asks whether that still holds, and so may be the
// first to learn that the stream was made anew. The event that is then sent was
// prepared before: with the old life in its place, its commit would never hold,
// and a late retry would be stored twice.
func TestPublishInStepsAcrossLives(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	old := publish(t, p, event(1))
	again := event(1)
	sending := prepare(t, p, &again)
	if err := f.js.DeleteStream(t.Context(), stream.Events); err != nil {
		t.Fatal(err)
	}
	provision(t, f.client, f.layout)
	if held, err := p.Holds(t.Context(), old.Place); held || err != nil {
		t.Fatalf("held %v, %v", held, err)
	}
	r, err := sending.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if held, err := p.Holds(t.Context(), r.Place); !held || err != nil {
		t.Errorf("held %v, %v: what was just stored", held, err)
	}
}

// A stream that cannot be asked what it is has not failed to confirm an event: none
// was sent. Three of those made the publisher believe that it had, so that good
// events were refused once the stream was back.
func TestPublishUnaskedIsNotUnconfirmed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	line.mute.Store(true)
	p := c.NewPublisher()
	var wg sync.WaitGroup
	for n := range stream.SilentAfter {
		wg.Go(func() {
			e := event(n)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := p.Prepare(ctx, &e); fault.ReasonOf(err) != "no_stream" {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if err := p.Silent(); err != nil {
		t.Error(err)
	}
	p.Suspend(errors.New("not checked yet"))
	expect(t, p, event(9), fault.Unavailable, atOnce) // and that is said before anything is asked
}

func TestPublishDuplicate(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	publish(t, p, event(1))
	first := publish(t, p, event(2))
	publish(t, p, event(3))
	again := event(2)
	again.Data = []byte(`{"other":true}`) // the id decides, and the caller compares
	got := publish(t, p, again)
	want := events.Receipt{Sequence: first.Sequence, Duplicate: true, Place: first.Place}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := f.messages(t); n != 3 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestPublishSuspended(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	why := errors.New("ALIPAY_EVENTS: storage is Memory")
	p.Suspend(why)
	if err := expect(t, p, event(1), fault.Unavailable, atOnce); !errors.Is(err, why) || fault.ReasonOf(err) != "layout" {
		t.Errorf("got %v (%s)", err, fault.ReasonOf(err))
	}
	if !errors.Is(p.Suspended(), why) || f.messages(t) != 0 {
		t.Errorf("suspended: %v, stored: %d", p.Suspended(), f.messages(t))
	}
	p.Suspend(nil)
	publish(t, p, event(1))
}

// What is refused while the server is away must not be stored later: Alipay was
// told to come again, and comes perhaps after the window has forgotten the id.
func TestPublishWhileDisconnected(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(o *server.Options) { o.StoreDir = dir })
	port := s.Addr().(*net.TCPAddr).Port
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	provision(t, c, stream.NewLayout(options()))
	p := c.NewPublisher()
	before := publish(t, p, event(1))

	stopServer(s)
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	for n := range 20 {
		if err := expect(t, p, event(100+n), fault.Unavailable, atOnce); fault.ReasonOf(err) != "disconnected" {
			t.Fatalf("reason %q", fault.ReasonOf(err))
		}
	}
	if _, err := p.Holds(t.Context(), before.Place); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Holds without a server: %v", err)
	}
	if _, err := p.Fingerprint(t.Context(), 1); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Fingerprint without a server: %v", err)
	}

	s = startServer(t, func(o *server.Options) { o.StoreDir, o.Port = dir, port })
	eventually(t, "the client is back", c.Connected)
	after := publish(t, p, event(2))
	if after.Sequence != 2 {
		t.Errorf("the next event is at %d: something was sent behind our back", after.Sequence)
	}
	if n := messages(t, admin(t, s.ClientURL()), stream.Events); n != 2 {
		t.Errorf("%d messages are stored", n)
	}
	if ok, err := p.Holds(t.Context(), before.Place); !ok || err != nil {
		t.Errorf("the place no longer holds: %v, %v", ok, err)
	}
}

func TestPublishNeverConnected(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() //nolint:errcheck // a port that nobody listens on
	c := connect(t, stream.ConnectOptions{URL: "nats://" + l.Addr().String(), Wait: true})
	if c.Connected() {
		t.Fatal("connected to nobody")
	}
	expect(t, c.NewPublisher(), event(1), fault.Unavailable, atOnce)
	if err := c.Drain(t.Context()); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestPublishNoStream(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	publish(t, p, event(1))
	if err := f.js.DeleteStream(t.Context(), stream.Events); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*stream.Publisher{"known": p, "new": f.client.NewPublisher()} {
		if err := expect(t, p, event(2), fault.Unavailable, atOnce); fault.ReasonOf(err) != "no_stream" {
			t.Errorf("%s publisher: reason %q of %v", name, fault.ReasonOf(err), err)
		}
	}
}

func TestPublishFull(t *testing.T) {
	f := newFixture(t)
	c := golden()[0]
	c.MaxBytes = 5000
	if _, err := f.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p := f.client.NewPublisher()
	stored := uint64(0)
	for n := 1; ; n++ {
		if _, err := p.Publish(t.Context(), event(n)); err != nil {
			if fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != "refused_by_stream" {
				t.Errorf("a full stream: %v (%s)", err, fault.KindOf(err))
			}
			break
		}
		stored++
	}
	if n := f.messages(t); n != stored || n == 0 {
		t.Errorf("%d were acknowledged, %d are stored", stored, n)
	}
}

func TestPublishTooLarge(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	large := event(1)
	large.Data = bytes.Repeat([]byte("x"), 2<<20) // over the server's max_payload
	expect(t, p, large, fault.TooLarge, atOnce)

	c := golden()[0]
	c.MaxMsgSize = 10_000
	if _, err := f.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	large.Data = bytes.Repeat([]byte("x"), 20_000) // over the stream's max_msg_size
	expect(t, p, large, fault.TooLarge, atOnce)

	random := event(2)
	raw := make([]byte, 80_000)
	rand.NewChaCha8([32]byte{}).Read(raw) //nolint:errcheck // it never fails
	random.Raw = string(raw)
	if err := expect(t, p, random, fault.TooLarge, atOnce); fault.ReasonOf(err) != "raw_too_large" {
		t.Errorf("a request that fits no header: %v", err)
	}
	if n := f.messages(t); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
	if !f.client.Connected() {
		t.Error("the server has closed the connection")
	}
}

// A server that takes the event, and whose word is lost: nobody knows, and the
// answer must say so, within the deadline. The next delivery is a duplicate.
func TestPublishAckLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	p := c.NewPublisher()
	publish(t, p, event(1))
	line.mute.Store(true)
	expect(t, p, event(2), fault.Uncertain, 4*time.Second)
	eventually(t, "the event is stored all the same", func() bool { return f.messages(t) == 2 })

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, event(3)); fault.KindOf(err) != fault.Uncertain {
		t.Errorf("a caller that has less time: %v", err)
	}

	line.mute.Store(false)
	line.cut()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	eventually(t, "the client is back", c.Connected)
	if r := publish(t, p, event(2)); !r.Duplicate || r.Sequence != 2 {
		t.Errorf("the next delivery: %+v", r)
	}
}

// A connection that was closed while the answer was awaited was reported as
// "it certainly did not happen", although the event was stored.
func TestPublishClosedWhileWaiting(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	p := c.NewPublisher()
	publish(t, p, event(1))
	line.mute.Store(true)
	failed := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.WithoutCancel(t.Context()), event(2))
		failed <- err
	}()
	eventually(t, "the event is stored", func() bool { return f.messages(t) == 2 })
	c.Close()
	if err := <-failed; fault.KindOf(err) != fault.Uncertain {
		t.Errorf("got %v (%s): it is stored", err, fault.KindOf(err))
	}
	expect(t, p, event(3), fault.Unavailable, atOnce)
}

// A server that no longer reads: the library writes with its lock held, for up to
// a minute by its default, and everybody waited for that, whatever time he had.
// Whoever begins to publish does so for a whole batch of claims, and must not wait
// at all: its first version asked whether we are connected, under that lock.
func TestPublishServerStopsReading(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	p := c.NewPublisher()
	publish(t, p, event(1))
	begin := make([]func(), 60)
	for n := range begin {
		e := event(1000 + n)
		s := prepare(t, p, &e)
		begin[n] = func() { s.Begin(make(chan struct{}, 1)) }
	}
	line.deaf.Lock()
	t.Cleanup(line.deaf.Unlock)

	const count = 150 // of 200 KB: more than the sockets between them hold
	data := fmt.Appendf(nil, `{"activity_id":"1","remark":%q}`, strings.Repeat("x", 200<<10))
	failed := make(chan error, count)
	for n := range count {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2300*time.Millisecond)
			defer cancel()
			e := event(2 + n)
			e.Data = data
			_, err := p.Publish(ctx, e)
			failed <- err
		}()
	}
	end, tick, left := time.After(limit/2), time.NewTicker(20*time.Millisecond), count
	defer tick.Stop()
	for left > 0 {
		select {
		case <-tick.C:
			if len(begin) == 0 {
				continue
			}
			began := time.Now()
			begin[0]()
			if took := time.Since(began); took > 300*time.Millisecond {
				t.Errorf("it took %v to begin", took)
			}
			begin = begin[1:]
		case err := <-failed:
			left--
			if kind := fault.KindOf(err); kind != fault.Uncertain && kind != fault.Unavailable {
				t.Fatalf("got %v (%s)", err, kind)
			}
		case <-end:
			t.Fatalf("publishes of 2.3 s still wait after %v", limit/2)
		}
	}
}

// The first publish asks which stream it is. A server that does not answer cost
// it five seconds of the library's own, more than all the rest may take.
func TestPublishFirstQuestionIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	line.mute.Store(true)
	expect(t, c.NewPublisher(), event(1), fault.Unavailable, 4*time.Second)
	if n := f.messages(t); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestClassify(t *testing.T) {
	api := func(code jetstream.ErrorCode) error {
		return fmt.Errorf("nats: %w", &jetstream.APIError{Code: 400, ErrorCode: code, Description: "x"})
	}
	for name, tt := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"the same id in process":   {api(10158), fault.InFlight},
		"message too large":        {api(10054), fault.TooLarge},
		"headers too large":        {api(10097), fault.TooLarge},
		"stream full":              {api(10077), fault.Unavailable},
		"stream sealed":            {api(10109), fault.Unavailable},
		"no space":                 {api(10047), fault.Unavailable},
		"payload over the server":  {nats.ErrMaxPayload, fault.TooLarge},
		"no responders":            {nats.ErrNoResponders, fault.Unavailable},
		"no stream":                {jetstream.ErrNoStreamResponse, fault.Unavailable},
		"not sent":                 {nats.ErrReconnectBufExceeded, fault.Unavailable},
		"draining":                 {nats.ErrConnectionDraining, fault.Unavailable},
		"closed, sent or not":      {nats.ErrConnectionClosed, fault.Uncertain},
		"cut off, sent or not":     {nats.ErrDisconnected, fault.Uncertain},
		"no time":                  {context.DeadlineExceeded, fault.Uncertain},
		"caller gone":              {context.Canceled, fault.Uncertain},
		"timeout":                  {nats.ErrTimeout, fault.Uncertain},
		"an answer that is no ack": {jetstream.ErrInvalidJSAck, fault.Uncertain},
		"anything else":            {errors.New("x"), fault.Uncertain},
	} {
		if got := stream.Classify(tt.err); fault.KindOf(got) != tt.want || !errors.Is(got, tt.err) {
			t.Errorf("%s: got %s, want %s", name, fault.KindOf(got), tt.want)
		}
	}
}

func TestPublishConcurrently(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	const workers, each = 16, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	first := map[uint64]string{}
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				// Every event twice, from two workers at once.
				e := event(w/2*each + n)
				r, err := p.Publish(t.Context(), e)
				if err != nil && fault.KindOf(err) != fault.InFlight {
					t.Errorf("%s: %v", e.ID, err)
					continue
				}
				mu.Lock()
				if id, known := first[r.Sequence]; err == nil && known && id != e.ID {
					t.Errorf("sequence %d is of %s and %s", r.Sequence, id, e.ID)
				}
				first[r.Sequence] = e.ID
				mu.Unlock()
				if n%10 == 0 {
					p.Suspend(nil)
					if _, err := p.Holds(t.Context(), r.Place); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := f.messages(t); n != workers/2*each {
		t.Errorf("%d messages are stored, want %d", n, workers/2*each)
	}
}
