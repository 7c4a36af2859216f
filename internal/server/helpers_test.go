package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	path    = "/alipay/notify"
	maxBody = 64 << 10
)

// ingester is an Ingester that remembers what it was given.
type ingester struct {
	answer func(context.Context, ingest.Request) ingest.Result // nil: accepted

	mu   sync.Mutex
	seen []ingest.Request
}

func (*ingester) Refuse(_ context.Context, _ ingest.Request, why error) ingest.Result {
	return ingest.Failed(why)
}

func (i *ingester) Ingest(ctx context.Context, req ingest.Request) ingest.Result {
	i.mu.Lock()
	i.seen = append(i.seen, req)
	i.mu.Unlock()
	if i.answer == nil {
		return ingest.Result{Outcome: ingest.Accepted}
	}
	return i.answer(ctx, req)
}

func (i *ingester) requests() []ingest.Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]ingest.Request(nil), i.seen...)
}

// answering is an ingester with one answer.
func answering(r ingest.Result) *ingester {
	return &ingester{answer: func(context.Context, ingest.Request) ingest.Result { return r }}
}

// lines is a log that a test can read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// fixture is an endpoint with its log and its numbers.
type fixture struct {
	testing.TB
	ingester *ingester
	log      *lines
	metrics  *server.Metrics
	endpoint *server.Server
	handler  http.Handler
}

func newFixture(tb testing.TB, i *ingester, change ...func(*server.Options)) *fixture {
	tb.Helper()
	f := &fixture{TB: tb, ingester: i, log: &lines{}, metrics: server.NewMetrics("test", func() bool { return true })}
	o := server.Options{
		Path: path, MaxBody: maxBody, MaxInFlight: 8, Log: zerolog.New(f.log), Metrics: f.metrics,
	}
	for _, c := range change {
		c(&o)
	}
	f.endpoint = server.New(i, o)
	f.handler = f.endpoint.Handler()
	return f
}

// post is a POST request with a form.
func post(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	return r
}

func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	f.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// want checks a reply of the protocol.
func (f *fixture) want(w *httptest.ResponseRecorder, status int, body string) {
	f.Helper()
	if w.Code != status || w.Body.String() != body || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		f.Errorf("reply %d %q %q, want %d %q", w.Code, w.Body, w.Header().Get("Content-Type"), status, body)
	}
}

// logged gives the lines of the log, decoded.
func (f *fixture) logged() []map[string]any {
	f.Helper()
	var out []map[string]any
	for text := range strings.Lines(f.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			f.Fatalf("log line %q: %v", text, err)
		}
		out = append(out, line)
	}
	return out
}

// lastLine checks that so many lines were logged and that the last one has
// these values.
func (f *fixture) lastLine(lines int, want map[string]any) {
	f.Helper()
	logged := f.logged()
	if len(logged) != lines {
		f.Fatalf("%d lines logged, want %d: %s", len(logged), lines, f.log)
	}
	last := logged[lines-1]
	for name, value := range want {
		if last[name] != value {
			f.Errorf("logged %s = %v, want %v: %v", name, last[name], value, last)
		}
	}
}

// listen serves the endpoint on a port of the loopback with the limits that the
// receiver has, and gives its address.
func (f *fixture) listen() string {
	f.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.serve(l)
	return l.Addr().String()
}

func (f *fixture) serve(l net.Listener) {
	s := f.endpoint.HTTP()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	f.Cleanup(func() {
		s.Close() //nolint:errcheck // nothing can be done
		<-served
	})
}
