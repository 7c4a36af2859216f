package verify

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MinKeyBits is the smallest RSA key that is taken. Alipay's keys have 2048.
const MinKeyBits = 2048

// DevelopmentMarker stands in the text before the PEM block of a key pair that
// was made for development. A receiver that does not run in development mode
// must not trust such a key: its private half lies on somebody's laptop.
const DevelopmentMarker = "alipay-notify development key"

// PublicKey is one of Alipay's public keys.
type PublicKey struct {
	ID          string         // first 16 hex digits of the SHA-256 of the key's SubjectPublicKeyInfo
	Key         *rsa.PublicKey // at least MinKeyBits
	Development bool           // the file carries DevelopmentMarker
}

// ParsePublicKey reads a key as the console gives it (bare base64, however it
// was wrapped when copied) or as PEM. Its errors name the commonest mistakes:
// a private key or a certificate where the public key belongs.
func ParsePublicKey(data []byte) (PublicKey, error) {
	key, err := parseRSA(data)
	if err != nil {
		return PublicKey{}, err
	}
	if bits := key.N.BitLen(); bits < MinKeyBits {
		return PublicKey{}, fmt.Errorf("the key has %d bits; at least %d are needed", bits, MinKeyBits)
	}
	id, err := KeyID(key)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{ID: id, Key: key, Development: strings.Contains(string(data), DevelopmentMarker)}, nil
}

// KeyID is the short name of a key in proofs, logs and metrics: the first 16
// hex digits of the SHA-256 of its SubjectPublicKeyInfo. It depends on the key
// alone, not on the file or certificate that it came in.
func KeyID(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8]), nil
}

func parseRSA(data []byte) (*rsa.PublicKey, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Windows editors put it before the first line
	if block, rest := pem.Decode(data); block != nil {
		switch {
		case block.Type == "PUBLIC KEY", block.Type == "RSA PUBLIC KEY":
			if more, _ := pem.Decode(rest); more != nil {
				return nil, fmt.Errorf("a PEM block %q comes after the key: one file holds one key", more.Type)
			}
			return parseDER(block.Bytes)
		case block.Type == "CERTIFICATE":
			return nil, errors.New("this is a certificate; it belongs in alipay_certs")
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, errors.New("this is a private key; Alipay's public key belongs here, and the private key should be nowhere near")
		}
		return nil, fmt.Errorf("unknown PEM block %q: want PUBLIC KEY", block.Type)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(data)), ""))
	if err != nil || len(der) == 0 {
		return nil, errors.New("neither PEM nor bare base64: copy the Alipay public key (支付宝公钥) from the console again")
	}
	return parseDER(der)
}

func parseDER(der []byte) (*rsa.PublicKey, error) {
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		key, ok := any.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("the key is %T; Alipay's notifications are signed with RSA", any)
		}
		return key, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil
	}
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return nil, errors.New("this is a private key; Alipay's public key belongs here, and the private key should be nowhere near")
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return nil, errors.New("this is a private key; Alipay's public key belongs here, and the private key should be nowhere near")
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		return nil, errors.New("this is a certificate; it belongs in alipay_certs")
	}
	return nil, errors.New("not an RSA public key")
}
