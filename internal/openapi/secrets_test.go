package openapi_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"alipay-notify/internal/openapi"
)

const (
	aesKey    = "MDEyMzQ1Njc4OWFiY2RlZg=="
	userToken = "appopenBb64d181d0146481ab6a762c00714cC27"
)

// opening is a call that carries everything which must not be seen.
func opening() openapi.CardOpen {
	return openapi.CardOpen{
		OutSerialNo: "s", CardTemplateID: "t", AuthToken: userToken, CardExtInfo: &openapi.MerchantCard{ExternalCardNo: "E"},
		CardUserInfo: &openapi.CardUserInfo{UserUniID: user, UserUniIDType: "UID"},
	}
}

// clean wants a text without secrets.
func clean(t *testing.T, where, text string) {
	t.Helper()
	for what, secret := range map[string]string{
		"app_auth_token": token, "auth_token": userToken, "AES key": aesKey, "AES key, decoded": "0123456789abcdef",
		"private key": appKey(t).D.String(), "private key, hexadecimal": fmt.Sprintf("%x", appKey(t).D), "a prime": appKey(t).Primes[0].String(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the %s: %.300s", where, what, text)
		}
	}
}

// printed is everything that fmt, slog and JSON make of a value.
func printed(t *testing.T, v any) string {
	t.Helper()
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	return out.String() + b.String()
}

// TestNothingShowsASecret prints every type that holds one, in every way.
func TestNothingShowsASecret(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.AppAuthToken, cfg.AESKeys = token, []openapi.Secret{aesKey}
	c := client(t, func(to *openapi.Config) { *to = cfg })
	r := openapi.Request{Method: "alipay.marketing.card.open", Params: opening(), AppAuthToken: token, Encrypt: true}
	for name, v := range map[string]any{
		"Config": cfg, "&Config": &cfg, "Client": c, "a struct with a Client": struct{ C *openapi.Client }{c}, "a hidden Client": struct{ c *openapi.Client }{c},
		"Request": r, "CardOpen": opening(), "Secret": openapi.Secret(token), "Secrets": []openapi.Secret{aesKey}, "a Secret in a map": map[string]any{"x": openapi.Secret(token)},
	} {
		clean(t, name, printed(t, v))
	}
	if got := fmt.Sprint(openapi.Secret(""), c); !strings.Contains(got, appID) {
		t.Errorf("printed %q", got)
	}
	for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
		r.Gateway = gateway
		plan, err := c.Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		clean(t, "Plan", string(text)+printed(t, plan))
		if !strings.Contains(string(text), "(secret)") || !plan.Encrypt || plan.Number != "s" || plan.Causes != "card.open_result" {
			t.Errorf("%s", text)
		}
	}
}

// Every error of a call with secrets: what the network says holds the URL, and
// what Alipay says of a bad signature is the request.
func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	echo := func(code string) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			text, err := json.Marshal("验签出错, 验签字符串为: " + r.URL.String() + string(body) + r.Header.Get("alipay-app-auth-token") + " " + userToken)
			if err != nil {
				return nil, err
			}
			if r.URL.Path == "/gateway.do" {
				return canned(200, nil, fmt.Appendf(nil, `{"error_response":{"code":"40002","msg":"x","sub_code":"isv.%s","sub_msg":%s}}`, code, text)), nil
			}
			return canned(400, nil, fmt.Appendf(nil, `{"code":%q,"message":%s}`, code, text)), nil
		}
	}
	for name, f := range map[string]roundTripper{
		"network":       func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") },
		"bad signature": echo("invalid-signature"), "another code": echo("invalid-parameter"),
		"HTML": func(*http.Request) (*http.Response, error) { return canned(200, nil, []byte("<html>")), nil },
	} {
		for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
			c := client(t, func(cfg *openapi.Config) { cfg.AppAuthToken = token; via(f)(cfg) })
			_, err := c.Call(t.Context(), openapi.Request{Method: "alipay.marketing.card.open", Params: opening(), Gateway: gateway})
			e := openapi.As(err)
			if e == nil {
				t.Fatal(err)
			}
			clean(t, name+" over "+string(gateway), printed(t, e)+e.Message+err.Error())
			if name == "bad signature" && (strings.Contains(err.Error(), user) || !strings.Contains(err.Error(), "应用公钥")) {
				t.Errorf("the text about a bad signature quotes the request: %v", err)
			}
		}
	}
}

// What strangers say ends up in terminals and logs: one line, no control characters.
func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	evil := "a\nb\x1b[31m\u202e\u2028" + strings.Repeat("长", 2000)
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, via(func(*http.Request) (*http.Response, error) {
		h := http.Header{"Alipay-Trace-Id": {"x y"}}
		return canned(400, h, fmt.Appendf(nil, `{"code":%s,"message":%s,"links":[{"link":%s}]}`, text, text, text)), nil
	}))
	_, err = c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
	e := fails(t, err, openapi.Refused)
	for _, s := range []string{err.Error(), e.Code, e.Message, e.Links[0], e.TraceID} {
		if strings.ContainsAny(s, "\n\x1b\u202e") || len([]rune(s)) > 1600 {
			t.Errorf("%d characters: %.100q", len([]rune(s)), s)
		}
	}
}

// A configuration is checked whole, and its errors hold nothing of its secrets.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	own := openapi.AlipayKey{Key: &appKey(t).PublicKey}
	for _, tt := range []struct {
		name string
		edit func(*openapi.Config)
		say  string
	}{
		{"no app", func(c *openapi.Config) { c.AppID = "x" }, "app id"},
		{"no private key", func(c *openapi.Config) { c.PrivateKey = nil }, "private key"},
		{"a private key of nothing", func(c *openapi.Config) { c.PrivateKey = (*rsa.PrivateKey)(nil) }, "private key"},
		{"no key of Alipay", func(c *openapi.Config) { c.AlipayKeys = nil }, "0 keys of Alipay"},
		{"a key of nothing", func(c *openapi.Config) { c.AlipayKeys = []openapi.AlipayKey{{}} }, "key 1 of Alipay"},
		{"too many keys", func(c *openapi.Config) { c.AlipayKeys = append(c.AlipayKeys, own, own, own, own) }, "5 keys"},
		{"our own key for Alipay's", func(c *openapi.Config) { c.AlipayKeys = []openapi.AlipayKey{own} }, "the app's own public key"},
		{"half of certificate mode", func(c *openapi.Config) { c.AppCertSN = "ab" }, "root certificate"},
		{"a serial number that is none", func(c *openapi.Config) { c.AppCertSN, c.RootCertSN = "a,b", "c" }, "serial number"},
		{"a token of two lines", func(c *openapi.Config) { c.AppAuthToken = token + "\n" }, "app_auth_token"},
		{"an AES key that is none", func(c *openapi.Config) { c.AESKeys = []openapi.Secret{aesKey + "AAAA"} }, "AES key"},
		{"encryption without a key", func(c *openapi.Config) { c.Encrypt = true }, "AES key"},
		{"a path", func(c *openapi.Config) { c.BaseURL = "https://a/b" }, "base URL"},
		{"no scheme", func(c *openapi.Config) { c.BaseURL = "openapi.alipay.com" }, "base URL"},
		{"a charset", func(c *openapi.Config) { c.Charset = "latin-1" }, "charset"},
		{"a rate", func(c *openapi.Config) { c.Rate = -1 }, "rate"},
		{"attempts", func(c *openapi.Config) { c.Attempts = 11 }, "attempts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			tt.edit(&cfg)
			_, err := openapi.New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Fatalf("got %v, want something about %q", err, tt.say)
			}
			clean(t, tt.name, printed(t, err))
		})
	}
	_, err := openapi.New(openapi.Config{BaseURL: "x", Encrypt: true})
	for _, text := range []string{"app id", "private key", "keys of Alipay", "base URL", "AES"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("not all problems at once: %v", err)
		}
	}
}
