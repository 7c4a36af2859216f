package events

import (
	"encoding/json"
	"strings"
)

// strictFlat are the fields of a flat notification whose documented values are
// ids, amounts, times and enums: '&' has no business there (PROTOCOL.md 2.6).
var strictFlat = set(
	"agreement_no", "bank_ack_time", "buyer_id", "buyer_open_id", "buyer_pay_amount", "dback_amount",
	"dback_status", "external_agreement_no", "gmt_close", "gmt_create", "gmt_payment", "gmt_refund",
	"invoice_amount", "notify_time", "out_biz_no", "out_request_no", "out_trade_no", "point_amount",
	"receipt_amount", "refund_amount", "refund_fee", "refund_status", "seller_email", "seller_id",
	"send_back_fee", "timestamp", "total_amount", "trade_no", "trade_status",
)

// documentedFlat are all documented names of flat notifications: those which a
// split could bring into being.
var documentedFlat = union(strictFlat, set(
	"app_id", "auth_app_id", "biz_content", "body", "buyer_logon_id", "charset", "fund_bill_list", "method",
	"msg_method", "notify_id", "notify_type", "passback_params", "refund_reason", "service", "subject",
	"utc_timestamp", "version", "voucher_detail_list",
))

// CheckFlat guards flat notifications against merged fields: a strict field
// that holds '&' is fault.Malformed. Other shapes pass.
func (n *Notification) CheckFlat() error {
	if n.Shape != Flat {
		return nil
	}
	return checkStrict(n.form)
}

// checkStrict is apart from CheckFlat so that other shapes cost nothing.
func checkStrict(form Form) error {
	for name, value := range form.All() {
		if strictFlat[name] && strings.Contains(value, "&") {
			return malformed("merged_field", "%s holds '&': two fields in one", name)
		}
	}
	return nil
}

// Ambiguous tells whether a flat notification could be a split or a merge of
// another one under the same signature: a free-text value holds "&name=", where
// name is a documented field that is absent from the form and would stand right
// after it in the signed string. It names the field, for the person who decides.
func (n *Notification) Ambiguous() (field string, ambiguous bool) {
	if n.Shape != Flat {
		return "", false
	}
	return ambiguousField(n.form)
}

func ambiguousField(form Form) (field string, ambiguous bool) {
	type pair struct{ name, value string }
	var signed []pair
	for name, value := range form.All() {
		// An empty field stands between no two others: where empty fields are
		// not signed, anybody can add one.
		if name != "sign" && name != "sign_type" && value != "" {
			signed = append(signed, pair{name, value})
		}
	}
	for i, p := range signed {
		if !strings.Contains(p.value, "&") || json.Valid([]byte(p.value)) && strings.ContainsAny(p.value[:1], "[{") {
			continue // a complete JSON value is neither half of something nor two things
		}
		next := "\xff"
		if i+1 < len(signed) {
			next = signed[i+1].name
		}
		for _, part := range strings.Split(p.value, "&")[1:] {
			name, _, hasValue := strings.Cut(part, "=")
			if hasValue && documentedFlat[name] && form.Get(name) == "" && p.name < name && name < next {
				return p.name, true
			}
		}
	}
	return "", false
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func union(sets ...map[string]bool) map[string]bool {
	m := make(map[string]bool)
	for _, s := range sets {
		for n := range s {
			m[n] = true
		}
	}
	return m
}
