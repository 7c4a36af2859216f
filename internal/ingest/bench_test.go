package ingest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// BenchmarkDecide is what a notification of 1 KB costs before anything is
// stored, beside the signature check alone, which nobody can save. The rule is
// remembered, so that the second candidate is as cheap as the first; without a
// memory it costs one check more.
func BenchmarkDecide(b *testing.B) {
	body := func(b *testing.B, h *harness, rule alipaytest.Rule) []byte {
		n := h.notification("voucher.created", alipaytest.Options{Signing: alipaytest.Signing{Rule: rule}})
		n.SetPayload("remark", "")
		n.SetPayload("remark", strings.Repeat("x", 1024-len(h.form(n).Encode())))
		return h.form(n).Encode()
	}
	for _, bench := range []struct {
		name   string
		rule   alipaytest.Rule
		forget bool // a new verifier each time
	}{
		{"first candidate", alipaytest.KeepSignType, false},
		{"second candidate, remembered", alipaytest.DropSignType, false},
		{"second candidate, new", alipaytest.DropSignType, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			h := newHarness(b)
			req := ingest.Request{Body: body(b, h, bench.rule), ReceivedAt: h.now}
			keys := h.app.Verifier.Keys()
			b.ReportAllocs()
			b.SetBytes(int64(len(req.Body)))
			for b.Loop() {
				if bench.forget {
					v, err := verify.New(keys, []verify.SignType{verify.RSA2})
					if err != nil {
						b.Fatal(err)
					}
					h.app.Verifier = v
					h.pipeline.SetApps(h.app)
				}
				var res ingest.Result
				if _, err := h.pipeline.Decide(req, &res); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("the signature alone", func(b *testing.B) {
		h := newHarness(b)
		form, err := verify.ParseForm(body(b, h, alipaytest.KeepSignType))
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256([]byte(form.SigningString(verify.Rule{SignType: verify.KeepSignType})))
		sig, err := base64.StdEncoding.DecodeString(form.Get("sign"))
		if err != nil {
			b.Fatal(err)
		}
		key := h.app.Verifier.Keys()[0].Key
		b.ReportAllocs()
		for b.Loop() {
			if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}
