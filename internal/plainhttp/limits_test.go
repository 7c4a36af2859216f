package plainhttp_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// mostIdle is how long a connection lives that is silent: the limit is the least.
const mostIdle = idleTimeout * 9 / 8

// Looking whether the sender is there leaves no trace: not in the next request, and
// not in the time that the connection may be idle.
func TestLookEnds(t *testing.T) {
	t.Parallel()
	bubble(t, whoseLate, func(f *fixture) {
		c := f.dial()
		for range 3 {
			c.write(whole)
			c.says("plainhttp: a=b")
			<-time.After(idleTimeout / 2)
		}
		c.write(whole)
		c.says("plainhttp: a=b")
		if took := c.ends(); took < idleTimeout || took > mostIdle {
			t.Errorf("idle for %v, want %v", took, idleTimeout)
		}
	})
}

func TestIdleEnds(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		if took := c.ends(); took != headerTimeout {
			t.Errorf("without a request it ends after %v, want %v", took, headerTimeout)
		}
		c = f.dial()
		for range 20 { // a deadline that is far enough away is not set again
			c.write(whole)
			c.says("plainhttp: a=b")
			<-time.After(time.Second)
		}
		if took := c.ends() + time.Second; took < idleTimeout || took > mostIdle {
			t.Errorf("behind a request it ends after %v, want %v", took, idleTimeout)
		}
	})
}

// A connection that was idle for longer than an answer may take has its answer: the
// deadline of writing is that of another answer.
func TestAnswerAfterALongWait(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		c.says("plainhttp: a=b")
		<-time.After(writeTimeout + 10*time.Second)
		c.write(whole)
		c.says("plainhttp: a=b")
	})
}

func TestNobodyReads(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		<-time.After(writeTimeout*9/8 + time.Second)
		if resp := c.answer(); resp != nil {
			t.Errorf("answered after %v: %v", writeTimeout, resp)
		}
	})
}

// The deadline of writing is not set for each answer, and each has its time: one that
// is nearly over once cut the next answer short.
func TestAnswerHasItsTime(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		for _, pause := range []time.Duration{time.Second, writeTimeout / 8, writeTimeout / 2, writeTimeout - time.Second} {
			c.write(whole)
			c.says("plainhttp: a=b")
			<-time.After(pause)
			c.write(whole)
			<-time.After(writeTimeout - time.Second)
			c.says("plainhttp: a=b")
		}
	})
}

// Looking whether the sender is there once was with the deadline that was left: of a
// request in two writes 20 ms, of the first of a connection 5 s, and nobody looked
// any more.
func TestHangUpIsNoticed(t *testing.T) {
	t.Parallel()
	head, body := whole[:len(whole)-3], whole[len(whole)-3:]
	for name, send := range map[string]func(*client){
		"at once":   func(c *client) { c.write(whole) },
		"in pieces": func(c *client) { c.write(head); c.write(body) },
		"late": func(c *client) {
			<-time.After(headerTimeout - 50*time.Millisecond)
			c.write(whole)
		},
	} {
		for _, after := range []time.Duration{0, time.Second, headerTimeout + time.Second, idleTimeout - time.Second} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bubble(t, nil, func(f *fixture) {
					c := f.dial()
					send(c)
					ctx := <-f.begun
					<-time.After(after)
					hungUp := time.Now()
					c.Close() //nolint:errcheck // what is tested
					select {
					case <-ctx.Done():
						if took := time.Since(hungUp); took > 100*time.Millisecond {
							t.Errorf("noticed after %v", took)
						}
					case <-time.After(time.Hour):
						t.Error("never noticed")
						close(f.released)
					}
				})
			})
		}
	}
}

// The timer that has the sender looked at is not one of each request: it runs on behind
// those that were answered soon, and the next one finds it at any point of its time.
func TestHangUpIsNoticedBehindOthers(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{0, 30 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond, time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			const others = 7
			requests, ended := 0, chan struct{}(nil)
			bubble(t, func(w http.ResponseWriter, r *http.Request) {
				if requests++; requests > others {
					<-r.Context().Done()
					close(ended)
					return
				}
				whose(w, r)
			}, func(f *fixture) {
				ended = make(chan struct{}) // in the bubble
				c := f.dial()
				for range others {
					c.write(whole)
					c.says("plainhttp: a=b")
					<-time.After(pause)
				}
				c.write(whole)
				hungUp := time.Now()
				c.Close() //nolint:errcheck // what is tested
				select {
				case <-ended:
					if took := time.Since(hungUp); took > 100*time.Millisecond {
						t.Errorf("noticed after %v", took)
					}
				case <-time.After(time.Hour):
					t.Fatal("never noticed")
				}
			})
		})
	}
}

// A handler may end just when it is looked whether its sender is there.
func TestAnswersBesideTheLook(t *testing.T) {
	t.Parallel()
	bubble(t, func(w http.ResponseWriter, r *http.Request) {
		takes := []time.Duration{0, time.Millisecond, 50 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond}
		<-time.After(takes[rand.IntN(len(takes))])
		whose(w, r)
	}, func(f *fixture) {
		var clients sync.WaitGroup
		for range 8 {
			c := f.dial()
			clients.Go(func() {
				for range 200 {
					c.write(whole)
					c.says("plainhttp: a=b")
				}
			})
		}
		clients.Wait()
	})
}

// An answer that took long is not held up by the look at its sender.
func TestLateAnswerIsNotLater(t *testing.T) {
	t.Parallel()
	bubble(t, whoseLate, func(f *fixture) {
		c := f.dial()
		for range 4 {
			started := time.Now()
			c.write(whole)
			c.says("plainhttp: a=b")
			if took := time.Since(started); took != time.Second {
				t.Errorf("answered after %v", took)
			}
		}
	})
}

func TestContextEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"", chunked} {
		bubble(t, nil, func(f *fixture) {
			c := f.dial()
			c.write(whole)
			ctx := <-f.begun
			close(f.released)
			c.says("plainhttp: a=b")
			if last != "" {
				c.write(last) // the connection is net/http's now
				<-f.begun
				c.says("net/http: a=b")
			} else {
				c.Close() //nolint:errcheck // what is tested
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
				t.Error("the context outlives its connection")
			}
		})
	}
}

// A server without limits has none, and one with a ReadTimeout alone has that, as in
// net/http.
func TestLimitsOfNetHTTP(t *testing.T) {
	t.Parallel()
	for reading, want := range map[time.Duration]time.Duration{0: 0, 10 * time.Second: 10 * time.Second} {
		bubble(t, whose, func(f *fixture) {
			fresh, used := f.dial(), f.dial()
			for range 2 {
				used.write(whole[:len(whole)-3])
				used.write("a=b")
				used.says("plainhttp: a=b")
			}
			if want > 0 {
				a, b := fresh.ends(), used.ends()
				if a != want || a+b < want || a+b > want*9/8 {
					t.Errorf("they end after %v and %v, want %v", a, a+b, want)
				}
				return
			}
			<-time.After(24 * time.Hour)
			for _, c := range []*client{fresh, used} {
				c.write(whole)
				c.says("plainhttp: a=b")
			}
		}, func(s *http.Server) {
			s.ReadTimeout, s.ReadHeaderTimeout, s.IdleTimeout, s.WriteTimeout = reading, 0, 0, 0
		})
	}
}

// What a listener says for a moment does not end the server, and is not asked without
// a pause. Nor does it keep connections that are there already from net/http: that
// once waited for as long as there were too many open files.
func TestTooManyOpenFiles(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		c.says("plainhttp: a=b")
		var asked atomic.Int64
		enough := make(chan struct{})
		go func() {
			for {
				select {
				case f.listener.errors <- &net.OpError{Op: "accept", Err: syscall.EMFILE}:
					asked.Add(1)
				case <-enough:
					return
				}
			}
		}()
		<-time.After(10 * time.Second)
		if n := asked.Load(); n < 10 || n > 20 {
			t.Errorf("asked %d times in 10 s", n)
		}
		started := time.Now()
		c.write(chunked)
		c.says("net/http: a=b")
		if took := time.Since(started); took > 0 {
			t.Errorf("answered after %v", took)
		}
		close(enough)
		c = f.dial()
		c.write(whole)
		c.says("plainhttp: a=b")
	})
}

// hooked is a connection that does something before a deadline of reading is set.
type hooked struct {
	net.Conn
	before atomic.Pointer[func()]
}

func (h *hooked) SetReadDeadline(t time.Time) error {
	if do := h.before.Swap(nil); do != nil {
		(*do)()
	}
	return h.Conn.SetReadDeadline(t)
}

// Shutdown ends a connection that sets its deadline behind Shutdown's.
func TestShutdownMeetsADeadline(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		done := make(chan error, 1)
		stop := func() {
			go func() { done <- f.server.Shutdown(context.Background()) }()
			<-time.After(time.Millisecond)
		}
		f.dialThrough(func(c net.Conn) net.Conn {
			h := &hooked{Conn: c}
			h.before.Store(&stop)
			return h
		})
		started := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

func TestCloseClosesAll(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		fresh, used, theirs := f.dial(), f.dial(), f.dial()
		used.write(whole)
		used.says("plainhttp: a=b")
		theirs.write(chunked)
		theirs.says("net/http: a=b")
		f.server.Close() //nolint:errcheck // what is tested
		if took := fresh.ends() + used.ends() + theirs.ends(); took > 0 {
			t.Errorf("they lived for %v", took)
		}
	})
}

// Behind the body of a POST net/http passes over line breaks. Handed over, they once
// began a request there, whose 400 the sender took for the answer to his next one.
func TestLineBreaksBehindABody(t *testing.T) {
	t.Parallel()
	for breaks, answers := range map[string]bool{"\r\n": true, "\r\n\r\n": true, "\n": true, "\r\n\r\n\r\n": false} {
		for _, next := range []string{"plainhttp", "net/http"} {
			bubble(t, whose, func(f *fixture) {
				c := f.dial()
				c.write(whole)
				c.says("plainhttp: a=b")
				for b := range strings.SplitSeq(breaks, "") {
					c.write(b)
				}
				if request := map[string]string{"plainhttp": whole, "net/http": chunked}[next]; answers {
					c.write(request)
					c.says(next + ": a=b")
				} else if resp := c.answer(); resp == nil || resp.StatusCode != http.StatusBadRequest {
					t.Errorf("six bytes of line breaks are answered %v", resp)
				}
			})
		}
	}
}
