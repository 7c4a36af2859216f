package events_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
)

// Each case is fields beside out_trade_no, and the members that become of them.
func TestTypedTrades(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ name, value, want string }{
		"an amount":                 {"total_amount", "88.80", `"total_amount":"88.80"`},
		"an amount without cents":   {"total_amount", "88", `"total_amount":"88"`},
		"an amount below zero":      {"total_amount", "-0.01", `"total_amount":"-0.01"`},
		"an amount of many places":  {"refund_fee", "0.100000000000000000001", `"refund_fee":"0.100000000000000000001"`},
		"zeros stay":                {"point_amount", "000.00", `"point_amount":"000.00"`},
		"an amount with a comma":    {"total_amount", "1,000.00", `"_unparsed":{"total_amount":"1,000.00"}`},
		"an amount with a currency": {"total_amount", "¥1.00", `"_unparsed":{"total_amount":"¥1.00"}`},
		"an amount with a space":    {"total_amount", " 1.00", `"_unparsed":{"total_amount":" 1.00"}`},
		"an amount in e":            {"total_amount", "1e2", `"_unparsed":{"total_amount":"1e2"}`},
		"an open amount":            {"total_amount", "1.", `"_unparsed":{"total_amount":"1."}`},
		"an amount of nothing":      {"total_amount", ".5", `"_unparsed":{"total_amount":".5"}`},
		"a plus":                    {"total_amount", "+1", `"_unparsed":{"total_amount":"+1"}`},
		"two points":                {"total_amount", "1.0.0", `"_unparsed":{"total_amount":"1.0.0"}`},
		"only a sign":               {"total_amount", "-", `"_unparsed":{"total_amount":"-"}`},
		"wide digits":               {"total_amount", "１.００", `"_unparsed":{"total_amount":"１.００"}`},

		"a time":                    {"gmt_payment", "2026-01-02 15:04:05", `"gmt_payment":"2026-01-02T07:04:05Z"`},
		"a time with a fraction":    {"gmt_refund", "2026-01-02 15:04:05.320", `"gmt_refund":"2026-01-02T07:04:05.32Z"`},
		"a time before eight":       {"gmt_create", "2026-01-01 07:59:59", `"gmt_create":"2025-12-31T23:59:59Z"`},
		"a leap day":                {"gmt_close", "2024-02-29 00:00:00", `"gmt_close":"2024-02-28T16:00:00Z"`},
		"no leap day":               {"gmt_close", "2023-02-29 00:00:00", `"_unparsed":{"gmt_close":"2023-02-29 00:00:00"}`},
		"a time of zeros":           {"gmt_close", "0000-00-00 00:00:00", `"_unparsed":{"gmt_close":"0000-00-00 00:00:00"}`},
		"a time before the years":   {"gmt_close", "0001-01-01 00:00:00", `"_unparsed":{"gmt_close":"0001-01-01 00:00:00"}`},
		"a time with a zone":        {"gmt_close", "2024-02-29T00:00:00Z", `"_unparsed":{"gmt_close":"2024-02-29T00:00:00Z"}`},
		"a date":                    {"bank_ack_time", "2024-02-29", `"_unparsed":{"bank_ack_time":"2024-02-29"}`},
		"milliseconds are no clock": {"gmt_close", "1672740605064", `"_unparsed":{"gmt_close":"1672740605064"}`},

		"a list in a string":    {"fund_bill_list", `[ {"amount":"1.10", "fundChannel":"ALIPAYACCOUNT"} ]`, `"fund_bill_list":[{"amount":"1.10","fundChannel":"ALIPAYACCOUNT"}]`},
		"an object in a string": {"voucher_detail_list", ` {"a":1.10,"b":"券"}`, `"voucher_detail_list":{"a":1.10,"b":"券"}`},
		"an empty list":         {"voucher_detail_list", "[]", `"voucher_detail_list":[]`},
		"half a list":           {"fund_bill_list", `[{"amount":"1.10"}`, `"_unparsed":{"fund_bill_list":"[{\"amount\":\"1.10\"}"}`},
		"an HTML filter's list": {"fund_bill_list", `[{&quot;amount&quot;:1}]`, `"_unparsed":{"fund_bill_list":"[{&quot;amount&quot;:1}]"}`},
		"a number for a list":   {"fund_bill_list", `1`, `"_unparsed":{"fund_bill_list":"1"}`},

		"free text":         {"subject", `小笼包 "2" <b>&`, `"subject":"小笼包 \"2\" <b>&"`},
		"spaces stay":       {"subject", "  a+b  ", `"subject":"  a+b  "`},
		"still encoded":     {"passback_params", "a%3D1%26b%3D2", `"passback_params":"a%3D1%26b%3D2"`},
		"an unknown status": {"trade_status", "TRADE_NEW", `"trade_status":"TRADE_NEW"`},
		"an unknown field":  {"zz", `{"a":1}`, `"zz":"{\"a\":1}"`},
		"their _unparsed":   {"_unparsed", "x", `"_unparsed":{"_unparsed":"x"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := alipaytest.Form{
				field("sign", "c2ln"), field("notify_type", "trade_status_sync"), field("notify_id", "N1"),
				field("app_id", appID), field("out_trade_no", "T1"), field(tt.name, tt.value),
			}
			e := event(t, f)
			if e.Kind != trade || e.Key != "T1" || e.DecodeError != "" {
				t.Fatalf("%+v", e)
			}
			if got := strings.Trim(string(e.Data), "{}"); !strings.Contains(string(e.Data), tt.want) {
				t.Errorf("data %s\nwant %s", got, tt.want)
			}
			if err := checkEvent(e); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTypedTradeWhole(t *testing.T) {
	t.Parallel()
	f := flat(field("total_amount", "88.80"), field("gmt_refund", "2026-01-02 15:04:05.320"),
		field("fund_bill_list", `[{"amount":"88.80"}]`), field("subject", "面 & 汤"))
	e := event(t, f)
	want := `{"app_id":"2021000000000001","charset":"UTF-8","fund_bill_list":[{"amount":"88.80"}],` +
		`"gmt_refund":"2026-01-02T07:04:05.32Z","notify_id":"2026010200222150405000812345678901",` +
		`"notify_time":"2026-01-02T07:04:05Z","notify_type":"trade_status_sync","out_trade_no":"T1",` +
		`"subject":"面 & 汤","total_amount":"88.80","version":"1.0"}`
	if diff := cmp.Diff(want, string(e.Data)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestUntypableTrades(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]alipaytest.Form{
		"no key": flat().Without("out_trade_no"), "an empty key": flat().With("out_trade_no", ""),
	} {
		e := event(t, f)
		if e.Kind != "other.trade_status_sync" || !strings.Contains(e.DecodeError, "out_trade_no") || e.Type != "trade_status_sync" {
			t.Errorf("%s: kind %s, %q", name, e.Kind, e.DecodeError)
		}
		if !strings.HasPrefix(string(e.Data), `{"app_id":"2021000000000001","charset":"UTF-8","notify_id":`) ||
			!strings.Contains(string(e.Data), `"notify_time":"2026-01-02 15:04:05"`) {
			t.Errorf("%s: data is not as it came: %s", name, e.Data)
		}
	}
}
