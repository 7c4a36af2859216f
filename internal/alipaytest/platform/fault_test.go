package platform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// verifies tells whether Alipay has signed a v3 answer.
func verifies(t *testing.T, h http.Header, body []byte) bool {
	t.Helper()
	text := h.Get("alipay-timestamp") + "\n" + h.Get("alipay-nonce") + "\n" + string(body) + "\n"
	return alipaytest.VerifyBytes(keys(t).alipay.Public(), []byte(text), h.Get("alipay-signature"), alipaytest.RSA2)
}

// TestFaults: what each kind does to a create, over both protocols, and whether
// the activity is there afterwards.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind   string
		done   bool   // the activity was made
		status int    // of v3
		says   string // in the body of v3
		v2     string // in that of gateway.do
		signed bool   // the signature of v3 fits
	}{
		{platform.Throttle, false, 429, `"app-call-limited"`, `"40005"`, false},
		{platform.Unavailable, false, 500, `"SYSTEM_ERROR"`, `"isp.unknow-error"`, false},
		{platform.HTML, false, 502, "<html>", "<html>", false},
		{platform.NotProcessed, false, 202, "{}", `"10003"`, true},
		{platform.ClockSkew, false, 400, `"invalid-timestamp"`, `"isv.invalid-timestamp"`, false},
		{platform.Lost, true, 502, "<html>", "<html>", false},
		{platform.Unsigned, true, 200, `"activity_id"`, `"activity_id"`, false},
		{platform.Tampered, true, 200, `"activity_id"`, `"activity_id"`, false},
		{platform.Slashes, true, 200, `"activity_id"`, `"activity_id"`, true},
		{platform.Rotated, true, 200, `"activity_id"`, `"activity_id"`, true},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, newPlatform(t, func(c *platform.Config) {
				c.Faults = []platform.Fault{{Kind: tt.kind, Probability: 1, Method: "alipay.marketing.activity.voucher.create"}}
			}))
			w := serve(c.p, c.v3Request("POST", vouchers+"create", marshal(newVoucher("f3"))))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("v3: %d %s, want %d %s", w.Code, w.Body, tt.status, tt.says)
			}
			if got := verifies(t, w.Header(), w.Body.Bytes()); got != tt.signed {
				t.Errorf("v3: the signature fits: %v", got)
			}
			w = serve(c.p, c.v2Request("alipay.marketing.activity.voucher.create", marshal(newVoucher("f2"))))
			if !strings.Contains(w.Body.String(), tt.v2) {
				t.Errorf("gateway.do: %d %s, want %s", w.Code, w.Body, tt.v2)
			}
			want := "0"
			if tt.done {
				want = "2"
			}
			if got := c.v3("POST", "/v3/alipay/marketing/activity/batchquery", object{"page_num": 1, "page_size": 1, "merchant_access_mode": "SELF_MODE"}).
				text(t, "total_size"); got != want {
				t.Errorf("%s activities are there, want %s", got, want)
			}
			for _, e := range journaled(c.p, platform.Called)[:2] {
				if e.Fault != tt.kind {
					t.Errorf("the journal says %q", e.Fault)
				}
			}
			// The same once more, when nothing goes wrong any more.
			c.p.ClearFaults()
			c.create("f3")
		})
	}
}

// TestTruncatedIsCut: more is announced than comes.
func TestTruncatedIsCut(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, func(c *platform.Config) {
		c.Faults = []platform.Fault{{Kind: platform.Truncated, Probability: 1}}
	}))
	server := httptest.NewServer(c.p.Handler())
	defer server.Close()
	signed := c.v3Request("POST", vouchers+"create", marshal(newVoucher("cut")))
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+vouchers+"create", signed.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = signed.Header
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 || json.Valid(body) {
		t.Errorf("%q, %v", body, err)
	}
}

// TestSlashesAreSignedEscaped: over gateway.do the signature fits only the text
// with '\/' (PROTOCOL.md 4.2).
func TestSlashesAreSignedEscaped(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	c.extra = map[string]string{"auth_token": "x"}
	no := c.v2("alipay.marketing.card.open", newCard("slash")).want(t, "").text(t, "card_info", "biz_card_no")
	c.extra = nil
	if err := c.p.AddFault(platform.Fault{Kind: platform.Slashes, Probability: 1}); err != nil {
		t.Fatal(err)
	}
	_, raw, sign := c.nodeOf(serve(c.p, c.v2Request(cardQuery, marshal(named(no, "BIZ_CARD")))))
	public := keys(t).alipay.Public()
	if alipaytest.VerifyBytes(public, raw, sign, alipaytest.RSA2) {
		t.Error("it fits as it stands")
	}
	if !alipaytest.VerifyBytes(public, bytes.ReplaceAll(raw, []byte("/"), []byte(`\/`)), sign, alipaytest.RSA2) {
		t.Error("it does not fit escaped")
	}
}

// TestSlowAndSkewed: the waits are real time, and the skewed clock shows.
func TestSlowAndSkewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, newPlatform(t, func(c *platform.Config) {
			c.TimeScale = 1000
			c.Faults = []platform.Fault{{Kind: platform.Slow, Probability: 1, Count: 2}, {Kind: platform.ClockSkew, Probability: 1, By: time.Hour}}
		}))
		for range 2 {
			begun := time.Now()
			c.create("slow")
			if took := time.Since(begun); took != 10*time.Second {
				t.Errorf("took %s", took)
			}
		}
		w := serve(c.p, c.v3Request("GET", accounts+"query?user_id="+member, ""))
		date, err := http.ParseTime(w.Header().Get("Date"))
		if err != nil || time.Until(date).Round(time.Minute) != time.Hour || !strings.Contains(w.Body.String(), "invalid-timestamp") {
			t.Errorf("date %s, %v, %s", date, err, w.Body)
		}
	})
}

// TestRotatedNamesAnotherCertificate in certificate mode.
func TestRotatedNamesAnotherCertificate(t *testing.T) {
	t.Parallel()
	cert, sn := issuedBy(t, appPEM(t), "/CN=all in one")
	c := newCaller(t, newPlatform(t, func(c *platform.Config) {
		c.AlipayCert, c.RootCert, c.Apps = cert, cert, []platform.App{{ID: appID, Cert: cert}}
		c.Faults = []platform.Fault{{Kind: platform.Rotated, Probability: 1, Count: 1}}
	}))
	c.auth, c.extra = ",app_cert_sn="+sn, map[string]string{"alipay-root-cert-sn": sn}
	for _, same := range []bool{false, true} {
		a := c.v3("GET", accounts+"query", object{"user_id": member}).want(t, "")
		if got := a.Header().Get("alipay-sn"); (got == sn) != same || got == "" {
			t.Errorf("alipay-sn %q", got)
		}
	}
}

// TestFaultsRepeat: the same seed makes the same calls go wrong.
func TestFaultsRepeat(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (out string) {
		c := newCaller(t, newPlatform(t, func(c *platform.Config) {
			c.Seed = seed
			c.Faults = []platform.Fault{{Kind: platform.Throttle, Probability: 0.3}, {Kind: platform.HTML, Probability: 0.2}}
		}))
		for range 40 {
			serve(c.p, c.v3Request("GET", accounts+"query?user_id="+member, ""))
		}
		for _, e := range c.p.Journal() {
			out += e.Fault + ","
		}
		return out
	}
	first := run(5)
	if first != run(5) {
		t.Error("the same seed, another run of luck")
	}
	if first == run(6) {
		t.Error("another seed, the same run of luck")
	}
	throttled, pages := strings.Count(first, "throttle"), strings.Count(first, "html")
	if throttled < 5 || throttled > 20 || pages < 2 || pages > 15 {
		t.Errorf("of 40 calls %d throttled, %d pages", throttled, pages)
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	got, err := platform.ParseFault("throttle=0.05")
	if diff := cmp.Diff(platform.Fault{Kind: platform.Throttle, Probability: 0.05}, got, cmp.AllowUnexported(platform.Fault{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"throttle", "throttle=often", "throttle=0", "throttle=1.1", "throttle=NaN", "thunder=1", "=1"} {
		if _, err := platform.ParseFault(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestSim: what another process can say and ask under /_sim/.
func TestSim(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	server := httptest.NewServer(c.p.Handler())
	defer server.Close()
	ask := func(verb, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), verb, server.URL+"/_sim/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode, readAll(t, response.Body)
	}
	ok := func(verb, path, body string) string {
		t.Helper()
		status, said := ask(verb, path, body)
		if status != http.StatusOK {
			t.Fatalf("%s %s %s: %d %s", verb, path, body, status, said)
		}
		return said
	}

	var made struct {
		IDs []string `json:"activity_ids"`
	}
	c.parse([]byte(ok("POST", "activities", `{"count":3,"activity_status":"ACTIVE"}`)), &made)
	ok("POST", "activities", `{"activity_id":"`+made.IDs[0]+`","activity_status":"PAUSE"}`)
	if got := c.state(made.IDs[0]); len(made.IDs) != 3 || got != "PAUSE" {
		t.Errorf("%d made; the first is %s", len(made.IDs), got)
	}
	voucher := c.change("send", made.IDs[1], "s", "user_id", member).want(t, "").text(t, "voucher_id")
	ok("POST", "vouchers", `{"voucher_id":"`+voucher+`","voucher_status":"USED"}`)
	ok("POST", "trades", `{"app_id":"`+appID+`","out_trade_no":"t","trade_status":"TRADE_CLOSED","total_amount":"1.00"}`)
	c.v2("alipay.trade.query", object{"out_trade_no": "t"}).want(t, "")
	ok("POST", "templates", `{"template_id":"9"}`)
	c.v3("GET", cards+"template/query", object{"template_id": "9"}).want(t, "")

	ok("POST", "faults", `{"kind":"slow","probability":1,"count":1,"by":"1ms","method":"alipay.trade"}`)
	if got := ok("GET", "faults", ""); !strings.Contains(got, `{"kind":"slow","probability":1,"method":"alipay.trade","count":1,"by":"1ms"}`) {
		t.Errorf("faults %s", got)
	}
	ok("DELETE", "faults", "")
	if got := ok("GET", "faults", ""); got != "[]\n" {
		t.Errorf("faults %s", got)
	}
	lines := ok("GET", "journal?what=call", "")
	if n := strings.Count(lines, "\n"); n != len(journaled(c.p, platform.Called)) || n < 4 || strings.Contains(lines, "caused") {
		t.Errorf("journal of calls:\n%s", lines)
	}

	for path, bodies := range map[string][]string{
		"faults":     {`{"kind":"thunder","probability":1}`, `{`, `{"kind":"slow","probability":1,"by":"long"}`, `{"chance":1}`},
		"activities": {`{"count":0,"activity_status":"ACTIVE"}`, `{"count":1,"activity_status":"GONE"}`, `{"activity_id":"1","activity_status":"PAUSE"}`, `{"app_id":"1"}`},
		"vouchers":   {`{"voucher_id":"1","voucher_status":"USED"}`, `{"voucher_id":"` + voucher + `","voucher_status":"GONE"}`, `{"app_id":"1"}`},
		"trades":     {`{"app_id":"1"}`}, "templates": {`{"app_id":"1"}`},
	} {
		for _, body := range bodies {
			if status, said := ask("POST", path, body); status != http.StatusBadRequest || said == "" {
				t.Errorf("%s %s: %d %s", path, body, status, said)
			}
		}
	}

	// Not for strangers, wherever it listens.
	r := httptest.NewRequest("GET", "/_sim/journal", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	if w := serve(c.p, r); w.Code != http.StatusForbidden {
		t.Errorf("a stranger: %d %s", w.Code, w.Body)
	}
}

// TestJournalIsWritten as it comes, one object a line.
func TestJournalIsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Journal = &out }))
	c.create("written")
	c.v2(cardQuery, object{}).want(t, "INVALID_PARAMETER")
	c.p.Close()
	var got []platform.Entry
	for line := range strings.Lines(out.String()) {
		var e platform.Entry
		c.parse([]byte(line), &e)
		got = append(got, e)
	}
	if diff := cmp.Diff(c.p.Journal(), got); diff != "" {
		t.Errorf("kept and written differ:\n%s", diff)
	}
	if got[0].Method != "alipay.marketing.activity.voucher.create" || got[0].Number != "written" || got[0].Protocol != "v3" || got[1].Code != "INVALID_PARAMETER" {
		t.Errorf("%+v", got)
	}
}
