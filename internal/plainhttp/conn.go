package plainhttp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
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
	// mostBreaks is how many bytes of line breaks behind a body are passed over. Old
	// browsers sent them, and net/http does the same behind a POST.
	mostBreaks = 4
)

var past = time.Unix(1, 0)

// The states of conn.began beside a time.
const (
	noHandler = 0
	looking   = -1 // for the sender, beside a handler
)

var buffers = sync.Pool{New: func() any { b := make([]byte, mostBytes); return &b }}

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
	now             time.Time // when something last happened here
	readBy, writeBy time.Time // the deadlines that are set
	answered        bool      // once at least
	request         parts
	reply           response

	// A timer that runs from the first request on, for as long as they come, and not
	// for each: to start and stop one costs a quarter of a microsecond.
	watch   *time.Timer
	armed   atomic.Bool   // watch runs
	began   atomic.Int64  // when the handler did, since opened; noHandler, or looking
	opened  time.Time     // the connection
	watched chan struct{} // says that a look has ended
}

// open makes what serving needs.
func (c *conn) open() {
	ctx, cancel := context.WithCancel(context.Background())
	ctx = context.WithValue(ctx, http.ServerContextKey, c.server.rest)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.net.LocalAddr())
	base := &http.Request{Method: http.MethodPost, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if from := c.net.RemoteAddr(); from != nil {
		base.RemoteAddr = from.String()
	}
	c.base, c.hangUp = base.WithContext(ctx), cancel
	c.reply.header = make(http.Header)
	c.watched = make(chan struct{}, 1)
	c.opened = time.Now().Add(-1) // so that nothing begins at 0
	c.watch = time.AfterFunc(time.Hour, c.look)
	c.watch.Stop()
}

// serve answers requests until the connection ends, or is net/http's.
func (c *conn) serve() {
	pooled := buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in the pool
	var others []byte                 // what was read of a request that is not plain
	defer func() {
		c.recovered(recover())
		buffers.Put(pooled)
		if c.hangUp != nil {
			c.watch.Stop()
			c.hangUp()
		}
		c.server.forget(c) // before it is net/http's, or a Shutdown would look after both
		if others == nil {
			c.net.Close() //nolint:errcheck,gosec // nobody is told
			return
		}
		c.net.SetDeadline(time.Time{}) //nolint:errcheck,gosec // net/http sees the same
		c.rest.give(c.net, others)
	}()
	c.buf = *pooled
	c.open()
	for {
		r, is := c.next()
		switch {
		case is == foreign:
			others = bytes.Clone(c.buf[:c.have])
			return
		case is == partial || !c.handle(r) || !c.answer():
			return
		}
	}
}

// next waits for a request that is whole. A connection that is partial has ended.
func (c *conn) next() (*http.Request, kind) {
	c.atWork.Store(false)
	c.request.forget() // the connection may be silent for long
	if c.answered {
		c.readWithin(c.server.idle)
	} else if c.server.head > 0 {
		c.setRead(time.Now().Add(c.server.head))
	}
	breaks := 0 // passed over
	for patient := false; ; {
		for c.answered && breaks < mostBreaks && c.have > 0 && (c.buf[0] == '\r' || c.buf[0] == '\n') {
			c.have = copy(c.buf, c.buf[1:c.have])
			breaks++
		}
		if c.have > 0 {
			r, is := parse(c.base, &c.request, c.buf[:c.have])
			switch {
			case is == whole:
				c.have = 0
				c.atWork.Store(true)
				c.now = time.Now()
				c.readWithin(c.server.idle) // for look; it would be set behind the answer anyway
				return r, whole
			case is == foreign, c.have == len(c.buf):
				return nil, foreign
			case !patient:
				c.setRead(time.Now().Add(patience))
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

// readWithin sets a deadline of reading, as within says.
func (c *conn) readWithin(limit time.Duration) {
	if by, stale := within(limit, c.now, c.readBy); stale {
		c.setRead(by)
	}
}

func (c *conn) setRead(by time.Time) {
	c.readBy = by
	c.net.SetReadDeadline(by) //nolint:errcheck,gosec // what is read next meets the same error
}

// within gives a deadline that is limit away or somewhat more, and never comes where
// limit is 0. stale tells whether the one that is set is none such: to set one costs as
// much as to parse a head.
func within(limit time.Duration, now, set time.Time) (by time.Time, stale bool) {
	if limit <= 0 {
		return time.Time{}, !set.IsZero()
	}
	slack := limit / 8
	if left := set.Sub(now); left >= limit && left <= limit+slack {
		return set, false
	}
	return now.Add(limit + slack), true
}

// handle has the handler answer a request, and tells whether it did. One that panics
// ends its connection, as in net/http.
func (c *conn) handle(r *http.Request) (done bool) {
	c.reply.reset()
	began := int64(c.now.Sub(c.opened))
	// First this, then that, and the other way round in look: so at least one of us sees
	// the other, and either the timer is armed here, or look finds us at work.
	c.began.Store(began)
	if !c.armed.Load() {
		c.arm(watchAfter)
	}
	defer func() {
		if !c.began.CompareAndSwap(began, noHandler) { // it looks
			c.setRead(past) // it has ended then
			<-c.watched
			c.began.Store(noHandler)
		}
		if !done {
			c.recovered(recover())
		}
	}()
	c.server.rest.Handler.ServeHTTP(&c.reply, r)
	return true
}

// recovered says what was thrown, unless that was meant to say nothing.
func (c *conn) recovered(thrown any) {
	if thrown == nil || thrown == http.ErrAbortHandler { //nolint:errorlint // a value that was thrown, as net/http compares it
		return
	}
	if log := c.server.rest.ErrorLog; log != nil {
		log.Printf("plainhttp: panic serving %v: %v\n%s", c.net.RemoteAddr(), thrown, debug.Stack())
	}
}

// arm has look called, later than before where that was to happen already.
func (c *conn) arm(after time.Duration) {
	c.armed.Store(true)
	c.watch.Reset(after)
}

// look waits for the sender to hang up, while a handler takes long. A byte that comes
// instead begins his next request. With no handler at work the next one arms it.
func (c *conn) look() {
	c.armed.Store(false) // first, see handle
	began := c.began.Load()
	if began == noHandler || began == looking { // the latter where it was armed twice
		return
	}
	if left := watchAfter - (time.Since(c.opened) - time.Duration(began)); left > 0 {
		c.arm(left)
		return
	}
	if !c.began.CompareAndSwap(began, looking) {
		return // it has ended just now
	}
	n, err := c.net.Read(c.buf[:1])
	c.have = n
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.hangUp()
	}
	c.watched <- struct{}{}
}

// answer sends what the handler said, and tells whether the connection goes on.
func (c *conn) answer() (goesOn bool) {
	c.reply.end()
	goesOn = !c.reply.closes && !c.server.down.Load()
	c.answered, c.now = true, time.Now()
	if by, stale := within(c.server.write, c.now, c.writeBy); stale {
		c.writeBy = by
		c.net.SetWriteDeadline(by) //nolint:errcheck,gosec // the write meets the same error
	}
	_, err := c.net.Write(c.reply.bytes(c.server.dateAt(c.now), goesOn))
	return err == nil && goesOn
}
