package ingest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// withGateway gives the app a key of its own, the stranger's of these tests.
func (h *harness) withGateway(bindingURL string) {
	h.Helper()
	pem, err := testKey(h, strangerKey).PrivatePEM()
	if err != nil {
		h.Fatal(err)
	}
	key, err := verify.ParsePrivateKey(pem)
	if err != nil {
		h.Fatal(err)
	}
	if h.app.Gateway, err = ingest.NewGateway(h.app.ID, key, bindingURL); err != nil {
		h.Fatal(err)
	}
	h.pipeline.SetApps(h.app)
}

// wantSigned checks that a reply is XML that the app's key signed, and gives
// what is inside.
func (h *harness) wantSigned(r *ingest.Reply) string {
	h.Helper()
	if r == nil {
		h.Fatal("no signed answer")
	}
	_, rest, _ := strings.Cut(string(r.Body), "<response>")
	inner, rest, _ := strings.Cut(rest, "</response><sign>")
	sign, _, _ := strings.Cut(rest, "</sign>")
	raw, err := base64.StdEncoding.DecodeString(sign)
	if err != nil {
		h.Fatal(err)
	}
	sum := sha256.Sum256([]byte(inner))
	if err := rsa.VerifyPKCS1v15(testKey(h, strangerKey).Public(), crypto.SHA256, sum[:], raw); err != nil {
		h.Errorf("the answer %q: %v", r.Body, err)
	}
	if !strings.HasPrefix(r.ContentType, "text/xml; charset=") {
		h.Errorf("Content-Type %q", r.ContentType)
	}
	return inner
}

// The gateway check is answered and becomes no event, proved or not.
func TestIngestGatewayCheck(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	check := h.form(h.notification("gateway.check", alipaytest.Options{}))
	forged := h.form(h.notification("gateway.check", alipaytest.Options{Key: testKey(t, strangerKey)}))
	stranger := h.form(h.notification("gateway.check", alipaytest.Options{AppID: "2021009999999999"}))
	h.untouched(func() {
		h.want(h.ingest(check.Encode()), unavailable, "no_private_key")
		h.want(h.ingest(stranger.Encode()), refused, "unknown_app")

		h.withGateway("")
		res := h.ingest(check.Encode())
		h.want(res, ingest.Checked, "")
		if inner := h.wantSigned(res.Reply); !strings.HasPrefix(inner, "<success>true</success><biz_content>") {
			t.Errorf("answer %q", inner)
		}
		res = h.ingest(forged.Encode())
		h.want(res, ingest.Checked, "bad_signature")
		h.wantUnproved(res, h.app.ID)
		if inner := h.wantSigned(res.Reply); !strings.HasPrefix(inner, "<success>false</success><error_code>VERIFY_FAILED</error_code>") {
			t.Errorf("answer %q", inner)
		}
		h.want(h.ingest(stranger.Encode()), refused, "unknown_app")
		h.want(h.ingestAt(check.Encode(), events.Arrival{PathApp: "2021009999999999"}), refused, "app_mismatch")
	})
}

// An event of the account has no id; its signed string names it, so that the
// same delivery is a duplicate, and both are answered with a signed XML.
func TestIngestAccountEvent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.withGateway("https://shop.example/bind")
	n := h.notification("account.event", alipaytest.Options{})
	body := h.form(n).Encode()
	first := h.ingest(body)
	h.want(first, ingest.Accepted, "")
	again := h.ingest(body)
	h.want(again, ingest.Duplicate, "")
	if first.EventID != again.EventID || len(first.EventID) != 64 || first.Kind != "account.event" {
		t.Errorf("events %q and %q of kind %s", first.EventID, again.EventID, first.Kind)
	}
	for _, res := range []ingest.Result{first, again} {
		if inner := h.wantSigned(res.Reply); !strings.Contains(inner, n.Payload("FromAlipayUserId")) || !strings.Contains(inner, "[ack]") {
			t.Errorf("answer %q", inner)
		}
	}
	h.mishaps.arm(map[string]mishap{opPublish: failed})
	other := h.notification("account.event", alipaytest.Options{Payload: []alipaytest.Field{{Name: "EventType", Value: "enter"}}})
	if res := h.ingest(h.form(other).Encode()); res.Outcome != unavailable || res.Reply != nil {
		t.Errorf("not stored: outcome %s with the answer %v", res.Outcome, res.Reply)
	}
	forged := h.form(n).With("biz_content", strings.ReplaceAll(func() string { v, _ := h.form(n).Get("biz_content"); return v }(), "follow", "unfollow"))
	h.untouched(func() { h.wantUnproved(h.ingest(forged.Encode()), h.app.ID) })
}
