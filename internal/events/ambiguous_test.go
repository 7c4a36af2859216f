package events_test

import (
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

func TestCheckFlatMergedFields(t *testing.T) {
	t.Parallel()
	strict := []string{
		"agreement_no", "bank_ack_time", "buyer_id", "buyer_open_id", "buyer_pay_amount", "dback_amount",
		"dback_status", "external_agreement_no", "gmt_close", "gmt_create", "gmt_payment", "gmt_refund",
		"invoice_amount", "out_biz_no", "out_request_no", "out_trade_no", "point_amount", "receipt_amount",
		"refund_amount", "refund_fee", "refund_status", "seller_email", "seller_id", "send_back_fee",
		"timestamp", "total_amount", "trade_no", "trade_status",
	}
	for _, name := range strict {
		for _, value := range []string{"1&x=y", "&", "1&", "a&b"} {
			n := parse(t, flat(field(name, value)))
			wantFault(t, n.CheckFlat(), fault.Malformed, "merged_field")
		}
		n := parse(t, flat(field(name, "a=b;c%26d")))
		if err := n.CheckFlat(); err != nil {
			t.Errorf("%s without '&': %v", name, err)
		}
	}
	for _, name := range []string{"subject", "body", "passback_params", "refund_reason", "buyer_logon_id", "unknown", "fund_bill_list"} {
		n := parse(t, flat(field(name, "A&B")))
		if err := n.CheckFlat(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := parse(t, message(created, `{"out_trade_no":"a&b=c"}`).With("out_trade_no", "1&2"))
	if err := n.CheckFlat(); err != nil {
		t.Errorf("a message is not flat: %v", err)
	}
}

func TestAmbiguous(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form  alipaytest.Form
		field string
	}{
		"nothing odd":            {flat(field("subject", "noodles")), ""},
		"an ampersand":           {flat(field("subject", "fish & chips")), ""},
		"ampersand and equals":   {flat(field("subject", "a&b=c")), ""}, // nobody documents b
		"a query string":         {flat(field("body", "https://example.com/?id=1&from=app")), ""},
		"an absent name":         {flat(field("subject", "x&total_amount=9.00")), "subject"},
		"an absent name, body":   {flat(field("body", "x&buyer_id=2088")), "body"},
		"an absent name, second": {flat(field("body", "x&y=z&buyer_id=2088")), "body"},
		"name without a value":   {flat(field("subject", "x&total_amount")), ""},
		"name with no value":     {flat(field("subject", "x&total_amount=")), "subject"},
		"name of another case":   {flat(field("subject", "x&Total_amount=1")), ""},
		"a present name":         {flat(field("subject", "x&total_amount=9.00"), field("total_amount", "1.00")), ""},
		"sorts before its field": {flat(field("subject", "x&body=y")), ""},
		"sorts past the next":    {flat(field("body", "x&subject=y")), ""}, // charset stands between
		"right before the next":  {flat(field("body", "x&buyer_pay_amount=1")), "body"},
		"the last field":         {flat(field("zz_free", "x&total_amount=1")), ""},
		"behind the last field":  {flat(field("refund_reason", "x&voucher_detail_list=[]")).Without("sign", "version").With("sign", "s"), "refund_reason"},
		"an unknown field":       {flat(field("aaa", "x&agreement_no=1")), "aaa"},
		"an envelope name":       {flat(field("passback_params", "x&service=1")), "passback_params"},
		"an unsigned name":       {flat(field("passback_params", "x&sign=1&sign_type=RSA")), ""},
		"still encoded":          {flat(field("passback_params", "a%3D1%26seller_id%3D2")), ""},
		"a whole JSON list":      {flat(field("fund_bill_list", `[{"x":"a&gmt_create=1"}]`)), ""},
		"a whole JSON object":    {flat(field("body", `{"x":"a&buyer_id=1"}`)), ""},
		"half a JSON list":       {flat(field("fund_bill_list", `[{"x":"a&gmt_create=1`)), "fund_bill_list"},
		"JSON and more":          {flat(field("fund_bill_list", `[]&gmt_create=1`)), "fund_bill_list"},
		"a JSON string is text":  {flat(field("body", `"x&buyer_id=1"`)), "body"},
		"a message":              {message(created, `{"a":"x&charset=1"}`).With("subject", "x&total_amount=1"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := parse(t, tt.form)
			got, ambiguous := n.Ambiguous()
			if got != tt.field || ambiguous != (tt.field != "") {
				t.Errorf("got %q, %v; want %q", got, ambiguous, tt.field)
			}
		})
	}
}

// What alipaytest sends is never ambiguous: quarantine is for the odd ones.
func TestGenuineTradesAreNotAmbiguous(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		n := parse(t, sent(t, genuine(t, trade, seed, alipaytest.Options{}), sentAt))
		if f, yes := n.Ambiguous(); yes || n.CheckFlat() != nil {
			t.Errorf("seed %d: ambiguous %q, %v", seed, f, n.CheckFlat())
		}
	}
}

// The search for the next field once counted empty fields. Under the rules that
// leave those out of the signed string, a stranger could merge total_amount into
// subject and post an empty field behind it: the merged name then seemed to sort
// past its neighbour, and the form passed.
func TestAddedEmptyFieldHidesNoMerge(t *testing.T) {
	t.Parallel()
	for _, empty := range []string{"total_amount", "subject_", "t"} {
		genuine := flat(field("subject", "x"), field("total_amount", "9.00"))
		forged := genuine.Without("total_amount").With("subject", "x&total_amount=9.00").With(empty, "")
		rule := verify.Rule{SignType: verify.KeepSignType, DropEmpty: true}
		if form(t, forged).SigningString(rule) != form(t, genuine).SigningString(rule) {
			t.Fatal("another signed string: the test is wrong")
		}
		n := parse(t, forged)
		if f, ambiguous := n.Ambiguous(); !ambiguous || f != "subject" {
			t.Errorf("with an empty %s: passed", empty)
		}
	}
}
