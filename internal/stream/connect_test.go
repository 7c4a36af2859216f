package stream_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"alipay-notify/internal/stream"
)

// A password is rotated at the servers first, or one of them starts with yesterday's
// configuration. The library gives a connection up when a server refuses the login
// twice in a row, so that after a second of that the receiver answered 503 until
// somebody restarted it.
func TestConnectLoginRefusedForAWhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin := func(password string, port int) *server.Server {
		return startServer(t, func(o *server.Options) {
			o.StoreDir, o.Port, o.Username, o.Password = dir, port, "receiver", password
		})
	}
	s := begin("right", server.RANDOM_PORT)
	address := s.Addr().String()
	port := s.Addr().(*net.TCPAddr).Port
	var refused atomic.Int32
	c := connect(t, stream.ConnectOptions{URL: "nats://receiver:right@" + address, Wait: true, Observe: func(_ string, err error) {
		if errors.Is(err, nats.ErrAuthorization) || err != nil && strings.Contains(strings.ToLower(err.Error()), "authorization") {
			refused.Add(1)
		}
	}})
	provision(t, c, stream.NewLayout(options()))
	stopServer(s)
	s = begin("wrong", port)
	eventually(t, "the login is refused again and again", func() bool { return refused.Load() >= 3 })
	stopServer(s)
	begin("right", port)
	eventually(t, "the stream takes events again", func() bool { return c.Probe(t.Context()) == nil })
	select {
	case <-c.Closed():
		t.Error("closed")
	default:
	}
}

// The first connection of all fails for a reason that nobody was told.
func TestConnectFirstLoginRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *server.Options) { o.Username, o.Password = "receiver", "right" })
	said := make(chan error, 100)
	connect(t, stream.ConnectOptions{URL: "nats://receiver:wrong@" + s.Addr().String(), Wait: true, Observe: func(_ string, err error) { said <- err }})
	if err := <-said; err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
		t.Errorf("told %v", err)
	}
}

// A server says what the library does not know, which ends the connection for good,
// whatever it was told about reconnecting. Whoever uses it has to hear of that.
func TestConnectionEndsForGood(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, `INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1048576}`+"\r\n")
		for in := bufio.NewScanner(conn); in.Scan(); {
			if strings.HasPrefix(in.Text(), "PING") {
				fmt.Fprint(conn, "PONG\r\n-ERR 'Something New'\r\n")
			}
		}
	}()
	said := make(chan string, 100)
	c := connect(t, stream.ConnectOptions{URL: "nats://" + listener.Addr().String(), Observe: func(event string, _ error) { said <- event }})
	select {
	case <-c.Closed():
	case <-time.After(limit):
		t.Fatal("it was not told")
	}
	for event := range said {
		if event == "closed" {
			return
		}
	}
}
