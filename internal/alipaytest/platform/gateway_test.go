package platform_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

const cardQuery = "alipay.marketing.card.query"

// TestGatewaySignedByOpenssl: the request is signed, and the answer verified,
// by openssl; success and business error alike, whichever of node and sign
// comes first.
func TestGatewaySignedByOpenssl(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	c.sign = signWithOpenssl(t)
	signFirst := map[bool]bool{}
	for i := range 12 {
		method, params := "alipay.marketing.activity.voucher.create", newVoucher("v2-"+itoa(i))
		if i%2 == 1 {
			method, params = cardQuery, object{"target_card_no": "1", "target_card_no_type": "BIZ_CARD"}
		}
		w := serve(c.p, c.v2Request(method, marshal(params)))
		name, raw, sign := c.nodeOf(w)
		if want := strings.ReplaceAll(method, ".", "_") + "_response"; name != want || w.Code != http.StatusOK {
			t.Errorf("%d, node %s, want %s", w.Code, name, want)
		}
		opensslVerifies(t, raw, sign)
		code := map[int]string{0: `"10000"`, 1: `"CARD_NOT_EXIT"`}[i%2]
		if !strings.Contains(string(raw), code) {
			t.Errorf("want %s: %s", code, raw)
		}
		signFirst[strings.HasPrefix(w.Body.String(), `{"sign":`)] = true
		if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/html") || w.Header().Get("trace_id") == "" {
			t.Errorf("headers %v", w.Header())
		}
	}
	if len(signFirst) != 2 {
		t.Errorf("sign always at one end: %v", signFirst)
	}
}

// TestGatewayAnyChangeIsRefused changes one byte of one value at a time.
func TestGatewayAnyChangeIsRefused(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	genuine := c.v2Request(cardQuery, `{"target_card_no":"一","target_card_no_type":"BIZ_CARD"}`)
	query := genuine.URL.Query()
	body, err := url.ParseQuery(readAll(t, genuine.Body))
	if err != nil {
		t.Fatal(err)
	}
	send := func(query, body url.Values) answer {
		r := httptest.NewRequest(http.MethodPost, "/gateway.do?"+query.Encode(), strings.NewReader(body.Encode()))
		a := answer{ResponseRecorder: serve(c.p, r)}
		_, raw, sign := c.nodeOf(a.ResponseRecorder)
		c.parse(raw, &a.body)
		if sign != "" && a.code() != "CARD_NOT_EXIT" {
			t.Errorf("an error of the gateway's that is signed: %s", a.Body)
		}
		return a
	}
	for name, value := range map[string]string{"method": query.Get("method"), "sign": query.Get("sign"), "timestamp": query.Get("timestamp"),
		"app_id": query.Get("app_id"), "charset": query.Get("charset"), "version": query.Get("version"), "biz_content": body.Get("biz_content")} {
		for i := range value {
			changed, content := clone(query), clone(body)
			into := changed
			if name == "biz_content" {
				into = content
			}
			into.Set(name, flip(value, i))
			got := send(changed, content)
			if got.code() == "CARD_NOT_EXIT" || got.Code != http.StatusOK {
				t.Fatalf("%s %q: %s", name, flip(value, i), got.Body)
			}
			if signed := name == "biz_content" || name == "method" || name == "sign"; signed && got.code() != "isv.invalid-signature" {
				t.Errorf("%s %q: %s, want isv.invalid-signature", name, flip(value, i), got.Body)
			}
		}
	}
	more := clone(query)
	more.Set("notify_url", "http://127.0.0.1/") // one more field
	send(more, body).want(t, "isv.invalid-signature")
	more.Set("notify_url", "") // an empty one is not signed
	send(more, body).want(t, "CARD_NOT_EXIT")
	send(query, body).want(t, "CARD_NOT_EXIT")
}

func clone(v url.Values) url.Values {
	out, err := url.ParseQuery(v.Encode())
	if err != nil {
		panic(err)
	}
	return out
}

func TestGatewayRefusals(t *testing.T) {
	t.Parallel()
	long := "alipay.marketing.card.query"
	for _, tt := range []struct {
		name, method, code, sub string
		fields                  map[string]string
	}{
		{"no method", "", "40001", "isv.missing-method", nil},
		{"unknown method", "alipay.no.such", "40002", "isv.invalid-method", nil},
		{"no app", long, "40001", "isv.missing-app-id", map[string]string{"app_id": ""}},
		{"unknown app", long, "40002", "isv.invalid-app-id", map[string]string{"app_id": "1"}},
		{"no sign type", long, "40001", "isv.missing-signature-type", map[string]string{"sign_type": ""}},
		{"SHA-1", long, "40002", "isv.invalid-signature-type", map[string]string{"sign_type": "RSA"}},
		{"no timestamp", long, "40001", "isv.missing-timestamp", map[string]string{"timestamp": ""}},
		{"milliseconds", long, "40002", "isv.invalid-timestamp", map[string]string{"timestamp": "1700000000000"}},
		{"two days old", long, "40002", "isv.invalid-timestamp", map[string]string{"timestamp": time.Now().AddDate(0, 0, -2).Format(time.DateTime)}},
		{"no version", long, "40001", "isv.missing-version", map[string]string{"version": ""}},
		{"version 2", long, "40002", "isv.invalid-version", map[string]string{"version": "2.0"}},
		{"XML", long, "40002", "isv.invalid-format", map[string]string{"format": "xml"}},
		{"charset unknown", long, "40002", "isv.invalid-charset", map[string]string{"charset": "big5"}},
		{"a token nobody gave", long, "20001", "aop.invalid-app-auth-token", map[string]string{"app_auth_token": "x"}},
		{"a certificate in key mode", long, "40002", "isv.app-cert-not-exist", map[string]string{"app_cert_sn": "x"}},
		{"encryption without a key", long, "40001", "isv.missing-encrypt-key", map[string]string{"encrypt_type": "AES"}},
		{"unknown encryption", long, "40002", "isv.invalid-encrypt-type", map[string]string{"encrypt_type": "SM4"}},
		{"no JSON", long, "40002", "isv.illegal-json", map[string]string{"biz_content": "x"}},
		{"no content", long, "40004", "INVALID_PARAMETER", map[string]string{"biz_content": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, newPlatform(t, nil))
			c.extra = tt.fields
			w := serve(c.p, c.v2Request(tt.method, "{}"))
			name, raw, sign := c.nodeOf(w)
			var node object
			c.parse(raw, &node)
			if node["code"] != tt.code || node["sub_code"] != tt.sub || node["msg"] == "" || node["sub_msg"] == "" || w.Code != http.StatusOK {
				t.Errorf("%d %s, want %s %s", w.Code, raw, tt.code, tt.sub)
			}
			if business := tt.code == "40004"; (sign != "") != business {
				t.Errorf("signed %v, want %v (PROTOCOL.md 4.2)", sign != "", business)
			}
			if known := strings.HasPrefix(name, "alipay_marketing"); !known && name != "error_response" {
				t.Errorf("node %s", name)
			}
		})
	}
}

// TestGatewayCharsetIsInTheURL: without it the body could not be read.
func TestGatewayCharsetIsInTheURL(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	r := c.v2Request(cardQuery, "{}")
	query := r.URL.Query()
	query.Del("charset")
	r = httptest.NewRequest(http.MethodPost, "/gateway.do?"+query.Encode(), strings.NewReader("charset=utf-8&biz_content=%7B%7D"))
	if w := serve(c.p, r); !strings.Contains(w.Body.String(), "isv.invalid-charset") {
		t.Error(w.Body)
	}
	twice := httptest.NewRequest(http.MethodPost, r.URL.String()+"&charset=utf-8&charset=utf-8", nil)
	if w := serve(c.p, twice); !strings.Contains(w.Body.String(), "isv.invalid-parameter") {
		t.Error(w.Body)
	}
	get := httptest.NewRequest(http.MethodGet, "/gateway.do", nil)
	if w := serve(c.p, get); w.Code != http.StatusMethodNotAllowed {
		t.Error(w.Code)
	}
}

// TestGatewayGBK: names are GBK on the wire in both directions, and that is
// what is signed. 誠 has a second byte that looks like a backslash.
func TestGatewayGBK(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	c.sign = signWithOpenssl(t)
	c.extra = map[string]string{"charset": "GBK"}
	params := newVoucher("gbk-1")
	params["activity_base_info"] = object{"activity_name": "誠信五元券"}
	content, err := simplifiedchinese.GBK.NewEncoder().String(marshal(params))
	if err != nil {
		t.Fatal(err)
	}
	id := func(w *httptest.ResponseRecorder) (node object) {
		t.Helper()
		text, err := simplifiedchinese.GBK.NewDecoder().String(w.Body.String())
		if err != nil {
			t.Fatal(err)
		}
		var parts map[string]json.RawMessage
		c.parse([]byte(text), &parts)
		var sign string
		for name, raw := range parts {
			if name == "sign" {
				c.parse(raw, &sign)
				continue
			}
			gbk, err := simplifiedchinese.GBK.NewEncoder().Bytes(raw)
			if err != nil {
				t.Fatal(err)
			}
			c.parse(raw, &node)
			defer func() { opensslVerifies(t, gbk, sign) }()
		}
		return node
	}
	made := id(serve(c.p, c.v2Request("alipay.marketing.activity.voucher.create", content)))
	asked := id(serve(c.p, c.v2Request("alipay.marketing.activity.voucher.query", marshal(object{
		"activity_id": made["activity_id"], "merchant_access_mode": "SELF_MODE"}))))
	if asked["activity_name"] != "誠信五元券" {
		t.Errorf("name %v", asked["activity_name"])
	}
	// What GBK lacks comes escaped.
	c.extra = nil
	params["activity_base_info"], params["out_biz_no"] = object{"activity_name": "🎁"}, "gbk-2"
	made = c.v2("alipay.marketing.activity.voucher.create", params).want(t, "").body
	c.extra = map[string]string{"charset": "gb2312"}
	asked = id(serve(c.p, c.v2Request("alipay.marketing.activity.voucher.query", marshal(object{
		"activity_id": made["activity_id"], "merchant_access_mode": "SELF_MODE"}))))
	if asked["activity_name"] != "🎁" {
		t.Errorf("name %v", asked["activity_name"])
	}
}

func TestGatewayEncrypted(t *testing.T) {
	t.Parallel()
	key := alipaytest.NewAESKey()
	c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Apps[0].AESKey = key }))
	c.extra = map[string]string{"encrypt_type": "AES"}
	text, err := alipaytest.EncryptAES(key, []byte(`{"target_card_no":"1","target_card_no_type":"BIZ_CARD"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, raw, sign := c.nodeOf(serve(c.p, c.v2Request(cardQuery, text)))
	opensslVerifies(t, raw, sign) // with its quotes
	var cipher string
	c.parse(raw, &cipher)
	plain, err := alipaytest.DecryptAES(key, cipher)
	if err != nil || !strings.Contains(string(plain), "CARD_NOT_EXIT") {
		t.Errorf("%s, %v", plain, err)
	}
	if w := serve(c.p, c.v2Request(cardQuery, "AAAA")); !strings.Contains(w.Body.String(), "isv.decryption-error-unknown") {
		t.Error(w.Body)
	}
}
