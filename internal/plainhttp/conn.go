package plainhttp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// mostBytes is the most that a plain request has, its head included. Each connection
	// has a buffer of this size, as large as those of net/http together.
	mostBytes = 8 << 10
	// patience is how long the rest of a request is waited for here. Some send the body
	// behind the head, in a write of its own.
	patience = 20 * time.Millisecond
	// watchAfter is how long a handler takes before it is looked whether the sender is
	// still there.
	watchAfter = 100 * time.Millisecond
)

var past = time.Unix(1, 0)

// conn is one connection, served by one goroutine.
type conn struct {
	server *Server
	net    net.Conn
	rest   *handedOver
	base   *http.Request      // what all requests of the connection have in common
	hangUp context.CancelFunc // ends their context

	buf  []byte
	have int // bytes in it that nobody has had yet

	atWork          atomic.Bool
	readBy, writeBy time.Time // the deadlines that are set
	answered        bool      // once at least
	reply           response

	watch   *time.Timer   // runs while a handler does
	watched chan struct{} // says that a look has ended
}

func newConn(s *Server, c net.Conn, rest *handedOver) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	ctx = context.WithValue(ctx, http.ServerContextKey, s.rest)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
	base := &http.Request{
		Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: c.RemoteAddr().String(),
	}
	made := &conn{
		server: s, net: c, rest: rest, base: base.WithContext(ctx), hangUp: cancel,
		buf:     make([]byte, mostBytes),
		reply:   response{header: make(http.Header)},
		watched: make(chan struct{}, 1),
	}
	made.watch = time.AfterFunc(time.Hour, made.look)
	made.watch.Stop()
	return made
}

// serve answers requests until the connection ends, or is net/http's.
func (c *conn) serve() {
	handed := false
	defer func() {
		if !handed {
			c.net.Close() //nolint:errcheck,gosec // nobody is told
		}
		c.hangUp()
		c.server.forget(c)
	}()
	for {
		r, is := c.next()
		switch {
		case is == foreign:
			handed = true
			c.net.SetDeadline(time.Time{}) //nolint:errcheck,gosec // net/http sees the same
			c.rest.give(c.net, bytes.Clone(c.buf[:c.have]))
			return
		case is == partial || !c.handle(r) || !c.answer():
			return
		}
	}
}

// next waits for a request that is whole. A connection that is partial has ended.
func (c *conn) next() (*http.Request, kind) {
	c.atWork.Store(false)
	limit := c.server.rest.ReadHeaderTimeout
	if c.answered {
		limit = c.server.rest.IdleTimeout
	}
	c.readWithin(limit, limit/8)
	for patient := false; ; {
		if c.have > 0 {
			r, is := parse(c.base, c.buf[:c.have])
			switch {
			case is == whole:
				c.have = 0
				c.atWork.Store(true)
				return r, whole
			case is == foreign, c.have == len(c.buf):
				return nil, foreign
			case !patient:
				c.readWithin(patience, 0)
				patient = true
			}
		}
		if c.server.down.Load() { // seen here, or else Shutdown sees that nothing is at work
			return nil, partial
		}
		n, err := c.net.Read(c.buf[c.have:])
		c.have += n
		switch {
		case err != nil && c.have > 0:
			return nil, foreign // and whoever reads on meets the same error
		case err != nil:
			return nil, partial
		}
	}
}

// readWithin sets the deadline of reading, unless the one that is set is no more than
// slack nearer: to set one costs more than to parse a head.
func (c *conn) readWithin(limit, slack time.Duration) {
	c.readBy = within(c.readBy, limit, slack, c.net.SetReadDeadline)
}

func within(by time.Time, limit, slack time.Duration, set func(time.Time) error) time.Time {
	if limit <= 0 {
		return by
	}
	now := time.Now()
	if left := by.Sub(now); left <= limit && left >= limit-slack {
		return by
	}
	by = now.Add(limit)
	set(by) //nolint:errcheck,gosec // what is read or written next meets the same error
	return by
}

// handle has the handler answer a request, and tells whether it did. One that panics
// ends its connection, as in net/http.
func (c *conn) handle(r *http.Request) (done bool) {
	c.reply.reset()
	c.watch.Reset(watchAfter)
	defer func() {
		if !c.watch.Stop() {
			c.net.SetReadDeadline(past) //nolint:errcheck,gosec // it has ended then
			<-c.watched
			c.readBy = past
		}
		if done {
			return
		}
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a value that was thrown, as net/http compares it
			if log := c.server.rest.ErrorLog; log != nil {
				log.Printf("plainhttp: panic serving %v: %v\n%s", r.RemoteAddr, v, debug.Stack())
			}
		}
	}()
	c.server.rest.Handler.ServeHTTP(&c.reply, r)
	return true
}

// look waits for the sender to hang up, while a handler takes long. A byte that comes
// instead begins his next request.
func (c *conn) look() {
	n, err := c.net.Read(c.buf[:1])
	c.have = n
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.hangUp()
	}
	c.watched <- struct{}{}
}

// answer sends what the handler said, and tells whether the connection goes on.
func (c *conn) answer() (goesOn bool) {
	goesOn = !c.reply.closes && !c.server.down.Load()
	c.answered = true
	limit := c.server.rest.WriteTimeout
	c.writeBy = within(c.writeBy, limit, limit/2, c.net.SetWriteDeadline)
	_, err := c.net.Write(c.reply.bytes(c.server.today(), goesOn))
	return err == nil && goesOn
}
