package alipaytest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"testing"

	"alipay-notify/internal/alipaytest"
)

func TestSigningString(t *testing.T) {
	t.Parallel()
	form := alipaytest.Form{{"b", "2 &x=y"}, {"sign", "s"}, {"a_b", ""}, {"a", "一"}, {"sign_type", "RSA2"}, {"Z", "+%2B"}}
	bare := form.Without("sign_type")
	for _, tt := range []struct {
		name string
		form alipaytest.Form
		how  alipaytest.Signing
		want string
	}{
		{"keep is the default", form, alipaytest.Signing{}, "Z=+%2B&a=一&a_b=&b=2 &x=y&sign_type=RSA2"},
		{"drop", form, alipaytest.Signing{Rule: alipaytest.DropSignType}, "Z=+%2B&a=一&a_b=&b=2 &x=y"},
		{"insert", bare, alipaytest.Signing{Rule: alipaytest.InsertSignType, SignType: alipaytest.RSA}, "Z=+%2B&a=一&a_b=&b=2 &x=y&sign_type=RSA"},
		{"without empty fields", form, alipaytest.Signing{DropEmpty: true}, "Z=+%2B&a=一&b=2 &x=y&sign_type=RSA2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := alipaytest.SigningString(tt.form, tt.how)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v\nwant %q", got, err, tt.want)
			}
		})
	}
	for _, how := range []alipaytest.Signing{{Rule: "other"}, {SignType: "SM2"}} {
		if _, err := alipaytest.SigningString(form, how); err == nil {
			t.Errorf("%+v was taken", how)
		}
	}
}

// TestSigningStringOfRealCaptures proves the rules against two notifications
// that the real Alipay signed: one fits keep and not drop, the other drop and
// not keep (PROTOCOL.md section 0 item 1).
func TestSigningStringOfRealCaptures(t *testing.T) {
	t.Parallel()
	var file struct {
		Key   string `json:"alipay_public_key_rsa2_b64_spki"`
		Cases []struct {
			Params map[string]string
			Verify struct{ V1, V2 bool }
		}
	}
	vectors(t, "message_service_captures.json", &file)
	der, err := base64.StdEncoding.DecodeString(file.Key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 2 {
		t.Fatalf("%d captures, want 2", len(file.Cases))
	}
	for _, c := range file.Cases {
		var form alipaytest.Form
		for name, value := range c.Params {
			form = form.With(name, value)
		}
		sign, err := base64.StdEncoding.DecodeString(c.Params["sign"])
		if err != nil {
			t.Fatal(err)
		}
		for rule, want := range map[alipaytest.Rule]bool{
			alipaytest.KeepSignType: c.Verify.V2, alipaytest.DropSignType: c.Verify.V1,
		} {
			text, err := alipaytest.SigningString(form, alipaytest.Signing{Rule: rule})
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(text)
			err = rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], sign)
			if (err == nil) != want {
				t.Errorf("%s, rule %s: verifies %v, want %v", c.Params["notify_id"], rule, err == nil, want)
			}
		}
	}
}

func TestSignFormSignsAnew(t *testing.T) {
	t.Parallel()
	form := signedForm(t, newNotification(t, "voucher.created", alipaytest.Options{}), sentAt)
	changed := form.With("msg_uid", "").With("app_id", "2021999999999999")
	again, err := testKey(t).SignForm(changed, alipaytest.Signing{Rule: alipaytest.InsertSignType})
	if err != nil {
		t.Fatal(err)
	}
	if get(t, again, "sign") == get(t, form, "sign") {
		t.Error("the old signature stayed")
	}
	if _, ok := again.Get("sign_type"); ok {
		t.Error("sign_type is sent with rule insert")
	}
	if got := get(t, form, "app_id"); got != alipaytest.DefaultAppID {
		t.Errorf("the form before has changed: app_id %s", got)
	}
}

func TestFormEncode(t *testing.T) {
	t.Parallel()
	form := alipaytest.Form{{"a b", "c+d e*f~g"}, {"k", "中\x00&=%"}, {"empty", ""}}
	const want = "a+b=c%2Bd+e*f%7Eg&k=%E4%B8%AD%00%26%3D%25&empty="
	if got := string(form.Encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
