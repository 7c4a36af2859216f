package wire

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/verify"
)

// ErrNoPrivateKey means that an app is configured to receive alone.
var ErrNoPrivateKey = errors.New("apps[].private_key is not configured: without the app's own key nothing can be asked")

// OpenAPI makes the client that asks Alipay for one app; tune may change its
// configuration. What is wrong with the app or its files is a usage error.
func OpenAPI(cfg config.Config, appID string, tune func(*openapi.Config)) (*openapi.Client, error) {
	i := slices.IndexFunc(cfg.Apps, func(a config.App) bool { return a.AppID == appID })
	if i < 0 {
		return nil, cli.Usagef("receiver config    # shows the apps", "app %s is not configured", cli.Clean(appID))
	}
	o, err := openAPIConfig(cfg, cfg.Apps[i])
	if err == nil {
		if tune != nil {
			tune(&o)
		}
		var client *openapi.Client
		if client, err = openapi.New(o); err == nil {
			return client, nil
		}
	}
	return nil, cli.Usagef("receiver check", "apps[%d] (%s) cannot ask Alipay:\n  %w", i, appID, indented{err})
}

// indented is an error of several lines below another one.
type indented struct{ error }

func (e indented) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "\n  ") }
func (e indented) Unwrap() error { return e.error }

// openAPIConfig loads what an app signs with and proves answers by.
func openAPIConfig(cfg config.Config, a config.App) (openapi.Config, error) {
	o := openapi.Config{
		AppID: a.AppID, BaseURL: cfg.OpenAPI.BaseURL,
		FromGBK: simplifiedchinese.GB18030.NewDecoder().Bytes, // errors of the gateway can be in it, whatever was asked for
	}
	if a.PrivateKey == "" {
		return o, ErrNoPrivateKey
	}
	// The receiver's own loading: it knows development keys and mixed-up files.
	l := appLoader{config: a, dev: cfg.Dev}
	if _, err := l.load(); err != nil {
		return o, err
	}
	for _, c := range l.certs { // a renewed certificate has the old one's key, and a number of its own
		o.AlipayKeys = append(o.AlipayKeys, openapi.AlipayKey{ID: c.ID, CertSN: c.SN, Key: c.Key})
	}
	for _, k := range l.keys {
		if !slices.ContainsFunc(o.AlipayKeys, func(a openapi.AlipayKey) bool { return a.ID == k.ID }) {
			o.AlipayKeys = append(o.AlipayKeys, openapi.AlipayKey{ID: k.ID, Key: k.Key})
		}
	}
	var problems []error
	load := func(name, file string, use func([]byte) error) {
		if file == "" {
			return
		}
		if _, err := readKey(file, func(data []byte) (struct{}, error) { return struct{}{}, use(data) }); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", name, file, err))
		}
	}
	load("private_key", a.PrivateKey, func(data []byte) error {
		key, err := verify.ParsePrivateKey(data)
		o.PrivateKey = key.Signer()
		return err
	})
	load("app_cert", a.AppCert, func(data []byte) error {
		cert, err := verify.ParseCertificate(data)
		o.AppCertSN = cert.SN
		return err
	})
	load("alipay_root_cert", a.AlipayRootCert, func(data []byte) (err error) {
		o.RootCertSN, err = rootSN(data)
		return err
	})
	load("app_auth_token", a.AppAuthToken, func(data []byte) error {
		o.AppAuthToken = openapi.Secret(strings.TrimSpace(string(data)))
		return nil
	})
	for _, file := range a.AESKeys {
		load("aes_keys", file, func(data []byte) error {
			o.AESKeys = append(o.AESKeys, openapi.Secret(strings.Join(strings.Fields(strings.TrimPrefix(string(data), "\ufeff")), "")))
			return nil
		})
	}
	return o, errors.Join(problems...)
}

// rootSN is the number of alipayRootCert.crt: those of its certificates that are
// signed with RSA, joined by _ in the order of the file (PROTOCOL.md 3.3). Go
// cannot read the SM2 certificates among them, which do not count here.
func rootSN(data []byte) (string, error) {
	var numbers []string
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !strings.Contains(cert.SignatureAlgorithm.String(), "RSA") {
			continue
		}
		sn, err := verify.SerialNumber(cert)
		if err != nil {
			return "", err
		}
		numbers = append(numbers, sn)
	}
	if len(numbers) == 0 {
		return "", errors.New("no certificate signed with RSA: alipayRootCert.crt of the console belongs here")
	}
	return strings.Join(numbers, "_"), nil
}
