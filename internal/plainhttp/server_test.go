package plainhttp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/plainhttp"
)

func TestConnectionGoesOn(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		for range 3 {
			c.write(whole)
			c.says("plainhttp: a=b")
		}
		head, body, _ := strings.Cut(whole, "a=b")
		c.write(head)
		c.write("a=b" + body)
		c.says("plainhttp: a=b")
		c.write(chunked)
		c.says("net/http: a=b")
		c.write(whole)
		c.says("net/http: a=b") // for whoever was not plain once
	})
}

func TestSlowIsHandedOver(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{1, 40, len(whole) - 1} {
		bubble(t, whose, func(f *fixture) {
			c := f.dial()
			c.write(whole[:cut])
			<-time.After(time.Second)
			c.write(whole[cut:])
			c.says("net/http: a=b")
		})
	}
}

// Two requests in one write are net/http's, in their order.
func TestPipelined(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		go c.write(whole + strings.Replace(whole, "a=b", "c=d", 1))
		c.says("net/http: a=b")
		c.says("net/http: c=d")
	})
}

// A request that ends early is net/http's as well.
func TestPartBeforeTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		c := f.dial()
		c.write(whole[:40])
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait() // and goleak finds who still waits for it
	})
}

func TestHangUpIsNoticed(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		ctx := <-f.begun
		started := time.Now()
		c.Close() //nolint:errcheck // what is tested
		<-ctx.Done()
		if took := time.Since(started); took > 100*time.Millisecond {
			t.Errorf("noticed after %v", took)
		}
	})
}

// A byte that comes while a handler is looked after is no hang-up: it begins the next
// request.
func TestNextRequestComesEarly(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		<-f.begun
		<-time.After(time.Second)
		go c.write(strings.Replace(whole, "a=b", "c=d", 1))
		synctest.Wait()
		close(f.released)
		c.says("plainhttp: a=b")
		c.says("plainhttp: c=d")
	})
}

// Looking whether the sender is there leaves no trace: not in the next request, and
// not in the time that the connection may be idle.
func TestLookEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(w http.ResponseWriter, r *http.Request) {
		<-time.After(time.Second)
		whose(w, r)
	}, func(f *fixture) {
		c := f.dial()
		for range 3 {
			c.write(whole)
			c.says("plainhttp: a=b")
			<-time.After(idleTimeout / 2)
		}
		c.write(whole)
		c.says("plainhttp: a=b")
		if took := c.ends(); took != idleTimeout {
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
		for range 5 { // a deadline that is nearly as far away is not set again
			c.write(whole)
			c.says("plainhttp: a=b")
			<-time.After(time.Second)
		}
		if took := c.ends() + time.Second; took > idleTimeout || took < idleTimeout*7/8 {
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
		<-time.After(writeTimeout + time.Second)
		if resp := c.answer(); resp != nil {
			t.Errorf("answered after %v: %v", writeTimeout, resp)
		}
	})
}

// A handler that panics ends its connection without an answer, and is heard of.
func TestPanic(t *testing.T) {
	t.Parallel()
	for thrown, heard := range map[any]bool{"oops": true, http.ErrAbortHandler: false} {
		var log *strings.Builder
		bubble(t, func(http.ResponseWriter, *http.Request) { panic(thrown) }, func(f *fixture) {
			c := f.dial()
			c.write(whole)
			if resp := c.answer(); resp != nil {
				t.Errorf("answered: %v", resp)
			}
			log = &strings.Builder{}
			log.WriteString(f.log.String())
		})
		if got := strings.Contains(log.String(), "panic serving pipe: oops\n"); got != heard || !heard && log.Len() > 0 {
			t.Errorf("%v: logged %q", thrown, log)
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		fresh, part, active := f.dial(), f.dial(), f.dial()
		part.write(whole[:40])
		active.write(whole)
		ctx := <-f.begun
		<-time.After(time.Second) // the part is net/http's now
		done := make(chan error, 1)
		go func() { done <- f.server.Shutdown(context.Background()) }()
		if took := fresh.ends(); took != 0 {
			t.Errorf("a connection without a request lived for %v", took)
		}
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("the request at work was hung up")
		}
		select {
		case err := <-done:
			t.Errorf("Shutdown did not wait: %v", err)
		default:
		}
		close(f.released)
		if resp := active.says("plainhttp: a=b"); !resp.Close {
			t.Error("the last answer does not say that it is the last")
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-f.served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		f.served <- http.ErrServerClosed // for the fixture
	})
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(f *fixture) {
		c := f.dial()
		c.write(whole)
		<-f.begun
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		// Close, by the fixture, hangs up.
	})
}

// What a listener says for a moment does not end the server, as in net/http: too many
// open files once ended one that took every error for its last.
func TestListenerRecovers(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		for range 3 {
			f.listener.errors <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		c := f.dial()
		c.write(whole)
		c.says("plainhttp: a=b")
	})
}

func TestListenerFails(t *testing.T) {
	t.Parallel()
	bubble(t, whose, func(f *fixture) {
		f.listener.errors <- errListener
		if err := <-f.served; !errors.Is(err, errListener) {
			t.Errorf("Serve: %v", err)
		}
		f.served <- http.ErrServerClosed
	})
}

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
	"no body":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"unchanged": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	"two heads": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X-Late", "a")
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
					if resp == nil {
						t.Fatal("no answer")
					}
					if resp.Close != (c.alive() == false) {
						t.Errorf("Connection: close is %v, and it is alive: %v", resp.Close, c.alive())
					}
					return resp
				}
				want, got := ask(chunked), ask(whole)
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

// alive tells whether another request is answered.
func (c *client) alive() bool {
	if _, err := io.WriteString(c.Conn, whole); err != nil {
		return false
	}
	return c.answer() != nil
}

// The same over sockets, with real deadlines and a real end.
func TestSockets(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := plainhttp.New(rest(http.HandlerFunc(whose), io.Discard))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	for _, want := range []string{"plainhttp: a=b", "plainhttp: a=b"} {
		resp, err := client.Post("http://"+l.Addr().String()+"/notify?a=b", "text/plain", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != want {
			t.Errorf("%q, %v; want %q", body, err, want)
		}
		resp.Body.Close() //nolint:errcheck // it is read to its end
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	client.CloseIdleConnections()
}
