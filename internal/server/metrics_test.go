package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
	"alipay-notify/internal/verify"
)

// series gives the samples of /metrics that are ours, by name and labels, and
// checks that each line is one that a scraper reads.
func (f *fixture) series() map[string]float64 {
	f.Helper()
	return scrape(f, f.metrics)
}

func scrape(tb testing.TB, m *server.Metrics) map[string]float64 {
	tb.Helper()
	w := httptest.NewRecorder()
	server.NewOps(m, func() []string { return nil }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		tb.Fatalf("/metrics: %d %q", w.Code, w.Header().Get("Content-Type"))
	}
	out := make(map[string]float64)
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		var v float64
		if _, err := fmt.Sscan(line[i+1:], &v); i < 0 || err != nil {
			tb.Fatalf("/metrics: line %q: %v", line, err)
		}
		if strings.HasPrefix(line, "alipay_notify_") {
			out[line[:i]] = v
		}
	}
	return out
}

func (f *fixture) wantCount(outcome ingest.Outcome, app string, want float64) {
	f.Helper()
	name := fmt.Sprintf(`alipay_notify_notifications_total{app_id=%q,outcome=%q}`, app, outcome)
	if got := f.series()[name]; got != want {
		f.Errorf("%s = %v, want %v", name, got, want)
	}
}

func TestMetricsOfOneEvent(t *testing.T) {
	t.Parallel()
	kind := events.Kinds()[0].Name
	f := newFixture(t, answering(ingest.Result{
		Outcome: ingest.Accepted, AppID: "2021000000000001", Kind: kind, Conflict: true, Unasked: true, DecodeError: "x",
		Match:  verify.Match{KeyID: "0011223344556677", Rule: verify.Rule{SignType: verify.KeepSignType}},
		Decide: time.Millisecond, Store: time.Millisecond,
	}))
	f.do(post(path, "a=b"))
	got := f.series()
	for name, want := range map[string]float64{
		`alipay_notify_notifications_total{app_id="2021000000000001",outcome="accepted"}`:                                    1,
		`alipay_notify_verified_total{app_id="2021000000000001",key_id="0011223344556677",rule="keep-sign-type,keep-empty"}`: 1,
		`alipay_notify_events_total{kind="` + kind + `"}`:                                                                    1,
		`alipay_notify_conflicts_total`:                                                                                      1,
		`alipay_notify_dedupe_unasked_total`:                                                                                 1,
		`alipay_notify_decode_errors_total`:                                                                                  1,
		`alipay_notify_decide_seconds_count`:                                                                                 1,
		`alipay_notify_store_seconds_count`:                                                                                  1,
		`alipay_notify_request_seconds_count{outcome="accepted"}`:                                                            1,
		`alipay_notify_in_flight`:                                                                                            0,
		`alipay_notify_ready`:                                                                                                1,
		`alipay_notify_build_info{version="test"}`:                                                                           1,
		`alipay_notify_request_seconds_count{outcome="uncertain"}`:                                                           0, // there before the first one
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s = %v (there: %v), want %v", name, v, there, want)
		}
	}
}

// The numbers of a result are found together, by all of its labels: results that differ
// in one of them are not counted as each other.
func TestMetricsOfResultsThatDifferInOneLabel(t *testing.T) {
	t.Parallel()
	kinds := events.Kinds()
	first := ingest.Result{
		Outcome: ingest.Accepted, AppID: "2021000000000001", Kind: kinds[0].Name,
		Match: verify.Match{KeyID: "0011223344556677", Rule: verify.Rule{SignType: verify.KeepSignType}},
	}
	outcome, app, kind, key, rule, unproved := first, first, first, first, first, first
	outcome.Outcome = ingest.Duplicate
	app.AppID = "2021000000000002"
	kind.Kind = kinds[1].Name
	key.Match.KeyID = "8899aabbccddeeff"
	rule.Match.Rule.DropEmpty = true
	unproved.Match = verify.Match{}
	i := &ingester{}
	f := newFixture(t, i)
	for range 2 { // by the row that was made, too
		for _, r := range []ingest.Result{first, outcome, app, kind, key, rule, unproved} {
			i.answer = answering(r).answer
			f.do(post(path, "a=b"))
		}
	}
	got := f.series()
	for name, want := range map[string]float64{
		`alipay_notify_notifications_total{app_id="2021000000000001",outcome="accepted"}`:                                    10,
		`alipay_notify_notifications_total{app_id="2021000000000001",outcome="duplicate"}`:                                   2,
		`alipay_notify_notifications_total{app_id="2021000000000002",outcome="accepted"}`:                                    2,
		`alipay_notify_request_seconds_count{outcome="duplicate"}`:                                                           2,
		`alipay_notify_verified_total{app_id="2021000000000001",key_id="0011223344556677",rule="keep-sign-type,keep-empty"}`: 6,
		`alipay_notify_verified_total{app_id="2021000000000001",key_id="0011223344556677",rule="keep-sign-type,drop-empty"}`: 2,
		`alipay_notify_verified_total{app_id="2021000000000001",key_id="8899aabbccddeeff",rule="keep-sign-type,keep-empty"}`: 2,
		`alipay_notify_verified_total{app_id="2021000000000002",key_id="0011223344556677",rule="keep-sign-type,keep-empty"}`: 2,
		`alipay_notify_events_total{kind="` + kinds[0].Name + `"}`:                                                           10,
		`alipay_notify_events_total{kind="` + kinds[1].Name + `"}`:                                                           2,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s = %v (there: %v), want %v", name, v, there, want)
		}
	}
}

// What a stranger chooses becomes no label: the numbers of a receiver that is
// scanned day and night stay as many as they were.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	for _, app := range []string{"2021000000000001"} {
		v := newAppVerifier(t)
		pipeline := ingest.New(ingest.Options{}, ingest.App{ID: app, Verifier: v})
		f := newFixture(t, &ingester{answer: pipeline.Ingest})
		send := func(i int) {
			f.do(post(fmt.Sprint(path, "/", i), fmt.Sprintf("sign=x&app_id=%d&notify_id=%d&biz_content={}&utc_timestamp=1700000000000&msg_method=m%d", i, i, i)))
			f.do(post(path, fmt.Sprintf("sign=x&app_id=%s&notify_id=%d&biz_content={}&utc_timestamp=1700000000000&msg_method=m%d", app, i, i)))
			f.do(post(path, fmt.Sprintf("f%d=%d", i, i)))
		}
		send(0)
		before := len(f.series())
		for i := range 1000 {
			send(i + 1)
		}
		if after := len(f.series()); after != before {
			t.Errorf("%d series became %d", before, after)
		}
		f.wantCount(ingest.Outcome(fault.Refused), "_unknown", 1001)
		f.wantCount(ingest.Outcome(fault.Refused), app, 1001)
		f.wantCount(ingest.Outcome(fault.Malformed), "_unknown", 1001)
	}
}

// Kinds that the catalogue does not know share one label.
func TestMetricsOtherKinds(t *testing.T) {
	t.Parallel()
	i := &ingester{}
	f := newFixture(t, i)
	for n := range 50 {
		i.answer = answering(ingest.Result{Outcome: ingest.Accepted, Kind: fmt.Sprint("other.m", n)}).answer
		f.do(post(path, "a=b"))
	}
	if got := f.series()[`alipay_notify_events_total{kind="other"}`]; got != 50 {
		t.Errorf("%v events of other kinds, want 50", got)
	}
}

func TestMetricsOfTheRest(t *testing.T) {
	t.Parallel()
	ready := false
	m := server.NewMetrics("v1", func() bool { return ready })
	m.Foresee([]string{"claim", "commit"}, []string{"overflow"})
	m.DedupeError("claim")
	m.Connection("disconnected")
	m.Layout(2, 3)
	m.Stream(10, -1)
	got := scrape(t, m)
	for name, want := range map[string]float64{
		`alipay_notify_ready`:                                              0,
		`alipay_notify_dedupe_errors_total{op="claim"}`:                    1,
		`alipay_notify_dedupe_errors_total{op="commit"}`:                   0,
		`alipay_notify_kept_total{result="overflow"}`:                      0,
		`alipay_notify_nats_connection_events_total{event="disconnected"}`: 1,
		`alipay_notify_layout_differences{fatal="true"}`:                   2,
		`alipay_notify_layout_differences{fatal="false"}`:                  3,
		`alipay_notify_stream_bytes`:                                       10,
		`alipay_notify_stream_max_bytes`:                                   0,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s = %v (there: %v), want %v", name, v, there, want)
		}
	}
}

func TestOps(t *testing.T) {
	t.Parallel()
	var reasons []string
	h := server.NewOps(server.NewMetrics("test", func() bool { return true }), func() []string { return reasons })
	get := func(method, target string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		return w.Code, w.Body.String()
	}
	check := func(target string, status int, body string) {
		t.Helper()
		if s, b := get("GET", target); s != status || b != body {
			t.Errorf("%s: %d %q, want %d %q", target, s, b, status, body)
		}
	}
	check("/livez", 200, "live\n")
	check("/readyz", 200, "ready\n")
	reasons = []string{"not connected to NATS", "the streams differ"}
	check("/livez", 200, "live\n")
	check("/readyz", 503, "not ready: not connected to NATS; the streams differ\n")
	if s, _ := get("POST", "/readyz"); s != 405 {
		t.Errorf("POST /readyz: %d", s)
	}
	if s, _ := get("POST", path); s != 404 {
		t.Errorf("the private listener takes notifications: %d", s)
	}
	f := newFixture(t, &ingester{})
	for _, target := range []string{"/metrics", "/livez", "/readyz"} {
		if w := f.do(httptest.NewRequest("GET", target, nil)); w.Code != 404 {
			t.Errorf("the public listener answers %s: %d", target, w.Code)
		}
	}
}
