//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// config is a configuration file in the making: keys with their path, as in
// "http.listen".
type config struct {
	dir  string
	keys map[string]any
}

// newConfig is what all tests have in common: one app, loopback, ports of the
// kernel's choice. Without more it is the embedded mode.
func newConfig(t testing.TB, app *alipaytest.App) *config {
	t.Helper()
	c := &config{dir: t.TempDir(), keys: map[string]any{
		"http.listen":          "127.0.0.1:0",
		"ops.listen":           "127.0.0.1:0",
		"nats.embedded.listen": "127.0.0.1:0",
		"nats.embedded.dir":    "nats",
		"log.format":           "json",
		"dev":                  false,
	}}
	c.file(t, "alipay.pem", app.PublicPEM)
	c.keys["apps"] = []any{map[string]any{"app_id": app.ID, "alipay_public_keys": []string{"alipay.pem"}}}
	return c
}

// external is newConfig with a Redis and a NATS server of its own, provisioned.
func external(t testing.TB, app *alipaytest.App) (*config, *redisServer, *natsServer) {
	t.Helper()
	c, redis, nats := newConfig(t, app), startRedis(t), startNATS(t)
	c.keys["redis.url"], c.keys["nats.url"] = redis.url(), nats.url()
	c.run(t, "provision").want(t, 0)
	return c, redis, nats
}

// file puts a file beside the configuration.
func (c *config) file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// save writes the file. JSON is YAML.
func (c *config) save(t testing.TB) string {
	t.Helper()
	tree := map[string]any{}
	for key, value := range c.keys {
		at, parts := tree, strings.Split(key, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[parts[len(parts)-1]] = value
	}
	text, err := json.MarshalIndent(tree, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return c.file(t, "alipay-notify.yaml", text)
}

// run runs a verb of the receiver with this configuration.
func (c *config) run(t testing.TB, args ...string) result {
	t.Helper()
	return run(t, tools.receiver, append(args, "--config", c.save(t))...)
}

// token is what the embedded server asks of its clients; empty without one.
func (c *config) token() string {
	raw, err := os.ReadFile(filepath.Join(c.dir, "nats", "token"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// receiver is the daemon under way.
type receiver struct {
	*process
	url    string // where notifications are posted
	ops    string
	nats   string
	config *config
	client *http.Client
}

// launch starts the daemon without waiting for anything.
func launch(t testing.TB, c *config) *receiver {
	t.Helper()
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, // no proxy: the receiver is here
		Timeout:   patience,
	}
	t.Cleanup(client.CloseIdleConnections)
	return &receiver{process: start(t, "receiver", tools.receiver, "--config", c.save(t)), config: c, client: client}
}

// listen starts the daemon and waits until it says where it listens.
func listen(t testing.TB, c *config) *receiver {
	t.Helper()
	r := launch(t, c)
	eventually(t, "the receiver listens", func() bool {
		if r.ended() {
			t.Fatalf("the receiver ended, code %d:\n%s", r.cmd.ProcessState.ExitCode(), r.out)
		}
		for _, e := range r.lines("listening") {
			r.url = "http://" + e.text("listen") + e.text("path")
			r.ops, r.nats = "http://"+e.text("ops"), e.text("nats")
		}
		return r.url != ""
	})
	return r
}

// ready starts the daemon and waits until it is ready.
func ready(t testing.TB, c *config) *receiver {
	t.Helper()
	r := listen(t, c)
	r.waitReady(t)
	return r
}

func (r *receiver) waitReady(t testing.TB) {
	t.Helper()
	eventually(t, "the receiver is ready", func() bool { return r.readyz(t).status == http.StatusOK })
}

func (r *receiver) readyz(t testing.TB) reply {
	t.Helper()
	answer, err := r.client.Get(r.ops + "/readyz")
	if err != nil {
		t.Fatalf("readyz: %v", err)
	}
	return read(t, answer)
}

// entry is one line of the log.
type entry map[string]any

func (e entry) text(key string) string { s, _ := e[key].(string); return s }

// lines are the log lines with a message, in their order.
func (r *receiver) lines(message string) []entry {
	var all []entry
	for line := range strings.Lines(r.out.String()) {
		var e entry
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &e) == nil && e.text("message") == message {
			all = append(all, e)
		}
	}
	return all
}

// logged waits for the n-th line of a notification, from 1.
func (r *receiver) logged(t testing.TB, n int) entry {
	t.Helper()
	var all []entry
	eventually(t, "the notification is logged", func() bool {
		all = r.lines("notification")
		return len(all) >= n
	})
	return all[n-1]
}

// events reads what is stored, from the receiver's NATS server.
func (r *receiver) events(t testing.TB) []*jetstream.RawStreamMsg {
	t.Helper()
	url := r.nats
	if external, ok := r.config.keys["nats.url"].(string); ok {
		url = external
	}
	return readEvents(t, jetStream(t, url, r.config.token()))
}

// metric is the sum of the samples of a metric that have all of these labels,
// each written as name="value".
func (r *receiver) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	answer, err := r.client.Get(r.ops + "/metrics")
	if err != nil {
		t.Fatalf("metrics: %v", err)
	}
	sum := 0.0
samples:
	for line := range strings.Lines(read(t, answer).body) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got, _, _ := strings.Cut(sample, "{"); got != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(sample, "{"+label) && !strings.Contains(sample, ","+label) {
				continue samples
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %s: %v", line, err)
		}
		sum += v
	}
	return sum
}

// reply is what the receiver answered.
type reply struct {
	status int
	body   string
	header http.Header
}

func read(t testing.TB, answer *http.Response) reply {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("read the reply: %v", err)
	}
	return reply{status: answer.StatusCode, body: string(body), header: answer.Header}
}

func (r reply) acknowledged() bool { return r.status == http.StatusOK && r.body == "success" }

// want checks a reply against the contract: status, the one word, plain text.
func (r reply) want(t testing.TB, status int, body string) {
	t.Helper()
	if r.status != status || r.body != body || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("got %d %q (%s), want %d %q as text/plain", r.status, r.body, r.header.Get("Content-Type"), status, body)
	}
}

const formType = "application/x-www-form-urlencoded; charset=UTF-8"

// try posts a body. An error means that no whole answer came.
func (r *receiver) try(body []byte) (reply, error) {
	answer, err := r.client.Post(r.url, formType, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return reply{status: answer.StatusCode, body: string(text), header: answer.Header}, err
}

// post posts a body and wants an answer.
func (r *receiver) post(t testing.TB, body []byte) reply {
	t.Helper()
	got, err := r.try(body)
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	return got
}

// send posts a notification as of now.
func (r *receiver) send(t testing.TB, n *alipaytest.Notification) reply {
	t.Helper()
	return r.post(t, bodyOf(t, n))
}

// bodyOf stamps and signs a notification as of now.
func bodyOf(t testing.TB, n *alipaytest.Notification) []byte {
	t.Helper()
	body, err := n.Body(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// deliver sends a notification until it is acknowledged, and gives the number
// of requests that this took. A slow disk is a reason to come again, as Alipay
// does; any other answer than success and 503 fails the test. It may run in any
// goroutine.
func (r *receiver) deliver(t testing.TB, n *alipaytest.Notification) (requests int) {
	pause := time.NewTicker(10 * glance)
	defer pause.Stop()
	for deadline := time.Now().Add(patience); ; <-pause.C {
		body, err := n.Body(time.Now())
		if err != nil {
			t.Error(err)
			return requests
		}
		got, err := r.try(body)
		requests++
		switch {
		case err != nil:
			t.Errorf("no answer: %v", err)
			return requests
		case got.acknowledged():
			return requests
		case got.status != http.StatusServiceUnavailable || time.Now().After(deadline):
			t.Errorf("got %d %q, want success", got.status, got.body)
			return requests
		}
	}
}

// voucher is a new notification that becomes voucher.created.
func voucher(t testing.TB, app *alipaytest.App) *alipaytest.Notification {
	t.Helper()
	return app.Notification(t, "voucher.created", alipaytest.Options{})
}
