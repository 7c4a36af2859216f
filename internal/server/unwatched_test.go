package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alipay-notify/internal/server"
)

// looks counts the reads that ask for one byte, below Unwatched or without it.
type looks struct {
	net.Listener
	count *atomic.Int64
}

type lookedAt struct {
	net.Conn
	count *atomic.Int64
}

func (l looks) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return lookedAt{c, l.count}, err
}

func (c lookedAt) Read(p []byte) (int, error) {
	if len(p) == 1 {
		c.count.Add(1)
	}
	return c.Conn.Read(p)
}

// serveCounted serves h and gives its address.
func serveCounted(t *testing.T, wrap func(net.Listener) net.Listener, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server.HTTP(h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(wrap(l)) //nolint:errcheck // it ends with Close
	}()
	t.Cleanup(func() {
		s.Close() //nolint:errcheck // it is over
		<-done
	})
	return l.Addr().String()
}

// TestUnwatched: with it a connection that has had its request is not read before
// the answer, and without it is: should net/http change how it looks for clients
// that hang up, this is where we learn of it.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		wrap  func(net.Listener) net.Listener
		looks bool
	}{
		{"watched", func(l net.Listener) net.Listener { return l }, true},
		{"unwatched", server.Unwatched, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int64
			address := serveCounted(t, func(l net.Listener) net.Listener { return c.wrap(looks{l, &count}) }, echoBody)
			conn := dial(t, address)
			for i := range 20 {
				sendTo(t, conn, fmt.Sprintf("request %d", i))
				readEcho(t, conn, fmt.Sprintf("request %d", i))
			}
			if n := count.Load(); (n > 0) != c.looks {
				t.Errorf("%d looks for a hang-up, want any: %v", n, c.looks)
			}
		})
	}
}

// TestUnwatchedPipelined: requests that come behind each other in one write, or
// bit by bit, are all answered: a look that was answered with nothing takes
// nothing from what follows.
func TestUnwatchedPipelined(t *testing.T) {
	t.Parallel()
	address := serveCounted(t, server.Unwatched, echoBody)
	conn := dial(t, address)
	var all strings.Builder
	for i := range 10 {
		all.WriteString(request(fmt.Sprintf("piece %d", i)))
	}
	text := all.String()
	for len(text) > 0 {
		n := min(7, len(text))
		if _, err := io.WriteString(conn, text[:n]); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	if _, err := io.WriteString(conn, strings.Repeat(request("together"), 10)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		readEcho(t, conn, fmt.Sprintf("piece %d", i))
	}
	for range 10 {
		readEcho(t, conn, "together")
	}
}

// echoBody answers with the request's body.
var echoBody = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.Copy(w, r.Body) //nolint:errcheck // the test reads what came
})

// wire is a client's end.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) wire {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // it is over
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return wire{conn, bufio.NewReader(conn)}
}

func request(body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func sendTo(t *testing.T, w wire, body string) {
	t.Helper()
	if _, err := io.WriteString(w, request(body)); err != nil {
		t.Fatal(err)
	}
}

func readEcho(t *testing.T, w wire, want string) {
	t.Helper()
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatalf("the answer to %q: %v", want, err)
	}
	defer answer.Body.Close() //nolint:errcheck // it is read
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != want {
		t.Fatalf("answered %q (%v), want %q", got, err, want)
	}
}
