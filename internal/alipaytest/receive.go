package alipaytest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// What Alipay does with what it gets: the other half of sign.go and content.go.

// VerifyBytes tells whether sign, in standard base64 with padding, is a
// signature over text as it stands.
func VerifyBytes(public *rsa.PublicKey, text []byte, sign string, t SignType) bool {
	hash, err := t.hash()
	if err != nil {
		return false
	}
	// Strict, and without the line breaks that Go skips: else a signature could
	// be another text, and still verify.
	raw, err := base64.StdEncoding.Strict().DecodeString(sign)
	if err != nil || strings.ContainsAny(sign, "\r\n") {
		return false
	}
	h := hash.New()
	h.Write(text)
	return rsa.VerifyPKCS1v15(public, hash, h.Sum(nil), raw) == nil
}

// DecryptAES undoes EncryptAES. A wrong key shows in the padding, most times.
func DecryptAES(key []byte, text string) ([]byte, error) {
	if len(key) != 16 {
		return nil, fmt.Errorf("the AES key has %d bytes: want 16", len(key))
	}
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 || len(out)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("the ciphertext has %d bytes: want a multiple of %d", len(out), aes.BlockSize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, out)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > aes.BlockSize || !bytes.HasSuffix(out, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("the padding is wrong: is it the right key?")
	}
	return out[:len(out)-pad], nil
}

// Encode gives UTF-8 text in the charset.
func (c Charset) Encode(text string) (string, error) { return c.encode(text) }

// Decode gives bytes of the charset as UTF-8 text.
func (c Charset) Decode(text string) (string, error) {
	switch c {
	case UTF8:
		return text, nil
	case GBK:
		return simplifiedchinese.GBK.NewDecoder().String(text)
	case GB18030:
		return simplifiedchinese.GB18030.NewDecoder().String(text)
	}
	return "", fmt.Errorf("unknown charset %q: want UTF-8, GBK or GB18030", c)
}

// Tampered is SameBytes after somebody on the way has changed one character of
// what it tells: the signature no longer fits.
func (n *Notification) Tampered(at time.Time) (*Notification, error) {
	frozen, err := n.SameBytes(at)
	if err != nil {
		return nil, err
	}
	told := "biz_content"
	if n.kind.shape == flat {
		told = "notify_time" // any field does, and every flat one has this
	}
	value, _ := frozen.frozen.Get(told)
	changed := []byte(value)
	for i, c := range changed {
		if c >= '0' && c <= '9' {
			changed[i] = '0' + (c-'0'+1)%10
			frozen.frozen = frozen.frozen.With(told, string(changed))
			return frozen, nil
		}
	}
	return nil, fmt.Errorf("%s: %s has no digit that could be another", n.kind.name, told)
}
