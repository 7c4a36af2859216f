package openapi_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/openapi"
)

// opensslDir is a folder in which openssl finds the keys of these tests.
func opensslDir(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		const text = "openssl is needed: install the package openssl"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	dir := t.TempDir()
	public, err := x509.MarshalPKIXPublicKey(&appKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(alipayKey(t))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "app-public.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	put(t, filepath.Join(dir, "alipay.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return dir
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Error(err)
	}
}

// openssl runs it; false with an error of the test where it fails.
func openssl(t *testing.T, args ...string) bool {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return err == nil
}

// otherSide is openssl where Alipay is: it verifies what comes over a real
// connection, against strings that are spelled out from the raw request, and
// signs what goes back.
type otherSide struct {
	t       *testing.T
	dir     string
	handled int
}

func (o *otherSide) file(name string) string { return filepath.Join(o.dir, name) }

func (o *otherSide) verify(text, sign string) {
	sig, err := base64.StdEncoding.DecodeString(sign)
	if err != nil {
		o.t.Error(err)
	}
	put(o.t, o.file("text"), []byte(text))
	put(o.t, o.file("sig"), sig)
	openssl(o.t, "dgst", "-sha256", "-verify", o.file("app-public.pem"), "-signature", o.file("sig"), o.file("text"))
}

func (o *otherSide) sign(text string) string {
	put(o.t, o.file("answer"), []byte(text))
	openssl(o.t, "dgst", "-sha256", "-sign", o.file("alipay.pem"), "-out", o.file("answer.sig"), o.file("answer"))
	sig, err := os.ReadFile(o.file("answer.sig"))
	if err != nil {
		o.t.Error(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func (o *otherSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.handled++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Error(err)
	}
	if r.URL.Path == "/gateway.do" {
		o.gateway(w, r, string(body))
		return
	}
	auth, sign, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "ALIPAY-SHA256withRSA "), ",sign=")
	text := auth + "\n" + r.Method + "\n" + r.RequestURI + "\n" + string(body) + "\n"
	if token := r.Header.Get("alipay-app-auth-token"); token != "" {
		text += token + "\n"
	}
	o.verify(text, sign)
	answer := `{"schema_url":"alipays://a"}`
	w.Header().Set("alipay-timestamp", "1709946123456")
	w.Header().Set("alipay-nonce", "abc")
	w.Header().Set("alipay-signature", o.sign("1709946123456\nabc\n"+answer+"\n"))
	_, _ = io.WriteString(w, answer)
}

func (o *otherSide) gateway(w http.ResponseWriter, r *http.Request, body string) {
	form, err := url.ParseQuery(body)
	if err != nil {
		o.t.Error(err)
	}
	var pairs []string
	for _, values := range []url.Values{r.URL.Query(), form} {
		for name, v := range values {
			if name != "sign" {
				pairs = append(pairs, name+"="+v[0])
			}
		}
	}
	slices.Sort(pairs) // no name here is the beginning of another
	o.verify(strings.Join(pairs, "&"), r.URL.Query().Get("sign"))
	node := `{"code":"10000","schema_url":"alipays://a"}`
	_, _ = io.WriteString(w, `{"alipay_marketing_card_query_response":`+node+`,"sign":"`+o.sign(node)+`"}`)
}

// TestOpensslOnTheOtherSide makes calls that are hard to encode.
func TestOpensslOnTheOtherSide(t *testing.T) {
	t.Parallel()
	o := &otherSide{t: t, dir: opensslDir(t)}
	c := against(t, o.ServeHTTP)
	hard := openapi.CardQuery{TargetCardNo: "张三 +&=%", TargetCardNoType: openapi.DynamicBar}
	calls := []openapi.Request{
		{Method: query, Params: hard},
		{Method: query, Params: card(), AppAuthToken: token},
		{Method: query, Params: hard, Gateway: openapi.V2},
		{Method: query, Params: card(), Gateway: openapi.V2, AppAuthToken: token},
		{Method: "alipay.marketing.activity.query", Params: openapi.ActivityQuery{ActivityID: "a/b ?#%中+", MerchantAccessMode: openapi.SelfMode}},
		{Method: "alipay.marketing.card.delete", Params: openapi.CardDelete{
			OutSerialNo: "s", TargetCardNo: "~!@#$%^&*()_+-='", TargetCardNoType: openapi.BizCard, ReasonCode: openapi.Presented, ExtInfo: `{"new_card_no":"12 34"}`,
		}},
	}
	for _, r := range calls {
		if _, err := c.Call(t.Context(), r); err != nil {
			t.Errorf("%s over %s: %v", r.Method, r.Gateway, err)
		}
	}
	if o.handled != len(calls) {
		t.Errorf("%d of %d calls arrived", o.handled, len(calls))
	}
}

// The content encryption is openssl's, and that of Alipay's own SDK.
func TestEncryptionIsThatOfOpenssl(t *testing.T) {
	t.Parallel()
	dir := opensslDir(t)
	plain := `{"bind_account_no":"1","display_name":"张三","from_user_id":"2088656734541243"}`
	put(t, filepath.Join(dir, "plain"), []byte(plain))
	openssl(t, "enc", "-aes-128-cbc", "-K", "30313233343536373839616263646566", "-iv", strings.Repeat("0", 32), "-base64", "-A",
		"-in", filepath.Join(dir, "plain"), "-out", filepath.Join(dir, "cipher"))
	cipher, err := os.ReadFile(filepath.Join(dir, "cipher"))
	if err != nil {
		t.Fatal(err)
	}
	_, body := sent(t, func(cfg *openapi.Config) {
		cfg.AESKeys, cfg.Encrypt = []openapi.Secret{"MDEyMzQ1Njc4OWFiY2RlZg=="}, true
	}, openapi.Request{Method: "alipay.open.public.account.create", Params: []byte(plain)})
	if body != string(cipher) {
		t.Errorf("sent %s, openssl makes %s", body, cipher)
	}
}

// The vector of Alipay's own SDK.
func TestEncryptionIsThatOfTheSDK(t *testing.T) {
	t.Parallel()
	var v struct {
		Cases []struct {
			Key        openapi.Secret `json:"key_b64"`
			Plain      string         `json:"plaintext"`
			Ciphertext string         `json:"ciphertext_b64"`
		} `json:"cases"`
	}
	shared(t, "vectors/aes.json", &v)
	for _, tt := range v.Cases {
		if got, err := openapi.Encrypt(tt.Key, tt.Plain); err != nil || got != tt.Ciphertext {
			t.Errorf("got %s, %v, want %s", got, err, tt.Ciphertext)
		}
	}
	if len(v.Cases) == 0 {
		t.Error("no case")
	}
}
