package plainhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answers are handlers whose answers have to look as they do from net/http.
var answers = map[string]http.HandlerFunc{
	"success": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, "success") //nolint:errcheck // the client says so
	},
	"busy": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "fail", http.StatusServiceUnavailable)
	},
	"nothing": func(http.ResponseWriter, *http.Request) {},
	"no type": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, //nolint:errcheck // as above
	"closes": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	},
	"closes, and says nothing": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
	"no body":                  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"unchanged":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	"two heads": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X-Late", "a")
	},
	"a length of its own": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1")
		io.WriteString(w, "a") //nolint:errcheck // as above
	},
	"a hint before": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusNotFound)
	},
	"no status": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(0)
		io.WriteString(w, "success") //nolint:errcheck // as above
	},
	"two values": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		io.WriteString(w, "a") //nolint:errcheck // as above
		io.WriteString(w, "b") //nolint:errcheck // as above
	},
	"a line more":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Line", "a\r\nX-More: b") },
	"no field name": func(w http.ResponseWriter, _ *http.Request) { w.Header()["X More: a\r\nX"] = []string{"b"} },
	"body of none": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := io.WriteString(w, "a"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
}

func TestAnswersAsNetHTTP(t *testing.T) {
	t.Parallel()
	for name, h := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, h, func(f *fixture) {
				ask := func(request string) *http.Response {
					c := f.dial()
					c.write(request)
					resp := c.answer()
					for resp != nil && resp.StatusCode < 200 { // hints, which are not sent here
						resp = c.answer()
					}
					if alive := c.alive(); resp != nil && resp.Close == alive {
						t.Errorf("Connection: close is %v, and it is alive: %v", resp.Close, alive)
					}
					return resp
				}
				want, got := ask(chunked), ask(whole)
				if want == nil || got == nil {
					if want != got {
						t.Errorf("%v, want %v", got, want)
					}
					return
				}
				wantBody, _ := io.ReadAll(want.Body)
				gotBody, _ := io.ReadAll(got.Body)
				if want.Status != got.Status || want.Proto != got.Proto || want.ContentLength != got.ContentLength || want.Close != got.Close {
					t.Errorf("%+v, want %+v", got, want)
				}
				if diff := cmp.Diff(want.Header, got.Header); diff != "" {
					t.Errorf("header (-net/http +here):\n%s", diff)
				}
				if diff := cmp.Diff(string(wantBody), string(gotBody)); diff != "" {
					t.Errorf("body (-net/http +here):\n%s", diff)
				}
			})
		})
	}
}

// How long an answer is, and when it was given, is said once, by whoever knows it.
func TestFramingIsOurs(t *testing.T) {
	t.Parallel()
	bubble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1")
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
		w.Header().Set("Content-Type", "a/b")
		io.WriteString(w, "success") //nolint:errcheck // the client says so
	}, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		const want = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 7\r\n\r\nsuccess"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.from, got); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
}

// Nothing of an answer is in the next one of its connection.
func TestNothingIsLeftOfAnAnswer(t *testing.T) {
	t.Parallel()
	first := true
	bubble(t, func(w http.ResponseWriter, _ *http.Request) {
		if first {
			w.Header().Set("X-First", "a")
			w.Header().Set("Content-Type", "a/b")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, strings.Repeat("b", 8<<10)) //nolint:errcheck // the client says so
		}
		first = false
		io.WriteString(w, "a") //nolint:errcheck // as above
	}, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		if resp := c.answer(); resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Fatalf("answered %v", resp)
		}
		c.write(whole)
		want := http.Header{"Content-Length": {"1"}, "Content-Type": {"text/plain; charset=utf-8"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}
		if diff := cmp.Diff(want, c.says("a").Header); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDateIsToday(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		for range 4 {
			c.write(whole)
			if got, want := c.says("plainhttp: a=b").Header.Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			<-time.After(600 * time.Millisecond)
		}
	})
}

// A handler that ends its goroutine ends its connection, and nobody waits for it.
func TestGoexit(t *testing.T) {
	t.Parallel()
	bubble(t, func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		if resp := c.answer(); resp != nil {
			t.Errorf("answered: %v", resp)
		}
		if err := f.server.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// nowhere is a connection that its system forgot the other end of.
type nowhere struct{ net.Conn }

func (nowhere) RemoteAddr() net.Addr { return nil }

func TestNoAddress(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dialThrough(func(c net.Conn) net.Conn { return nowhere{c} })
		c.write(whole)
		c.says("plainhttp: a=b")
	})
}

// mishap is a connection whose reading is a bug.
type mishap struct{ net.Conn }

func (mishap) Read([]byte) (int, error) { panic("oops") }

// A bug outside of the handler costs its connection and not the process.
func TestPanicElsewhere(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dialThrough(func(c net.Conn) net.Conn { return mishap{c} })
		c.ends()
		c = f.dial()
		c.write(whole)
		c.says("plainhttp: a=b")
		if !strings.Contains(f.log.String(), "panic serving pipe: oops\n") {
			t.Errorf("logged %q", f.log)
		}
	})
}

// halfCloser is a connection that can end its one direction, as a socket can.
type halfCloser struct {
	net.Conn
	ended chan struct{}
}

func (h halfCloser) CloseWrite() error {
	close(h.ended)
	return nil
}

// net/http says that an answer has ended whose request nobody reads to its end, and
// closes later. It could not where the connection was handed over: there the answer
// ended in a reset, and the sender might never see it.
func TestAnswerBeforeTheEndOfARequest(t *testing.T) {
	t.Parallel()
	bubble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}, func(f *fixture) {
		ended := make(chan struct{})
		c := f.dialThrough(func(c net.Conn) net.Conn { return halfCloser{c, ended} })
		c.write("POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		if resp := c.answer(); resp == nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("answered %v", resp)
		}
		asked := time.Now()
		<-ended
		if took := time.Since(asked); took > 0 {
			t.Errorf("ended after %v", took)
		}
		c.ends() // net/http waits with that
	})
}

// alive tells whether another request is answered.
func (c *client) alive() bool {
	if _, err := io.WriteString(c.Conn, whole); err != nil {
		return false
	}
	return c.answer() != nil
}
