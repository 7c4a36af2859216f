package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"alipay-notify/internal/fault"
)

// firstRead is the buffer that a body begins with. It grows only with bytes
// that have come, so that a Content-Length costs its sender the bytes.
const firstRead = 4 << 10

// readBody reads the whole body within the limits of size and time. On an
// error the connection is not used again.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, source string) ([]byte, error) {
	limit := s.options.MaxBody
	if r.ContentLength > int64(limit) {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	// Not every ResponseWriter has deadlines (those of tests do not); the
	// server that HTTP makes has.
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck,gosec // see above
	watch := s.slow.watch(source, func() {
		control.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck,gosec // see above
	})
	body, err := readAll(r.Body, min(limit+1, firstRead), limit+1)
	cut := watch.stop()
	if err == nil && len(body) <= limit {
		control.SetReadDeadline(time.Time{}) //nolint:errcheck,gosec // see above
		return body, nil
	}
	w.Header().Set("Connection", "close")
	switch {
	case err == nil:
		return nil, tooLarge(limit)
	case cut:
		return body, fault.Errorf(fault.Overloaded, "slow_bodies", "too many slow bodies at once")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return body, fault.Errorf(fault.Malformed, "slow_body", "the body did not come within %v", bodyTimeout)
	}
	return body, fault.Errorf(fault.Malformed, "short_body", "the body ended early: %w", errHungUp)
}

var errHungUp = errors.New("the sender hung up")

func tooLarge(limit int) error {
	return fault.Errorf(fault.TooLarge, "body", "the body has more than http.max_body (%d) bytes", limit)
}

// readAll reads up to limit bytes into a buffer that doubles.
func readAll(r io.Reader, first, limit int) ([]byte, error) {
	buf := make([]byte, 0, first)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) || len(buf) == limit {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(buf) == cap(buf) {
			next := make([]byte, len(buf), min(2*cap(buf), limit))
			copy(next, buf)
			buf = next
		}
	}
}

// slowReaders counts the bodies that take their time, in all and by source. A
// body that is there at once is never counted, so that somebody who holds
// thousands of slow connections open keeps only himself out.
type slowReaders struct {
	perSource, inAll int

	mu      sync.Mutex
	sources map[string]int
	total   int
}

func newSlowReaders(perSource, inAll int) *slowReaders {
	return &slowReaders{perSource: perSource, inAll: inAll, sources: make(map[string]int)}
}

func (s *slowReaders) acquire(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.inAll || s.sources[source] >= s.perSource {
		return false
	}
	s.total++
	s.sources[source]++
	return true
}

func (s *slowReaders) release(source string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.sources[source]--; s.sources[source] == 0 {
		delete(s.sources, source)
	}
}

// watch begins to look at one body. When it turns out slow and there is no room
// among the slow ones, cut is called, once.
func (s *slowReaders) watch(source string, cut func()) *slowWatch {
	w := &slowWatch{}
	w.timer = time.AfterFunc(slowAfter, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.done:
		case s.acquire(source):
			w.release = func() { s.release(source) }
		default:
			w.cut = true
			cut()
		}
	})
	return w
}

// slowWatch is the watch over one body.
type slowWatch struct {
	timer *time.Timer

	mu      sync.Mutex
	done    bool
	cut     bool
	release func()
}

// stop ends the watch and tells whether the body was cut.
func (w *slowWatch) stop() bool {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.release != nil {
		w.release()
	}
	return w.cut
}
