package openapi

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// proof says what verified an answer.
type proof struct {
	keyID   string
	rotated string // the certificate that the answer names, where none of ours is it
}

// sign gives the base64 RSA2 signature.
func (c *Client) sign(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	sig, err := c.cfg.PrivateKey.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", errors.New("the private key does not sign") // a signer's error is a stranger to us
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// verify proves text by its signature. The algorithm is RSA2 whatever the answer
// says. A certificate number that is ours picks its key; one that is not is
// reported as a rotation, and decides nothing: Alipay renews certificates with
// the same key (3.3), and a key is never fetched because an answer named one.
func (c *Client) verify(text []byte, sign, sn string) (proof, error) {
	if sign == "" {
		return proof{}, errUnsigned
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(sign)
	if err != nil {
		return proof{}, errors.New("the signature is not base64")
	}
	sn = label(sn)
	keys, rotated := c.cfg.AlipayKeys, ""
	if ours := c.keysOf(sn); sn != "" && len(ours) > 0 {
		keys = ours
	} else if sn != "" && c.certificates() {
		rotated = sn
	}
	sum := sha256.Sum256(text)
	for _, k := range keys {
		if rsa.VerifyPKCS1v15(k.Key, crypto.SHA256, sum[:], sig) == nil {
			return proof{keyID: k.ID, rotated: rotated}, nil
		}
	}
	if rotated != "" {
		return proof{}, fmt.Errorf("%w: it is signed with certificate %s, which is not configured", errRotated, rotated)
	}
	return proof{}, errSignature
}

var (
	errUnsigned  = errors.New("the answer is not signed")
	errRotated   = errors.New("no configured key verifies the answer")
	errSignature = errors.New("no configured key of Alipay verifies the answer's signature")
	errDecrypt   = errors.New("no configured AES key decrypts the answer")
)

func (c *Client) keysOf(sn string) []AlipayKey {
	var out []AlipayKey
	for _, k := range c.cfg.AlipayKeys {
		if k.CertSN != "" && k.CertSN == sn {
			out = append(out, k)
		}
	}
	return out
}

// certificates tells whether any key is known by its certificate.
func (c *Client) certificates() bool {
	for _, k := range c.cfg.AlipayKeys {
		if k.CertSN != "" {
			return true
		}
	}
	return false
}

// parseAES reads a key as the console gives it. Its error holds nothing of it.
func parseAES(key Secret) (cipher.Block, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(key)))
	if err != nil || len(raw) != 16 {
		return nil, errors.New("AES key: want base64 of 16 bytes")
	}
	return aes.NewCipher(raw)
}

// encrypt is Alipay's content encryption (3.4): AES-128-CBC with an IV of zeros,
// PKCS #5 padding, base64.
func encrypt(block cipher.Block, plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	raw := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	var zeroIV [aes.BlockSize]byte
	cipher.NewCBCEncrypter(block, zeroIV[:]).CryptBlocks(raw, raw)
	return base64.StdEncoding.AppendEncode(nil, raw)
}

// decrypt undoes it. CBC cannot tell a wrong key from a right one, and one in 256
// passes the padding, so the plaintext must be a JSON object. Only what was
// verified gets here.
func (c *Client) decrypt(text []byte) ([]byte, error) {
	if len(c.aes) == 0 {
		return nil, fmt.Errorf("%w: none is configured", errDecrypt)
	}
	raw, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(raw) == 0 || len(raw)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: it is not base64 of whole blocks", errDecrypt)
	}
	var zeroIV [aes.BlockSize]byte
	for _, block := range c.aes {
		plain := make([]byte, len(raw))
		cipher.NewCBCDecrypter(block, zeroIV[:]).CryptBlocks(plain, raw)
		if plain, ok := unpad(plain); ok && isObject(plain) {
			return plain, nil
		}
	}
	return nil, errDecrypt
}

func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n < 1 || n > aes.BlockSize || !bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, false
	}
	return b[:len(b)-n], true
}

// isObject tells whether b begins as a JSON object does, whatever its charset.
func isObject(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 1 && b[0] == '{' && b[len(b)-1] == '}'
}

// valid is isObject for what must be UTF-8 and complete.
func valid(b []byte) bool { return isObject(b) && utf8.Valid(b) && json.Valid(b) }
