package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"alipay-notify/internal/config"
)

func TestMasked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, want string }{
		{"", ""},
		{"redis://h:6379/0", "redis://h:6379/0"},
		{"redis://user:hunter2@h:6379/0?protocol=3", "redis://***@h:6379/0?protocol=3"},
		{"redis://:hunter2@h", "redis://***@h"},
		{"nats://hunter2@h", "nats://***@h"},
		{"unix://u:hunter2@/run/redis.sock?db=1", "unix://***@/run/redis.sock?db=1"},
		{"redis+cluster://user:hunter2@h1:6379,h2:6379", "redis+cluster://***@h1:6379,h2:6379"},
		{"redis+sentinel://h1,h2/m?sentinel_password=hunter2&db=1", "redis+sentinel://h1,h2/m?sentinel_password=***&db=1"},
		{"nats://u:hunter2@h1,tls://hunter2@h2:1, wss://h3/x", "nats://***@h1,tls://***@h2:1, wss://h3/x"},
		{"nats://h1,u:hunter2@h2", "nats://***@h2"},
		// Not URLs, or not the ones that were meant.
		{"redis://u:hun/ter2@h", "redis://***@h"},
		{"redis://u:hun@ter2@h", "redis://***@h"},
		{"redis://u:hun?ter2#hunter2@h", "redis://***@h"},
		{"nats://u:hun,hunter2@h", "nats://***@h"},
		{"redis://u:hunter2", "redis://***"},
		{"redis://u:hunter2%40h:6379", "redis://***"},
		{"redis://h/0#hunter2", "redis://h/0#***"},
		{"u:hunter2@h", "***@h"},
		{"redis:hunter2", "***"},
		{"u:hunter2://h", "***"},
		{"redis://[hunter2", "redis://***"},
		{"redis//u:hunter2@h", "***@h"},
		{"nats://u:hun,tls://ter2@h", "nats://***,tls://***@h"},
	} {
		cfg := config.Config{Redis: config.Redis{URL: c.url}, NATS: config.NATS{URL: c.url}}
		masked := cfg.Masked()
		if masked.Redis.URL != c.want || masked.NATS.URL != c.want {
			t.Errorf("%q: got %q and %q, want %q", c.url, masked.Redis.URL, masked.NATS.URL, c.want)
		}
		if cfg.Redis.URL != c.url {
			t.Errorf("%q: the original has changed", c.url)
		}
		if again := masked.Masked(); again.Redis.URL != c.want {
			t.Errorf("%q: masked twice it is %q", c.url, again.Redis.URL)
		}
	}
}

// TestNothingLeaks puts a password into every place where one can stray, and
// looks for it in everything that can be printed.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const app = "\napps: [{ app_id: '1', alipay_certs: [/c] }]\n"
	for _, text := range []string{
		"redis: { url: 'redis://u:hunter2@h' }" + app,
		"redis: { url: 'redis://u:hun/hunter2@h' }" + app,
		"redis: { url: 'redis://u:hunter2%@h' }" + app,
		"redis: { url: 'hunter2@h' }" + app,
		"redis: { url: 'redis://u:hunter2 @h' }" + app,
		"redis: { url:redis://u:hunter2@h }" + app,
		"redis: { url: [redis://u:hunter2@h] }" + app,
		"redis: { url: !!int redis://u:hunter2@h }" + app,
		"redis: { url: !!binary redis://u:hunter2@h }" + app,
		"redis: redis://u:hunter2@h" + app,
		"redis: { url: 'redis://u:hunter2@h', url: 'redis://u:hunter2@i' }" + app,
		"redis: { url: redis://u:hunter2@h" + app,
		"redis: { url: *hunter2 }" + app,
		"redis: { url: \"redis://u:hunter2\\@h\" }" + app,
		"redis: { lease: hunter2, retention: hunter2 }" + app,
		"nats: { url: 'nats://hunter2@h1,nats://u:hunter2@h2' }" + app,
		"nats: { url: 'nats://u:hunter2@h1,hunter2@h2' }" + app,
		"nats: { url: 'nats://u:x,hunter2@h', replicas: hunter2 }" + app,
		"openapi: { base_url: 'https://u:hunter2@h' }" + app,
		"apps: [{ app_id: '1', alipay_certs: [/c], binding_url: 'https://u:hunter2@h/' }]",
		"redis://u:hunter2@h",
	} {
		cfg, err := config.Load(write(t, text), []string{
			"ALIPAY_NOTIFY_HTTP__MAX_BODY=hunter2", "ALIPAY_NOTIFY_REDIS__URLS=hunter2",
		})
		if err == nil {
			t.Errorf("%s\nwant an error", text)
		}
		out, yamlErr := cfg.YAML()
		asJSON, jsonErr := json.Marshal(map[string]any{"config": cfg, "problems": err})
		direct, directErr := yaml.Marshal(&cfg)
		if yamlErr != nil || jsonErr != nil || directErr != nil {
			t.Fatal(yamlErr, jsonErr, directErr)
		}
		shown := string(out) + string(asJSON) + string(direct)
		shown += fmt.Sprintf("%v %+v %s %#v", cfg, &cfg, cfg, cfg)
		shown += fmt.Sprintf("%v %+v", err, cfg.Masked().NATS)
		if strings.Contains(shown, "hunter2") {
			t.Errorf("%s\nleaks: %s", text, shown)
		}
	}
}

func TestYAMLAndJSONLoadAgain(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"minimal": minimal, "documented": documented} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, text,
				"ALIPAY_NOTIFY_HTTP__MAX_SIGNED_AGE=90h30m", "ALIPAY_NOTIFY_REDIS__URL=redis+cluster://h1,h2",
				"ALIPAY_NOTIFY_APPS__0__BINDING_URL=https://example.com/<页>?a=1&b=2", "ALIPAY_NOTIFY_APPS__0__PRIVATE_KEY=/k: \"x\" #1")
			asYAML, err := cfg.YAML()
			if err != nil {
				t.Fatal(err)
			}
			asJSON, err := json.MarshalIndent(cfg, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range [][]byte{asYAML, asJSON} {
				if diff := cmp.Diff(cfg, load(t, string(out))); diff != "" {
					t.Errorf("loaded again (-want +got):\n%s", diff)
				}
			}
			var back config.Config
			if err := json.Unmarshal(asJSON, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(cfg, back); diff != "" {
				t.Errorf("from JSON (-want +got):\n%s", diff)
			}
		})
	}
}

// printed is a configuration in the order of the documentation.
const printed = `dev: false
http:
  listen: :8080
  path: /alipay/notify
  max_body: 262144
  max_in_flight: 1024
  max_signed_age: 72h0m0s
  trusted_proxies: []
ops:
  listen: 127.0.0.1:9090
apps:
  - app_id: "2021000000000001"
    alipay_public_keys:
      - /a
    alipay_certs: []
    sign_types:
      - RSA2
    aes_keys: []
    private_key: ""
    app_cert: ""
    alipay_root_cert: ""
    app_auth_token: ""
    binding_url: ""
openapi:
  base_url: https://openapi.alipay.com
redis:
  url: ""
  ca: ""
  lease: 30s
  retention: 72h0m0s
  on_unavailable: publish
nats:
  url: nats://***@h
  creds: ""
  ca: ""
  replicas: 1
  max_age: 720h0m0s
  max_bytes: 0
  embedded:
    listen: 127.0.0.1:4222
    dir: data/nats
log:
  level: info
  format: json
`

func TestYAMLIsInTheDocumentedOrder(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Apps = []config.App{{AppID: "2021000000000001", SignTypes: []string{"RSA2"}, AlipayPublicKeys: []string{"/a"}}}
	cfg.NATS.URL = "nats://hunter2@h"
	got, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(printed, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`{"dev":false,"http":{"listen":":8080"`, `"max_signed_age":"72h0m0s"`, `"max_body":262144`, `"app_id":"2021000000000001"`} {
		if !strings.Contains(string(asJSON), part) {
			t.Errorf("JSON lacks %s: %s", part, asJSON)
		}
	}
}

func TestUnmarshalJSONIsStrict(t *testing.T) {
	t.Parallel()
	var cfg config.Config
	for _, text := range []string{`{"htpp":{}}`, `{"redis":{"lease":30}}`, `[]`} {
		if err := json.Unmarshal([]byte(text), &cfg); err == nil {
			t.Errorf("%s: want an error", text)
		}
	}
}
