package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// endpoint plays a receiver: answer says what the n-th delivery of a
// notify_id, counted from 1, gets.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]string // by notify_id
}

func newEndpoint(t *testing.T, answer func(form url.Values, nth int) (status int, body string)) *endpoint {
	t.Helper()
	e := &endpoint{bodies: map[string][]string{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Errorf("the body is no form: %v", err)
		}
		id := form.Get("notify_id")
		e.mu.Lock()
		e.bodies[id] = append(e.bodies[id], string(body))
		nth := len(e.bodies[id])
		e.mu.Unlock()
		status, text := answer(form, nth)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(e.Close)
	return e
}

// form is what was posted with a notify_id that is sent once.
func (e *endpoint) form(t *testing.T, id string) url.Values {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.bodies[id]) != 1 {
		t.Fatalf("%s was delivered %d times, want once", id, len(e.bodies[id]))
	}
	form, err := url.ParseQuery(e.bodies[id][0])
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func always(status int, body string) func(url.Values, int) (int, string) {
	return func(url.Values, int) (int, string) { return status, body }
}

// failsTwice is a receiver that takes the third delivery.
func failsTwice(_ url.Values, nth int) (int, string) {
	if nth <= 2 {
		return 503, "fail"
	}
	return 200, "success"
}

// sendTo runs send with keys of its own and with time running so fast that no
// wait is felt.
func sendTo(ctx context.Context, t *testing.T, e *endpoint, args ...string) ran {
	t.Helper()
	key := filepath.Join(keyDir(t), alipayPrivateKey)
	return runLine(ctx, append([]string{"send", "--url", e.URL, "--key", key, "--time-scale", "1e9"}, args...)...)
}

func rows(t *testing.T, ndjson string) []sentRow {
	t.Helper()
	var out []sentRow
	for line := range strings.Lines(ndjson) {
		var row sentRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, row)
	}
	return out
}

func TestSendRetriesUntilAcknowledged(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, failsTwice)
	got := sendTo(t.Context(), t, e, "voucher.created", "--notify-id", "n-1")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	head := `^NOTIFY_ID  TYPE +ATTEMPTS  STATUS  BODY +OUTCOME +MS\nn-1 +voucher\.created  3 +200 +success  acknowledged  [0-9.]+\n$`
	if !regexp.MustCompile(head).MatchString(got.stdout) {
		t.Errorf("stdout:\n%s", got.stdout)
	}
	if !regexp.MustCompile(`^alipaysim: 1 of 1 acknowledged; deliveries: 3 in [0-9.]+m?s\n$`).MatchString(got.stderr) {
		t.Errorf("stderr:\n%s", got.stderr)
	}
	if bodies := e.bodies["n-1"]; len(bodies) != 3 {
		t.Errorf("%d deliveries, want 3", len(bodies))
	}
}

func TestSendJSONTellsEveryDelivery(t *testing.T) {
	t.Parallel()
	got := sendTo(t.Context(), t, newEndpoint(t, failsTwice), "trade.status_changed", "-o", "json")
	var all []sentRow
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || len(all) != 1 {
		t.Fatalf("%d rows, %v:\n%s", len(all), err, got.stdout)
	}
	row := all[0]
	var statuses []int
	for _, d := range row.Deliveries {
		statuses = append(statuses, d.Status)
		if _, err := time.Parse(time.RFC3339, d.At); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]int{503, 503, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	want := sentRow{NotifyID: row.NotifyID, Type: "trade.status_changed", AppID: "2021000000000001", Attempts: 3, Status: 200,
		Body: "success", Outcome: "acknowledged", MS: row.MS, Deliveries: row.Deliveries}
	if diff := cmp.Diff(want, row); diff != "" || row.NotifyID == "" || row.MS <= 0 {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestSendExitCodes(t *testing.T) {
	t.Parallel()
	vouchersOnly := func(form url.Values, _ int) (int, string) {
		if strings.HasPrefix(form.Get("msg_method"), "alipay.marketing.activity.message.") {
			return 200, "success"
		}
		return 401, "fail"
	}
	for _, tt := range []struct {
		name   string
		answer func(url.Values, int) (int, string)
		code   int
		stderr string
	}{
		{"none", always(500, "fail"), 1, `^alipaysim: 0 of 28 acknowledged, 28 given up; deliveries: 28 in \S+\nTry: the receiver's log says why\n$`},
		{"some", vouchersOnly, 4, `^alipaysim: 7 of 28 acknowledged, 21 given up; deliveries: 28 in \S+\nTry: does the receiver know`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sendTo(t.Context(), t, newEndpoint(t, tt.answer), "all", "--no-retry", "-o", "ndjson")
			if got.code != tt.code || !regexp.MustCompile(tt.stderr).MatchString(got.stderr) {
				t.Errorf("exit %d, want %d; stderr:\n%s", got.code, tt.code, got.stderr)
			}
			if n := len(rows(t, got.stdout)); n != 28 {
				t.Errorf("%d rows, want one for each type", n)
			}
		})
	}
}

func TestSendToNobody(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, always(200, "success"))
	e.Close()
	got := sendTo(t.Context(), t, e, "voucher.created", "--retries", "1")
	want := fmt.Sprintf("Try: is the receiver running? %s gave no answer\n", e.URL)
	if got.code != 1 || !strings.HasSuffix(got.stderr, want) {
		t.Errorf("exit %d, stderr:\n%s", got.code, got.stderr)
	}
	if !regexp.MustCompile(`voucher\.created  2 +- +dial tcp .*given up`).MatchString(got.stdout) {
		t.Errorf("stdout:\n%s", got.stdout)
	}
}

func TestSendManyAtOnce(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, failsTwice)
	got := sendTo(t.Context(), t, e, "card.open_result", "--count", "40", "--concurrency", "8", "--rate", "1e6",
		"--duplicate", "2", "-o", "ndjson")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	if n := len(rows(t, got.stdout)); n != 40 || len(e.bodies) != 40 {
		t.Errorf("%d rows, %d ids, want 40", n, len(e.bodies))
	}
	for id, bodies := range e.bodies {
		// Two failures, the success, and two duplicates.
		if len(bodies) != 5 {
			t.Errorf("%s was delivered %d times, want 5", id, len(bodies))
		}
	}
	if !strings.Contains(got.stderr, "40 of 40 acknowledged; deliveries: 200 in") {
		t.Errorf("stderr:\n%s", got.stderr)
	}
}

func TestSendSameBytes(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, failsTwice)
	got := sendTo(t.Context(), t, e, "voucher.created", "--notify-id", "n", "--same-bytes", "--duplicate", "1")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	if bodies := e.bodies["n"]; len(bodies) != 4 || len(slices.Compact(bodies)) != 1 {
		t.Errorf("%d deliveries, or not the same bytes", len(bodies))
	}
}

func TestSendFlagsReachTheNotification(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, always(200, "success"))
	dir := keyDir(t)
	base := []string{"send", "--url", e.URL, "--key", filepath.Join(dir, alipayPrivateKey)}

	got := runLine(t.Context(), append(base, "voucher.stopped", "--app-id", "2021999999999999", "--rule", "insert",
		"--notify-id", "n-1", "--field", "out_biz_no=a=b", "--field", "new=新")...)
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	form := e.form(t, "n-1")
	if form.Has("sign_type") || form.Get("app_id") != "2021999999999999" ||
		!strings.HasSuffix(form.Get("biz_content"), `"out_biz_no":"a=b","new":"新"}`) {
		t.Errorf("form %v", form)
	}

	got = runLine(t.Context(), append(base, "voucher.stopped", "--notify-id", "n-2",
		"--aes-key", filepath.Join(dir, aesKeyFile), "--charset", "GBK", "--sign-type", "RSA")...)
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	form = e.form(t, "n-2")
	if form.Get("encrypt_type") != "AES" || form.Get("charset") != "GBK" || form.Get("sign_type") != "RSA" || strings.Contains(form.Get("biz_content"), "{") {
		t.Errorf("form %v", form)
	}
}

func TestSendInterruptedReportsSoFar(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	e := newEndpoint(t, func(form url.Values, _ int) (int, string) {
		if form.Has("msg_method") {
			return 200, "success"
		}
		return 503, "fail" // the trade: its retry is four minutes away
	})
	var stdout bytes.Buffer
	stderr := &cancelOn{text: "next delivery in 4m0s", cancel: cancel}
	key := filepath.Join(keyDir(t), alipayPrivateKey)
	code := run(ctx, []string{"send", "all", "--url", e.URL, "--key", key, "-o", "ndjson"}, &stdout, stderr, nil)
	if code != 4 {
		t.Errorf("exit %d, want 4; stderr:\n%s", code, stderr.String())
	}
	sent := rows(t, stdout.String())
	if n := len(sent); n < 11 || sent[n-1].Outcome != "interrupted" {
		t.Errorf("%d rows: %+v", n, sent)
	}
	if !regexp.MustCompile(`(?m)^alipaysim: 10 of 28 acknowledged, \d+ interrupted, \d+ not sent; deliveries: 1\d in`).MatchString(stderr.String()) {
		t.Errorf("stderr:\n%s", stderr.String())
	}
}

// cancelOn is a stderr that interrupts the program when it says something.
type cancelOn struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelOn) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

func TestSendList(t *testing.T) {
	t.Parallel()
	got := runLine(t.Context(), "send", "--list", "-o", "ndjson")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	const first = `{"type":"voucher.created","wire":"alipay.marketing.activity.message.created","protocol":"message 1.1","event":true}`
	if line, _, _ := strings.Cut(got.stdout, "\n"); line != first {
		t.Errorf("first line %s", line)
	}
	if n := strings.Count(got.stdout, "\n"); n != 29 {
		t.Errorf("%d types", n)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		i    int
		rate float64
		want time.Duration
	}{{0, 5, 0}, {1, 5, 200 * time.Millisecond}, {10, 0.5, 20 * time.Second}} {
		if got := due(tt.i, tt.rate); got != tt.want {
			t.Errorf("due(%d, %v) = %s, want %s", tt.i, tt.rate, got, tt.want)
		}
	}
}
