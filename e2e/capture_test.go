//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// captures are two real requests of Alipay's, and the keys that they need.
type captures struct {
	PublicKey string `json:"alipay_public_key_rsa2_b64_spki"`
	AESKey    string `json:"aes_key_b64"`
	Cases     []struct {
		Params    map[string]string `json:"params"`
		Verify    map[string]bool   `json:"verify"`
		Decrypted *string           `json:"decrypted_biz_content"`
	} `json:"cases"`
}

// loadCaptures skips where nobody said where they are; said and wrong is a failure.
func loadCaptures(t *testing.T) captures {
	t.Helper()
	dir, set := os.LookupEnv("ALIPAY_NOTIFY_SHARED")
	if !set {
		t.Skip("ALIPAY_NOTIFY_SHARED is not set: it names the folder with vectors/message_service_captures.json")
	}
	if dir == "" {
		t.Fatal("ALIPAY_NOTIFY_SHARED is set and empty")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "vectors", "message_service_captures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c captures
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Cases) != 2 {
		t.Fatalf("%d captures, want 2", len(c.Cases))
	}
	return c
}

// form is a capture in the order in which Alipay sent the fields.
func (c captures) form(i int) alipaytest.Form {
	var f alipaytest.Form
	for _, name := range []string{
		"charset", "biz_content", "encrypt_type", "utc_timestamp", "sign", "app_id", "version",
		"sign_type", "notify_id", "msg_method",
	} {
		if v, ok := c.Cases[i].Params[name]; ok {
			f = append(f, alipaytest.Field{Name: name, Value: v})
		}
	}
	return f
}

// TestRealCaptures posts what Alipay once sent, byte for byte. One needs the
// rule that keeps sign_type and the other the one that drops it; one is
// encrypted. Before they come, every forgery of one byte has been refused and
// has left nothing behind that could keep them out.
func TestRealCaptures(t *testing.T) {
	t.Parallel()
	c := loadCaptures(t)
	const appID = "2017072700094770"
	config, redis, _ := external(t, &alipaytest.App{ID: appID, PublicPEM: []byte(c.PublicKey)})
	config.file(t, "aes.key", []byte(c.AESKey))
	config.keys["apps"].([]any)[0].(map[string]any)["aes_keys"] = []string{"aes.key"}
	config.keys["http.max_signed_age"] = "0s" // they are of 2018
	r := ready(t, config)

	forgeries := 0
	for i := range c.Cases {
		forgeries += refuseForgeries(t, r, c.form(i))
	}
	if events, keys := r.events(t), redis.keys(t); len(events) > 0 || len(keys) > 0 {
		t.Fatalf("%d forgeries left %d events and the keys %v, want nothing", forgeries, len(events), keys)
	}
	t.Logf("%d forgeries of one byte were refused", forgeries)

	der, err := base64.StdEncoding.DecodeString(c.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyID := sha256.Sum256(der)
	for i := range c.Cases {
		body := c.form(i).Encode()
		before := time.Now().Truncate(time.Millisecond)
		curl(t, r.url, body).want(t, http.StatusOK, "success")
		after := time.Now()

		events := r.events(t)
		if len(events) != i+1 {
			t.Fatalf("capture %d: %d events are stored, want %d", i, len(events), i+1)
		}
		checkCapture(t, c, i, events[i], string(body), hex.EncodeToString(keyID[:8]))
		at, err := time.Parse("2006-01-02T15:04:05.000Z", header(events[i], "ce-receivedtime"))
		if err != nil || at.Before(before) || at.After(after) {
			t.Errorf("ce-receivedtime %q (%v), want RFC 3339 with milliseconds in UTC between %v and %v",
				header(events[i], "ce-receivedtime"), err, before.UTC(), after.UTC())
		}
	}
	if keys := redis.keys(t); len(keys) != 2 {
		t.Errorf("keys %v, want one for each notification", keys)
	}
}

// refuseForgeries changes each byte of each value, the signature's own among
// them, and gives how many requests that made.
func refuseForgeries(t *testing.T, r *receiver, form alipaytest.Form) int {
	t.Helper()
	n := 0
	for _, field := range form {
		for i := range len(field.Value) {
			forged := []byte(field.Value)
			forged[i] = another(forged[i])
			got := r.post(t, form.With(field.Name, string(forged)).Encode())
			n++
			if (got.status != http.StatusUnauthorized && got.status != http.StatusBadRequest) || got.body != "fail" {
				t.Fatalf("%s changed at byte %d: %d %q, want 401 or 400 fail", field.Name, i, got.status, got.body)
			}
		}
	}
	return n
}

// another is a byte of the same class, so that most forgeries get past the
// grammars as far as the signature.
func another(c byte) byte {
	switch {
	case c == '9', c == 'z', c == 'Z':
		return c - 1
	case c >= '0' && c < '9', c >= 'a' && c < 'z', c >= 'A' && c < 'Z':
		return c + 1
	}
	return c ^ 1
}

// checkCapture checks subject, data and every header of the contract. None may
// be there beside them.
func checkCapture(t *testing.T, c captures, i int, e *jetstream.RawStreamMsg, body, keyID string) {
	t.Helper()
	params := c.Cases[i].Params
	if want := "alipay.events.2017072700094770.other.alipay_open_auth_appauth_cancel._"; e.Subject != want {
		t.Errorf("subject %s, want %s", e.Subject, want)
	}
	data := params["biz_content"]
	if c.Cases[i].Decrypted != nil {
		data = *c.Cases[i].Decrypted
	}
	if string(e.Data) != data {
		t.Errorf("data %s, want %s", e.Data, data)
	}
	ms, err := strconv.ParseInt(params["utc_timestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	rule := "drop-sign-type,keep-empty"
	if c.Cases[i].Verify["V2"] {
		rule = "keep-sign-type,keep-empty"
	}
	want := map[string][]string{
		"ce-specversion":     {"1.0"},
		"ce-id":              {params["notify_id"]},
		"ce-source":          {"/alipay/2017072700094770"},
		"ce-type":            {"alipay.open.auth.appauth.cancel"},
		"ce-time":            {time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)},
		"ce-timesource":      {"utc_timestamp"}, // its content says nothing of a time
		"ce-datacontenttype": {"application/json"},
		"ce-dataschema":      {"urn:alipay-notify:schema:other.alipay_open_auth_appauth_cancel:v1"},
		"ce-receivedtime":    {header(e, "ce-receivedtime")}, // the caller looks at it
		"Nats-Msg-Id":        {"2017072700094770:" + params["notify_id"]},
		"Alipay-Fingerprint": {fingerprint("2017072700094770", "alipay.open.auth.appauth.cancel", data)},
		"Alipay-Raw":         {body},
		"Alipay-Proof":       {"key=" + keyID + "; rule=" + rule},
	}
	if diff := cmp.Diff(want, map[string][]string(e.Header)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// fingerprint is what makes two deliveries of one message the same, written a
// second time: SHA-256 over app, type and content, each behind its length.
func fingerprint(parts ...string) string {
	var all []byte
	for _, p := range parts {
		all = append(binary.BigEndian.AppendUint64(all, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

// curl posts a body with the curl binary, so that at least these requests are
// not made by Go at both ends.
func curl(t *testing.T, url string, body []byte) reply {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("curl is not in PATH: install it (apt-get install curl): %v", err)
		}
		t.Log("curl is not in PATH; net/http posts instead")
		answer, err := http.Post(url, formType, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return read(t, answer)
	}
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, path, "--silent", "--show-error", "--noproxy", "*", "--max-time", "20",
		"--header", "Content-Type: "+formType, "--data-binary", "@"+file,
		"--write-out", "\n%{http_code}\n%{content_type}", url)
	r.want(t, 0)
	parts := strings.Split(r.stdout, "\n")
	if len(parts) != 3 {
		t.Fatalf("curl printed %q, want the body in one line, status and content type", r.stdout)
	}
	status, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: status, body: parts[0], header: http.Header{"Content-Type": {parts[2]}}}
}
