package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// The answer is lost: the exit code is 1, and the printed command, taken as it
// is, does the same once and no more. That is what out_biz_no is for.
func TestCallUncertain(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 1, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 1)
	if err := s.p.AddFault(platform.Fault{Kind: "lost", Probability: 1, Method: vouchers + "stop", Count: 3}); err != nil {
		t.Fatal(err)
	}
	got := s.run(t, "call", vouchers+"stop", "--json", `{"activity_id":"`+ids[0]+`","merchant_access_mode":"SELF_MODE"}`, "--execute", "--reason", "it's sold out")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "whether it was done is not known") {
		t.Fatalf("exit %d, stdout %q, stderr %s", got.code, got.stdout, got.stderr)
	}
	if len(s.expected(t)) != 0 {
		t.Error("something is expected of a call that nobody has accepted")
	}
	_, try, _ := strings.Cut(got.stderr, "Try: ")
	words := shellWords(t, strings.TrimSpace(try))
	if words[0] != "replayer" || !slices.Contains(words, "it's sold out") {
		t.Fatalf("the command is %q", words)
	}
	s.want(t, 0, words[1:]...)
	s.wantTypes(t, "voucher.created", "voucher.stopped")
	if names := s.expected(t); len(names) != 1 {
		t.Errorf("expectations %v", names)
	}
	runs := s.trail(t)
	if len(runs) != 2 || runs[0].Status() != audit.StatusFailed || runs[1].Status() != audit.StatusDone ||
		runs[0].Plan.Parameters["number"] != runs[1].Plan.Parameters["number"] || !strings.HasPrefix(runs[0].Result.Error, "uncertain ") {
		t.Errorf("the trail: %+v", runs)
	}
}

// shellWords reads a command line as a shell would.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	word, quoted, begun := "", false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\'':
			quoted = false
		case quoted:
			word += string(c)
		case c == '\'':
			quoted, begun = true, true
		case c == '\\':
			i++
			word += string(line[i])
		case c == ' ':
			if begun {
				words = append(words, word)
			}
			word, begun = "", false
		default:
			word += string(c)
			begun = true
		}
	}
	if quoted {
		t.Fatalf("a quote is open in %s", line)
	}
	return append(words, word)
}

// Alipay says no: nothing was done, and the code is not one that tries again.
func TestCallRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	got := s.run(t, "call", vouchers+"stop", "--json", `{"activity_id":"A","merchant_access_mode":"SELF_MODE"}`, "--execute", "--reason", "x")
	if got.code != 1 || !strings.Contains(got.stderr, "INVALID_PARAMETER") || strings.Contains(got.stderr, "not known") || len(s.expected(t)) != 0 {
		t.Errorf("exit %d, stderr %s", got.code, got.stderr)
	}
	runs := s.trail(t)
	if len(runs) != 1 || !strings.HasPrefix(runs[0].Result.Error, "refused INVALID_PARAMETER") {
		t.Errorf("the trail: %+v", runs)
	}
	// Without a trail nothing is called at all.
	if err := s.js.DeleteStream(t.Context(), stream.Audit); err != nil {
		t.Fatal(err)
	}
	before := len(s.p.Journal())
	got = s.run(t, "call", vouchers+"stop", "--json", `{"activity_id":"A","merchant_access_mode":"SELF_MODE"}`, "--execute", "--reason", "x")
	if got.code != 1 || !strings.Contains(got.stderr, "nothing was done") || len(s.p.Journal()) != before {
		t.Errorf("without a trail: exit %d, stderr %s", got.code, got.stderr)
	}
}

// It is done, and the expectation could not be kept: that is partly done.
func TestCallWithoutExpectations(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 1, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.js.DeleteKeyValue(t.Context(), stream.ExpectBucket); err != nil {
		t.Fatal(err)
	}
	args := []string{"call", vouchers + "append", "--json", `{"activity_id":"` + ids[0] + `","merchant_access_mode":"SELF_MODE","voucher_quantity":2000}`, "--execute", "--reason", "x"}
	got := s.run(t, args...)
	if got.code != 4 || !strings.Contains(got.stderr, "it is done; the expectation is not kept") || !strings.Contains(got.stderr, "Try: replayer reconcile "+ids[0]) {
		t.Errorf("exit %d, stderr %s", got.code, got.stderr)
	}
	s.quiet(t, 2)
	args[3] = strings.Replace(args[3], "2000", "3000", 1)
	s.want(t, 0, append(args, "--no-expectation")...)
}

// A token is in no output, and in no record.
func TestCallHidesTokens(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	if err := s.p.AddFault(platform.Fault{Kind: "lost", Probability: 1, Method: cards + "open"}); err != nil {
		t.Fatal(err)
	}
	const token = "201510BBaabdb44d8fd04607abf8d5931ec75D84"
	params := fmt.Sprintf(`{"auth_token":%q,"card_template_id":%q,"card_user_info":{"user_uni_id_type":"UID","user_uni_id":%q},"card_ext_info":{"external_card_no":"E"}}`,
		token, platform.DefaultTemplateID, member)
	for _, more := range [][]string{nil, {"--gateway", "v2"}, {"--execute", "--reason", "x"}} {
		got := s.run(t, append([]string{"call", cards + "open", "--json", params}, more...)...)
		if strings.Contains(got.stdout+got.stderr, token) {
			t.Errorf("%v: the token is shown:\n%s%s", more, got.stdout, got.stderr)
		}
	}
	for _, p := range s.trail(t) {
		if text, _ := json.Marshal(p); strings.Contains(string(text), token) || strings.Contains(string(text), member) {
			t.Errorf("in the trail: %s", text)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	a, b := newNumber(time.Now()), newNumber(time.Now())
	if a == b || len(a) != 30 || strings.Trim(a, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		t.Errorf("%s %s", a, b)
	}
	for object, want := range map[string]string{
		`{}`: `{"n":"v"}`, ` { } `: `{"n":"v"}`, `{"a": 1.50}`: `{"n":"v","a": 1.50}`,
	} {
		if got := string(withMember(json.RawMessage(object), "n", "v")); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", object, got)
		}
	}
	if v := requestedValues(reconcile.Modified, json.RawMessage(`{"activity_id":"a","out_biz_no":"n","merchant_access_mode":"x","publish_end_time":"t"}`)); string(v) != `{"publish_end_time":"t"}` {
		t.Errorf("%s", v)
	}
}
