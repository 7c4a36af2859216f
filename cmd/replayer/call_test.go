package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

type object = map[string]any

const (
	vouchers  = "alipay.marketing.activity.voucher."
	cards     = "alipay.marketing.card."
	templates = "alipay.marketing.card.template."
	accounts  = "alipay.open.public.account."
	member    = "2088302463082075"
)

// newVoucher are the parameters of voucher.create, as few as are required.
func newVoucher(name string, total int) object {
	return object{
		"merchant_access_mode": "SELF_MODE",
		"activity_base_info":   object{"activity_name": name},
		"voucher_send_mode_info": object{"voucher_send_mode": "DIRECT_SEND_MODE",
			"voucher_send_rule_info": object{"quantity": total, "publish_end_time": time.Now().AddDate(0, 0, 30).In(beijing).Format(time.DateTime)}},
		"voucher_deduct_info":          object{"voucher_type": "FIX_VOUCHER", "fix_voucher_info": object{"amount": "1.00"}},
		"voucher_display_pattern_info": object{"voucher_name": name},
	}
}

// change are the parameters that all changes of an activity have, and more.
func change(id string, more object) object {
	p := object{"activity_id": id, "merchant_access_mode": "SELF_MODE"}
	for name, value := range more {
		p[name] = value
	}
	return p
}

// query is the one row of a query.
func (s *shop) query(t *testing.T, args ...string) object {
	t.Helper()
	rows := s.rows(t, 0, append([]string{"query"}, args...)...)
	if len(rows) != 1 {
		t.Fatalf("query %v: %d rows", args, len(rows))
	}
	return rows[0]
}

// expected are the names of the open expectations.
func (s *shop) expected(t *testing.T) []string {
	t.Helper()
	var names []string
	if err := s.client.AllExpected(t.Context(), func(x stream.Expected) error {
		names = append(names, x.Name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// A voucher's life, all through call: publish, append, modify and stop cause
// their notification, received, typed and stored; create and query cause none.
func TestCallVoucher(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	id := s.call(t, vouchers+"create", newVoucher("小笼包 2 份", 1000)).Data["activity_id"].(string)
	s.wantTypes(t)
	if row := s.query(t, "voucher", id); row["status"] != "INIT" || row["meaning"] != "created and not published: nobody can get a voucher" {
		t.Errorf("after create: %v", row)
	}
	step := func(operation string, more object, want ...string) string {
		t.Helper()
		a := s.call(t, vouchers+operation, change(id, more))
		s.wantTypes(t, want...)
		return a.Number
	}
	step("publish", nil, "voucher.created")
	appended := step("append", object{"voucher_quantity": 2000}, "voucher.created", "voucher.appended")
	step("modify", object{"activity_base_info": object{"activity_id": id, "activity_name": "小笼包 3 份"}}, "voucher.created", "voucher.appended", "voucher.modified")
	row := s.query(t, "voucher", id)
	if row["status"] != "ACTIVE" || !strings.HasSuffix(row["detail"].(string), "0 of 2000 given out") || row["data"].(object)["activity_name"] != "小笼包 3 份" {
		t.Errorf("after modify: %v", row)
	}
	step("stop", nil, "voucher.created", "voucher.appended", "voucher.modified", "voucher.stopped")
	if row := s.query(t, "activity", id); row["status"] != "FINISHED" || row["meaning"] != "stopped: its time is not over yet" {
		t.Errorf("after stop: %v", row)
	}

	// Each left an expectation, which names its request, and which its event closes.
	names := s.expected(t)
	if len(names) != 4 || !slices.Contains(names, s.app.ID+".voucher.appended."+id+"."+appended) {
		t.Errorf("expectations %v", names)
	}
	got := s.want(t, 0, "reconcile", "--expectations")
	if !strings.Contains(got.stderr, "expectations: fulfilled 4\n") || len(s.expected(t)) != 0 {
		t.Errorf("stderr %q, left %v", got.stderr, s.expected(t))
	}
	// The trail knows the requests, so that nothing at all is left to doubt.
	rows := s.rows(t, 0, "reconcile", id)
	if len(rows) != 1 || rows[0]["verdict"] != "in_step" || len(rows[0]["cannot_tell"].([]any)) != 0 {
		t.Errorf("reconcile: %v", rows)
	}
}

// A card's life. card.open causes its notification and nothing else does; the
// card is found over either gateway, by its number and by a code.
func TestCallCard(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	open := s.call(t, cards+"open", object{
		"card_template_id": platform.DefaultTemplateID, "card_user_info": object{"user_uni_id_type": "UID", "user_uni_id": member},
		"card_ext_info": object{"external_card_no": "EXT0000001", "level": "VIP1"},
	})
	no := open.Data["card_info"].(object)["biz_card_no"].(string)
	s.wantTypes(t, "card.open_result")
	s.call(t, cards+"update", object{
		"target_card_no": no, "target_card_no_type": "BIZ_CARD", "occur_time": time.Now().In(beijing).Format(time.DateTime),
		"card_info": object{"level": "VIP2", "external_card_no": "EXT0000001"},
	})
	for _, args := range [][]string{
		{no}, {no, "--gateway", "v2"}, {platform.DynamicCode("D_QR_CODE", no), "--card-type", "D_QR_CODE"},
		{platform.DynamicCode("D_BAR_CODE", no), "--card-type", "D_BAR_CODE", "--gateway", "v2"}, {no, "--user-id", member},
	} {
		row := s.query(t, append([]string{"card"}, args...)...)
		info := row["data"].(object)["card_info"].(object)
		if row["status"] != "EXISTS" || info["level"] != "VIP2" || info["biz_card_no"] != no || info["external_card_no"] == "EXT0000001" {
			t.Errorf("query card %v: %v", args, row)
		}
	}
	if names := s.expected(t); len(names) != 1 || names[0] != s.app.ID+".card.open_result."+no+"."+open.Number {
		t.Errorf("expectations %v", names)
	}
	if rows := s.rows(t, 0, "reconcile", "--cards", no); rows[0]["verdict"] != "in_step" {
		t.Errorf("reconcile: %v", rows)
	}
	if d := s.call(t, cards+"delete", object{"target_card_no": no, "target_card_no_type": "BIZ_CARD", "reason_code": "CANCEL"}); len(d.Number) != 30 {
		t.Errorf("the number %q has not 30 characters", d.Number)
	}
	got := s.run(t, "query", "card", no)
	if got.code != 1 || !strings.Contains(got.stdout, "Alipay does not know it: CARD_NOT_EXIT") || !strings.Contains(got.stderr, "not found") {
		t.Errorf("after delete: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	s.wantTypes(t, "card.open_result")
	if rows := s.rows(t, 0, "reconcile", "--cards", no); rows[0]["verdict"] != "cannot_tell" { // deleted since, and its event is there
		t.Errorf("reconcile: %v", rows)
	}
}

// A binding's life: no notification, and nothing that is personal is shown.
func TestCallAccount(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	binding := object{"bind_account_no": "13800138000", "display_name": "王", "real_name": "王小明", "from_user_id": member}
	first := s.call(t, accounts+"create", binding).Data["agreement_id"].(string)
	row := s.query(t, "account", member)
	data := row["data"].(object)
	if row["status"] != "BOUND" || row["detail"] != "agreement "+first || data["real_name"] != "***" || data["bind_account_no"] != "***" || row["key"] != "2088****2075" {
		t.Errorf("after create: %v", row)
	}
	binding["agreement_id"], binding["display_name"] = first, "小王"
	second := s.call(t, accounts+"reset", binding).Data["agreement_id"].(string)
	row = s.query(t, "account", member, "--reveal", "--reason", "INC-7")
	if data := row["data"].(object); row["detail"] != "agreement "+second || data["real_name"] != "王小明" || row["key"] != member {
		t.Errorf("after reset, revealed: %v", row)
	}
	s.call(t, accounts+"delete", object{"agreement_id": second, "from_user_id": member})
	if row := s.query(t, "account", member); row["status"] != "NONE" {
		t.Errorf("after delete: %v", row)
	}
	s.wantTypes(t)
	verbs := make(map[string]int)
	for _, p := range s.trail(t) {
		verbs[p.Verb+" "+string(p.Status())]++
		if text, _ := json.Marshal(p); strings.Contains(string(text), member) || strings.Contains(string(text), "13800138000") || strings.Contains(string(text), "王") {
			t.Errorf("the trail holds personal data: %s", text)
		}
	}
	if verbs["call done"] != 3 || verbs["reveal done"] != 1 || len(verbs) != 2 {
		t.Errorf("the trail has %v", verbs)
	}
}

// trail is what ALIPAY_AUDIT says.
func (s *shop) trail(t *testing.T) []audit.Pass {
	t.Helper()
	var trail audit.Trail
	if err := s.client.Read(t.Context(), stream.ReadOptions{Stream: stream.Audit}, func(m events.Stored) error {
		return trail.Add(m.Sequence, m.Data)
	}); err != nil {
		t.Fatal(err)
	}
	return trail.Passes()
}

func TestCallTemplate(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	if row := s.query(t, "card-template", platform.DefaultTemplateID); row["status"] != "EXISTS" {
		t.Errorf("%v", row)
	}
	a := s.call(t, templates+"modify", object{
		"template_id": platform.DefaultTemplateID, "template_style_info": object{"card_show_name": "金卡", "brand_name": "小店"},
	})
	if len(a.Number) != 30 { // request_id is made up like any number
		t.Errorf("request_id %q", a.Number)
	}
	if row := s.query(t, "card-template", platform.DefaultTemplateID); row["detail"] != "金卡" {
		t.Errorf("after modify: %v", row)
	}
	s.wantTypes(t)
}

// A dry run prints the request as it would be sent, and sends nothing.
func TestCallDryRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	params := `{"activity_id":"A1","merchant_access_mode":"SELF_MODE"}`
	got := s.want(t, 0, "call", vouchers+"stop", "--json", params, "--out-biz-no", "n1")
	const body = `{"out_biz_no":"n1","activity_id":"A1","merchant_access_mode":"SELF_MODE"}`
	if want := "POST " + s.url + "/v3/alipay/marketing/activity/voucher/stop\n\n" + body + "\n"; got.stdout != want {
		t.Errorf("stdout:\n%s\nwant:\n%s", got.stdout, want)
	}
	for _, words := range []string{"replayer: out_biz_no: n1\n", "voucher.stopped is expected within 30m0s", "dry run: nothing was sent; the same with --out-biz-no n1 --execute --reason TEXT sends it"} {
		if !strings.Contains(got.stderr, words) {
			t.Errorf("stderr does not say %q:\n%s", words, got.stderr)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "sign=") || len(s.p.Journal()) != 0 || len(s.trail(t)) != 0 || len(s.expected(t)) != 0 {
		t.Error("a dry run has done something")
	}
	v2 := s.want(t, 0, "call", vouchers+"stop", "--json", params, "--out-biz-no", "n1", "--gateway", "v2")
	if want := "POST " + s.url + "/gateway.do\nmethod: alipay.marketing.activity.voucher.stop\n\n" + body + "\n"; v2.stdout != want {
		t.Errorf("gateway.do:\n%s\nwant:\n%s", v2.stdout, want)
	}
	var plan callPlan
	object := s.want(t, 0, "call", cards+"delete", "--json", `{"target_card_no":"1","target_card_no_type":"BIZ_CARD","reason_code":"CANCEL","nonsense":1}`, "-o", "json")
	if err := json.Unmarshal([]byte(object.stdout), &plan); err != nil || plan.Verb != "DELETE" || plan.Body != "" || plan.NumberField != "out_serial_no" ||
		!strings.Contains(plan.URL, "out_serial_no="+plan.Number) || !slices.Equal(plan.Unknown, []string{"nonsense"}) {
		t.Errorf("%+v: %v", plan, err)
	}
	if !strings.Contains(object.stderr, `no parameter "nonsense"`) {
		t.Errorf("stderr %s", object.stderr)
	}
}

// What is wrong is named before anything is sent.
func TestCallUsage(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	for line, words := range map[string]string{
		"call " + vouchers + "stop --json {}":                                "activity_id is required; merchant_access_mode is required",
		"call " + vouchers + "stop --json nonsense":                          "want one JSON object",
		"call " + vouchers + "stap --json {}":                                "is it alipay.marketing.activity.voucher.stop?",
		"call " + vouchers + "stop --json {} --execute":                      "a reason is needed",
		"call " + vouchers + `stop --json {"out_biz_no":"a"} --out-biz-no b`: "--out-biz-no b, and out_biz_no in --json is a",
		"call " + vouchers + `stop --json {"out_biz_no":7}`:                  "out_biz_no is not a text",
		"call " + accounts + "create --json {} --out-biz-no b":               "has no number",
		"call " + vouchers + "query --json @nowhere.json":                    "no such file",
		"call " + vouchers + "query --gateway v4":                            "want v3 or v2",
		"call " + vouchers + "stop --json {} --due -1m":                      "--due",
		"query voucher A --access-mode NONE":                                 "want SELF_MODE or AGENCY_MODE",
		"query voucher":                                                      "requires at least 1 arg",
		"query voucher A --app 42":                                           "app 42 is not configured",
		"query voucher A --reason x":                                         "--reason and --as go with --reveal",
		"query user-vouchers " + member:                                      "exactly one of belong_merchant_id, sender_merchant_id",
		"call alipay.trade.query --json {}":                                  "call it over gateway.do, or name its verb and path",
		"query":                                                              "voucher, ordervoucher, activity, card",
	} {
		got := s.run(t, strings.Fields(line)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, words) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want exit 2 and %q", line, got.code, got.stdout, got.stderr, words)
		}
	}
	if n := len(s.p.Journal()); n > 0 {
		t.Errorf("%d calls were made", n)
	}
	s.configure(t, s.app.ID, otherApp)
	if got := s.run(t, "query", "voucher", "A"); got.code != 2 || !strings.Contains(got.stderr, "2 apps are configured") {
		t.Errorf("of two apps: exit %d, %s", got.code, got.stderr)
	}
	s.config = writeConfig(t, s.dir)
	if got := s.run(t, "query", "voucher", "A"); got.code != 2 || !strings.Contains(got.stderr, "private_key is not configured") {
		t.Errorf("without a private key: exit %d, %s", got.code, got.stderr)
	}
}

// Of an unknown method nobody knows where it is; over gateway.do that is no matter.
func TestCallUntyped(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	if err := s.p.AddTrade("", platform.Trade{OutTradeNo: "T1", Status: "TRADE_SUCCESS", Amount: "1.00"}); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{{"--gateway", "v2"}, {"--verb", "post", "--path", "/v3/alipay/trade/query"}} {
		got := s.want(t, 0, append([]string{"call", "alipay.trade.query", "--json", `{"out_trade_no":"T1"}`, "-o", "json"}, more...)...)
		var a answer
		if err := json.Unmarshal([]byte(got.stdout), &a); err != nil || a.Data["trade_status"] != "TRADE_SUCCESS" {
			t.Errorf("%v: %s", more, got.stdout)
		}
	}
	if len(s.trail(t)) != 0 {
		t.Error("a query was recorded")
	}
}

// Somebody between us and Alipay says success: it is refused, and not shown.
func TestQueryRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"activity_id":"A","activity_status":"ACTIVE"}`)
	}))
	defer server.Close()
	s.url = server.URL
	s.configure(t, s.app.ID)
	got := s.run(t, "query", "voucher", "A")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "not signed") {
		t.Errorf("exit %d, stdout %q, stderr %s", got.code, got.stdout, got.stderr)
	}
}

func TestQueryLists(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 2, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		for range 3 {
			s.call(t, vouchers+"send", change(id, object{"user_id": member}))
		}
	}
	rows := s.rows(t, 0, "query", "user-vouchers", member, "--sender-merchant", "2088000000000001")
	if len(rows) != 6 || rows[0]["status"] != "SENDED" || rows[0]["meaning"] != "the user has it, and has not used it" {
		t.Errorf("%d rows: %v", len(rows), rows[0])
	}
	if rows := s.rows(t, 0, "query", "user-vouchers", member, "--sender-merchant", "2088000000000001", "--activity", ids[0], "--limit", "2"); len(rows) != 2 {
		t.Errorf("%d rows with a limit", len(rows))
	}
	if rows := s.rows(t, 0, "query", "user-vouchers", "2088000000000009", "--belong-merchant", "2088000000000001"); rows[0]["status"] != "NONE" {
		t.Errorf("%v", rows)
	}
	// Several at once: what is not there is said in its row, and the exit code is 4.
	mixed := s.rows(t, 4, "query", "voucher", ids[0], "A", ids[1])
	if len(mixed) != 3 || mixed[1]["found"] != false || mixed[0]["found"] != true || mixed[1]["data"] != nil {
		t.Errorf("%v", mixed)
	}
}

// The words are what somebody on call reads: each state has some of its own.
func TestActivityMeaning(t *testing.T) {
	t.Parallel()
	now := time.Now()
	seen := make(map[string]string)
	for _, status := range []string{"", "INIT", "ACTIVE", "PAUSE", "FINISHED", "STRANGE"} {
		for _, operation := range []string{"", "CREATING", "MODIFYING", "APPENDING", "FINISHEING", "STRANGE"} {
			m := activityMeaning(status, operation, now.Add(time.Hour), now)
			if other, twice := seen[m]; twice || m == "" {
				t.Errorf("%s %s means %q, as does %s", status, operation, m, other)
			}
			seen[m] = status + " " + operation
		}
	}
	if m := activityMeaning("FINISHED", "", now.Add(-time.Hour), now); !strings.Contains(m, "nobody can tell") {
		t.Errorf("over by its date means %q", m)
	}
}
