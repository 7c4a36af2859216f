package alipaytest_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

func TestDecryptAES(t *testing.T) {
	t.Parallel()
	// vectors/aes.json, of others' making.
	key, err := base64.StdEncoding.DecodeString("aa4BtZ4tspm2wnXLb1ThQA==")
	if err != nil {
		t.Fatal(err)
	}
	const cipher = "ILpoMowjIQjfYMR847rnFQ=="
	if plain, err := alipaytest.DecryptAES(key, cipher); err != nil || string(plain) != "test1234567" {
		t.Errorf("%q, %v", plain, err)
	}
	for _, text := range []string{"", "AAAA", "%", "AAAAAAAAAAAAAAAAAAAAAA=="} {
		if plain, err := alipaytest.DecryptAES(key, text); err == nil {
			t.Errorf("%q gave %q", text, plain)
		}
	}
	if _, err := alipaytest.DecryptAES(key[:15], cipher); err == nil {
		t.Error("a short key was taken")
	}
}

// TestVerifyBytes: one text has one signature, written in one way. Go's base64
// skips line breaks, and did so here.
func TestVerifyBytes(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	sign, err := key.SignBytes([]byte("text"), alipaytest.RSA2)
	if err != nil {
		t.Fatal(err)
	}
	verifies := func(text, sign string, how alipaytest.SignType) bool {
		return alipaytest.VerifyBytes(key.Public(), []byte(text), sign, how)
	}
	if !verifies("text", sign, alipaytest.RSA2) {
		t.Error("the genuine one does not verify")
	}
	for name, bad := range map[string]string{
		"none": "", "cut": sign[:len(sign)-1], "padded": sign + "=", "broken": sign[:4] + "\n" + sign[4:],
		// 256 bytes leave four bits of the last character unused.
		"another last character": sign[:341] + string(sign[341]+1) + "==",
	} {
		if verifies("text", bad, alipaytest.RSA2) {
			t.Errorf("%s: %q verifies", name, bad)
		}
	}
	if verifies("texts", sign, alipaytest.RSA2) || verifies("text", sign, alipaytest.RSA) || verifies("text", sign, "MD5") {
		t.Error("another text or algorithm verifies")
	}
}

// TestTampered: for every type one character is another, and the signature is
// the old one.
func TestTampered(t *testing.T) {
	t.Parallel()
	for _, typ := range alipaytest.Types() {
		n := newNotification(t, typ.Type, alipaytest.Options{})
		tampered, err := n.Tampered(sentAt)
		if err != nil {
			t.Fatal(err)
		}
		before, after := signedForm(t, n, sentAt), signedForm(t, tampered, sentAt)
		changed := 0
		for i := range before {
			if before[i] != after[i] {
				changed++
			}
		}
		text, err := alipaytest.SigningString(after, n.Signing())
		if err != nil {
			t.Fatal(err)
		}
		if changed != 1 || alipaytest.VerifyBytes(testKey(t).Public(), text, get(t, after, "sign"), alipaytest.RSA2) {
			t.Errorf("%s: %d fields are others, or it verifies", typ.Type, changed)
		}
	}
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	for _, m := range []string{"id", "activity_id", "event_time", "out_biz_no"} {
		n.SetPayload(m, "x")
	}
	if _, err := n.Tampered(sentAt); err == nil {
		t.Error("there was nothing to change")
	}
}

func TestCharsetThereAndBack(t *testing.T) {
	t.Parallel()
	for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK, alipaytest.GB18030} {
		encoded, err := charset.Encode("誠 a")
		if err != nil {
			t.Fatal(err)
		}
		back, err := charset.Decode(encoded)
		if err != nil || back != "誠 a" || strings.Contains(encoded, "誠") != (charset == alipaytest.UTF8) {
			t.Errorf("%s: %q, %q, %v", charset, encoded, back, err)
		}
	}
	if _, err := alipaytest.Charset("big5").Decode(""); err == nil {
		t.Error("big5 was taken")
	}
}
