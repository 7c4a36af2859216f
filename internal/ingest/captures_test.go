package ingest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// captures are two real requests of the message service with the public key
// that signed them, and what one of them decrypts to.
type captures struct {
	PublicKey string `json:"alipay_public_key_rsa2_b64_spki"`
	AESKey    string `json:"aes_key_b64"`
	Cases     []struct {
		Params    map[string]string `json:"params"`
		Decrypted string            `json:"decrypted_biz_content"`
	} `json:"cases"`
}

func readCaptures(t *testing.T) captures {
	t.Helper()
	const variable, name = "ALIPAY_NOTIFY_SHARED", "message_service_captures.json"
	dir, set := os.LookupEnv(variable)
	if !set {
		t.Skipf("%s is not set: it names the folder that holds vectors/%s", variable, name)
	}
	if dir == "" {
		t.Fatalf("%s is set and empty", variable)
	}
	data, err := os.ReadFile(filepath.Join(dir, "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var c captures
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Cases) == 0 {
		t.Fatalf("%s holds no cases", name)
	}
	return c
}

// newHarness makes a pipeline that trusts the key of the captures, however old
// their stamps are.
func (c captures) newHarness(t *testing.T) *harness {
	h := newHarness(t)
	key, err := verify.ParseAESKey([]byte(c.AESKey))
	if err != nil {
		t.Fatal(err)
	}
	app := ingest.App{
		ID: c.Cases[0].Params["app_id"], Verifier: newVerifier(t, []byte(c.PublicKey)), AESKeys: []verify.AESKey{key},
	}
	h.stream.verifier = app.Verifier
	h.pipeline = ingest.New(ingest.Options{Once: h.once, Publisher: h.stream, Key: func(_, id string) string { return id }}, app)
	return h
}

func formOf(params map[string]string) alipaytest.Form {
	var f alipaytest.Form
	for _, name := range slices.Sorted(maps.Keys(params)) {
		f = append(f, alipaytest.Field{Name: name, Value: params[name]})
	}
	return f
}

func TestIngestCaptures(t *testing.T) {
	t.Parallel()
	c := readCaptures(t)
	h := c.newHarness(t)
	for _, capture := range c.Cases {
		res := h.ingest(formOf(capture.Params).Encode())
		h.want(res, ingest.Accepted, "")
		if res.EventID != capture.Params["notify_id"] || res.Kind != "other.alipay_open_auth_appauth_cancel" {
			t.Errorf("event %s of kind %s", res.EventID, res.Kind)
		}
		content := capture.Decrypted
		if content == "" {
			content = capture.Params["biz_content"]
		}
		stored := h.stream.events()
		if e := stored[len(stored)-1]; string(e.Data) != content || e.Key != "" || e.Type != "alipay.open.auth.appauth.cancel" {
			t.Errorf("event %+v", e)
		}
		h.want(h.ingest(formOf(capture.Params).Encode()), ingest.Duplicate, "")
	}
}

// No byte of a genuine request can be changed, wherever it stands.
func TestIngestCapturesChanged(t *testing.T) {
	t.Parallel()
	c := readCaptures(t)
	h := c.newHarness(t)
	refuse := func(what string, body []byte) {
		res := h.ingest(body)
		if res.Outcome != refused && res.Outcome != malformed {
			t.Errorf("%s changed: outcome %s", what, res.Outcome)
		}
		if res.EventID != "" || res.Kind != "" {
			t.Errorf("%s changed: the result names %q", what, res.EventID)
		}
	}
	h.untouched(func() {
		for _, capture := range c.Cases {
			form := formOf(capture.Params)
			for i, field := range form {
				for at := range len(field.Value) {
					changed := []byte(field.Value)
					changed[at] ^= 1
					refuse(field.Name, form.With(field.Name, string(changed)).Encode())
				}
				if field.Name != "sign" { // without it nothing is signed
					refuse("the name "+field.Name, append(form[:i:i], append(alipaytest.Form{{Name: field.Name + "x", Value: field.Value}}, form[i+1:]...)...).Encode())
				}
			}
			body := form.Encode()
			// An empty field of any name counts for nothing, and neither does
			// sign_type; so this one change is none.
			neutral := bytes.Index(body, []byte("sign_type=")) + len("sign_type")
			for at := range body {
				if at == neutral {
					continue
				}
				changed := slices.Clone(body)
				changed[at] ^= 1
				refuse(fmt.Sprintf("the body %q", changed[max(0, at-20):min(len(changed), at+20)]), changed)
			}
		}
	})
}
