package explain_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/explain"
	"alipay-notify/internal/verify"
)

func TestGenuineOnesHaveNoCause(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, info := range alipaytest.Types() {
		t.Run(info.Type, func(t *testing.T) {
			t.Parallel()
			r := explain.Explain(w.input(w.form(t, info.Type, alipaytest.Options{}).Encode()))
			wantAccepted(t, r)
		})
	}
}

func wantAccepted(t *testing.T, r explain.Report) {
	t.Helper()
	if r.Match == nil || !r.Accepted || len(r.Causes) > 0 || r.Repaired != nil {
		t.Fatalf("match %v, accepted %v, causes %v, steps %+v", r.Match, r.Accepted, r.Causes, r.Steps)
	}
	if r.Match.KeyID != r.Signature.MadeBy || r.Signature.Role != "alipay" {
		t.Errorf("signature %+v, match %+v", r.Signature, r.Match)
	}
	fits := slices.IndexFunc(r.Candidates, func(c explain.Candidate) bool { return c.FitsKey != "" })
	if fits < 0 || r.Candidates[fits].Rule != r.Match.Rule {
		t.Errorf("candidates %+v, match %+v", r.Candidates, r.Match)
	}
}

func TestGenuineOnesOfEveryRuleAndCharset(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, opts := range map[string]alipaytest.Options{
		"keep":      {Signing: alipaytest.Signing{Rule: alipaytest.KeepSignType}},
		"drop":      {Signing: alipaytest.Signing{Rule: alipaytest.DropSignType}},
		"insert":    {Signing: alipaytest.Signing{Rule: alipaytest.InsertSignType}},
		"GBK":       {Charset: alipaytest.GBK},
		"GB18030":   {Charset: alipaytest.GB18030},
		"encrypted": {AESKey: w.app.AESKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts.Payload = []alipaytest.Field{{Name: "voucher_name", Value: "五折券"}}
			wantAccepted(t, explain.Explain(w.input(w.form(t, "voucher.received", opts).Encode())))
		})
	}
	t.Run("drop empty", func(t *testing.T) {
		t.Parallel()
		opts := alipaytest.Options{Signing: alipaytest.Signing{DropEmpty: true}, Payload: []alipaytest.Field{{Name: "body"}}}
		r := explain.Explain(w.input(w.form(t, "trade.status_changed", opts).Encode()))
		wantAccepted(t, r)
		if !strings.HasSuffix(r.Match.Rule, ",drop-empty") || len(r.Candidates) != 4 {
			t.Errorf("rule %s, %d candidates", r.Match.Rule, len(r.Candidates))
		}
	})
}

func TestOddContentTypesAreFine(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, contentType := range []string{"", "text/plain", "x; y=;;", "application/x-www-form-urlencoded"} {
		in := w.input(w.message(t).Encode())
		in.ContentType = contentType
		wantAccepted(t, explain.Explain(in))
	}
}

func TestFieldsAndCandidates(t *testing.T) {
	t.Parallel()
	w := shared()
	form := w.form(t, "voucher.received", alipaytest.Options{
		Charset: alipaytest.GBK, Payload: []alipaytest.Field{{Name: "name", Value: "五折券"}},
	})
	r := explain.Explain(w.input(append(form, alipaytest.Field{Name: "zzz", Value: "1"}).Encode()))
	var names []string
	for _, f := range r.Fields {
		names = append(names, f.Name)
		if f.Documented != (f.Name != "zzz") {
			t.Errorf("%s: documented %v", f.Name, f.Documented)
		}
		if f.Name == "biz_content" && (!strings.Contains(f.Value, "五折券") || f.Base64 == "") {
			t.Errorf("biz_content is shown as %q, %q", f.Value, f.Base64)
		}
	}
	if !slices.IsSorted(names) || len(names) != len(form)+1 {
		t.Errorf("fields %v", names)
	}
	if r.Repaired == nil || r.Repaired.FitsKey == "" || strings.Contains(r.Repaired.SigningString, "zzz") {
		t.Errorf("repaired: %+v", r.Repaired)
	}
	for _, c := range r.Candidates {
		if c.FitsKey != "" || c.Bytes == 0 || len(c.SHA256) != 64 {
			t.Errorf("candidate: %+v", c)
		}
	}
	if r.Signature.Digest != r.Repaired.SHA256 {
		t.Errorf("the signature is of %s, the repaired text is %s", r.Signature.Digest, r.Repaired.SHA256)
	}
}

// Refusals that have nothing to do with the signature.
func TestSignedButRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	signed := func(t *testing.T, f alipaytest.Form) []byte {
		t.Helper()
		f, err := w.app.Key.SignForm(f, alipaytest.Signing{Rule: alipaytest.DropSignType})
		if err != nil {
			t.Fatal(err)
		}
		return f.Encode()
	}
	tests := []struct {
		code, check string
		in          func(*testing.T) explain.Input
	}{
		{"stale", "age", func(t *testing.T) explain.Input {
			in := w.input(w.message(t).Encode())
			in.At = sentAt.Add(73 * time.Hour)
			return in
		}},
		{"ambiguous", "ambiguity", func(t *testing.T) explain.Input {
			return w.input(w.trade(t, alipaytest.Field{Name: "subject", Value: "x&timestamp=1"}).Encode())
		}},
		{"merged_field", "grammar", func(t *testing.T) explain.Input {
			return w.input(w.trade(t, alipaytest.Field{Name: "trade_no", Value: "1&trade_status=TRADE_SUCCESS"}).Encode())
		}},
		{"undecryptable", "decryption", func(t *testing.T) explain.Input {
			return w.input(w.form(t, "voucher.used", alipaytest.Options{AESKey: alipaytest.NewAESKey()}).Encode())
		}},
		{"other_app_aes_key", "decryption", func(t *testing.T) explain.Input {
			return w.input(w.form(t, "voucher.used", alipaytest.Options{AESKey: w.other.AESKey}).Encode())
		}},
		{"app_mismatch", "grammar", func(t *testing.T) explain.Input {
			in := w.input(w.message(t).Encode())
			in.PathApp = otherAppID
			return in
		}},
		{"return_url", "grammar", func(t *testing.T) explain.Input {
			f := w.trade(t).Without("notify_id", "notify_type", "notify_time").With("method", "alipay.trade.page.pay.return")
			return w.input(signed(t, f))
		}},
		{"bad_content", "content", func(t *testing.T) explain.Input {
			return w.input(signed(t, w.message(t).With("biz_content", `{"id":"1"} x`)))
		}},
		{"malformed", "grammar", func(t *testing.T) explain.Input {
			return w.input(signed(t, w.message(t).With("utc_timestamp", "yesterday")))
		}},
		{"content_type", "transport", func(t *testing.T) explain.Input {
			in := w.input(w.message(t).Encode())
			in.ContentType = "application/json;charset=utf-8"
			return in
		}},
		{"gateway_unanswered", "content", func(t *testing.T) explain.Input {
			in := w.input(w.form(t, "gateway.check", alipaytest.Options{}).Encode())
			in.Apps[0].AnswersChecks = false
			return in
		}},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			r := explain.Explain(test.in(t))
			wantProved(t, r, test.code)
			if len(r.Causes) != 1 {
				t.Errorf("causes %v", codes(r))
			}
			if got := state(t, r, test.check); got != explain.Fail {
				t.Errorf("%s is %s", test.check, got)
			}
			if r.Match == nil || r.Signature.MadeBy == "" {
				t.Errorf("match %v, signature %+v", r.Match, r.Signature)
			}
		})
	}
}

func TestUnknownAppNamesNearOnes(t *testing.T) {
	t.Parallel()
	w := shared()
	form, err := w.app.Key.SignForm(w.message(t).With("app_id", "2021000000000010"), alipaytest.Signing{})
	if err != nil {
		t.Fatal(err)
	}
	r := explain.Explain(w.input(form.Encode()))
	wantProved(t, r, "other_app_key", "unknown_app")
	if try := r.Causes[1].Try; !strings.Contains(try, alipaytest.DefaultAppID) {
		t.Errorf("the near app is not named: %s", try)
	}
	in := w.input(form.Encode())
	in.Apps = nil
	wantProved(t, explain.Explain(in), "unknown_app")
}

func TestUntypedIsAccepted(t *testing.T) {
	t.Parallel()
	w := shared()
	n := w.app.Notification(t, "voucher.received", alipaytest.Options{Time: sentAt})
	n.RemovePayload("activity_id")
	body, err := n.Body(sentAt)
	if err != nil {
		t.Fatal(err)
	}
	r := explain.Explain(w.input(body))
	if !r.Accepted || state(t, r, "typing") != explain.Fail || len(r.Causes) > 0 {
		t.Errorf("accepted %v, causes %v, steps %+v", r.Accepted, r.Causes, r.Steps)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// The request and its key come from openssl; the field names of the report are
// what tools read.
func TestGoldenReport(t *testing.T) {
	t.Parallel()
	pem, err := os.ReadFile(filepath.Join("testdata", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join("testdata", "extra-field.form"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := verify.ParsePublicKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	r := explain.Explain(explain.Input{
		Body: body, Apps: []explain.App{{ID: alipaytest.DefaultAppID, Keys: []verify.PublicKey{key}}},
		At: time.UnixMilli(1709946123456).Add(time.Hour), MaxSignedAge: 72 * time.Hour,
	})
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	golden := filepath.Join("testdata", "extra-field.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the report has changed; look at it, and run with -update:\n%s", got)
	}
}
