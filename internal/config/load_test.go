package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/config"
)

// expectLine wants exactly one problem at key, which says all the words.
func expectLine(t testing.TB, found config.Problems, key string, words ...string) {
	t.Helper()
	n := 0
	for _, problem := range found {
		if problem.Key != key {
			continue
		}
		n++
		for _, word := range words {
			if !strings.Contains(problem.What, word) {
				t.Errorf("%s: got %q, want it to say %q", key, problem.What, word)
			}
		}
	}
	if n != 1 {
		t.Errorf("got %d problems at %q, want 1; all of them:\n%v", n, key, found)
	}
}

func TestLoadUnknownKeys(t *testing.T) {
	t.Parallel()
	found := problems(t, minimal+`    sign_typ: [RSA2]
  - app_id: "2"
    alipay_certs: [/c]
    APP_CERT: /d
top: 1
http: { listne: ":1" }
ops: { 9090: x }
openapi: { url: x }
redis: { urls: [a] }
nats: { nested: {}, embedded: { port: 4222 } }
log: { levle: info }
`)
	for _, key := range []string{
		"apps[0].sign_typ", "apps[1].APP_CERT", "top", "http.listne", "ops.9090", "openapi.url",
		"redis.urls", "nats.nested", "nats.embedded.port", "log.levle",
	} {
		expectLine(t, found, key, "unknown key in line ")
	}
	expectLine(t, found, "log.levle", "line 15", "level, format")
	if len(found) != 10 {
		t.Errorf("got %d problems, want 10:\n%v", len(found), found)
	}
}

func TestLoadDuplicateKeys(t *testing.T) {
	t.Parallel()
	found := problems(t, minimal+`    app_id: "2"
log: { level: info }
nats: { embedded: { dir: a, dir: b } }
log: { level: debug }
`)
	expectLine(t, found, "apps[0].app_id", "line 3", "line 5")
	expectLine(t, found, "log", "line 6", "line 8")
	expectLine(t, found, "nats.embedded.dir", "twice")
}

func TestLoadWrongTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ yaml, key, word string }{
		{"apps: [{ app_id: 2021, alipay_certs: [/c] }]", "apps[0].app_id", "quotes"},
		{"apps: [{ app_id: '1', alipay_public_keys: /c }]", "apps[0].alipay_public_keys", "a list"},
		{"apps: [{ app_id: '1', alipay_certs: [[/c]] }]", "apps[0].alipay_certs[0]", "text"},
		{"apps: [{ app_id: '1', alipay_certs: [/c], sign_types: RSA2 }]", "apps[0].sign_types", "a list"},
		{"apps: [x]", "apps[0]", "a section"},
		{"apps: { app_id: '1' }", "apps", "dash"},
		{minimal + "dev: 'true'", "dev", "true or false"},
		{minimal + "dev: 1", "dev", "a number"},
		{minimal + "http: 8080", "http", "a section"},
		{minimal + "http: []", "http", "a list"},
		{minimal + "http: { listen: 8080 }", "http.listen", "quotes"},
		{minimal + "http: { max_body: 1.5 }", "http.max_body", "a fraction"},
		{minimal + "http: { max_body: 18446744073709551615 }", "http.max_body", "too large"},
		{minimal + "http: { max_body: 99999999999999999999999 }", "http.max_body", "too large"},
		{minimal + "http: { max_body: '4096' }", "http.max_body", "text"},
		{minimal + "http: { max_body: true }", "http.max_body", "true or false"},
		{minimal + "http: { max_body: !!int x }", "http.max_body", "whole number"},
		{minimal + "redis: { lease: 30 }", "redis.lease", "without a unit"},
		{minimal + "redis: { lease: 30 seconds }", "redis.lease", "something else"},
		{minimal + "redis: { lease: {} }", "redis.lease", "a section"},
		{minimal + "log: { level: [info] }", "log.level", "a list"},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			t.Parallel()
			found := problems(t, c.yaml)
			expectLine(t, found, c.key, c.word)
			// What follows from it is not reported beside it.
			if len(found) != 1 {
				t.Errorf("got %d problems, want 1:\n%v", len(found), found)
			}
		})
	}
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	path := write(t, `
dev: maybe
http: { path: notify, max_in_flight: 0, color: red }
apps:
  - { app_id: "x", alipay_certs: [/c] }
  - { app_id: "1", sign_types: [] }
redis: { lease: 1s, lease: 2s }
log: { level: loud }
`)
	cfg, err := config.Load(path, []string{"ALIPAY_NOTIFY_NATS__REPLICAS=two", "ALIPAY_NOTIFY_HTPP__PATH=/"})
	found, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("got %T, want Problems", err)
	}
	var keys []string
	for _, problem := range found {
		keys = append(keys, problem.Key)
	}
	want := []string{
		"dev", "http.color", "redis.lease", "ALIPAY_NOTIFY_HTPP__PATH", "nats.replicas",
		"http.path", "http.max_in_flight", "apps[0].app_id",
		"apps[1].alipay_public_keys", "apps[1].sign_types", "log.level",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(want) {
		t.Errorf("Error has %d lines, want %d", got, len(want))
	}
	if cfg.HTTP.Path != "notify" || cfg.Log.Level != "loud" || len(cfg.Apps) != 2 || cfg.NATS.Replicas != 1 {
		t.Errorf("not the best that could be made of it:\n%v", cfg)
	}
}

func TestLoadFilesThatSayNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "comment": "# nothing\n", "null": "~", "empty document": "---\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := problems(t, text)
			expectLine(t, found, "apps", "at least one")
			if len(found) != 1 {
				t.Errorf("got %d problems, want 1:\n%v", len(found), found)
			}
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, word string }{
		"syntax":        {"http: { listen: \"x\"\nlog: }", "line "},
		"tab":           {"http:\n\tlisten: x", "line 2"},
		"two documents": {minimal + "---\nlog: { level: debug }\n", "more than one"},
		"list":          {"- a", "mapping"},
		"text":          {"hunter2", "mapping"},
		"no anchor":     {"redis: { url: *hunter2 }", "quoted"},
		"not UTF-8":     {"log: \"\xff\"", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.text)
			_, err := config.Load(path, nil)
			found, _ := errors.AsType[config.Problems](err)
			expectLine(t, found, path, c.word)
			if len(found) != 1 || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLoadMissingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "none.yaml")
	cfg, err := config.Load(path, []string{"ALIPAY_NOTIFY_LOG__LEVEL=debug"})
	found, _ := errors.AsType[config.Problems](err)
	expectLine(t, found, path, "no such file", "--config", "ALIPAY_NOTIFY_CONFIG")
	if len(found) != 1 {
		t.Errorf("got %d problems, want 1:\n%v", len(found), found)
	}
	want := config.Default()
	want.Log.Level = "debug"
	want.NATS.Embedded.Dir = filepath.Join(dir, "data/nats")
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	_, err = config.Load(dir, nil)
	found, _ = errors.AsType[config.Problems](err)
	expectLine(t, found, dir, "is a directory")
}

func TestLoadAliases(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
apps:
  - { app_id: "1", alipay_public_keys: &keys [/a, /b] }
  - { app_id: "2", alipay_public_keys: *keys }
`)
	if diff := cmp.Diff([]string{"/a", "/b"}, cfg.Apps[1].AlipayPublicKeys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	expectLine(t, problems(t, "apps: &apps [*apps]"), "apps[0]", "a section")
}

func TestLoadEnvironment(t *testing.T) {
	t.Parallel()
	cfg := load(t, minimal+"redis: { lease: 10s }\nhttp: { trusted_proxies: [10.0.0.1] }\n",
		"PATH=/bin",
		"ALIPAY_NOTIFY_DEV=true",
		"ALIPAY_NOTIFY_HTTP__MAX_BODY=4096",
		"ALIPAY_NOTIFY_HTTP__TRUSTED_PROXIES=",
		"ALIPAY_NOTIFY_REDIS__URL=redis://u:a=b,c@h:1",
		"ALIPAY_NOTIFY_REDIS__LEASE=20s",
		"ALIPAY_NOTIFY_NATS__EMBEDDED__DIR=/data",
		"ALIPAY_NOTIFY_LOG__LEVEL=debug",
		"ALIPAY_NOTIFY_LOG__LEVEL=warn",
		"ALIPAY_NOTIFY_APPS__2__APP_ID=3",
		"ALIPAY_NOTIFY_APPS__2__ALIPAY_CERTS=/x",
		"ALIPAY_NOTIFY_APPS__1__ALIPAY_CERTS= /a, /b ",
		"ALIPAY_NOTIFY_APPS__1__ALIPAY_CERTS__1=/c",
		"ALIPAY_NOTIFY_APPS__1__APP_ID=2",
		"ALIPAY_NOTIFY_APPS__0__SIGN_TYPES=RSA2,RSA",
		// Not ours: a Service of our name, the file's name, a section.
		"ALIPAY_NOTIFY_PORT=tcp://10.0.0.1:80",
		"ALIPAY_NOTIFY_PORT_8080_TCP_ADDR=10.0.0.1",
		"ALIPAY_NOTIFY_SERVICE_HOST=10.0.0.1",
		"ALIPAY_NOTIFY_CONFIG=/etc/x",
		"ALIPAY_NOTIFY_SHARED=x",
		"ALIPAY_NOTIFY_APPS=x",
		"alipay_notify_log__level=x",
	)
	app := func(id string, keys, certs, types []string) config.App {
		return config.App{AppID: id, AlipayPublicKeys: keys, AlipayCerts: certs, SignTypes: types, AESKeys: []string{}}
	}
	want := config.Default()
	want.Dev = true
	want.HTTP.MaxBody = 4096
	want.Redis.URL = "redis://u:a=b,c@h:1"
	want.Redis.Lease = 20e9
	want.NATS.Embedded.Dir = "/data"
	want.Log.Level, want.Log.Format = "warn", "console" // what dev makes the default
	want.Apps = []config.App{
		app("2021000000000001", []string{"/keys/alipay.pem"}, []string{}, []string{"RSA2", "RSA"}),
		app("2", []string{}, []string{"/a", "/c"}, []string{"RSA2"}),
		app("3", []string{}, []string{"/x"}, []string{"RSA2"}),
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogFormatInDevelopment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "json",
		"dev: true":                        "console",
		"dev: true\nlog: { level: warn }":  "console",
		"dev: true\nlog: { format: json }": "json",
	} {
		if got := load(t, minimal+text).Log.Format; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLoadEnvironmentWithoutFileKeys(t *testing.T) {
	t.Parallel()
	cfg := load(t, "", "ALIPAY_NOTIFY_APPS__0__APP_ID=1", "ALIPAY_NOTIFY_APPS__0__ALIPAY_PUBLIC_KEYS=/a")
	if len(cfg.Apps) != 1 || cfg.Apps[0].AppID != "1" {
		t.Errorf("got %v", cfg.Apps)
	}
}

// TestLoadEnvironmentInOrder has more elements than sort right as text.
func TestLoadEnvironmentInOrder(t *testing.T) {
	t.Parallel()
	var environ []string
	for i := 11; i >= 0; i-- {
		name := "ALIPAY_NOTIFY_APPS__" + strconv.Itoa(i)
		environ = append(environ, name+"__APP_ID="+strconv.Itoa(100+i), name+"__ALIPAY_CERTS=/c")
	}
	cfg := load(t, "", environ...)
	if len(cfg.Apps) != 12 || cfg.Apps[11].AppID != "111" {
		t.Errorf("got %v", cfg.Apps)
	}
}

func TestLoadEnvironmentProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ entry, key, word string }{
		{"ALIPAY_NOTIFY_HTTPS__LISTEN=x", "ALIPAY_NOTIFY_HTTPS__LISTEN", "at the top there are DEV, HTTP"},
		{"ALIPAY_NOTIFY_NATS__EMBEDDED__PORT=1", "ALIPAY_NOTIFY_NATS__EMBEDDED__PORT", "in nats.embedded there are LISTEN, DIR"},
		{"ALIPAY_NOTIFY_APPS__0__SIGN_TYP=RSA", "ALIPAY_NOTIFY_APPS__0__SIGN_TYP", "in apps[0] there are APP_ID"},
		{"ALIPAY_NOTIFY_APPS__2__APP_ID=1", "ALIPAY_NOTIFY_APPS__2__APP_ID", "the next is number 1"},
		{"ALIPAY_NOTIFY_APPS__FIRST__APP_ID=1", "ALIPAY_NOTIFY_APPS__FIRST__APP_ID", "by its number"},
		{"ALIPAY_NOTIFY_APPS__-1__APP_ID=1", "ALIPAY_NOTIFY_APPS__-1__APP_ID", "by its number"},
		{"ALIPAY_NOTIFY_APPS__00__APP_ID=1", "ALIPAY_NOTIFY_APPS__00__APP_ID", "by its number"},
		{"ALIPAY_NOTIFY_APPS__0=1", "ALIPAY_NOTIFY_APPS__0", "keys of its own"},
		{"ALIPAY_NOTIFY_NATS__EMBEDDED=1", "ALIPAY_NOTIFY_NATS__EMBEDDED", "keys of its own"},
		{"ALIPAY_NOTIFY_LOG__LEVEL__X=1", "ALIPAY_NOTIFY_LOG__LEVEL__X", "goes on behind log.level"},
		{"ALIPAY_NOTIFY_log__level=debug", "ALIPAY_NOTIFY_log__level", "names no key"},
		{"ALIPAY_NOTIFY_LOG__=debug", "ALIPAY_NOTIFY_LOG__", "names no key"},
		{"ALIPAY_NOTIFY___X=debug", "ALIPAY_NOTIFY___X", "names no key"},
		{"ALIPAY_NOTIFY_DEV=maybe", "dev", "ALIPAY_NOTIFY_DEV"},
		{"ALIPAY_NOTIFY_HTTP__MAX_BODY=", "http.max_body", "ALIPAY_NOTIFY_HTTP__MAX_BODY"},
		{"ALIPAY_NOTIFY_REDIS__LEASE=30", "redis.lease", "with its unit"},
	} {
		t.Run(c.entry, func(t *testing.T) {
			t.Parallel()
			found := problems(t, minimal, c.entry)
			expectLine(t, found, c.key, c.word)
			if len(found) != 1 {
				t.Errorf("got %d problems, want 1:\n%v", len(found), found)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(documented, "ALIPAY_NOTIFY_REDIS__URL=redis://u:p@h")
	f.Add(minimal, "ALIPAY_NOTIFY_APPS__1__APP_ID=1")
	f.Add("apps: &a [*a, {<<: *a}, ~, !!int x]", "ALIPAY_NOTIFY_APPS__0__AES_KEYS__0=x")
	f.Add("? {a: b}\n: [c]\n", "ALIPAY_NOTIFY_NATS__EMBEDDED__DIR")
	f.Fuzz(func(t *testing.T, text, entry string) {
		path := write(t, text)
		cfg, err := config.Load(path, []string{entry})
		if _, ok := errors.AsType[config.Problems](err); err != nil && !ok {
			t.Fatalf("an error that is no list of problems: %T", err)
		}
		out, printErr := cfg.YAML()
		if printErr != nil || err != nil {
			return
		}
		// What is printed can be loaded, and says the same.
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := config.Load(path, nil)
		if err != nil {
			t.Fatalf("printed, it is not valid: %v\n%s", err, out)
		}
		if diff := cmp.Diff(cfg.Masked(), again); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
