package replay_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

// benchEvents are replayed; ALIPAY_NOTIFY_BENCH_EVENTS asks for another number.
const benchEvents = 100_000

// benchRounds measure by turns, since a machine is not the same from one minute
// to the next. Many events make rounds of their own.
func benchRounds(n int) int { return 1 + 2*benchEvents/max(n, benchEvents) }

// BenchmarkReplay compares the command with a bare asynchronous publisher of the
// same messages (payloads, headers, ids, as many under way) to the same stream of
// the same server, which is a process of its own.
//
//	bare/s        the publisher's messages a second
//	replay/s      the command's, from the first record of the job to the last
//	ratio         the second by the first; the target is half
//	ratio-all     the same with the planning, which reads the archive once more
//	ratio-type    ratio of a selection that the server filters: a quarter of the events
//	peak-MiB      the most memory that a process of the command had, whatever the selection
//	key-ms        events --key of ten events among all; the target is a second
//	list/s        events of everything, as NDJSON
//	list-MiB      and the memory of that
func BenchmarkReplay(b *testing.B) {
	n := benchEvents
	if text := os.Getenv("ALIPAY_NOTIFY_BENCH_EVENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			b.Fatalf("ALIPAY_NOTIFY_BENCH_EVENTS=%s: want a number of events", text)
		}
	}
	s := newBenchSite(b)
	s.publish(b, n, "archive", func(m *nats.Msg, i int) {
		m.Header[events.HeaderMessageID] = []string{fmt.Sprint("archive:", i)}
	})
	b.ResetTimer()
	for range b.N {
		s.round(b, n)
		s.look(b, n)
	}
}

func (s *benchSite) round(b *testing.B, n int) {
	b.Helper()
	var bare, sending, whole time.Duration
	peak := 0.0
	for round := range benchRounds(n) {
		job := fmt.Sprintf("%s-%016d", time.Now().UTC().Format("20060102t150405"), s.jobs)
		s.jobs++
		mark := events.NewReplayMark(job, "bench")
		half := func(which string) {
			bare += s.publish(b, n/2, job, func(m *nats.Msg, i int) {
				mark.Put(m.Header, uint64(i)+1)
				m.Header[events.HeaderMessageID][0] += which
				m.Subject = events.ReplaySubject("bare", m.Subject)
			})
		}
		half("a") // before and after: the machine has other work to do
		r := s.replay(b, n, "--seq", fmt.Sprintf("1-%d", n))
		half("b")
		sending, whole, peak = sending+r.sending, whole+r.whole, max(peak, r.peak)
		b.Logf("round %d: bare %.0f/s so far, replay %.0f/s, with planning %.0f/s, peak %.0f MiB", round+1,
			float64((round+1)*n)/bare.Seconds(), float64((round+1)*n)/sending.Seconds(), float64((round+1)*n)/whole.Seconds(), peak)
	}
	byType := s.replay(b, n/4, "--type", benchKinds[0], "--limit", strconv.Itoa(n/4))
	oneID := s.replay(b, 1, "--id", "bench-7") // the server cannot filter by it: everything is read
	peak = max(peak, byType.peak, oneID.peak)
	all := float64(benchRounds(n) * n)
	b.ReportMetric(bare.Seconds()/all*float64(n/4)/byType.sending.Seconds(), "ratio-type")
	b.ReportMetric(all/bare.Seconds(), "bare/s")
	b.ReportMetric(all/sending.Seconds(), "replay/s")
	b.ReportMetric(bare.Seconds()/sending.Seconds(), "ratio")
	b.ReportMetric(bare.Seconds()/whole.Seconds(), "ratio-all")
	b.ReportMetric(peak, "peak-MiB")
	b.ReportMetric(0, "ns/op")
}

// look measures the verbs that only look.
func (s *benchSite) look(b *testing.B, n int) {
	b.Helper()
	key := s.run(b, "events", "--key", s.key(0), "-o", "ndjson")
	if key.lines != 10 {
		b.Fatalf("the key has %d events, want 10", key.lines)
	}
	list := s.run(b, "events", "-o", "ndjson")
	if list.lines != n {
		b.Fatalf("%d events are listed, want %d", list.lines, n)
	}
	b.ReportMetric(float64(key.whole.Milliseconds()), "key-ms")
	b.ReportMetric(float64(n)/list.whole.Seconds(), "list/s")
	b.ReportMetric(list.peak, "list-MiB")
}

// benchSite is a nats-server in a process of its own, with our streams.
type benchSite struct {
	replayer, config string
	js               jetstream.JetStream
	templates        []*nats.Msg
	jobs             int
}

func newBenchSite(b *testing.B) *benchSite {
	b.Helper()
	dir := b.TempDir()
	s := &benchSite{replayer: filepath.Join(dir, "replayer"), config: filepath.Join(dir, "alipay-notify.yaml")}
	server := filepath.Join(dir, "nats-server")
	for path, pkg := range map[string]string{s.replayer: "alipay-notify/cmd/replayer", server: "github.com/nats-io/nats-server/v2"} {
		if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
			b.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	url := startBenchServer(b, server, dir)
	app := alipaytest.NewApp(b, "")
	config := fmt.Sprintf("apps:\n  - app_id: %q\n    alipay_public_keys: [alipay.pem]\nnats: { url: %q }\n", app.ID, url)
	for name, text := range map[string][]byte{s.config: []byte(config), filepath.Join(dir, "alipay.pem"): app.PublicPEM} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	client, err := stream.Connect(stream.ConnectOptions{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096)); err != nil {
		b.Fatal(err)
	}
	s.provision(b, client)
	s.templates = benchTemplates(b, app)
	return s
}

func startBenchServer(b *testing.B, server, dir string) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listen: %q\njetstream: { store_dir: %q, max_file_store: 1TB }\n", addr, dir), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(server, "-c", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if nc, err := nats.Connect("nats://" + addr); err == nil {
			nc.Close()
			return "nats://" + addr
		}
	}
	b.Fatal("nats-server does not start")
	return ""
}

// provision makes the streams, with room for several rounds.
func (s *benchSite) provision(b *testing.B, client *stream.Client) {
	b.Helper()
	changes, err := client.Plan(b.Context(), stream.NewLayout(stream.LayoutOptions{Replicas: 1, MaxAge: 30 * 24 * time.Hour, MaxBytes: 50 << 30, MaxBody: 256 << 10}), 0)
	if err == nil {
		err = client.Apply(b.Context(), changes)
	}
	if err != nil {
		b.Fatal(err)
	}
	str, err := s.js.Stream(b.Context(), stream.Replays)
	if err != nil {
		b.Fatal(err)
	}
	config := str.CachedInfo().Config
	config.MaxBytes = 100 << 30
	if _, err := s.js.UpdateStream(b.Context(), config); err != nil {
		b.Fatal(err)
	}
}

// benchKinds are the types of the events, as many of each.
var benchKinds = []string{"voucher.created", "voucher.modified", "card.open_result", "trade.status_changed"}

// benchTemplatesEach is how many different events there are of a type.
const benchTemplatesEach = 16

// captor keeps what the pipeline would publish.
type captor struct{ events []events.Event }

func (c *captor) Publish(_ context.Context, e events.Event) (events.Receipt, error) {
	c.events = append(c.events, e)
	return events.Receipt{Sequence: 1, Place: "p"}, nil
}

func (c *captor) Fingerprint(context.Context, uint64) (string, error) { return "", nil }

// benchTemplates are events that the receiver makes of genuine notifications.
func benchTemplates(b *testing.B, app *alipaytest.App) []*nats.Msg {
	b.Helper()
	key, err := verify.ParsePublicKey(app.PublicPEM)
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		b.Fatal(err)
	}
	kept := &captor{}
	pipeline := ingest.New(ingest.Options{Once: dedupe.Stream{}, Publisher: kept}, ingest.App{ID: app.ID, Verifier: verifier})
	var templates []*nats.Msg
	for _, typ := range benchKinds {
		for range benchTemplatesEach {
			body, err := app.Notification(b, typ, alipaytest.Options{}).Body(time.Now())
			if err != nil {
				b.Fatal(err)
			}
			if res := pipeline.Ingest(b.Context(), ingest.Request{Body: string(body), ReceivedAt: time.Now()}); res.Outcome != ingest.Accepted {
				b.Fatal(res.Err)
			}
			e := kept.events[len(kept.events)-1]
			header, err := e.Header()
			if err != nil {
				b.Fatal(err)
			}
			m := &nats.Msg{Subject: e.Subject, Data: e.Data, Header: nats.Header{}}
			for name, value := range header {
				m.Header[name] = []string{value}
			}
			templates = append(templates, m)
		}
	}
	return templates
}

// publish is the bare publisher. It makes the messages as cheaply as can be, so
// that what is measured is the server and the client library.
func (s *benchSite) publish(b *testing.B, n int, what string, change func(m *nats.Msg, i int)) time.Duration {
	b.Helper()
	templates := make([]nats.Msg, len(s.templates))
	for i, m := range s.templates {
		templates[i] = nats.Msg{Header: maps.Clone(m.Header), Data: m.Data}
	}
	before := s.stored(b)
	began := time.Now()
	for i := range n {
		m := templates[i%len(templates)]
		m.Subject = s.templates[i%len(templates)].Subject + suffix(i, len(templates))
		m.Header[events.HeaderSubject] = []string{s.key(i)}
		m.Header[events.HeaderID] = []string{"bench-" + strconv.Itoa(i)}
		change(&m, i)
		if _, err := s.js.PublishMsgAsync(&m, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		b.Fatalf("%s: not all are confirmed", what)
	}
	took := time.Since(began)
	if got := s.stored(b) - before; got != uint64(n) {
		b.Fatalf("%s: %d of %d are stored", what, got, n)
	}
	return took
}

// suffix gives ten events of a template the same key.
func suffix(i, templates int) string { return "-" + strconv.Itoa(i/templates/10) }

// key is that of the event with this number.
func (s *benchSite) key(i int) string {
	t := s.templates[i%len(s.templates)]
	return t.Subject[strings.LastIndexByte(t.Subject, '.')+1:] + suffix(i, len(s.templates))
}

// stored counts what the archive and the target hold.
func (s *benchSite) stored(b *testing.B) (n uint64) {
	b.Helper()
	for _, name := range []string{stream.Events, stream.Replays} {
		str, err := s.js.Stream(b.Context(), name)
		if err != nil {
			b.Fatal(err)
		}
		n += str.CachedInfo().State.Msgs
	}
	return n
}

// benchRun is what one run of the command took.
type benchRun struct {
	sending, whole time.Duration
	peak           float64 // MiB
	lines          int     // of stdout
	stderr         string
}

// run runs the command, and wants it to succeed.
func (s *benchSite) run(b *testing.B, args ...string) benchRun {
	b.Helper()
	cmd := exec.Command(s.replayer, append(args, "--config", s.config)...)
	var stdout lineCounter
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return benchRun{whole: time.Since(began), peak: float64(usage.Maxrss) / 1024, lines: int(stdout), stderr: stderr.String()} // it is in KiB
}

// lineCounter counts the lines that are written to it.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

var sentPattern = regexp.MustCompile(`: done: (\d+) sent, 0 of them were there before, 0 failed, 0 missing, 0 left; in ([^,\s]+)`)

func (s *benchSite) replay(b *testing.B, n int, selection ...string) benchRun {
	b.Helper()
	r := s.run(b, append([]string{"replay", "--to", "consumer:bench", "--execute", "--reason", "bench", "--expect", strconv.Itoa(n)}, selection...)...)
	m := sentPattern.FindStringSubmatch(r.stderr)
	if m == nil || m[1] != strconv.Itoa(n) {
		b.Fatalf("not all was sent:\n%s", r.stderr)
	}
	sending, err := time.ParseDuration(m[2])
	if err != nil {
		b.Fatal(err)
	}
	r.sending = cmp.Or(sending, r.whole)
	return r
}
