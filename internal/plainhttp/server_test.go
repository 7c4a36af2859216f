package plainhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/plainhttp"
)

func TestConnectionGoesOn(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		for range 3 {
			c.write(whole)
			c.says("plainhttp: a=b")
		}
		head, body, _ := strings.Cut(whole, "a=b")
		c.write(head)
		c.write("a=b" + body)
		c.says("plainhttp: a=b")
		c.write(chunked)
		c.says("net/http: a=b")
		c.write(whole)
		c.says("net/http: a=b") // for whoever was not plain once
	})
}

func TestSlowIsHandedOver(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{1, 40, len(whole) - 1} {
		bubble(t, whose, func(f *fixture) {
			c := f.dial()
			c.write(whole[:cut])
			<-time.After(time.Second)
			c.write(whole[cut:])
			c.says("net/http: a=b")
		})
	}
}

// Nor does one wait here for long that comes a byte at a time.
func TestTrickleIsHandedOver(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		for b := range strings.SplitSeq(whole, "") {
			c.write(b)
			<-time.After(10 * time.Millisecond)
		}
		c.says("net/http: a=b")
	})
}

// A head that does not fit is net/http's.
func TestLongHead(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(strings.Replace(whole, "Host", "X-Long: "+strings.Repeat("x", 10<<10)+"\r\nHost", 1))
		c.says("net/http: a=b")
	})
}

// latecomer is a listener that gives one more connection when it is closed.
type latecomer struct{ *memory }

func (latecomer) Close() error { return nil }

func TestTooLateToBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := latecomer{newMemory()}
		s := plainhttp.New(rest(http.HandlerFunc(whose), io.Discard))
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		synctest.Wait()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		near, far := net.Pipe()
		l.conns <- far
		if n, err := near.Read(make([]byte, 1)); err == nil {
			t.Errorf("it said %d bytes", n)
		}
		l.memory.Close() //nolint:errcheck // it cannot fail
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Two requests in one write are net/http's, in their order.
func TestPipelined(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		go c.write(whole + strings.Replace(whole, "a=b", "c=d", 1))
		c.says("net/http: a=b")
		c.says("net/http: c=d")
	})
}

// A request that ends early is net/http's as well.
func TestPartBeforeTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(whole[:40])
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait() // and goleak finds who still waits for it
	})
}

// A byte that comes while a handler is looked after is no hang-up: it begins the next
// request.
func TestNextRequestComesEarly(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		<-f.begun
		<-time.After(time.Second)
		go c.write(strings.Replace(whole, "a=b", "c=d", 1))
		synctest.Wait()
		close(f.released)
		c.says("plainhttp: a=b")
		c.says("plainhttp: c=d")
	})
}

// A handler that panics ends its connection without an answer, and is heard of.
func TestPanic(t *testing.T) {
	t.Parallel()
	for thrown, heard := range map[any]bool{"oops": true, http.ErrAbortHandler: false} {
		var log *strings.Builder
		bubble(t, func(http.ResponseWriter, *http.Request) { panic(thrown) }, func(f *fixture) {
			c := f.dial()
			c.write(whole)
			if resp := c.answer(); resp != nil {
				t.Errorf("answered: %v", resp)
			}
			log = &strings.Builder{}
			log.WriteString(f.log.String())
		})
		if got := strings.Contains(log.String(), "panic serving pipe: oops\n"); got != heard || !heard && log.Len() > 0 {
			t.Errorf("%v: logged %q", thrown, log)
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		fresh, part, active := f.dial(), f.dial(), f.dial()
		part.write(whole[:40])
		active.write(whole)
		ctx := <-f.begun
		<-time.After(time.Second) // the part is net/http's now
		done := make(chan error, 1)
		go func() { done <- f.server.Shutdown(context.Background()) }()
		if took := fresh.ends(); took != 0 {
			t.Errorf("a connection without a request lived for %v", took)
		}
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("the request at work was hung up")
		}
		select {
		case err := <-done:
			t.Errorf("Shutdown did not wait: %v", err)
		default:
		}
		close(f.released)
		if resp := active.says("plainhttp: a=b"); !resp.Close {
			t.Error("the last answer does not say that it is the last")
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-f.served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		f.served <- http.ErrServerClosed // for the fixture
	})
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		<-f.begun
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		// Close, by the fixture, hangs up.
	})
}

func TestListenerFails(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		f.listener.errors <- errListener
		if err := <-f.served; !errors.Is(err, errListener) {
			t.Errorf("Serve: %v", err)
		}
		f.served <- http.ErrServerClosed
	})
}

// The same over sockets, with real deadlines and a real end.
func TestSockets(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := plainhttp.New(rest(http.HandlerFunc(whose), io.Discard))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	for _, want := range []string{"plainhttp: a=b", "plainhttp: a=b"} {
		resp, err := client.Post("http://"+l.Addr().String()+"/notify?a=b", "text/plain", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != want {
			t.Errorf("%q, %v; want %q", body, err, want)
		}
		resp.Body.Close() //nolint:errcheck // it is read to its end
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	client.CloseIdleConnections()
}
