package proof

import (
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

// NewChecker reads Alipay's public keys of the apps that are consumed, each PEM or
// the bare base64 of Alipay's console. Give the old key beside the new one while
// the stream still holds events that the old one proved.
func NewChecker(files ...[]byte) (*Checker, error) {
	if len(files) == 0 {
		return nil, errors.New("no key")
	}
	c := &Checker{keys: map[string]*rsa.PublicKey{}}
	for _, file := range files {
		id, key, err := parseKey(file)
		if err != nil {
			return nil, err
		}
		c.keys[id] = key
	}
	return c, nil
}

// parseKey gives the id under which proofs name the key: the first 16 hex digits
// of the SHA-256 of its SubjectPublicKeyInfo.
func parseKey(file []byte) (id string, key *rsa.PublicKey, err error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(file)), ""))
	if block, _ := pem.Decode(file); block != nil {
		der, err = block.Bytes, nil
		if strings.Contains(block.Type, "PRIVATE") {
			return "", nil, errors.New("this is a private key: Alipay's public key belongs here")
		}
	}
	if err != nil {
		return "", nil, errors.New("neither PEM nor base64")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", nil, errors.New("no public key (SubjectPublicKeyInfo)")
	}
	key, isRSA := parsed.(*rsa.PublicKey)
	if !isRSA || key.N.BitLen() < 2048 {
		return "", nil, fmt.Errorf("want an RSA key of at least 2048 bits, as Alipay's are; this is %T", parsed)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8]), key, nil
}
