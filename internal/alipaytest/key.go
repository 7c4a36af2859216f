package alipaytest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // sign_type RSA is SHA1withRSA (PROTOCOL.md 3.2)
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// DevelopmentMarker begins the line before BEGIN in the public key file of a
// development key. A receiver that is not in development refuses a key file
// that holds it: the private half lies on somebody's disk, unprotected. openssl
// and encoding/pem skip text before BEGIN.
const DevelopmentMarker = "alipay-notify development key"

const developmentPreamble = DevelopmentMarker + ": never register it for a real app\n"

// SignType is the algorithm of a signature, spelled as in the field sign_type.
type SignType string

// The sign types of PROTOCOL.md 3.2, both RSASSA-PKCS1-v1_5. SM2 is not made.
const (
	RSA2 SignType = "RSA2" // SHA256withRSA, the only one new apps may use
	RSA  SignType = "RSA"  // SHA1withRSA, legacy
)

func (t SignType) hash() (crypto.Hash, error) {
	switch t {
	case RSA2, "":
		return crypto.SHA256, nil
	case RSA:
		return crypto.SHA1, nil
	}
	return 0, fmt.Errorf("unknown sign type %q: want RSA2 or RSA", t)
}

// Key is a key pair that plays Alipay's, or the app's own.
type Key struct {
	private *rsa.PrivateKey
}

// GenerateKey makes a key pair. Alipay's have 2048 bits, which gives a
// signature of 344 characters (PROTOCOL.md 1.2); its legacy keys had 1024.
func GenerateKey(bits int) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	return &Key{private}, nil
}

// Public is the half that verifies.
func (k *Key) Public() *rsa.PublicKey { return &k.private.PublicKey }

// SignBytes signs text as it stands and gives the signature in standard base64
// with padding, as all of Alipay's signatures are (PROTOCOL.md 3.2).
func (k *Key) SignBytes(text []byte, t SignType) (string, error) {
	hash, err := t.hash()
	if err != nil {
		return "", err
	}
	h := hash.New()
	h.Write(text)
	sig, err := rsa.SignPKCS1v15(nil, k.private, hash, h.Sum(nil))
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// PrivatePEM is the private key as PKCS#8.
func (k *Key) PrivatePEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// PublicPEM is the public key as SPKI, without the development marker.
func (k *Key) PublicPEM() []byte {
	// MarshalPKIXPublicKey fails on unknown key types only, and this is RSA.
	der, _ := x509.MarshalPKIXPublicKey(k.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// DevelopmentPublicPEM is PublicPEM after a line that begins with
// DevelopmentMarker. It is what ends up in files.
func (k *Key) DevelopmentPublicPEM() []byte {
	return append([]byte(developmentPreamble), k.PublicPEM()...)
}

// PublicBase64 is the public key as Alipay's console shows it: the SPKI in
// base64 on one line, without PEM armour.
func (k *Key) PublicBase64() string {
	block, _ := pem.Decode(k.PublicPEM())
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

// ParsePrivatePEM reads what PrivatePEM wrote.
func ParsePrivatePEM(data []byte) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block found")
	}
	if block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("the PEM block is %q: want a PKCS#8 PRIVATE KEY", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is a %T: want RSA", parsed)
	}
	return &Key{private}, nil
}

// ParsePublicPEM reads what PublicPEM or DevelopmentPublicPEM wrote.
// development says whether the marker was there.
func ParsePublicPEM(data []byte) (public *rsa.PublicKey, development bool, err error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, false, errors.New("no PUBLIC KEY block found")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, false, err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, false, fmt.Errorf("the key is a %T: want RSA", parsed)
	}
	before, _, _ := bytes.Cut(data, []byte("-----BEGIN"))
	return public, bytes.Contains(before, []byte(DevelopmentMarker)), nil
}
