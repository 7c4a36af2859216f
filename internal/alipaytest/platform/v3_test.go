package platform_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// TestV3SignedByOpenssl: neither the request's signature nor the verdict on the
// answer's is of our making.
func TestV3SignedByOpenssl(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	c.sign = signWithOpenssl(t)
	id := c.v3("POST", vouchers+"create", newVoucher("openssl-1")).want(t, "").text(t, "activity_id")

	// A query with what has to be escaped, one way of several.
	r := c.v3Request("GET", vouchers+"query?merchant_access_mode=SELF%5fMODE&activity_id="+id, "")
	w := serve(c.p, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	h := w.Header()
	opensslVerifies(t, []byte(h.Get("alipay-timestamp")+"\n"+h.Get("alipay-nonce")+"\n"+w.Body.String()+"\n"), h.Get("alipay-signature"))
	if h.Get("alipay-trace-id") == "" || h.Get("alipay-sn") != "" {
		t.Errorf("headers %v", h)
	}
}

// TestV3EmptyResultsAreSigned too, be they {} or nothing at all: both are seen.
func TestV3EmptyResultsAreSigned(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	seen := map[int]bool{}
	for i := range 20 {
		b := object{"bind_account_no": "a" + itoa(i), "display_name": "甲", "from_user_id": "2088000000000001"}
		id := c.v3("POST", accounts+"create", b).want(t, "").text(t, "agreement_id")
		w := c.v3("DELETE", accounts+"delete", object{"agreement_id": id}).want(t, "")
		h := w.Header()
		if body := w.Body.String(); (w.Code == http.StatusNoContent) != (body == "") || !seen[w.Code] {
			opensslVerifies(t, []byte(h.Get("alipay-timestamp")+"\n"+h.Get("alipay-nonce")+"\n"+body+"\n"), h.Get("alipay-signature"))
		}
		seen[w.Code] = true
	}
	if !seen[http.StatusOK] || !seen[http.StatusNoContent] {
		t.Errorf("of 20 only %v", seen)
	}
}

// TestV3AnyChangeIsRefused changes one byte of a genuine request at a time.
func TestV3AnyChangeIsRefused(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Apps[0].AuthToken = "token1" }))
	c.extra = map[string]string{"alipay-app-auth-token": "token1"}
	body := marshal(newVoucher("flip-1"))
	genuine := c.v3Request("POST", vouchers+"create?x=abc", body)
	auth := genuine.Header.Get("Authorization")

	send := func(auth, uri, body string) answer {
		r := c.v3Request("POST", uri, body) // to have its headers
		r.Header.Set("Authorization", auth)
		a := answer{ResponseRecorder: serve(c.p, r)}
		c.parse(a.Body.Bytes(), &a.body)
		if a.Header().Get("alipay-signature") != "" || a.body["message"] == "" {
			t.Errorf("an error that is signed, or says nothing: %s", a.Body)
		}
		return a
	}
	for i := range body {
		if got := send(auth, vouchers+"create?x=abc", flip(body, i)); got.code() != "invalid-signature" || got.Code != 400 && got.Code != 401 {
			t.Fatalf("byte %d of the body: %d %s", i, got.Code, got.Body)
		}
	}
	uri := vouchers + "create?x=abc"
	for i := len("/v3/"); i < len(uri); i++ {
		if uri[i] == '?' {
			continue
		}
		if got := send(auth, flip(uri, i), body); got.code() != "invalid-signature" {
			t.Fatalf("byte %d of the URI: %s", i, got.Body)
		}
	}
	for i := range auth {
		if got := send(flip(auth, i), uri, body); got.Code < 400 || got.code() == "" {
			t.Fatalf("byte %d of the authorization %q: %d %s", i, flip(auth, i), got.Code, got.Body)
		}
	}
	// The verb and the token are signed as well.
	r := c.v3Request("PATCH", uri, body)
	r.Header.Set("Authorization", auth)
	if w := serve(c.p, r); !strings.Contains(w.Body.String(), "invalid-signature") {
		t.Errorf("another verb: %s", w.Body)
	}
	c.extra = nil
	r = c.v3Request("POST", uri, body)
	r.Header.Set("Authorization", auth)
	if w := serve(c.p, r); !strings.Contains(w.Body.String(), "invalid-signature") {
		t.Errorf("without the token: %s", w.Body)
	}
	if w := serve(c.p, genuine); w.Code != http.StatusOK {
		t.Errorf("unchanged: %d %s", w.Code, w.Body)
	}
}

// flip changes one byte into another that may stand at its place.
func flip(s string, i int) string {
	b := []byte(s)
	switch c := b[i]; {
	case c >= '0' && c <= '8', c >= 'a' && c <= 'y', c >= 'A' && c <= 'Y':
		b[i]++
	case c == '9', c == 'z', c == 'Z':
		b[i]--
	case c >= 0x80:
		b[i] ^= 1
	default:
		b[i] = 'x'
	}
	return string(b)
}

func TestV3Refusals(t *testing.T) {
	t.Parallel()
	const uri = vouchers + "query?activity_id=1&merchant_access_mode=SELF_MODE"
	sign := signWithGo(t)
	// AT stands for the timestamp, so much before or after the request is made.
	signed := func(auth string, at time.Duration) func(r *http.Request) {
		return func(r *http.Request) {
			auth := strings.ReplaceAll(auth, "AT", itoa(int(time.Now().Add(at).UnixMilli())))
			r.Header.Set("Authorization", "ALIPAY-SHA256withRSA "+auth+",sign="+sign(auth+"\nGET\n"+uri+"\n\n"))
		}
	}
	base := "app_id=" + appID + ",nonce=x,timestamp=AT"
	for _, tt := range []struct {
		name, code string
		status     int
		change     func(r *http.Request)
	}{
		// PROTOCOL.md 4.1: a probe without the header was told this, with 400.
		{"no authorization", "missing-timestamp", 400, func(r *http.Request) { r.Header.Del("Authorization") }},
		{"another scheme", "invalid-signature-type", 400, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }},
		{"no sign", "missing-signature", 400, func(r *http.Request) { r.Header.Set("Authorization", "ALIPAY-SHA256withRSA "+base) }},
		{"no timestamp", "missing-timestamp", 400, signed("app_id="+appID+",nonce=x", 0)},
		{"seconds", "invalid-timestamp", 400, signed("app_id="+appID+",nonce=x,timestamp=1700000000", 0)},
		{"too old", "invalid-timestamp", 400, signed(base, -10*time.Minute-time.Millisecond)},
		{"too new", "invalid-timestamp", 400, signed(base, 10*time.Minute+time.Millisecond)},
		{"past expired_seconds", "invalid-timestamp", 400, signed(base+",expired_seconds=120", -121*time.Second)},
		{"expired_seconds in words", "invalid-parameter", 400, signed(base+",expired_seconds=many", 0)},
		{"no app", "missing-app-id", 400, signed("nonce=x,timestamp=AT", 0)},
		{"unknown app", "invalid-app-id", 400, signed("app_id=2021,nonce=x,timestamp=AT", 0)},
		{"no nonce", "invalid-parameter", 400, signed("app_id="+appID+",timestamp=AT", 0)},
		{"app twice", "invalid-parameter", 400, signed(base+",app_id="+appID, 0)},
		{"an empty field", "invalid-parameter", 400, signed(base+",app_cert_sn=", 0)},
		{"a certificate in key mode", "app-cert-not-exist", 400, signed(base+",app_cert_sn=abc", 0)},
		{"a token nobody gave", "invalid-app-auth-token", 401, func(r *http.Request) { r.Header.Set("alipay-app-auth-token", "x") }},
		{"a request id with dots", "invalid-parameter", 400, func(r *http.Request) { r.Header.Set("alipay-request-id", "a.b") }},
		{"a long request id", "invalid-parameter", 400, func(r *http.Request) { r.Header.Set("alipay-request-id", strings.Repeat("a", 33)) }},
		{"encryption without a key", "missing-encrypt-key", 400, func(r *http.Request) { r.Header.Set("alipay-encrypt-type", "AES") }},
		{"unknown encryption", "invalid-encrypt-type", 400, func(r *http.Request) { r.Header.Set("alipay-encrypt-type", "SM4") }},
		{"just in time", "INVALID_PARAMETER", 400, signed(base, -10*time.Minute)},
		{"order of fields and expiry", "INVALID_PARAMETER", 400, signed("timestamp=AT,expired_seconds=120,nonce=y,app_id="+appID, -120*time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, newPlatform(t, nil))
				r := c.v3Request("GET", uri, "")
				tt.change(r)
				a := answer{ResponseRecorder: serve(c.p, r)}
				c.parse(a.Body.Bytes(), &a.body)
				if a.code() != tt.code || a.Code != tt.status {
					t.Errorf("%d %s, want %d %s", a.Code, a.Body, tt.status, tt.code)
				}
				if links, ok := a.body["links"]; ok && len(links.([]any)) != 1 {
					t.Errorf("links is %v, want a list", links)
				}
			})
		})
	}
}

func TestV3RequestsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, verb, uri, kind, body, code string }{
		{"unknown path", "GET", "/v3/alipay/marketing/nothing", "", "", "invalid-method"},
		{"another verb", "POST", vouchers + "query", "application/json", "{}", "invalid-method"},
		{"no JSON", "POST", vouchers + "stop", "application/json", "{", "illegal-json"},
		{"a list", "POST", vouchers + "stop", "application/json", "[]", "illegal-json"},
		{"two objects", "POST", vouchers + "stop", "application/json", "{}{}", "illegal-json"},
		{"null", "POST", vouchers + "stop", "application/json", "null", "illegal-json"},
		{"a form", "POST", vouchers + "stop", "application/x-www-form-urlencoded", "{}", "invalid-format"},
		{"nothing", "POST", vouchers + "stop", "", "", "INVALID_PARAMETER"},
		{"twice in the URL", "GET", vouchers + "query?activity_id=1&activity_id=2", "", "", "invalid-parameter"},
		{"in URL and body", "POST", vouchers + "stop?activity_id=1", "application/json", `{"activity_id":"2"}`, "invalid-parameter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, newPlatform(t, nil))
			c.extra = map[string]string{"Content-Type": tt.kind}
			a := answer{ResponseRecorder: serve(c.p, c.v3Request(tt.verb, tt.uri, tt.body))}
			c.parse(a.Body.Bytes(), &a.body)
			a.want(t, tt.code)
		})
	}
}

func TestV3NonceIsForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, newPlatform(t, nil))
		const uri = accounts + "query?user_id=2088000000000001"
		first := c.v3Request("GET", uri, "")
		if w := serve(c.p, first); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for range 3 { // also when much has come between
			if w := serve(c.p, first); !strings.Contains(w.Body.String(), "suspected-attack") {
				t.Errorf("repeated: %d %s", w.Code, w.Body)
			}
			pass(3 * time.Minute)
			serve(c.p, c.v3Request("GET", uri, ""))
		}
	})
}

// TestV3OverriddenVerb: proxies that let only POST through (PROTOCOL.md 4.1).
func TestV3OverriddenVerb(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	r := c.v3Request("DELETE", accounts+"delete?agreement_id=1", "")
	r.Method = "POST"
	r.Header.Set("X-HTTP-Method-Override", "DELETE")
	if w := serve(c.p, r); !strings.Contains(w.Body.String(), "REMOVE_BIND_ACCOUNT_FAIL") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestV3Encrypted(t *testing.T) {
	t.Parallel()
	key := alipaytest.NewAESKey()
	c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Apps[0].AESKey = key }))
	c.extra = map[string]string{"alipay-encrypt-type": "AES", "Content-Type": "text/plain"}
	text, err := alipaytest.EncryptAES(key, []byte(marshal(newVoucher("aes-1"))))
	if err != nil {
		t.Fatal(err)
	}
	w := serve(c.p, c.v3Request("POST", vouchers+"create", text))
	h := w.Header()
	// The ciphertext is what is signed.
	opensslVerifies(t, []byte(h.Get("alipay-timestamp")+"\n"+h.Get("alipay-nonce")+"\n"+w.Body.String()+"\n"), h.Get("alipay-signature"))
	plain, err := alipaytest.DecryptAES(key, w.Body.String())
	if err != nil || !strings.HasPrefix(string(plain), `{"activity_id":"`) {
		t.Errorf("%s, %v", plain, err)
	}

	other, err := alipaytest.EncryptAES(alipaytest.NewAESKey(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if w := serve(c.p, c.v3Request("POST", vouchers+"create", other)); !strings.Contains(w.Body.String(), `"decryption-error-unknown"`) &&
		!strings.Contains(w.Body.String(), `"illegal-json"`) {
		t.Errorf("with another key: %s", w.Body)
	}
	c.extra["Content-Type"] = "application/json"
	if w := serve(c.p, c.v3Request("POST", vouchers+"create", text)); !strings.Contains(w.Body.String(), `"invalid-format"`) {
		t.Errorf("as JSON: %s", w.Body)
	}
}
