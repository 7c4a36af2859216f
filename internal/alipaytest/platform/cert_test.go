package platform_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest/platform"
)

// issuedBy makes a certificate with openssl, and gives it with its number as
// openssl's words make it: issuer in RFC 2253 order, serial number in decimal.
func issuedBy(t *testing.T, keyFile, subject string) (pem []byte, sn string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.crt")
	openssl(t, nil, "req", "-x509", "-new", "-utf8", "-key", keyFile, "-sha256", "-days", "30", "-subj", subject, "-out", path)
	said := func(args ...string) string {
		out := openssl(t, nil, append([]string{"x509", "-in", path, "-noout"}, args...)...)
		_, value, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
		return value
	}
	serial, ok := new(big.Int).SetString(said("-serial"), 16)
	if !ok {
		t.Fatal("no serial number")
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return pem, fmt.Sprintf("%x", md5.Sum([]byte(said("-issuer", "-nameopt", "RFC2253")+serial.String())))
}

// TestCertificateMode: the numbers that openssl's words give are the ones that
// the platform wants and says, over both protocols; every other is refused.
func TestCertificateMode(t *testing.T) {
	t.Parallel()
	appCert, appSN := issuedBy(t, appPEM(t), "/C=CN/O=Test, Inc/OU=Shop/CN=2088")
	alipayCert, alipaySN := issuedBy(t, appPEM(t), "/C=CN/O=Ant/CN=Answers")
	rootA, snA := issuedBy(t, appPEM(t), "/C=CN/CN=Root A")
	rootB, snB := issuedBy(t, appPEM(t), "/C=CN/CN=Root B")
	// A block that is no certificate Go reads, as the SM2 root is, does not count.
	roots := bytes.Join([][]byte{rootA, []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), rootB}, nil)
	p := newPlatform(t, func(c *platform.Config) {
		c.AlipayCert, c.RootCert = alipayCert, roots
		c.Apps = []platform.App{{ID: appID, Cert: appCert}}
	})
	for _, tt := range []struct{ name, app, root, code string }{
		{"both right", appSN, snA + "_" + snB, ""},
		{"no app certificate", "", snA + "_" + snB, "missing-app-cert-sn"},
		{"another app certificate", snA, snA + "_" + snB, "app-cert-not-exist"},
		{"no root", appSN, "", "missing-alipay-root-cert-sn"},
		{"half of the roots", appSN, snA, "invalid-alipay-root-cert-sn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, p)
			if tt.app != "" {
				c.auth = ",app_cert_sn=" + tt.app
			}
			c.extra = map[string]string{"alipay-root-cert-sn": tt.root}
			a := c.v3("GET", accounts+"query", object{"user_id": "2088000000000001"}).want(t, tt.code)
			if got := a.Header().Get("alipay-sn"); tt.code == "" && got != alipaySN {
				t.Errorf("alipay-sn %q, want %q", got, alipaySN)
			}

			c.extra = map[string]string{"app_cert_sn": tt.app, "alipay_root_cert_sn": tt.root}
			sub := tt.code
			if sub != "" {
				sub = "isv." + sub
			}
			a = c.v2("alipay.open.public.account.query", object{"user_id": "2088000000000001"}).want(t, sub)
			if says := strings.Contains(a.Body.String(), `"alipay_cert_sn":"`+alipaySN+`"`); says != (tt.code == "") {
				t.Errorf("alipay_cert_sn in %s", a.Body)
			}
		})
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	cert, _ := issuedBy(t, appPEM(t), "/CN=x")
	good := platform.App{ID: appID, Public: &k.app.PublicKey}
	for name, c := range map[string]platform.Config{
		"no key":                    {Apps: []platform.App{good}},
		"no app":                    {Key: k.alipay},
		"an app twice":              {Key: k.alipay, Apps: []platform.App{good, good}},
		"an id with letters":        {Key: k.alipay, Apps: []platform.App{{ID: "x", Public: &k.app.PublicKey}}},
		"an app without a key":      {Key: k.alipay, Apps: []platform.App{{ID: appID}}},
		"a short AES key":           {Key: k.alipay, Apps: []platform.App{{ID: appID, Public: &k.app.PublicKey, AESKey: []byte("x")}}},
		"encrypt without a key":     {Key: k.alipay, Apps: []platform.App{{ID: appID, Public: &k.app.PublicKey, Encrypt: true}}},
		"no Alipay certificate":     {Key: k.alipay, Apps: []platform.App{{ID: appID, Cert: cert}}},
		"no root certificate":       {Key: k.alipay, AlipayCert: cert, Apps: []platform.App{{ID: appID, Cert: cert}}},
		"a certificate that is not": {Key: k.alipay, AlipayCert: cert, RootCert: cert, Apps: []platform.App{{ID: appID, Cert: []byte("x")}}},
		"probability 2":             {Key: k.alipay, Apps: []platform.App{good}, Mischief: platform.Mischief{Drop: 2}},
		"a negative delay":          {Key: k.alipay, Apps: []platform.App{good}, Mischief: platform.Mischief{Delay: -1}},
		"an unknown fault":          {Key: k.alipay, Apps: []platform.App{good}, Faults: []platform.Fault{{Kind: "x", Probability: 1}}},
	} {
		if p, err := platform.New(c); err == nil {
			p.Close()
			t.Errorf("%s: taken", name)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	r := c.v3Request("GET", vouchers+"query", "")
	r.URL.Path, r.RequestURI = "/", "/"
	if w := serve(c.p, r); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}
