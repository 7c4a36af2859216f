package alipaytest

import "time"

// The payloads of the further inbound messages (PROTOCOL.md 2.5). Where that
// section gives names of types only, the fields are plausible and no more:
// receivers keep such payloads as they come, so what counts is the envelope.

// fundTransChanged has the fields of the two real bodies.
func fundTransChanged(d *draw) []member {
	return []member{
		{name: "pay_date", value: d.clock(0)},
		{name: "biz_scene", value: "DIRECT_TRANSFER"},
		{name: "action_type", value: "FINISH"},
		{name: "pay_fund_order_id", value: d.date() + "11007" + d.digits(19)},
		{name: "origin_interface", value: "alipay.fund.trans.uni.transfer"},
		{name: "out_biz_no", value: d.outNo("pay")},
		{name: "trans_amount", value: d.amount()},
		{name: "product_code", value: "TRANS_ACCOUNT_NO_PWD"},
		{name: "order_id", value: d.date() + "11007" + d.digits(19)},
		{name: "status", value: "SUCCESS"},
	}
}

func fundRefunded(d *draw) []member {
	return []member{
		{name: "order_id", value: d.date() + "11007" + d.digits(19)},
		{name: "out_biz_no", value: d.outNo("pay")},
		{name: "refund_amount", value: d.amount()},
		{name: "refund_date", value: d.clock(0)},
		{name: "status", value: "SUCCESS"},
	}
}

// tradeSettled has a nested list, as alipay.trade.order.settle.query has.
func tradeSettled(d *draw) []member {
	at := d.clock(0)
	detail := `[{"operation_type":"transfer","execute_dt":"` + at + `","trans_out":"` + d.userID() +
		`","trans_in":"` + d.userID() + `","amount":"` + d.amount() + `","state":"SUCCESS"}]`
	return []member{
		{name: "out_request_no", value: d.outNo("settle")},
		{name: "operation_dt", value: at},
		{name: "royalty_detail_list", value: detail, json: true},
	}
}

// appAuthCancelled has the fields of both captures (PROTOCOL.md 1.5).
func appAuthCancelled(d *draw) []member {
	return []member{
		{name: "app_auth_token", value: d.date()[:6] + "BB_T" + d.hex(29) + "X30"},
		{name: "auth_app_id", value: "2016" + d.digits(12)},
		{name: "user_id", value: d.userID()},
		{name: "app_id", value: d.appID},
	}
}

// serviceAudited has a line break in a value, as the real body has.
func serviceAudited(d *draw) []member {
	return []member{
		{name: "service_code", value: d.date() + d.digits(12)},
		{name: "audit_status", value: "REJECT"},
		{name: "audit_reason", value: "服务名称不规范，请修改：\r\n1. 去掉“最”字\r\n2. 补充说明"},
		{name: "audit_time", value: d.clock(0)},
	}
}

func providerSynced(d *draw) []member {
	return []member{
		{name: "order_no", value: d.date() + d.digits(20)},
		{name: "merchant_pid", value: d.userID()},
		{name: "status", value: "SUCCESS"},
		{name: "gmt_modified", value: d.clock(0)},
	}
}

func miniOrder(d *draw) []member {
	return []member{
		{name: "order_id", value: d.date() + d.digits(20)},
		{name: "out_order_id", value: d.outNo("mini")},
		{name: "open_id", value: d.upper(40)},
		{name: "status", value: "FINISHED"},
		{name: "gmt_modified", value: d.clock(0)},
	}
}

func creditAgreement(d *draw) []member {
	return []member{
		{name: "out_agreement_no", value: d.outNo("agr")},
		{name: "credit_agreement_id", value: d.date() + d.digits(20)},
		{name: "agreement_status", value: "NORMAL"},
		{name: "biz_time", value: d.clock(0)},
		{name: "user_id", value: d.userID()},
	}
}

func shopPassed(d *draw) []member {
	return []member{
		{name: "order_id", value: d.date() + d.digits(20)},
		{name: "shop_id", value: d.date() + "00077" + d.digits(15)},
		{name: "store_id", value: "S" + d.digits(8)},
		{name: "ip_role_id", value: d.userID()},
	}
}

func shopRejected(d *draw) []member {
	return []member{
		{name: "order_id", value: d.date() + d.digits(20)},
		{name: "store_id", value: "S" + d.digits(8)},
		{name: "reason", value: "门头照不清晰，请重新上传"},
	}
}

func rentAftersale(d *draw) []member {
	return []member{
		{name: "order_id", value: d.date() + d.digits(20)},
		{name: "aftersale_id", value: d.date() + d.digits(16)},
		{name: "aftersale_type", value: "RETURN_GOODS"},
		{name: "status", value: "APPLYING"},
		{name: "gmt_create", value: d.clock(0)},
	}
}

// serviceOrder is the order of a servicemarket_order_notify in the wild.
var serviceOrder = []string{
	"contactor", "commodity_order_id", "notify_time", "phone", "order_item_num", "sign_type",
	"charset", "notify_type", "total_price", "merchant_pid", "version", "sign", "timestamp",
	"title", "order_time", "isv_ticket", "name", "app_id", "method", "notify_id",
}

// serviceOrdered names its API in method, beside notify_type, and has a field
// without a value: the one kind where the two rules for empty fields differ
// without anybody asking for it (PROTOCOL.md 3.1).
func serviceOrdered(d *draw) []member {
	return []member{
		{name: "contactor", value: "王小明"},
		{name: "commodity_order_id", value: d.date() + "000000" + d.digits(8)},
		{name: "phone", value: "138" + d.digits(8)},
		{name: "order_item_num", value: "1"},
		{name: "total_price", value: "0.00"},
		{name: "merchant_pid", value: d.userID()},
		{name: "title", value: "麦田商城模板"},
		{name: "order_time", value: d.clock(15 * time.Second)},
		{name: "isv_ticket", value: ""},
		{name: "name", value: "王小明"},
		{name: "method", value: "alipay.open.servicemarket.order.notify"},
	}
}

// appAuthOrder is the order of an open_app_auth_notify in the wild.
var appAuthOrder = []string{
	"notify_id", "notify_type", "status", "notify_time", "charset", "version", "app_id",
	"auth_app_id", "sign", "sign_type", "biz_content",
}

// appAuthorised is flat, yet has a biz_content of its own: JSON in one field.
func appAuthorised(d *draw) []member {
	authorised := "2021" + d.digits(12)
	return []member{
		{name: "status", value: "execute_auth"},
		{name: "auth_app_id", value: authorised},
		{name: "biz_content", value: `{"notify_context":{"trigger":"merchant","trigger_context":{"out_biz_no":"` + d.outNo("auth") +
			`"}},"detail":{"app_auth_token":"` + d.date()[:6] + "BB" + d.hex(32) + "X09" +
			`","user_id":"` + d.userID() + `","re_expires_in":32140800,"auth_time":` + d.millis() +
			`,"app_refresh_token":"` + d.date()[:6] + "BB" + d.hex(32) + "X09" + `","auth_app_id":"` + authorised +
			`","app_id":"` + d.appID + `","expires_in":31536000,"app_auth_code":"` + d.hex(32) + `"}}`},
	}
}
