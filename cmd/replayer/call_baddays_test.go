package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// badDay is something that goes wrong with every call.
type badDay struct {
	kind    string        // of platform.Fault
	by      time.Duration // how much, where the kind has a measure
	say     []string      // what the operator is told, over either protocol
	asks    int           // requests that a query is worth
	unclear bool          // a write may have been done all the same
}

var badDays = []badDay{
	{platform.Throttle, 0, []string{": throttled: ", "app-call-limited", "after 3 attempts", "Try: too many requests: lower the rate"}, 3, false},
	{platform.Unavailable, 0, []string{": uncertain: ", "after 3 attempts", "ask again"}, 3, true},
	{platform.Slow, time.Minute, []string{": uncertain: ", "no answer in time (100ms)", "after 3 attempts", "ask again"}, 3, true},
	{platform.HTML, 0, []string{": uncertain: the answer is HTML instead of JSON", "HTTP 502", "after 3 attempts"}, 3, true},
	{platform.Truncated, 0, []string{": garbled: the answer is cut off after ", "after 3 attempts", "check the base URL and proxies"}, 3, true},
	{platform.NotProcessed, 0, []string{": uncertain: ", "after 3 attempts"}, 3, true},
	{platform.Unsigned, 0, []string{": untrusted: the answer is not signed", "look for a proxy on the way"}, 1, true},
	{platform.Tampered, 0, []string{": untrusted: no configured key of Alipay verifies", "somebody on the way changes answers"}, 1, true},
	// The request's time has expired at Alipay, because this clock is behind.
	{platform.ClockSkew, 26 * time.Hour, []string{": refused: ", "invalid-timestamp", "this machine's clock is 2", "behind Alipay's", "by NTP"}, 1, false},
}

// Each bad day as an operator meets it, over both protocols: a query ends with 1,
// prints no data and says what is wrong and what to do; reconcile calls the item
// one that could not be asked for, and ends with 4; a write that may have been
// done says so, and gives the command to repeat it.
func TestBadDays(t *testing.T) {
	t.Parallel()
	for _, day := range badDays {
		t.Run(day.kind, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, nil)
			ids, err := s.p.AddActivities("", 1, "ACTIVE")
			if err != nil {
				t.Fatal(err)
			}
			s.quiet(t, 1)
			if err := s.p.AddFault(platform.Fault{Kind: day.kind, Probability: 1, By: day.by}); err != nil {
				t.Fatal(err)
			}
			for _, gateway := range []string{"v3", "v2"} {
				s.badDay(t, day, gateway, ids[0])
			}
		})
	}
}

func (s *shop) badDay(t *testing.T, day badDay, gateway, id string) {
	t.Helper()
	flags := []string{"--gateway", gateway}
	if day.kind == platform.Slow {
		flags = append(flags, "--timeout", "100ms")
	}
	before := s.asked()
	got := s.run(t, append([]string{"query", "voucher", id}, flags...)...)
	if got.code != 1 || got.stdout != "" {
		t.Errorf("query over %s: exit %d, stdout %q", gateway, got.code, got.stdout)
	}
	for _, words := range day.say {
		if !strings.Contains(got.stderr, words) {
			t.Errorf("query over %s does not say %q: %s", gateway, words, got.stderr)
		}
	}
	if n := s.asked() - before; n != day.asks && day.kind != platform.Slow { // those are noted when they are over
		t.Errorf("query over %s: %d requests, want %d", gateway, n, day.asks)
	}

	rows := s.rows(t, 4, append(append([]string{"reconcile", id}, flags...), fast...)...)
	if len(rows) != 1 || rows[0]["verdict"] != "could_not_ask" || rows[0]["status"] != "" || !strings.Contains(rows[0]["why"].(string), day.say[0]) {
		t.Errorf("reconcile over %s: %v", gateway, rows)
	}

	params := string(asJSON(change(id, object{"user_id": member})))
	got = s.run(t, append([]string{"call", vouchers + "send", "--json", params, "--execute", "--reason", "x"}, flags...)...)
	unclear := strings.Contains(got.stderr, "whether it was done is not known")
	again := strings.Contains(got.stderr, "Try: replayer call "+vouchers+"send ")
	if got.code != 1 || got.stdout != "" || unclear != day.unclear || again != day.unclear {
		t.Errorf("send over %s: exit %d, stdout %q, stderr %s", gateway, got.code, got.stdout, got.stderr)
	}
}

// asked counts the calls that the stand-in has taken note of.
func (s *shop) asked() int {
	n := 0
	for _, e := range s.p.Journal() {
		if e.What == platform.Called {
			n++
		}
	}
	return n
}

// What nobody between us and Alipay could make us believe: answers that are not
// JSON, and a genuine answer of yesterday.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	const data = `{"activity_id":"A","activity_status":"ACTIVE"}`
	yesterday := fmt.Sprint(time.Now().AddDate(0, 0, -1).UnixMilli())
	old, err := s.app.Key.SignBytes([]byte(yesterday+"\nn\n"+data+"\n"), alipaytest.RSA2)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, say string
		handler   http.HandlerFunc
	}{
		{"a portal's page", "garbled: the answer is HTML instead of JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Welcome</html>")
		}},
		{"nothing", "not signed", func(http.ResponseWriter, *http.Request) {}},
		{"a redirect", "never followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com", http.StatusFound)
		}},
		{"an answer of yesterday", "untrusted: ", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("alipay-timestamp", yesterday)
			w.Header().Set("alipay-nonce", "n")
			w.Header().Set("alipay-signature", old)
			_, _ = io.WriteString(w, data)
		}},
	} {
		server := httptest.NewServer(tt.handler)
		s.url = server.URL
		s.configure(t, s.app.ID)
		got := s.run(t, "query", "voucher", "A")
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, tt.say) {
			t.Errorf("%s: exit %d, stdout %q, stderr %s", tt.name, got.code, got.stdout, got.stderr)
		}
		server.Close()
	}
	if got := s.run(t, "query", "voucher", "A"); got.code != 1 || !strings.Contains(got.stderr, "unavailable: ") || !strings.Contains(got.stderr, "nothing was sent: check the network") {
		t.Errorf("nobody listens: exit %d, %s", got.code, got.stderr)
	}
}

// Keys that are not those of the app: with another key of our own Alipay refuses
// us, and with another one of Alipay's we refuse Alipay.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	stranger, err := alipaytest.GenerateKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := stranger.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, gateway := range []string{"v3", "v2"} {
		s.write(t, "app.pem", string(private))
		got := s.run(t, "query", "voucher", "A", "--gateway", gateway)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "invalid-signature") || !strings.Contains(got.stderr, "应用公钥") {
			t.Errorf("another own key over %s: exit %d, stdout %q, stderr %s", gateway, got.code, got.stdout, got.stderr)
		}
		s.write(t, "app.pem", string(own))
		s.write(t, "alipay.pem", string(stranger.PublicPEM()))
		ids, err := s.p.AddActivities("", 1, "INIT")
		if err != nil {
			t.Fatal(err)
		}
		got = s.run(t, "query", "voucher", ids[0], "--gateway", gateway)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "no configured key of Alipay verifies") || !strings.Contains(got.stderr, "支付宝公钥") {
			t.Errorf("another key of Alipay over %s: exit %d, stdout %q, stderr %s", gateway, got.code, got.stdout, got.stderr)
		}
		s.write(t, "alipay.pem", string(s.app.PublicPEM))
	}
}

// Activities come into being and change while Alipay's list is read, which pushes
// others onto the next page, or pulls them onto one that was read already: each is
// reported once, and none is left out. A list that never holds still is said to be
// one, with 4.
func TestReconcileAListThatShifts(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	all, err := s.p.AddActivities("", 60, "INIT")
	if err != nil {
		t.Fatal(err)
	}
	var pages atomic.Int32
	var shift atomic.Pointer[func(page int32)]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/batchquery") {
			(*shift.Load())(pages.Add(1))
		}
		s.p.Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	s.url = server.URL
	s.configure(t, s.app.ID)
	args := append([]string{"reconcile", "--from-alipay", "--status", "INIT", "--concurrency", "1"}, fast...)
	reconciled := func(code int, during func(page int32)) (keys []string, stderr string) {
		t.Helper()
		pages.Store(0)
		shift.Store(&during)
		got := s.want(t, code, append(args, "-o", "json")...)
		var rows []object
		if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			keys = append(keys, row["key"].(string))
		}
		slices.Sort(keys)
		return keys, got.stderr
	}
	add := func() {
		made, err := s.p.AddActivities("", 7, "INIT")
		if err != nil {
			t.Error(err)
		}
		all = append(all, made...)
	}
	if got, _ := reconciled(0, func(page int32) {
		if page == 2 {
			add()
		}
	}); len(all) != 67 || !slices.Equal(got, slices.Sorted(slices.Values(all))) {
		t.Errorf("pushed on: %d activities are reported, there are %d", len(got), len(all))
	}
	newest := slices.Clone(all[60:]) // on the first page, which has been read
	if got, _ := reconciled(0, func(page int32) {
		for _, id := range newest {
			if page == 2 {
				if err := s.p.SetActivity("", id, "ACTIVE"); err != nil {
					t.Error(err)
				}
			}
		}
	}); !slices.Equal(slices.DeleteFunc(got, func(id string) bool { return slices.Contains(newest, id) }), slices.Sorted(slices.Values(all[:60]))) {
		t.Errorf("pulled on: %d of 60 activities are reported", len(got))
	}
	if got, stderr := reconciled(4, func(int32) { add() }); len(got) < 60 || !strings.Contains(stderr, "the list changed while it was read") {
		t.Errorf("%d rows, stderr %s", len(got), stderr)
	}
}
