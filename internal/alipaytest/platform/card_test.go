package platform_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest/platform"
)

const member = "2088000000000001"

func newCard(number string) object {
	return object{
		"out_serial_no": number, "card_template_id": platform.DefaultTemplateID,
		"card_user_info": object{"user_uni_id_type": "UID", "user_uni_id": member},
		"card_ext_info": object{"external_card_no": "EXT0001", "level": "VIP1", "point": "88",
			"open_date": "2014-02-20 21:20:46", "valid_date": "2034-02-20 21:20:46"},
	}
}

func named(no, kind string, more ...any) object {
	out := object{"target_card_no": no, "target_card_no_type": kind}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}

// TestLifeOfACard: open, query by all numbers, update, delete. Opening is told
// once, and nothing else is.
func TestLifeOfACard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Notifier = box }))
		no := c.v3("POST", cards+"open?auth_token=t1", newCard("o1")).want(t, "").text(t, "card_info", "biz_card_no")
		// The same with a fresh token is the same.
		if again := c.v3("POST", cards+"open?auth_token=t2", newCard("o1")).want(t, "").text(t, "card_info", "biz_card_no"); again != no {
			t.Errorf("the same open gave %s and %s", no, again)
		}
		c.v3("POST", cards+"open", newCard("o2")).want(t, "CARD_HAS_OPENED")

		for kind, by := range map[string]string{"BIZ_CARD": no, "D_QR_CODE": platform.DynamicCode("D_QR_CODE", no),
			"D_BAR_CODE": platform.DynamicCode("D_BAR_CODE", no)} {
			for _, a := range []answer{c.v3("POST", cards+"query", named(by, kind)), c.v2("alipay.marketing.card.query", named(by, kind))} {
				a.want(t, "")
				if got := a.text(t, "card_info", "biz_card_no"); got != no || a.text(t, "schema_url") == "" {
					t.Errorf("%s: %s", kind, a.Body)
				}
			}
		}
		c.v3("POST", cards+"query", named(no, "D_QR_CODE")).want(t, "CARD_NOT_EXIT")
		c.v3("POST", cards+"query", named("EXT0001", "EXTERNAL_CARD")).want(t, "INVALID_PARAMETER")
		c.v3("POST", cards+"query", named(no, "BIZ_CARD", "card_user_info", object{"user_uni_id": "2088000000000009"})).want(t, "CARD_NOT_EXIT")
		c.v3("POST", cards+"query", named(no, "BIZ_CARD", "template_id", "other")).want(t, "CARD_NOT_EXIT")

		// What cannot change is ignored, and the rest changes.
		info := object{"level": "VIP2", "open_date": "2020-01-01 00:00:00", "valid_date": "2099-01-01 00:00:00", "biz_card_no": "1",
			"mdcode_info": object{"code_status": "SUCCESS", "code_value": "1KFCDY0002"}}
		c.v3("POST", cards+"update", named("EXT0001", "EXTERNAL_CARD", "occur_time", clock(0), "card_info", info)).want(t, "")
		got := c.v3("POST", cards+"query", named("1KFCDY0002", "D_QR_CODE")).want(t, "").body["card_info"].(object)
		delete(got, "mdcode_info")
		want := object{"biz_card_no": no, "external_card_no": "EXT0001", "level": "VIP2", "point": "88", "template_id": platform.DefaultTemplateID,
			"open_date": "2014-02-20 21:20:46", "valid_date": "2034-02-20 21:20:46"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("card (-want +got):\n%s", diff)
		}

		gone := named(no, "BIZ_CARD", "out_serial_no", "d1", "reason_code", "USER_UNBUND", "ext_info", `{"new_card_no":"1"}`)
		serial := c.v3("DELETE", cards+"delete", gone).want(t, "").text(t, "biz_serial_no")
		if again := c.v3("DELETE", cards+"delete", gone).want(t, "").text(t, "biz_serial_no"); again != serial {
			t.Error("the same delete gave two serial numbers")
		}
		gone["out_serial_no"] = "d2"
		c.v3("DELETE", cards+"delete", gone).want(t, "CARD_IS_DELETED_ALREADY")
		c.v3("POST", cards+"query", named(no, "BIZ_CARD")).want(t, "CARD_NOT_EXIT")
		c.v3("POST", cards+"update", named(no, "BIZ_CARD", "occur_time", clock(0), "card_info", object{})).want(t, "CARD_NOT_EXIT")

		// After unbinding one may come back, after CANCEL not.
		pass(time.Minute)
		no = c.v3("POST", cards+"open", newCard("o3")).want(t, "").text(t, "card_info", "biz_card_no")
		c.v3("DELETE", cards+"delete", named(no, "BIZ_CARD", "out_serial_no", "d3", "reason_code", "CANCEL")).want(t, "")
		c.v3("POST", cards+"open", newCard("o4")).want(t, "CARD_HAS_OPENED")

		settle()
		if diff := cmp.Diff([]string{"card.open_result", "card.open_result"}, box.types()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
		content, _ := box.got[1].form.Get("biz_content")
		if want := `{"template_id":"` + platform.DefaultTemplateID + `","biz_card_no":"` + no + `","external_card_no":"EXT0001","success":"true","user_id":"` + member + `"}`; content != want {
			t.Errorf("told %s\nwant %s", content, want)
		}
	})
}

func TestCardParameters(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	open := func(name string, value any) object { v := newCard("n"); v[name] = value; return v }
	lines := func(lines ...any) object {
		return open("card_ext_info", object{"external_card_no": "E", "front_text_list": lines})
	}
	line := object{"label": "专业", "value": "金融贸易"}
	for name, tt := range map[string]struct {
		params object
		code   string
	}{
		"no serial":         {open("out_serial_no", ""), "INVALID_PARAMETER"},
		"no template":       {open("card_template_id", ""), "INVALID_PARAMETER"},
		"unknown template":  {open("card_template_id", "1"), "TEMPLATE_NOT_EXIT"},
		"no user":           {open("card_user_info", object{"user_uni_id_type": "UID"}), "INVALID_PARAMETER"},
		"another type":      {open("card_user_info", object{"user_uni_id_type": "PHONE", "user_uni_id": member}), "INVALID_PARAMETER"},
		"no external card":  {open("card_ext_info", object{}), "INVALID_PARAMETER"},
		"five lines":        {lines(line, line, line, line, line), "INVALID_PARAMETER"},
		"a long label":      {lines(object{"label": "五个字标签", "value": "x"}), "INVALID_PARAMETER"},
		"a long auth_token": {open("auth_token", strings.Repeat("x", 41)), "INVALID_PARAMETER"},
	} {
		t.Run(name, func(t *testing.T) { c.v3("POST", cards+"open", tt.params).want(t, tt.code) })
	}
	// Over gateway.do the user's consent has to be shown.
	c.v2("alipay.marketing.card.open", newCard("v2")).want(t, "aop.invalid-auth-token")
	c.extra = map[string]string{"auth_token": "t"}
	no := c.v2("alipay.marketing.card.open", newCard("v2")).want(t, "").text(t, "card_info", "biz_card_no")
	c.extra = nil

	c.v3("POST", cards+"query", named(no, "PHONE")).want(t, "INVALID_PARAMETER")
	c.v3("POST", cards+"query", named(strings.Repeat("1", 33), "BIZ_CARD")).want(t, "INVALID_PARAMETER")
	update := func(more ...any) answer { return c.v3("POST", cards+"update", named(no, "BIZ_CARD", more...)) }
	update("card_info", object{}).want(t, "INVALID_PARAMETER")
	update("occur_time", clock(0)).want(t, "INVALID_PARAMETER")
	update("occur_time", time.Now().Format(time.RFC3339), "card_info", object{}).want(t, "INVALID_PARAMETER")
	update("occur_time", clock(0), "card_info", object{"template_id": "none"}).want(t, "NO_CARD_TYPE")
	update("occur_time", clock(0), "card_info", object{"front_text_list": []any{line, line, line, line, line}}).want(t, "INVALID_PARAMETER")
	drop := func(more ...any) answer { return c.v3("DELETE", cards+"delete", named(no, "BIZ_CARD", more...)) }
	drop("out_serial_no", "d").want(t, "INVALID_PARAMETER")
	drop("out_serial_no", "d", "reason_code", "BORED").want(t, "INVALID_PARAMETER")
	drop("out_serial_no", "d", "reason_code", "CANCEL", "ext_info", "{").want(t, "INVALID_PARAMETER")
	drop("reason_code", "CANCEL").want(t, "INVALID_PARAMETER")
	c.v3("DELETE", cards+"delete", named("1", "BIZ_CARD", "out_serial_no", "d", "reason_code", "CANCEL")).want(t, "CARD_NOT_EXIT")
}

// TestOpenIDs: whoever came with an open id is told about with it.
func TestOpenIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Notifier = box }))
		card := newCard("o1")
		card["card_user_info"] = object{"user_uni_id_type": "UID", "open_id": "074a1CcTG1Le"}
		c.v3("POST", cards+"open", card).want(t, "")
		settle()
		content, _ := box.got[0].form.Get("biz_content")
		if !strings.Contains(content, `"open_id":"074a1CcTG1Le"`) || strings.Contains(content, "user_id") {
			t.Errorf("told %s", content)
		}
	})
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	query := func(id string) answer { return c.v3("GET", cards+"template/query", object{"template_id": id}) }
	before := query(platform.DefaultTemplateID).want(t, "")
	change := object{"request_id": "r1", "template_id": platform.DefaultTemplateID, "template_style_info": object{"card_show_name": "花呗联名卡"},
		"card_level_conf": []any{object{"level": "VIP1"}}, "field_rule_list": []any{}}
	c.v3("POST", cards+"template/modify", change).want(t, "")
	c.v3("POST", cards+"template/modify", change).want(t, "")
	change["template_style_info"] = object{"card_show_name": "x"}
	c.v3("POST", cards+"template/modify", change).want(t, "INVALID_PARAMETER")
	after := query(platform.DefaultTemplateID).want(t, "")
	if got := after.text(t, "template_style_info", "card_show_name"); got != "花呗联名卡" {
		t.Errorf("name %s", got)
	}
	if after.text(t, "template_style_info", "brand_name") == "" || after.body["card_level_confs"] == nil {
		t.Errorf("%s", after.Body)
	}
	if diff := cmp.Diff(before.body["field_rule_list"], after.body["field_rule_list"]); diff != "" {
		t.Errorf("field_rule_list cannot be changed (-want +got):\n%s", diff)
	}
	query("1").want(t, "TEMPLATE_NOT_EXIT")
	c.v3("POST", cards+"template/modify", object{"request_id": "r2", "template_id": "1", "template_style_info": object{}}).want(t, "TEMPLATE_NOT_EXIT")
	c.v3("POST", cards+"template/modify", object{"template_id": "1", "template_style_info": object{}}).want(t, "INVALID_PARAMETER")
	if err := c.p.AddTemplate("", "1"); err != nil {
		t.Fatal(err)
	}
	query("1").want(t, "")
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	bind := func(op string, more ...any) answer {
		params := object{"bind_account_no": "test001", "display_name": "甲", "real_name": "张三", "from_user_id": member}
		for i := 0; i < len(more); i += 2 {
			params[more[i].(string)] = more[i+1]
		}
		return c.v3("POST", accounts+op, params)
	}
	bound := func(params object) []any {
		return c.v3("GET", accounts+"query", params).want(t, "").body["public_bind_accounts"].([]any)
	}
	for _, tt := range []struct {
		name  string
		value any
		code  string
	}{
		{"from_user_id", "", "FROM_USER_ID_NULL"},
		{"from_user_id", "123", "USERINFO_NOT_EXIST"},
		{"open_id", strings.Repeat("x", 129), "OPEN_ID_IS_ILLEGAL"},
		{"bind_account_no", "", "BIND_ACCOUNT_NO_NULL"},
		{"bind_account_no", strings.Repeat("x", 33), "BIND_ACCOUNT_FORMAT_ERROR"},
		{"display_name", "", "DISPLAY_NAME_IS_NULL"},
		{"display_name", strings.Repeat("名", 11), "DISPLAY_NAME_EXCEED_LENGTH"},
		{"real_name", strings.Repeat("名", 11), "REAL_NAME_EXCEED_LENGTH"},
	} {
		bind("create", tt.name, tt.value).want(t, tt.code)
	}
	first := bind("create").want(t, "").text(t, "agreement_id")
	if again := bind("create").want(t, "").text(t, "agreement_id"); again != first || len(bound(object{"user_id": member})) != 1 {
		t.Errorf("the same account gave %s and %s", first, again)
	}
	want := []any{object{"agreement_id": first, "app_id": appID, "bind_account_no": "test001", "display_name": "甲", "from_user_id": member, "real_name": "张三"}}
	if diff := cmp.Diff(want, bound(object{"user_id": member})); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if got := bound(object{"user_id": "2088000000000009"}); len(got) != 0 {
		t.Errorf("of a stranger: %v", got)
	}
	c.v3("GET", accounts+"query", object{}).want(t, "OPEN_ID_IS_ILLEGAL")

	bind("reset").want(t, "AGREEMENT_ID_NULL")
	bind("reset", "agreement_id", "1").want(t, "DELETE_THIRD_ACCOUNT_FAIL")
	bind("reset", "agreement_id", first, "from_user_id", "2088000000000009").want(t, "FORBIT_REMOVE_OTHER_USER_BIND_AC")
	second := bind("reset", "agreement_id", first, "bind_account_no", "test002").want(t, "").text(t, "agreement_id")
	if got := bound(object{"user_id": member}); len(got) != 1 || got[0].(object)["bind_account_no"] != "test002" {
		t.Errorf("after the reset: %v", got)
	}

	drop := func(params object) answer { return c.v3("DELETE", accounts+"delete", params) }
	drop(object{}).want(t, "ACCOUNT_PARAMS_NOT_ENOUGH")
	drop(object{"bind_account_no": "test002"}).want(t, "ACCOUNT_PARAMS_NOT_ENOUGH")
	drop(object{"agreement_id": first}).want(t, "REMOVE_BIND_ACCOUNT_FAIL")
	drop(object{"agreement_id": second, "from_user_id": "2088000000000009"}).want(t, "FORBIT_REMOVE_BIND_ACCOUNT")
	drop(object{"bind_account_no": "test002", "from_user_id": member}).want(t, "")
	for i := range 10 {
		bind("create", "bind_account_no", itoa(i)).want(t, "")
	}
	bind("create", "bind_account_no", "11").want(t, "EXCEED_THIRD_ACCOUNT_LIMIT")
}

func TestTrades(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	if err := c.p.AddTrade(appID, platform.Trade{OutTradeNo: "t1", Status: "TRADE_SUCCESS", Amount: "1.00"}); err != nil {
		t.Fatal(err)
	}
	a := c.v2("alipay.trade.query", object{"out_trade_no": "t1"}).want(t, "")
	if a.text(t, "trade_status") != "TRADE_SUCCESS" || len(a.text(t, "trade_no")) != 28 {
		t.Errorf("%s", a.Body)
	}
	c.v3("POST", "/v3/alipay/trade/query", object{"trade_no": a.text(t, "trade_no")}).want(t, "")
	c.v2("alipay.trade.query", object{"out_trade_no": "t2"}).want(t, "ACQ.TRADE_NOT_EXIST")
	c.v2("alipay.trade.query", object{}).want(t, "ACQ.INVALID_PARAMETER")
	c.v2("alipay.trade.query", object{"out_trade_no": 1}).want(t, "ACQ.INVALID_PARAMETER")
}
