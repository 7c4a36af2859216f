package dedupe_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
)

func TestOpen(t *testing.T) {
	ca, _ := testCA(t)
	tests := []struct {
		url  string
		ca   []byte
		want string // kind of client and where it goes
	}{
		{"redis://", nil, "single localhost:6379/0"},
		{"redis://h", nil, "single h:6379/0"},
		{"redis://u:p%2Fw@h:1/2", nil, "single u p/w h:1/2"},
		{"redis://h:1?db=3", nil, "single h:1/3"},
		{"rediss://h:1/2", ca, "single h:1/2 tls=h"},
		{"rediss://h:1/2", nil, "single h:1/2 tls=h"},
		{"unix:///run/redis.sock?db=1", nil, "single /run/redis.sock/1"},
		{"redis+sentinel://h1,h2:2/m", nil, "sentinel FailoverClient/0"},
		{"redis+sentinel://u:p@h1,[::1]:2/m/3", nil, "sentinel u p FailoverClient/3"},
		{"rediss+sentinel://h1/m?sentinel_password=x", ca, "sentinel FailoverClient/0 tls="},
		{"redis+cluster://h1,h2:2", nil, "cluster h1:6379,h2:2"},
		{"redis+cluster://u:p@h1:1/", nil, "cluster u p h1:1"},
		{"rediss+cluster://h1,[fe80::1]", ca, "cluster h1:6379,[fe80::1]:6379 tls="},
	}
	for _, tt := range tests {
		client, err := dedupe.Open(tt.url, tt.ca)
		if err != nil {
			t.Errorf("Open(%q): %v", tt.url, err)
			continue
		}
		if got := describe(t, client); got != tt.want {
			t.Errorf("Open(%q) = %q, want %q", tt.url, got, tt.want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

// describe also checks what must be set in every topology.
func describe(t *testing.T, client redis.UniversalClient) string {
	t.Helper()
	var out []string
	add := func(s ...string) {
		out = append(out, slices.DeleteFunc(s, func(s string) bool { return s == "" })...)
	}
	var tlsConfig *tls.Config
	switch c := client.(type) {
	case *redis.Client:
		o := c.Options()
		kind := "single"
		if o.Addr == "FailoverClient" {
			kind = "sentinel"
		}
		add(kind, o.Username, o.Password, o.Addr+"/"+string(rune('0'+o.DB)))
		tlsConfig = o.TLSConfig
		if !o.ContextTimeoutEnabled || o.PoolSize != 32 || o.MaxRetries != 2 || o.DialerRetries != 1 || o.Protocol != 2 || !o.DisableIdentity || o.DialTimeout != 2*time.Second {
			t.Errorf("options %+v", o)
		}
	case *redis.ClusterClient:
		o := c.Options()
		add("cluster", o.Username, o.Password, strings.Join(o.Addrs, ","))
		tlsConfig = o.TLSConfig
		if !o.ContextTimeoutEnabled || o.PoolSize != 32 || o.MaxRedirects != 3 || o.DialerRetries != 1 || o.Protocol != 2 || !o.DisableIdentity {
			t.Errorf("options %+v", o)
		}
	}
	if tlsConfig != nil {
		add("tls=" + tlsConfig.ServerName)
		if tlsConfig.MinVersion != tls.VersionTLS12 || tlsConfig.InsecureSkipVerify {
			t.Error("TLS is weak")
		}
	}
	return strings.Join(out, " ")
}

// TestOpenErrors: each of these is refused, and none of the errors, nor the
// redacted URL, shows the password.
func TestOpenErrors(t *testing.T) {
	ca, _ := testCA(t)
	tests := []struct {
		url, want string
		ca        []byte
	}{
		{"", "no scheme", nil},
		{"h:6379", "no scheme", nil},
		{"http://u:hunter2@h", "unknown scheme", nil},
		{"hunter2://h", "unknown scheme", nil},
		{"redis://u:hunter2@h:x", "cannot be parsed", nil},
		{"redis://u:hunter2@h/zero", "cannot be parsed", nil},
		{"redis://u:hunter2%zz@h", "cannot be parsed", nil},
		{"redis://u:hun\nhunter2@h", "cannot be parsed", nil},
		{"redis://u:hunter2@h?pool_size=x", "cannot be parsed", nil},
		{"redis://u:/hunter2@h", "percent-encode", nil},
		{"redis://u/hunter2@h", "percent-encode", nil},
		{"redis://u?hunter2@h", "percent-encode", nil},
		{"redis://u#hunter2@h", "percent-encode", nil},
		{"redis://h/zero", "invalid database number", nil},
		{"redis://h?nonsense=hunter2", "unexpected option: nonsense", nil},
		{"rediss://h?skip_verify=true", "skip_verify", nil},
		{"redis://h", "use rediss", ca},
		{"rediss://h", "no certificate", []byte("nonsense")},
		{"redis+sentinel://u:hunter2@h", "no master", nil},
		{"redis+sentinel://u:hunter2@h/m/zero", "cannot be parsed", nil},
		{"redis+sentinel://u:hunter2@/m", "host", nil},
		{"redis+sentinel://u:hunter2@h1,,h2/m", "host", nil},
		{"redis+sentinel://h:99999/m", "host", nil},
		{"redis+sentinel://::1/m", "brackets", nil},
		{"redis+sentinel://h/m?sentinel_password=%zzhunter2", "percent-encoded", nil},
		{"redis+cluster://u:hunter2@h/3", "no databases", nil},
		{"redis+cluster://u:hunter2@h?db=3", "no databases", nil},
		{"rediss+cluster://h", "no certificate", []byte("nonsense")},
	}
	for _, tt := range tests {
		client, err := dedupe.Open(tt.url, tt.ca)
		if err == nil {
			t.Errorf("Open(%q) succeeded", tt.url)
			_ = client.Close()
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q): %v; want %q, and not the password", tt.url, err, tt.want)
		}
		if got := dedupe.Redact(tt.url); strings.Contains(got, "hunter2") {
			t.Errorf("Redact(%q) = %q", tt.url, got)
		}
	}
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"redis://u:p@h:1/2":                            "redis://***@h:1/2",
		"redis+sentinel://h1,h2/m?sentinel_password=x": "redis+sentinel://h1,h2/m?***",
		"unix:///run/redis.sock":                       "unix:///run/redis.sock",
		"redis://u:p/w@h":                              "***",
		"nonsense":                                     "***",
	} {
		if got := dedupe.Redact(url); got != want {
			t.Errorf("Redact(%q) = %q, want %q", url, got, want)
		}
	}
}

// TestOpenTLS: the given authority is trusted, and without it nobody is.
func TestOpenTLS(t *testing.T) {
	ca, cert := testCA(t)
	server := miniredis.NewMiniRedis()
	if err := server.StartTLS(&tls.Config{Certificates: []tls.Certificate{cert}}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, scheme := range []string{"rediss://", "rediss+cluster://"} {
		for _, trusted := range []bool{true, false} {
			bundle := ca
			if !trusted {
				bundle = nil
			}
			client, err := dedupe.Open(scheme+server.Addr(), bundle)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Ping(t.Context()).Err(); (err == nil) != trusted {
				t.Errorf("%s, trusted %v: %v", scheme, trusted, err)
			}
			_ = client.Close()
		}
	}
}

// testCA borrows the certificate that the standard library keeps for tests: it is
// its own authority, and good for 127.0.0.1.
func testCA(t *testing.T) ([]byte, tls.Certificate) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), s.TLS.Certificates[0]
}
