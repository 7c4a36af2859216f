//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// TestConsumers runs the consumers of examples/ as other teams will run theirs.
func TestConsumers(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		for name, test := range map[string]func(*testing.T, example){
			"storm": testStorm, "first steps": testFirstSteps, "deployed": testDeployed,
		} {
			t.Run(e.name+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, e)
			})
		}
	}
}

// testStorm has a consumer go through what can happen to events on their way:
// notifications that arrive twice, in no order, with one business event told twice,
// with one id used twice, replays to everybody and to this consumer, redeliveries,
// a server and a consumer that are killed, forgeries. What it has counted in the
// end has to be exactly what was sent.
func testStorm(t *testing.T, e example) {
	s := newScene(t, e)
	s.draw(t, e.events)
	s.play(t)
}

const (
	sceneName    = "shop-1"
	sceneSenders = 8
	appOne       = "2021000000000001"
	appTwo       = "2021000000000002"
)

// scene is one consumer with everything around it, and what it has to count.
type scene struct {
	example  example
	random   *rand.Rand
	apps     map[string]*alipaytest.App
	config   *config
	nats     *natsServer
	receiver *receiver
	js       jetstream.JetStream

	facts     []fact
	sends     []*alipaytest.Notification // in the order of sending, some twice
	conflicts []*alipaytest.Notification // after these
	secrets   []string                   // of users: nothing of them may be logged
}

// newScene starts the servers: an external NATS, and a receiver of two apps that
// has nothing but the stream to dedupe with.
func newScene(t *testing.T, e example) *scene {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ALIPAY_NOTIFY_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ALIPAY_NOTIFY_E2E_SEED: %v", err)
		}
	}
	t.Logf("again with ALIPAY_NOTIFY_E2E_SEED=%d", seed)
	s := &scene{example: e, random: rand.New(rand.NewPCG(seed, 0)), apps: map[string]*alipaytest.App{}, nats: startNATS(t)}
	var apps []any
	for _, id := range []string{appOne, appTwo} {
		app := alipaytest.NewApp(t, id)
		if s.config == nil {
			s.config = newConfig(t, app)
		}
		s.apps[id] = app
		s.config.file(t, id+".pem", app.PublicPEM)
		s.config.file(t, id+".aes", []byte(base64.StdEncoding.EncodeToString(app.AESKey)))
		apps = append(apps, map[string]any{"app_id": id, "alipay_public_keys": []string{id + ".pem"}, "aes_keys": []string{id + ".aes"}})
	}
	s.config.keys["apps"], s.config.keys["nats.url"] = apps, s.nats.url()
	s.config.run(t, "provision").want(t, 0)
	s.receiver = ready(t, s.config)
	s.js = jetStream(t, s.nats.url(), "")
	durables(t, s.js, sceneName)
	return s
}

// consume starts the example. It checks requests.
func (s *scene) consume(t *testing.T) *consumer {
	t.Helper()
	args := []string{"--nats", s.nats.url(), "--name", sceneName}
	for id := range s.apps {
		args = append(args, "--alipay-key", s.config.dir+"/"+id+".pem")
	}
	return consume(t, s.example, args...)
}

// play sends everything while it kills and repeats, and looks at the end.
func (s *scene) play(t *testing.T) {
	t.Helper()
	c := s.consume(t)
	posted := s.send(t)
	reach := func(percent int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d %% are sent", percent), func() bool { return posted() >= len(s.sends)*percent/100 })
	}
	reach(20)
	c.crash(t, func() {})
	reach(40)
	s.nats.restart(t)
	s.receiver.waitReady(t)
	s.replay(t, "job-1")
	reach(70)
	c.crash(t, func() { // while nobody is there
		s.replay(t, "job-2")
		s.steal(t)
	})
	reach(100)
	for _, n := range s.conflicts {
		s.receiver.deliver(t, n)
	}
	s.replay(t, "job-3")
	s.onlyReplayed(t)
	forged := s.forge(t)
	waitDone(t, s.js, sceneName)
	s.wantStored(t)
	c.want(t, expect(s.facts))
	s.wantGivenUp(t, forged)
	for _, secret := range s.secrets {
		if strings.Contains(c.said.String(), secret) {
			t.Fatalf("the log holds %q, which is a user's", secret)
		}
	}
}

// send delivers everything over several connections, each until it is
// acknowledged, and tells how many are.
func (s *scene) send(t *testing.T) (posted func() int) {
	t.Helper()
	var next, done atomic.Int64
	var senders sync.WaitGroup
	for range sceneSenders {
		senders.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(s.sends)) && t.Context().Err() == nil; i = next.Add(1) - 1 {
				s.receiver.deliver(t, s.sends[i])
				done.Add(1)
			}
		})
	}
	t.Cleanup(senders.Wait)
	return func() int { return int(done.Load()) }
}

// replay publishes a part of what is stored again, to everybody and to this
// consumer, as an operator has the replayer do it.
func (s *scene) replay(t *testing.T, job string) {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "ALIPAY_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	for range 100 {
		msg, err := stream.GetMsg(t.Context(), 1+s.random.Uint64N(last))
		if err != nil {
			t.Fatal(err)
		}
		subject := msg.Subject
		if rest := strings.TrimPrefix(subject, "alipay.events."); s.random.IntN(2) == 0 {
			subject = "alipay.replays." + sceneName + "." + rest
		}
		s.publish(t, replayed(msg, job, subject))
	}
}

// publish stores a message as the replayer does.
func (s *scene) publish(t *testing.T, msg *jetstream.RawStreamMsg) {
	t.Helper()
	if _, err := s.js.PublishMsg(t.Context(), &nats.Msg{Subject: msg.Subject, Header: msg.Header, Data: msg.Data}); err != nil {
		t.Fatalf("publish on %s: %v", msg.Subject, err)
	}
}

// steal takes messages from the durable consumer and lets them go, some at once and
// some by their time: they are delivered again.
func (s *scene) steal(t *testing.T) {
	t.Helper()
	c, err := s.js.Consumer(t.Context(), "ALIPAY_EVENTS", sceneName)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Fetch(20, jetstream.FetchMaxWait(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	stolen := 0
	for msg := range batch.Messages() {
		if stolen++; stolen%2 == 0 {
			if err := msg.Nak(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if stolen == 0 {
		t.Error("there was nothing to steal")
	}
}

// written is a genuine event as the receiver would store it, written by hand: the
// receiver never saw it.
func (s *scene) written(t *testing.T) (fact, *jetstream.RawStreamMsg) {
	t.Helper()
	f := fact{app: appOne, kind: "voucher.used", key: "by-hand", at: time.Now().UTC().Truncate(time.Millisecond)}
	f.business = fmt.Sprintf("BY_HAND_%d", s.random.Uint64())
	n := s.apps[f.app].Notification(t, f.kind, alipaytest.Options{Rand: s.random})
	f.id = n.ID()
	for name, value := range map[string]string{"activity_id": f.key, "id": f.business, "event_time": strconv.FormatInt(f.at.UnixMilli(), 10)} {
		n.SetPayload(name, value)
	}
	block, _ := pem.Decode(s.apps[f.app].PublicPEM)
	key := sha256.Sum256(block.Bytes)
	msg := &jetstream.RawStreamMsg{
		Subject: "alipay.events." + f.app + ".voucher.used." + f.key,
		Data:    fmt.Appendf(nil, `{"id":%q,"activity_id":%q,"event_time":%q}`, f.business, f.key, f.at.Format(time.RFC3339Nano)),
		Header:  nats.Header{},
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": f.id, "ce-source": "/alipay/" + f.app, "ce-type": "alipay.marketing.activity.message.used",
		"ce-time": f.at.Format(time.RFC3339Nano), "ce-datacontenttype": "application/json", "Nats-Msg-Id": f.app + ":" + f.id,
		"Alipay-Raw": string(bodyOf(t, n)), "Alipay-Proof": "key=" + hex.EncodeToString(key[:8]) + "; rule=keep-sign-type,keep-empty",
	} {
		msg.Header[name] = []string{value}
	}
	return f, msg
}

// onlyReplayed sends this consumer, and another one, an event that the archive does
// not have any more. Only its own counts.
func (s *scene) onlyReplayed(t *testing.T) {
	t.Helper()
	for _, name := range []string{sceneName, "shop-2"} {
		f, msg := s.written(t)
		s.publish(t, replayed(msg, "job-4-"+name, strings.Replace(msg.Subject, "events", "replays."+name, 1)))
		if name == sceneName {
			s.facts = append(s.facts, f)
		}
	}
}

// forge publishes what whoever may publish, but has no key of Alipay's, could:
// nothing of it may count. It gives how many there are.
func (s *scene) forge(t *testing.T) int {
	t.Helper()
	set := func(name, value string) func(*jetstream.RawStreamMsg) {
		return func(m *jetstream.RawStreamMsg) { m.Header[name] = []string{value} }
	}
	forgeries := map[string]func(*jetstream.RawStreamMsg){
		"the request was changed": func(m *jetstream.RawStreamMsg) {
			raw := strings.Replace(header(m, "Alipay-Raw"), "notify_id="+header(m, "ce-id"), "notify_id=forged", 1)
			m.Header["Alipay-Raw"], m.Header["ce-id"] = []string{raw}, []string{"forged"}
		},
		"the request is another app's": set("ce-source", "/alipay/"+appTwo),
		"the request has another id":   set("ce-id", "forged-2"),
		"the request is missing":       set("Alipay-Raw", ""),
		"the key is nobody's":          set("Alipay-Proof", "key=0123456789abcdef; rule=keep-sign-type,keep-empty"),
		"the rule is another one":      set("Alipay-Proof", "key=0123456789abcdef; rule=drop-sign-type,keep-empty"),
		"the id is missing":            set("ce-id", ""),
		"data is no JSON":              func(m *jetstream.RawStreamMsg) { m.Data = []byte("{") },
		"data has no key":              func(m *jetstream.RawStreamMsg) { m.Data = []byte("{}") },
		"the key is no string":         func(m *jetstream.RawStreamMsg) { m.Data = []byte(`{"activity_id":7}`) },
		"data is not what the request says": func(m *jetstream.RawStreamMsg) {
			m.Data = []byte(strings.Replace(string(m.Data), "BY_HAND", "FORGED", 1))
		},
	}
	for name, change := range forgeries {
		_, msg := s.written(t)
		before := maps.Clone(msg.Header)
		data := string(msg.Data)
		change(msg)
		if maps.EqualFunc(before, msg.Header, func(a, b []string) bool { return a[0] == b[0] }) && data == string(msg.Data) {
			t.Errorf("%s: nothing was forged", name)
		}
		s.publish(t, msg)
	}
	return len(forgeries)
}

// wantStored makes sure that the test is about what it says: every notification
// became one event, the conflicting ones included.
func (s *scene) wantStored(t *testing.T) {
	t.Helper()
	plain, conflicts := map[string]bool{}, map[string]bool{}
	for _, e := range readEvents(t, s.js) {
		switch {
		case header(e, "Alipay-Fingerprint") == "": // not the receiver's
		case header(e, "ce-conflict") != "":
			conflicts[header(e, "ce-id")] = true
		default:
			plain[header(e, "ce-id")] = true
		}
	}
	if len(plain) != s.example.events || len(conflicts) != len(s.conflicts) {
		t.Errorf("%d events and %d conflicts are stored, want %d and %d", len(plain), len(conflicts), s.example.events, len(s.conflicts))
	}
}

// wantGivenUp: what cannot be counted is on the list of what was given up, once
// each and with the reason, and nothing else is, so that nothing was delivered in
// vain too often either.
func (s *scene) wantGivenUp(t *testing.T, want int) {
	t.Helper()
	// The server's pointers come after the terminations, which are not confirmed.
	eventually(t, fmt.Sprintf("the server points to %d messages", want), func() bool {
		return storedIn(t, s.js, "ALIPAY_DLQ").Msgs >= 2*uint64(want)
	})
	letters := deadLetters(t, s.config.save(t))
	if len(letters) != want {
		t.Errorf("%d messages were given up, want %d: %+v", len(letters), want, letters)
	}
	for _, l := range letters {
		if l.Consumer != sceneName || l.Reason == "" || fmt.Sprint(l.Causes) != "[terminated]" || len(l.Pointers) < 2 || l.Deliveries < 1 {
			t.Errorf("given up: %+v", l)
		}
	}
}
