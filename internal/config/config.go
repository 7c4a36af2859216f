// Package config is the one configuration file of all our binaries: what may
// be said in it, what holds where it is silent, and whether what it says can
// work. It opens no file but that one, loads no key and connects to nothing;
// commands read the values out of it, and no other package ever sees it.
//
// Every key can be overridden by an environment variable: ALIPAY_NOTIFY_ and
// the key's path in capitals, joined by two underscores, so that redis.url is
// ALIPAY_NOTIFY_REDIS__URL and apps[0].app_id ALIPAY_NOTIFY_APPS__0__APP_ID.
//
// All problems are reported at once, one line each, beginning with the key.
// No message repeats a value, since a value may be a password.
package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is the whole file. The zero value is not useful: begin with Default
// or Load. Print it with YAML or as JSON, both of which mask passwords.
type Config struct {
	// Dev allows development keys and plain http towards the OpenAPI, and makes
	// logs for a human's eyes the default. Default false. On in production, anybody who has our
	// development key can forge events.
	Dev bool `koanf:"dev" yaml:"dev"`

	HTTP    HTTP    `koanf:"http" yaml:"http"`
	Ops     Ops     `koanf:"ops" yaml:"ops"`
	Apps    []App   `koanf:"apps" yaml:"apps"` // at least one; the first has no special role
	OpenAPI OpenAPI `koanf:"openapi" yaml:"openapi"`
	Redis   Redis   `koanf:"redis" yaml:"redis"`
	NATS    NATS    `koanf:"nats" yaml:"nats"`
	Log     Log     `koanf:"log" yaml:"log"`
}

// HTTP is where Alipay reaches us.
type HTTP struct {
	// Listen is the host:port that takes notifications. Default ":8080". Port 0
	// lets the system choose one.
	Listen string `koanf:"listen" yaml:"listen"`
	// Path is the path of the URL registered with Alipay; <path>/<app_id> is
	// taken as well. Default "/alipay/notify". When it differs from what is
	// registered, every notification gets 404 and is lost after 24 h 22 min.
	Path string `koanf:"path" yaml:"path"`
	// MaxBody is the largest request body, in bytes. Default 262144 (256 KiB).
	// Too small, and genuine notifications are answered 413 until Alipay gives
	// up; too large, and strangers decide how much memory we use.
	MaxBody int64 `koanf:"max_body" yaml:"max_body"`
	// MaxInFlight is how many requests may be at work at once; more wait for 1.5 s,
	// are answered 503 then, and come again. Default 1024, of which the embedded
	// server is given 128. MaxBody times this is the memory that bodies can take.
	MaxInFlight int `koanf:"max_in_flight" yaml:"max_in_flight"`
	// MaxSignedAge is how old a signed send time may be. Default 72h; 0 switches
	// the check off, and an old capture can then become a new event once dedupe
	// has forgotten it. Under 25h it would refuse Alipay's last retries.
	MaxSignedAge time.Duration `koanf:"max_signed_age" yaml:"max_signed_age"`
	// TrustedProxies are the CIDRs or addresses whose X-Forwarded-For is
	// believed. Default none: the peer is the source. Too wide, and a stranger
	// chooses the source address that limits and records go by.
	TrustedProxies []string `koanf:"trusted_proxies" yaml:"trusted_proxies"`
}

// Ops is the operators' own listener.
type Ops struct {
	// Listen is the host:port of /livez, /readyz and /metrics. Default
	// "127.0.0.1:9090". There is no login: do not open it to the internet.
	Listen string `koanf:"listen" yaml:"listen"`
}

// App is one application registered with Alipay. A file named in it may be
// relative: to the configuration file, not to the working directory.
type App struct {
	// AppID is the id that Alipay gave the application: up to 32 digits. Quote
	// it in YAML, where a bare number is not text. Required.
	AppID string `koanf:"app_id" yaml:"app_id"`
	// AlipayPublicKeys are files with Alipay's public key for this application,
	// PEM or bare base64. It is Alipay's key, not the application's own; with
	// the wrong one every notification is refused. Several while rotating, at
	// most four together with AlipayCerts; at least one of either.
	AlipayPublicKeys []string `koanf:"alipay_public_keys" yaml:"alipay_public_keys"`
	// AlipayCerts are the files alipayCertPublicKey_RSA2.crt of certificate mode.
	AlipayCerts []string `koanf:"alipay_certs" yaml:"alipay_certs"`
	// SignTypes are the signature algorithms that are accepted, whatever the
	// request itself claims. Default [RSA2]. RSA is SHA-1: allow it only for an
	// application that still has it, and only as long as it has.
	SignTypes []string `koanf:"sign_types" yaml:"sign_types"`
	// AESKeys are files with the base64 AES key of content encryption; several
	// while rotating. Default none. Encrypted notifications that no key fits are
	// quarantined.
	AESKeys []string `koanf:"aes_keys" yaml:"aes_keys"`
	// PrivateKey is the file with the application's own private key. Default
	// none: no queries, and the gateway check cannot be answered.
	PrivateKey string `koanf:"private_key" yaml:"private_key"`
	// AppCert is the application's certificate, for queries in certificate mode.
	AppCert string `koanf:"app_cert" yaml:"app_cert"`
	// AlipayRootCert is alipayRootCert.crt, for queries in certificate mode.
	AlipayRootCert string `koanf:"alipay_root_cert" yaml:"alipay_root_cert"`
	// AppAuthToken is the file with the merchant's app_auth_token, for ISVs that
	// query in a merchant's name. Default none.
	AppAuthToken string `koanf:"app_auth_token" yaml:"app_auth_token"`
	// BindingURL is the page answered to a click or an authentication on a
	// `生活号`. Default none.
	BindingURL string `koanf:"binding_url" yaml:"binding_url"`
}

// OpenAPI is where we ask Alipay what is true.
type OpenAPI struct {
	// BaseURL is the gateway's https URL. Default "https://openapi.alipay.com".
	// With the sandbox's here, reconciliation finds everything missing.
	BaseURL string `koanf:"base_url" yaml:"base_url"`
}

// Redis is the shared memory of what has been handled.
type Redis struct {
	// URL is redis:// or rediss:// (one node), unix://, or either scheme with
	// +sentinel or +cluster and several hosts. Default none: the stream's own
	// window does the dedupe. Holds the password, so it is printed masked; a
	// password's own / ? # @ and % are written percent-encoded.
	URL string `koanf:"url" yaml:"url"`
	// CA is the file with the authority of Redis' certificate. Default: the system's.
	CA string `koanf:"ca" yaml:"ca"`
	// Lease is how long a claim holds when its holder dies. Default 30s. Shorter
	// than a publish takes, and two handle one notification; longer than 2m, and
	// Alipay's first retry still meets it.
	Lease time.Duration `koanf:"lease" yaml:"lease"`
	// Retention is how long a handled notification is remembered. Default 72h.
	// Shorter than Alipay's retries, and a late retry becomes a second event.
	Retention time.Duration `koanf:"retention" yaml:"retention"`
	// OnUnavailable is what happens when Redis is away: "publish" (the default;
	// the stream's window still decides) or "refuse" (503 until it is back).
	OnUnavailable string `koanf:"on_unavailable" yaml:"on_unavailable"`
}

// NATS is where events are stored.
type NATS struct {
	// URL is one or several comma-separated nats://, tls://, ws:// or wss:// URLs
	// of one cluster. Default none: the receiver runs the embedded server. May
	// hold a password or token, so it is printed masked.
	URL string `koanf:"url" yaml:"url"`
	// Creds is the file with the user's credentials. Default none.
	Creds string `koanf:"creds" yaml:"creds"`
	// CA is the file with the authority of the servers' certificates. Default:
	// the system's.
	CA string `koanf:"ca" yaml:"ca"`
	// Replicas is on how many servers each stream is stored: 1, 3 or 5. Default
	// 1, which can lose an acknowledged event with its node.
	Replicas int `koanf:"replicas" yaml:"replicas"`
	// MaxAge is how long events are kept. Default 720h (30 days). What is older
	// can be neither proved nor replayed.
	MaxAge time.Duration `koanf:"max_age" yaml:"max_age"`
	// MaxBytes is how large the event stream may grow, in bytes. Default 0: 60 %
	// of the disk that is free when the stream is made. A full stream takes
	// nothing new, and Alipay is answered 503.
	MaxBytes int64 `koanf:"max_bytes" yaml:"max_bytes"`

	Embedded Embedded `koanf:"embedded" yaml:"embedded"`
}

// Embedded is the NATS server inside the receiver; it runs when NATS.URL is empty.
type Embedded struct {
	// Listen is its client address, for the replayer and consumers of the same
	// machine. Default "127.0.0.1:4222". Must be loopback: the traffic is not
	// encrypted, and a token is all that guards it.
	Listen string `koanf:"listen" yaml:"listen"`
	// Dir holds its data and the token. Default "data/nats". It is the archive:
	// lose it, and the events are lost.
	Dir string `koanf:"dir" yaml:"dir"`
}

// Log is what we say about ourselves.
type Log struct {
	// Level is trace, debug, info, warn or error. Default info.
	Level string `koanf:"level" yaml:"level"`
	// Format is json, one object a line, or console, for eyes. Default json, and
	// console where Dev is on.
	Format string `koanf:"format" yaml:"format"`
}

// Default is what holds where the file is silent. It names no application, and
// so is not valid by itself.
func Default() Config {
	return Config{
		HTTP: HTTP{
			Listen:         ":8080",
			Path:           "/alipay/notify",
			MaxBody:        256 << 10,
			MaxInFlight:    1024,
			MaxSignedAge:   72 * time.Hour,
			TrustedProxies: []string{},
		},
		Ops:     Ops{Listen: "127.0.0.1:9090"},
		Apps:    []App{},
		OpenAPI: OpenAPI{BaseURL: "https://openapi.alipay.com"},
		Redis: Redis{
			Lease:         30 * time.Second,
			Retention:     72 * time.Hour,
			OnUnavailable: "publish",
		},
		NATS: NATS{
			Replicas: 1,
			MaxAge:   720 * time.Hour,
			Embedded: Embedded{Listen: "127.0.0.1:4222", Dir: "data/nats"},
		},
		Log: Log{Level: "info", Format: "json"},
	}
}

// complete fills in what an application leaves out. An empty list of
// sign_types was written down and stays empty, for Validate to refuse; the
// other lists become empty ones, so that equal configurations compare equal.
func (a *App) complete() {
	if a.SignTypes == nil {
		a.SignTypes = []string{"RSA2"}
	}
	for _, list := range []*[]string{&a.AlipayPublicKeys, &a.AlipayCerts, &a.AESKeys} {
		if *list == nil {
			*list = []string{}
		}
	}
}

// resolve makes every relative file name absolute. Names are relative to the
// configuration file, wherever they come from, so that the receiver under
// systemd and an operator's shell mean the same files.
func (c *Config) resolve(dir string) {
	names := []*string{&c.Redis.CA, &c.NATS.Creds, &c.NATS.CA, &c.NATS.Embedded.Dir}
	for i := range c.Apps {
		a := &c.Apps[i]
		names = append(names, &a.PrivateKey, &a.AppCert, &a.AlipayRootCert, &a.AppAuthToken)
		for _, list := range [][]string{a.AlipayPublicKeys, a.AlipayCerts, a.AESKeys} {
			for j := range list {
				names = append(names, &list[j])
			}
		}
	}
	for _, name := range names {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}

// directory is where the file names in the configuration at path begin.
func directory(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return filepath.Dir(abs)
	}
	// Without a working directory there is nothing better than what was given.
	return filepath.Dir(path)
}

// defaultPath is where the file is looked for when nothing names it.
const defaultPath = "." + string(os.PathSeparator) + "alipay-notify.yaml"

// Path is where the configuration file is: where flag says, else where the
// environment variable ALIPAY_NOTIFY_CONFIG says, else ./alipay-notify.yaml.
func Path(flag string, getenv func(string) string) string {
	if flag != "" {
		return flag
	}
	if path := getenv("ALIPAY_NOTIFY_CONFIG"); path != "" {
		return path
	}
	return defaultPath
}
