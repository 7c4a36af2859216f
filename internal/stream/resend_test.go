package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// resending keeps what a Resender settles, and watches that it is in order.
type resending struct {
	*stream.Resender
	tb testing.TB

	mu  sync.Mutex
	all []stream.Settled
}

func newResending(tb testing.TB, c *stream.Client, name string, window int) *resending {
	tb.Helper()
	r := &resending{tb: tb}
	var err error
	r.Resender, err = c.NewResender(stream.ResendOptions{Stream: name, Window: window, Settled: func(s stream.Settled) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, s)
		if s.Sequence != uint64(len(r.all)) {
			tb.Errorf("%d is settled as number %d", s.Sequence, len(r.all))
		}
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// send sends the messages first to last, under the ids of a job.
func (r *resending) send(ctx context.Context, job string, first, last int) error {
	for n := first; n <= last; n++ {
		header := map[string][]string{"Nats-Msg-Id": {fmt.Sprintf("replay:%s:%d", job, n)}}
		if err := r.Send(ctx, uint64(n), fmt.Sprintf("alipay.replays.orders.%d", n), header, []byte(strings.Repeat("x", 1000))); err != nil {
			return err
		}
	}
	return r.Flush(ctx)
}

func (r *resending) settled() []stream.Settled {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// TestResend: everything is stored once and in order, and what the stream has
// from the same job is known by its id.
func TestResend(t *testing.T) {
	f := newFixture(t)
	const n = 5000
	r := newResending(t, f.client, stream.Replays, 100)
	if err := r.send(t.Context(), "a", 1, n); err != nil {
		t.Fatal(err)
	}
	for i, s := range r.settled() {
		if s.StoredAt != uint64(i)+1 || s.Duplicate || s.Err != nil {
			t.Fatalf("%+v", s)
		}
	}
	again := newResending(t, f.client, stream.Replays, 100)
	if err := again.send(t.Context(), "a", 1, 300); err != nil {
		t.Fatal(err)
	}
	for i, s := range again.settled() {
		if s.StoredAt != uint64(i)+1 || !s.Duplicate || s.Err != nil {
			t.Fatalf("again: %+v", s)
		}
	}
	if err := newResending(t, f.client, stream.Replays, 100).send(t.Context(), "b", 1, 300); err != nil {
		t.Fatal(err)
	}
	if got := messages(t, f.js, stream.Replays); got != n+300 {
		t.Errorf("%d messages are stored, want those of a, and 300 of b", got)
	}
}

// TestResendOverACut: what was under way when the line broke is sent again under
// the same ids, and stored once.
func TestResendOverACut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	r := newResending(t, c, stream.Replays, 50)
	const n = 400
	var once sync.Once
	line.mute.Store(true) // the first window is stored, and its confirmations are lost
	go func() {
		within(t, limit, "the window is stored", func() bool { return messages(t, f.js, stream.Replays) == 50 })
		once.Do(func() {
			line.mute.Store(false)
			line.cut()
		})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := r.send(ctx, "a", 1, n); err != nil {
		t.Fatal(err)
	}
	duplicates := 0
	for _, s := range r.settled() {
		if s.Duplicate {
			duplicates++
		}
	}
	if got := messages(t, f.js, stream.Replays); got != n || len(r.settled()) != n || duplicates != 50 {
		t.Errorf("%d are stored, %d settled, %d of them duplicates", got, len(r.settled()), duplicates)
	}
}

// TestResendIntoAFullStream: nothing more is sent, and what was stored is known.
func TestResendIntoAFullStream(t *testing.T) {
	f := newFixture(t)
	s, err := f.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.MaxBytes = 100_000
	if _, err := f.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r := newResending(t, f.client, stream.Events, 20)
	for n := 1; err == nil && n <= 200; n++ {
		err = r.Send(t.Context(), uint64(n), fmt.Sprintf("alipay.events.1.a.b.%d", n), nil, []byte(strings.Repeat("x", 1000)))
	}
	if fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != "refused_by_stream" || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Errorf("got %v", err)
	}
	if stored := messages(t, f.js, stream.Events); stored == 0 || stored != uint64(len(r.settled())) {
		t.Errorf("%d are stored, and %d known to be", stored, len(r.settled()))
	}
	if err := r.Flush(t.Context()); fault.ReasonOf(err) != "refused_by_stream" {
		t.Errorf("flush: %v", err)
	}
}

// TestResendWhatIsNeverTaken: a message that is too large is settled with the
// reason, and keeps no other from being stored.
func TestResendWhatIsNeverTaken(t *testing.T) {
	f := newFixture(t)
	s, err := f.js.Stream(t.Context(), stream.Replays)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.MaxMsgSize = 2000
	if _, err := f.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r := newResending(t, f.client, stream.Replays, 20)
	for n, size := range []int{10, 3000, 10, 2 << 20, 10} { // the fourth is too much for the server
		if err := r.Send(t.Context(), uint64(n)+1, "alipay.replays.orders.x", nil, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range r.settled() {
		if taken := i%2 == 0; taken != (s.Err == nil) || taken != (s.StoredAt > 0) {
			t.Errorf("%+v", s)
		}
	}
	if n := len(r.settled()); n != 5 {
		t.Errorf("%d are settled", n)
	}
}

// TestResendToAnotherStream: a stream that takes our subjects and is not ours.
func TestResendToAnotherStream(t *testing.T) {
	f := newFixture(t)
	r := newResending(t, f.client, stream.Replays, 20)
	if err := r.Send(t.Context(), 1, "alipay.inferred.1.a.b.c", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(t.Context()); fault.ReasonOf(err) != "wrong_stream" || len(r.settled()) != 0 {
		t.Errorf("%v, %d settled", err, len(r.settled()))
	}
}

// TestResendEnds: with the context, with the connection, and with Close.
func TestResendEnds(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.JetStream = false }) // it confirms nothing
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	send := func(ctx context.Context, r *resending) error {
		for n := uint64(1); ; n++ {
			if err := r.Send(ctx, n, "alipay.replays.x", nil, nil); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := newResending(t, c, stream.Replays, 10)
	if err := send(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush: %v", err)
	}
	c.Close()
	if err := send(t.Context(), newResendingClosed(t, s)); fault.ReasonOf(err) != "disconnected" {
		t.Errorf("got %v", err)
	}
}

// newResendingClosed has no connection any more.
func newResendingClosed(t *testing.T, s *server.Server) *resending {
	t.Helper()
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	r := newResending(t, c, stream.Replays, 10)
	c.Close()
	return r
}

// TestResendSilence: a stream that says nothing is asked again, and given up.
func TestResendSilence(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.JetStream = false })
	c := connect(t, stream.ConnectOptions{URL: s.ClientURL()})
	r := newResending(t, c, stream.Replays, 10)
	now := time.Now()
	if _, n := r.Overdue(now.Add(time.Hour)); n != 0 {
		t.Errorf("%d of nothing are overdue", n)
	}
	for n := range uint64(3) {
		if err := r.Send(t.Context(), n+1, "alipay.replays.x", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		after time.Duration
		again int
	}{{stream.ResendAfter / 2, 0}, {stream.ResendAfter + time.Second, 3}, {stream.ResendAfter + time.Second, 0}, {2*stream.ResendAfter + 2*time.Second, 3}} {
		if _, n := r.Overdue(now.Add(c.after)); n != c.again {
			t.Errorf("after %v: %d are sent again, want %d", c.after, n, c.again)
		}
	}
	r.Overdue(now.Add(stream.ResendPatience + time.Second))
	if err := r.Send(t.Context(), 4, "alipay.replays.x", nil, nil); fault.ReasonOf(err) != "no_acks" {
		t.Errorf("got %v", err)
	}
}
