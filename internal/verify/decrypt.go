package verify

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrUndecryptable means that no configured AES key gives a usable plaintext.
// After a good signature that is a wrong or missing key here, never damage on
// the way.
var ErrUndecryptable = errors.New("no configured AES key decrypts this")

// AESKey is one content-encryption key of an app (接口内容加密).
type AESKey struct {
	block cipher.Block
}

// ParseAESKey reads a key as the console gives it: base64 of 16 bytes. White
// space and a byte order mark, which editors put there, are tolerated.
func ParseAESKey(data []byte) (AESKey, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(strings.TrimPrefix(string(data), "\ufeff")), ""))
	if err != nil {
		return AESKey{}, errors.New("the AES key is not base64")
	}
	if len(raw) != 16 {
		return AESKey{}, fmt.Errorf("the AES key has %d bytes; Alipay's have 16", len(raw))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return AESKey{}, fmt.Errorf("make AES cipher: %w", err)
	}
	return AESKey{block: block}, nil
}

// Decrypt undoes Alipay's content encryption (PROTOCOL.md 3.4): base64,
// AES-128-CBC with an IV of zeros, PKCS #5 padding. CBC does not tell a wrong
// key from a right one, and one wrong key in 256 passes the padding, so accept
// decides which plaintext is meant. Call it only after the signature over the
// ciphertext was verified: an oracle for strangers is not wanted.
func Decrypt(keys []AESKey, ciphertext string, accept func(plaintext []byte) bool) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	if err != nil || len(raw) == 0 || len(raw)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: not base64 of whole blocks", ErrUndecryptable)
	}
	var zeroIV [aes.BlockSize]byte
	for _, key := range keys {
		plain := make([]byte, len(raw))
		cipher.NewCBCDecrypter(key.block, zeroIV[:]).CryptBlocks(plain, raw)
		if plain, ok := unpad(plain); ok && accept(plain) {
			return plain, nil
		}
	}
	return nil, ErrUndecryptable
}

func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}
