package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// marker stands in every value that a stranger chooses in these tests.
const marker = "MARKER"

// wantSilent checks that a result holds nothing of what was sent.
func (h *harness) wantSilent(res ingest.Result, words ...string) {
	h.Helper()
	text := fmt.Sprintf("%+v %v", res, res.Err)
	for _, w := range append(words, marker) {
		if strings.Contains(text, w) {
			h.Errorf("the result holds %q: %s", w, text)
		}
	}
}

// wantUnproved checks the result of a request that nobody proved.
func (h *harness) wantUnproved(res ingest.Result, appID string) {
	h.Helper()
	h.wantSilent(res)
	if res.AppID != appID || res.EventID != "" || res.Type != "" || res.Kind != "" || res.Match != (verify.Match{}) || res.Sequence != 0 {
		h.Errorf("the result says more than is proved: %+v", res)
	}
}

// A forged request with the id of a genuine notification that is still to come
// must not be able to keep it out.
func TestIngestForgedThenGenuine(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	n := h.notification("voucher.created", alipaytest.Options{
		NotifyID: marker + "-id", Payload: []alipaytest.Field{{Name: "out_biz_no", Value: marker}},
	})
	genuine := h.form(n)
	forgeries := map[string]struct {
		form   alipaytest.Form
		reason string
	}{
		"a stranger's key": {h.form(h.notification("voucher.created", alipaytest.Options{
			NotifyID: n.ID(), Key: testKey(t, strangerKey),
		})), "bad_signature"},
		"other content":    {genuine.With("biz_content", `{"activity_id":"`+marker+`"}`), "bad_signature"},
		"another id":       {genuine.With("notify_id", marker+"-other"), "bad_signature"},
		"another method":   {genuine.With("msg_method", "alipay."+marker), "bad_signature"},
		"an added field":   {genuine.With("aaa", marker), "bad_signature"},
		"no such base64":   {genuine.With("sign", strings.Repeat("*", 344)), "signature_format"},
		"a short sign":     {genuine.With("sign", marker), "signature_format"},
		"signed with SHA1": {genuine.With("sign_type", "RSA"), "algorithm"},
		"no such type":     {genuine.With("sign_type", marker), "algorithm"},
	}
	for name, f := range forgeries {
		h.untouched(func() {
			res := h.ingest(f.form.Encode())
			if res.Outcome != refused || res.Reason != f.reason {
				t.Errorf("%s: outcome %s %q, want refused %q", name, res.Outcome, res.Reason, f.reason)
			}
			h.wantUnproved(res, h.app.ID)
		})
	}
	h.want(h.ingest(genuine.Encode()), ingest.Accepted, "")
}

// sign_type decides nothing: a good SHA-1 signature is as bad as none, whatever
// the form says of it, until the configuration allows it.
func TestIngestAlgorithm(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	body := h.form(h.notification("voucher.created", alipaytest.Options{Signing: alipaytest.Signing{SignType: alipaytest.RSA}}))
	h.untouched(func() {
		h.want(h.ingest(body.Encode()), refused, "algorithm")
		h.want(h.ingest(body.With("sign_type", "RSA2").Encode()), refused, "bad_signature")
		h.want(h.ingest(body.Without("sign_type").Encode()), refused, "bad_signature")
	})
	v, err := verify.New(h.app.Verifier.Keys(), []verify.SignType{verify.RSA2, verify.RSA})
	if err != nil {
		t.Fatal(err)
	}
	h.app.Verifier, h.stream.verifier = v, v
	h.pipeline.SetApps(h.app)
	h.want(h.ingest(body.Encode()), ingest.Accepted, "")
}

func TestIngestApp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	body := h.form(h.notification("voucher.created", alipaytest.Options{})).Encode()
	stranger := h.form(h.notification("voucher.created", alipaytest.Options{AppID: "2021009999999999"})).Encode()
	h.untouched(func() {
		res := h.ingest(stranger)
		h.want(res, refused, "unknown_app")
		h.wantUnproved(res, "")
		h.wantSilent(res, "2021009999999999")

		for _, path := range []string{"2021009999999999", marker + "/../x"} {
			res := h.ingestAt(body, events.Arrival{PathApp: path})
			h.want(res, refused, "app_mismatch")
			h.wantSilent(res, path)
			if res.AppID != h.app.ID || res.Match.KeyID == "" {
				h.Errorf("what Alipay signed is not known as such: %+v", res)
			}
		}
	})
	h.want(h.ingestAt(body, events.Arrival{PathApp: h.app.ID}), ingest.Accepted, "")
}

// One app's key proves nothing about another's notifications.
func TestIngestOtherAppsKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	other := ingest.App{ID: "2021000000000002", Verifier: newVerifier(t, testKey(t, strangerKey).PublicPEM())}
	h.pipeline.SetApps(h.app, other)
	body := h.form(h.notification("voucher.created", alipaytest.Options{AppID: other.ID})).Encode() // signed with the first app's
	h.untouched(func() { h.wantUnproved(h.ingest(body), other.ID) })
}

// Everything that is not a notification, by reason. Nothing of it is ever asked
// of a store, and nothing of it is said again.
func TestIngestMalformed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	message := h.form(h.notification("voucher.created", alipaytest.Options{NotifyID: marker}))
	trade := h.form(h.notification("trade.status_changed", alipaytest.Options{NotifyID: marker}))
	long := strings.Repeat("9", 129)
	tests := []struct {
		name, reason string
		body         []byte
	}{
		{"nothing", "missing_sign", nil},
		{"not a form", "missing_sign", []byte(`{"` + marker + `":1}`)},
		{"broken escape", "bad_encoding", append(message.Encode(), "&x=%"+marker...)},
		{"repeated field", "repeated_field", append(message, alipaytest.Field{Name: "notify_id", Value: marker}).Encode()},
		{"repeated field, empty", "repeated_field", append(message, alipaytest.Field{Name: "sign_type"}).Encode()},
		{"too many fields", "too_many_fields", []byte(strings.Repeat("&"+marker, verify.MaxFields+1))},
		{"no sign", "missing_sign", message.Without("sign").Encode()},
		{"empty sign", "missing_sign", message.With("sign", "").Encode()},
		{"no app", "missing_app_id", message.Without("app_id").Encode()},
		{"no id", "missing_notify_id", message.Without("notify_id").Encode()},
		{"no id, flat", "missing_notify_id", trade.Without("notify_id").Encode()},
		{"no content", "missing_biz_content", message.With("biz_content", "").Encode()},
		{"no time", "missing_utc_timestamp", message.Without("utc_timestamp").Encode()},
		{"no name", "not_a_notification", message.Without("msg_method").Encode()},
		{"a return URL", "not_a_notification", trade.Without("notify_type", "notify_id").Encode()},
		{"bad notify_time", "bad_notify_time", trade.With("notify_time", marker).Encode()},
		{"bad utc_timestamp", "bad_utc_timestamp", message.With("utc_timestamp", "17").Encode()},
		{"utc_timestamp of letters", "bad_utc_timestamp", message.With("utc_timestamp", "170000000000x").Encode()},
		{"merged strict field", "merged_field", trade.With("trade_no", "1&trade_status="+marker).Encode()},
		{"app_id", "bad_app_id", message.With("app_id", marker).Encode()},
		{"auth_app_id", "bad_auth_app_id", message.With("auth_app_id", marker).Encode()},
		{"charset", "bad_charset", message.With("charset", marker+"&").Encode()},
		{"encrypt_type", "bad_encrypt_type", message.With("encrypt_type", marker+"=").Encode()},
		{"merchant_app_id", "bad_merchant_app_id", message.With("merchant_app_id", marker).Encode()},
		{"msg_app_id", "bad_msg_app_id", message.With("msg_app_id", marker).Encode()},
		{"msg_method", "bad_msg_method", message.With("msg_method", marker+"-").Encode()},
		{"msg_mshop_id", "bad_msg_mshop_id", message.With("msg_mshop_id", marker+"&").Encode()},
		{"msg_type", "bad_msg_type", message.With("msg_type", marker+"&").Encode()},
		{"msg_uid", "bad_msg_uid", message.With("msg_uid", marker).Encode()},
		{"notify_id", "bad_notify_id", message.With("notify_id", marker+" ").Encode()},
		{"notify_id, long", "bad_notify_id", message.With("notify_id", long).Encode()},
		{"notify_id, a line", "bad_notify_id", message.With("notify_id", marker+"\r\nx: y").Encode()},
		{"notify_type", "bad_notify_type", message.With("notify_type", marker+"&").Encode()},
		{"service", "bad_service", message.With("service", marker+"&").Encode()},
		{"sign_type", "bad_sign_type", message.With("sign_type", marker+"&").Encode()},
		{"version", "bad_version", message.With("version", marker+"&").Encode()},
	}
	for _, tt := range tests {
		h.untouched(func() {
			res := h.ingest(tt.body)
			if res.Outcome != malformed || res.Reason != tt.reason {
				t.Errorf("%s: outcome %s %q (%v), want malformed %q", tt.name, res.Outcome, res.Reason, res.Err, tt.reason)
			}
			if res.AppID != "" { // claimed, and no stranger to us
				h.wantUnproved(res, h.app.ID)
				return
			}
			h.wantUnproved(res, "")
		})
	}
}

// Signed values are not escaped, so a genuine signature fits other forms too:
// two neighbours merged into one value, or one value split at an '&'. All of
// these verify; none may become an event.
func TestIngestMergedAndSplit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	drop := alipaytest.Signing{Rule: alipaytest.DropSignType}
	message := h.form(h.notification("voucher.created", alipaytest.Options{Signing: drop}))
	value := func(f alipaytest.Form, name string) string { v, _ := f.Get(name); return v }

	merge := func(f alipaytest.Form, first, second string) alipaytest.Form {
		return f.With(first, value(f, first)+"&"+second+"="+value(f, second)).Without(second)
	}
	split := h.signed(message.With("biz_content", `{"activity_id":"1&charset=UTF-8"}`).Without("charset"), drop)
	split = split.With("biz_content", `{"activity_id":"1`).With("charset", `UTF-8"}`)
	// A trade whose subject the merchant chose, merged with its neighbour.
	trade := h.form(h.notification("trade.status_changed", alipaytest.Options{}))
	tests := []struct {
		name, reason string
		form         alipaytest.Form
	}{
		{"the id and its neighbour", "bad_notify_id", merge(message, "notify_id", "utc_timestamp")},
		{"the method and its neighbour", "bad_msg_method", merge(message, "msg_method", "notify_id")},
		{"the time and its neighbour", "bad_utc_timestamp", merge(message, "utc_timestamp", "version")},
		{"the app and its neighbour", "bad_app_id", merge(message, "app_id", "biz_content")},
		{"the content split", "bad_charset", split},
		{"two amounts", "merged_field", merge(trade, "total_amount", "trade_no")},
	}
	for _, tt := range tests {
		form, err := verify.ParseForm(string(tt.form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.app.Verifier.Verify(form, "x"); err != nil {
			t.Errorf("%s: does not verify, so this test tests nothing: %v", tt.name, err)
		}
		h.untouched(func() {
			if res := h.ingest(tt.form.Encode()); res.Outcome != malformed || res.Reason != tt.reason {
				t.Errorf("%s: outcome %s %q, want malformed %q", tt.name, res.Outcome, res.Reason, tt.reason)
			}
		})
	}
}

// What is signed and yet no whole object is half of something.
func TestIngestBadContent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	message := h.form(h.notification("voucher.created", alipaytest.Options{}))
	for _, content := range []string{`{"a":"` + marker, `["` + marker + `"]`, marker, `{} ` + marker, `{}{}`, `<a>` + marker, "\ufeff{}"} {
		h.untouched(func() {
			res := h.ingest(h.signed(message.With("biz_content", content), alipaytest.Signing{}).Encode())
			if res.Outcome != malformed || res.Reason != "bad_biz_content" {
				t.Errorf("content %q: outcome %s %q", content, res.Outcome, res.Reason)
			}
			h.wantSilent(res)
		})
	}
}

// A split or merged trade cannot be told from a genuine one, so a person has to.
func TestIngestAmbiguous(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tests := []struct {
		subject string
		outcome ingest.Outcome
		reason  string
	}{
		{"x&timestamp=" + marker, refused, "ambiguous"},
		{"x&y=" + marker, ingest.Accepted, ""},    // no documented name
		{"x&body=" + marker, ingest.Accepted, ""}, // would stand elsewhere
		{"x&timestamp" + marker, ingest.Accepted, ""},
		{"fish & chips", ingest.Accepted, ""},
	}
	for i, tt := range tests {
		n := h.notification("trade.status_changed", alipaytest.Options{
			NotifyID: fmt.Sprint("n", i), Payload: []alipaytest.Field{{Name: "subject", Value: tt.subject}},
		})
		before := h.once.calls() + h.stream.called()
		res := h.ingest(h.form(n).Encode())
		if res.Outcome != tt.outcome || res.Reason != tt.reason {
			t.Errorf("%q: outcome %s %q (%v), want %s %q", tt.subject, res.Outcome, res.Reason, res.Err, tt.outcome, tt.reason)
		}
		if touched := h.once.calls()+h.stream.called() > before; touched != (tt.outcome == ingest.Accepted) {
			t.Errorf("%q: stores were asked: %v", tt.subject, touched)
		}
		h.wantSilent(res)
	}
}

// A person who has looked at an ambiguous request may take it, and nothing else:
// every other rule stands.
func TestIngestAllowAmbiguous(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pipeline = ingest.New(ingest.Options{Once: h.once, Publisher: h.stream, AllowAmbiguous: true, MaxSignedAge: time.Hour, Now: func() time.Time { return h.now }}, h.app)
	n := h.notification("trade.status_changed", alipaytest.Options{Payload: []alipaytest.Field{{Name: "subject", Value: "x&timestamp=1"}}})
	h.want(h.ingest(h.form(n).Encode()), ingest.Accepted, "")
	h.want(h.ingest(h.form(n).With("subject", "y&timestamp=1").Encode()), refused, "bad_signature")
	h.now = h.now.Add(2 * time.Hour)
	old, err := n.Body(h.now.Add(-90 * time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	h.want(h.ingest(old), refused, "stale")
}

// One way of signing leaves empty fields out, so anybody who holds a genuine
// notification can add empty fields to it (PROTOCOL.md 3.1). They count for
// nothing. They once did: an empty field whose name sorts behind `subject`
// was taken for its neighbour, and hid that `total_amount` had been merged into
// the subject; and one with a name of broken bytes made a typed event untyped.
func TestIngestAddedEmptyFields(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	trade := h.form(h.notification("trade.status_changed", alipaytest.Options{Signing: alipaytest.Signing{DropEmpty: true}}))
	amount, _ := trade.Get("total_amount")
	subject, _ := trade.Get("subject")
	merged := trade.Without("total_amount").With("subject", subject+"&total_amount="+amount)
	h.untouched(func() {
		h.want(h.ingest(merged.Encode()), refused, "ambiguous")
		h.want(h.ingest(merged.With("subjectz", "").Encode()), refused, "ambiguous")
	})

	added := trade.With("no_such_field", "").With("\xff", "").With("refund_fee", "")
	h.want(h.ingest(added.Encode()), ingest.Accepted, "")
	h.want(h.ingest(trade.Encode()), ingest.Duplicate, "")
	if e := h.stream.events()[0]; e.Kind != "trade.status_changed" || e.DecodeError != "" {
		t.Errorf("event %s, %q: %s", e.Kind, e.DecodeError, e.Data)
	}
}

// An old capture must not become an event once dedupe has forgotten it.
func TestIngestStale(t *testing.T) {
	t.Parallel()
	const maxAge = 72 * time.Hour
	tests := []struct {
		name   string
		maxAge time.Duration
		age    time.Duration
		stale  bool
	}{
		{"fresh", maxAge, 0, false},
		{"the last retry", maxAge, 25 * time.Hour, false},
		{"at the limit", maxAge, maxAge, false},
		{"over the limit", maxAge, maxAge + time.Second, true},
		{"from the future", maxAge, -time.Hour, false},
		{"switched off", 0, 10 * 365 * 24 * time.Hour, false},
	}
	for _, typ := range []string{"voucher.created", "trade.status_changed"} { // utc_timestamp, notify_time
		for _, tt := range tests {
			t.Run(typ+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				body := h.form(h.notification(typ, alipaytest.Options{})).Encode()
				sent := sentAt
				if typ == "trade.status_changed" {
					sent = sent.Truncate(time.Second) // notify_time has no fraction
				}
				h.pipeline = ingest.New(ingest.Options{
					Once: h.once, Publisher: h.stream, MaxSignedAge: tt.maxAge, Now: func() time.Time { return sent.Add(tt.age) },
				}, h.app)
				if !tt.stale {
					h.want(h.ingest(body), ingest.Accepted, "")
					return
				}
				h.untouched(func() { h.want(h.ingest(body), refused, "stale") })
			})
		}
	}
}
