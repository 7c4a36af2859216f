package openapi_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"alipay-notify/internal/openapi"
)

// vectors is what testdata/vectors.pl made with Perl and openssl.
type vectors struct {
	AES        string `json:"aes"`
	Nonce      string `json:"nonce"`
	AppKey     string `json:"app_key"`
	AlipayKey  string `json:"alipay_key"`
	V3Requests []struct {
		Name, Method, Params, Cert, Root, Token, Path string
		Encrypt                                       bool
		Verb, URI, Body, Auth, Sign                   string
		String                                        []byte
	} `json:"v3_requests"`
	V2Requests []struct {
		Name, Method, Params, Charset, Cert, Root, Token string
		Encrypt                                          bool
		Public, Wire                                     map[string]string
		String                                           []byte
		Sign                                             string
	} `json:"v2_requests"`
	V3Answers []struct {
		Name, Timestamp, Nonce, SN, Sign, Want, Data string
		Status                                       int
		Body                                         []byte
	} `json:"v3_answers"`
	V2Answers []struct {
		Name, Charset, Want, Data string
		Body                      []byte
	} `json:"v2_answers"`
}

func readVectors(tb testing.TB) vectors {
	tb.Helper()
	var v vectors
	testdata(tb, "vectors.json", &v)
	if len(v.V3Requests) < 9 || len(v.V2Requests) < 6 || len(v.V3Answers) < 21 || len(v.V2Answers) < 22 {
		tb.Fatal("vectors are missing")
	}
	return v
}

func publicKey(tb testing.TB, text string) *rsa.PublicKey {
	tb.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		tb.Fatal("no PEM")
	}
	any, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := any.(*rsa.PublicKey)
	if err != nil || !ok {
		tb.Fatal(err)
	}
	return key
}

// verifies wants a base64 RSA2 signature of text.
func verifies(tb testing.TB, key *rsa.PublicKey, text []byte, sign string) {
	tb.Helper()
	sig, err := base64.StdEncoding.DecodeString(sign)
	sum := sha256.Sum256(text)
	if err == nil {
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
	}
	if err != nil {
		tb.Errorf("the signature is not over\n%s\n%v", text, err)
	}
}

var errSeen = errors.New("seen")

// sent makes a call and gives the request as it would go out, and its body.
func sent(tb testing.TB, edit func(*openapi.Config), r openapi.Request) (*http.Request, string) {
	tb.Helper()
	var got *http.Request
	var body []byte
	c := client(tb, func(cfg *openapi.Config) {
		edit(cfg)
		cfg.Attempts = 1
		cfg.HTTP = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			var err error
			if body, err = io.ReadAll(req.Body); err != nil {
				tb.Error(err)
			}
			got = req
			return nil, errSeen
		})}
	})
	openapi.SetNonce(c, readVectors(tb).Nonce)
	if _, err := c.Call(context.Background(), r); !errors.Is(err, errSeen) {
		tb.Fatal(err)
	}
	return got, string(body)
}

// TestV3RequestsAreSignedAsPerlSignsThem compares every byte that goes out, and
// the string behind the signature, with those of a second implementation. Its own
// signatures, by openssl, are over the same strings. gopay signs DELETE as POST
// and never sends alipay-root-cert-sn; both have a vector here.
func TestV3RequestsAreSignedAsPerlSignsThem(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, tt := range v.V3Requests {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			req, body := sent(t, func(cfg *openapi.Config) {
				cfg.AppCertSN, cfg.RootCertSN, cfg.AESKeys, cfg.AppAuthToken = tt.Cert, tt.Root, []openapi.Secret{openapi.Secret(v.AES)}, openapi.Secret(tt.Token)
			}, openapi.Request{Method: tt.Method, Params: []byte(tt.Params), Encrypt: tt.Encrypt, Path: tt.Path, Verb: map[bool]string{true: tt.Verb}[tt.Path != ""]})

			if req.Method != tt.Verb || req.URL.RequestURI() != tt.URI || body != tt.Body {
				t.Errorf("sent %s %s\n%s\nwant %s %s\n%s", req.Method, req.URL.RequestURI(), body, tt.Verb, tt.URI, tt.Body)
			}
			auth, sign, _ := strings.Cut(strings.TrimPrefix(req.Header.Get("Authorization"), "ALIPAY-SHA256withRSA "), ",sign=")
			if auth != tt.Auth {
				t.Errorf("Authorization has %s, want %s", auth, tt.Auth)
			}
			verifies(t, &appKey(t).PublicKey, tt.String, sign)
			verifies(t, publicKey(t, v.AppKey), tt.String, tt.Sign)
			want := map[string]string{
				"Accept": "application/json", "alipay-request-id": v.Nonce, "alipay-app-auth-token": tt.Token, "alipay-root-cert-sn": tt.Root,
				"Content-Type": map[bool]string{true: "application/json"}[body != ""], "alipay-encrypt-type": "",
			}
			if tt.Encrypt {
				want["Content-Type"], want["alipay-encrypt-type"] = "text/plain", "AES"
			}
			for name, value := range want {
				if got := req.Header.Get(name); got != value {
					t.Errorf("header %s is %q, want %q", name, got, value)
				}
			}
		})
	}
}

// TestV2RequestsAreSignedAsPerlSignsThem is the same for gateway.do.
func TestV2RequestsAreSignedAsPerlSignsThem(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, tt := range v.V2Requests {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			public := maps.Clone(tt.Public)
			delete(public, "auth_token") // a parameter of its own
			req, body := sent(t, func(cfg *openapi.Config) {
				cfg.AppCertSN, cfg.RootCertSN, cfg.AESKeys, cfg.AppAuthToken = tt.Cert, tt.Root, []openapi.Secret{openapi.Secret(v.AES)}, openapi.Secret(tt.Token)
				cfg.Charset = openapi.Charset(tt.Charset)
			}, openapi.Request{Gateway: openapi.V2, Method: tt.Method, Params: []byte(cmp.Or(tt.Params, "{}")), Public: public, Encrypt: tt.Encrypt})

			form, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			query, got := req.URL.Query(), make(map[string]string)
			for name := range form {
				got[name] = form.Get(name)
			}
			if len(form) > 1 || query.Has("biz_content") {
				t.Errorf("the body has %d fields, and the query biz_content: %v", len(form), query.Has("biz_content"))
			}
			for name := range query {
				got[name] = query.Get(name)
			}
			sign := got["sign"]
			delete(got, "sign")
			want := maps.Clone(tt.Wire)
			maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
			if !maps.Equal(got, want) {
				t.Errorf("sent %v\nwant %v", got, want)
			}
			if req.Method != http.MethodPost || req.URL.Path != "/gateway.do" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded;charset="+tt.Charset {
				t.Errorf("%s %s, %s", req.Method, req.URL.Path, req.Header.Get("Content-Type"))
			}
			verifies(t, &appKey(t).PublicKey, tt.String, sign)
			verifies(t, publicKey(t, v.AppKey), tt.String, tt.Sign)
		})
	}
}

// answersTo is a client that knows the vectors' key of Alipay.
func answersTo(tb testing.TB, v vectors, charset openapi.Charset, f roundTripper) *openapi.Client {
	tb.Helper()
	return client(tb, func(cfg *openapi.Config) {
		cfg.AlipayKeys = []openapi.AlipayKey{{ID: "k", CertSN: "aabbccdd", Key: publicKey(tb, v.AlipayKey)}}
		cfg.AESKeys = []openapi.Secret{"AAAAAAAAAAAAAAAAAAAAAA==", openapi.Secret(v.AES)}
		cfg.Charset = charset
		via(f)(cfg)
	})
}

// want checks an answer against what a vector says of it.
func want(t *testing.T, want, data string, resp openapi.Response, err error) {
	t.Helper()
	switch want {
	case "accepted", "rotated":
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(resp.Data), []byte(data)) || resp.KeyID != "k" {
			t.Errorf("data %s by key %s\nwant %s", resp.Data, resp.KeyID, data)
		}
		if (resp.RotatedSN == "ffffffff") != (want == "rotated") {
			t.Errorf("rotated to %q", resp.RotatedSN)
		}
	case "untrusted":
		e := fails(t, err, openapi.Untrusted)
		if e.Attempts != 1 || resp.Data != nil || e.Code != "" || e.Message != "" || e.Authenticated {
			t.Errorf("%+v, %s", e, resp.Data)
		}
	case "refused", "refused unsigned":
		e := fails(t, err, openapi.Refused)
		if e.Authenticated != (want == "refused") || resp.Data != nil {
			t.Errorf("%+v, %s", e, resp.Data)
		}
	default:
		t.Fatalf("unknown class %q", want)
	}
}

// TestV3Answers: what openssl signed is taken, and everything else is refused.
// gopay verifies in certificate mode alone, ignores alipay-sn and what its base64
// decoder says. No vector is in certificate mode, and each fault has one.
func TestV3Answers(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, tt := range v.V3Answers {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			c := answersTo(t, v, openapi.UTF8, func(*http.Request) (*http.Response, error) {
				requests++
				h := http.Header{}
				for name, value := range map[string]string{"alipay-timestamp": tt.Timestamp, "alipay-nonce": tt.Nonce, "alipay-sn": tt.SN, "alipay-signature": tt.Sign} {
					h.Set(name, value)
				}
				return canned(tt.Status, h, tt.Body), nil
			})
			resp, err := c.Call(t.Context(), openapi.Request{Method: "alipay.marketing.card.query", Params: card()})
			want(t, tt.Want, tt.Data, resp, err)
			if requests != 1 {
				t.Errorf("%d requests: no answer is a reason to fetch a key, or to ask again", requests)
			}
		})
	}
}

// TestV2Answers is the same for gateway.do.
func TestV2Answers(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, tt := range v.V2Answers {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			c := answersTo(t, v, openapi.Charset(tt.Charset), func(*http.Request) (*http.Response, error) {
				return canned(http.StatusOK, nil, tt.Body), nil
			})
			resp, err := c.Call(t.Context(), openapi.Request{Gateway: openapi.V2, Method: "alipay.marketing.card.query", Params: card()})
			want(t, tt.Want, tt.Data, resp, err)
		})
	}
}

// card is a query that nothing is wrong with.
func card() openapi.CardQuery {
	return openapi.CardQuery{TargetCardNo: "0000001", TargetCardNoType: openapi.BizCard}
}

// The number of a certificate picks its key, and gopay ignores it: an answer that
// names one certificate of ours and is signed by another's key is refused.
func TestCertificateNumberPicksTheKey(t *testing.T) {
	t.Parallel()
	other := strangerKey(t)
	for sn, key := range map[string]*rsa.PrivateKey{"aa": alipayKey(t), "bb": other} {
		for said, kind := range map[string]openapi.Kind{"aa": openapi.Untrusted, "bb": openapi.Untrusted, sn: "", "": ""} {
			c := client(t, func(cfg *openapi.Config) {
				cfg.AlipayKeys = []openapi.AlipayKey{{ID: "1", CertSN: "aa", Key: &alipayKey(t).PublicKey}, {ID: "2", CertSN: "bb", Key: &other.PublicKey}}
				via(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/gateway.do" {
						node := `{"code":"10000"}`
						return canned(200, nil, []byte(`{"alipay_marketing_card_query_response":`+node+`,"sign":"`+sign(t, key, node)+`","alipay_cert_sn":"`+said+`"}`)), nil
					}
					return canned(200, http.Header{"Alipay-Sn": {said}, "Alipay-Timestamp": {"1709946123456"}, "Alipay-Signature": {sign(t, key, "1709946123456\n\n{}\n")}}, []byte("{}")), nil
				})(cfg)
			})
			for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
				r, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card(), Gateway: gateway})
				if kind != "" {
					fails(t, err, kind)
				} else if err != nil || r.KeyID != map[string]string{"aa": "1", "bb": "2"}[sn] || r.RotatedSN != "" {
					t.Errorf("key of %s, said %q: %+v, %v", sn, said, r, err)
				}
			}
		}
	}
}

// A wrong AES key passes the padding once in 256 times: what counts is that the
// plaintext is an object. Nothing unsigned is decrypted at all.
func TestDecryption(t *testing.T) {
	t.Parallel()
	const wrong = openapi.Secret("AAAAAAAAAAAAAAAAAAAAAA==")
	body := ""
	for i := 0; body == ""; i++ { // a ciphertext whose last byte becomes 1 under the wrong key
		text, err := openapi.Encrypt(aesKey, fmt.Sprintf(`{"schema_url":"%d"}`, i))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(make([]byte, 16))
		if err != nil {
			t.Fatal(err)
		}
		plain := make([]byte, len(raw))
		cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(plain, raw)
		if plain[len(plain)-1] == 1 {
			body = text
		}
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { answerV3(t, w, http.StatusOK, body) }
	for _, tt := range []struct {
		keys []openapi.Secret
		say  string
	}{{[]openapi.Secret{wrong, aesKey}, ""}, {[]openapi.Secret{wrong}, "接口内容加密"}, {nil, "none is configured"}} {
		c := against(t, answer, func(cfg *openapi.Config) { cfg.AESKeys = tt.keys })
		_, err := c.CardQuery(t.Context(), card())
		if tt.say == "" && err != nil || tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)) {
			t.Errorf("with %d keys: %v", len(tt.keys), err)
		}
	}
	node, err := openapi.Encrypt(aesKey, `{"code":"40004","msg":"forged"}`)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, func(cfg *openapi.Config) {
		cfg.AESKeys = []openapi.Secret{aesKey}
		via(func(*http.Request) (*http.Response, error) {
			return canned(200, nil, []byte(`{"alipay_marketing_card_query_response":"`+node+`"}`)), nil
		})(cfg)
	})
	_, err = c.CardQuery(t.Context(), card(), openapi.Over(openapi.V2))
	if e := fails(t, err, openapi.Untrusted); e.Code != "" || !strings.Contains(err.Error(), "not signed") {
		t.Error(err)
	}
}
