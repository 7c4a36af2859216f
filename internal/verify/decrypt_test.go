package verify_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

func aesKey(t *testing.T, raw []byte) verify.AESKey {
	t.Helper()
	key, err := verify.ParseAESKey([]byte(base64.StdEncoding.EncodeToString(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func everything([]byte) bool { return true }

// The case that Alipay's own SDK tests itself with.
func TestDecryptVectorOfTheSDK(t *testing.T) {
	t.Parallel()
	var file struct {
		Cases []struct {
			Key    string `json:"key_b64"`
			Plain  string `json:"plaintext"`
			Cipher string `json:"ciphertext_b64"`
		}
	}
	sharedVectors(t, "aes.json", &file)
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Cases {
		key, err := verify.ParseAESKey([]byte(c.Key))
		if err != nil {
			t.Fatal(err)
		}
		got, err := verify.Decrypt([]verify.AESKey{key}, c.Cipher, everything)
		if err != nil || string(got) != c.Plain {
			t.Errorf("got %q, %v, want %q", got, err, c.Plain)
		}
	}
}

func TestDecryptVectorOfOpenssl(t *testing.T) {
	t.Parallel()
	vector := listed(t, "aes.list")
	key, err := verify.ParseAESKey([]byte(vector["key"]))
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify.Decrypt([]verify.AESKey{key}, vector["cipher"], json.Valid)
	if err != nil || string(got) != vector["plain"] {
		t.Errorf("got %q, %v, want %q", got, err, vector["plain"])
	}
}

func TestDecryptVectorsOfTheJDK(t *testing.T) {
	t.Parallel()
	vectors := listed(t, "second-aes.list")
	key, err := verify.ParseAESKey([]byte(vectors["key"]))
	if err != nil {
		t.Fatal(err)
	}
	delete(vectors, "key")
	if len(vectors) != 8 {
		t.Fatalf("%d vectors, want 8", len(vectors))
	}
	for plain, cipher := range vectors {
		got, err := verify.Decrypt([]verify.AESKey{key}, cipher, func(b []byte) bool { return string(b) == plain })
		if err != nil || string(got) != plain {
			t.Errorf("got %q, %v, want %q", got, err, plain)
		}
	}
}

// TestDecrypt covers every length of padding, a whole block of it included, and
// the right key at every place.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	right := alipaytest.NewAESKey()
	var keys []verify.AESKey
	for range 3 {
		keys = append(keys, aesKey(t, alipaytest.NewAESKey()))
	}
	for length := range 34 {
		plain := bytes.Repeat([]byte("x"), length)
		text, err := alipaytest.EncryptAES(right, plain)
		if err != nil {
			t.Fatal(err)
		}
		for place := range len(keys) + 1 {
			all := append(append(append([]verify.AESKey(nil), keys[:place]...), aesKey(t, right)), keys[place:]...)
			got, err := verify.Decrypt(all, text, func(b []byte) bool { return bytes.Equal(b, plain) })
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, key %d: got %q, %v", length, place, got, err)
			}
		}
	}
}

func TestDecryptRefuses(t *testing.T) {
	t.Parallel()
	right := alipaytest.NewAESKey()
	key := aesKey(t, right)
	good, err := alipaytest.EncryptAES(right, []byte(`{"id":"ORDERSEND_1"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		keys   []verify.AESKey
		text   string
		accept func([]byte) bool
	}{
		{"no key", nil, good, everything},
		{"nothing", []verify.AESKey{key}, "", everything},
		{"not base64", []verify.AESKey{key}, "{}", everything},
		{"url-safe base64", []verify.AESKey{key}, strings.Repeat("-_", 32), everything},
		{"base64 without its padding", []verify.AESKey{key}, strings.TrimRight(encryptRaw(t, right, 15, 1), "="), everything},
		{"a plus that became a space", []verify.AESKey{key}, " " + good[1:], everything},
		{"a byte short of a block", []verify.AESKey{key}, base64.StdEncoding.EncodeToString(make([]byte, 15)), everything},
		{"a byte more than a block", []verify.AESKey{key}, base64.StdEncoding.EncodeToString(make([]byte, 17)), everything},
		{"padding of zero", []verify.AESKey{key}, encryptRaw(t, right, 16, 0), everything},
		{"padding longer than a block", []verify.AESKey{key}, encryptRaw(t, right, 15, 17), everything},
		{"padding longer than the text", []verify.AESKey{key}, encryptRaw(t, right, 15, 255), everything},
		{"padding bytes that differ", []verify.AESKey{key}, encryptRaw(t, right, 15, 2), everything},
		{"what nobody accepts", []verify.AESKey{key}, good, func([]byte) bool { return false }},
		{"another key", []verify.AESKey{aesKey(t, alipaytest.NewAESKey())}, good, json.Valid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify.Decrypt(tt.keys, tt.text, tt.accept)
			if got != nil || !errors.Is(err, verify.ErrUndecryptable) {
				t.Errorf("got %q, %v, want %v", got, err, verify.ErrUndecryptable)
			}
		})
	}
}

// encryptRaw encrypts n bytes of 'x' and then the byte last, up to a block.
func encryptRaw(t *testing.T, key []byte, n int, last byte) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := append(bytes.Repeat([]byte("x"), n), bytes.Repeat([]byte{last}, 16-n)...)
	if n == 16 {
		plain[15] = last
	}
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// One wrong key in 256 gives something that is padded well. During a change of
// keys such a key may stand before the right one: accept must pass it over.
func TestDecryptSkipsKeyWhosePaddingFitsByChance(t *testing.T) {
	t.Parallel()
	right := make([]byte, 16)
	const plain = `{"id":"ORDERSEND_1"}`
	text, err := alipaytest.EncryptAES(right, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	var lucky verify.AESKey
	for n, found := uint64(1), false; !found; n++ {
		if n > 10_000 {
			t.Fatal("no wrong key gives good padding")
		}
		lucky = aesKey(t, binary.BigEndian.AppendUint64(make([]byte, 8), n))
		_, err := verify.Decrypt([]verify.AESKey{lucky}, text, everything)
		found = err == nil
	}
	var seen []string
	got, err := verify.Decrypt([]verify.AESKey{lucky, aesKey(t, right)}, text, func(b []byte) bool {
		seen = append(seen, string(b))
		return json.Valid(b)
	})
	if err != nil || string(got) != plain {
		t.Errorf("got %q, %v", got, err)
	}
	if len(seen) != 2 || seen[0] == plain || seen[1] != plain {
		t.Errorf("accept saw %q", seen)
	}
}

func TestParseAESKey(t *testing.T) {
	t.Parallel()
	const good = "aa4BtZ4tspm2wnXLb1ThQA=="
	for _, data := range []string{good, good + "\n", " " + good + "\r\n", "aa4BtZ4tspm2\n wnXLb1ThQA==", "\ufeff" + good} {
		if _, err := verify.ParseAESKey([]byte(data)); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	}
	for _, tt := range []struct{ data, say string }{
		{"", "0 bytes"},
		{"aa4BtZ4tspm2wnXLb1ThQA", "not base64"},
		{"00112233445566778899aabbccddeeff", "24 bytes"}, // hex happens to be base64
		{base64.StdEncoding.EncodeToString(make([]byte, 15)), "15 bytes"},
		{base64.StdEncoding.EncodeToString(make([]byte, 32)), "32 bytes; Alipay's have 16"},
		{"key: " + good, "not base64"},
	} {
		_, err := verify.ParseAESKey([]byte(tt.data))
		if err == nil || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("%q: got %v, want it to say %q", tt.data, err, tt.say)
		}
		if err != nil && tt.data != "" && strings.Contains(err.Error(), tt.data) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}
