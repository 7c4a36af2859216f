// Package plainhttp is an HTTP/1.1 server for small POST requests that come whole,
// in front of net/http, which gets everything else.
//
// Nearly every notification is such a request. What net/http does around one (a
// goroutine that looks for a hang-up, four deadlines, a context, headers that are
// read and written generally) costs a tenth of the whole path of a notification,
// stores included (docs/PERFORMANCE.md). Here it is read in one piece and answered
// in one piece.
//
// This package reads only what leaves no question open: one Content-Length, one Host,
// no name twice, no byte outside of printable ASCII, nothing behind the body (the
// whole list is at [parse]). A connection that sends anything else, in a single byte,
// is net/http's from there to its end, and so is one that takes its time. So whatever
// is general, slow or hostile meets the code that the world has tried, and this one
// cannot read a request differently from a proxy in front of it. A fuzz test holds
// that net/http reads the same from whatever is read here.
package plainhttp

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Server serves what is plain by itself and has net/http serve the rest. It is safe
// for concurrent use.
//
// A handler sees what it would see there, with three differences: the context of a
// request ends with its connection and not with the handler; that somebody hung up is
// noticed some 100 ms later; and of an [http.ResponseController] nothing is supported,
// since there is nothing left to wait for.
type Server struct {
	rest *http.Server
	date atomic.Pointer[date]

	mu    sync.Mutex
	conns map[*conn]struct{}
	down  atomic.Bool   // written with mu held
	empty chan struct{} // closed when down and no connection is left
}

// New makes a server that has the handler, the limits and the log of errors of rest,
// and serves with it what is not plain. Nobody else uses rest.
func New(rest *http.Server) *Server {
	return &Server{rest: rest, conns: make(map[*conn]struct{}), empty: make(chan struct{})}
}

// Serve accepts connections until Shutdown, after which it gives
// [http.ErrServerClosed], or until the listener fails. It closes the listener, and is
// called once.
func (s *Server) Serve(l net.Listener) error {
	rest := &handedOver{Listener: l, conns: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	go s.accept(rest)
	return s.rest.Serve(rest)
}

// accept begins to serve whoever comes. An error of the listener is net/http's to
// judge: it tries again after some, such as too many open files.
func (s *Server) accept(l *handedOver) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			s.begin(newConn(s, c, l))
		case !l.fail(err):
			return
		}
	}
}

// begin serves a connection, or closes it where it comes too late.
func (s *Server) begin(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		c.net.Close() //nolint:errcheck,gosec // nobody is told
		return
	}
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

// fail passes an error on, and tells whether anybody wants the next.
func (h *handedOver) fail(err error) bool {
	select {
	case h.failed <- err:
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
	b.read = b.read[n:]
	return n, nil
}
