package stream_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// limit bounds every wait of a test; none comes near it.
const limit = 30 * time.Second

// startServer runs a real server in this process, as change wants it.
func startServer(tb testing.TB, change func(*server.Options)) *server.Server {
	tb.Helper()
	o := &server.Options{
		ServerName: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, NoLog: true, NoSigs: true,
	}
	if change != nil {
		change(o)
	}
	if o.StoreDir == "" {
		o.StoreDir = tb.TempDir()
	}
	s, err := server.NewServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	go s.Start()
	tb.Cleanup(func() { stopServer(s) })
	if !s.ReadyForConnections(limit) {
		tb.Fatal("the server did not start")
	}
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func startEmbedded(tb testing.TB, dir string) *stream.Embedded {
	tb.Helper()
	e, err := stream.StartEmbedded(tb.Context(), stream.EmbeddedOptions{Dir: dir, Listen: "127.0.0.1:0", MaxPayload: options().MessageSize()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stopEmbedded(tb, e) })
	return e
}

func stopEmbedded(tb testing.TB, e *stream.Embedded) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

func connect(tb testing.TB, o stream.ConnectOptions) *stream.Client {
	tb.Helper()
	c, err := stream.Connect(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// admin is a connection of the library itself, for what our adapter never does.
func admin(tb testing.TB, url string, more ...nats.Option) jetstream.JetStream {
	tb.Helper()
	nc, err := nats.Connect(url, more...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

func options() stream.LayoutOptions {
	return stream.LayoutOptions{Replicas: 1, MaxAge: 30 * 24 * time.Hour, MaxBytes: 1 << 30, MaxBody: 256 << 10}
}

// provision brings a server in order, as an operator does.
func provision(tb testing.TB, c *stream.Client, l stream.Layout) {
	tb.Helper()
	changes, err := c.Plan(tb.Context(), l, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Apply(tb.Context(), changes); err != nil {
		tb.Fatal(err)
	}
}

// fixture is a server in order with a client on it.
type fixture struct {
	server *server.Server
	client *stream.Client
	js     jetstream.JetStream
	layout stream.Layout
}

func newFixture(tb testing.TB) fixture {
	tb.Helper()
	f := fixture{server: startServer(tb, nil), layout: stream.NewLayout(options())}
	f.client = connect(tb, stream.ConnectOptions{URL: f.server.ClientURL()})
	f.js = admin(tb, f.server.ClientURL())
	provision(tb, f.client, f.layout)
	return f
}

// messages counts what ALIPAY_EVENTS holds.
func (f fixture) messages(tb testing.TB) uint64 { return messages(tb, f.js, stream.Events) }

func messages(tb testing.TB, js jetstream.JetStream, name string) uint64 {
	tb.Helper()
	s, err := js.Stream(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

const appID = "2021000000000001"

// event is the n-th notification of a voucher's life.
func event(n int) events.Event {
	id := fmt.Sprintf("2024010100222%06d", n)
	key := "act" + strconv.Itoa(n)
	return events.Event{
		ID: id, AppID: appID, Kind: "voucher.created", Type: "alipay.marketing.activity.message.created",
		Key: key, Subject: events.Subject(appID, "voucher.created", key), DataSchema: "urn:test",
		Time:        time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC),
		ReceivedAt:  time.Date(2024, 1, 1, 8, 0, 1, 250e6, time.UTC),
		Fingerprint: strings.Repeat("ab", 32), Proof: "key=k1; rule=keep-sign-type,keep-empty",
		Raw:  "notify_id=" + id + "&biz_content=%7B%7D",
		Data: fmt.Appendf(nil, `{"activity_id":%q}`, key),
	}
}

func publish(tb testing.TB, p *stream.Publisher, e events.Event) events.Receipt {
	tb.Helper()
	r, err := p.Publish(tb.Context(), e)
	if err != nil {
		tb.Fatalf("publish %s: %v", e.ID, err)
	}
	return r
}

// eventually waits for a condition that nothing announces.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	within(tb, limit, what, holds)
}

// within is eventually with a limit of its own.
func within(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			tb.Fatalf("it did not come to pass that %s", what)
		}
	}
}

func closed(tb testing.TB, what string, c <-chan struct{}) {
	tb.Helper()
	select {
	case <-c:
	case <-time.After(limit):
		tb.Fatalf("%s was not closed", what)
	}
}

// proxy stands between a client and a server, and can lose what the server says.
type proxy struct {
	listener net.Listener
	target   string
	mute     atomic.Bool  // what the server says is lost
	deaf     sync.RWMutex // whoever holds it keeps the server from reading
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	tb.Cleanup(func() {
		l.Close() //nolint:errcheck // the test is over
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		backend, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close() //nolint:errcheck // the server is away, and the client sees it
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[backend] = true, true
		p.mu.Unlock()
		p.wg.Go(func() {
			p.pump(backend, client, func() bool {
				p.deaf.RLock()
				defer p.deaf.RUnlock()
				return false
			})
		})
		p.wg.Go(func() { p.pump(client, backend, p.mute.Load) })
	}
}

func (p *proxy) pump(to, from net.Conn, lose func() bool) {
	defer func() { to.Close(); from.Close() }() //nolint:errcheck // one end is gone already
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !lose() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends the connections that there are.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close() //nolint:errcheck // that is the point
		delete(p.conns, c)
	}
}
