package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"alipay-notify/internal/verify"
)

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := base64.StdEncoding.EncodeToString(pkcs8)
	wrapped = wrapped[:64] + "\r\n " + wrapped[64:] + "\n"
	for name, file := range map[string][]byte{
		"PKCS 8": pemBlock("PRIVATE KEY", pkcs8), "PKCS 1": pemBlock("RSA PRIVATE KEY", pkcs1),
		"bare PKCS 8": []byte(wrapped), "bare PKCS 1": []byte(base64.StdEncoding.EncodeToString(pkcs1)),
	} {
		got, err := verify.ParsePrivateKey(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.PublicBase64() != base64.StdEncoding.EncodeToString(public) {
			t.Errorf("%s: another public half", name)
		}
		if id, err := verify.KeyID(&key.PublicKey); err != nil || got.ID() != id {
			t.Errorf("%s: id %q, want %q (%v)", name, got.ID(), id, err)
		}
		signature, err := got.Sign([]byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(signature)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("text"))
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// Whatever prints a struct that holds the key must not print the key.
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, struct{ K verify.PrivateKey }{got}); strings.Contains(text, key.D.String()) || len(text) > 200 {
				t.Errorf("%s prints %d bytes", verb, len(text))
			}
		}
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":           {nil, "neither PEM nor bare base64"},
		"text":              {[]byte("secret words"), "neither PEM nor bare base64"},
		"a public key":      {pemBlock("PUBLIC KEY", public), `unknown PEM block "PUBLIC KEY"`},
		"a bare public key": {[]byte(base64.StdEncoding.EncodeToString(public)), "not a private key"},
		"1024 bits":         {pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short)), "1024 bits"},
		"another algorithm": {pemBlock("PRIVATE KEY", curveDER), "Alipay wants RSA"},
	} {
		if _, err := verify.ParsePrivateKey(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
}
