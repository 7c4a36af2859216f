//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// pointed builds the receiver with the fault points of internal/fault, once. No
// other build has them.
var pointed = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(tools.receiver), "receiver-faultpoints")
	args := []string{"build", "-tags", "faultpoints", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/receiver")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with fault points: %w\n%s", err, out)
	}
	return path, nil
})

// crashLease is the shortest lease that the configuration allows.
const crashLease = 5 * time.Second

// crashMode is what stands around the receiver.
type crashMode struct{ redis, nats bool }

func (m crashMode) String() string {
	return map[crashMode]string{
		{true, true}: "redis and nats", {true, false}: "redis and embedded", {false, true}: "nats alone", {}: "embedded",
	}[m]
}

// config is a configuration of this mode, and its Redis, or nil.
func (m crashMode) config(t *testing.T, app *alipaytest.App) (*config, *redisServer) {
	t.Helper()
	c := newConfig(t, app)
	var redis *redisServer
	if m.redis {
		redis = startRedis(t)
		c.keys["redis.url"], c.keys["redis.lease"] = redis.url(), crashLease.String()
	}
	if m.nats {
		c.keys["nats.url"] = startNATS(t).url()
		c.run(t, "provision").want(t, 0)
	}
	return c, redis
}

// crashPoint is a line of the table of what exists when a process dies, and of
// what the next delivery does.
type crashPoint struct {
	line   string
	point  string
	hang   string // it hangs until there is an "answer", or "1C:" in Redis, and is killed then
	claims bool   // there is no such line without Redis

	answered bool
	events   int    // that exist
	key      string // how what Redis has begins; empty: it has nothing
	again    string // the outcome of the next delivery, at once
	later    string // and after the lease, where that is another
}

// crashPoints are the lines of DESIGN.md section 7 at which a process can die.
var crashPoints = []crashPoint{
	{line: "before the claim", point: "before-claim", again: "accepted"},
	{line: "after the claim", point: "after-claim", claims: true, key: "1L:", again: "in_flight", later: "accepted"},
	{line: "after publish, before the ack", point: "before-ack", events: 1, key: "1L:", again: "in_flight", later: "duplicate"},
	{line: "after the ack, before the commit", point: "before-commit", claims: true, events: 1, key: "1L:", again: "in_flight", later: "duplicate"},
	// The commit is made beside the answer, which may have been read by then.
	{line: "after the answer, before the commit", point: "in-commit", hang: "answer", claims: true, answered: true, events: 1, key: "1L:", again: "in_flight", later: "duplicate"},
	{line: "after the commit", point: "before-answer", hang: "1C:", events: 1, key: "1C:", again: "duplicate"},
}

// TestCrashPoints stops a real receiver exactly at each line of the table and
// looks at what exists, and at what the next delivery to a new one does.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	for _, mode := range []crashMode{{true, true}, {true, false}, {false, true}, {}} {
		for _, line := range crashPoints {
			if line.claims && !mode.redis {
				continue
			}
			if !mode.redis { // then nothing is waited for
				line.hang, line.key, line.again = "", "", cmp.Or(line.later, line.again)
				line.later = ""
			}
			t.Run(mode.String()+"/"+line.line, func(t *testing.T) {
				t.Parallel()
				config, redis := mode.config(t, app)
				line.run(t, app, config, redis)
			})
		}
	}
}

// run crashes a receiver at the line. The second notification meets it; the
// first shows that it is no other's matter.
func (line crashPoint) run(t *testing.T, app *alipaytest.App, config *config, redis *redisServer) {
	before, n := voucher(t, app), voucher(t, app)
	point := line.point + ":2"
	if line.hang != "" {
		point += ":hang"
	}
	r := listenAt(t, config, point)
	r.waitReady(t)
	r.send(t, before).want(t, http.StatusOK, "success")
	if redis != nil {
		eventually(t, "the first is committed", func() bool { return strings.HasPrefix(redis.value(t, before), "1C:") })
	}
	answered := r.crash(t, n, func() bool { return line.hang == "1C:" && strings.HasPrefix(redis.value(t, n), line.hang) })
	if answered != line.answered {
		t.Errorf("answered: %v, want %v", answered, line.answered)
	}
	if redis != nil && (!strings.HasPrefix(redis.value(t, n), line.key) || (line.key == "") != (redis.value(t, n) == "")) {
		t.Errorf("Redis has %q, want %q...", redis.value(t, n), line.key)
	}

	next := ready(t, config)
	if got := len(next.events(t)); got != 1+line.events {
		t.Errorf("%d events exist, want %d and the first", got, line.events)
	}
	if got := next.outcome(t, n); got != line.again {
		t.Errorf("the next delivery: %s, want %s", got, line.again)
	}
	if line.later != "" {
		got := line.again
		eventually(t, "the lease runs out", func() bool { got = next.outcome(t, n); return got != line.again })
		if got != line.later {
			t.Errorf("after the lease: %s, want %s", got, line.later)
		}
	}
	for _, known := range []*alipaytest.Notification{n, before} {
		if got := next.outcome(t, known); got != "duplicate" {
			t.Errorf("in the end: %s, want duplicate", got)
		}
	}
	wantOnce(t, ids(next.events(t)), []string{before.ID(), n.ID()})
}

// listenAt starts a receiver that stops at a fault point.
func listenAt(t *testing.T, c *config, point string) *receiver {
	t.Helper()
	path, err := pointed()
	if err != nil {
		t.Fatal(err)
	}
	// env(1) becomes the receiver: children of ours get no such variable.
	p := start(t, "receiver at "+point, "env", "ALIPAY_NOTIFY_FAULT_POINT="+point, path, "--config", c.save(t))
	return adopt(t, c, p)
}

// adopt waits until a receiver says where it listens.
func adopt(t *testing.T, c *config, p *process) *receiver {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	r := &receiver{process: p, config: c, client: client}
	eventually(t, "the receiver listens", func() bool {
		if r.ended() {
			t.Fatalf("the receiver ended:\n%s", r.out)
		}
		for _, e := range r.lines("listening") {
			r.url, r.ops, r.nats = "http://"+e.text("listen")+e.text("path"), "http://"+e.text("ops"), e.text("nats")
		}
		return r.url != ""
	})
	return r
}

// crash posts the notification that meets the point and waits until the
// receiver is dead: by itself, or, where it hangs, killed once there is an
// answer or hung says so. It tells whether there was an answer.
func (r *receiver) crash(t *testing.T, n *alipaytest.Notification, hung func() bool) (answered bool) {
	t.Helper()
	body, got := bodyOf(t, n), make(chan error, 1)
	go func() {
		reply, err := r.try(body)
		if err == nil && !reply.acknowledged() {
			t.Errorf("got %d %q, want success or nothing", reply.status, reply.body)
		}
		got <- err
	}()
	eventually(t, "the point is reached, and what it waits for is there", func() bool {
		return strings.Contains(r.out.String(), "fault point: ") && (len(got) == 1 || hung())
	})
	r.kill()
	return <-got == nil
}

// outcome posts a notification and gives what the receiver made of it.
func (r *receiver) outcome(t *testing.T, n *alipaytest.Notification) string {
	t.Helper()
	lines := len(r.lines("notification"))
	r.send(t, n)
	return r.logged(t, lines+1).text("outcome")
}

// value is what Redis has for a notification, or empty.
func (s *redisServer) value(t *testing.T, n *alipaytest.Notification) string {
	t.Helper()
	for _, key := range s.keys(t) {
		if strings.Contains(key, ":"+n.ID()+"}") {
			return s.client.Get(t.Context(), key).Val()
		}
	}
	return ""
}

// TestRedisForgets is the line "Redis lost its keys": inside the stream's window
// it makes no difference, beyond it one more event has the same id.
func TestRedisForgets(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, nats := external(t, app)
	r := ready(t, config)
	n := voucher(t, app)
	want := func(outcome string) {
		t.Helper()
		if got := r.outcome(t, n); got != outcome {
			t.Errorf("%s, want %s", got, outcome)
		}
	}
	forget := func() {
		t.Helper()
		eventually(t, "the commit is there", func() bool { return strings.HasPrefix(redis.value(t, n), "1C:") })
		if err := redis.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	want("accepted")
	forget()
	want("duplicate")
	wantOnce(t, ids(r.events(t)), []string{n.ID()})

	endWindow(t, jetStream(t, nats.url(), ""))
	want("duplicate") // Redis alone knows it now
	forget()
	want("accepted")
	want("duplicate")
	if got := ids(r.events(t)); len(got) != 2 || got[0] != n.ID() || got[1] != n.ID() {
		t.Errorf("stored are %v, want %s twice", got, n.ID())
	}
}

// endWindow makes the stream forget the message ids that it knows, as it does by
// itself after its 30 minutes.
func endWindow(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ALIPAY_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	usual := config.Duplicates
	set := func(window time.Duration) {
		config.Duplicates = window
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	newest := time.Now()
	eventually(t, "the newest id is older than the shortest window", func() bool { return time.Since(newest) > 200*time.Millisecond })
	// The server forgets what is outside the window that it had before an update.
	set(100 * time.Millisecond)
	set(101 * time.Millisecond)
	set(usual)
}

// TestStreamRestored goes back to an older backup of the archive while Redis
// remembers what came later, and lets other events take the sequences that were
// lost: what is gone is published again, what is there is not.
func TestStreamRestored(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, nats := external(t, app)
	r := ready(t, config)
	kept, lost, other := voucher(t, app), voucher(t, app), voucher(t, app)
	want := func(n *alipaytest.Notification, outcome string) {
		t.Helper()
		got := ""
		eventually(t, "the receiver finds NATS", func() bool { got = r.outcome(t, n); return got != "unavailable" })
		if got != outcome {
			t.Errorf("%s, want %s", got, outcome)
		}
	}
	store, backup := filepath.Join(nats.dir, "jetstream"), t.TempDir()
	want(kept, "accepted")
	nats.kill()
	if err := os.CopyFS(backup, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	nats.begin(t)
	want(lost, "accepted")
	want(lost, "duplicate")

	nats.kill()
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(store, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	nats.begin(t)
	want(other, "accepted") // takes the sequence that Redis remembers for the lost one
	want(lost, "accepted")
	want(lost, "duplicate")
	want(kept, "duplicate")
	wantOnce(t, ids(r.events(t)), []string{kept.ID(), other.ID(), lost.ID()})
}
