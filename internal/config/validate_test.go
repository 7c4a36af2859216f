package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/config"
)

// valid is a configuration for a test to spoil.
func valid() config.Config {
	cfg := config.Default()
	cfg.Apps = []config.App{{
		AppID:            "2021000000000001",
		AlipayPublicKeys: []string{"/keys/alipay.pem"},
		SignTypes:        []string{"RSA2"},
	}}
	return cfg
}

// spoiled is one way in which a configuration can be wrong.
type spoiled struct {
	name  string
	spoil func(*config.Config)
	key   string // where the one problem is; none when it is right
	word  string // what it says
}

func run(t *testing.T, cases []spoiled) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := valid()
			c.spoil(&cfg)
			before := cfg.String()
			err := cfg.Validate()
			if diff := cmp.Diff(before, cfg.String()); diff != "" {
				t.Errorf("Validate changed it:\n%s", diff)
			}
			found, _ := errors.AsType[config.Problems](err)
			if c.key == "" {
				if err != nil {
					t.Errorf("got %v, want it to be right", err)
				}
				return
			}
			expectLine(t, found, c.key, c.word)
			if len(found) != 1 {
				t.Errorf("got %d problems, want 1:\n%v", len(found), found)
			}
		})
	}
}

func TestValidateApps(t *testing.T) {
	t.Parallel()
	app := func(change func(*config.App)) func(*config.Config) {
		return func(c *config.Config) { change(&c.Apps[0]) }
	}
	run(t, []spoiled{
		{"valid", func(*config.Config) {}, "", ""},
		{"none", func(c *config.Config) { c.Apps = nil }, "apps", "at least one"},
		{"no id", app(func(a *config.App) { a.AppID = "" }), "apps[0].app_id", "missing"},
		{"id of letters", app(func(a *config.App) { a.AppID = "2021x" }), "apps[0].app_id", "digits"},
		{"id of other digits", app(func(a *config.App) { a.AppID = "２０２１" }), "apps[0].app_id", "digits"},
		{"long id", app(func(a *config.App) { a.AppID = strings.Repeat("1", 33) }), "apps[0].app_id", "32"},
		{"id of 32", app(func(a *config.App) { a.AppID = strings.Repeat("1", 32) }), "", ""},
		{"same id", func(c *config.Config) { c.Apps = append(c.Apps, c.Apps[0]) }, "apps[1].app_id", "apps[0]"},
		{"no key", app(func(a *config.App) { a.AlipayPublicKeys = nil }), "apps[0].alipay_public_keys", "at least one"},
		{"certificate only", app(func(a *config.App) { a.AlipayPublicKeys, a.AlipayCerts = nil, []string{"/c"} }), "", ""},
		{"four", app(func(a *config.App) { a.AlipayCerts = []string{"/1", "/2", "/3"} }), "", ""},
		{"five", app(func(a *config.App) { a.AlipayCerts = []string{"/1", "/2", "/3", "/4"} }), "apps[0].alipay_public_keys", "at most 4"},
		{"no name", app(func(a *config.App) { a.AESKeys = []string{"/a", ""} }), "apps[0].aes_keys[1]", "empty"},
		{"same file", app(func(a *config.App) { a.AlipayCerts = []string{"/a", "/a"} }), "apps[0].alipay_certs[1]", "already"},
		{"no type", app(func(a *config.App) { a.SignTypes = nil }), "apps[0].sign_types", "at least one"},
		{"both types", app(func(a *config.App) { a.SignTypes = []string{"RSA", "RSA2"} }), "", ""},
		{"same type", app(func(a *config.App) { a.SignTypes = []string{"RSA2", "RSA2"} }), "apps[0].sign_types[1]", "already"},
		{"SM2", app(func(a *config.App) { a.SignTypes = []string{"SM2"} }), "apps[0].sign_types[0]", "not supported"},
		{"small letters", app(func(a *config.App) { a.SignTypes = []string{"rsa2"} }), "apps[0].sign_types[0]", "capitals"},
		{"binding", app(func(a *config.App) { a.BindingURL = "http://example.com:8080/%40me?a=b" }), "", ""},
		{"binding with @", app(func(a *config.App) { a.BindingURL = "https://example.com/@me" }), "apps[0].binding_url", "%40"},
		{"binding without scheme", app(func(a *config.App) { a.BindingURL = "example.com" }), "apps[0].binding_url", "scheme"},
		{"binding elsewhere", app(func(a *config.App) { a.BindingURL = "ftp://example.com" }), "apps[0].binding_url", "http"},
		{"binding without host", app(func(a *config.App) { a.BindingURL = "https:///x" }), "apps[0].binding_url", "host"},
	})
}

func TestValidateHTTP(t *testing.T) {
	t.Parallel()
	path := func(p string) func(*config.Config) { return func(c *config.Config) { c.HTTP.Path = p } }
	body := func(n int64) func(*config.Config) { return func(c *config.Config) { c.HTTP.MaxBody = n } }
	age := func(d time.Duration) func(*config.Config) { return func(c *config.Config) { c.HTTP.MaxSignedAge = d } }
	proxies := func(p ...string) func(*config.Config) {
		return func(c *config.Config) { c.HTTP.TrustedProxies = p }
	}
	run(t, []spoiled{
		{"root", path("/"), "", ""},
		{"deep", path("/a/b-c_d.e~1"), "", ""},
		{"empty path", path(""), "http.path", "begin with /"},
		{"relative path", path("notify"), "http.path", "begin with /"},
		{"trailing slash", path("/notify/"), "http.path", "end with /"},
		{"two slashes", path("/a//b"), "http.path", "//"},
		{"dots", path("/a/../b"), "http.path", "/../"},
		{"query", path("/a?b"), "http.path", "query"},
		{"fragment", path("/a#b"), "http.path", "fragment"},
		{"parameter", path("/:app"), "http.path", "patterns"},
		{"wildcard", path("/*"), "http.path", "patterns"},
		{"space", path("/a b"), "http.path", "plain"},
		{"escape", path("/a%20b"), "http.path", "plain"},
		{"foreign", path("/支付"), "http.path", "plain"},
		{"body too small", body(1023), "http.max_body", "1 KiB"},
		{"smallest body", body(1024), "", ""},
		{"largest body", body(16 << 20), "", ""},
		{"body too large", body(16<<20 + 1), "http.max_body", "16 MiB"},
		{"none in flight", func(c *config.Config) { c.HTTP.MaxInFlight = 0 }, "http.max_in_flight", "at least 1"},
		{"no age", age(0), "", ""},
		{"least age", age(25 * time.Hour), "", ""},
		{"age too short", age(25*time.Hour - 1), "http.max_signed_age", "24h22m"},
		{"age below zero", age(-time.Hour), "http.max_signed_age", "25h"},
		{"proxies", proxies("10.0.0.0/8", "192.168.1.1", "fd00::/8", "::1"), "", ""},
		{"proxy by name", proxies("10.0.0.1", "lb.example.com"), "http.trusted_proxies[1]", "CIDR"},
	})
}

func TestValidateListeners(t *testing.T) {
	t.Parallel()
	listen := func(http, ops, embedded string) func(*config.Config) {
		return func(c *config.Config) { c.HTTP.Listen, c.Ops.Listen, c.NATS.Embedded.Listen = http, ops, embedded }
	}
	cluster := func(embedded string) func(*config.Config) {
		return func(c *config.Config) { c.NATS.URL, c.NATS.Embedded.Listen = "nats://h", embedded }
	}
	run(t, []spoiled{
		{"any ports", listen(":0", ":0", "localhost:0"), "", ""},
		{"names", listen("web:80", "[::1]:81", "127.0.0.2:82"), "", ""},
		{"empty", listen("", ":1", "127.0.0.1:2"), "http.listen", "host:port"},
		{"port only", listen(":1", "9090", "127.0.0.1:2"), "ops.listen", "host:port"},
		{"named port", listen(":http", ":1", "127.0.0.1:2"), "http.listen", "port number"},
		{"no port", listen("h:", ":1", "127.0.0.1:2"), "http.listen", "port number"},
		{"large port", listen(":65536", ":1", "127.0.0.1:2"), "http.listen", "65535"},
		{"bad host", listen("a b:1", ":2", "127.0.0.1:3"), "http.listen", "host name"},
		{"same", listen(":9090", ":9090", "127.0.0.1:1"), "ops.listen", "http.listen"},
		{"all and one", listen(":9090", "127.0.0.1:9090", "127.0.0.1:1"), "ops.listen", "http.listen"},
		{"all IPv4 and one", listen("127.0.0.1:9090", "0.0.0.0:9090", "127.0.0.1:1"), "ops.listen", "http.listen"},
		{"IPv4 and IPv6", listen("0.0.0.0:9090", "[::1]:9090", "127.0.0.1:1"), "", ""},
		{"two hosts", listen("10.0.0.1:9090", "127.0.0.1:9090", "127.0.0.1:1"), "", ""},
		{"embedded too", listen(":4222", ":1", "localhost:4222"), "nats.embedded.listen", "http.listen"},
		{"embedded to all", listen(":1", ":2", ":4222"), "nats.embedded.listen", "loopback"},
		{"embedded to others", listen(":1", ":2", "10.0.0.1:4222"), "nats.embedded.listen", "token"},
		{"embedded IPv6", listen(":1", ":2", "[::1]:4222"), "", ""},
		{"not embedded", cluster(":8080"), "", ""},
		{"not embedded, but wrong", cluster("x"), "nats.embedded.listen", "host:port"},
	})
}

func TestValidateRedis(t *testing.T) {
	t.Parallel()
	to := func(u string) func(*config.Config) { return func(c *config.Config) { c.Redis.URL = u } }
	lease := func(d time.Duration) func(*config.Config) { return func(c *config.Config) { c.Redis.Lease = d } }
	run(t, []spoiled{
		{"host", to("redis://h"), "", ""},
		{"all", to("rediss://u:p%40%2F@h.example.com:6379/15?protocol=3"), "", ""},
		{"password only", to("redis://:pw@[::1]:6379/"), "", ""},
		{"socket", to("unix:///run/redis.sock?db=1"), "", ""},
		{"socket with password", to("unix://u:pw@/run/redis.sock"), "", ""},
		{"sentinel", to("redis+sentinel://u:pw@h1:26379,h2:26379/master/0"), "", ""},
		{"cluster", to("rediss+cluster://u:pw@h1:6379,h2:6379"), "", ""},
		{"no scheme", to("h:6379"), "redis.url", "scheme"},
		{"other scheme", to("http://h"), "redis.url", "rediss+cluster"},
		{"capitals", to("REDIS://h"), "redis.url", "must begin with redis"},
		{"no host", to("redis://"), "redis.url", "host 1"},
		{"no host in list", to("redis+cluster://h1,,h3"), "redis.url", "host 2"},
		{"bad port", to("redis://h:0"), "redis.url", "host 1"},
		{"open bracket", to("redis://[::1"), "redis.url", "host 1"},
		{"raw slash in password", to("redis://u:hun/ter2@h"), "redis.url", "percent-encoded"},
		{"raw percent in password", to("redis://u:100%@h"), "redis.url", "percent-encoded"},
		{"raw slash behind digits", to("redis+cluster://u:1/x@h"), "redis.url", "percent-encoded"},
		{"several hosts", to("redis://h1,h2"), "redis.url", "redis+sentinel"},
		{"named database", to("redis://h/zero"), "redis.url", "number of the database"},
		{"sentinel without master", to("redis+sentinel://h1,h2"), "redis.url", "master"},
		{"cluster with database", to("redis+cluster://h1,h2/1"), "redis.url", "no databases"},
		{"relative socket", to("unix://run/redis.sock"), "redis.url", "absolute"},
		{"space", to("redis://h "), "redis.url", "spaces"},
		{"shortest lease", lease(5 * time.Second), "", ""},
		{"longest lease", lease(2 * time.Minute), "", ""},
		{"lease too short", lease(5*time.Second - 1), "redis.lease", "ack"},
		{"lease too long", lease(2*time.Minute + 1), "redis.lease", "first retry"},
		{"retention", func(c *config.Config) { c.Redis.Retention = 26*time.Hour - 1 }, "redis.retention", "24h22m"},
		{"policy", func(c *config.Config) { c.Redis.OnUnavailable = "drop" }, "redis.on_unavailable", "publish or refuse"},
	})
}

func TestValidateNATS(t *testing.T) {
	t.Parallel()
	to := func(u string) func(*config.Config) { return func(c *config.Config) { c.NATS.URL = u } }
	replicas := func(u string, n int) func(*config.Config) {
		return func(c *config.Config) { c.NATS.URL, c.NATS.Replicas = u, n }
	}
	run(t, []spoiled{
		{"token", to("nats://token@h"), "", ""},
		{"several", to("nats://u:p@h1:4222, tls://h2"), "", ""},
		{"websockets", to("wss://h1/nats,ws://h2"), "", ""},
		{"raw slash in password", to("wss://u:1/x@h"), "nats.url", "percent-encoded"},
		{"mixed", to("wss://h1,nats://h2"), "nats.url", "mixes"},
		{"no scheme", to("nats://h1,h2"), "nats.url", "URL 2 of 2"},
		{"other scheme", to("http://h1"), "nats.url", "wss"},
		{"no host", to("nats://u:p@"), "nats.url", "host"},
		{"comma in password", to("nats://u:1,tls://x@h"), "", ""},
		{"trailing comma", to("nats://h,"), "nats.url", "URL 2 of 2"},
		{"three", replicas("nats://h", 3), "", ""},
		{"five", replicas("nats://h", 5), "", ""},
		{"none", replicas("nats://h", 0), "nats.replicas", "1, 3 or 5"},
		{"two", replicas("nats://h", 2), "nats.replicas", "even"},
		{"seven", replicas("nats://h", 7), "nats.replicas", "1, 3 or 5"},
		{"three of one", replicas("", 3), "nats.replicas", "single node"},
		{"age", func(c *config.Config) { c.NATS.MaxAge = 26*time.Hour - 1 }, "nats.max_age", "window"},
		{"bytes", func(c *config.Config) { c.NATS.MaxBytes = -1 }, "nats.max_bytes", "60 %"},
		{"no directory", func(c *config.Config) { c.NATS.Embedded.Dir = "" }, "nats.embedded.dir", "directory"},
		{"no directory needed", func(c *config.Config) { c.NATS.URL, c.NATS.Embedded.Dir = "nats://h", "" }, "", ""},
	})
}

func TestValidateRest(t *testing.T) {
	t.Parallel()
	base := func(dev bool, u string) func(*config.Config) {
		return func(c *config.Config) { c.Dev, c.OpenAPI.BaseURL = dev, u }
	}
	run(t, []spoiled{
		{"base", base(false, "https://openapi.example.com/v3"), "", ""},
		{"http for development", base(true, "http://127.0.0.1:1"), "", ""},
		{"http", base(false, "http://127.0.0.1:1"), "openapi.base_url", "dev: true"},
		{"no base", base(false, ""), "openapi.base_url", "scheme"},
		{"other base", base(true, "ftp://h"), "openapi.base_url", "https"},
		{"base with query", base(false, "https://h/?a=b"), "openapi.base_url", "query"},
		{"base with user", base(false, "https://u:p@h"), "openapi.base_url", "user"},
		{"base without host", base(false, "https://"), "openapi.base_url", "host"},
		{"level", func(c *config.Config) { c.Log.Level = "INFO" }, "log.level", "trace, debug, info, warn or error"},
		{"format", func(c *config.Config) { c.Log.Format = "text" }, "log.format", "json or console"},
	})
}
