package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/explain"
)

// explained runs explain with -o json and reads the report.
func (s *site) explained(t *testing.T, code int, args ...string) explain.Report {
	t.Helper()
	got := s.run(t, append([]string{"explain", "-o", "json"}, args...)...).want(t, strings.Join(args, " "), code)
	var report explain.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v: %v in %q", args, err, got.stdout)
	}
	return report
}

// What is refused gets explained wherever it is: captured in a file, kept among
// the rejects, or, for comparison, taken and in the archive.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "explained"})
	genuine := s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "taken"})
	form, err := n.Form(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	damaged := form.With("_url", "/notify").Encode() // what a framework adds
	r := newRefusing(t, s, wrongKey(t))
	r.refuseBody(t, damaged, "")

	file := filepath.Join(t.TempDir(), "request.form")
	if err := os.WriteFile(file, genuine, 0o600); err != nil {
		t.Fatal(err)
	}
	if report := s.explained(t, 0, file); !report.Accepted || report.Match == nil || report.NotifyID != "taken" || len(report.Causes) > 0 {
		t.Errorf("a genuine file: %+v", report)
	}
	if report := s.explained(t, 0, "taken"); !report.Accepted || report.NotifyID != "taken" {
		t.Errorf("a stored event: %+v", report)
	}
	for _, args := range [][]string{{"explained"}, {"--seq", "1", "--in", "rejects"}} {
		report := s.explained(t, 1, args...)
		if report.Accepted || len(report.Causes) == 0 || !report.Causes[0].Proved || report.Causes[0].Code != "extra_field" {
			t.Errorf("%v: %+v", args, report.Causes)
		}
	}
	table := s.run(t, "explain", "explained", "--strings").want(t, "table", 1,
		"the request at 1 of ALIPAY_REJECTS, refused as bad_signature", "replayer: the receiver would not take this request\n")
	for _, want := range []string{"_url = /notify    (not documented)", "fail  signature", "1. proved: ", "Try: ", "code extra_field, fault 7", "signing strings", "repaired, "} {
		if !strings.Contains(table.stdout, want) {
			t.Errorf("%q is not in\n%s", want, table.stdout)
		}
	}
	s.run(t, "explain", "nowhere").want(t, "unknown", 1, "no file and no stored request", "Try: replayer rejects list")
}

// A file is judged offline, and with what can be loaded of the keys: that none
// can be is told, not an end.
func TestExplainOffline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"ALIPAY_NOTIFY_CONFIG=" + writeConfig(t, dir)}
	file := filepath.Join(dir, "request")
	if err := os.WriteFile(file, []byte("a=\x1b[31mred&sign=x"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runLine(t.Context(), environ, "explain", file).want(t, "without keys", 1, "not all keys can be used", "alipay.pem")
	if strings.ContainsRune(got.stdout, 0x1b) || !strings.Contains(got.stdout, "fail  grammar") {
		t.Errorf("stdout:\n%q", got.stdout)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"explain"}, "one FILE, - or ID, or --seq N\nTry: replayer explain --help\n"},
		{[]string{"explain", file, "--seq", "1"}, "one FILE, - or ID, or --seq N\n"},
		{[]string{"explain", "--seq", "1"}, "--in says which\nTry: --seq 1 --in rejects\n"},
		{[]string{"explain", "x", "--in", "dlq"}, `--in "dlq": no such place`},
	} {
		if got := runLine(t.Context(), environ, tt.args...).want(t, strings.Join(tt.args, " "), 2, tt.want); got.stdout != "" {
			t.Errorf("%v: stdout %q", tt.args, got.stdout)
		}
	}
}
