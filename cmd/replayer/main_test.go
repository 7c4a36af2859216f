package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ran is what a command line gave.
type ran struct {
	code           int
	stdout, stderr string
}

// runLine runs one command line in process.
func runLine(ctx context.Context, environ []string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr, environ)
	return ran{code, stdout.String(), stderr.String()}
}

// site is a receiver's embedded server with its streams, as the replayer finds
// it through a configuration file.
type site struct {
	dir      string
	config   string
	server   *stream.Embedded
	client   *stream.Client
	js       jetstream.JetStream // past our own client, for what that cannot do
	pipeline *ingest.Pipeline
	app      *alipaytest.App
}

// writeConfig gives a configuration whose embedded server is in dir.
func writeConfig(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "alipay-notify.yaml")
	text := fmt.Sprintf("apps:\n  - app_id: %q\n    alipay_public_keys: [alipay.pem]\nnats: { embedded: { listen: \"127.0.0.1:0\", dir: nats } }\n", alipaytest.DefaultAppID)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newBareSite is a server without streams.
func newBareSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	s.config = writeConfig(t, s.dir)
	s.start(t, "127.0.0.1:0")
	t.Cleanup(func() { s.stop(t) })
	return s
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := newBareSite(t)
	s.app = alipaytest.NewApp(t, "")
	if err := os.WriteFile(filepath.Join(s.dir, "alipay.pem"), s.app.PublicPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	s.provision(t)
	key, err := verify.ParsePublicKey(s.app.PublicPEM)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		t.Fatal(err)
	}
	s.pipeline = ingest.New(ingest.Options{Once: dedupe.Stream{}, Publisher: s.client.NewPublisher()},
		ingest.App{ID: s.app.ID, Verifier: verifier}, ingest.App{ID: otherApp, Verifier: verifier})
	return s
}

// otherApp is a second app, with the same keys for the sake of speed.
const otherApp = "2021000000000002"

func (s *site) start(t *testing.T, listen string) {
	t.Helper()
	var err error
	if s.server, err = stream.StartEmbedded(context.Background(), stream.EmbeddedOptions{Dir: filepath.Join(s.dir, "nats"), Listen: listen}); err != nil {
		t.Fatal(err)
	}
	if s.client, err = stream.Connect(stream.ConnectOptions{URL: s.server.URL(), Token: s.server.Token(), Name: "test"}); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.server.URL(), nats.Token(s.server.Token()))
	if err != nil {
		t.Fatal(err)
	}
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
}

func (s *site) provision(t *testing.T) {
	t.Helper()
	layout := stream.NewLayout(stream.LayoutOptions{Replicas: 1, MaxAge: 30 * 24 * time.Hour, MaxBytes: 64 << 20, MaxBody: 256 << 10})
	changes, err := s.client.Plan(t.Context(), layout, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func (s *site) stop(t *testing.T) {
	t.Helper()
	s.js.Conn().Close()
	s.client.Close()
	if err := s.server.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// run runs a command line on the site.
func (s *site) run(t *testing.T, args ...string) ran {
	t.Helper()
	return runLine(t.Context(), []string{"ALIPAY_NOTIFY_CONFIG=" + s.config}, args...)
}

// receive takes a notification as the receiver does, and gives its body.
func (s *site) receive(t *testing.T, typ string, opts alipaytest.Options, change ...func(*alipaytest.Notification)) []byte {
	t.Helper()
	n := s.app.Notification(t, typ, opts)
	for _, f := range change {
		f(n)
	}
	body, err := n.Body(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	res := s.pipeline.Ingest(t.Context(), ingest.Request{
		Body: string(body), Arrival: events.Arrival{ContentType: n.ContentType()}, ReceivedAt: time.Now(),
	})
	if res.Outcome != ingest.Accepted {
		t.Fatalf("%s: %s: %v", typ, res.Outcome, res.Err)
	}
	return body
}

// publish stores any message, as somebody other than the receiver might.
func (s *site) publish(t *testing.T, subject, data string, header map[string]string) {
	t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
	for name, value := range header {
		m.Header[name] = []string{value}
	}
	if _, err := s.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// consumers is how many there are on ALIPAY_EVENTS.
func (s *site) consumers(t *testing.T) int {
	t.Helper()
	str, err := s.js.Stream(t.Context(), stream.Events)
	if err != nil {
		t.Fatal(err)
	}
	return str.CachedInfo().State.Consumers
}

// stored is the message at a sequence.
func (s *site) stored(t *testing.T, sequence uint64) events.Stored {
	t.Helper()
	m, err := s.client.Get(t.Context(), stream.Events, sequence)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// replayed stores the event of a sequence again, as a replay does.
func (s *site) replayed(t *testing.T, sequence uint64, job string) {
	t.Helper()
	m, header := s.stored(t, sequence), map[string]string{}
	for name, values := range m.Header {
		header[name] = values[0]
	}
	header[events.HeaderReplayJob], header[events.HeaderReplayOf] = job, fmt.Sprint(sequence)
	header[events.HeaderMessageID] = fmt.Sprintf("replay:%s:%d", job, sequence)
	s.publish(t, m.Subject, string(m.Data), header)
}

func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	checked := 0
	var visit func(verb ...string)
	visit = func(verb ...string) {
		got := runLine(t.Context(), nil, append(verb, "--help")...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  replayer ") {
			t.Errorf("%v: exit %d, stderr %q, stdout:\n%s", verb, got.code, got.stderr, got.stdout)
		}
		checked++
		_, below, _ := strings.Cut(got.stdout, "Available Commands:\n")
		for line := range strings.Lines(below) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name == "" {
				break
			}
			if name != "help" { // cobra's own
				visit(append(slices.Clone(verb), name)...)
			}
		}
	}
	visit()
	if checked < 30 {
		t.Errorf("found %d verbs; they are no longer found", checked)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := runLine(t.Context(), nil, "--version"); got.code != 0 || got.stdout != "replayer version dev\n" {
		t.Errorf("exit %d, stdout %q", got.code, got.stdout)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	if got := runLine(t.Context(), nil, "completion", "bash"); got.code != 0 || !strings.Contains(got.stdout, "complete -o default -F __start_replayer replayer") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
	for line, want := range map[string]string{ // the shell picks from what is offered
		"events --type voucher.c": "\nvoucher.created\n",
		"tail --type oth":         "\nother.*\n:4\n",
		"show -o j":               "table\njson\nndjson\n:4\n",
	} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if got := runLine(t.Context(), nil, args...); !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "<") {
			t.Errorf("%s: %q, want %q", line, got.stdout, want)
		}
	}
	if got := runLine(t.Context(), nil, "__complete", "events", ""); got.stdout != ":4\n" {
		t.Errorf("files are offered: %q", got.stdout)
	}
}

// TestUsageErrors: a wrong command line is exit 2, nothing on stdout, and two
// lines on stderr. None of it needs a configuration.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	const (
		eventsHelp = "Try: replayer events --help\n"
		showHelp   = "Try: replayer show --help\n"
		never      = "it does not apply: what was refused was never typed, and has no type and no key\n"
		times      = "want RFC 3339 (2026-08-01T09:30:00+08:00), a date (2026-08-01, from 00:00 UTC), or a duration back from now (30m, 2h, 7d)\n"
		allTypes   = "account.event, card.open_result, order.received, order.refunded, trade.status_changed, voucher.appended, voucher.created, voucher.expired, " +
			"voucher.modified, voucher.received, voucher.stopped, voucher.used, account.*, card.*, order.*, trade.*, voucher.*, other.*, other.<method with _ for .>\n"
	)
	for line, want := range map[string]string{
		"nonsense":       "replayer: unknown command \"nonsense\" for \"replayer\"\nTry: replayer --help\n",
		"events --nix":   "replayer: unknown flag: --nix\n" + eventsHelp,
		"events extra":   "replayer: unknown command \"extra\" for \"replayer events\"\n" + eventsHelp,
		"events -o yaml": "replayer: invalid argument \"yaml\" for \"-o, --output\" flag: unknown format \"yaml\": want table, wide, json or ndjson\n" + eventsHelp,
		"events --limit x": "replayer: invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n" +
			eventsHelp,

		"events --app 12a":              "replayer: --app \"12a\": want an app_id, which is digits, such as 2021000000000001\n" + eventsHelp,
		"events --type voucher.craeted": "replayer: --type \"voucher.craeted\": unknown type\nTry: --type voucher.created\n",
		"events --type coupon.created":  "replayer: --type \"coupon.created\": unknown type\nTry: --type with one of: " + allTypes,
		"tail --type trade_status_sync": "replayer: --type \"trade_status_sync\": unknown type\nTry: --type trade.status_changed\n",
		"show x --type other.a.b":       "replayer: --type \"other.a.b\": unknown type\nTry: --type other.a_b\n",
		"events --since yesterday":      "replayer: --since \"yesterday\": " + times + eventsHelp,
		"tail --until 1e3":              "replayer: --until \"1e3\": " + times + "Try: replayer tail --help\n",
		"events --since 2026-08-01 --until 2026-07-01": "replayer: --until \"2026-07-01\": want a time after 2026-08-01T00:00:00Z, where the selection begins\n" +
			eventsHelp,
		"events --seq 0":    "replayer: --seq \"0\": want N, A-B or A-, counted from 1\n" + eventsHelp,
		"events --seq 9-3":  "replayer: --seq \"9-3\": want the smaller one first\nTry: --seq 3-9\n",
		"events --limit -1": "replayer: --limit \"-1\": want 0 (all) or more\n" + eventsHelp,

		"show":                              "replayer: which one is to be shown?\nTry: replayer show NOTIFY_ID, or replayer show --seq N\n",
		"show a b":                          "replayer: one ID at a time: there are 2\n" + showHelp,
		"show a --id b":                     "replayer: two ids: \"a\" and --id \"b\"\nTry: replayer show a\n",
		"show a --raw -o json":              "replayer: --raw and -o json exclude each other\n" + showHelp,
		"show a --raw":                      "replayer: --raw prints the request, and all personal data in it\nTry: the same with --reveal, which is recorded\n",
		"events --reason x":                 "replayer: --reason and --as go with --reveal\n" + eventsHelp,
		"show a --seq x":                    "replayer: --seq \"x\": want N, A-B or A-, counted from 1\n" + showHelp,
		"tail --until 2h":                   "replayer: --until \"2h\": nothing more can come that was stored before\nTry: replayer events --until 2h\n",
		"tail --limit -3":                   "replayer: --limit \"-3\": want 0 (all) or more\nTry: replayer tail --help\n",
		"tail extra":                        "replayer: unknown command \"extra\" for \"replayer tail\"\nTry: replayer tail --help\n",
		"events --config a -o":              "replayer: flag needs an argument: 'o' in -o\n" + eventsHelp,
		"rejects":                           "replayer: list, show or release?\nTry: replayer rejects --help\n",
		"quarantine nonsense":               "replayer: unknown command \"nonsense\" for \"replayer quarantine\"\nTry: replayer quarantine --help\n",
		"rejects list --type x":             "replayer: --type \"x\": " + never + "Try: replayer rejects list --help\n",
		"quarantine list --key x":           "replayer: --key \"x\": " + never + "Try: replayer quarantine list --help\n",
		"rejects release --why a.b":         "replayer: --why \"a.b\": want a reason as list prints it, such as bad_signature\nTry: replayer rejects release --help\n",
		"rejects show":                      "replayer: which one is to be shown?\nTry: replayer rejects show NOTIFY_ID, or replayer rejects show --seq N\n",
		"rejects release --allow-ambiguous": "replayer: unknown flag: --allow-ambiguous\nTry: replayer rejects release --help\n",
		"rejects release --execute":         "replayer: rejects release: a reason is needed to execute\nTry: the same with --reason 'why it is done'; replayer rejects release --help\n",
		"verify --all=maybe":                "replayer: invalid argument \"maybe\" for \"--all\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\nTry: replayer verify --help\n",
		"completion --nonsense":             "replayer: unknown flag: --nonsense\nTry: replayer completion --help\n",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			got := runLine(t.Context(), nil, strings.Fields(line)...)
			if got.code != 2 || got.stdout != "" || got.stderr != want {
				t.Errorf("exit %d, stdout %q, stderr:\n%s\nwant exit 2, no stdout, stderr:\n%s", got.code, got.stdout, got.stderr, want)
			}
		})
	}
	if got := runLine(t.Context(), nil, "show", ""); got.code != 2 || got.stderr != "replayer: the ID is empty\n"+showHelp {
		t.Errorf("show of an empty ID: exit %d, stderr %q", got.code, got.stderr)
	}
}

func TestWithoutConfiguration(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "nowhere.yaml")
	for _, verb := range [][]string{{"events"}, {"show", "x"}, {"tail"}} {
		got := runLine(t.Context(), nil, append(verb, "--config", missing)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "the configuration cannot work:\n  "+missing) ||
			!strings.Contains(got.stderr, "\nTry: receiver config --config "+missing) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", verb, got.code, got.stdout, got.stderr)
		}
	}
}

func TestWithoutReceiver(t *testing.T) {
	t.Parallel()
	config := writeConfig(t, t.TempDir())
	for _, verb := range [][]string{{"events"}, {"show", "x"}, {"tail"}} {
		got := runLine(t.Context(), nil, append(verb, "--config", config)...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "\nTry: start the receiver first") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", verb, got.code, got.stdout, got.stderr)
		}
	}
}
