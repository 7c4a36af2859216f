package openapi

import (
	"slices"
	"strings"
)

// Parameters that many operations share.
var (
	activityID = need("activity_id", 128)
	accessMode = need("merchant_access_mode", 32) // SELF_MODE or AGENCY_MODE
	outBizNo   = need("out_biz_no", 64)
	quantity   = most(need("voucher_quantity", 0), 99999999) // the new total, which may only grow
	pageNum    = need("page_num", 0)
	pageSize   = need("page_size", 0)
	fromUserID = may("from_user_id", 16)
	openID     = may("open_id", 128)
	userID     = may("user_id", 16)
	templateID = need("template_id", 32)
	targetCard = []Field{need("target_card_no", 32), need("target_card_no_type", 32)}
	mayAccess  = may("merchant_access_mode", 32)
	cardFields = []Field{
		may("external_card_no", 64), may("valid_date", 32), may("level", 64), may("point", 64), may("balance", 64),
		most(may("front_text_list", 0), 4), may("mdcode_info.code_status", 14), may("mdcode_info.code_value", 128),
	}
)

// Error codes that come with almost every operation.
const common = "INVALID_PARAMETER SYSTEM_ERROR"

// table is what the documents say (5.1 to 5.5): names and placement from
// Alipay's own description of v3, required fields and lengths from the pages
// that show them. A length that no page shows is not checked.
var table = index(
	voucherOperations(),
	orderVoucherOperations(),
	activityOperations(),
	cardOperations(),
	templateOperations(),
	accountOperations(),
)

func index(groups ...[]Operation) map[string]Operation {
	out := make(map[string]Operation)
	for _, op := range slices.Concat(groups...) {
		if op.Effect == "" {
			op.Effect = Write
		}
		out[op.Method] = op
	}
	return out
}

func list(parts ...any) []Field {
	var out []Field
	for _, p := range parts {
		switch p := p.(type) {
		case Field:
			out = append(out, p)
		case []Field:
			out = append(out, p...)
		}
	}
	return out
}

// within gives fields of a block.
func within(block string, fields ...Field) []Field {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Name = block + "." + out[i].Name
	}
	return out
}

func voucherOperations() []Operation {
	const path = "/v3/alipay/marketing/activity/voucher/"
	numbered := list(activityID, outBizNo, accessMode)
	ops := []Operation{
		{Method: "create", Title: "创建支付券", Verb: "POST",
			Fields: list(outBizNo, need("activity_base_info", 0), need("voucher_send_mode_info", 0), need("voucher_deduct_info", 0), accessMode,
				need("voucher_display_pattern_info", 0), may("activity_name", 20),
				others(`belong_merchant_info publish_start_time publish_end_time voucher_available_scope_info voucher_budget_info
					voucher_budget_supply_info voucher_customer_guide_info voucher_display_info voucher_send_rule voucher_type
					voucher_use_rule voucher_use_rule_info`)),
			Errors: codes("BIZ_ERROR MATERIAL_AUDIT_WAITING")},
		{Method: "publish", Title: "激活支付券", Verb: "POST", Causes: "voucher.created", Fields: numbered, Errors: codes("BIZ_ERROR BUSINESS_HAS_RISK")},
		{Method: "modify", Title: "修改支付券基本信息", Verb: "POST", Causes: "voucher.modified",
			Fields: list(outBizNo, accessMode, need("activity_base_info", 0), may("activity_id", 128), may("activity_base_info.activity_id", 128),
				others("publish_end_time voucher_available_scope_info voucher_send_mode_info voucher_use_rule voucher_use_rule_info")),
			Either: [][]string{{"activity_id", "activity_base_info.activity_id"}}},
		{Method: "append", Title: "追加支付券预算", Verb: "POST", Causes: "voucher.appended", Fields: list(numbered, quantity)},
		{Method: "stop", Title: "停止支付券", Verb: "POST", Causes: "voucher.stopped", Fields: numbered},
		{Method: "send", Title: "发放支付券", Verb: "POST", Fields: list(numbered, userID, openID), Either: [][]string{{"user_id", "open_id"}},
			Errors: codes("ACTIVITY_NOT_ACTIVE ACTIVITY_NOT_START ACTIVITY_IS_END ACTIVITY_IS_STOPED BUDGET_NOT_ENOUGH COUNT_OVER_LIMIT")},
		{Method: "query", Title: "查询支付券详情", Verb: "GET", Effect: Read, Fields: list(activityID, accessMode)},
	}
	return below("alipay.marketing.activity.voucher.", path, "out_biz_no", ops)
}

func orderVoucherOperations() []Operation {
	const activity = "/v3/alipay/marketing/ordervoucher/activity"
	const one = activity + "/{activity_id}"
	const other = "/v3/alipay/marketing/activity/ordervoucher/"
	trade := list(activityID, outBizNo, mayAccess, others("trade_no voucher_code"))
	used := list(activityID, need("voucher_code", 0), outBizNo, mayAccess, others("biz_dt total_fee"))
	blocks := others(`activity_base_info customer_guide publish_start_time publish_end_time voucher_available_scope_info
		voucher_customer_guide_info voucher_display_info voucher_display_pattern_info voucher_send_mode_info voucher_send_rule
		voucher_use_rule voucher_use_rule_info`)
	ops := []Operation{
		{Method: "create", Title: "创建商家券活动", Verb: "POST", Path: activity, Causes: "voucher.created",
			Fields: list(outBizNo, mayAccess, may("activity_name", 20), may("code_mode", 20), blocks, others("belong_merchant_info biz_tag voucher_deduct_info voucher_type")),
			Errors: codes("BIZ_ERROR DISCOUNT_AMOUNT_INSUFFICIENT BUSINESS_HAS_RISK")},
		{Method: "modify", Title: "修改商家券活动", Verb: "PATCH", Path: one, Causes: "voucher.modified",
			Fields: list(activityID, outBizNo, mayAccess, may("activity_name", 20), blocks, others("voucher_available_scope_modify_type")), Errors: codes("BIZ_ERROR")},
		{Method: "append", Title: "追加商家券活动预算", Verb: "PATCH", Path: one + "/append", Causes: "voucher.appended",
			Fields: list(activityID, outBizNo, quantity, mayAccess), Errors: codes("BIZ_ERROR")},
		{Method: "stop", Title: "停止商家券活动", Verb: "PATCH", Path: one + "/stop", Causes: "voucher.stopped",
			Fields: list(activityID, outBizNo, mayAccess), Errors: codes("BIZ_ERROR")},
		{Method: "query", Title: "查询商家券活动详情", Verb: "GET", Path: other + "query", Effect: Read, Fields: list(activityID, mayAccess)},
		{Method: "codecount", Title: "统计商家券券码数量", Verb: "GET", Path: one + "/voucher/codecount", Effect: Read, Fields: list(activityID, mayAccess)},
		{Method: "codedeposit", Title: "同步商家券券码", Verb: "POST", Path: one + "/voucher/codedeposit",
			Fields: list(activityID, outBizNo, mayAccess, others("voucher_codes"))},
		{Method: "use", Title: "核销商家券", Verb: "POST", Path: one + "/voucher/{voucher_code}/use",
			Fields: list(used, others("goods_detail real_shop_id store_id trade_channel trade_no voucher_use_detail_info")),
			Errors: codes("BIZ_ERROR ACTIVITY_NOT_PERMISSION")},
		{Method: "refund", Title: "取消核销商家券", Verb: "POST", Path: one + "/voucher/{voucher_code}/refund",
			Fields: list(used, others("voucher_refund_detail_info")), Errors: codes("BIZ_ERROR")},
		{Method: "associate", Title: "商家券关联订单", Verb: "POST", Path: other + "associate", Fields: trade,
			Errors: codes("ACTIVITY_NOT_EXIST VOUCHER_NOT_EXIST ACTIVITY_NOT_PERMISSION VOUCHER_ASSOCIATE_OTHER_TRADE_NO")},
		{Method: "disassociate", Title: "商家券取消关联订单", Verb: "POST", Path: other + "disassociate", Fields: trade,
			Errors: codes("ACTIVITY_NOT_EXIST VOUCHER_NOT_EXIST ACTIVITY_NOT_PERMISSION VOUCHER_ASSOCIATE_TRADE_NO_ERROR")},
	}
	return below("alipay.marketing.activity.ordervoucher.", "", "out_biz_no", ops)
}

func activityOperations() []Operation {
	const path = "/v3/alipay/marketing/activity/"
	return below("alipay.marketing.activity.", path, "", []Operation{
		{Method: "query", Title: "查询活动详情", Verb: "GET", Path: path + "{activity_id}", Effect: Read,
			Fields: list(activityID, accessMode, may("merchant_id", 0)), Errors: codes("ACTIVITY_NOT_ACTIVE ACTIVITY_NOT_PERMISSION")},
		{Method: "batchquery", Title: "条件查询活动列表", Verb: "POST", Effect: Read,
			Fields: list(pageNum, pageSize, accessMode, others("activity_status merchant_id"))},
		{Method: "consult", Title: "活动领取咨询接口", Verb: "POST", Effect: Read,
			Fields: list(need("consult_activity_info_list", 0), accessMode, may("merchant_id", 0), userID, openID), Errors: codes("BIZ_ERROR")},
		{Method: "merchant.batchquery", Title: "查询活动可用商户", Verb: "GET", Path: path + "{activity_id}/merchant/batchquery", Effect: Read,
			Fields: list(activityID, pageNum, pageSize, mayAccess, may("merchant_id", 0))},
		{Method: "user.batchqueryvoucher", Title: "条件查询用户券", Verb: "GET", Path: path + "ordervoucher/user/batchqueryvoucher", Effect: Read,
			Fields: list(accessMode, pageNum, most(pageSize, 20), userID, openID, may("activity_id", 128), others("belong_merchant_id sender_merchant_id voucher_status")),
			OnlyOf: []string{"belong_merchant_id", "sender_merchant_id"}},
		{Method: "user.queryvoucher", Title: "查询用户券详情", Verb: "GET", Path: path + "ordervoucher/user/voucher", Effect: Read,
			Fields: list(userID, openID, may("activity_id", 128), may("voucher_id", 32), mayAccess, others("merchant_id voucher_code")),
			Errors: codes("VOUCHER_NOT_EXIST ACTIVITY_NOT_PERMISSION MERCHANT_RELATION_NOT_EXIST")},
	})
}

func cardOperations() []Operation {
	return below("alipay.marketing.card.", "/v3/alipay/marketing/card/", "", []Operation{
		{Method: "open", Title: "会员卡开卡", Verb: "POST", Repeat: "out_serial_no", Causes: "card.open_result",
			Fields: list(need("out_serial_no", 64), need("card_template_id", 32), need("card_user_info", 0), need("card_user_info.user_uni_id_type", 32),
				may("card_user_info.user_uni_id", 32), may("card_user_info.open_id", 128), need("card_ext_info", 0),
				need("card_ext_info.external_card_no", 64), within("card_ext_info", cardFields[1:]...),
				Field{Name: "auth_token", Max: 40, public: true, token: true},
				others("member_ext_info open_card_channel open_card_channel_id paid_outer_card_info")),
			Either: [][]string{{"card_user_info.user_uni_id", "card_user_info.open_id"}},
			Errors: codes("TEMPLATE_NOT_EXIT NO_CARD_TYPE OPEN_CARD_NEED_OPENFORM OPEN_CARD_CONCURRENTLY USER_AUTH_FAIL CARD_HAS_OPENED PAID_OUTER_CARD_LACK_TEMPLATE_CONFIG")},
		{Method: "query", Title: "会员卡查询", Verb: "POST", Effect: Read,
			Fields: list(need("target_card_no", 32), need("target_card_no_type", 64), may("card_user_info", 0), need("card_user_info.user_uni_id_type", 32),
				may("card_user_info.user_uni_id", 32), may("card_user_info.open_id", 128), may("template_id", 32), may("ext_info", 1024)),
			Errors: codes("CARD_NOT_EXIT NO_CARD_TYPE")},
		{Method: "update", Title: "会员卡更新", Verb: "POST",
			Fields: list(targetCard, need("occur_time", 32), need("card_info", 0), within("card_info", cardFields...), may("ext_info", 1024),
				others("mcard_style_info merchant_card_msg_info notify_messages paid_outer_card_info")),
			Errors: codes("NO_CARD_TYPE CARD_NOT_EXIT PAIDOUTERCARD_LACK_TEMPLATE_CONFIG")},
		{Method: "delete", Title: "会员卡删卡", Verb: "DELETE", Repeat: "out_serial_no",
			Fields: list(need("out_serial_no", 32), targetCard, need("reason_code", 32), may("ext_info", 1024)),
			Errors: codes("CARD_NOT_EXIT NO_CARD_TYPE CARD_IS_DELETED_ALREADY")},
		{Method: "message.notify", Title: "会员卡消息通知", Verb: "POST", Path: "/v3/alipay/marketing/card/message/notify",
			Fields: others("notify_no notify_type notify_info occur_time target_card_no target_card_no_type"), Errors: codes("CARD_NOT_EXIT")},
	})
}

func templateOperations() []Operation {
	blocks := others(`access_version biz_no_suffix_len card_action_list card_level_conf card_spec_tag column_info_list field_rule_list
		mdcode_notify_conf open_card_conf paid_outer_card_conf pub_channels shop_ids spi_app_id template_benefit_info template_form_config`)
	style := list(need("request_id", 64), need("template_style_info", 0), may("biz_no_prefix", 16), may("write_off_type", 32), blocks)
	return below("alipay.marketing.card.template.", "/v3/alipay/marketing/card/template/", "", []Operation{
		{Method: "create", Title: "会员卡模板创建", Verb: "POST",
			Fields: list(style, may("card_type", 32), Field{Name: "notify_url", Max: 256, public: true}, others("service_label_list")),
			Errors: codes("TEMPLATE_NOT_EXIT NO_CARD_TYPE TEMPLATE_OVER_LIMIT")},
		{Method: "modify", Title: "会员卡模板修改", Verb: "POST", Fields: list(templateID, style), Errors: codes("TEMPLATE_NOT_EXIT")},
		{Method: "query", Title: "会员卡模板查询接口", Verb: "GET", Effect: Read, Fields: list(templateID), Errors: codes("TEMPLATE_NOT_EXIT")},
		{Method: "batchquery", Title: "会员卡模板批量查询", Verb: "POST", Effect: Read, Fields: others("page_no page_size")},
	})
}

func accountOperations() []Operation {
	binding := list(need("bind_account_no", 64), need("display_name", 10), may("real_name", 10), fromUserID, openID, others("remark"))
	who := []string{"from_user_id", "open_id"}
	const faults = `MENUKEY_NOT_EXIST OPEN_ID_IS_ILLEGAL BIND_ACCOUNT_FORMAT_ERROR APP_INFO_ILLEGAL FROM_USER_ID_NULL
		ADD_BIND_ACCOUNT_FAIL SAVE_THIRD_ACCOUNT_FAIL BIND_ACCOUNT_NO_NULL DISPLAY_NAME_IS_NULL
		DISPLAY_NAME_EXCEED_LENGTH REAL_NAME_EXCEED_LENGTH EXCEED_THIRD_ACCOUNT_LIMIT `
	const keeps = "FORBIT_REMOVE_BIND_ACCOUNT REMOVE_BIND_ACCOUNT_FAIL "
	ops := below("alipay.open.public.account.", "/v3/alipay/open/public/account/", "", []Operation{
		{Method: "create", Title: "添加绑定商户会员号", Verb: "POST", Fields: list(binding, others("agreement_id")), Either: [][]string{who},
			Errors: codes(faults + "USERINFO_NOT_EXIST")},
		{Method: "reset", Title: "重新设置绑定商家会员号", Verb: "POST", Fields: list(binding, need("agreement_id", 32)), Either: [][]string{who},
			Errors: codes(faults + keeps + "AGREEMENT_ID_NULL DELETE_THIRD_ACCOUNT_FAIL FORBIT_REMOVE_OTHER_USER_BIND_AC")},
		{Method: "delete", Title: "解除绑定商户会员号", Verb: "DELETE",
			Fields: list(may("agreement_id", 32), may("bind_account_no", 64), fromUserID, openID),
			Either: [][]string{{"agreement_id", "bind_account_no"}, {"agreement_id", "from_user_id", "open_id"}},
			Errors: codes(keeps + "OPEN_ID_IS_ILLEGAL ACCOUNT_PARAMS_NOT_ENOUGH")},
		{Method: "query", Title: "查询绑定商户会员号", Verb: "GET", Effect: Read, Fields: list(userID, openID), Either: [][]string{{"user_id", "open_id"}},
			Errors: codes("OPEN_ID_IS_ILLEGAL")},
	})
	for i := range ops { // these know no INVALID_PARAMETER
		ops[i].Errors = slices.DeleteFunc(ops[i].Errors, func(code string) bool { return code == "INVALID_PARAMETER" })
	}
	return ops
}

func codes(names string) []string { return strings.Fields(names) }

// below completes the rows of one family: the method's prefix, the path where it
// is the prefix and the method's last word, the field that writes are numbered
// with, and the codes that all of them may answer.
func below(method, path, repeat string, ops []Operation) []Operation {
	for i := range ops {
		op := &ops[i]
		if op.Path == "" {
			op.Path = path + op.Method
		}
		if op.Effect != Read && op.Repeat == "" {
			op.Repeat = repeat
		}
		op.Method = method + op.Method
		op.Errors = append(codes(common), op.Errors...)
	}
	return ops
}
