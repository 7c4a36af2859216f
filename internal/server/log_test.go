package server_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
	"alipay-notify/internal/verify"
)

var alipayKey = sync.OnceValues(func() (*alipaytest.Key, error) { return alipaytest.GenerateKey(2048) })

func testKey(tb testing.TB) *alipaytest.Key {
	tb.Helper()
	key, err := alipayKey()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func newAppVerifier(tb testing.TB) *verify.Verifier {
	tb.Helper()
	key, err := verify.ParsePublicKey(testKey(tb).PublicPEM())
	if err != nil {
		tb.Fatal(err)
	}
	v, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// publisher stores nothing and says yes, or err.
type publisher struct{ err error }

func (p publisher) Publish(context.Context, events.Event) (events.Receipt, error) {
	return events.Receipt{Sequence: 7, Place: "1/7"}, p.err
}

func (publisher) Fingerprint(context.Context, uint64) (string, error) {
	return "", errors.New("not asked for")
}

// newWhole is an endpoint over a whole pipeline.
func newWhole(tb testing.TB, p publisher, change ...func(*server.Options)) *fixture {
	tb.Helper()
	pipeline := ingest.New(ingest.Options{Once: dedupe.Stream{}, Publisher: p}, ingest.App{
		ID: alipaytest.DefaultAppID, Verifier: newAppVerifier(tb),
	})
	return newFixture(tb, &ingester{answer: pipeline.Ingest}, change...)
}

// secret stands in everything that must not be logged.
const secret = "SECRET"

func notification(tb testing.TB, opts alipaytest.Options) alipaytest.Form {
	tb.Helper()
	opts.Key = testKey(tb)
	opts.Payload = append(opts.Payload, alipaytest.Field{Name: "remark", Value: secret}, alipaytest.Field{Name: "activity_id", Value: secret})
	n, err := alipaytest.New("voucher.created", opts)
	if err != nil {
		tb.Fatal(err)
	}
	form, err := n.Form(time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return form
}

// A genuine notification is logged by its envelope alone.
func TestLogGenuine(t *testing.T) {
	t.Parallel()
	form := notification(t, alipaytest.Options{NotifyID: "genuine-id"})
	sign, _ := form.Get("sign")
	tests := []struct {
		name string
		err  error
		want map[string]any
	}{
		{"stored", nil, map[string]any{"outcome": "accepted", "level": "info", "status": 200.0, "sequence": 7.0}},
		{"not stored", errors.New("a bug"), map[string]any{"outcome": "internal", "level": "error", "status": 500.0, "error": "a bug"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newWhole(t, publisher{tt.err})
			r := post(path, string(form.Encode()))
			r.RemoteAddr = "192.0.2.7:4711"
			f.do(r)
			f.lastLine(1, tt.want)
			f.lastLine(1, map[string]any{
				"source": "192.0.2.7", "app_id": alipaytest.DefaultAppID, "event_id": "genuine-id", "kind": "voucher.created",
				"type": "alipay.marketing.activity.message.created", "rule": "keep-sign-type,keep-empty",
				"bytes": float64(len(form.Encode())), "message": "notification", "dedupe_unasked": true,
			})
			f.wantUnsaid(secret, sign[:20])
		})
	}
}

func (f *fixture) wantUnsaid(words ...string) {
	f.Helper()
	for _, w := range words {
		if strings.Contains(f.log.String(), w) {
			f.Errorf("the log holds %q: %s", w, f.log)
		}
	}
}

// Of what was not proved nothing is logged that its sender chose.
func TestLogForged(t *testing.T) {
	t.Parallel()
	form := notification(t, alipaytest.Options{NotifyID: secret})
	tests := []struct {
		name, reason string
		form         alipaytest.Form
	}{
		{"content", "bad_signature", form.With("biz_content", `{"`+secret+`":"changed"}`)},
		{"method", "bad_signature", form.With("msg_method", secret)},
		{"signature", "signature_format", form.With("sign", secret)},
		{"app", "unknown_app", form.With("app_id", "99999999")},
		{"grammar", "bad_notify_id", form.With("notify_id", secret+"\n{}")},
		{"repeated", "repeated_field", append(form, form[0])},
	}
	for _, tt := range tests {
		f := newWhole(t, publisher{})
		r := post(path+"/"+secret+"?"+secret, string(tt.form.Without("nothing").Encode()))
		if tt.reason != "unknown_app" {
			r = post(path+"?"+secret, string(tt.form.Encode()))
		}
		r.Header.Set("X-Forwarded-For", secret)
		r.Header.Set("User-Agent", secret)
		r.Header.Set("Content-Type", "text/"+secret)
		f.do(r)
		if tt.reason == "unknown_app" {
			tt.reason = "app_mismatch"
		}
		f.lastLine(1, map[string]any{"reason": tt.reason, "level": "warn", "source": "192.0.2.1"})
		f.wantUnsaid(secret, "99999999")
	}
}

// A quiet log level leaves out what went well, and no failure.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{}, func(o *server.Options) { o.Log = o.Log.Level(zerolog.WarnLevel) })
	f.want(f.do(post(path, "a=b")), 200, "success")
	if f.log.String() != "" {
		t.Errorf("logged %s", f.log)
	}
	f.do(post(path, strings.Repeat("x", maxBody+1)))
	f.lastLine(1, map[string]any{"outcome": "too_large", "level": "error", "reason": "body"})
}

func network(tb testing.TB, cidr string) *net.IPNet {
	tb.Helper()
	_, n, err := net.ParseCIDR(cidr)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// The source is the connection's, unless a proxy that we are told to trust says
// whose it is; then it is the right-most address that is not such a proxy's.
// What stands left of it anybody can have written.
func TestSource(t *testing.T) {
	t.Parallel()
	trust := []string{"10.0.0.0/8", "fd00::/8"}
	tests := []struct {
		name    string
		trusted []string
		remote  string
		xff     []string
		want    string
	}{
		{"nothing is trusted", nil, "192.0.2.7:1", []string{"198.51.100.1"}, "192.0.2.7"},
		{"nothing is trusted, not even the loopback", nil, "127.0.0.1:1", []string{"198.51.100.1"}, "127.0.0.1"},
		{"a stranger says he is a proxy", trust, "192.0.2.7:1", []string{"198.51.100.1"}, "192.0.2.7"},
		{"private networks are not trusted unless named", trust, "192.168.1.1:1", []string{"198.51.100.1"}, "192.168.1.1"},
		{"nor is the loopback", trust, "127.0.0.1:1", []string{"198.51.100.1"}, "127.0.0.1"},
		{"nor is what is link-local", trust, "169.254.0.1:1", []string{"198.51.100.1"}, "169.254.0.1"},
		{"a proxy", trust, "10.1.1.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy, and no header", trust, "10.1.1.1:1", nil, "10.1.1.1"},
		{"two proxies", trust, "10.1.1.1:1", []string{"198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"a spoofed address in front", trust, "10.1.1.1:1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"a spoofed proxy in front", trust, "10.1.1.1:1", []string{"10.9.9.9, 198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"a spoofed header of its own", trust, "10.1.1.1:1", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"nonsense", trust, "10.1.1.1:1", []string{secret}, "10.1.1.1"},
		{"nonsense in front", trust, "10.1.1.1:1", []string{secret + ", 198.51.100.1"}, "198.51.100.1"},
		{"IPv6", trust, "[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, &ingester{}, func(o *server.Options) {
				for _, cidr := range tt.trusted {
					o.TrustedProxies = append(o.TrustedProxies, network(t, cidr))
				}
			})
			r := post(path, "a=b")
			r.RemoteAddr = tt.remote
			r.Header["X-Forwarded-For"] = tt.xff
			r.Header.Set("X-Real-Ip", "203.0.113.66")
			r.Header.Set("Forwarded", "for=203.0.113.66")
			f.do(r)
			f.lastLine(1, map[string]any{"source": tt.want})
			if got := f.ingester.requests()[0].Source; got != tt.want {
				t.Errorf("the pipeline was told %q", got)
			}
		})
	}
}

// One line a request, whatever is in it.
func TestLogIsOneLine(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(ingest.Result{Outcome: "internal", Err: errors.New("a\nb\r\n\"c\"")}))
	f.do(post(path, "a=b"))
	if n := bytes.Count([]byte(f.log.String()), []byte("\n")); n != 1 {
		t.Errorf("%d lines: %s", n, f.log)
	}
}
