package ingest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// oneKilobyte is a notification of 1 KB.
func oneKilobyte(h *harness, rule alipaytest.Rule) []byte {
	n := h.notification("voucher.created", alipaytest.Options{Signing: alipaytest.Signing{Rule: rule}})
	n.SetPayload("remark", "")
	n.SetPayload("remark", strings.Repeat("x", 1024-len(h.form(n).Encode())))
	return h.form(n).Encode()
}

// bareVerification is the signature check alone, which nobody can save.
func bareVerification(b *testing.B, h *harness) func() error {
	form, err := verify.ParseForm(string(oneKilobyte(h, alipaytest.KeepSignType)))
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte(form.SigningString(verify.Rule{SignType: verify.KeepSignType})))
	sig, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	if err != nil {
		b.Fatal(err)
	}
	key := h.app.Verifier.Keys()[0].Key
	return func() error { return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) }
}

// BenchmarkDecide is what a notification of 1 KB costs before anything is
// stored. The rule is remembered, so the second candidate is as cheap as the
// first; without a memory it costs one check more.
//
// rsa/op is the same in bare checks of a signature by the same key. Each
// iteration does one of both, so that the noise of the machine is theirs alike.
func BenchmarkDecide(b *testing.B) {
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
			req := ingest.Request{Body: string(oneKilobyte(h, bench.rule)), ReceivedAt: h.now}
			keys := h.app.Verifier.Keys()
			bare := bareVerification(b, h)
			var decisions, checks time.Duration
			for b.Loop() {
				if bench.forget {
					v, err := verify.New(keys, []verify.SignType{verify.RSA2})
					if err != nil {
						b.Fatal(err)
					}
					h.app.Verifier = v
					h.pipeline.SetApps(h.app)
				}
				began := time.Now()
				var res ingest.Result
				_, err := h.pipeline.Decide(req, &res)
				decided := time.Now()
				if err := errors.Join(err, bare()); err != nil {
					b.Fatal(err)
				}
				decisions, checks = decisions+decided.Sub(began), checks+time.Since(decided)
			}
			b.ReportMetric(float64(decisions.Nanoseconds())/float64(b.N), "ns/op")
			b.ReportMetric(float64(decisions)/float64(checks), "rsa/op")
		})
	}
}

// BenchmarkDecideAllocs counts what a decision allocates, for the same.
func BenchmarkDecideAllocs(b *testing.B) {
	h := newHarness(b)
	req := ingest.Request{Body: string(oneKilobyte(h, alipaytest.KeepSignType)), ReceivedAt: h.now}
	b.ReportAllocs()
	b.SetBytes(int64(len(req.Body)))
	for b.Loop() {
		var res ingest.Result
		if _, err := h.pipeline.Decide(req, &res); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareVerification is the measure of the two above.
func BenchmarkBareVerification(b *testing.B) {
	bare := bareVerification(b, newHarness(b))
	b.ReportAllocs()
	for b.Loop() {
		if err := bare(); err != nil {
			b.Fatal(err)
		}
	}
}
