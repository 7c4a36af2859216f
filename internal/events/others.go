package events

import (
	"slices"
	"strings"
)

// Other describes a message that Alipay is known to send and that keeps its
// other.* subject in v1: its data is what came, untyped. It is immutable.
type Other struct {
	Name      string // other.<method with . as _>, the entity.action of its subject
	Method    string // what Alipay calls it: msg_method or notify_type
	Title     string // one line for people
	Fact      string // where it is documented
	HasSchema bool   // its fields are known, and schemas/ has a file for it

	flat   bool     // its fields stand beside the envelope, and not in biz_content
	fields []string // the known ones, all texts; "[]" after a name: or a list
}

// Schema is the $id of its JSON Schema in schemas/, or the empty string.
func (o Other) Schema() string {
	if !o.HasSchema {
		return ""
	}
	return schemaID(o.Name)
}

// describes tells whether the schema is true of data, in which nothing was
// converted: ce-dataschema is a promise to consumers, and Alipay made none.
func (o Other) describes(n Notification, content, data string) bool {
	if !o.HasSchema || o.flat != (n.Shape == Flat) || isXML(content) {
		return false
	}
	members, _, err := splitObject(nil, data)
	return err == nil && !slices.ContainsFunc(members, func(m member) bool {
		list := m.value[0] == '[' && slices.Contains(o.fields, m.name+"[]")
		return !list && m.value[0] != '"' && o.knows(m.name)
	})
}

// FieldNames are the names of its known fields.
func (o Other) FieldNames() []string {
	var names []string
	for _, f := range o.fields {
		names = append(names, strings.TrimSuffix(f, "[]"))
	}
	return names
}

func (o Other) knows(name string) bool {
	return slices.ContainsFunc(o.fields, func(f string) bool { return strings.TrimSuffix(f, "[]") == name })
}

// Others gives the known messages without a kind, in the order of the names.
// There are more: whatever is verified is stored.
func Others() []Other {
	all := make([]Other, 0, len(otherByMethod))
	for _, o := range otherByMethod {
		all = append(all, *o)
	}
	slices.SortFunc(all, func(a, b Other) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// OtherByMethod finds a known message by what Alipay calls it.
func OtherByMethod(method string) (Other, bool) {
	if o, ok := otherByMethod[method]; ok {
		return *o, true
	}
	return Other{}, false
}

var otherByMethod = indexOthers([]Other{
	{
		Method: "alipay.fund.trans.order.changed", Title: "The status of a fund order changed (资金单据状态变更)",
		Fact: "PROTOCOL.md 2.5, by two real bodies",
		fields: []string{
			"pay_date", "biz_scene", "action_type", "pay_fund_order_id", "origin_interface",
			"out_biz_no", "trans_amount", "product_code", "order_id", "status",
		},
	},
	{Method: "alipay.fund.trans.refund.success", Title: "Transferred funds came back (资金退回成功)"},
	{
		Method: "alipay.trade.order.settle.notify", Title: "The result of splitting a trade's money (交易分账结果)",
		Fact:   "PROTOCOL.md 2.5; the known copy of its page is cut",
		fields: []string{"out_request_no", "operation_dt", "royalty_detail_list[]"},
	},
	{
		Method: "alipay.open.auth.appauth.cancel", Title: "A merchant withdrew its authorisation of a third-party app (第三方应用授权取消)",
		Fact:   "PROTOCOL.md 1.5 and 2.5, by two real bodies",
		fields: []string{"app_auth_token", "auth_app_id", "user_id", "app_id"},
	},
	{
		Method: "alipay.open.auth.appauth.cancelled", Title: "A merchant withdrew its authorisation of a third-party app (第三方应用授权取消), by its documented name",
		Fact: "PROTOCOL.md 2.5; what was seen has the name alipay.open.auth.appauth.cancel",
	},
	{
		Method: "alipay.open.app.service.audit.notify", Title: "The audit of a service of an app",
		Fact: "PROTOCOL.md 1.5 and 2.5; values may hold line breaks",
	},
	{
		Method: "servicemarket_order_notify", Title: "An order of the service market changed (服务市场订单状态变更)",
		Fact: "PROTOCOL.md 2.5, alipay.open.servicemarket.order.notify as flat 1.0; fields by real bodies in Alipay's SDKs' tests",
		flat: true,
		fields: []string{
			"app_id", "charset", "version", "notify_id", "notify_type", "notify_time", "timestamp", "method",
			"commodity_order_id", "merchant_pid", "name", "contactor", "phone", "title", "order_item_num",
			"order_time", "total_price", "order_ticket", "isv_ticket", "service_code",
		},
	},
	{
		Method: "open_app_auth_notify", Title: "A merchant authorised a third-party app",
		Fact: "PROTOCOL.md 2.5; fields by a real body", flat: true,
		fields: []string{
			"app_id", "auth_app_id", "charset", "version", "notify_id", "notify_type", "notify_time", "status", "biz_content",
		},
	},
	{Method: "alipay.open.sp.sign.sync.notify", Title: "A message about service providers (sign sync)"},
	{Method: "alipay.open.sp.inteop.sync.notify", Title: "A message about service providers (inteop sync)"},
	{Method: "alipay.open.mini.order.changed", Title: "An order of a mini program changed"},
	{Method: "alipay.open.mini.order.settle.notify", Title: "An order of a mini program was settled"},
	{
		Method: "zhima.credit.payafteruse.creditagreement.changed", Title: "An agreement to pay after use changed (芝麻先享)",
		Fact: "PROTOCOL.md 2.5; fields by a copy of its table, which is the source of PROTOCOL.md 1.3",
		fields: []string{
			"credit_agreement_id", "agreement_status", "out_agreement_no", "biz_time", "open_channel", "alipay_user_id", "open_id", "ext_info",
		},
	},
	{Method: "ant.merchant.expand.shop.save.passed", Title: "Saving a shop passed its audit (店铺保存审核通过)"},
	{Method: "ant.merchant.expand.shop.save.rejected", Title: "Saving a shop was rejected (店铺保存拒绝)"},
	{Method: "alipay.commerce.rent.order.aftersale.notify", Title: "The after-sale of a rental order"},
})

func indexOthers(all []Other) map[string]*Other {
	index := make(map[string]*Other, len(all))
	for i := range all {
		o := &all[i]
		o.Name, o.HasSchema = otherKind(o.Method), len(o.fields) > 0
		if o.Fact == "" {
			o.Fact = "PROTOCOL.md 2.5, the name alone; its fields are not known"
		}
		index[o.Method] = o
	}
	return index
}
