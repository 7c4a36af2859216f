//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// example is one of the consumers below examples/, which share a command line and
// the form of their state.
type example struct {
	name    string
	command []string // in front of run and dump
	events  int      // how many it has to go through
	// leaves says that it ends when its durable consumer is removed; otherwise it
	// warns until somebody has made it again.
	leaves bool
}

// examples builds what has to be built. What is missing is a failure: a suite that
// skips itself proves nothing.
func examples(t *testing.T) []example {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "consumer")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	tool(t, "../examples/go", "go", append(args, ".")...)

	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("node is not in PATH: install Node.js (apt-get install nodejs npm, brew install node): %v", err)
	}
	if _, err := os.Stat("../examples/node/node_modules"); err != nil {
		tool(t, "../examples/node", "npm", "ci", "--no-audit", "--no-fund")
	}
	return []example{
		{name: "go", command: []string{binary}, events: 10_000, leaves: true},
		{name: "node", command: []string{node, "../examples/node/consumer.mjs"}, events: 500},
	}
}

// tool runs a build step.
func tool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s in %s: %v\n%s", name, strings.Join(args, " "), dir, err, out)
	}
}

// consumer is an example under way, and again under way after it was killed, with
// the same state.
type consumer struct {
	*process
	example example
	args    []string
	state   string
	said    strings.Builder // what processes wrote that have ended
}

// consume starts an example. args are its flags but for --state.
func consume(t *testing.T, e example, args ...string) *consumer {
	t.Helper()
	c := &consumer{example: e, state: filepath.Join(t.TempDir(), "state")}
	c.args = append(append(e.command[1:len(e.command):len(e.command)], "run", "--state", c.state), args...)
	c.begin(t)
	return c
}

func (c *consumer) begin(t *testing.T) {
	t.Helper()
	c.process = start(t, c.example.name+" consumer", c.example.command[0], c.args...)
}

// crash kills it with -9 and, after what happens meanwhile, starts it again.
func (c *consumer) crash(t *testing.T, meanwhile func()) {
	t.Helper()
	c.kill()
	meanwhile()
	c.said.WriteString(c.out.String())
	c.begin(t)
}

// stop ends it as an operator does, and wants exit code 0.
func (c *consumer) stop(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGTERM)
	if code := c.wait(t); code != 0 {
		t.Fatalf("the consumer ended with exit code %d, want 0", code)
	}
	c.said.WriteString(c.out.String())
}

// dump is what the consumer has counted. Its keys have to be sorted, as both
// examples print the same.
func (c *consumer) dump(t *testing.T) consumerState {
	t.Helper()
	got := run(t, c.example.command[0], append(c.example.command[1:len(c.example.command):len(c.example.command)], "dump", "--state", c.state)...)
	got.want(t, 0)
	var tree any
	var state consumerState
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&state); err != nil {
		t.Fatalf("dump: %v\n%s", err, got.stdout)
	}
	if err := json.Unmarshal([]byte(got.stdout), &tree); err != nil {
		t.Fatalf("dump: %v", err)
	}
	var sorted, printed bytes.Buffer
	encoder := json.NewEncoder(&sorted) // sorts the keys of a map
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&printed, []byte(got.stdout)); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(printed.String()) != strings.TrimSpace(sorted.String()) {
		t.Errorf("dump does not sort its keys:\n%s", tail(got.stdout))
	}
	return state
}

// want stops the consumer and compares what it has counted.
func (c *consumer) want(t *testing.T, want consumerState) {
	t.Helper()
	c.stop(t)
	if diff := cmp.Diff(want, c.dump(t)); diff != "" {
		t.Errorf("the state is not what was sent (-want +got):\n%s", tail(diff))
	}
}

// consumerState is the state that the examples print.
type consumerState struct {
	Events     int                      `json:"events"`
	Activities map[string]activityState `json:"activities"`
	Cards      map[string]cardState     `json:"cards"`
}

type activityState struct {
	Status   string         `json:"status"`
	Counts   map[string]int `json:"counts"`
	LastType string         `json:"last_type"`
	LastTime string         `json:"last_time"`
	LastID   string         `json:"last_id"`
}

type cardState struct {
	Opened   bool   `json:"opened"`
	LastTime string `json:"last_time"`
	LastID   string `json:"last_id"`
}

// durables are the consumers of a name, as an operator makes them: on all events
// that the examples read, and on what is replayed to this name.
func durables(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	for stream, filters := range map[string][]string{
		"ALIPAY_EVENTS":  {"alipay.events.*.voucher.>", "alipay.events.*.card.>"},
		"ALIPAY_REPLAYS": {"alipay.replays." + name + ".>"},
	} {
		_, err := js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{
			Durable: name, FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
			// What a killed consumer had in hand comes again soon: the test waits for it.
			BackOff: []time.Duration{2 * time.Second}, MaxDeliver: 20, MaxAckPending: 1000,
		})
		if err != nil {
			t.Fatalf("make consumer %s on %s: %v", name, stream, err)
		}
	}
}

// waitDone waits until a name has had everything, and acknowledged it.
func waitDone(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	for _, stream := range []string{"ALIPAY_EVENTS", "ALIPAY_REPLAYS"} {
		eventually(t, name+" has acknowledged all of "+stream, func() bool {
			c, err := js.Consumer(t.Context(), stream, name)
			if err != nil {
				return false // the server is on its way back
			}
			info := c.CachedInfo()
			return info.NumPending == 0 && info.NumAckPending == 0
		})
	}
}

// deadLetter is as much of a row of "replayer dlq list" as is looked at here.
type deadLetter struct {
	Consumer, Stream, Reason string
	Causes                   []string
	Pointers                 []uint64
	Deliveries               int
	EventSeq                 uint64 `json:"event_sequence"`
}

// deadLetters is what consumers gave up, as operators see it.
func deadLetters(t *testing.T, config string) []deadLetter {
	t.Helper()
	listed := run(t, tools.replayer, "dlq", "list", "-o", "json", "--config", config)
	listed.want(t, 0)
	var letters []deadLetter
	if err := json.Unmarshal([]byte(listed.stdout), &letters); err != nil {
		t.Fatalf("dlq list: %v\n%s", err, listed.stdout)
	}
	return letters
}

// replayed is a stored event as the replayer publishes it again: all the same but
// for what says that it is a replay. subject is where it goes.
func replayed(msg *jetstream.RawStreamMsg, job, subject string) *jetstream.RawStreamMsg {
	again := *msg
	again.Subject, again.Header = subject, maps.Clone(msg.Header)
	sequence := strconv.FormatUint(msg.Sequence, 10)
	for name, value := range map[string]string{
		"ce-replayjob": job, "ce-replayof": sequence, "ce-replayreason": "a%20test", "Nats-Msg-Id": "replay:" + job + ":" + sequence,
	} {
		again.Header[name] = []string{value}
	}
	return &again
}
