package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// Messages that were counted and then expired were once waited for.
func TestReadWhatExpiresMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const all = 5000
	fill(t, f.js, "alipay.rejects.1.%d", all, bytes.Repeat([]byte("x"), 100))
	s, err := f.js.Stream(t.Context(), stream.Rejects)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err = f.client.Read(ctx, stream.ReadOptions{Stream: stream.Rejects}, func(events.Stored) error {
		if n++; n == 1 {
			return s.Purge(t.Context())
		}
		return nil
	})
	if err != nil || n == 0 || n >= all {
		t.Errorf("read %d of %d: %v", n, all, err)
	}
	f.noConsumers(t, stream.Rejects)
}

// A reading was given up for lost, or not at all, when its stream went away: the
// library makes a consumer anew for ever, and looks at no context meanwhile.
func TestReadStreamDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, follow := range []bool{false, true} {
		t.Run(fmt.Sprintf("follow %v", follow), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			fill(t, f.js, "alipay.rejects.1.%d", 5000, bytes.Repeat([]byte("x"), 1000))
			n := 0
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := f.client.Read(ctx, stream.ReadOptions{Stream: stream.Rejects, Follow: follow}, func(events.Stored) error {
				if n++; n == 1 {
					return f.js.DeleteStream(t.Context(), stream.Rejects)
				}
				return nil
			})
			if fault.KindOf(err) != fault.Unavailable || ctx.Err() != nil {
				t.Errorf("got %v after %d messages", err, n)
			}
		})
	}
}

func TestReadConnectionClosedMeanwhile(t *testing.T) {
	f := newFixture(t)
	fill(t, f.js, "alipay.events.1.%d", 5000, bytes.Repeat([]byte("x"), 100))
	c := connect(t, stream.ConnectOptions{URL: f.server.ClientURL()})
	var once atomic.Bool
	err := c.Read(t.Context(), stream.ReadOptions{Stream: stream.Events}, func(events.Stored) error {
		if once.CompareAndSwap(false, true) {
			c.Close()
		}
		return nil
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// What was under way when a connection broke is read again, and nothing twice.
func TestReadGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const all = 4000
	fill(t, f.js, "alipay.events.1.%d", all, bytes.Repeat([]byte("x"), 500))
	line := newProxy(t, f.server.Addr().String())
	c := connect(t, stream.ConnectOptions{URL: line.url()})
	var got []uint64
	err := c.Read(t.Context(), stream.ReadOptions{Stream: stream.Events}, func(s events.Stored) error {
		got = append(got, s.Sequence)
		if n := len(got); n == 100 || n == 2500 {
			line.cut()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(upTo(1, all), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The consumer lives in the server's memory: a restart forgets it.
func TestReadFollowsOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := startEmbedded(t, dir)
	c := provisioned(t, e)
	port := e.URL()[len("nats://"):]
	publish(t, c.NewPublisher(), event(1))
	reader := connect(t, stream.ConnectOptions{URL: e.URL(), Token: e.Token()})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	got, ended := make(chan uint64, 10), make(chan error, 1)
	go func() {
		ended <- reader.Read(ctx, stream.ReadOptions{Stream: stream.Events, Follow: true}, func(s events.Stored) error {
			got <- s.Sequence
			return nil
		})
	}()
	if n := <-got; n != 1 {
		t.Fatalf("got %d", n)
	}
	c.Close()
	stopEmbedded(t, e)
	eventually(t, "the reader notices", func() bool { return !reader.Connected() })
	e, err := stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: dir, Listen: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopEmbedded(t, e) })
	publish(t, embeddedClient(t, e).NewPublisher(), event(2))
	select {
	case n := <-got:
		if n != 2 {
			t.Errorf("got %d", n)
		}
	case <-time.After(limit):
		t.Error("the reading has stopped without a word")
	}
	cancel(nil)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// A message larger than what is asked for at once was never sent, and the
// reading waited for it for ever.
func TestReadLargeMessages(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 12 << 20 })
	f := fixture{server: s, client: connect(t, stream.ConnectOptions{URL: s.ClientURL()}), js: admin(t, s.ClientURL())}
	provision(t, f.client, stream.NewLayout(options()))
	for i, size := range []int{1, 700 << 10, 10 << 20, 1, 5 << 20, 5 << 20} {
		if _, err := f.js.Publish(t.Context(), fmt.Sprintf("alipay.inferred.1.%d", i), bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(upTo(1, 6), read(t, f, stream.ReadOptions{Stream: stream.Inferred})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := f.client.Get(t.Context(), stream.Inferred, 3)
	if err != nil || !bytes.Equal(got.Data, bytes.Repeat([]byte("c"), 10<<20)) {
		t.Errorf("Get: %d bytes, %v", len(got.Data), err)
	}
}
