//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

// redisServer is a real redis-server that keeps its port when it is started
// again, and forgets everything else: it writes nothing to the disk.
type redisServer struct {
	*process
	client *redis.Client
	dir    string
	port   string
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	s := &redisServer{dir: t.TempDir(), port: heldPort(t)}
	s.client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + s.port})
	t.Cleanup(func() { s.client.Close() })
	s.begin(t)
	return s
}

// begin starts the server and waits until it answers.
func (s *redisServer) begin(t testing.TB) {
	t.Helper()
	s.process = start(t, "redis-server", tools.redis, "--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	eventually(t, "redis-server answers", func() bool {
		if s.ended() {
			t.Fatalf("redis-server does not start:\n%s", s.out)
		}
		return s.client.Ping(t.Context()).Err() == nil
	})
}

// restart kills the server where it still runs and starts it on the same port.
func (s *redisServer) restart(t testing.TB) {
	t.Helper()
	s.kill()
	s.begin(t)
}

func (s *redisServer) url() string { return "redis://127.0.0.1:" + s.port }

// must runs a command.
func (s *redisServer) must(t testing.TB, command ...any) {
	t.Helper()
	if err := s.client.Do(t.Context(), command...).Err(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

// keys are all keys of the server.
func (s *redisServer) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	iter := s.client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for iter.Next(t.Context()) {
		keys = append(keys, iter.Val())
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// natsServer is a real nats-server with JetStream, which keeps its port and its
// store when it is started again.
type natsServer struct {
	*process
	dir  string
	port string
}

func startNATS(t testing.TB) *natsServer {
	t.Helper()
	s := &natsServer{dir: t.TempDir(), port: heldPort(t)}
	s.begin(t)
	return s
}

// begin starts the server and waits until JetStream answers.
func (s *natsServer) begin(t testing.TB) {
	t.Helper()
	// The sum of the streams' limits may be more than a small disk has.
	text := fmt.Sprintf("listen: \"127.0.0.1:%s\"\njetstream: { store_dir: %q, max_file_store: 1TB }\n", s.port, s.dir)
	file := filepath.Join(s.dir, "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.process = start(t, "nats-server", tools.nats, "-c", file)
	eventually(t, "JetStream answers", func() bool {
		if s.ended() {
			t.Fatalf("nats-server does not start:\n%s", s.out)
		}
		nc, err := nats.Connect(s.url())
		if err != nil {
			return false
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return false
		}
		_, err = js.AccountInfo(t.Context())
		return err == nil
	})
}

// restart kills the server where it still runs and starts it again with the
// same port and store.
func (s *natsServer) restart(t testing.TB) {
	t.Helper()
	s.kill()
	s.begin(t)
}

func (s *natsServer) url() string { return "nats://127.0.0.1:" + s.port }

// jetStream connects to a server for the length of a test. token is for the
// embedded one.
func jetStream(t testing.TB, url, token string) jetstream.JetStream {
	t.Helper()
	var options []nats.Option
	if token != "" {
		options = append(options, nats.Token(token))
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// readEvents reads ALIPAY_EVENTS message by message, so that no consumer of the
// library stands between the stream and what is checked.
func readEvents(t testing.TB, js jetstream.JetStream) []*jetstream.RawStreamMsg {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ALIPAY_EVENTS")
	if err != nil {
		t.Fatalf("open ALIPAY_EVENTS: %v", err)
	}
	state := stream.CachedInfo().State
	var all []*jetstream.RawStreamMsg
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatalf("read ALIPAY_EVENTS %d: %v", seq, err)
		}
		all = append(all, msg)
	}
	return all
}

// ids are the ce-ids of events, in the order of storing.
func ids(events []*jetstream.RawStreamMsg) []string {
	var all []string
	for _, e := range events {
		all = append(all, header(e, "ce-id"))
	}
	return all
}

// header is a header of an event, or empty. CloudEvents headers are lower case,
// and NATS keeps case, so the name is taken as it is.
func header(e *jetstream.RawStreamMsg, name string) string {
	if v := e.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// wantStored checks that each wanted event is stored, exactly once, and gives
// what is stored beside them: what was sent and never acknowledged may be.
func wantStored(t testing.TB, stored, want []string) (others map[string]int) {
	t.Helper()
	count := map[string]int{}
	for _, id := range stored {
		count[id]++
	}
	for _, id := range want {
		if count[id] != 1 {
			t.Errorf("event %s is stored %d times, want once", id, count[id])
		}
		delete(count, id)
	}
	return count
}

// wantOnce is wantStored, and nothing else may be stored.
func wantOnce(t testing.TB, stored, want []string) {
	t.Helper()
	if others := wantStored(t, stored, want); len(others) > 0 {
		t.Errorf("stored, and nobody sent it: %v", others)
	}
}
