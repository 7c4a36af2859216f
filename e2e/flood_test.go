//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

const (
	floodEvery    = 3 * time.Millisecond // between two requests, as far as the machine goes along
	floodRequests = 2700                 // in some 8 s, more than the rejects keep of one app
	floodLarge    = 100                  // every so manieth request has a body of largeBody
	floodOver     = 300                  // every so manieth request has a body over the limit
	floodSenders  = 8
	largeBody     = 200 << 10

	// What the rejects may keep of one app, and of one source.
	keptBurst     = 2000
	keptPerSecond = 1

	// floodMemory is how much the receiver may grow under the flood: 16 MiB may
	// wait to be written, the store of the embedded server has its buffers, and
	// Go keeps as much again until it collects.
	floodMemory = 64 << 20
)

// TestFlood has a stranger pour rubbish into the receiver, a megabyte a second,
// while genuine notifications come now and then. Each of those is acknowledged;
// the receiver does not grow; what it keeps of the rubbish is bounded.
func TestFlood(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	js := jetStream(t, r.nats, r.config.token())
	began := time.Now()
	f := &flood{receiver: r, app: app}

	// Before the comparison everything has happened once.
	f.pour(t, floodOver)
	sent := []string{}
	for range 20 {
		n := voucher(t, app)
		r.deliver(t, n)
		sent = append(sent, n.ID())
	}
	const resident = "process_resident_memory_bytes"
	before := r.metric(t, resident)

	over := make(chan struct{})
	go func() {
		defer close(over)
		f.pour(t, floodRequests)
	}()
	highest, tick := before, time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for pouring := true; pouring; {
		select {
		case <-over:
			pouring = false
		case <-tick.C:
		}
		n := voucher(t, app)
		r.deliver(t, n)
		sent = append(sent, n.ID())
		highest = max(highest, r.metric(t, resident))
	}
	t.Logf("%d bytes of rubbish in %v beside %d genuine ones; %.0f MiB before, %.0f MiB at most",
		f.bytes.Load(), time.Since(began), len(sent), before/(1<<20), highest/(1<<20))
	if grown := highest - before; grown > floodMemory && !raceEnabled {
		t.Errorf("the receiver has grown by %.0f bytes, %d at most are well", grown, floodMemory)
	}
	wantOnce(t, ids(r.events(t)), sent)
	if n := r.metric(t, "alipay_notify_notifications_total", `outcome="overloaded"`); n != 0 {
		t.Errorf("%v requests found the receiver overloaded, want none", n)
	}
	f.wantBounded(t, began)
	if n := storedIn(t, js, "ALIPAY_QUARANTINE").Msgs; n > 0 {
		t.Errorf("%d requests are quarantined, want none", n)
	}
}

// flood is what a stranger sends who has read the documentation.
type flood struct {
	receiver *receiver
	app      *alipaytest.App

	bytes  atomic.Int64
	judged atomic.Int64 // requests that were decided on, and could be kept
}

// pour sends so many requests, and returns when all are answered.
func (f *flood) pour(t *testing.T, requests int) {
	tick := time.NewTicker(floodEvery)
	defer tick.Stop()
	work := make(chan int)
	var senders sync.WaitGroup
	for range floodSenders {
		senders.Go(func() {
			for i := range work {
				f.one(t, i)
			}
		})
	}
	for i := range requests {
		<-tick.C
		work <- i
	}
	close(work)
	senders.Wait()
}

// one sends the i-th request. The answer is fail, whatever it is.
func (f *flood) one(t *testing.T, i int) {
	form, status := f.form(t, i)
	body := form.Encode()
	if i%floodOver == floodOver-1 {
		body, status = append(body, strings.Repeat("x", 256<<10)...), http.StatusRequestEntityTooLarge
	}
	f.bytes.Add(int64(len(body)))
	got, err := f.receiver.try(body)
	switch {
	case err != nil && status == http.StatusRequestEntityTooLarge:
		// The answer came, and the connection went, while we still wrote.
	case err != nil:
		t.Errorf("no answer: %v", err)
	case got.status != status || got.body != "fail":
		t.Errorf("got %d %q, want %d fail", got.status, got.body, status)
	}
	if status != http.StatusRequestEntityTooLarge {
		f.judged.Add(1)
	}
}

// form is a notification with something wrong: no signature, an app that nobody
// has, a signature that anybody can write.
func (f *flood) form(t *testing.T, i int) (alipaytest.Form, int) {
	signature := make([]byte, 256)
	for j := range signature {
		signature[j] = byte(rand.Uint32())
	}
	form := alipaytest.Form{
		{Name: "charset", Value: "UTF-8"}, {Name: "app_id", Value: f.app.ID}, {Name: "version", Value: "1.1"},
		{Name: "biz_content", Value: fmt.Sprintf(`{"activity_id":"%d"}`, rand.Uint64())},
		{Name: "utc_timestamp", Value: fmt.Sprint(time.Now().UnixMilli())}, {Name: "sign_type", Value: "RSA2"},
		{Name: "notify_id", Value: fmt.Sprint(rand.Uint64())},
		{Name: "msg_method", Value: "alipay.marketing.activity.message.created"},
		{Name: "sign", Value: base64.StdEncoding.EncodeToString(signature)},
	}
	if i%floodLarge == 0 {
		form = form.With("biz_content", `{"x":"`+strings.Repeat("x", largeBody)+`"}`)
	}
	switch i % 3 {
	case 0:
		return form, http.StatusUnauthorized
	case 1:
		return form.With("app_id", fmt.Sprint(2021000000000000+rand.Uint64N(1e12))), http.StatusUnauthorized
	}
	return form.Without("sign"), http.StatusBadRequest
}

// wantBounded checks what is kept of the rubbish, which all came from one
// address.
func (f *flood) wantBounded(t *testing.T, began time.Time) {
	t.Helper()
	kept := func(result string) float64 {
		return f.receiver.metric(t, "alipay_notify_kept_total", `result="`+result+`"`)
	}
	eventually(t, "every request is kept, or known not to be", func() bool {
		return kept("rejected")+kept("limited")+kept("overflow")+kept("unavailable") == float64(f.judged.Load())
	})
	most := keptBurst + keptPerSecond*(time.Since(began).Seconds()+1)
	state := storedIn(t, jetStream(t, f.receiver.nats, f.receiver.config.token()), "ALIPAY_REJECTS")
	t.Logf("kept %d requests, %d bytes; %v over the rate, %v overflowed, %v not written",
		state.Msgs, state.Bytes, kept("limited"), kept("overflow"), kept("unavailable"))
	if float64(state.Msgs) > most || float64(state.Msgs) > kept("rejected") || state.Bytes > 64<<20 {
		t.Errorf("kept %d requests and %d bytes, want %.0f and 64 MiB at most", state.Msgs, state.Bytes, most)
	}
	if kept("limited") == 0 || state.Msgs == 0 {
		t.Errorf("kept %d requests, %v were over the rate: want some of both", state.Msgs, kept("limited"))
	}
}

const (
	slowConnections = 1000
	slowSources     = 16 // so that each stays below what one source may hold
	measured        = 100
	// What genuine requests may take beside the slow ones: so many times as long
	// as without them, or so long at all.
	slowFactor = 10
	slowFine   = 100 * time.Millisecond
)

// TestSlowConnections has a stranger open a thousand connections, each of which
// sends half a body and stops, from many addresses or from one, which is ours.
// Genuine requests do not notice.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	for _, c := range []struct {
		name    string
		sources int
		held    int64 // connections that are there for certain
	}{
		{"from many addresses", slowSources, slowConnections * 9 / 10},
		{"from ours", 1, 60}, // 64 slow ones are all that an address may have
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sources > 1 && !aliases() {
				t.Skip("this system has one loopback address")
			}
			without := r.percentile95(t, app)
			s := startSlow(t, r, app, c.sources)
			eventually(t, "the slow connections are there", func() bool { return s.held.Load() >= c.held })
			with := r.percentile95(t, app)
			held := s.held.Load()
			s.stop()
			t.Logf("95 of 100 took %v at most, and %v beside %d slow connections", without, with, held)
			if with > slowFactor*without && with > slowFine {
				t.Errorf("95 of 100 took %v beside the slow ones, and %v without", with, without)
			}
			if held < c.held {
				t.Errorf("%d slow connections at the end, want %d or more, or this says nothing", held, c.held)
			}
		})
	}
	// Of one address 64 had to wait their five seconds, and the others were cut.
	if n := r.metric(t, "alipay_notify_notifications_total", `outcome="overloaded"`); n == 0 {
		t.Error("no slow connection was cut, or this says nothing")
	}
}

// percentile95 sends genuine notifications one after the other for a second,
// and gives the time within which 95 of 100 were acknowledged.
func (r *receiver) percentile95(t *testing.T, app *alipaytest.App) time.Duration {
	t.Helper()
	var took []time.Duration
	tick := time.NewTicker(time.Second / measured)
	defer tick.Stop()
	for range measured {
		<-tick.C
		n := voucher(t, app)
		began := time.Now()
		r.deliver(t, n)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[measured*95/100-1]
}

// aliases tells whether all of 127.0.0.0/8 is ours, as on Linux.
func aliases() bool {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// slow is many connections that hold half a body back. One that is closed is
// opened again.
type slow struct {
	host, path string
	body       []byte
	held       atomic.Int64 // those whose body the receiver waits for
	stop       func()
}

func startSlow(t *testing.T, r *receiver, app *alipaytest.App, sources int) *slow {
	t.Helper()
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{host: target.Host, path: target.Path, body: bodyOf(t, voucher(t, app))}
	ctx, cancel := context.WithCancel(t.Context())
	var connections sync.WaitGroup
	s.stop = sync.OnceFunc(func() {
		cancel()
		connections.Wait()
	})
	t.Cleanup(s.stop)
	for i := range slowConnections {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%sources))}}
		connections.Go(func() {
			pause := time.NewTicker(2 * time.Second) // a closed one is no reason to hurry
			defer pause.Stop()
			for ctx.Err() == nil {
				s.hold(ctx, dialer)
				select {
				case <-pause.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return s
}

// hold opens a connection, sends half a body, and waits until it is closed. It
// counts from when the receiver says that it reads the body.
func (s *slow) hold(ctx context.Context, dialer *net.Dialer) {
	conn, err := dialer.DialContext(ctx, "tcp", s.host)
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		s.path, formType, len(s.body))
	reader := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(reader, nil); err != nil || answer.StatusCode != http.StatusContinue {
		return
	}
	s.held.Add(1)
	defer s.held.Add(-1)
	if _, err := conn.Write(bytes.Clone(s.body[:len(s.body)/2])); err != nil {
		return
	}
	reader.Peek(1) // until it is closed, or answered
}
