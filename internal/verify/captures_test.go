package verify_test

import (
	"encoding/json"
	"testing"

	"alipay-notify/internal/verify"
)

// TestCaptures holds the package against two notifications that the real
// Alipay sent: same app, key and method, and each needs another rule
// (PROTOCOL.md section 0 item 1). No change of a byte passes.
func TestCaptures(t *testing.T) {
	t.Parallel()
	var file struct {
		Key    string `json:"alipay_public_key_rsa2_b64_spki"`
		AESKey string `json:"aes_key_b64"`
		Cases  []struct {
			Params    map[string]string
			Decrypted *string `json:"decrypted_biz_content"`
		}
	}
	sharedVectors(t, "message_service_captures.json", &file)
	if len(file.Cases) != 2 {
		t.Fatalf("%d captures, want 2", len(file.Cases))
	}
	public, err := verify.ParsePublicKey([]byte(file.Key))
	if err != nil {
		t.Fatal(err)
	}
	aes, err := verify.ParseAESKey([]byte(file.AESKey))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name     string
		rule     verify.Rule
		unsigned []string
	}{
		{"plain", keepEmpty, nil},
		{"encrypted", dropEmpty, []string{"sign_type"}},
	} {
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			c := file.Cases[i]
			var fields []verify.Field
			for name, value := range c.Params {
				fields = append(fields, verify.Field{Name: name, Value: value})
			}
			form, err := verify.NewForm(fields...)
			if err != nil {
				t.Fatal(err)
			}
			v, err := verify.New([]verify.PublicKey{public}, rsa2)
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(form, form.Get("msg_method"))
			if match := (verify.Match{KeyID: public.ID, Rule: want.rule, SignType: verify.RSA2}); err != nil || got != match {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, match)
			}
			if c.Decrypted != nil {
				plain, err := verify.Decrypt([]verify.AESKey{aes}, form.Get("biz_content"), json.Valid)
				if err != nil || string(plain) != *c.Decrypted {
					t.Errorf("decrypted to %q, %v\nwant %q", plain, err, *c.Decrypted)
				}
			} else if want.name == "encrypted" {
				t.Error("the encrypted capture has no plain text")
			}
			refusesEveryChange(t, v, form, want.unsigned...)
		})
	}
}
