package explain

import (
	"iter"
	"slices"
	"strings"

	"alipay-notify/internal/verify"
)

// documentedNames are the field names of PROTOCOL.md 1.2, 2.6 and 2.7.
var documentedNames = strings.Fields(`
	app_id auth_app_id biz_content charset encrypt_type merchant_app_id method msg_app_id msg_method msg_mshop_id
	msg_type msg_uid notify_id notify_time notify_type service sign sign_type timestamp utc_timestamp version
	agreement_no bank_ack_time body buyer_id buyer_logon_id buyer_open_id buyer_pay_amount dback_amount dback_status
	external_agreement_no fund_bill_list gmt_close gmt_create gmt_payment gmt_refund invoice_amount out_biz_no
	out_request_no out_trade_no passback_params point_amount receipt_amount refund_amount refund_fee refund_reason
	refund_status seller_email seller_id send_back_fee subject total_amount trade_no trade_status voucher_detail_list`)

func documented(name string) bool { return slices.Contains(documentedNames, name) }

func isCertSN(name string) bool { return name == "alipay_cert_sn" }

// dropFields leaves out every field of some names.
func dropFields(drop func(name string) bool) func(repairable) iter.Seq[variant] {
	return func(r repairable) iter.Seq[variant] {
		return func(yield func(variant) bool) {
			out := r.without(func(i int) bool { return drop(r.fields[i].Name) })
			if len(out) < len(r.fields) {
				yield(variant{fields: out, field: firstName(r.fields, drop), wide: true})
			}
		}
	}
}

func firstName(fields []verify.Field, is func(string) bool) string {
	for _, f := range fields {
		if is(f.Name) {
			return f.Name
		}
	}
	return ""
}

// dropUndocumented leaves out fields that Alipay does not document: all, each
// alone, and selections. Some may be genuine, for Alipay adds fields.
func dropUndocumented(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		var places []int
		for i, f := range r.fields {
			if !documented(f.Name) {
				places = append(places, i)
			}
		}
		all := true
		for chosen := range subsets(len(places)) {
			name, n := "", 0
			out := r.without(func(i int) bool {
				k, is := slices.BinarySearch(places, i)
				if is = is && chosen(k); is {
					name = r.fields[i].Name
					n++
				}
				return is
			})
			if n > 1 {
				name = ""
			}
			if !yield(variant{fields: out, field: name, wide: all}) {
				return
			}
			all = false
		}
	}
}

// keepOne keeps the first of repeated fields, or the last.
func keepOne(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		first, last := make(map[string]int), make(map[string]int)
		name := ""
		for i, f := range r.fields {
			if _, there := first[f.Name]; !there {
				first[f.Name] = i
			} else {
				name = f.Name
			}
			last[f.Name] = i
		}
		if len(first) == len(r.fields) {
			return
		}
		for _, places := range []map[string]int{first, last} {
			out := r.without(func(i int) bool { return places[r.fields[i].Name] != i })
			if !yield(variant{fields: out, field: name, wide: true}) {
				return
			}
		}
	}
}

// dropEach leaves out one field.
func dropEach(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		for i, f := range r.fields {
			if f.Name != "sign" && !yield(variant{fields: r.without(func(k int) bool { return k == i }), field: f.Name}) {
				return
			}
		}
	}
}

// setting gives a field other values. Only the first two are worth a second
// repair. A sign_type that is absent is the business of a rule.
func setting(name string, values ...string) func(repairable) iter.Seq[variant] {
	return func(r repairable) iter.Seq[variant] {
		return func(yield func(variant) bool) {
			i := r.find(name)
			if i < 0 && name == "sign_type" {
				return
			}
			for k, value := range values {
				v := variant{field: name, wide: k < 2}
				switch {
				case i < 0:
					v.fields = append(slices.Clone(r.fields), verify.Field{Name: name, Value: value})
				case r.fields[i].Value == value:
					continue
				default:
					v.fields = r.with(i, value)
				}
				if !yield(v) {
					return
				}
			}
		}
	}
}

// addEmpty puts back one documented field without a value, or with a blank one.
func addEmpty(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		for _, value := range []string{"", " "} {
			for _, name := range documentedNames {
				i := r.find(name)
				v := variant{field: name}
				switch {
				case name == "sign":
					continue
				case i < 0:
					v.fields = append(slices.Clone(r.fields), verify.Field{Name: name, Value: value})
				case r.fields[i].Value == "" && value != "":
					v.fields = r.with(i, value)
				default:
					continue
				}
				if !yield(v) {
					return
				}
			}
		}
	}
}

// maxConstants bounds the app ids that are tried as a lost app_id.
const maxConstants = 16

// addConstant puts back one field whose value is known beforehand.
func addConstant(r repairable) iter.Seq[variant] {
	known := []verify.Field{
		{Name: "app_id", Value: r.in.PathApp}, {Name: "version", Value: "1.1"}, {Name: "version", Value: "1.0"},
		{Name: "notify_type", Value: "trade_status_sync"}, {Name: "encrypt_type", Value: "AES"},
		{Name: "service", Value: "alipay.mobile.public.message.notify"}, {Name: "service", Value: "alipay.service.check"},
		{Name: "msg_type", Value: "sys"}, {Name: "msg_type", Value: "usr"}, {Name: "msg_type", Value: "app"},
		{Name: "auth_app_id", Value: r.appID},
	}
	for i := range r.in.Apps[:min(len(r.in.Apps), maxConstants)] {
		known = append(known, verify.Field{Name: "app_id", Value: r.in.Apps[i].ID})
	}
	return func(yield func(variant) bool) {
		for _, f := range known {
			if f.Value == "" || r.find(f.Name) >= 0 {
				continue
			}
			if !yield(variant{fields: append(slices.Clone(r.fields), f), field: f.Name, wide: f.Name == "app_id"}) {
				return
			}
		}
	}
}

// nullText drops or empties what says that there is no value.
func nullText(r repairable) iter.Seq[variant] {
	isNull := func(s string) bool {
		return slices.Contains([]string{"null", "NULL", "undefined", "None", "nil", "<nil>", "<null>"}, s)
	}
	return func(yield func(variant) bool) {
		out := r.without(func(i int) bool { return isNull(r.fields[i].Value) })
		if len(out) == len(r.fields) || !yield(variant{fields: out, wide: true}) {
			return
		}
		empty := func(s string) string {
			if isNull(s) {
				return ""
			}
			return s
		}
		if !applied(r, empty, true, yield) {
			return
		}
		for i, f := range r.fields {
			if isNull(f.Value) && !yield(variant{fields: r.without(func(k int) bool { return k == i }), field: f.Name}) {
				return
			}
		}
	}
}

// caseChanged gives values of enums the case that Alipay writes.
func caseChanged(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		all := slices.Clone(r.fields)
		var changed []int
		for i, f := range all {
			switch f.Name {
			case "charset", "sign_type", "encrypt_type", "trade_status", "refund_status", "dback_status":
				all[i].Value = strings.ToUpper(f.Value)
			case "msg_method", "notify_type", "service", "method", "msg_type", "seller_email":
				all[i].Value = strings.ToLower(f.Value)
			}
			if all[i].Value != f.Value {
				changed = append(changed, i)
			}
		}
		if len(changed) == 0 || !yield(variant{fields: all, wide: true}) {
			return
		}
		for _, i := range changed {
			if !yield(variant{fields: r.with(i, all[i].Value), field: all[i].Name}) {
				return
			}
		}
	}
}
