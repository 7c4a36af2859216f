package verify_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"alipay-notify/internal/verify"
)

// sign runs docs/sign-with-openssl.sh, which shares no code with this module.
func sign(t *testing.T, keyFile, method, payload string, env ...string) []byte {
	t.Helper()
	for _, tool := range []string{"sh", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			const text = "sh and openssl are needed: install the package openssl"
			if os.Getenv("CI") == "true" {
				t.Fatal(text)
			}
			t.Skip(text)
		}
	}
	cmd := exec.Command("sh", filepath.Join("..", "..", "docs", "sign-with-openssl.sh"), "--print", keyFile, "2021000000000001", method, payload)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return out
}

// TestSignWithOpenssl takes each of the mandated kinds from the script, with
// payloads that are hard to encode, and finds every value as it was given.
func TestSignWithOpenssl(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	private, err := key.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "alipay.pem")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	every := []byte(`{"all":"`)
	for c := 1; c < 256; c++ { // an argument cannot hold NUL
		every = append(every, byte(c))
	}
	for _, tt := range []struct{ method, payload string }{
		{"alipay.marketing.activity.message.created", `{"id":"ORDERSEND_1","activity_id":"1","event_time":"1709946123456","out_biz_no":"b1"}`},
		{"alipay.marketing.activity.message.modified", `{"id":"中文 +%2B&x=y","q":"say \"hi\"","u":"https:\/\/example.com"}`},
		{"alipay.marketing.activity.message.appended", "{\n\t\"id\": \"$HOME `id` \\n %s %d * ? ~\"\n}\n\n"},
		{"alipay.marketing.activity.message.stopped", string(every) + `"}`},
		{"alipay.user.opencard.result.notify", `{"success":"true","user_id":"2088"}`},
	} {
		t.Run(tt.method, func(t *testing.T) {
			t.Parallel()
			form := parse(t, sign(t, file, tt.method, tt.payload, "NOTIFY_ID=n1", "UTC_TIMESTAMP=1709946123456"))
			got, err := newVerifier(t, rsa2, key).Verify(form, tt.method)
			if err != nil || got.Rule != keepEmpty {
				t.Errorf("got %+v, %v", got, err)
			}
			for name, want := range map[string]string{
				"app_id": "2021000000000001", "biz_content": tt.payload, "charset": "UTF-8", "msg_method": tt.method, "notify_id": "n1",
				"sign_type": string(verify.RSA2), "utc_timestamp": "1709946123456", "version": "1.1",
			} {
				if form.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, form.Get(name), want)
				}
			}
			if form.Len() != 9 {
				t.Errorf("%d fields, want 9", form.Len())
			}
		})
	}
}

// Nobody names an id or a time: the script makes up what fits their grammar,
// and another id each time.
func TestSignWithOpensslMakesUpIDs(t *testing.T) {
	t.Parallel()
	private, err := testKeys(t)[0].PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "alipay.pem")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := parse(t, sign(t, file, "m", "{}")), parse(t, sign(t, file, "m", "{}"))
	if id := a.Get("notify_id"); len(id) < 16 || id == b.Get("notify_id") {
		t.Errorf("notify_id %q and %q", id, b.Get("notify_id"))
	}
	if stamp := a.Get("utc_timestamp"); len(stamp) != 13 {
		t.Errorf("utc_timestamp %q", stamp)
	}
}
