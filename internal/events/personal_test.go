package events_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/events"
)

// TestMask: what a person could be known or harmed by is hidden, wherever it
// stands; what an operator works with stays, and so does the rest of the text.
func TestMask(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, data, want string }{
		{"a user", `{"activity_id":"2016042700826004508401111111","receive_user_id":"2088647867669749"}`, `{"activity_id":"2016042700826004508401111111","receive_user_id":"2088****9749"}`},
		{"an open id", `{"open_id":"074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"}`, `{"open_id":"074a****oCo5"}`},
		{"a short one", `{"open_id":"abc"}`, `{"open_id":"***"}`},
		{"empty says nothing", `{"user_id":"","buyer_logon_id":null}`, `{"user_id":"","buyer_logon_id":null}`},
		{"by Alipay's other names", `{"FromAlipayUserId":"2088669091656664","FromUserId":"5L9DJQ2YPAZJ25XA"}`, `{"FromAlipayUserId":"2088****6664","FromUserId":"5L9D****25XA"}`},
		{"whole objects, with their shape", `{"UserInfo":{"logon_id":"138****3930","more":["x",1]},"Text":{"Content":"hi"}}`, `{"UserInfo":{"logon_id":"***","more":["***","***"]},"Text":{"Content":"***"}}`},
		{"a payer and not what was paid", `{"buyer_id":"2088102122458832","buyer_logon_id":"138****0000","buyer_pay_amount":"8.88","buyer_new":"x"}`, `{"buyer_id":"2088****8832","buyer_logon_id":"***","buyer_pay_amount":"8.88","buyer_new":"***"}`},
		{"unknown names, known looks", `{"x":"2088102122458832","y":2088102122458832,"z":"of 2088102122458832, and more"}`, `{"x":"2088****8832","y":"2088****8832","z":"of 2088****8832, and more"}`},
		{"longer numbers are other numbers", `{"x":"20881021224588321","y":"12088102122458832","n":20881021224588321}`, `{"x":"20881021224588321","y":"12088102122458832","n":20881021224588321}`},
		{"unknown names that say it", `{"receiver_mobile":"13800000000","userEmail":"a@b.cn","id_card":"1","app_auth_token":"t"}`, `{"receiver_mobile":"***","userEmail":"***","id_card":"***","app_auth_token":"***"}`},
		{"JSON in a string", `{"biz_content":"{\"user_id\":\"2088102122458832\",\"n\":1.10}"}`, `{"biz_content":"{\"user_id\":\"2088****8832\",\"n\":1.10}"}`},
		{"XML in a string", `{"biz_content":"<a><b>Wang</b></a>"}`, `{"biz_content":"***"}`},
		{"what did not convert", `{"_unparsed":{"user_id":[["2088102122458832"],7]}}`, `{"_unparsed":{"user_id":[["2088****8832"],"***"]}}`},
		{"bytes", `{"_base64":"MjA4ODEwMjEyMjQ1ODgzMg=="}`, `{"_base64":"***"}`},
		{"escapes and numbers stay", `{"a":"\u5238 \u001b<&>","b":1.10e+2,"c":[true,false,null],"d":{}, "e":[]}`, `{"a":"\u5238 \u001b<&>","b":1.10e+2,"c":[true,false,null],"d":{},"e":[]}`},
		{"escaped names and values", `{"user\u005fid":"\u0032088102122458832"}`, `{"user\u005fid":"2088****8832"}`},
		{"a name", `{"2088102122458832":1}`, `{"2088****8832":1}`},
		{"repeated", `{"user_id":"2088102122458832","user_id":"2088102122458833"}`, `{"user_id":"2088****8832","user_id":"2088****8833"}`},
		{"a list, a text, a number", ` [ "2088102122458832" , [ 2088102122458832 ] ] `, `["2088****8832",["2088****8832"]]`},
		{"no JSON", `{`, `"***"`},
		{"too deep", strings.Repeat("[", 100) + `"Wang"` + strings.Repeat("]", 100), strings.Repeat("[", 32) + `"***"` + strings.Repeat("]", 32)},
	} {
		if got := string(events.Mask([]byte(tc.data))); got != tc.want {
			t.Errorf("%s: %s\ngot  %s\nwant %s", tc.name, tc.data, got, tc.want)
		}
	}
}

func TestMaskText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"alipay.events.2021000000000001.account.event.2088669091656664": "alipay.events.2021000000000001.account.event.2088****6664",
		"2088669091656664":                    "2088****6664",
		"a_2088669091656664_2088669091656665": "a_2088****6664_2088****6665",
		"2026010200222150405418413152603364":  "2026010200222150405418413152603364",
		"nothing":                             "nothing",
	} {
		if got := events.MaskText(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestEveryFieldIsDecidedOn: whoever adds a field to the catalogue says whether
// it is about a person. Those that are shown stand here; a new one is hidden by
// a line in personal.go, or added to this list.
func TestEveryFieldIsDecidedOn(t *testing.T) {
	t.Parallel()
	decided := strings.Fields(`
		ActionParam AgreementId AppId CreateTime EventType MsgId MsgType
		action_type activity_id agreement_no agreement_status app_id auth_app_id bank_ack_time biz_card_no biz_content biz_scene biz_time
		buyer_pay_amount charset commodity_order_id credit_agreement_id dback_amount dback_status event_time external_agreement_no
		fund_bill_list gmt_close gmt_create gmt_payment gmt_refund id invoice_amount merchant_pid method name notify_id notify_time notify_type
		open_channel operation_dt order_id order_item_num order_no order_time origin_interface out_agreement_no out_biz_no
		out_order_no out_request_no out_trade_no pay_date pay_fund_order_id point_amount product_code receipt_amount refund_amount
		refund_fee refund_status refund_type royalty_detail_list seller_id send_back_fee send_status service_code status success template_id timestamp
		title total_amount total_price trade_no trade_status trans_amount version voucher_detail_list voucher_id`)
	const probe = "a value that says nothing by itself"
	fields := map[string]bool{}
	for _, k := range events.Kinds() {
		for i := range k.GoType().NumField() {
			name, _, _ := strings.Cut(k.GoType().Field(i).Tag.Get("json"), ",")
			fields[name] = true
		}
	}
	for _, o := range events.Others() {
		for _, name := range o.FieldNames() {
			fields[name] = true
		}
	}
	if len(fields) < 80 {
		t.Fatalf("found %d fields", len(fields))
	}
	for name := range fields {
		hidden := events.MaskValue(name, probe) != probe
		if listed := slices.Contains(decided, name); hidden == listed {
			t.Errorf("%s: hidden %t, listed as shown %t", name, hidden, listed)
		}
	}
	for _, name := range decided {
		if !fields[name] {
			t.Errorf("%s is no field of the catalogue", name)
		}
	}
}

// FuzzMask: whatever is stored, masking gives JSON, in time, and no user id.
func FuzzMask(f *testing.F) {
	f.Add([]byte(`{"user_id":"2088102122458832","l":[1,{"a":"{\"b\":\"2088102122458832\"}"}]}`))
	f.Add([]byte(`[[" 2088102122458832_2088102122458832"]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		masked := events.Mask(data)
		if !json.Valid(masked) {
			t.Fatalf("%q became %q", data, masked)
		}
		var value any
		if json.Unmarshal(masked, &value) != nil {
			return
		}
		walk(value, func(s string) {
			if again := events.MaskText(s); again != s {
				t.Fatalf("%q became %q, which still holds %q", data, masked, s)
			}
		})
	})
}

// walk visits every text of a JSON value.
func walk(value any, visit func(string)) {
	switch v := value.(type) {
	case string:
		visit(v)
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	case map[string]any:
		for name, item := range v {
			visit(name)
			walk(item, visit)
		}
	}
}
