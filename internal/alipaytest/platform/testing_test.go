package platform_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const appID = alipaytest.DefaultAppID

// object is what JSON objects are read into.
type object = map[string]any

// keys are Alipay's and the app's, made once.
type keyPair struct {
	alipay *alipaytest.Key
	app    *rsa.PrivateKey
}

var sharedKeys = sync.OnceValues(func() (k keyPair, err error) {
	if k.alipay, err = alipaytest.GenerateKey(2048); err != nil {
		return k, err
	}
	k.app, err = rsa.GenerateKey(rand.Reader, 2048)
	return k, err
})

func keys(t *testing.T) keyPair {
	t.Helper()
	k, err := sharedKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// appPEM is the app's private key as a file for openssl.
func appPEM(t *testing.T) string {
	t.Helper()
	return keyFile(t, keys(t).app)
}

// keyFile is a private key as a file for openssl.
func keyFile(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeTemp(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// openssl runs the command line tool, whose word on signatures does not depend
// on any code of ours.
func openssl(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		const text = "openssl is not on the PATH; it checks our signatures: install the package openssl"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v: %s%s", args, err, out, stderr.Bytes())
	}
	return out
}

func writeTemp(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opensslVerifies fails the test unless Alipay has signed the text.
func opensslVerifies(t *testing.T, text []byte, sign string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(sign)
	if err != nil {
		t.Fatalf("the signature %q: %v", sign, err)
	}
	openssl(t, text, "dgst", "-sha256", "-verify", writeTemp(t, "alipay.pem", keys(t).alipay.PublicPEM()),
		"-signature", writeTemp(t, "sign", raw))
}

// signWithOpenssl is a caller's way to sign.
func signWithOpenssl(t *testing.T) func(text string) string {
	key := appPEM(t)
	return func(text string) string {
		return base64.StdEncoding.EncodeToString(openssl(t, []byte(text), "dgst", "-sha256", "-sign", key))
	}
}

func signWithGo(t *testing.T) func(text string) string {
	key := keys(t).app
	return func(text string) string {
		digest := sha256.Sum256([]byte(text))
		sign, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Error(err)
		}
		return base64.StdEncoding.EncodeToString(sign)
	}
}

// newPlatform is one with the shared keys; change may alter how it is made.
func newPlatform(t *testing.T, change func(*platform.Config)) *platform.Platform {
	t.Helper()
	k := keys(t)
	c := platform.Config{Key: k.alipay, Seed: 7, Apps: []platform.App{{ID: appID, Public: &k.app.PublicKey}}}
	if change != nil {
		change(&c)
	}
	p, err := platform.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// caller is a client that does by hand what PROTOCOL.md 4 says.
type caller struct {
	t    *testing.T
	p    *platform.Platform
	sign func(text string) string

	app   string
	auth  string            // more of the authorization, such as ",app_cert_sn=x"
	extra map[string]string // headers of v3, or fields of gateway.do
	nonce int
}

func newCaller(t *testing.T, p *platform.Platform) *caller {
	t.Helper()
	return &caller{t: t, p: p, sign: signWithGo(t), app: appID}
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	body object // v3: the body; gateway.do: the node
}

func (a answer) code() string {
	code, _ := a.body["code"].(string)
	if sub, ok := a.body["sub_code"].(string); ok {
		return sub
	}
	return code
}

func (a answer) text(t *testing.T, names ...string) string {
	t.Helper()
	var v any = a.body
	for _, name := range names {
		v = v.(object)[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("%v is %v, want a text: %s", names, v, a.Body)
	}
	return s
}

func serve(p *platform.Platform, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	return w
}

// v3Request makes and signs a request.
func (c *caller) v3Request(verb, uri, body string) *http.Request {
	c.nonce++
	auth := fmt.Sprintf("app_id=%s,nonce=n%d,timestamp=%d%s", c.app, c.nonce, time.Now().UnixMilli(), c.auth)
	r := httptest.NewRequest(verb, uri, strings.NewReader(body))
	text := auth + "\n" + verb + "\n" + uri + "\n" + body + "\n"
	for name, value := range c.extra {
		r.Header.Set(name, value)
		if name == "alipay-app-auth-token" {
			text += value + "\n"
		}
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "ALIPAY-SHA256withRSA "+auth+",sign="+c.sign(text))
	return r
}

// v3 calls. Its params become the body of POST, and the query of GET and DELETE.
func (c *caller) v3(verb, path string, params object) answer {
	c.t.Helper()
	body := ""
	if verb == http.MethodGet || verb == http.MethodDelete {
		query := url.Values{}
		for name, value := range params {
			query.Set(name, fmt.Sprint(value))
		}
		path += "?" + query.Encode()
	} else {
		body = marshal(params)
	}
	a := answer{ResponseRecorder: serve(c.p, c.v3Request(verb, path, body))}
	if a.Body.Len() > 0 {
		c.parse(a.Body.Bytes(), &a.body)
	}
	return a
}

func (c *caller) parse(data []byte, to any) {
	c.t.Helper()
	if err := json.Unmarshal(data, to); err != nil {
		c.t.Fatalf("%v: %s", err, data)
	}
}

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// v2Request makes and signs a request: public parameters in the URL, and
// biz_content in the body.
func (c *caller) v2Request(method, content string) *http.Request {
	form := map[string]string{
		"app_id": c.app, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0",
		"timestamp": time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateTime), "biz_content": content,
	}
	maps.Copy(form, c.extra)
	text := ""
	query := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if form[name] != "" {
			text += "&" + name + "=" + form[name]
			query.Set(name, form[name])
		}
	}
	query.Set("sign", c.sign(strings.TrimPrefix(text, "&")))
	body := url.Values{"biz_content": {query.Get("biz_content")}}
	query.Del("biz_content")
	r := httptest.NewRequest(http.MethodPost, "/gateway.do?"+query.Encode(), strings.NewReader(body.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	return r
}

// nodeOf takes an answer of gateway.do apart.
func (c *caller) nodeOf(w *httptest.ResponseRecorder) (name string, raw json.RawMessage, sign string) {
	c.t.Helper()
	var parts map[string]json.RawMessage
	c.parse(w.Body.Bytes(), &parts)
	if parts["sign"] != nil {
		c.parse(parts["sign"], &sign)
	}
	for name, raw := range parts {
		if strings.HasSuffix(name, "_response") {
			return name, raw, sign
		}
	}
	c.t.Fatalf("no node in %s", w.Body)
	return
}

func (c *caller) v2(method string, params object) answer {
	c.t.Helper()
	a := answer{ResponseRecorder: serve(c.p, c.v2Request(method, marshal(params)))}
	_, raw, _ := c.nodeOf(a.ResponseRecorder)
	c.parse(raw, &a.body)
	return a
}

// want fails the test unless the answer has this code; "" is a success.
func (a answer) want(t *testing.T, code string) answer {
	t.Helper()
	got := a.code()
	if got == "10000" {
		got = ""
	}
	if got != code {
		t.Fatalf("code %q, want %q: %d %s", got, code, a.Code, a.Body)
	}
	return a
}

// Paths of v3.
const (
	vouchers  = "/v3/alipay/marketing/activity/voucher/"
	orders    = "/v3/alipay/marketing/ordervoucher/activity"
	cards     = "/v3/alipay/marketing/card/"
	accounts  = "/v3/alipay/open/public/account/"
	userCards = "/v3/alipay/marketing/activity/ordervoucher/user/"
)

// newVoucher is what a create needs.
func newVoucher(number string) object {
	return object{
		"out_biz_no": number, "merchant_access_mode": "SELF_MODE", "activity_base_info": object{"activity_name": "五元券"},
		"voucher_send_mode_info": object{"voucher_send_rule_info": object{"quantity": 100, "quantity_limit_per_user": 2}},
		"voucher_deduct_info":    object{"voucher_type": "FIX_VOUCHER"}, "voucher_display_pattern_info": object{"brand_name": "店"},
		"voucher_available_scope_info": object{"voucher_available_account_info": object{"available_pids": []any{"2088000000000001"}}},
	}
}

// create makes an activity and gives its id.
func (c *caller) create(number string) string {
	c.t.Helper()
	return c.v3("POST", vouchers+"create", newVoucher(number)).want(c.t, "").text(c.t, "activity_id")
}

// change calls one of the operations that change an activity; more are further
// parameters, name and value by turns.
func (c *caller) change(op, id, number string, more ...any) answer {
	c.t.Helper()
	params := object{"activity_id": id, "out_biz_no": number, "merchant_access_mode": "SELF_MODE"}
	if op == "modify" {
		params["activity_base_info"] = object{"activity_id": id}
	}
	for i := 0; i < len(more); i += 2 {
		params[more[i].(string)] = more[i+1]
	}
	return c.v3("POST", vouchers+op, params)
}

func (c *caller) query(id string) answer {
	c.t.Helper()
	return c.v3("GET", vouchers+"query", object{"activity_id": id, "merchant_access_mode": "SELF_MODE"})
}

// pass lets time pass, and what was due in it happen. It is for one goroutine
// of a synctest bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// settle lets everything that is in flight or on its way come to its end.
func settle() { pass(30 * 24 * time.Hour) }

// journaled are the entries of one kind.
func journaled(p *platform.Platform, what string) []platform.Entry {
	return slices.DeleteFunc(p.Journal(), func(e platform.Entry) bool { return e.What != what })
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func itoa(n int) string { return strconv.Itoa(n) }
