package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// The table of DESIGN.md section 2.
var replyTests = map[ingest.Outcome]struct {
	status int
	body   string
	level  string
}{
	"accepted":    {200, "success", "info"},
	"duplicate":   {200, "success", "info"},
	"checked":     {200, "success", "info"},
	"malformed":   {400, "fail", "warn"},
	"too_large":   {413, "fail", "error"},
	"refused":     {401, "fail", "warn"},
	"in_flight":   {503, "fail", "info"},
	"overloaded":  {503, "fail", "warn"},
	"unavailable": {503, "fail", "error"},
	"uncertain":   {503, "fail", "error"},
	"internal":    {500, "fail", "error"},
}

func TestReplies(t *testing.T) {
	t.Parallel()
	if len(replyTests) != len(ingest.Outcomes()) {
		t.Errorf("%d replies for %d outcomes", len(replyTests), len(ingest.Outcomes()))
	}
	for _, outcome := range ingest.Outcomes() {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			tt, known := replyTests[outcome]
			if !known {
				t.Fatal("no reply is fixed for this outcome")
			}
			f := newFixture(t, answering(ingest.Result{Outcome: outcome, Reason: "why"}))
			w := f.do(post(path, "a=b"))
			f.want(w, tt.status, tt.body)
			if retry := w.Header().Get("Retry-After"); (retry != "") != (outcome == "overloaded") {
				t.Errorf("Retry-After %q", retry)
			}
			if tt.status == http.StatusOK != (outcome.Acknowledged() || outcome == ingest.Checked) {
				t.Errorf("status %d", tt.status)
			}
			f.lastLine(1, map[string]any{"outcome": string(outcome), "level": tt.level, "status": float64(tt.status), "reason": "why"})
			f.wantCount(outcome, "_unknown", 1)
		})
	}
}

// A bug is never acknowledged. One outside of the closed set used to be counted
// and logged under the name that it had invented, where no alert looks.
func TestReplyUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, outcome := range []ingest.Outcome{"", "success", "stored"} {
		f := newFixture(t, answering(ingest.Result{Outcome: outcome}))
		f.want(f.do(post(path, "a=b")), 500, "fail")
		f.lastLine(1, map[string]any{"outcome": "internal", "reason": "unknown_outcome"})
		f.wantCount("internal", "_unknown", 1)
	}
}

// net/http answers a panic by cutting the connection, and the request then
// vanished from log and numbers.
func TestReplyPanic(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{answer: func(context.Context, ingest.Request) ingest.Result { panic("a bug") }})
	for i := range 20 { // more than there are slots
		f.want(f.do(post(path, "a=b")), 500, "fail")
		f.lastLine(i+1, map[string]any{"outcome": "internal", "reason": "panic", "level": "error"})
	}
	f.wantCount("internal", "_unknown", 20)
}

// The gateway's answers are XML; whatever is no success stays the plain word.
func TestReplyXML(t *testing.T) {
	t.Parallel()
	xml := &ingest.Reply{ContentType: "text/xml; charset=GBK", Body: []byte("<x>\xc8\xaf</x>")}
	for _, outcome := range []ingest.Outcome{ingest.Checked, ingest.Accepted, ingest.Duplicate} {
		f := newFixture(t, answering(ingest.Result{Outcome: outcome, Reply: xml}))
		w := f.do(post(path, "a=b"))
		if w.Code != 200 || w.Body.String() != string(xml.Body) || w.Header().Get("Content-Type") != xml.ContentType {
			t.Errorf("%s: reply %d %q %q", outcome, w.Code, w.Body, w.Header())
		}
	}
	f := newFixture(t, answering(ingest.Result{Outcome: ingest.Outcome(fault.Internal), Reply: xml}))
	f.want(f.do(post(path, "a=b")), 500, "fail")
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PURGE", "post"} {
		for _, target := range []string{path, path + "/2021000000000001"} {
			f := newFixture(t, &ingester{})
			r := httptest.NewRequest("GET", target, nil)
			r.Method = method
			w := f.do(r)
			f.want(w, 405, "fail")
			if w.Header().Get("Allow") != "POST" {
				t.Errorf("%s: Allow %q", method, w.Header().Get("Allow"))
			}
			f.lastLine(1, map[string]any{"outcome": "malformed", "reason": "method", "status": 405.0})
			if len(f.ingester.requests()) > 0 {
				t.Errorf("%s reached the ingester", method)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		target  string
		status  int
		pathApp string
	}{
		{path, 200, ""},
		{path + "/2021000000000001", 200, "2021000000000001"},
		{path + "?app_id=1&sign=2", 200, ""},
		{path + "/2021000000000001?x=y", 200, "2021000000000001"},
		{path + "/", 200, ""}, // typed by hand into a console
		{"/", 404, ""},
		{"/alipay", 404, ""},
		{path + "x", 404, ""},
		{"/ALIPAY/notify", 404, ""},
	}
	for _, tt := range tests {
		f := newFixture(t, &ingester{})
		w := f.do(post(tt.target, "a=b"))
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.target, w.Code, tt.status)
			continue
		}
		seen := f.ingester.requests()
		if tt.status == 404 {
			f.want(w, 404, "fail")
			if n := f.series()["alipay_notify_unknown_paths_total"]; n != 1 {
				t.Errorf("%s: %v unknown paths were counted, want 1", tt.target, n)
			}
			if len(seen) > 0 {
				t.Errorf("%s reached the ingester", tt.target)
			}
			continue
		}
		if seen[0].Arrival.PathApp != tt.pathApp || seen[0].Body != "a=b" {
			t.Errorf("%s: app %q and body %q, want %q and the body alone", tt.target, seen[0].Arrival.PathApp, seen[0].Body, tt.pathApp)
		}
	}
}

// Whatever a stranger writes behind the path is one name or none, and never
// another's.
func TestPathAppIsWhole(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{"2021/x", "2021/", "..%2f2021", "%00", "a%26b"} {
		f := newFixture(t, &ingester{})
		f.do(post(path+"/"+rest, "a=b"))
		for _, r := range f.ingester.requests() {
			if r.Arrival.PathApp == "2021" || r.Arrival.PathApp == "" {
				t.Errorf("%s: app %q", rest, r.Arrival.PathApp)
			}
		}
	}
}

func TestContentHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header, value string
		reason              string // empty: taken
	}{
		{"a form", "Content-Type", "application/x-www-form-urlencoded", ""},
		{"a form with a charset", "Content-Type", "application/x-www-form-urlencoded;charset=GBK", ""},
		{"none", "Content-Type", "", ""},
		{"text", "Content-Type", "text/plain", ""},
		{"odd", "Content-Type", "x;;;=", ""},
		{"binary", "Content-Type", "application/octet-stream", ""},
		{"JSON", "Content-Type", "application/json", "content_type"},
		{"JSON in another case, with parameters", "Content-Type", " Application/JSON ; charset=utf-8", "content_type"},
		{"multipart", "Content-Type", "multipart/form-data; boundary=x", "content_type"},
		{"multipart in another case", "Content-Type", "MultiPart/Mixed", "content_type"},
		{"gzip", "Content-Encoding", "gzip", "content_encoding"},
		{"identity", "Content-Encoding", "identity", "content_encoding"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, &ingester{})
			r := post(path, "a=b")
			r.Header.Set(tt.header, tt.value)
			w := f.do(r)
			if tt.reason != "" {
				f.want(w, 400, "fail")
				f.lastLine(1, map[string]any{"outcome": "malformed", "reason": tt.reason})
				return
			}
			f.want(w, 200, "success")
			if seen := f.ingester.requests(); tt.header == "Content-Type" && seen[0].Arrival.ContentType != tt.value {
				t.Errorf("arrived as %q", seen[0].Arrival.ContentType)
			}
		})
	}
}

// The body arrives byte for byte, whatever it holds.
func TestBodyBytes(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "&", "a=%zz&a=1", "\x00\xff\r\n", strings.Repeat("x", maxBody)} {
		f := newFixture(t, &ingester{})
		f.want(f.do(post(path, body)), 200, "success")
		if got := f.ingester.requests()[0].Body; got != body {
			t.Errorf("%d bytes came as %d others", len(body), len(got))
		}
	}
}
