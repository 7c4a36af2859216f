package ingest_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

func aesKey(tb testing.TB, raw []byte) verify.AESKey {
	tb.Helper()
	key, err := verify.ParseAESKey([]byte(base64.StdEncoding.EncodeToString(raw)))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func TestIngestEncrypted(t *testing.T) {
	t.Parallel()
	old, now, other := alipaytest.NewAESKey(), alipaytest.NewAESKey(), alipaytest.NewAESKey()
	tests := []struct {
		name    string
		key     []byte // Alipay's
		keys    [][]byte
		outcome ingest.Outcome
		reason  string
	}{
		{"the only key", now, [][]byte{now}, ingest.Accepted, ""},
		{"the second key, while rotating", now, [][]byte{old, now}, ingest.Accepted, ""},
		{"the wrong key", other, [][]byte{old, now}, refused, "undecryptable"},
		{"no key", now, nil, refused, "undecryptable"},
		{"keys, and plain content", nil, [][]byte{old, now}, ingest.Accepted, ""},
	}
	for _, tt := range tests {
		for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK} {
			t.Run(tt.name+"/"+string(charset), func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				for _, k := range tt.keys {
					h.app.AESKeys = append(h.app.AESKeys, aesKey(t, k))
				}
				h.pipeline.SetApps(h.app)
				n := h.notification("voucher.created", alipaytest.Options{
					AESKey: tt.key, Charset: charset, Payload: []alipaytest.Field{{Name: "remark", Value: "券" + marker}},
				})
				before := h.once.calls() + h.stream.called()
				res := h.ingest(h.form(n).Encode())
				h.want(res, tt.outcome, tt.reason)
				h.wantSilent(res, n.Payload("activity_id"))
				if tt.outcome != ingest.Accepted {
					if h.once.calls()+h.stream.called() != before {
						t.Error("a store was asked")
					}
					return
				}
				e := h.stream.events()[0]
				if !strings.Contains(string(e.Data), "券"+marker) || e.Kind != "voucher.created" || e.Key != n.Payload("activity_id") {
					t.Errorf("event %s %s: %s", e.Kind, e.Key, e.Data)
				}
			})
		}
	}
}

// Documented samples say encrypt_type=AES beside a plain object (PROTOCOL.md
// 1.2), and so does a message while the operator switches encryption on.
func TestIngestPlainUnderEncryptType(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]verify.AESKey{"without a key": nil, "with a key": {aesKey(t, alipaytest.NewAESKey())}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.app.AESKeys = keys
			h.pipeline.SetApps(h.app)
			n := h.notification("voucher.created", alipaytest.Options{})
			n.Set("encrypt_type", "AES")
			h.want(h.ingest(h.form(n).Encode()), ingest.Accepted, "")
			if e := h.stream.events()[0]; e.Kind != "voucher.created" {
				t.Errorf("kind %s", e.Kind)
			}
		})
	}
}

// The same content is the same notification, encrypted or not: while encryption
// is switched on a retry may come in the other form.
func TestIngestEncryptedRetryOfPlain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	key := alipaytest.NewAESKey()
	h.app.AESKeys = []verify.AESKey{aesKey(t, key)}
	h.pipeline.SetApps(h.app)
	h.want(h.ingest(h.form(h.notification("order.received", alipaytest.Options{NotifyID: "n"})).Encode()), ingest.Accepted, "")
	h.want(h.ingest(h.form(h.notification("order.received", alipaytest.Options{NotifyID: "n", AESKey: key})).Encode()), ingest.Duplicate, "")
}
