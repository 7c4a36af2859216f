package explain_test

import (
	"bytes"
	"fmt"
	"html"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/explain"
	"alipay-notify/internal/verify"
)

// The algorithm is told from the signature, not from the field.
func TestAlgorithm(t *testing.T) {
	t.Parallel()
	w := shared()
	f := w.form(t, "voucher.used", alipaytest.Options{Signing: alipaytest.Signing{SignType: alipaytest.RSA}})
	r := explain.Explain(w.input(f.Encode()))
	wantProved(t, r, "algorithm")
	if r.Causes[0].Fault != 5 || r.Signature.SignType != "RSA" || state(t, r, "algorithm") != explain.Fail {
		t.Errorf("cause %+v, signature %+v, steps %+v", r.Causes[0], r.Signature, r.Steps)
	}
	in := w.input(f.Encode())
	in.Apps[0].SignTypes = []verify.SignType{verify.RSA2, verify.RSA}
	wantAccepted(t, explain.Explain(in))

	// sign_type is not signed under this rule, so the signature still fits.
	f = w.form(t, "voucher.used", alipaytest.Options{Signing: alipaytest.Signing{Rule: alipaytest.DropSignType}})
	r = explain.Explain(w.input(f.With("sign_type", "rsa2").Encode()))
	wantProved(t, r, "sign_type_refused")
	r = explain.Explain(w.input(f.With("sign_type", "rsa2").With("_url", "1").Encode()))
	wantProved(t, r, "extra_field", "sign_type_refused")
}

func TestOwnKeyConfigured(t *testing.T) {
	t.Parallel()
	w := shared()
	in := w.input(w.message(t).Encode())
	in.Apps[0].Keys = in.Apps[0].OwnKeys
	r := explain.Explain(in)
	wantProved(t, r, "own_key_configured")
	if len(r.Causes) < 2 || r.Causes[1].Code != "wrong_key" || r.Causes[0].Fault != 12 {
		t.Errorf("causes %v", codes(r))
	}
}

// Trusting the app's own key is a fault even while everything seems to work.
func TestOwnKeyConfiguredAndUsed(t *testing.T) {
	t.Parallel()
	w := shared()
	f, err := w.app.OwnKey.SignForm(w.message(t), alipaytest.Signing{})
	if err != nil {
		t.Fatal(err)
	}
	in := w.input(f.Encode())
	in.Apps[0].Keys = in.Apps[0].OwnKeys
	r := explain.Explain(in)
	if !r.Accepted || r.Signature.Role != "own" || !slices.Equal(codes(r), []string{"own_key_configured"}) {
		t.Errorf("accepted %v, signature %+v, causes %v", r.Accepted, r.Signature, codes(r))
	}
}

// Row 20: the same input filter spares the notification that carries no JSON.
func TestOnlyTradeSuccessFails(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, status := range []string{"WAIT_BUYER_PAY", "TRADE_SUCCESS"} {
		n := w.app.Notification(t, "trade.status_changed", alipaytest.Options{Time: sentAt})
		n.SetPayload("trade_status", status)
		if status == "WAIT_BUYER_PAY" {
			n.RemovePayload("fund_bill_list")
			n.RemovePayload("voucher_detail_list")
		}
		f, err := n.Form(sentAt)
		if err != nil {
			t.Fatal(err)
		}
		r := explain.Explain(w.input(editAll(f, html.EscapeString).Encode()))
		if status == "WAIT_BUYER_PAY" {
			wantAccepted(t, r)
		} else {
			wantProved(t, r, "html_escaped")
		}
	}
}

// A configuration that the receiver would not start with still gets an answer.
func TestUnusableConfiguration(t *testing.T) {
	t.Parallel()
	w := shared()
	in := w.input(w.message(t).Encode())
	in.Apps[0].Keys = append(slices.Clone(in.Apps[0].Keys), in.Apps[0].Keys...)
	r := explain.Explain(in)
	wantProved(t, r, "configuration")
	in.Apps[0].Keys = nil
	in.Apps[1] = explain.App{ID: "x", Keys: []verify.PublicKey{{ID: "broken"}}}
	wantProved(t, explain.Explain(in), "configuration")
}

// What cannot be repaired: the key decides what is said.
func TestUnrepairable(t *testing.T) {
	t.Parallel()
	w := shared()
	stranger, err := alipaytest.GenerateKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := alipaytest.GenerateKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	signedBy := func(key *alipaytest.Key) form {
		f, err := key.SignForm(w.message(t), alipaytest.Signing{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	body, message := w.trade(t).Encode(), w.message(t).Encode()
	tests := []struct {
		name string
		body []byte
		want []string // in this order, among the causes
	}{
		{"time changed", w.message(t).With("utc_timestamp", "1709946123000").Encode(), []string{"signed_value_changed", "json_rebuilt"}},
		{"content changed", w.message(t).With("biz_content", `{"id":"1"}`).Encode(), []string{"signed_value_changed", "json_rebuilt"}},
		{"keys sorted", w.message(t).With("biz_content", `{"activity_id":"1","event_time":"2","id":"3","voucher_id":"4"}`).Encode(),
			[]string{"signed_value_changed", "json_sorted", "json_rebuilt"}},
		{"fields lost", w.trade(t).Without("trade_no", "subject").Encode(), []string{"signed_value_changed", "fields_lost"}},
		{"garbled", edit(t, w.trade(t), "body", func(string) string { return "???,??" }).Encode(), []string{"signed_value_changed", "garbled"}},
		{"masked", edit(t, w.trade(t), "buyer_id", func(s string) string { return s[:4] + "****" }).Encode(), []string{"signed_value_changed", "masked"}},
		{"wrong key", signedBy(stranger).Encode(), []string{"wrong_key", "sandbox_key", "sign_changed", "forged"}},
		{"short key", signedBy(legacy).Encode(), []string{"short_key"}},
		{"SM2", w.message(t).With("sign_type", "SM2").With("sign", "MEUCIQ").Encode(), []string{"sm2"}},
		{"sign is no base64", w.message(t).With("sign", strings.Repeat("?!", 172)).Encode(), []string{"sign_format"}},
		{"cut before sign", message[:bytes.Index(message, []byte("&sign="))-4], []string{"no_sign", "truncated"}},
		{"cut in an escape", body[:bytes.LastIndexByte(body, '%')+2], []string{"bad_encoding", "truncated"}},
		{"cut in sign", body[:bytes.Index(body, []byte("&sign="))+101], []string{"truncated"}},
		{"empty", nil, []string{"empty_body"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := explain.Explain(w.input(test.body))
			got := codes(r)
			from := 0
			for _, want := range test.want {
				i := slices.Index(got[from:], want)
				if i < 0 {
					t.Fatalf("causes are %v, want %v among them", got, test.want)
				}
				from += i + 1
			}
			checkReport(t, r)
			if r.Work.Exhausted {
				t.Errorf("an ordinary notification ends the search early: %+v", r.Work)
			}
			if r.Match != nil || r.Repaired != nil {
				t.Errorf("match %v, repaired %v", r.Match, r.Repaired)
			}
		})
	}
}

// checkReport is what holds for every report.
func checkReport(t testing.TB, r explain.Report) {
	t.Helper()
	guesses := 0
	for _, c := range r.Causes {
		if c.Code == "" || c.What == "" || c.Try == "" || c.Fault < 0 || c.Fault > 20 {
			t.Errorf("incomplete cause: %+v", c)
		}
		if c.Proved && guesses > 0 {
			t.Errorf("%s is proved and stands behind a guess: %v", c.Code, codes(r))
		}
		if !c.Proved {
			guesses++
		}
	}
	if guesses > 5 {
		t.Errorf("%d guesses", guesses)
	}
	if r.Accepted != (len(r.Causes) == 0 && r.Match != nil) && !slices.Contains(codes(r), "own_key_configured") {
		t.Errorf("accepted %v, match %v, causes %v", r.Accepted, r.Match, codes(r))
	}
	if !r.Accepted && len(r.Causes) == 0 {
		t.Errorf("neither accepted nor a cause: %+v", r.Steps)
	}
	if r.Work.RSAOperations > explain.MaxRSAOperations || r.Work.Trials > explain.MaxTrials {
		t.Errorf("work %+v", r.Work)
	}
}

// The worst that a request can cost: every key, every spelling of sign, every
// repair.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	w := shared()
	in := w.input(nil)
	for i := range 30 {
		keys := make([]verify.PublicKey, 4)
		for k := range keys { // other names for one key: as dear as other keys
			keys[k] = in.Apps[1].Keys[0]
			keys[k].ID = fmt.Sprint(i, k)
		}
		in.Apps = append(in.Apps, explain.App{ID: fmt.Sprint(i), Keys: keys})
	}
	signs := make([]string, 100)
	for i := range signs {
		raw := make([]byte, 256)
		raw[1], raw[2] = 1, byte(i)
		signs[i] = encode64(raw)
	}
	t.Run("nobody's signatures", func(t *testing.T) {
		t.Parallel()
		if work := explain.LearnAll(in, signs); work.RSAOperations != explain.MaxRSAOperations-8 || !work.Exhausted {
			t.Errorf("work %+v, want %d operations less 8 for confirming", work, explain.MaxRSAOperations)
		}
		in := in
		f := append(w.message(t).With("sign", signs[0]), field{Name: "sign", Value: signs[1]}, field{Name: "SIGN", Value: signs[2]})
		in.Body = append([]byte("POST / HTTP/1.1\n\nx?"), f.Encode()...)
		r := explain.Explain(in)
		checkReport(t, r)
		if r.Signature.MadeBy != "" || r.Work.RSAOperations < 2*48 {
			t.Errorf("signature %+v, work %+v", r.Signature, r.Work)
		}
	})
	t.Run("changed beyond repair", func(t *testing.T) {
		t.Parallel()
		f := w.trade(t).With("out_trade_no", "1 2 3 4 5")
		for i := range 100 {
			f = append(f, field{Name: fmt.Sprint("extra", i), Value: `{"a": "&quot;%41 +b\\/"}`})
		}
		started := time.Now()
		r := explain.Explain(w.input(f.Encode()))
		checkReport(t, r)
		t.Logf("%+v in %v", r.Work, time.Since(started))
		if !r.Work.Exhausted || r.Causes[0].Code != "signed_value_changed" {
			t.Errorf("work %+v, causes %v", r.Work, codes(r))
		}
	})
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("some hundred megabytes of hashing")
	}
	w := shared()
	value := strings.Repeat(`{"a":"`+strings.Repeat("券 +&/", 1000)+`"},`, 400)
	bodies := map[string][]byte{
		"JSON":    w.message(t).With("biz_content", "["+value).Encode(),
		"escapes": append(w.message(t).Encode(), "&body="+strings.Repeat("%", 15<<20)...),
	}
	for name, body := range bodies {
		started := time.Now()
		r := explain.Explain(w.input(body))
		checkReport(t, r)
		t.Logf("%s: %d bytes, %+v in %v", name, len(body), r.Work, time.Since(started))
		if !r.Work.Exhausted || r.Work.Bytes > 2*explain.MaxBytes {
			t.Errorf("%s: work %+v", name, r.Work)
		}
	}
	r := explain.Explain(w.input(make([]byte, explain.MaxBody+1)))
	if !slices.Equal(codes(r), []string{"too_large"}) || r.Accepted {
		t.Errorf("causes %v", codes(r))
	}
}

func TestRandomBytes(t *testing.T) {
	t.Parallel()
	w := shared()
	random := rand.New(rand.NewPCG(3, 4))
	genuine := w.trade(t).Encode()
	for range 300 {
		noise := make([]byte, random.IntN(600))
		for i := range noise {
			noise[i] = byte(random.IntN(256))
		}
		checkReport(t, explain.Explain(w.input(noise)))
	}
	for range 12 {
		body := bytes.Clone(genuine)
		for range 1 + random.IntN(3) {
			body[random.IntN(len(body))] = byte(random.IntN(256))
		}
		checkReport(t, explain.Explain(w.input(body)))
	}
}

func FuzzExplain(f *testing.F) {
	w := shared()
	genuine := w.trade(f).Encode()
	for _, seed := range [][]byte{nil, genuine, bytes.ReplaceAll(genuine, []byte("%22"), []byte("%26quot%3B")), []byte("\x1f\x8b"),
		[]byte(`{"sign":"x","app_id":1}`), []byte("--x\r\n\r\n--x--"), []byte("a=%&sign=%"), []byte("POST / HTTP/1.1\n\nsign=1")} {
		f.Add(seed, "application/x-www-form-urlencoded", w.app.ID)
	}
	f.Add(genuine, "multipart/form-data; boundary=x", "1")
	f.Fuzz(func(t *testing.T, body []byte, contentType, pathApp string) {
		in := w.input(body)
		in.ContentType, in.PathApp = contentType, pathApp
		checkReport(t, explain.Explain(in))
	})
}

// The package comment is where an operator looks a code up.
func TestEveryCodeIsInThePackageComment(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, code := range explain.Codes() {
		if seen[code] {
			t.Errorf("%s stands twice", code)
		}
		seen[code] = true
		known := strings.Contains(string(doc), code) || strings.HasPrefix(code, "sign_")
		if !known {
			t.Errorf("%s is not in the package comment", code)
		}
	}
}
