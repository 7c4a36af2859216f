package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/config"
)

// minimal is the least that is valid.
const minimal = `
apps:
  - app_id: "2021000000000001"
    alipay_public_keys: [/keys/alipay.pem]
`

// documented is the file of the documentation, with all defaults written out.
const documented = `
dev: false                                     # true: development keys allowed, console log
http:  { listen: ":8080", path: /alipay/notify, max_body: 262144, max_in_flight: 1024, max_signed_age: 72h, trusted_proxies: [] }
ops:   { listen: "127.0.0.1:9090" }            # /livez /readyz /metrics
apps:
  - app_id: "2021000000000001"
    alipay_public_keys: [keys/alipay.pem]      # PEM or Alipay's bare base64; several while rotating
    alipay_certs: []                           # certificate mode: alipayCertPublicKey_RSA2.crt
    sign_types: [RSA2]
    aes_keys: []                               # files with base64 AES keys; several while rotating
    private_key: ""                            # file; the app's own key: queries, gateway check
    app_cert: ""                               # certificate mode of the queries
    alipay_root_cert: ""
    app_auth_token: ""                         # file; ISVs
    binding_url: ""                            # page answered to 生活号 click/authentication
openapi: { base_url: "https://openapi.alipay.com" }
redis: { url: "", ca: "", lease: 30s, retention: 72h, on_unavailable: publish }
nats:  { url: "", creds: "", ca: "", replicas: 1, max_age: 720h, max_bytes: 0, embedded: { listen: "127.0.0.1:4222", dir: data/nats } }
log:   { level: info, format: json }
`

// write puts a configuration into a directory of its own.
func write(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "alipay-notify.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load expects the configuration to be right.
func load(t testing.TB, text string, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(write(t, text), environ)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// problems expects the configuration to be wrong.
func problems(t testing.TB, text string, environ ...string) config.Problems {
	t.Helper()
	_, err := config.Load(write(t, text), environ)
	found, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("Load: got %T (%v), want Problems", err, err)
	}
	for _, line := range found.Lines() {
		if strings.Contains(line, "\n") {
			t.Errorf("a problem of more than one line: %q", line)
		}
	}
	return found
}

// expected is what documented says, in the directory dir.
func expected(dir string) config.Config {
	return config.Config{
		HTTP: config.HTTP{
			Listen: ":8080", Path: "/alipay/notify", MaxBody: 262144, MaxInFlight: 1024,
			MaxSignedAge: 72 * time.Hour, TrustedProxies: []string{},
		},
		Ops: config.Ops{Listen: "127.0.0.1:9090"},
		Apps: []config.App{{
			AppID:            "2021000000000001",
			AlipayPublicKeys: []string{filepath.Join(dir, "keys/alipay.pem")},
			AlipayCerts:      []string{},
			SignTypes:        []string{"RSA2"},
			AESKeys:          []string{},
		}},
		OpenAPI: config.OpenAPI{BaseURL: "https://openapi.alipay.com"},
		Redis:   config.Redis{Lease: 30 * time.Second, Retention: 72 * time.Hour, OnUnavailable: "publish"},
		NATS: config.NATS{
			Replicas: 1, MaxAge: 720 * time.Hour,
			Embedded: config.Embedded{Listen: "127.0.0.1:4222", Dir: filepath.Join(dir, "data/nats")},
		},
		Log: config.Log{Level: "info", Format: "json"},
	}
}

func TestLoadDocumentedAndDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"everything written out": documented,
		"everything left out":    strings.ReplaceAll(minimal, "/keys", "keys"),
		"sections without keys": strings.ReplaceAll(minimal, "/keys", "keys") + `
dev:
http:
ops: ~
openapi: {}
redis: null
nats: { embedded: }
log:
  # level: debug
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, text)
			got, err := config.Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected(filepath.Dir(path)), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsEveryKey(t *testing.T) {
	t.Parallel()
	got := load(t, `
dev: true
http: { listen: "[::1]:1", path: /, max_body: 0x1000, max_in_flight: 2, max_signed_age: 0, trusted_proxies: [10.0.0.0/8, "::1"] }
ops: { listen: "localhost:0" }
apps:
  - app_id: "1"
    alipay_public_keys: [/a, /b]
    alipay_certs: [/c, /d]
    sign_types: [RSA, RSA2]
    aes_keys: [/e]
    private_key: /f
    app_cert: /g
    alipay_root_cert: /h
    app_auth_token: /i
    binding_url: https://example.com/bind?x=1
  - { app_id: "2", alipay_certs: [/j] }
openapi: { base_url: "http://127.0.0.1:8443/gw" }
redis: { url: "redis+sentinel://u:p%2Fw@h1:26379,h2/master/0", ca: /k, lease: 2m, retention: 26h, on_unavailable: refuse }
nats: { url: "nats://u:p@h1:4222, tls://[::1]", creds: /l, ca: /m, replicas: 3, max_age: 26h, max_bytes: 5, embedded: { listen: ":1", dir: /n } }
log: { level: trace, format: console }
`)
	want := config.Config{
		Dev: true,
		HTTP: config.HTTP{
			Listen: "[::1]:1", Path: "/", MaxBody: 4096, MaxInFlight: 2,
			TrustedProxies: []string{"10.0.0.0/8", "::1"},
		},
		Ops: config.Ops{Listen: "localhost:0"},
		Apps: []config.App{{
			AppID: "1", AlipayPublicKeys: []string{"/a", "/b"}, AlipayCerts: []string{"/c", "/d"},
			SignTypes: []string{"RSA", "RSA2"}, AESKeys: []string{"/e"}, PrivateKey: "/f", AppCert: "/g",
			AlipayRootCert: "/h", AppAuthToken: "/i", BindingURL: "https://example.com/bind?x=1",
		}, {
			AppID: "2", AlipayPublicKeys: []string{}, AlipayCerts: []string{"/j"},
			SignTypes: []string{"RSA2"}, AESKeys: []string{},
		}},
		OpenAPI: config.OpenAPI{BaseURL: "http://127.0.0.1:8443/gw"},
		Redis: config.Redis{
			URL: "redis+sentinel://u:p%2Fw@h1:26379,h2/master/0", CA: "/k",
			Lease: 2 * time.Minute, Retention: 26 * time.Hour, OnUnavailable: "refuse",
		},
		NATS: config.NATS{
			URL: "nats://u:p@h1:4222, tls://[::1]", Creds: "/l", CA: "/m", Replicas: 3,
			MaxAge: 26 * time.Hour, MaxBytes: 5, Embedded: config.Embedded{Listen: ":1", Dir: "/n"},
		},
		Log: config.Log{Level: "trace", Format: "console"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadResolvesRelativeNames(t *testing.T) {
	t.Parallel()
	path := write(t, `
apps:
  - app_id: "1"
    alipay_public_keys: [keys/a, /abs/b]
    alipay_certs: [../c]
    aes_keys: [d]
    private_key: e
    app_cert: f
    alipay_root_cert: g
    app_auth_token: h
redis: { ca: i }
nats: { creds: j, ca: k, embedded: { dir: l } }
`)
	cfg, err := config.Load(path, []string{"ALIPAY_NOTIFY_APPS__0__APP_CERT=env/f"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	app := cfg.Apps[0]
	for _, c := range []struct{ got, want string }{
		{app.AlipayPublicKeys[0], dir + "/keys/a"},
		{app.AlipayPublicKeys[1], "/abs/b"},
		{app.AlipayCerts[0], filepath.Dir(dir) + "/c"},
		{app.AESKeys[0], dir + "/d"},
		{app.PrivateKey, dir + "/e"},
		{app.AppCert, dir + "/env/f"},
		{app.AlipayRootCert, dir + "/g"},
		{app.AppAuthToken, dir + "/h"},
		{cfg.Redis.CA, dir + "/i"},
		{cfg.NATS.Creds, dir + "/j"},
		{cfg.NATS.CA, dir + "/k"},
		{cfg.NATS.Embedded.Dir, dir + "/l"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	set := func(string) string { return "/etc/env.yaml" }
	unset := func(string) string { return "" }
	for _, c := range []struct {
		name, flag, want string
		getenv           func(string) string
	}{
		{"flag", "/etc/flag.yaml", "/etc/flag.yaml", set},
		{"environment", "", "/etc/env.yaml", set},
		{"neither", "", "./alipay-notify.yaml", unset},
	} {
		if got := config.Path(c.flag, c.getenv); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTagsAgree holds together the names that are read and those that are written.
func TestTagsAgree(t *testing.T) {
	t.Parallel()
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for field := range typ.Fields() {
			if read, written := field.Tag.Get("koanf"), field.Tag.Get("yaml"); read == "" || read != written {
				t.Errorf("%s.%s is read as %q and written as %q", typ.Name(), field.Name, read, written)
			}
			inner := field.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				walk(inner)
			}
		}
	}
	walk(reflect.TypeFor[config.Config]())
}
