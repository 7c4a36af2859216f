package verify

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// PrivateKey is the app's own key, with which the answers to the gateway are
// signed. It is safe for concurrent use; it has no way of being printed.
type PrivateKey struct {
	key    *rsa.PrivateKey
	public string
}

// ParsePrivateKey reads the app's private key, PEM (PKCS #8 or PKCS #1) or
// Alipay's bare base64. Its errors hold nothing of the key.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	der := []byte(nil)
	if block, _ := pem.Decode(data); block != nil {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return PrivateKey{}, fmt.Errorf("unknown PEM block %q: want PRIVATE KEY", block.Type)
		}
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(data)), "")); err != nil || len(der) == 0 {
			return PrivateKey{}, errors.New("neither PEM nor bare base64")
		}
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return PrivateKey{}, errors.New("not a private key in PKCS #8 or PKCS #1")
		}
		var ok bool
		if key, ok = parsed.(*rsa.PrivateKey); !ok {
			return PrivateKey{}, fmt.Errorf("the private key is %T; Alipay wants RSA", parsed)
		}
	}
	if bits := key.N.BitLen(); bits < MinKeyBits {
		return PrivateKey{}, fmt.Errorf("the key has %d bits; at least %d are needed", bits, MinKeyBits)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("encode public key: %w", err)
	}
	return PrivateKey{key: key, public: base64.StdEncoding.EncodeToString(public)}, nil
}

// Sign gives the base64 RSA2 signature over text.
func (k PrivateKey) Sign(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// Signer signs for whoever makes signing strings of his own, as the OpenAPI client.
func (k PrivateKey) Signer() crypto.Signer { return k.key }

// PublicBase64 is the public half as the console shows it.
func (k PrivateKey) PublicBase64() string { return k.public }

// ID is the public half's key id, to be compared with Alipay's keys.
func (k PrivateKey) ID() string {
	id, err := KeyID(&k.key.PublicKey)
	if err != nil {
		return "" // not reached: the key was encoded when it was parsed
	}
	return id
}

// String keeps the key out of whatever prints a struct.
func (k PrivateKey) String() string { return "private key " + k.ID() }

// GoString is String, for %#v.
func (k PrivateKey) GoString() string { return k.String() }
