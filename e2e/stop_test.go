//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// held is a request that the receiver is reading: its headers are taken and its
// body has not come.
type held struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte
}

// hold begins a request. The server says 100 Continue when its handler begins
// to read the body, so that from then on the request is certainly in flight.
func hold(t *testing.T, r *receiver, body []byte) *held {
	t.Helper()
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", target.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		target.Path, formType, len(body))
	h := &held{conn: conn, reader: bufio.NewReader(conn), body: body}
	answer, err := http.ReadResponse(h.reader, nil)
	if err != nil || answer.StatusCode != http.StatusContinue {
		t.Fatalf("no 100 Continue: %v, %v", answer, err)
	}
	return h
}

// finish sends the body and gives the reply.
func (h *held) finish(t *testing.T) reply {
	t.Helper()
	if _, err := h.conn.Write(h.body); err != nil {
		t.Fatalf("send the body: %v", err)
	}
	answer, err := http.ReadResponse(h.reader, nil)
	if err != nil {
		t.Fatalf("a request in flight got no answer: %v", err)
	}
	return read(t, answer)
}

// TestGracefulStop asks the receiver to stop in the middle of its work. What it
// has begun it ends: each request in flight is answered, the exit code is 0,
// and all that it acknowledged is stored.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	withServers, _, _ := external(t, app)
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		config *config
	}{
		{"SIGTERM embedded", syscall.SIGTERM, newConfig(t, app)},
		{"SIGINT external", syscall.SIGINT, withServers},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stopUnderLoad(t, app, c.config, c.signal)
		})
	}
}

// ledger is what was acknowledged. It is safe for concurrent use.
type ledger struct {
	mu  sync.Mutex
	ids []string
}

func (l *ledger) note(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
}

// pour sends new notifications as fast as it goes until nobody takes them.
func (l *ledger) pour(t *testing.T, r *receiver, app *alipaytest.App) {
	for {
		n, err := alipaytest.New("voucher.created", alipaytest.Options{AppID: app.ID, Key: app.Key})
		if err != nil {
			t.Error(err)
			return
		}
		body, err := n.Body(time.Now())
		if err != nil {
			t.Error(err)
			return
		}
		got, err := r.try(body)
		if err != nil {
			return // refused: it listens no more
		}
		if got.acknowledged() {
			l.note(n.ID())
		} else if got.body != "fail" {
			t.Errorf("got %d %q, want success or fail", got.status, got.body)
		}
	}
}

func stopUnderLoad(t *testing.T, app *alipaytest.App, config *config, signal syscall.Signal) {
	r := ready(t, config)
	var acknowledged ledger
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { acknowledged.pour(t, r, app) })
	}
	eventually(t, "some are sent", func() bool { return len(r.lines("notification")) > 20 })

	// These are in flight for certain when the signal comes.
	inFlight := map[string]*held{}
	for range 16 {
		n := voucher(t, app)
		inFlight[n.ID()] = hold(t, r, bodyOf(t, n))
	}
	r.signal(t, signal)
	eventually(t, "the receiver says that it stops", func() bool { return len(r.lines("stopping")) > 0 })
	for id, h := range inFlight {
		h.finish(t).want(t, http.StatusOK, "success")
		acknowledged.note(id)
	}
	if code := r.wait(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	senders.Wait()
	t.Logf("%d acknowledged, %d of them after the signal", len(acknowledged.ids), len(inFlight))
	wantStored(t, ids(ready(t, config).events(t)), acknowledged.ids)
}

// TestSecondSignal does not want to wait for a request that goes on: a second
// signal ends the receiver at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	hold(t, r, bodyOf(t, voucher(t, app)))
	began := time.Now()
	r.signal(t, syscall.SIGTERM)
	eventually(t, "the receiver says that it stops", func() bool { return len(r.lines("stopping")) > 0 })
	// The handler of the first signal is taken away in the background, and may
	// still swallow the second.
	eventually(t, "the receiver ends", func() bool {
		if !r.ended() {
			r.signal(t, syscall.SIGTERM)
		}
		return r.ended()
	})
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v, want at once, not when the request times out", took)
	}
	if code := r.wait(t); code != -1 {
		t.Errorf("exit code %d, want death by the signal", code)
	}
}

// TestPortTaken gives the receiver an address that somebody else has.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) // after the parallel subtests
	for _, key := range []string{"http.listen", "ops.listen", "nats.embedded.listen"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t, alipaytest.NewApp(t, ""))
			config.keys[key] = taken.Addr().String()
			r := launch(t, config)
			if code := r.wait(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, word := range []string{key, "address already in use", "Try: "} {
				if !strings.Contains(r.out.String(), word) {
					t.Errorf("stderr does not say %q:\n%s", word, r.out)
				}
			}
		})
	}
}

// TestFolderTaken starts a second receiver on the embedded store of a first,
// which would destroy it.
func TestFolderTaken(t *testing.T) {
	t.Parallel()
	config := newConfig(t, alipaytest.NewApp(t, ""))
	ready(t, config)
	config.run(t).want(t, 1, "used by another process", "nats.embedded.dir")
}
