//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// tell sends three notifications of which a consumer reads two, and gives what they
// lead to.
func tell(t *testing.T, r *receiver, app *alipaytest.App) []fact {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Millisecond)
	var facts []fact
	for _, kind := range []string{"voucher.stopped", "order.received", "card.open_result"} {
		n := app.Notification(t, kind, alipaytest.Options{Time: at})
		n.Set("utc_timestamp", strconv.FormatInt(at.UnixMilli(), 10)) // the time of the card
		f := fact{app: app.ID, kind: kind, id: n.ID(), business: n.Payload("id"), key: n.Payload("activity_id"), at: at}
		if kind == "card.open_result" {
			f.key, f.opened = n.Payload("biz_card_no"), true
		}
		if kind != "order.received" {
			facts = append(facts, f)
		}
		r.deliver(t, n)
	}
	return facts
}

// testFirstSteps is examples/README.md: a consumer beside `make run`, which makes
// its durable consumers itself.
func testFirstSteps(t *testing.T, e example) {
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	js := jetStream(t, r.nats, r.config.token())
	token := filepath.Join(r.config.dir, "nats", "token")
	facts := tell(t, r, app)

	// Who mistypes the name, or has the wrong token, hears what to do.
	early := consume(t, e, "--nats", r.nats, "--token-file", token, "--name", "first")
	if code := early.wait(t); code != 1 {
		t.Errorf("without consumers: exit code %d, want 1", code)
	}
	for _, word := range []string{"nats consumer add ALIPAY_", "--ack explicit", "--create"} {
		if said := unescaped(early.out.String()); !strings.Contains(said, word) {
			t.Errorf("without consumers it does not say %q:\n%s", word, said)
		}
	}
	stranger := consume(t, e, "--nats", r.nats, "--token-file", r.config.file(t, "wrong", []byte("wrong")), "--name", "first", "--create")
	if code := stranger.wait(t); code != 1 || !strings.Contains(strings.ToLower(stranger.out.String()), "auth") && !strings.Contains(stranger.out.String(), "login") {
		t.Errorf("with a wrong token: exit code %d, want 1 and why:\n%s", code, stranger.out)
	}

	c := consume(t, e, "--nats", r.nats, "--token-file", token, "--name", "first", "--create")
	wantDurable(t, js, "ALIPAY_EVENTS", "alipay.events.*.card.>", "alipay.events.*.voucher.>")
	wantDurable(t, js, "ALIPAY_REPLAYS", "alipay.replays.first.>")
	waitDone(t, js, "first")
	c.want(t, expect(facts))

	// Once more: it goes on where it was, and making what is there changes nothing.
	c.begin(t)
	facts = append(facts, tell(t, r, app)...)
	eventually(t, "the new events are delivered", func() bool {
		consumer, err := js.Consumer(t.Context(), "ALIPAY_EVENTS", "first")
		return err == nil && consumer.CachedInfo().AckFloor.Consumer >= uint64(len(facts))
	})
	waitDone(t, js, "first")
	c.want(t, expect(facts))

	if e.leaves { // somebody removes the consumer, and with it its place in the stream
		c.begin(t)
		waitPulling(t, js)
		if err := js.DeleteConsumer(t.Context(), "ALIPAY_EVENTS", "first"); err != nil {
			t.Fatal(err)
		}
		if code := c.wait(t); code != 1 || !strings.Contains(c.out.String(), "ALIPAY_EVENTS") {
			t.Errorf("without its consumer: exit code %d, want 1 and why:\n%s", code, c.out)
		}
	}

	// The server goes away, and the consumer is told to stop.
	c.args = append(c.args, "--create")
	c.begin(t)
	waitPulling(t, js)
	r.kill()
	c.want(t, expect(facts))
}

// waitPulling waits until somebody asks for events.
func waitPulling(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, "the consumer pulls", func() bool {
		c, err := js.Consumer(t.Context(), "ALIPAY_EVENTS", "first")
		return err == nil && c.CachedInfo().NumWaiting > 0
	})
}

// unescaped is what a log line in JSON says.
func unescaped(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\n`, "\n", `\u003e`, ">").Replace(s)
}

// wantDurable waits for a consumer and checks that it is the pattern that we show.
func wantDurable(t *testing.T, js jetstream.JetStream, stream string, filters ...string) {
	t.Helper()
	var got jetstream.ConsumerConfig
	eventually(t, "the consumer on "+stream+" is made", func() bool {
		c, err := js.Consumer(t.Context(), stream, "first")
		if err != nil {
			return false
		}
		got = c.CachedInfo().Config
		return true
	})
	have := slices.Sorted(slices.Values(got.FilterSubjects))
	if got.FilterSubject != "" {
		have = []string{got.FilterSubject}
	}
	if !slices.Equal(have, filters) {
		t.Errorf("%s: filters %q, want %q", stream, have, filters)
	}
	if got.AckPolicy != jetstream.AckExplicitPolicy || got.DeliverPolicy != jetstream.DeliverAllPolicy || got.Durable != "first" ||
		got.MaxDeliver < 5 || len(got.BackOff) < 3 || got.MaxAckPending < 100 {
		t.Errorf("%s: the consumer is not the pattern: %+v", stream, got)
	}
}

// testDeployed is production: the server and the permissions of deploy/nats, where
// a consumer lives in an account of its own and may make nothing.
func testDeployed(t *testing.T, e example) {
	app := alipaytest.NewApp(t, "")
	d := startDeployed(t)
	config := newConfig(t, app)
	config.keys["nats.url"] = d.url("provision")
	config.run(t, "provision").want(t, 0)
	config.keys["nats.url"] = d.url("receiver")
	r := ready(t, config)
	js := jetStream(t, d.url("provision"), "")
	durables(t, js, "orders")

	c := consume(t, e, "--nats", d.server, "--user", "orders", "--password-file", config.file(t, "password", []byte("secret\n")),
		"--api-prefix", "ALIPAY.API", "--name", "orders", "--alipay-key", filepath.Join(config.dir, "alipay.pem"))
	facts := tell(t, r, app)
	// The replayer may read the archive, and publish to this consumer alone.
	archive := jetStream(t, d.url("replayer"), "")
	for _, msg := range readEvents(t, archive) {
		again := replayed(msg, "job-1", strings.Replace(msg.Subject, "events", "replays.orders", 1))
		if _, err := archive.PublishMsg(t.Context(), &nats.Msg{Subject: again.Subject, Header: again.Header, Data: again.Data}); err != nil {
			t.Fatal(err)
		}
	}
	waitDone(t, js, "orders")
	c.want(t, expect(facts))
	if said := strings.ToLower(c.said.String()); strings.Contains(said, "permission") || strings.Contains(said, "warn") {
		t.Errorf("something was not allowed, or went wrong:\n%s", said)
	}
	c.begin(t)
	testPoison(t, d, c, config)
	c.want(t, expect(facts))
}

// testPoison: what a consumer can never do it points to itself, on both streams and
// before it gives it up, with no more permissions than it has.
func testPoison(t *testing.T, d deployed, c *consumer, config *config) {
	t.Helper()
	publisher := jetStream(t, d.url("replayer"), "")
	var poison []uint64
	for _, subject := range []string{"alipay.events.1.voucher.used.a", "alipay.replays.orders.1.voucher.used.a"} {
		ack, err := publisher.Publish(t.Context(), subject, []byte("{"))
		if err != nil {
			t.Fatal(err)
		}
		poison = append(poison, ack.Sequence)
	}
	waitDone(t, jetStream(t, d.url("provision"), ""), "orders")
	eventually(t, "the server points to what was terminated", func() bool { return storedIn(t, publisher, "ALIPAY_DLQ").Msgs >= 4 })
	config.keys["nats.url"] = d.url("replayer")
	letters := deadLetters(t, config.save(t))
	slices.SortFunc(letters, func(a, b deadLetter) int { return strings.Compare(a.Stream, b.Stream) })
	if len(letters) != 2 || letters[0].EventSeq != poison[0] || letters[1].EventSeq != poison[1] {
		t.Fatalf("given up: %+v, want %v", letters, poison)
	}
	dlq, err := publisher.Stream(t.Context(), "ALIPAY_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if l.Consumer != "orders" || l.Deliveries != 1 || l.Reason == "" || len(l.Pointers) != 2 {
			t.Fatalf("given up: %+v", l)
		}
		// The server's names its type; so the first is the consumer's own.
		if first, err := dlq.GetMsg(t.Context(), l.Pointers[0]); err != nil || strings.Contains(string(first.Data), `"type"`) {
			t.Errorf("the first pointer is not the consumer's own: %+v, %v", first, err)
		}
	}
}

// deployed is a nats-server with the files of deploy/nats.
type deployed struct{ server string }

// url logs in as one of its users.
func (d deployed) url(user string) string {
	return strings.Replace(d.server, "//", "//"+user+":secret@", 1)
}

func startDeployed(t *testing.T) deployed {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("../deploy/nats/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("deploy/nats/*.conf: %v, %v", files, err)
	}
	change := strings.NewReplacer(`"0.0.0.0:4222"`, `"127.0.0.1:-1"`, `"127.0.0.1:8222"`, `"127.0.0.1:-1"`, "/var/lib/nats", filepath.Join(dir, "store"))
	password := regexp.MustCompile(`\$[A-Z_]+_PASSWORD`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := password.ReplaceAllString(change.Replace(string(text)), "secret")
		if filepath.Base(file) == "nats.conf" {
			changed += "\nports_file_dir: \"" + dir + "\"\n"
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "nats-server", tools.nats, "-c", filepath.Join(dir, "nats.conf"))
	var said struct {
		NATS []string `json:"nats"`
	}
	eventually(t, "nats-server says its port", func() bool {
		if p.ended() {
			t.Fatalf("nats-server does not start:\n%s", p.out)
		}
		found, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(found) == 0 {
			return false
		}
		text, err := os.ReadFile(found[0])
		return err == nil && json.Unmarshal(text, &said) == nil && len(said.NATS) > 0
	})
	d := deployed{server: said.NATS[0]}
	eventually(t, "JetStream answers", func() bool {
		nc, err := nats.Connect(d.url("provision"))
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
	return d
}
