package platform

import (
	"net/http"
	"net/url"
	"strings"
)

// operation is one row of the table of what can be called.
type operation struct {
	method     string // Alipay's name, and method of gateway.do
	verb, path string // of v3; a segment in braces is a parameter
	params     []param
	number     string // the parameter that tells a repeat from another call; empty: a read
	invalid    string // what a wrong parameter is called; empty is INVALID_PARAMETER
	run        func(*Platform, *call) (object, *problem)
}

var (
	outBizNo   = need("out_biz_no", 64)
	activityID = need("activity_id", 128)
	accessMode = needOne("merchant_access_mode", "SELF_MODE", "AGENCY_MODE")
	authToken  = param{name: "auth_token", sort: token, length: 40}
	cardNo     = need("target_card_no", 32)
	// The three of the card documentation, and the older one of PROTOCOL.md 5.4.
	cardNoType = needOne("target_card_no_type", bizCard, qrCode, barCode, externalCard)
)

// blocks of a voucher activity that may come with create and modify.
var (
	newBlocks = mayBlocks("voucher_use_rule_info", "voucher_available_scope_info", "voucher_customer_guide_info",
		"voucher_budget_supply_info", "belong_merchant_info", "voucher_budget_info", "voucher_display_info",
		"voucher_send_rule", "voucher_use_rule", "voucher_deduct_info", "voucher_send_mode_info", "voucher_display_pattern_info")
	times = []param{may("publish_start_time", 19), may("publish_end_time", 19), may("activity_name", 20),
		may("activity_base_info.activity_name", 20)}
)

// operations is everything that can be called: PROTOCOL.md 5, required marks
// and lengths included. To add one, add a row and its function. trade.query is
// not of that section; its path is that of the v3 SDKs.
var operations = []operation{
	{method: "alipay.marketing.activity.voucher.create", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/create",
		number: "out_biz_no", run: (*Platform).createVoucher,
		params: join(list(outBizNo, needBlock("activity_base_info"), needBlock("voucher_send_mode_info"),
			needBlock("voucher_deduct_info"), accessMode, needBlock("voucher_display_pattern_info")), newBlocks, times)},
	{method: "alipay.marketing.activity.voucher.publish", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/publish",
		number: "out_biz_no", run: (*Platform).publishVoucher, params: list(activityID, outBizNo, accessMode)},
	{method: "alipay.marketing.activity.voucher.modify", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/modify",
		number: "out_biz_no", run: (*Platform).modifyActivity,
		params: join(list(outBizNo, accessMode, needBlock("activity_base_info"), may("activity_id", 128)), newBlocks, times)},
	{method: "alipay.marketing.activity.voucher.append", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/append",
		number: "out_biz_no", run: (*Platform).appendActivity, params: list(activityID, needNumber("voucher_quantity"), outBizNo, accessMode)},
	{method: "alipay.marketing.activity.voucher.stop", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/stop",
		number: "out_biz_no", run: (*Platform).stopActivity, params: list(activityID, outBizNo, accessMode)},
	{method: "alipay.marketing.activity.voucher.send", verb: "POST", path: "/v3/alipay/marketing/activity/voucher/send",
		number: "out_biz_no", run: (*Platform).sendVoucher,
		params: list(activityID, outBizNo, accessMode, may("user_id", 32), may("open_id", 128))},
	{method: "alipay.marketing.activity.voucher.query", verb: "GET", path: "/v3/alipay/marketing/activity/voucher/query",
		run: (*Platform).queryVoucher, params: list(activityID, accessMode)},

	{method: "alipay.marketing.activity.ordervoucher.create", verb: "POST", path: "/v3/alipay/marketing/ordervoucher/activity",
		number: "out_biz_no", run: (*Platform).createOrderVoucher, params: join(list(outBizNo, accessMode), newBlocks, times)},
	{method: "alipay.marketing.activity.ordervoucher.modify", verb: "PATCH", path: "/v3/alipay/marketing/ordervoucher/activity/{activity_id}",
		number: "out_biz_no", run: (*Platform).modifyActivity, params: join(list(activityID, outBizNo, accessMode), newBlocks, times)},
	{method: "alipay.marketing.activity.ordervoucher.append", verb: "PATCH", path: "/v3/alipay/marketing/ordervoucher/activity/{activity_id}/append",
		number: "out_biz_no", run: (*Platform).appendActivity, params: list(activityID, needNumber("voucher_quantity"), outBizNo, accessMode)},
	{method: "alipay.marketing.activity.ordervoucher.stop", verb: "PATCH", path: "/v3/alipay/marketing/ordervoucher/activity/{activity_id}/stop",
		number: "out_biz_no", run: (*Platform).stopActivity, params: list(activityID, outBizNo, accessMode)},
	{method: "alipay.marketing.activity.ordervoucher.query", verb: "GET", path: "/v3/alipay/marketing/activity/ordervoucher/query",
		run: (*Platform).queryOrderVoucher, params: list(activityID, accessMode)},

	{method: "alipay.marketing.activity.query", verb: "GET", path: "/v3/alipay/marketing/activity/{activity_id}",
		run: (*Platform).queryActivity, params: list(activityID, accessMode, may("merchant_id", 32))},
	{method: "alipay.marketing.activity.batchquery", verb: "POST", path: "/v3/alipay/marketing/activity/batchquery",
		run: (*Platform).batchQuery, params: list(needNumber("page_num"), needNumber("page_size"), accessMode,
			may("merchant_id", 32), may("activity_status", 32))},
	{method: "alipay.marketing.activity.user.batchqueryvoucher", verb: "GET",
		path: "/v3/alipay/marketing/activity/ordervoucher/user/batchqueryvoucher", run: (*Platform).batchQueryUserVouchers,
		params: list(needNumber("page_num"), needNumber("page_size"), accessMode, may("user_id", 32), may("open_id", 128),
			may("activity_id", 128), may("belong_merchant_id", 32), may("sender_merchant_id", 32),
			param{name: "voucher_status", of: []string{sended, used, expired}})},
	{method: "alipay.marketing.activity.user.queryvoucher", verb: "GET",
		path: "/v3/alipay/marketing/activity/ordervoucher/user/voucher", run: (*Platform).queryUserVoucher,
		params: list(accessMode, may("merchant_id", 32), may("user_id", 32), may("open_id", 128), may("activity_id", 128),
			may("voucher_id", 32), may("voucher_code", 64))},

	{method: "alipay.marketing.card.open", verb: "POST", path: "/v3/alipay/marketing/card/open",
		number: "out_serial_no", run: (*Platform).openCard,
		params: join(list(authToken, need("out_serial_no", 64), need("card_template_id", 32), needBlock("card_user_info"),
			needOne("card_user_info.user_uni_id_type", "UID"), may("card_user_info.user_uni_id", 32), may("card_user_info.open_id", 128),
			needBlock("card_ext_info"), need("card_ext_info.external_card_no", 64), may("card_ext_info.valid_date", 32)),
			mayBlocks("member_ext_info", "paid_outer_card_info"))},
	{method: "alipay.marketing.card.query", verb: "POST", path: "/v3/alipay/marketing/card/query",
		run: (*Platform).queryCard, params: append(list(cardNo, cardNoType, may("ext_info", 1024), may("template_id", 32)), mayBlocks("card_user_info")...)},
	{method: "alipay.marketing.card.update", verb: "POST", path: "/v3/alipay/marketing/card/update",
		run: (*Platform).updateCard, params: append(list(cardNo, cardNoType, need("occur_time", 32), needBlock("card_info"), may("ext_info", 1024),
			may("card_info.external_card_no", 64), may("card_info.level", 64), may("card_info.point", 64)),
			mayBlocks("merchant_card_msg_info", "paid_outer_card_info", "mcard_style_info")...)},
	{method: "alipay.marketing.card.delete", verb: "DELETE", path: "/v3/alipay/marketing/card/delete",
		number: "out_serial_no", run: (*Platform).deleteCard, params: list(need("out_serial_no", 64), cardNo, cardNoType,
			needOne("reason_code", "USER_UNBUND", "CANCEL", "PRESENT"), may("ext_info", 1024))},
	{method: "alipay.marketing.card.template.query", verb: "GET", path: "/v3/alipay/marketing/card/template/query",
		run: (*Platform).queryTemplate, params: list(need("template_id", 32))},
	{method: "alipay.marketing.card.template.modify", verb: "POST", path: "/v3/alipay/marketing/card/template/modify",
		number: "request_id", run: (*Platform).modifyTemplate, params: list(need("request_id", 64), need("template_id", 32), needBlock("template_style_info"))},

	{method: "alipay.open.public.account.create", verb: "POST", path: "/v3/alipay/open/public/account/create", run: (*Platform).createBinding},
	{method: "alipay.open.public.account.query", verb: "GET", path: "/v3/alipay/open/public/account/query", run: (*Platform).queryBindings},
	{method: "alipay.open.public.account.reset", verb: "POST", path: "/v3/alipay/open/public/account/reset", run: (*Platform).resetBinding},
	{method: "alipay.open.public.account.delete", verb: "DELETE", path: "/v3/alipay/open/public/account/delete", run: (*Platform).deleteBinding},

	{method: "alipay.trade.query", verb: "POST", path: "/v3/alipay/trade/query",
		invalid: "ACQ.INVALID_PARAMETER", run: (*Platform).queryTrade, params: list(may("out_trade_no", 64), may("trade_no", 64))},
}

func list(params ...param) []param { return params }

func join(lists ...[]param) []param {
	var out []param
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// byMethod finds an operation of gateway.do, or nil.
func byMethod(method string) *operation {
	for i := range operations {
		if operations[i].method == method {
			return &operations[i]
		}
	}
	return nil
}

// byPath finds an operation of v3, and the parameters that are in the path.
func byPath(verb string, u *url.URL) (*operation, object) {
	for i := range operations {
		op := &operations[i]
		if params, ok := matchPath(op.path, u.EscapedPath()); ok && op.verb == verb {
			return op, params
		}
	}
	return nil, nil
}

func matchPath(pattern, path string) (object, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params := object{}
	for i := range want {
		name, is := strings.CutPrefix(want[i], "{")
		if !is {
			if want[i] != got[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(got[i])
		if err != nil {
			return nil, false
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true
}

// verbOf is the verb that is meant: proxies that let only POST through are told
// the real one in a header (PROTOCOL.md 4.1).
func verbOf(r *http.Request) string {
	if over := r.Header.Get("X-HTTP-Method-Override"); over != "" && r.Method == http.MethodPost {
		return over
	}
	return r.Method
}

// perform runs an operation once: a repeat with the same number and parameters
// gets the first result, and changes nothing (PROTOCOL.md 5.1).
func (p *Platform) perform(c *call) (object, *problem) {
	if prob := c.check(); prob != nil {
		return nil, prob
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.op.number == "" {
		return c.op.run(p, c)
	}
	key, print := c.op.method+" "+c.text(c.op.number), c.fingerprint()
	if before, ok := c.app.done[key]; ok {
		if before.fingerprint != print {
			return nil, c.invalid("%s已被使用，且参数不一致", c.op.number)
		}
		return before.result, nil
	}
	result, prob := c.op.run(p, c)
	if prob == nil {
		c.app.done[key] = done{print, result}
	}
	return result, prob
}
