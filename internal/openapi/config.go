package openapi

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Defaults of Config. The rate is low enough for every quota that Alipay names,
// and a client of many apps has one bucket for each.
const (
	DefaultBaseURL  = "https://openapi.alipay.com"
	DefaultTimeout  = 15 * time.Second // of one attempt
	DefaultMaxBody  = 4 << 20          // bytes of one answer
	DefaultAttempts = 3
	DefaultRate     = 20 // requests a second
	minKeyBits      = 2048
	maxKeys         = 4 // as for notifications: each costs an RSA operation on a wrong answer
)

// Config is what a client is made of. The zero value of every field but the
// first three is usable. Secrets are kept as Secret, so printing a Config shows
// none; PrivateKey is an interface, and fmt prints what is behind it as an
// address when it is a pointer, as *rsa.PrivateKey is.
type Config struct {
	// Who asks, and who may answer.
	AppID      string        // digits
	PrivateKey crypto.Signer // the app's own RSA key, 2048 bits at least
	AlipayKeys []AlipayKey   // one to four, several while Alipay rotates

	// Certificate mode: both, or neither in key mode.
	AppCertSN  string // sent as app_cert_sn
	RootCertSN string // sent as alipay-root-cert-sn

	AppAuthToken Secret   // ISVs: for whom the app acts; a Request may name another
	AESKeys      []Secret // content encryption (接口内容加密), base64 of 16 bytes: the first encrypts, each may decrypt
	Encrypt      bool     // encrypt every request body; a Request may ask for itself

	// Where and how.
	BaseURL  string                       // scheme and host; empty: DefaultBaseURL
	Charset  Charset                      // of gateway.do; v3 is always UTF-8
	FromGBK  func([]byte) ([]byte, error) // decodes GBK, an error for what is not; needed for answers in it, by several calls at once
	HTTP     *http.Client                 // its transport is used, its redirects and cookies are not; nil: one of our own
	Timeout  time.Duration                // of one attempt; 0: DefaultTimeout
	MaxBody  int64                        // bytes; 0: DefaultMaxBody
	Attempts int                          // per call, retries included; 0: DefaultAttempts, 1: no retries
	Rate     float64                      // requests a second, retries included; 0: DefaultRate
	Burst    int                          // requests at once after a pause; 0: the rate, at least 1

	// The clock. They belong together: after Sleep, Now is later.
	Now   func() time.Time                                 // nil: time.Now
	Sleep func(ctx context.Context, d time.Duration) error // returns early with ctx's error; nil: a timer

	Hooks Hooks
}

// AlipayKey is one of Alipay's public keys.
type AlipayKey struct {
	ID     string         // reported with what it verified
	CertSN string         // certificate mode: alipay_cert_sn of the certificate that it came in
	Key    *rsa.PublicKey // 2048 bits at least
}

// Charset is the charset of requests to and answers of gateway.do.
type Charset string

// The charsets of gateway.do. A request in GBK is written in ASCII, with what is
// not ASCII escaped, which is valid JSON in either.
const (
	UTF8 Charset = "UTF-8"
	GBK  Charset = "GBK"
)

var (
	digits   = regexp.MustCompile(`^[0-9]{1,32}$`)
	certSN   = regexp.MustCompile(`^[0-9A-Za-z_]{1,512}$`)
	tokenish = regexp.MustCompile(`^[!-~]{1,128}$`) // goes into a header and into a line of the signed string
)

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimSuffix(cmp.Or(c.BaseURL, DefaultBaseURL), "/")
	c.Charset = cmp.Or(c.Charset, UTF8)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxBody = cmp.Or(c.MaxBody, DefaultMaxBody)
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.Burst = cmp.Or(c.Burst, max(1, int(c.Rate)))
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return c
}

// validate reports every problem at once.
func (c Config) validate() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !digits.MatchString(c.AppID) {
		wrong("app id: want up to 32 digits")
	}
	own, err := ownKey(c.PrivateKey)
	if err != nil {
		problems = append(problems, err)
	}
	if n := len(c.AlipayKeys); n < 1 || n > maxKeys {
		wrong("%d keys of Alipay: want 1 to %d; without one no answer can be proved", n, maxKeys)
	}
	for i, k := range c.AlipayKeys {
		switch {
		case k.Key == nil || k.Key.N == nil || k.Key.N.BitLen() < minKeyBits:
			wrong("key %d of Alipay: want RSA with at least %d bits", i+1, minKeyBits)
		case own != nil && own.Equal(k.Key):
			wrong("key %d of Alipay is the app's own public key: take 支付宝公钥 from the console, not 应用公钥", i+1)
		case k.CertSN != "" && !certSN.MatchString(k.CertSN):
			wrong("key %d of Alipay: the certificate's serial number is not one", i+1)
		}
	}
	if (c.AppCertSN == "") != (c.RootCertSN == "") {
		wrong("certificate mode needs both the app certificate and Alipay's root certificate")
	}
	for _, sn := range []string{c.AppCertSN, c.RootCertSN} {
		if sn != "" && !certSN.MatchString(sn) {
			wrong("a certificate's serial number is hexadecimal, parts joined by _")
		}
	}
	if c.AppAuthToken != "" && !tokenish.MatchString(string(c.AppAuthToken)) {
		wrong("app_auth_token: want one line of printable ASCII")
	}
	if c.Encrypt && len(c.AESKeys) == 0 {
		wrong("content encryption needs an AES key")
	}
	if !isOrigin(c.BaseURL) {
		wrong("base URL: want https://host, without path and query: the path is signed, and a proxy must not change it")
	}
	if c.Charset != UTF8 && c.Charset != GBK {
		wrong("charset: want %s or %s", UTF8, GBK)
	}
	if c.Timeout < 0 || c.MaxBody < 1 || c.Attempts < 1 || c.Attempts > 10 || c.Rate <= 0 || c.Burst < 1 {
		wrong("timeout, body limit, rate and burst must be positive, attempts 1 to 10")
	}
	return errors.Join(problems...)
}

// isOrigin tells whether text is a scheme and a host, and nothing more.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.String() == u.Scheme+"://"+u.Host
}

// ownKey is the public half of the app's key.
func ownKey(signer crypto.Signer) (*rsa.PublicKey, error) {
	if key, ok := signer.(*rsa.PrivateKey); signer == nil || ok && key == nil {
		return nil, errors.New("private key: the app's own is needed to sign requests")
	}
	key, ok := signer.Public().(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("private key: want RSA with at least %d bits", minKeyBits)
	}
	return key, nil
}
