package openapi_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"alipay-notify/internal/openapi"
)

// TestMembers: the outermost members, their values to the byte, and nothing that
// two readers could read in two ways.
func TestMembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, node, problem string }{
		{"first", `{"x":{"a":1},"sign":"s"}`, `{"a":1}`, ""},
		{"last, with space", " {\n\"sign\" : \"s\" , \"x\" :\t{ \"a\" : [ ] } } \n", `{ "a" : [ ] }`, ""},
		{"brackets in strings", `{"x":{"a":"}]\"}","b":["{"]},"sign":"s"}`, `{"a":"}]\"}","b":["{"]}`, ""},
		{"backslashes", `{"x":{"a":"\\","b":"\\\""},"sign":"s"}`, `{"a":"\\","b":"\\\""}`, ""},
		{"a nested sign", `{"x":{"sign":"no","y":{"x":{}}},"sign":"s"}`, `{"sign":"no","y":{"x":{}}}`, ""},
		{"a string", `{"x":"a\/b==","sign":"s"}`, `"a\/b=="`, ""},
		{"a number", `{"x":12,"sign":"s"}`, `12`, ""},
		{"twice", `{"x":{},"x":{}}`, "", "comes twice"},
		{"twice, in another spelling", `{"x":{},"\u0078":{}}`, "", "escaped"},
		{"brackets that do not match", `{"x":{"a":[}]}`, "", "not a JSON object"},
		{"something after it", `{"x":{}} {}`, "", "comes after"},
		{"no colon", `{"x" {}}`, "", "not a JSON object"},
		{"no comma", `{"x":1 "y":2}`, "", "not a JSON object"},
		{"no value", `{"x":}`, "", "not a JSON object"},
		{"no name", `{:1}`, "", "not a JSON object"},
		{"a list", `[]`, "", "not a JSON object"},
		{"a line break in a string", "{\"x\":\"a\nb\"}", "", "control character"},
		{"cut off in a string", `{"x":"a`, "", "cut off"},
		{"cut off after a backslash", `{"x":"a\`, "", "cut off"},
		{"cut off in a block", `{"x":{"a":[1,2`, "", "cut off"},
		{"cut off after a value", `{"x":1`, "", "cut off"},
		{"cut off after a name", `{"x"`, "", "cut off"},
		{"as deep as may be", `{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, strings.Repeat("[", 200) + strings.Repeat("]", 200), ""},
		{"deeper", `{"x":` + strings.Repeat("[", 201) + strings.Repeat("]", 201) + `}`, "", "too deep"},
		{"very deep", `{"x":` + strings.Repeat("[", 1e6), "", "too deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := openapi.Members([]byte(tt.body))
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("got %s, %v, want %q", got, err, tt.problem)
				}
				return
			}
			if err != nil || string(got["x"]) != tt.node {
				t.Errorf("got %s, %v, want %s", got["x"], err, tt.node)
			}
		})
	}
	// 乗 in GBK is 0x81 0x5C: with a backslash read into it, the string would not end here.
	got, err := openapi.Members([]byte("{\"x\":{\"a\":\"\x81\x5c\"},\"sign\":\"s\"}"))
	if err != nil || string(got["x"]) != "{\"a\":\"\x81\x5c\"}" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := openapi.Members([]byte("{\"x\":\"\x81\",\"sign\":\"s\"}")); err == nil {
		t.Error("half a character of GBK swallows the end of its string")
	}
}

// FuzzMembers: whatever json takes for an object with distinct names, members
// splits into the same values; it never panics, and what it gives is JSON.
func FuzzMembers(f *testing.F) {
	for _, v := range readVectors(f).V2Answers {
		f.Add(v.Body)
	}
	f.Add([]byte(`{"a":[1,{"b":"\\\""}],"c":null,"d":-1e5,"sign":"x"}`))
	f.Add([]byte("{\"x\":{\"a\":\"\x81\x5c\"},\"sign\":\"s\"}"))
	f.Add([]byte(`{"a":` + strings.Repeat(`{"a":`, 300)))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := openapi.Members(body)
		var want map[string]json.RawMessage
		if !utf8.Valid(body) || json.Unmarshal(body, &want) != nil || want == nil {
			return // no opinion to compare with
		}
		if err != nil {
			if text := err.Error(); !strings.Contains(text, "escaped") && !strings.Contains(text, "twice") && !strings.Contains(text, "deep") {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d members, want %d", body, len(got), len(want))
		}
		for name, raw := range want {
			if !bytes.Equal(got[name], raw) && bytes.Contains(body, []byte(`"`+name+`"`)) {
				t.Errorf("%q: %s is %s, want %s", body, name, got[name], raw)
			}
		}
	})
}

// opens makes a call and checks what holds of every outcome: data or an error,
// data that is an object, an error of one line.
func opens(t *testing.T, c *openapi.Client, gateway openapi.Gateway) (openapi.Response, error) {
	t.Helper()
	resp, err := c.Call(t.Context(), openapi.Request{Gateway: gateway, Method: query, Params: card()})
	e := openapi.As(err)
	if (err == nil) == (resp.Data == nil) || err != nil && e == nil {
		t.Fatalf("data %q beside %v", resp.Data, err)
	}
	if err == nil && (!json.Valid(resp.Data) || resp.Data[0] != '{') {
		t.Fatalf("the data is no object: %q", resp.Data)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\x1b\x00") {
		t.Fatalf("the error is not one line: %q", err)
	}
	return resp, err
}

// stampSigner makes no signature worth the name, and so costs nothing: in the fuzz
// targets nobody looks at requests.
type stampSigner struct{ crypto.PublicKey }

func (s stampSigner) Public() crypto.PublicKey { return s.PublicKey }

func (stampSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return []byte("stamp"), nil
}

// answered is a client that gets whatever *r is at that time.
func answered(f *testing.F, r **http.Response, edit func(*openapi.Config)) *openapi.Client {
	f.Helper()
	return client(f, func(cfg *openapi.Config) {
		cfg.Attempts, cfg.PrivateKey = 1, stampSigner{&appKey(f).PublicKey}
		via(func(*http.Request) (*http.Response, error) { return *r, nil })(cfg)
		edit(cfg)
	})
}

// FuzzV3Answer: an answer that Alipay's key did not sign is no data, whatever it
// is; one that it signed is data only as it was signed.
func FuzzV3Answer(f *testing.F) {
	for _, v := range readVectors(f).V3Answers {
		f.Add(v.Status, v.Timestamp, v.Nonce, v.SN, v.Sign, v.Body)
	}
	f.Add(200, "1709946123456", "n", "", "", []byte("<html>"))
	f.Add(400, "", "", "", "", []byte(`{"code":"a","message":"b","links":[{"link":"c"}]}`))
	f.Add(429, "", "", "", "null", []byte(`{"code":"app-call-limited","links":"x"}`))
	var answer *http.Response
	c := answered(f, &answer, func(*openapi.Config) {})
	f.Fuzz(func(t *testing.T, status int, stamp, nonce, sn, signature string, body []byte) {
		h := http.Header{"Alipay-Timestamp": {stamp}, "Alipay-Nonce": {nonce}, "Alipay-Sn": {sn}, "Alipay-Signature": {signature}}
		answer = canned(status, h, body)
		if resp, err := opens(t, c, openapi.V3); err == nil {
			t.Fatalf("data of a stranger: %q", resp.Data)
		}
		h.Set("alipay-signature", sign(t, alipayKey(t), stamp+"\n"+nonce+"\n"+string(body)+"\n"))
		answer = canned(status, h, body)
		resp, err := opens(t, c, openapi.V3)
		if e := openapi.As(err); e != nil && e.Kind == openapi.Untrusted && !strings.Contains(e.Error(), "the answer was signed") && !strings.Contains(e.Error(), "decrypts") {
			t.Fatalf("%v", err)
		}
		if trimmed := bytes.TrimSpace(body); err == nil && len(trimmed) > 0 && !bytes.Equal(resp.Data, trimmed) {
			t.Fatalf("data %q of %q", resp.Data, body)
		}
	})
}

// FuzzV2Answer is the same for gateway.do.
func FuzzV2Answer(f *testing.F) {
	for _, v := range readVectors(f).V2Answers {
		f.Add(v.Body, v.Charset == "GBK")
	}
	f.Add([]byte(`{"error_response":{"code":40002,"msg":"a"},"sign":""}`), false)
	f.Add([]byte(`{"alipay_marketing_card_query_response":{"code":"10000"},"sign":"AA==","alipay_cert_sn":"x"}`), true)
	var answer *http.Response
	plain := answered(f, &answer, func(*openapi.Config) {})
	inGBK := answered(f, &answer, func(cfg *openapi.Config) { cfg.Charset = openapi.GBK })
	f.Fuzz(func(t *testing.T, body []byte, gbk bool) {
		c := plain
		if gbk {
			c = inGBK
		}
		answer = canned(http.StatusOK, nil, body)
		if resp, err := opens(t, c, openapi.V2); err == nil {
			t.Fatalf("data of a stranger: %q", resp.Data)
		}
		// The same bytes as a node that Alipay's key signed.
		answer = canned(http.StatusOK, nil, []byte(`{"alipay_marketing_card_query_response":`+string(body)+`,"sign":"`+sign(t, alipayKey(t), string(body))+`"}`))
		resp, err := opens(t, c, openapi.V2)
		if e := openapi.As(err); e != nil && e.Kind == openapi.Untrusted && bytes.Equal(body, bytes.TrimSpace(body)) && !strings.Contains(e.Error(), "decrypts") && json.Valid(body) {
			t.Fatalf("%q: %v", body, err)
		}
		if err == nil && !gbk && !bytes.Equal(resp.Data, bytes.TrimSpace(body)) {
			t.Fatalf("data %q of %q", resp.Data, body)
		}
	})
}
