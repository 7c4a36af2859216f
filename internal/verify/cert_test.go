package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/verify"
)

// issuer is a name whose order the library would change when it writes it: it
// is given as a raw sequence, in the order of Alipay's authorities.
var issuer = pkix.RDNSequence{
	{{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "CN"}},
	{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Ant Financial"}},
	{{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "Certification Authority"}},
	{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Ant Financial Certification Authority Class 2 R1"}},
}

// certificate makes a certificate of a key, signed by some authority.
func certificate(t *testing.T, names pkix.RDNSequence, key any, isCA bool) *x509.Certificate {
	t.Helper()
	rawIssuer, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: rawIssuer, IsCA: true, BasicConstraintsValid: true}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(0x1234567), 64),
		Subject:      pkix.Name{CommonName: "支付宝(中国)网络技术有限公司"},
		NotBefore:    time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2029, 1, 2, 3, 4, 5, 0, time.UTC),
		IsCA: isCA, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, authority)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParseCertificate(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, issuer, &key.PublicKey, false)
	other := certificate(t, issuer, &key.PublicKey, true)
	file := bytes.Join([][]byte{
		[]byte("a line before\n"),
		pemBlock("CERTIFICATE", []byte("an SM2 certificate, which Go cannot read")),
		pemBlock("CERTIFICATE", cert.Raw),
		pemBlock("CERTIFICATE", other.Raw), // the intermediate
	}, nil)
	got, err := verify.ParseCertificate(file)
	if err != nil {
		t.Fatal(err)
	}
	wantID, err := verify.KeyID(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte("CN=Ant Financial Certification Authority Class 2 R1,OU=Certification Authority,O=Ant Financial,C=CN" + cert.SerialNumber.String()))
	want := verify.Certificate{
		PublicKey: verify.PublicKey{ID: wantID, Key: got.Key},
		SN:        hex.EncodeToString(sum[:]), NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
	if got != want || !got.Key.Equal(&key.PublicKey) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The issuer's names are written in reverse order as RFC 2253 says, whatever
// their types and however they are grouped.
func TestSerialNumberOfOddNames(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	names := pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: `#a, "b" + c; <d> \ e `}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "one"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "two"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "CN"}},
	}
	cert := certificate(t, names, &key.PublicKey, false)
	got, err := verify.SerialNumber(cert)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(`C=CN,O=one+OU=two,CN=\#a\, \"b\" \+ c\; \<d\> \\ e\ ` + cert.SerialNumber.String()))
	if want := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	t.Parallel()
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&good.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		file       []byte
	}{
		{"nothing", "no PEM certificate", nil},
		{"text", "no PEM certificate", []byte("not a certificate")},
		{"a public key", "belongs in alipay_public_keys", pemBlock("PUBLIC KEY", public)},
		{"a private key", "this is a private key", pemBlock("PRIVATE KEY", private)},
		{"an authority", "not alipayRootCert.crt", pemBlock("CERTIFICATE", certificate(t, issuer, &good.PublicKey, true).Raw)},
		{"a short key", "1024 bits", pemBlock("CERTIFICATE", certificate(t, issuer, &short.PublicKey, false).Raw)},
		{"an elliptic curve", "has an RSA key", pemBlock("CERTIFICATE", certificate(t, issuer, &curve.PublicKey, false).Raw)},
		{"only what cannot be read", "none of the 1 certificates", pemBlock("CERTIFICATE", []byte("x"))},
	}
	for _, tt := range tests {
		if _, err := verify.ParseCertificate(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}
