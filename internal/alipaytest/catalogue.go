package alipaytest

import (
	"fmt"
	"slices"
)

// shape is the protocol that a notification is sent in.
type shape int

const (
	message shape = iota // 1.1: everything of the business in biz_content, JSON
	flat                 // 1.0: the business fields stand beside the envelope
	account              // 生活号 gateway: biz_content is XML, no id and no app_id
)

// String is the name that `send --list` shows.
func (s shape) String() string {
	return [...]string{message: "message 1.1", flat: "flat 1.0", account: "生活号 gateway"}[s]
}

// kind is one row of the catalogue. To add a type, add a row, and a function
// beside its like that makes up the payload; the tests walk the table.
type kind struct {
	name    string // entity.action, as events are named
	wire    string // what msg_method, notify_type or service says
	shape   shape
	payload func(*draw) []member
	order   []string // flat: the names in sending order, as captured
	habit   Rule     // the rule where nobody asks for one
	check   bool     // no event, but the gateway check
}

// messageOrder is the order of fields in every capture of a 1.1 message
// (PROTOCOL.md 1.1).
var messageOrder = []string{
	"charset", "biz_content", "encrypt_type", "utc_timestamp", "sign", "app_id", "version",
	"sign_type", "notify_id", "msg_method",
}

// accountOrder are the fields of the sample request (PROTOCOL.md 2.7).
var accountOrder = []string{"service", "sign", "sign_type", "charset", "biz_content"}

// catalogue is every notification that can be made. The names after other. are
// the wire name with '_' for '.': kinds without an event type of their own.
// Messages keep sign_type unless they are encrypted, the trade notification
// drops it, the service market and the 生活号 gateway keep it (PROTOCOL.md
// section 0 item 1, 2.5, 2.6, 2.7).
var catalogue = []kind{
	{name: "voucher.created", wire: "alipay.marketing.activity.message.created", payload: activityChanged},
	{name: "voucher.modified", wire: "alipay.marketing.activity.message.modified", payload: activityChanged},
	{name: "voucher.appended", wire: "alipay.marketing.activity.message.appended", payload: activityChanged},
	{name: "voucher.stopped", wire: "alipay.marketing.activity.message.stopped", payload: activityChanged},
	{name: "voucher.received", wire: "alipay.marketing.activity.message.received", payload: voucherReceived},
	{name: "voucher.used", wire: "alipay.marketing.activity.message.used", payload: voucherUsed},
	{name: "voucher.expired", wire: "alipay.marketing.activity.message.expired", payload: voucherExpired},
	{name: "order.received", wire: "alipay.marketing.activity.ordermessage.received", payload: orderReceived},
	{name: "order.refunded", wire: "alipay.marketing.activity.ordermessage.refunded", payload: orderRefunded},
	{name: "card.open_result", wire: "alipay.user.opencard.result.notify", payload: cardOpened},
	{name: "trade.status_changed", wire: "trade_status_sync", shape: flat, payload: tradeChanged, order: tradeOrder, habit: DropSignType},
	{name: "account.event", wire: "alipay.mobile.public.message.notify", shape: account, payload: accountFollowed},

	{name: "other.alipay_fund_trans_order_changed", wire: "alipay.fund.trans.order.changed", payload: fundTransChanged},
	{name: "other.alipay_fund_trans_refund_success", wire: "alipay.fund.trans.refund.success", payload: fundRefunded},
	{name: "other.alipay_trade_order_settle_notify", wire: "alipay.trade.order.settle.notify", payload: tradeSettled},
	{name: "other.alipay_open_auth_appauth_cancel", wire: "alipay.open.auth.appauth.cancel", payload: appAuthCancelled},
	{name: "other.alipay_open_auth_appauth_cancelled", wire: "alipay.open.auth.appauth.cancelled", payload: appAuthCancelled},
	{name: "other.alipay_open_app_service_audit_notify", wire: "alipay.open.app.service.audit.notify", payload: serviceAudited},
	{name: "other.alipay_open_sp_sign_sync_notify", wire: "alipay.open.sp.sign.sync.notify", payload: providerSynced},
	{name: "other.alipay_open_sp_inteop_sync_notify", wire: "alipay.open.sp.inteop.sync.notify", payload: providerSynced},
	{name: "other.alipay_open_mini_order_changed", wire: "alipay.open.mini.order.changed", payload: miniOrder},
	{name: "other.alipay_open_mini_order_settle_notify", wire: "alipay.open.mini.order.settle.notify", payload: miniOrder},
	{name: "other.zhima_credit_payafteruse_creditagreement_changed", wire: "zhima.credit.payafteruse.creditagreement.changed", payload: creditAgreement},
	{name: "other.ant_merchant_expand_shop_save_passed", wire: "ant.merchant.expand.shop.save.passed", payload: shopPassed},
	{name: "other.ant_merchant_expand_shop_save_rejected", wire: "ant.merchant.expand.shop.save.rejected", payload: shopRejected},
	{name: "other.alipay_commerce_rent_order_aftersale_notify", wire: "alipay.commerce.rent.order.aftersale.notify", payload: rentAftersale},
	{name: "other.servicemarket_order_notify", wire: "servicemarket_order_notify", shape: flat, payload: serviceOrdered, order: serviceOrder, habit: KeepSignType},
	{name: "other.open_app_auth_notify", wire: "open_app_auth_notify", shape: flat, payload: appAuthorised, order: appAuthOrder, habit: DropSignType},

	{name: "gateway.check", wire: "alipay.service.check", shape: account, payload: gatewayCheck, check: true},
}

// TypeInfo describes one type that New can make.
type TypeInfo struct {
	Type     string // entity.action
	Wire     string // what msg_method, notify_type or service says
	Protocol string // for people
	Event    bool   // false for gateway.check alone, which is a question and becomes no event
}

// Types is everything that New can make, in the order of the catalogue.
func Types() []TypeInfo {
	var out []TypeInfo
	for _, k := range catalogue {
		out = append(out, TypeInfo{Type: k.name, Wire: k.wire, Protocol: k.shape.String(), Event: !k.check})
	}
	return out
}

func findKind(name string) (*kind, error) {
	i := slices.IndexFunc(catalogue, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown type %q", name)
	}
	return &catalogue[i], nil
}
