package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
)

// shop is a site whose app is also at the stand-in for Alipay's open platform:
// what calls cause comes back as notifications, and is received.
type shop struct {
	*site
	p   *platform.Platform
	url string
}

// newShop begins one; change may alter how the platform is made.
func newShop(t *testing.T, change func(*platform.Config)) *shop {
	t.Helper()
	s := &shop{site: newSite(t)}
	c := platform.Config{
		Key: s.app.Key, Seed: 7, TimeScale: 1e6, Notifier: &receiving{s.site, make(chan struct{}, 16)},
		Apps: []platform.App{{ID: s.app.ID, Public: s.app.OwnKey.Public(), MerchantID: "2088000000000001"}},
	}
	if change != nil {
		change(&c)
	}
	var err error
	if s.p, err = platform.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.p.Close)
	server := httptest.NewServer(s.p.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	private, err := s.app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "app.pem", string(private))
	s.configure(t, s.app.ID)
	return s
}

// configure writes the configuration, with apps that share the keys.
func (s *shop) configure(t *testing.T, apps ...string) {
	t.Helper()
	text := "dev: true\nopenapi: { base_url: \"" + s.url + "\" }\nnats: { embedded: { listen: \"127.0.0.1:0\", dir: nats } }\napps:\n"
	for _, app := range apps {
		text += fmt.Sprintf("  - app_id: %q\n    alipay_public_keys: [alipay.pem]\n    private_key: app.pem\n", app)
	}
	s.write(t, "alipay-notify.yaml", text)
}

func (s *shop) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// receiving takes notifications as the receiver does: the platform's Notifier.
type receiving struct {
	site *site
	busy chan struct{} // as many as a connection pool would let through
}

func (r *receiving) Deliver(ctx context.Context, n *alipaytest.Notification, _ alipaytest.Schedule) (alipaytest.Result, error) {
	r.busy <- struct{}{}
	defer func() { <-r.busy }()
	body, err := n.Body(time.Now())
	if err != nil {
		return alipaytest.Result{}, err
	}
	res := r.site.pipeline.Ingest(ctx, ingest.Request{Body: string(body), Arrival: events.Arrival{ContentType: n.ContentType()}, ReceivedAt: time.Now()})
	out := alipaytest.Result{Attempts: []alipaytest.Attempt{{Status: 503, Body: "fail"}}}
	if res.Outcome.Acknowledged() {
		out.Outcome, out.Attempts = alipaytest.Acknowledged, []alipaytest.Attempt{{Status: 200, Body: "success"}}
	}
	return out, nil
}

// want runs a command line and checks its exit code.
func (s *shop) want(t *testing.T, code int, args ...string) ran {
	t.Helper()
	got := s.run(t, args...)
	if got.code != code {
		t.Fatalf("replayer %s\nexit %d, want %d\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), got.code, code, got.stdout, got.stderr)
	}
	return got
}

// answer is what a call printed.
type answer struct {
	Method, Number string
	Data           map[string]any
}

// call executes a call, and gives the answer.
func (s *shop) call(t *testing.T, method string, params map[string]any, more ...string) answer {
	t.Helper()
	args := append([]string{"call", method, "--json", string(asJSON(params)), "-o", "json"}, more...)
	got := s.want(t, 0, append(args, "--execute", "--reason", "a test")...)
	var a answer
	if err := json.Unmarshal([]byte(got.stdout), &a); err != nil {
		t.Fatalf("%s printed %s: %v", method, got.stdout, err)
	}
	return a
}

// rows are what a command line printed as JSON.
func (s *shop) rows(t *testing.T, code int, args ...string) []map[string]any {
	t.Helper()
	got := s.want(t, code, append(args, "-o", "json")...)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil {
		t.Fatalf("%v printed %s: %v", args, got.stdout, err)
	}
	return rows
}

// quiet waits until everything caused is acknowledged or dropped.
func (s *shop) quiet(t *testing.T, caused int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d notifications come to rest", caused), func() bool {
		n := make(map[string]int)
		for _, e := range s.p.Journal() {
			n[e.What]++
		}
		if n[platform.GivenUp] > 0 {
			t.Fatal("we did not take a notification")
		}
		return n[platform.Caused] >= caused && n[platform.Acknowledged]+n[platform.Dropped] >= n[platform.Caused]
	})
}

// stored are the types of the stored events, in their order.
func (s *shop) types(t *testing.T) []string {
	t.Helper()
	var types []string
	err := s.client.Read(t.Context(), stream.ReadOptions{Stream: stream.Events}, func(m events.Stored) error {
		types = append(types, m.Kind)
		if m.Problem != "" || m.DecodeError != "" || m.DataSchema == "" {
			t.Errorf("%s is not typed: %s %s", m.Kind, m.Problem, m.DecodeError)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func (s *shop) wantTypes(t *testing.T, want ...string) {
	t.Helper()
	s.quiet(t, len(want))
	if got := s.types(t); !slices.Equal(got, want) {
		t.Errorf("stored events %v, want %v", got, want)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it did not come to pass that %s", what)
		}
	}
}
