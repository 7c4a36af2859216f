package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/plainhttp"
)

// firstRead is the most that the buffer of a body begins with. It grows only with
// bytes that have come, so that a Content-Length costs its sender the bytes.
const firstRead = 4 << 10

// firstBuffer is the size of the first buffer: of the body as announced, where
// that is small, and one byte more in which its end is seen.
func firstBuffer(announced int64, limit int) int {
	if announced >= 0 && announced < firstRead {
		return int(announced) + 1
	}
	return min(limit+1, firstRead)
}

// readBody reads the whole body within the limits of size and time. On an
// error the connection is not used again, and size says how much came of the body.
// Of one that is too large it is 0.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, source string) (body string, size int, err error) {
	limit := s.options.MaxBody
	if r.ContentLength > int64(limit) {
		w.Header().Set("Connection", "close")
		return "", 0, tooLarge(limit)
	}
	if b, ok := r.Body.(*plainhttp.Body); ok {
		return b.Whole(), len(b.Whole()), nil // it came with its head
	}
	s.options.Metrics.notPlain.Inc()
	// Most bodies are here already. A deadline is set when one turns out slow; until
	// then the server's own holds, which is longer. Not every ResponseWriter
	// has deadlines (those of tests do not); the server that HTTP makes has.
	control, started := http.NewResponseController(w), time.Now()
	watch := s.slow.watch(source, func(admitted bool) {
		end := time.Unix(1, 0)
		if admitted {
			end = started.Add(bodyTimeout)
		}
		control.SetReadDeadline(end) //nolint:errcheck,gosec // see above
	})
	read, err := readAll(r.Body, firstBuffer(r.ContentLength, limit), limit+1)
	slow, cut := watch.stop()
	if err == nil && len(read) <= limit {
		if slow {
			control.SetReadDeadline(time.Time{}) //nolint:errcheck,gosec // see above
		}
		return string(read), len(read), nil
	}
	w.Header().Set("Connection", "close")
	switch {
	case err == nil:
		return "", 0, tooLarge(limit)
	case cut:
		return "", len(read), fault.Errorf(fault.Overloaded, "slow_bodies", "too many slow bodies at once")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", len(read), fault.Errorf(fault.Malformed, "slow_body", "the body did not come within %v", bodyTimeout)
	}
	return "", len(read), fault.Errorf(fault.Malformed, "short_body", "the body ended early: %w", errHungUp)
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

// watch begins to look at one body. When it turns out slow, that is told, once,
// with whether there is room among the slow ones.
func (s *slowReaders) watch(source string, slow func(admitted bool)) *slowWatch {
	w := &slowWatch{}
	w.timer = time.AfterFunc(slowAfter, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.done {
			return
		}
		w.slow = true
		if s.acquire(source) {
			w.release = func() { s.release(source) }
		} else {
			w.cut = true
		}
		slow(!w.cut)
	})
	return w
}

// slowWatch is the watch over one body.
type slowWatch struct {
	timer *time.Timer

	mu        sync.Mutex
	done      bool
	slow, cut bool
	release   func()
}

// stop ends the watch and tells whether the body was slow, and whether it was cut.
func (w *slowWatch) stop() (slow, cut bool) {
	if w.timer.Stop() {
		return false, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.release != nil {
		w.release()
	}
	return w.slow, w.cut
}
