package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/server"
	"alipay-notify/internal/stream"
)

// A balancer that sees one bad look in passing must not take the receiver out,
// and one that comes and goes must not send it requests in between.
func TestDamper(t *testing.T) {
	away := errors.New("away")
	for _, tt := range []struct{ looks, ready string }{
		{"gggg", "yyyy"},
		{"gbg", "yyy"},
		{"gbgbgbg", "yyyyyyy"},
		{"gbb", "yyn"},
		{"bbgggg", "ynnnyy"},
		{"bbggbggg", "ynnnnnny"},
		{"bbgbgbgggb", "ynnnnnnnyy"},
	} {
		var d damper
		for i, look := range tt.looks {
			var why error
			if look == 'b' {
				why = away
			}
			if ready := d.see(why) == nil; ready != (tt.ready[i] == 'y') {
				t.Errorf("%s: after %s ready is %v", tt.looks, tt.looks[:i+1], ready)
			}
		}
	}
}

// In the fault harness (seed 2), a receiver that was started while the stream had
// no leader listened only 13 s later: NATS could be reached, so that the wait for
// it was over, and the comparison of the layout had 10 s of its own. Both
// receivers had been killed, and for all that time nobody answered Alipay at all.
func TestStartDoesNotWaitForAStreamWithoutLeader(t *testing.T) {
	t.Parallel()
	client, err := stream.Connect(stream.ConnectOptions{URL: muteNATS(t), Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := &receiver{
		log: zerolog.Nop(), client: client, publisher: client.NewPublisher(), health: &health{},
		metrics: server.NewMetrics(wire.Version, func() bool { return false }),
	}
	started := time.Now()
	if err := r.firstCheck(t.Context()); err != nil {
		t.Errorf("got %v, want a receiver that runs, not ready", err)
	}
	if took := time.Since(started); took > firstCheckWait+2*time.Second {
		t.Errorf("the start waited %v, want %v at most", took, firstCheckWait)
	}
	if why := r.health.reasons(); len(why) != 1 || !strings.HasPrefix(why[0], errNotChecked.Error()) {
		t.Errorf("not ready because of %q, want %q", why, errNotChecked)
	}
}

// A connection that does not come back by itself ends the process, so that whoever
// supervises it starts another; it answered 503 for ever.
func TestWaitEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	client, err := stream.Connect(stream.ConnectOptions{URL: muteNATS(t), Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{client: client}
	client.Close()
	if err := r.wait(t.Context()); err == nil {
		t.Error("it ends as if it had been asked to")
	}
}

// muteNATS is a server that takes connections and whose JetStream never answers,
// as that of a cluster without a quorum.
func muteNATS(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() }) //nolint:errcheck,gosec // at the end
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerPings(conn)
		}
	}()
	return "nats://" + listener.Addr().String()
}

func answerPings(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the client has left
	fmt.Fprint(conn, `INFO {"server_id":"mute","version":"2.12.0","headers":true,"max_payload":8388608}`+"\r\n")
	for in := bufio.NewScanner(conn); in.Scan(); {
		if strings.HasPrefix(in.Text(), "PING") {
			fmt.Fprint(conn, "PONG\r\n")
		}
	}
}

// Three servers that refuse take turns to say so, twice a second.
func TestSeldom(t *testing.T) {
	t.Parallel()
	var s seldom
	said, now := 0, time.Now()
	for n := range 240 {
		if s.due([]string{"a refuses", "b refuses", "c refuses"}[n%3], now.Add(time.Duration(n)*time.Second/2)) {
			said++
		}
	}
	if said != 6 {
		t.Errorf("said %d times in two minutes, want each of the three twice", said)
	}
	for n := range 10 * mostSaid {
		s.due(strconv.Itoa(n), now)
	}
	if n := len(s.said); n > mostSaid {
		t.Errorf("%d are remembered", n)
	}
}
