package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
)

// These tests are about time. They run in a bubble in which it passes as soon
// as everybody waits, so that they see the real limits and take no time, on
// connections that are made of memory, since a socket is outside of the bubble.

// The limits of the product, written down a second time.
const (
	slowPerSource = 64
	slowTotal     = 1024
	slowAfter     = patience + 250*time.Millisecond
	bodyTimeout   = patience + 5*time.Second
	headerTimeout = patience + 5*time.Second

	// patience is how long what is not whole waits in front of net/http.
	patience = 20 * time.Millisecond
)

// memory is a listener whose connections come from dial.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (*memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// client is one connection to the endpoint.
type client struct {
	testing.TB
	conn net.Conn
}

func (f *fixture) client(m *memory, source string) client {
	f.Helper()
	near, far := net.Pipe()
	f.Cleanup(func() { near.Close() }) //nolint:errcheck // nothing can be done
	m.conns <- addressed{far, &net.TCPAddr{IP: net.ParseIP(source), Port: 4711}}
	return client{f, near}
}

func (c client) write(text string) {
	c.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.Error(err)
	}
}

// answer reads one answer and tells how long it took from now.
func (c client) answer() (status int, body string, took time.Duration) {
	c.Helper()
	started := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
	if err != nil {
		c.Errorf("after %v: %v", time.Since(started), err)
		return 0, "", 0
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Error(err)
	}
	return resp.StatusCode, string(b), time.Since(started)
}

// ends tells how long the connection still lives.
func (c client) ends() time.Duration {
	started := time.Now()
	io.Copy(io.Discard, c.conn) //nolint:errcheck // the end is what is waited for
	return time.Since(started)
}

// half is a request whose body does not come to its end.
const half = "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na=b"

const whole = "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b"

// bubble runs a test of an endpoint on a listener of memory.
func bubble(t *testing.T, run func(f *fixture, m *memory), change ...func(*server.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &ingester{}, change...)
		m := newMemory()
		f.serve(m)
		run(f, m)
	})
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		c := f.client(m, "192.0.2.7")
		c.write(half)
		status, body, took := c.answer()
		if status != 400 || body != "fail" || took != bodyTimeout {
			t.Errorf("%d %q after %v, want 400 fail after %v", status, body, took, bodyTimeout)
		}
		f.lastLine(1, map[string]any{"outcome": "malformed", "reason": "slow_body", "bytes": 3.0})
		c.ends()
	})
}

// A body that comes a byte at a time is no faster for it.
func TestTrickledBody(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		c := f.client(m, "192.0.2.7")
		c.write(half)
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for {
				if _, err := io.WriteString(c.conn, "x"); err != nil {
					return
				}
				<-time.After(100 * time.Millisecond)
			}
		})
		if status, _, took := c.answer(); status != 400 || took != bodyTimeout {
			t.Errorf("status %d after %v, want 400 after %v", status, took, bodyTimeout)
		}
		c.ends()
		trickle.Wait()
	})
}

// Once the body is here its time is over: it ends neither the handling that
// follows nor the next request on the connection.
func TestBodyTimeEndsWithTheBody(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		f.ingester.answer = func(ctx context.Context, _ ingest.Request) ingest.Result {
			select {
			case <-ctx.Done():
				f.Error("the sender is taken for gone")
			case <-time.After(2 * bodyTimeout):
			}
			return ingest.Result{Outcome: ingest.Accepted}
		}
		c := f.client(m, "192.0.2.7")
		for range 3 {
			c.write(whole)
			if status, _, _ := c.answer(); status != 200 {
				t.Errorf("status %d", status)
			}
			<-time.After(2 * bodyTimeout)
		}
	})
}

func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	for start, want := range map[string]time.Duration{
		"": headerTimeout - patience, // nothing was said that could be completed
		"POST " + path + " HTTP/1.1\r\nHost: x\r\n": headerTimeout,
	} {
		bubble(t, func(f *fixture, m *memory) {
			c := f.client(m, "192.0.2.7")
			if start != "" {
				c.write(start)
			}
			if took := c.ends(); took != want {
				t.Errorf("after %q cut after %v, want %v", start, took, want)
			}
		})
	}
}

// Somebody who opens many slow connections keeps himself out, and not a genuine
// sender behind the same address whose body is there at once.
func TestSlowBodiesPerSource(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		const more = 5
		statuses := make(chan string, slowPerSource+more)
		var wg sync.WaitGroup
		for range slowPerSource + more {
			wg.Go(func() {
				c := f.client(m, "192.0.2.7")
				c.write(half)
				status, _, took := c.answer()
				statuses <- fmt.Sprint(status, " ", took)
				c.ends()
			})
		}
		<-time.After(2 * slowAfter)
		fast := f.client(m, "192.0.2.7")
		fast.write(whole)
		if status, body, took := fast.answer(); status != 200 || body != "success" || took != 0 {
			t.Errorf("a genuine request: %d %q after %v", status, body, took)
		}
		wg.Wait()
		close(statuses)
		got := make(map[string]int)
		for s := range statuses {
			got[s]++
		}
		if got["503 "+slowAfter.String()] != more || got["400 "+bodyTimeout.String()] != slowPerSource {
			t.Errorf("answers %v, want %d times 503 after %v and %d times 400 after %v", got, more, slowAfter, slowPerSource, bodyTimeout)
		}
		f.wantCount("overloaded", "_unknown", more)
		f.wantCount("malformed", "_unknown", slowPerSource)

		// They are gone, and so is the memory of them.
		c := f.client(m, "192.0.2.7")
		c.write(half)
		if status, _, _ := c.answer(); status != 400 {
			t.Errorf("a slow one afterwards: status %d, want 400", status)
		}
		c.ends()
	})
}

// Many sources together have a limit too.
func TestSlowBodiesInAll(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		var wg sync.WaitGroup
		for i := range slowTotal + 10 {
			wg.Go(func() {
				c := f.client(m, fmt.Sprintf("10.0.%d.%d", i/50, i%50))
				c.write(half)
				c.answer()
				c.ends()
			})
		}
		wg.Wait()
		f.wantCount("overloaded", "_unknown", 10)
		f.wantCount("malformed", "_unknown", slowTotal)
	})
}

// A body that is slow and yet comes is taken.
func TestSlowBodyInTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		c := f.client(m, "192.0.2.7")
		c.write(half)
		<-time.After(bodyTimeout - time.Second)
		c.write(strings.Repeat("x", 997))
		if status, body, _ := c.answer(); status != 200 || body != "success" {
			t.Errorf("%d %q", status, body)
		}
	})
}

// A slow body holds no slot.
func TestSlowBodyHoldsNoSlot(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		for range 3 {
			f.client(m, "192.0.2.7").write(half)
		}
		<-time.After(time.Second)
		c := f.client(m, "192.0.2.8")
		c.write(whole)
		if status, _, _ := c.answer(); status != 200 {
			t.Errorf("status %d", status)
		}
	}, func(o *server.Options) { o.MaxInFlight = 1 })
}

// net/http reads what a handler leaves of a body, and no time limit was set
// where the handler does not read at all: who announced a body under a wrong
// path, method or Content-Type, or one that is too large, and then sent nothing,
// kept a connection for ever and was not even answered.
func TestUnreadBodyIsBounded(t *testing.T) {
	t.Parallel()
	starts := map[string]string{
		"unknown path":       "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"wrong method":       "PUT " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"wrong Content-Type": "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"encoded":            "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
		"too large":          fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, maxBody+1),
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fixture, m *memory) {
				c := f.client(m, "192.0.2.7")
				c.write(start)
				opened := time.Now()
				if status, body, _ := c.answer(); status < 400 || status > 413 || body != "fail" {
					t.Errorf("%d %q", status, body)
				}
				c.ends()
				if lived := time.Since(opened); lived > headerTimeout+bodyTimeout+time.Second {
					t.Errorf("the connection lived for %v", lived)
				}
			})
		})
	}
}

// Who never reads the answers does not keep a connection for ever either.
func TestUnreadAnswerIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		c := f.client(m, "192.0.2.7")
		c.write(whole) // a connection of memory has no buffer: the answer waits
		<-time.After(time.Minute)
		if took := c.ends(); took != 0 {
			t.Errorf("the connection lived on for %v", took)
		}
	})
}
