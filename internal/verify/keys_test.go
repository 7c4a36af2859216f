package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// block is DER as PEM.
func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// wrap breaks text into lines of n characters.
func wrap(text, lineEnd string, n int) string {
	var out strings.Builder
	for len(text) > n {
		out.WriteString(text[:n] + lineEnd)
		text = text[n:]
	}
	return out.String() + text
}

// spki is the DER of a public key that Go's library can encode.
func spki(t *testing.T, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestParsePublicKey: one key in every shape that it gets copied in, and the
// same id each time.
func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	der := spki(t, key.Public())
	bare := base64.StdEncoding.EncodeToString(der)
	pkcs1 := x509.MarshalPKCS1PublicKey(key.Public())
	text := string(block("PUBLIC KEY", der))
	crlf := strings.ReplaceAll(text, "\n", "\r\n")
	want, err := verify.KeyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, data string }{
		{"PEM", text},
		{"PEM without the last line break", strings.TrimSpace(text)},
		{"PEM with CRLF", crlf},
		{"PEM with text before and after", "the key of app 1\n\n" + text + "\nthe end\n"},
		{"PEM with a byte order mark", "\ufeff" + text},
		{"PEM with a byte order mark and CRLF", "\ufeff" + crlf},
		{"PEM on one long line", "-----BEGIN PUBLIC KEY-----\n" + bare + "\n-----END PUBLIC KEY-----\n"},
		{"PKCS #1 as PEM", string(block("RSA PUBLIC KEY", pkcs1))},
		{"PKCS #1 under the wrong name", string(block("PUBLIC KEY", pkcs1))},
		{"SPKI under the wrong name", string(block("RSA PUBLIC KEY", der))},
		{"base64 on one line", bare},
		{"base64 with a line break behind", bare + "\r\n"},
		{"base64 in lines of 64", wrap(bare, "\n", 64)},
		{"base64 in lines of 76 with CRLF", wrap(bare, "\r\n", 76)},
		{"base64 in odd pieces", " \t" + wrap(bare, " \t\r\n\v\f ", 7) + "\n\n"},
		{"base64 with the spaces of web pages and Chinese text", "\u00a0\u3000" + wrap(bare, "\u00a0", 100) + "\u3000"},
		{"base64 with a byte order mark", "\ufeff" + bare},
		{"PKCS #1 as base64", base64.StdEncoding.EncodeToString(pkcs1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify.ParsePublicKey([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if !got.Key.Equal(key.Public()) || got.ID != want || got.Development {
				t.Errorf("same key %v, id %s, development %v; want true, %s, false", got.Key.Equal(key.Public()), got.ID, got.Development, want)
			}
		})
	}
}

// The ids of these keys were computed by openssl (testdata/generate.sh) and by
// the JDK (testdata/generate-second.sh).
func TestKeyIDIsThatOfOthers(t *testing.T) {
	t.Parallel()
	ids := listed(t, "key-ids.list")
	maps.Copy(ids, listed(t, "second-key-ids.list"))
	if len(ids) != 5 {
		t.Fatalf("%d keys, want 5", len(ids))
	}
	for file, want := range ids {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := verify.ParsePublicKey(data)
		if err != nil || got.ID != want {
			t.Errorf("%s: got %q, %v, want %q", file, got.ID, err, want)
		}
		// The shape in which the key comes does not change its name.
		again, err := verify.ParsePublicKey([]byte(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(got.Key))))
		if err != nil || again.ID != want {
			t.Errorf("%s as PKCS #1: got %q, %v, want %q", file, again.ID, err, want)
		}
	}
}

func TestParsePublicKeyTellsDevelopmentKeys(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	if verify.DevelopmentMarker != alipaytest.DevelopmentMarker {
		t.Errorf("two markers: %q and %q", verify.DevelopmentMarker, alipaytest.DevelopmentMarker)
	}
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"as it is made", key.DevelopmentPublicPEM()},
		{"with CRLF", bytes.ReplaceAll(key.DevelopmentPublicPEM(), []byte("\n"), []byte("\r\n"))},
		{"with a byte order mark", append([]byte("\ufeff"), key.DevelopmentPublicPEM()...)},
		{"the marker behind the key", append(key.PublicPEM(), verify.DevelopmentMarker...)},
	} {
		got, err := verify.ParsePublicKey(tt.data)
		if err != nil || !got.Development {
			t.Errorf("%s: development %v, %v", tt.name, got.Development, err)
		}
	}
}

// TestParsePublicKeyRefuses: what is given by mistake is named, and nothing of
// a private key is repeated in the error.
func TestParsePublicKeyRefuses(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, edwardsPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(private)
	pkcs8, cert := pkcs8Of(t, private), certificateOf(t, private)
	sec1, err := x509.MarshalECPrivateKey(elliptical)
	if err != nil {
		t.Fatal(err)
	}
	good := block("PUBLIC KEY", spki(t, private.Public()))
	bare := base64.StdEncoding.EncodeToString
	twice := func(second []byte) string { return string(good) + string(second) }

	for _, tt := range []struct{ name, data, say string }{
		{"private key, PKCS #1", string(block("RSA PRIVATE KEY", pkcs1)), "this is a private key"},
		{"private key, PKCS #8", string(block("PRIVATE KEY", pkcs8)), "this is a private key"},
		{"private key, encrypted", string(block("ENCRYPTED PRIVATE KEY", pkcs8)), "this is a private key"},
		{"private key, EC", string(block("EC PRIVATE KEY", sec1)), "this is a private key"},
		{"private key, PKCS #1, bare", wrap(bare(pkcs1), "\n", 64), "this is a private key"},
		{"private key, PKCS #8, bare", bare(pkcs8), "this is a private key"},
		{"private key, PKCS #8, EC, bare", bare(pkcs8Of(t, elliptical)), "this is a private key"},
		{"private key, PKCS #8, Ed25519, bare", bare(pkcs8Of(t, edwardsPrivate)), "this is a private key"},
		{"private key under the name of a public one", string(block("PUBLIC KEY", pkcs8)), "this is a private key"},
		{"certificate", string(block("CERTIFICATE", cert)), "this is a certificate"},
		{"certificate, bare", bare(cert), "this is a certificate"},
		{"certificate request", string(block("CERTIFICATE REQUEST", cert)), `unknown PEM block "CERTIFICATE REQUEST"`},
		{"EC", string(block("PUBLIC KEY", spki(t, elliptical.Public()))), "*ecdsa.PublicKey"},
		{"EC, bare", bare(spki(t, elliptical.Public())), "*ecdsa.PublicKey"},
		{"Ed25519", string(block("PUBLIC KEY", spki(t, edwards))), "ed25519.PublicKey"},
		{"1024 bits", string(block("PUBLIC KEY", spki(t, small.Public()))), "1024 bits; at least 2048"},
		{"1024 bits, PKCS #1, bare", bare(x509.MarshalPKCS1PublicKey(&small.PublicKey)), "1024 bits; at least 2048"},

		{"nothing", "", "neither PEM nor bare base64"},
		{"white space", " \r\n\t", "neither PEM nor bare base64"},
		{"a byte order mark alone", "\ufeff", "neither PEM nor bare base64"},
		{"text", "no key at all", "neither PEM nor bare base64"},
		{"a path", "/keys/alipay.pem", "neither PEM nor bare base64"},
		{"base64 of something else", bare([]byte("no key at all")), "not an RSA public key"},
		{"an empty PEM block", string(block("PUBLIC KEY", nil)), "not an RSA public key"},
		{"a cut key", bare(spki(t, private.Public())[:290]), "not an RSA public key"},
		{"a key with bytes behind it", bare(append(spki(t, private.Public()), 0)), "not an RSA public key"},
		{"PEM without an end", string(good[:200]), "neither PEM nor bare base64"},
		{"DER", string(spki(t, private.Public())), "neither PEM nor bare base64"},
		{"UTF-16", "\xff\xfeM\x00I\x00I\x00", "neither PEM nor bare base64"},

		// Only the first block of a file was read: of two keys pasted into one
		// file for a rotation the second was silently not there, and a private
		// key behind the public one was not noticed.
		{"two keys in one file", twice(good), "one file holds one key"},
		{"a private key behind the public one", twice(block("PRIVATE KEY", pkcs8)), "one file holds one key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify.ParsePublicKey([]byte(tt.data))
			if err == nil || got.Key != nil {
				t.Fatalf("taken: %+v", got)
			}
			if !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %q, want it to say %q", err, tt.say)
			}
			if len(err.Error()) > 200 {
				t.Errorf("the error is long enough to hold a piece of the file: %q", err)
			}
		})
	}
}

func pkcs8Of(t *testing.T, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func certificateOf(t *testing.T, private *rsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: sentAt}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
