package alipaytest

import "time"

// The payloads of the types that have events of their own. Which fields there
// are is PROTOCOL.md's; the values are made up in the shapes of its samples.

// activityChanged is created, modified, appended and stopped, which share four
// fields. The samples of all four begin the id with ORDERSEND_ (PROTOCOL.md 2.1).
func activityChanged(d *draw) []member {
	return []member{
		{name: "id", value: "ORDERSEND_" + d.activityID()},
		{name: "activity_id", value: d.activityID()},
		{name: "event_time", value: d.millis()},
		{name: "out_biz_no", value: d.outNo("act")},
	}
}

// voucherReceived is PROTOCOL.md 2.2. voucher_code is there for 商家券.
func voucherReceived(d *draw) []member {
	activity := d.activityID()
	return []member{
		{name: "id", value: "RECEIVED_" + activity},
		{name: "activity_id", value: activity},
		{name: "event_time", value: d.millis()},
		{name: "voucher_id", value: d.voucherID()},
		{name: "voucher_code", value: d.upper(12)},
		{name: "receive_user_id", value: d.userID()},
	}
}

// voucherUsed is a guess: neither table nor sample is known, PROTOCOL.md 2.2
// only says what to expect.
func voucherUsed(d *draw) []member {
	activity := d.activityID()
	return []member{
		{name: "id", value: "USED_" + activity},
		{name: "activity_id", value: activity},
		{name: "event_time", value: d.millis()},
		{name: "voucher_id", value: d.voucherID()},
		{name: "voucher_code", value: d.upper(12)},
		{name: "user_id", value: d.userID()},
		{name: "trade_no", value: d.tradeNo()},
		{name: "total_amount", value: d.amount()},
	}
}

// voucherExpired is the full table of PROTOCOL.md 2.2, with the user_id of the
// two ways to name the user.
func voucherExpired(d *draw) []member {
	activity := d.activityID()
	return []member{
		{name: "id", value: "EXPIRED_" + activity},
		{name: "activity_id", value: activity},
		{name: "event_time", value: d.millis()},
		{name: "voucher_id", value: d.voucherID()},
		{name: "user_id", value: d.userID()},
	}
}

// orderReceived is PROTOCOL.md 2.3: the voucher of a 商家兑换券 order was sent.
func orderReceived(d *draw) []member {
	order := d.activityID()
	return []member{
		{name: "id", value: "ORDERSEND_" + order},
		{name: "order_no", value: order},
		{name: "out_order_no", value: d.outNo("ord")},
		{name: "event_time", value: d.millis()},
		{name: "send_status", value: "SUCCESS"},
	}
}

// orderRefunded is PROTOCOL.md 2.3: out_biz_no is there for USER_REFUND alone.
func orderRefunded(d *draw) []member {
	order := d.activityID()
	refund := d.one("USER_REFUND", "SEND_ERROR_REFUND")
	out := []member{
		{name: "id", value: "ORDERREFUND_" + order},
		{name: "order_no", value: order},
		{name: "out_order_no", value: d.outNo("ord")},
		{name: "event_time", value: d.millis()},
		{name: "refund_type", value: refund},
		{name: "refund_status", value: "SUCCESS"},
	}
	if refund == "USER_REFUND" {
		out = append(out, member{name: "out_biz_no", value: d.outNo("refund")})
	}
	return out
}

// cardOpened is PROTOCOL.md 2.4: success is a string, and there is no event id.
func cardOpened(d *draw) []member {
	return []member{
		{name: "template_id", value: d.date() + "0000000004141030" + d.digits(8)},
		{name: "biz_card_no", value: "00" + d.digits(14)},
		{name: "external_card_no", value: "EXT" + d.digits(10)},
		{name: "success", value: "true"},
		{name: "user_id", value: d.userID()},
	}
}

// tradeOrder is the order of the fields of a trade notification as it is seen
// in the wild; passback_params and voucher_detail_list come where merchants
// report them.
var tradeOrder = []string{
	"gmt_create", "charset", "seller_email", "subject", "sign", "body", "buyer_id",
	"invoice_amount", "notify_id", "fund_bill_list", "notify_type", "trade_status",
	"receipt_amount", "buyer_pay_amount", "app_id", "sign_type", "seller_id", "gmt_payment",
	"notify_time", "voucher_detail_list", "passback_params", "version", "out_trade_no",
	"total_amount", "trade_no", "auth_app_id", "buyer_logon_id", "point_amount",
}

// tradeChanged is PROTOCOL.md 2.6. passback_params is encoded once by the
// merchant, so that a receiver which decodes twice breaks it; the JSON lists
// hold quotes, which an HTML filter breaks.
func tradeChanged(d *draw) []member {
	amount := d.amount()
	return []member{
		{name: "gmt_create", value: d.clock(90 * time.Second)},
		{name: "seller_email", value: "shop@example.com"},
		{name: "subject", value: d.one("小笼包套餐 2 份", "会员充值 100 元", "测试商品+赠品")},
		{name: "body", value: "堂食，少辣"},
		{name: "buyer_id", value: d.userID()},
		{name: "invoice_amount", value: amount},
		{name: "fund_bill_list", value: `[{"amount":"` + amount + `","fundChannel":"ALIPAYACCOUNT"}]`},
		{name: "trade_status", value: "TRADE_SUCCESS"},
		{name: "receipt_amount", value: amount},
		{name: "buyer_pay_amount", value: amount},
		{name: "seller_id", value: d.userID()},
		{name: "gmt_payment", value: d.clock(0)},
		{name: "voucher_detail_list", value: `[{"amount":"0.20","merchantContribute":"0.00","name":"5折券",` +
			`"otherContribute":"0.20","type":"ALIPAY_DISCOUNT_VOUCHER","voucherId":"` + d.voucherID() + `"}]`},
		{name: "passback_params", value: "merchantBizType%3D3C%26merchantBizNo%3D" + d.digits(12)},
		{name: "out_trade_no", value: d.outNo("")},
		{name: "total_amount", value: amount},
		{name: "trade_no", value: d.tradeNo()},
		{name: "auth_app_id", value: d.appID},
		{name: "buyer_logon_id", value: "138****" + d.digits(4)},
		{name: "point_amount", value: "0.00"},
	}
}

// accountFollowed is somebody following a 生活号 (PROTOCOL.md 2.7). CreateTime
// is the time of the event, so retries do not change it.
func accountFollowed(d *draw) []member {
	return []member{
		{name: "AppId", value: d.appID},
		{name: "FromUserId", value: d.upper(32)},
		{name: "FromAlipayUserId", value: d.userID()},
		{name: "CreateTime", value: d.millis()},
		{name: "MsgType", value: "event"},
		{name: "EventType", value: "follow"},
		{name: "ActionParam", value: ""},
		{name: "AgreementId", value: ""},
		{name: "AccountNo", value: ""},
		{name: "UserInfo", value: `{"logon_id":"138****` + d.digits(4) + `","user_name":"*` + d.one("伟", "芳", "秀英") + `"}`},
	}
}

// gatewayCheck is what Alipay asks when the gateway URL is saved
// (PROTOCOL.md 2.7).
func gatewayCheck(d *draw) []member {
	return []member{
		{name: "AppId", value: d.appID},
		{name: "FromUserId", value: d.upper(32)},
		{name: "CreateTime", value: d.millis()},
		{name: "MsgType", value: "event"},
		{name: "EventType", value: "verifygw"},
		{name: "ActionParam", value: ""},
		{name: "AgreementId", value: ""},
		{name: "AccountNo", value: ""},
	}
}
