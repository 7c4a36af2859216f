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

	"alipay-notify/internal/plainhttp"
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
		w.WriteHeader(413)
	}, //nolint:usestdlibvars // it is the number that is sent
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

// An answer to a request that nobody reads to its end arrives all the same, where the
// connection was handed over, too: it once ended in a reset, because the end of
// the answer could not be said.
func TestAnswerBeforeTheEndOfARequest(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := plainhttp.New(rest(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}), io.Discard))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 400_000)); err != nil {
		t.Error(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") {
		t.Errorf("%q, %v", answer, err)
	}
	c.Close() //nolint:errcheck // nothing can be done
	s.Close() //nolint:errcheck // nothing can be done
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// alive tells whether another request is answered.
func (c *client) alive() bool {
	if _, err := io.WriteString(c.Conn, whole); err != nil {
		return false
	}
	return c.answer() != nil
}
