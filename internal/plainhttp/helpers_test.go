package plainhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"alipay-notify/internal/plainhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whole is a plain request, and chunked one that is net/http's.
const (
	whole   = "POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b"
	chunked = "POST /notify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"
)

// The limits of the servers under test.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 64 * time.Second
	writeTimeout  = 30 * time.Second
)

// memory is a listener whose connections come from dial: a bubble, in which time
// passes as soon as everybody waits, has no sockets.
type memory struct {
	conns  chan net.Conn
	errors chan error
	once   sync.Once
	closed chan struct{}
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn), errors: make(chan error), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case err := <-m.errors:
		return nil, err
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (*memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// fixture is a server in a bubble.
type fixture struct {
	testing.TB
	waiting
	listener *memory
	server   *plainhttp.Server
	log      *bytes.Buffer // to be read when the server has ended
	served   chan error
}

// bubble runs a test of a server with this handler, or with one that waits.
func bubble(t *testing.T, h http.HandlerFunc, run func(f *fixture), change ...func(*http.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{TB: t, waiting: newWaiting(), listener: newMemory(), log: &bytes.Buffer{}, served: make(chan error, 1)}
		if h == nil {
			h = f.answer
		}
		rest := rest(h, f.log)
		for _, c := range change {
			c(rest)
		}
		f.server = plainhttp.New(rest)
		go func() { f.served <- f.server.Serve(f.listener) }()
		run(f)
		f.server.Close() //nolint:errcheck // it may be closed already
		if err := <-f.served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, errListener) {
			t.Errorf("Serve: %v", err)
		}
	})
}

var errListener = errors.New("the listener failed")

func rest(h http.Handler, log io.Writer) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: writeTimeout,
		ErrorLog: stdlog.New(log, "", 0),
	}
}

// client is one connection to the server.
type client struct {
	testing.TB
	net.Conn
	from *bufio.Reader
}

func (f *fixture) dial() *client {
	f.Helper()
	return f.dialThrough(func(far net.Conn) net.Conn { return far })
}

// dialThrough is dial with a connection that the server sees as wrap makes it.
func (f *fixture) dialThrough(wrap func(net.Conn) net.Conn) *client {
	f.Helper()
	near, far := net.Pipe()
	f.Cleanup(func() { near.Close() }) //nolint:errcheck // nothing can be done
	select {
	case f.listener.conns <- wrap(far):
	case <-f.listener.closed:
		f.Fatal("nobody listens")
	}
	return &client{f, near, bufio.NewReader(near)}
}

func (c *client) write(text string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.Errorf("write: %v", err)
	}
}

// answer reads an answer, and nil where the connection ends without one.
func (c *client) answer() *http.Response {
	resp, err := http.ReadResponse(c.from, nil)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Errorf("answer: %v", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

// says checks that the next answer is a 200 with this body.
func (c *client) says(want string) *http.Response {
	c.Helper()
	resp := c.answer()
	if resp == nil {
		c.Fatalf("no answer, want %q", want)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(body) != want {
		c.Fatalf("%s %q, want 200 %q", resp.Status, body, want)
	}
	return resp
}

// ends tells how long the connection still lives.
func (c *client) ends() time.Duration {
	started := time.Now()
	io.Copy(io.Discard, c.from) //nolint:errcheck // the end is what is waited for
	return time.Since(started)
}

// whose says who reads a request, and what it says.
func whose(w http.ResponseWriter, r *http.Request) {
	who := "net/http: "
	if _, ok := r.Body.(*plainhttp.Body); ok {
		who = "plainhttp: "
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, who+string(body)) //nolint:errcheck // the client says so
}

// whoseLate is whose after a second.
func whoseLate(w http.ResponseWriter, r *http.Request) {
	<-time.After(time.Second)
	whose(w, r)
}

// waiting is a handler that says when it has begun, and waits for what happens to
// the request or until it is released.
type waiting struct {
	begun    chan context.Context
	released chan struct{}
}

func newWaiting() waiting {
	return waiting{make(chan context.Context, 1), make(chan struct{})}
}

func (h waiting) answer(w http.ResponseWriter, r *http.Request) {
	h.begun <- r.Context()
	select {
	case <-h.released:
		whose(w, r)
	case <-r.Context().Done():
	}
}
