// Package plainhttp is an HTTP/1.1 server for small POST requests that come whole,
// in front of net/http, which gets everything else.
//
// Nearly every notification is such a request. What net/http does around one (a
// goroutine that looks for a hang-up, four deadlines, a context, headers that are
// read and written generally) costs a tenth of what the receiver does for a
// notification (docs/PERFORMANCE.md). Here it is read in one piece and answered in one
// piece.
//
// This package reads only what leaves no question open: one Content-Length, one Host,
// no name twice, no byte outside of printable ASCII, nothing behind the body (the
// whole list is at [parse]). A connection that sends anything else, in a single byte,
// is net/http's from there to its end, and so is one that takes its time; only a line
// break behind a body is passed over, as there. So whatever
// is general, slow or hostile meets the code that the world has tried, and this one
// cannot read a request differently from a proxy in front of it. A fuzz test holds
// that net/http reads the same from whatever is read here.
package plainhttp

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves what is plain by itself and has net/http serve the rest. It is safe
// for concurrent use.
//
// A handler sees what it would see there, but for this. The context of a request ends
// with its connection, or when that is handed over, and not with the handler. That
// somebody hung up is noticed 100 ms later. Nothing of the answer leaves before the
// handler is done, so Write never fails and there are neither informational answers
// nor a Flusher, nor anything in an [http.ResponseController]. Content-Length, Date and
// framing are this package's; names of fields are letters, digits, dashes and
// underscores. The request (not its text), its header, that of the answer and
// what was written are used again once the handler is done.
type Server struct {
	rest *http.Server
	date atomic.Pointer[date]

	// Limits of rest, as net/http reads them: how long a connection may be silent, at
	// its beginning and between requests, and how long an answer may take to leave.
	head, idle, write time.Duration

	mu    sync.Mutex
	conns map[*conn]struct{}
	down  atomic.Bool   // written with mu held
	empty chan struct{} // closed when down and no connection is left
}

// New makes a server that has the handler of rest, its time limits and its log of
// errors, and serves with it what is not plain. Nobody else uses rest. It must have a
// handler; its BaseContext, ConnContext and ConnState hear only of what is not plain.
func New(rest *http.Server) *Server {
	return &Server{
		rest:  rest,
		head:  cmp.Or(rest.ReadHeaderTimeout, rest.ReadTimeout),
		idle:  cmp.Or(rest.IdleTimeout, rest.ReadTimeout),
		write: rest.WriteTimeout,
		conns: make(map[*conn]struct{}), empty: make(chan struct{}),
	}
}

// Serve accepts connections until Shutdown, after which it gives
// [http.ErrServerClosed], or until the listener fails. It closes the listener, and is
// called once.
func (s *Server) Serve(l net.Listener) error {
	rest := &handedOver{Listener: l, conns: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	go s.accept(rest)
	return s.rest.Serve(rest)
}

// How long is waited after an error of the listener that passes, such as too many
// open files: doubled each time, as in net/http.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
)

// accept begins to serve whoever comes. Errors that pass are waited for here: net/http
// would sleep over them, and meanwhile take no connection that is handed over.
func (s *Server) accept(l *handedOver) {
	for pause := time.Duration(0); ; {
		c, err := l.Listener.Accept()
		if err == nil {
			pause = 0
			s.begin(c, l)
			continue
		}
		if passing, ok := errors.AsType[net.Error](err); ok && passing.Temporary() { //nolint:staticcheck // there is no other word for it, and net/http asks the same
			pause = min(max(2*pause, leastPause), mostPause)
			if l.wait(pause) {
				continue
			}
			return
		}
		l.fail(err)
		return
	}
}

// begin serves a connection, or closes it where it comes too late.
func (s *Server) begin(accepted net.Conn, rest *handedOver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		accepted.Close() //nolint:errcheck,gosec // nobody is told
		return
	}
	c := &conn{server: s, net: accepted, rest: rest}
	s.conns[c] = struct{}{}
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.down.Load() && len(s.conns) == 0 {
		close(s.empty)
	}
}

// Shutdown closes the listener and the connections without a request at work, and
// waits for the others to be answered, until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop(func(c *conn) {
		if !c.atWork.Load() {
			c.net.SetReadDeadline(past) //nolint:errcheck,gosec // it is closed then
		}
	})
	if err := s.rest.Shutdown(ctx); err != nil {
		return err
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listener and all connections, at once.
func (s *Server) Close() error {
	s.stop(func(c *conn) {
		c.net.Close() //nolint:errcheck,gosec // nobody is told
	})
	return s.rest.Close()
}

// stop lets no more requests begin.
func (s *Server) stop(each func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down.Swap(true) && len(s.conns) == 0 {
		close(s.empty)
	}
	for c := range s.conns {
		each(c)
	}
}

// handedOver is the listener of net/http: its connections are those that are not
// plain, and what fails is what fails below.
type handedOver struct {
	net.Listener
	conns  chan net.Conn
	failed chan error
	once   sync.Once
	closed chan struct{}
}

func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case err := <-h.failed:
		return nil, err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handedOver) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Listener.Close()
}

// fail passes an error on that ends the server.
func (h *handedOver) fail(err error) {
	select {
	case h.failed <- err:
	case <-h.closed:
	}
}

// wait tells whether the listener is still open after so long.
func (h *handedOver) wait(pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-h.closed:
		return false
	}
}

// give hands a connection over, of which some bytes were read already.
func (h *handedOver) give(c net.Conn, read []byte) {
	select {
	case h.conns <- &begun{Conn: c, read: read}:
	case <-h.closed:
		c.Close() //nolint:errcheck,gosec // nobody is told
	}
}

// begun is a connection whose first bytes were read already.
type begun struct {
	net.Conn
	read []byte
}

// Read gives these bytes first. Like all reading, it is not safe for concurrent use.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.read)
	if b.read = b.read[n:]; len(b.read) == 0 {
		b.read = nil // the connection may live long
	}
	return n, nil
}

// CloseWrite lets net/http end an answer whose request it did not read to the end:
// without it the sender would get a reset, and might never see the answer.
func (b *begun) CloseWrite() error {
	if c, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
