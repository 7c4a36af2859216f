package events_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// A retry is stamped and signed anew, and is still the same notification.
func TestFingerprintOfRetries(t *testing.T) {
	t.Parallel()
	for _, info := range alipaytest.Types() {
		// servicemarket_order_notify has a timestamp beside notify_time. It is
		// none of the six fields that may change, so only a retry that repeats
		// it is known again.
		if info.Protocol == "生活号 gateway" || info.Type == "other.servicemarket_order_notify" {
			continue
		}
		t.Run(info.Type, func(t *testing.T) {
			t.Parallel()
			n := genuine(t, info.Type, 1, alipaytest.Options{})
			first, again := sent(t, n, sentAt), sent(t, n, sentAt.Add(15*time.Hour))
			a, _ := first.Get("sign")
			b, _ := again.Get("sign")
			if a == b {
				t.Fatal("the retry has the same signature: the test is wrong")
			}
			if event(t, first).Fingerprint != event(t, again).Fingerprint {
				t.Error("the retry has another fingerprint")
			}
			other := event(t, sent(t, genuine(t, info.Type, 2, alipaytest.Options{}), sentAt))
			if other.Fingerprint == event(t, first).Fingerprint {
				t.Error("another notification has the same fingerprint")
			}
		})
	}
}

// The fingerprint of a message is of app, type and content, each behind its
// length; of the content as decrypted, whatever was sent.
func TestFingerprintOfMessages(t *testing.T) {
	t.Parallel()
	f := message(created, `{"activity_id":"1"}`)
	base := event(t, f).Fingerprint
	if want := digest(appID, created, `{"activity_id":"1"}`); base != want {
		t.Errorf("got %s, want %s", base, want)
	}
	same := map[string]alipaytest.Form{
		"another id": f.With("notify_id", "other"), "a newer stamp": f.With("utc_timestamp", "1767337445679"),
		"another signature": f.With("sign", "x"), "an unknown field": f.With("x", "y"), "no sign_type": f.Without("sign_type"),
		"another charset name": f.With("charset", "utf-8"), "an authorising app": f.With("auth_app_id", "1"),
	}
	for name, other := range same {
		if event(t, other).Fingerprint != base {
			t.Errorf("%s: another fingerprint", name)
		}
	}
	other := map[string]alipaytest.Form{
		"another app": f.With("app_id", "2021000000000002"), "another type": f.With("msg_method", created+"x"),
		"other content": f.With("biz_content", `{"activity_id":"2"}`), "a space more": f.With("biz_content", `{"activity_id":"1"} `),
		"as flat": f.Without("msg_method").With("notify_type", created),
	}
	for name, form := range other {
		if event(t, form).Fingerprint == base {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
	n := parse(t, f.With("biz_content", "Y2lwaGVydGV4dA==").With("encrypt_type", "AES"))
	e, err := events.NewEvent(n, events.Facts{Content: `{"activity_id":"1"}`, ReceivedAt: receivedAt})
	if err != nil || e.Fingerprint != base {
		t.Errorf("encrypted: %s (%v), want %s", e.Fingerprint, err, base)
	}
}

// A byte that moves from one part to the next makes another fingerprint.
func TestFingerprintIsLengthPrefixed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	add := func(name string, f alipaytest.Form) {
		t.Helper()
		print := event(t, f).Fingerprint
		if other := seen[print]; other != "" {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[print] = name
	}
	add("message 1", message("a.b", `{}`).With("app_id", "12"))
	add("message 2", message("2a.b", `{}`).With("app_id", "1"))
	add("flat 1", flat(field("body", "ab"), field("subject", "c")))
	add("flat 2", flat(field("body", "a"), field("subject", "bc")))
	add("flat 3", flat(field("body", "absubjectc")))
	add("flat 4", flat(field("bodya", "b"), field("subject", "c")))
	add("flat 5", flat(field("bodyabsubject", "c")))
	add("flat 6", flat(field("body", "c"), field("subject", "ab")))
}

// Exactly six fields of a flat notification change from one delivery to the next.
func TestFingerprintOfFlat(t *testing.T) {
	t.Parallel()
	f := flat(field("subject", "noodles"), field("timestamp", "2026-01-02 15:04:05"), field("biz_content", "x"))
	base := event(t, f).Fingerprint
	want := digest("app_id", appID, "biz_content", "x", "notify_id", "2026010200222150405000812345678901",
		"notify_type", "trade_status_sync", "out_trade_no", "T1", "subject", "noodles", "timestamp", "2026-01-02 15:04:05")
	if base != want {
		t.Errorf("got %s, want %s", base, want)
	}
	changed := map[string]string{
		"sign": "x", "sign_type": "RSA", "notify_time": "2026-01-03 15:04:05", "utc_timestamp": "1767337445678",
		"charset": "GBK", "version": "1.1",
	}
	for name, value := range changed {
		if event(t, f.With(name, value)).Fingerprint != base {
			t.Errorf("%s counts", name)
		}
		if name != "sign" && event(t, f.Without(name)).Fingerprint != base {
			t.Errorf("without %s it counts", name)
		}
	}
	for _, other := range f {
		if _, ok := changed[other.Name]; ok {
			continue
		}
		value := "1"
		if other.Name == "timestamp" {
			value = "2026-01-02 15:04:06"
		}
		if event(t, f.With(other.Name, value)).Fingerprint == base {
			t.Errorf("%s does not count", other.Name)
		}
	}
	if event(t, f.With("x", "y")).Fingerprint == base {
		t.Error("an unknown field does not count")
	}
	if event(t, f.With("x", "")).Fingerprint != base {
		t.Error("an empty field counts, which anybody could add")
	}
}

// digest is the contract's words once more: SHA-256 over the parts, each behind
// its length.
func digest(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
