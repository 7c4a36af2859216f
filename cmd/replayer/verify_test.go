package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

// tampered stores the event of a sequence again, changed, as somebody who can
// write to the stream would.
func (s *site) tampered(t *testing.T, sequence uint64, change func(m *events.Stored, header map[string]string)) {
	t.Helper()
	m, header := s.stored(t, sequence), map[string]string{}
	for name, values := range m.Header {
		header[name] = values[0]
	}
	delete(header, events.HeaderMessageID)
	change(&m, header)
	s.publish(t, m.Subject, string(m.Data), header)
}

// verified runs verify and reads its summary.
func (s *site) verified(t *testing.T, code int, args ...string) (verifySummary, ran) {
	t.Helper()
	got := s.run(t, append([]string{"verify", "-o", "json"}, args...)...).want(t, "verify", code)
	var sum verifySummary
	if err := json.Unmarshal([]byte(got.stdout), &sum); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	return sum, got
}

// TestVerifyAllFit: every kind, plain and encrypted, in UTF-8 and GBK, under
// every rule of signing, in conflict and replayed, is what its request says.
func TestVerifyAllFit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := 0
	for _, typ := range alipaytest.Types() {
		if !typ.Event {
			continue
		}
		for _, rule := range []alipaytest.Rule{alipaytest.KeepSignType, alipaytest.DropSignType, alipaytest.InsertSignType} {
			for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK} {
				s.receive(t, typ.Type, alipaytest.Options{Signing: alipaytest.Signing{Rule: rule}, Charset: charset})
				n++
			}
		}
	}
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-twice"})
	s.receive(t, "voucher.stopped", alipaytest.Options{NotifyID: "n-twice"}) // a conflict
	s.replayed(t, 1, "job-1")
	sum, got := s.verified(t, 0)
	want := verifySummary{Checked: n + 2, Fits: true, Proved: n + 2, FirstSeq: 1, LastSeq: uint64(n + 2)}
	if diff := cmp.Diff(want, sum); diff != "" || got.stderr != "" {
		t.Errorf("stderr %q, summary (-want +got):\n%s", got.stderr, diff)
	}
	if sum, _ := s.verified(t, 0, "--include-replays", "--seq", "1-"); sum.Checked != n+3 {
		t.Errorf("with replays: %+v", sum)
	}
	if sum, got := s.verified(t, 0, "--id", "nowhere"); sum.Checked != 0 || !sum.Fits || !strings.Contains(got.stderr, "nothing matched; ALIPAY_EVENTS holds") {
		t.Errorf("nothing: %+v, %q", sum, got.stderr)
	}
}

// TestVerifyFindsWhatWasAltered: the request, the proof, what stands beside the
// request, and what has no request at all.
func TestVerifyFindsWhatWasAltered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "trade.status_changed", alipaytest.Options{NotifyID: "n-1", Payload: []alipaytest.Field{{Name: "total_amount", Value: "1.00"}}})
	set := func(name, value string) func(*events.Stored, map[string]string) {
		return func(_ *events.Stored, h map[string]string) { h[name] = value }
	}
	replace := func(name, old, with string) func(*events.Stored, map[string]string) {
		return func(_ *events.Stored, h map[string]string) {
			if !strings.Contains(h[name], old) {
				t.Fatalf("%s has no %q", name, old)
			}
			h[name] = strings.Replace(h[name], old, with, 1)
		}
	}
	cases := []struct {
		change  func(*events.Stored, map[string]string)
		verdict replay.Verdict
		detail  string
	}{
		{replace(events.HeaderRaw, "total_amount=1.00", "total_amount=9.00"), replay.NoLongerFit, "the signature: "},
		{replace(events.HeaderProof, "keep-empty", "drop-empty"), replay.NoLongerFit, "the signature: "},
		{set(events.HeaderProof, "trust me"), replay.NoLongerFit, "Alipay-Proof: not a key and a rule"},
		{set(events.HeaderRawEncoding, "base64"), replay.NoLongerFit, "Alipay-Raw: illegal base64"},
		{set(events.HeaderRaw, "a=%zz"), replay.NoLongerFit, "the request is no form"},
		{set(events.HeaderID, "n-2"), replay.Disagrees, "not as the request says: id"},
		{set(events.HeaderType, "alipay.trade.other"), replay.Disagrees, "type"},
		{set(events.HeaderTime, "2020-01-01T00:00:00Z"), replay.Disagrees, "time"},
		{set(events.HeaderTime, "noon"), replay.Disagrees, "what cannot be read (ce-time: "},
		{set(events.HeaderFingerprint, "00"), replay.Disagrees, "fingerprint"},
		{func(m *events.Stored, _ map[string]string) {
			m.Data = bytes.Replace(m.Data, []byte(`"1.00"`), []byte(`"9.00"`), 1)
		}, replay.Disagrees, "not as the request says: data"},
		{func(m *events.Stored, _ map[string]string) { m.Subject += "x" }, replay.Disagrees, "key or subject"},
		{func(_ *events.Stored, h map[string]string) { delete(h, events.HeaderRaw) }, replay.NoRaw, "there is no Alipay-Raw"},
		{replace(events.HeaderProof, "key=", "key=0000000000000000; rule="), replay.NoLongerFit, "Alipay-Proof: not"},
		{func(_ *events.Stored, h map[string]string) {
			h[events.HeaderProof] = "key=0123456789abcdef; rule=drop-sign-type,keep-empty"
		}, replay.KeyUnknown, "no such key"},
	}
	for _, c := range cases {
		s.tampered(t, 1, c.change)
	}
	s.publish(t, "alipay.events.stray", "x", nil)

	got := s.run(t, "verify", "--all", "-o", "ndjson").want(t, "verify", 4,
		"replayer: 2: no_longer_fits: the signature: ", "\nreplayer: 16 of 17 events do not fit, or nothing can be said of them\nTry: replayer verify --all -o ndjson ")
	lines := strings.SplitAfter(strings.TrimSuffix(got.stdout, "\n"), "\n")
	rows := rowsOf[verifyRow](t, strings.Join(lines[:len(lines)-1], ""))
	if len(rows) != len(cases)+2 || rows[0].Verdict != "proved" || rows[0].KeyID == "" || rows[len(rows)-1].Verdict != string(replay.NoRaw) {
		t.Fatalf("%d rows: %s", len(rows), got.stdout)
	}
	for i, c := range cases {
		if row := rows[i+1]; row.Verdict != string(c.verdict) || !strings.Contains(row.Detail, c.detail) {
			t.Errorf("case %d: %s (%s), want %s (%s)", i, row.Verdict, row.Detail, c.verdict, c.detail)
		}
	}
	var sum verifySummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatal(err)
	}
	want := verifySummary{Checked: 17, Proved: 1, KeyUnknown: 1, NoLongerFit: 6, Disagrees: 7, NoRaw: 2, FirstSeq: 1, LastSeq: 17}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if strings.Count(got.stderr, "\n") != maxNamed+2 {
		t.Errorf("stderr names more or fewer than %d:\n%s", maxNamed, got.stderr)
	}
}

// TestVerifyFormats: one object, and with --all the rows in it or before it.
func TestVerifyFormats(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	type document struct {
		Events []verifyRow `json:"events"`
		verifySummary
	}
	read := func(args ...string) document {
		var d document
		got := s.run(t, append([]string{"verify"}, args...)...).want(t, "verify", 0)
		if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
			t.Fatalf("%v: %v in %q", args, err, got.stdout)
		}
		return d
	}
	if d := read("--all", "-o", "json"); d.Events == nil || len(d.Events) != 0 || !d.Fits {
		t.Errorf("empty: %+v", d)
	}
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"})
	s.receive(t, "voucher.stopped", alipaytest.Options{NotifyID: "n-2"})
	if d := read("--all", "-o", "json"); len(d.Events) != 2 || d.Events[1].ID != "n-2" || d.Events[1].Type != "voucher.stopped" || d.Checked != 2 || !d.Fits {
		t.Errorf("all: %+v", d)
	}
	if d := read("-o", "ndjson"); d.Events != nil || d.Proved != 2 {
		t.Errorf("summary: %+v", d)
	}
	table := s.run(t, "verify").want(t, "table", 0)
	if !strings.HasPrefix(table.stdout, "checked         2\nproved          2\n") || table.stderr != "" {
		t.Errorf("table:\n%s%s", table.stdout, table.stderr)
	}
	if all := s.run(t, "verify", "--all").want(t, "table", 0); !strings.HasPrefix(all.stdout, "SEQ ") || !strings.Contains(all.stdout, "\n\nchecked         2\n") {
		t.Errorf("table of all:\n%s", all.stdout)
	}
}

// TestVerifyAfterRotation: a key that the configuration has forgotten is found
// among the remembered ones, and only there.
func TestVerifyAfterRotation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"})
	old, err := verify.ParsePublicKey(s.app.PublicPEM)
	if err != nil {
		t.Fatal(err)
	}
	newPEM := wrongKey(t)
	if err := os.WriteFile(filepath.Join(s.dir, "alipay.pem"), newPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	sum, got := s.verified(t, 4)
	if sum.KeyUnknown != 1 || !strings.Contains(got.stderr, "replayer: 1: key_unknown: no such key is configured or remembered\n") {
		t.Errorf("not remembered: %+v, %s", sum, got.stderr)
	}
	other, err := verify.ParsePublicKey(newPEM)
	if err != nil {
		t.Fatal(err)
	}
	s.remember(t, old.ID, other) // a key under another's name proves nothing
	if sum, got := s.verified(t, 4); sum.KeyUnknown != 1 || !strings.Contains(got.stderr, "what is remembered under "+old.ID+" is the key "+other.ID) {
		t.Errorf("a wrong one remembered: %+v, %s", sum, got.stderr)
	}
	s.remember(t, old.ID, old)
	if sum, got := s.verified(t, 0); sum.OldKey != 1 || sum.Proved != 0 || !sum.Fits || got.stderr != "" {
		t.Errorf("remembered: %+v, %s", sum, got.stderr)
	}
	s.putKey(t, old.ID, []byte("no record"))
	if sum, _ := s.verified(t, 4); sum.KeyUnknown != 1 {
		t.Errorf("no record: %+v", sum)
	}
	if err := s.js.DeleteKeyValue(t.Context(), stream.KeysBucket); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t, "verify", "-o", "json"); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "\nTry: receiver check ") {
		t.Errorf("without the bucket: exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}

func (s *site) remember(t *testing.T, id string, key verify.PublicKey) {
	t.Helper()
	record, err := wire.NewKeyRecord(s.app.ID, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.putKey(t, id, record)
}

// putKey writes to ALIPAY_KEYS whatever is there already.
func (s *site) putKey(t *testing.T, id string, record []byte) {
	t.Helper()
	bucket, err := s.js.KeyValue(t.Context(), stream.KeysBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), id, record); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyEncrypted: content that no key of today opens is proved by its
// signature, and the summary says what was not looked at.
func TestVerifyEncrypted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key, err := verify.ParsePublicKey(s.app.PublicPEM)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		t.Fatal(err)
	}
	aesText := base64.StdEncoding.EncodeToString(s.app.AESKey)
	aesKey, err := verify.ParseAESKey([]byte(aesText))
	if err != nil {
		t.Fatal(err)
	}
	s.pipeline.SetApps(ingest.App{ID: s.app.ID, Verifier: verifier, AESKeys: []verify.AESKey{aesKey}})
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-1", AESKey: s.app.AESKey})
	s.tampered(t, 1, func(m *events.Stored, _ map[string]string) { m.Data = []byte(`{"activity_id":"0"}`) })
	if sum, got := s.verified(t, 0); sum.Proved != 2 || sum.Sealed != 2 || !sum.Fits {
		t.Errorf("without the key: %+v, %s", sum, got.stderr)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "aes"), []byte(aesText), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "[alipay.pem]\n", "[alipay.pem]\n    aes_keys: [aes]\n", 1)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if sum, _ := s.verified(t, 4); sum.Proved != 1 || sum.Disagrees != 1 || sum.Sealed != 0 {
		t.Errorf("with the key: %+v", sum)
	}
}

// TestVerifyInterrupted: a part is no verdict.
func TestVerifyInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.receive(t, "voucher.created", alipaytest.Options{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	stdout, stderr := &interruptingWriter{interrupt: cancel}, &bytes.Buffer{}
	code := run(ctx, []string{"verify", "--all", "-o", "json", "--config", s.config}, stdout, stderr, nil)
	if code != 1 || stderr.String() != "replayer: interrupted\n" || !json.Valid(stdout.Bytes()) || strings.Contains(stdout.String(), "checked") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

// TestProgress: lines where there is no terminal, and a bar that goes away.
func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, "verify", 30, true)
	p.every = 10
	for i := range int64(25) {
		p.reach(i + 1)
	}
	p.end()
	if got, want := out.String(), "replayer: verify: 10 done, at 10 of 30\nreplayer: verify: 20 done, at 20 of 30\n"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
	for _, last := range []int64{0, 3, 30} { // none, some and all
		bar := &progress{w: &bytes.Buffer{}, verb: "verify", total: 30, every: 1}
		bar.draw()
		for i := range last {
			bar.reach(i + 1)
		}
		bar.end() // goleak sees whether it is gone
	}
	if f, err := os.Open(os.DevNull); err != nil || isTerminal(&out) {
		t.Errorf("%v: a buffer is no terminal", err)
	} else {
		f.Close()
	}
}
