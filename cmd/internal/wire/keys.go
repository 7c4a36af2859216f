package wire

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"alipay-notify/internal/config"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// Keys is everything that was loaded for the apps.
type Keys struct {
	Apps   []ingest.App
	Certs  []Cert
	Loaded []AppKeys // also of apps with problems: what could be loaded
}

// AppKeys is what the files of one app hold, for tools that explain.
type AppKeys struct {
	AppID     string
	Public    []verify.PublicKey // Alipay's, or taken for it
	SignTypes []verify.SignType
	AESKeys   []verify.AESKey
	Own       []verify.PublicKey // the public half of private_key; none without
}

// Cert is a certificate in use, for whoever watches its dates.
type Cert struct {
	AppID string
	File  string
	verify.Certificate
}

// LoadKeys loads the keys of all apps and reports every problem at once.
func LoadKeys(cfg config.Config) (Keys, error) {
	var all Keys
	var problems []error
	for i, a := range cfg.Apps {
		l := appLoader{config: a, dev: cfg.Dev}
		app, err := l.load()
		if err != nil {
			problems = append(problems, fmt.Errorf("apps[%d] (%s): %w", i, a.AppID, err))
		}
		all.Apps = append(all.Apps, app)
		all.Certs = append(all.Certs, l.certs...)
		all.Loaded = append(all.Loaded, AppKeys{
			AppID: a.AppID, Public: l.keys, SignTypes: l.signTypes(), AESKeys: app.AESKeys, Own: l.own,
		})
	}
	return all, errors.Join(problems...)
}

// appLoader loads the files of one app.
type appLoader struct {
	config   config.App
	dev      bool
	keys     []verify.PublicKey
	files    []string // where each key is from
	certs    []Cert
	own      []verify.PublicKey
	problems []error
}

func (l *appLoader) signTypes() []verify.SignType {
	var types []verify.SignType
	for _, t := range l.config.SignTypes {
		types = append(types, verify.SignType(t))
	}
	return types
}

func (l *appLoader) problem(file string, err error) {
	l.problems = append(l.problems, fmt.Errorf("%s: %w", file, err))
}

var errDevelopment = errors.New("this is a development key: anybody who has its private half can forge events; set dev: true, or use the key of the console")

var errOwnKey = errors.New("this is the app's own public key, the other half of private_key: copy Alipay's (支付宝公钥) from the console")

func (l *appLoader) add(file string, key verify.PublicKey) {
	switch {
	case key.Development && !l.dev:
		l.problem(file, errDevelopment)
	// A renewed certificate has the key of the old one (PROTOCOL.md 3.3): the
	// same key in two files is no mistake.
	case !slices.ContainsFunc(l.keys, func(k verify.PublicKey) bool { return k.ID == key.ID }):
		l.keys, l.files = append(l.keys, key), append(l.files, file)
	}
}

func (l *appLoader) load() (ingest.App, error) {
	app := ingest.App{ID: l.config.AppID}
	for _, file := range l.config.AlipayPublicKeys {
		if key, err := readKey(file, verify.ParsePublicKey); err != nil {
			l.problem(file, err)
		} else {
			l.add(file, key)
		}
	}
	for _, file := range l.config.AlipayCerts {
		if cert, err := readKey(file, verify.ParseCertificate); err != nil {
			l.problem(file, err)
		} else {
			l.add(file, cert.PublicKey)
			l.certs = append(l.certs, Cert{AppID: app.ID, File: file, Certificate: cert})
		}
	}
	for _, file := range l.config.AESKeys {
		if key, err := readKey(file, verify.ParseAESKey); err != nil {
			l.problem(file, err)
		} else {
			app.AESKeys = append(app.AESKeys, key)
		}
	}
	if file := l.config.PrivateKey; file != "" {
		app.Gateway = l.gateway(file)
	}
	if len(l.problems) > 0 {
		return app, errors.Join(l.problems...)
	}
	var err error
	app.Verifier, err = verify.New(l.keys, l.signTypes())
	return app, err
}

// gateway loads the app's own key and makes the answers that it signs. The
// commonest fault of all is to give the app's own public key as Alipay's
// (PROTOCOL.md 3.3); here both are at hand.
func (l *appLoader) gateway(file string) *ingest.Gateway {
	key, err := readKey(file, verify.ParsePrivateKey)
	if err != nil {
		l.problem(file, err)
		return nil
	}
	if own, err := verify.ParsePublicKey([]byte(key.PublicBase64())); err == nil {
		l.own = append(l.own, own)
	}
	for i, k := range l.keys {
		if k.ID == key.ID() {
			l.problem(l.files[i], errOwnKey)
		}
	}
	gateway, err := ingest.NewGateway(l.config.AppID, key, l.config.BindingURL)
	if err != nil {
		l.problem(file, err)
	}
	return gateway
}

func readKey[K any](file string, parse func([]byte) (K, error)) (K, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		var none K
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			err = pathErr.Err // the caller names the file
		}
		return none, err
	}
	return parse(data)
}

// Digest tells whether the configuration file or any key file has changed. A
// file that cannot be read counts as one more content.
func Digest(path string, cfg config.Config) [sha256.Size]byte {
	files := []string{path}
	for _, a := range cfg.Apps {
		files = append(files, a.AlipayPublicKeys...)
		files = append(files, a.AlipayCerts...)
		files = append(files, a.AESKeys...)
		files = append(files, a.PrivateKey)
	}
	h := sha256.New()
	for _, file := range files {
		data, err := os.ReadFile(file)
		sum := sha256.Sum256(data)
		fmt.Fprintf(h, "%s %t %x\n", file, err == nil, sum)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Look is the Digest of the configuration that there is now. A configuration that
// cannot be read counts as one more content.
func Look(path string, environ []string) [sha256.Size]byte {
	cfg, _ := Config(path, environ)
	return Digest(path, cfg)
}

// KeyRecord is what ALIPAY_KEYS keeps of a key.
type KeyRecord struct {
	KeyID     string    `json:"key_id"`
	PublicKey string    `json:"public_key"` // base64 of the SubjectPublicKeyInfo, as the console shows it
	AppID     string    `json:"app_id"`     // the app that brought it first
	FirstSeen time.Time `json:"first_seen"`
}

// NewKeyRecord writes the record of a key.
func NewKeyRecord(appID string, key verify.PublicKey, now time.Time) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Key)
	if err != nil {
		return nil, fmt.Errorf("encode key %s: %w", key.ID, err)
	}
	return json.Marshal(KeyRecord{
		KeyID: key.ID, PublicKey: base64.StdEncoding.EncodeToString(der), AppID: appID, FirstSeen: now.UTC(),
	})
}
