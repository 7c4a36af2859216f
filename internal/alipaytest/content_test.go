package alipaytest_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/alipaytest"
)

// TestEncryptAESOfOfficialVector is the vector of Alipay's own SDK.
func TestEncryptAESOfOfficialVector(t *testing.T) {
	t.Parallel()
	var file struct {
		Cases []struct {
			Key    string `json:"key_b64"`
			Plain  string `json:"plaintext"`
			Cipher string `json:"ciphertext_b64"`
		}
	}
	vectors(t, "aes.json", &file)
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Cases {
		key, err := alipaytest.ParseAESKey([]byte(c.Key + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := alipaytest.EncryptAES(key, []byte(c.Plain))
		if err != nil || got != c.Cipher {
			t.Errorf("got %q, %v; want %q", got, err, c.Cipher)
		}
	}
}

func TestEncryptedContentDecryptsWithOpenssl(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef")
	for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK} {
		plain := newNotification(t, "other.alipay_open_app_service_audit_notify", alipaytest.Options{Charset: charset})
		want := get(t, signedForm(t, plain, sentAt), "biz_content")
		secret := newNotification(t, plain.Type(), alipaytest.Options{Charset: charset, AESKey: key})
		form := signedForm(t, secret, sentAt)
		if got := get(t, form, "encrypt_type"); got != "AES" {
			t.Errorf("encrypt_type %q", got)
		}
		got, err := openssl(t, []byte(get(t, form, "biz_content")), "enc", "-d", "-a", "-A",
			"-aes-128-cbc", "-K", hex.EncodeToString(key), "-iv", strings.Repeat("0", 32))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v\nwant %q", charset, got, err, want)
		}
		if got := secret.Signing().Rule; got != alipaytest.DropSignType {
			t.Errorf("rule %s, want that of the encrypted capture: drop", got)
		}
	}
}

func TestAESKeysOfOtherLengthsAreRefused(t *testing.T) {
	t.Parallel()
	long := make([]byte, 32)
	if _, err := alipaytest.EncryptAES(long, nil); err == nil {
		t.Error("EncryptAES took 32 bytes")
	}
	if _, err := alipaytest.ParseAESKey([]byte(base64.StdEncoding.EncodeToString(long))); err == nil {
		t.Error("ParseAESKey took 32 bytes")
	}
	if _, err := alipaytest.ParseAESKey([]byte("!")); err == nil {
		t.Error("ParseAESKey took what is not base64")
	}
	if _, err := alipaytest.New("voucher.created", alipaytest.Options{AESKey: long}); err == nil {
		t.Error("New took 32 bytes")
	}
}

func TestGBKBytesAreSent(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "trade.status_changed", alipaytest.Options{
		Charset: alipaytest.GBK,
		Payload: []alipaytest.Field{{"subject", "小笼包 & 茶"}},
	})
	form := signedForm(t, n, sentAt)
	if got := get(t, form, "subject"); got != "\xd0\xa1\xc1\xfd\xb0\xfc & \xb2\xe8" {
		t.Errorf("subject % x is not GBK", got)
	}
	if body := string(form.Encode()); !strings.Contains(body, "subject=%D0%A1%C1%FD%B0%FC+%26+%B2%E8&") {
		t.Errorf("not in the body: %s", body)
	}
	text, err := simplifiedchinese.GBK.NewDecoder().String(get(t, form, "body"))
	if err != nil || text != n.Payload("body") {
		t.Errorf("body decodes to %q, %v", text, err)
	}
	if got := n.ContentType(); got != "application/x-www-form-urlencoded; charset=GBK" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestCharsetRefusesWhatItLacks(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "trade.status_changed", alipaytest.Options{
		Charset: alipaytest.GBK, Payload: []alipaytest.Field{{"subject", "🍜"}},
	})
	if _, err := n.Form(sentAt); err == nil {
		t.Error("GBK took a bowl of noodles")
	}
	if _, err := alipaytest.New("voucher.created", alipaytest.Options{Charset: "latin1"}); err == nil {
		t.Error("an unknown charset was taken")
	}
}
