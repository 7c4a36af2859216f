package verify_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// benchBody is a notification of about 1 KB as it is posted, signed with a key
// of 2048 bits.
func benchBody(b *testing.B, key *alipaytest.Key, rule alipaytest.Rule) []byte {
	b.Helper()
	n, err := alipaytest.New("voucher.received", alipaytest.Options{
		Key: key, Signing: alipaytest.Signing{Rule: rule}, Time: sentAt, Rand: rand.New(rand.NewPCG(1, 2)),
		Payload: []alipaytest.Field{{Name: "memo", Value: "0123456789012345678901234567890123456789012345678901234567890123456789"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	body, err := n.Body(sentAt)
	if err != nil {
		b.Fatal(err)
	}
	if len(body) < 900 || len(body) > 1100 {
		b.Fatalf("the body has %d bytes", len(body))
	}
	return body
}

// BenchmarkVerify: the first candidate fits as a rule, because the rule that
// fitted last is tried first; without that memory drop is the second; and a
// forged form costs all of them.
func BenchmarkVerify(b *testing.B) {
	key := testKeys(b)[0]
	keep := parse(b, benchBody(b, key, alipaytest.KeepSignType))
	drop := parse(b, benchBody(b, key, alipaytest.DropSignType))
	forged := forge(b, keep)
	b.Run("first candidate fits", func(b *testing.B) {
		v := newVerifier(b, rsa2, key)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(keep, "m"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("second candidate fits", func(b *testing.B) {
		v := newVerifier(b, rsa2, key)
		forms := [...]verify.Form{keep, drop} // in turn, so that the hint is always wrong
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := v.Verify(forms[i%2], "m"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("forged", func(b *testing.B) {
		v := newVerifier(b, rsa2, key)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(forged, "m"); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	b.Run("forged, four keys", func(b *testing.B) {
		keys := testKeys(b)
		v := newVerifier(b, rsa2, keys...)
		dearest := forge(b, keep, verify.Field{Name: "z"}) // an empty field doubles the candidates
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(dearest, "m"); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

// forge gives the form a signature that nobody made, and some fields more. The
// number is below every modulus of 2048 bits: one that is not below is refused
// by crypto/rsa before the costly part. Borrowing the signature of another key
// is the one or the other by chance, and once showed a third of the true cost.
func forge(b *testing.B, form verify.Form, more ...verify.Field) verify.Form {
	b.Helper()
	sig := bytes.Repeat([]byte{0x5a}, 256)
	fields := append(fieldsOf(form), more...)
	for i := range fields {
		if fields[i].Name == "sign" {
			fields[i].Value = base64.StdEncoding.EncodeToString(sig)
		}
	}
	forged, err := verify.NewForm(fields...)
	if err != nil {
		b.Fatal(err)
	}
	return forged
}

func BenchmarkParseForm(b *testing.B) {
	body := string(benchBody(b, testKeys(b)[0], alipaytest.KeepSignType))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verify.ParseForm(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareRSA is the part that cannot be saved: one digest and one RSA
// operation of the standard library.
func BenchmarkBareRSA(b *testing.B) {
	key := testKeys(b)[0]
	form := parse(b, benchBody(b, key, alipaytest.KeepSignType))
	text := []byte(form.SigningString(keepEmpty))
	sig, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	if err != nil {
		b.Fatal(err)
	}
	public := key.Public()
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256(text)
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig); err != nil {
			b.Fatal(err)
		}
	}
}
