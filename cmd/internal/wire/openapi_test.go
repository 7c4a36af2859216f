package wire_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
)

// folder is where the files of one app are.
type folder struct {
	dir string
	app config.App
}

func newFolder(t *testing.T, a *alipaytest.App) *folder {
	t.Helper()
	f := &folder{dir: t.TempDir(), app: config.App{AppID: a.ID, SignTypes: []string{"RSA2"}}}
	private, err := a.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	f.app.PrivateKey = f.file(t, "app.pem", private)
	f.app.AlipayPublicKeys = []string{f.file(t, "alipay.pem", a.PublicPEM)}
	return f
}

func (f *folder) file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ask makes the client of the folder's app, and asks the platform with it.
func (f *folder) ask(t *testing.T, p *platform.Platform, tune func(*openapi.Config)) error {
	t.Helper()
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	c, err := wire.OpenAPI(config.Config{Apps: []config.App{f.app}, OpenAPI: config.OpenAPI{BaseURL: server.URL}}, f.app.AppID, tune)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
		r, err := c.CardQuery(t.Context(), openapi.CardQuery{TargetCardNo: "1", TargetCardNoType: openapi.BizCard}, openapi.Over(gateway))
		if e := openapi.As(err); e == nil || e.Reason() != "CARD_NOT_EXIT" {
			return fmt.Errorf("%s: %v, %w", gateway, r, err)
		}
		if _, err := c.TemplateQuery(t.Context(), openapi.TemplateQuery{TemplateID: platform.DefaultTemplateID}, openapi.Over(gateway)); err != nil {
			return fmt.Errorf("%s: %w", gateway, err)
		}
	}
	return nil
}

func newPlatform(t *testing.T, c platform.Config) *platform.Platform {
	t.Helper()
	p, err := platform.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Key mode with everything else that an app can have: the merchant's token, and
// content encryption. The files may be as they come from the console.
func TestOpenAPIKeyMode(t *testing.T) {
	t.Parallel()
	a := alipaytest.NewApp(t, "")
	f := newFolder(t, a)
	f.app.AppAuthToken = f.file(t, "token", []byte("201510BBaabdb44d8fd04607abf8d5931ec75D84\n"))
	f.app.AESKeys = []string{f.file(t, "aes", []byte("\ufeff"+base64.StdEncoding.EncodeToString(a.AESKey)+"\r\n"))}
	p := newPlatform(t, platform.Config{Key: a.Key, Apps: []platform.App{{
		ID: a.ID, Public: a.OwnKey.Public(), AuthToken: "201510BBaabdb44d8fd04607abf8d5931ec75D84", AESKey: a.AESKey,
	}}})
	if err := f.ask(t, p, nil); err != nil {
		t.Error(err)
	}
	if err := f.ask(t, p, func(c *openapi.Config) { c.Encrypt = true }); err != nil {
		t.Errorf("encrypted: %v", err)
	}
}

// certificate makes one, signed by itself or by parent.
func certificate(t *testing.T, name string, serial int64, key, signer *rsa.PrivateKey, parent *x509.Certificate) ([]byte, *x509.Certificate) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"CN"}, Organization: []string{"Test"}, CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert
}

func privateOf(t *testing.T, k *alipaytest.Key) *rsa.PrivateKey {
	t.Helper()
	text, err := k.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// Certificate mode: the numbers of the app's certificate and of the root file are
// those that the platform wants, and a block that Go cannot read, as the SM2 root
// is, does not count.
func TestOpenAPICertificateMode(t *testing.T) {
	t.Parallel()
	a := alipaytest.NewApp(t, "")
	own, alipay := privateOf(t, a.OwnKey), privateOf(t, a.Key)
	rootPEM, root := certificate(t, "Root A", 1, own, nil, nil)
	other, _ := certificate(t, "Root B", 2, alipay, nil, nil)
	roots := bytes.Join([][]byte{rootPEM, []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), other}, nil)
	appCert, _ := certificate(t, "app", 3, own, own, root)
	oldCert, _ := certificate(t, "alipay", 4, alipay, own, root)
	newCert, _ := certificate(t, "alipay", 5, alipay, own, root)

	f := newFolder(t, a)
	f.app.AlipayPublicKeys = nil
	f.app.AppCert, f.app.AlipayRootCert = f.file(t, "app.crt", appCert), f.file(t, "root.crt", roots)
	f.app.AlipayCerts = []string{f.file(t, "old.crt", oldCert), f.file(t, "new.crt", newCert)} // renewed, with the same key
	for name, answers := range map[string][]byte{"old": oldCert, "new": newCert} {
		p := newPlatform(t, platform.Config{Key: a.Key, AlipayCert: answers, RootCert: roots, Apps: []platform.App{{ID: a.ID, Cert: appCert}}})
		rotated := ""
		err := f.ask(t, p, func(c *openapi.Config) {
			c.Hooks.Finish = func(_ context.Context, _ openapi.Attempt, o openapi.Outcome) { rotated += o.RotatedSN }
		})
		if err != nil || rotated != "" {
			t.Errorf("answers with the %s certificate: %v, rotated %q", name, err, rotated)
		}
	}
}

// What is wrong is a usage error that names the app and the file, and no key.
func TestOpenAPIProblems(t *testing.T) {
	t.Parallel()
	a := alipaytest.NewApp(t, "")
	good := newFolder(t, a)
	private, err := os.ReadFile(good.app.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*config.App)
		words  string
	}{
		"no private key":    {func(app *config.App) { app.PrivateKey = "" }, "private_key is not configured"},
		"no such file":      {func(app *config.App) { app.PrivateKey = "/nowhere" }, "/nowhere: no such file"},
		"not a key":         {func(app *config.App) { app.PrivateKey = app.AlipayPublicKeys[0] }, "alipay.pem"},
		"the app's own key": {func(app *config.App) { app.AlipayPublicKeys = []string{good.file(t, "own.pem", a.OwnKey.PublicPEM())} }, "the app's own public key"},
		"a root that is none": {func(app *config.App) {
			app.AppCert, app.AlipayRootCert = good.file(t, "x", []byte("y")), good.file(t, "z", []byte("y"))
		}, "alipay_root_cert: "},
		"half of certificate mode": {func(app *config.App) {
			cert, _ := certificate(t, "r", 1, privateOf(t, a.OwnKey), nil, nil)
			app.AlipayRootCert = good.file(t, "root.crt", cert)
		}, "needs both the app certificate and"},
		"a development key": {func(app *config.App) {
			app.AlipayPublicKeys = []string{good.file(t, "dev.pem", a.Key.DevelopmentPublicPEM())}
		}, "development key"},
	} {
		app := good.app
		tt.change(&app)
		_, err := wire.OpenAPI(config.Config{Apps: []config.App{app}}, app.AppID, nil)
		if err == nil || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), "apps[0] ("+a.ID+")") || strings.Contains(err.Error(), string(private[100:140])) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no private key" && !errors.Is(err, wire.ErrNoPrivateKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := wire.OpenAPI(config.Config{}, "42", nil); err == nil || !strings.Contains(err.Error(), "app 42 is not configured") {
		t.Error(err)
	}
}
