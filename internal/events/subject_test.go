package events_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"alipay-notify/internal/events"
)

func TestToken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":             {"", "_"},
		"all that stays":    {tokenBytes, tokenBytes},
		"an id":             {"2016042700826004508401111111", "2016042700826004508401111111"},
		"dots":              {"a.b..c", "a_b__c"},
		"one wildcard":      {"*", "_"},
		"all that follows":  {">", "_"},
		"wildcards inside":  {"a*b>c", "a_b_c"},
		"space and tab":     {"a b\tc", "a_b_c"},
		"line break":        {"a\r\nb", "a__b"},
		"control bytes":     {"\x00\x01\x1f\x7f", "____"},
		"Chinese":           {"券1", "___1"}, // three bytes
		"invalid UTF-8":     {"a\xff\xfeb", "a__b"},
		"punctuation":       {"!\"#$%&'()+,/:;<=?@[\\]^`{|}~", strings.Repeat("_", 27)},
		"127 bytes":         {strings.Repeat("x", 127), strings.Repeat("x", 127)},
		"128 bytes":         {strings.Repeat("x", 128), strings.Repeat("x", 128)},
		"129 bytes":         {strings.Repeat("x", 129), strings.Repeat("x", 128)},
		"cut in a letter":   {strings.Repeat("x", 127) + "券", strings.Repeat("x", 127) + "_"},
		"wildcard past 128": {strings.Repeat("x", 128) + ".>", strings.Repeat("x", 128)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := events.Token(tt.in); got != tt.want {
				t.Errorf("Token(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	tests := []struct{ app, kind, key, want string }{
		{appID, "voucher.created", "2016", "alipay.events." + appID + ".voucher.created.2016"},
		{appID, "order.refunded", "a.b", "alipay.events." + appID + ".order.refunded.a_b"},
		{appID, "other.alipay_fund_trans_order_changed", "", "alipay.events." + appID + ".other.alipay_fund_trans_order_changed._"},
		{"", "", "", "alipay.events._._._._"},
		{"*", "a.b.c.>", ">", "alipay.events._.a.b_c__._"},
	}
	for _, tt := range tests {
		if got := events.Subject(tt.app, tt.kind, tt.key); got != tt.want {
			t.Errorf("Subject(%q, %q, %q) = %q, want %q", tt.app, tt.kind, tt.key, got, tt.want)
		}
	}
}

// Whatever comes from outside, a subject has six tokens of the allowed bytes:
// it is stored where it belongs and can be no wildcard.
func TestSubjectIsAlwaysSixTokens(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"", ".", "*", ">", " ", "\x00", "\n", "\r\n", "券", "\xff", "a", "Z9", "_", "-", "$JS", "alipay.events", strings.Repeat("k", 127)}
	text := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	for range 20_000 {
		app, kind, key := text(), text(), text()
		checkSubject(t, app, kind, key)
	}
}

func checkSubject(t *testing.T, app, kind, key string) {
	t.Helper()
	subject := events.Subject(app, kind, key)
	tokens := strings.Split(subject, ".")
	if len(tokens) != 6 || tokens[0] != "alipay" || tokens[1] != "events" {
		t.Fatalf("Subject(%q, %q, %q) = %q", app, kind, key, subject)
	}
	for _, token := range tokens {
		if token == "" || len(token) > 128 || strings.Trim(token, tokenBytes) != "" {
			t.Fatalf("Subject(%q, %q, %q) = %q: token %q", app, kind, key, subject, token)
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	want := map[string][2]string{ // name: what Alipay calls it, key (DESIGN.md section 3)
		"voucher.created":  {"alipay.marketing.activity.message.created", "activity_id"},
		"voucher.modified": {"alipay.marketing.activity.message.modified", "activity_id"},
		"voucher.appended": {"alipay.marketing.activity.message.appended", "activity_id"},
		"voucher.stopped":  {"alipay.marketing.activity.message.stopped", "activity_id"},
		"voucher.received": {"alipay.marketing.activity.message.received", "activity_id"},
		"voucher.used":     {"alipay.marketing.activity.message.used", "activity_id"},
		"voucher.expired":  {"alipay.marketing.activity.message.expired", "activity_id"},
		"order.received":   {"alipay.marketing.activity.ordermessage.received", "order_no"},
		"order.refunded":   {"alipay.marketing.activity.ordermessage.refunded", "order_no"},
		"card.open_result": {"alipay.user.opencard.result.notify", "biz_card_no"},
		trade:              {"trade_status_sync", "out_trade_no"},
		"account.event":    {events.ServiceNotify, "FromAlipayUserId"},
	}
	last := ""
	for _, k := range events.Kinds() {
		if k.Name <= last {
			t.Errorf("%s stands after %s", k.Name, last)
		}
		last = k.Name
		for what, text := range map[string]string{"title": k.Title, "source": k.Fact, "When": k.When, "Absence": k.Absence, "Query": k.Query} {
			if text == "" || strings.TrimSpace(text) != text {
				t.Errorf("%s: %s is %q", k.Name, what, text)
			}
		}
	}
	for name, w := range want {
		if k := kind(t, name); k.Method != w[0] || k.Key != w[1] || k.Schema() != "urn:alipay-notify:schema:"+name+":v1" {
			t.Errorf("%s: %s %s %s", name, k.Method, k.Key, k.Schema())
		}
	}
	if all := len(typedKinds) + len(gatewayKinds); all != len(events.Kinds()) {
		t.Errorf("the stand-in for Alipay sends %d of the %d kinds", all, len(events.Kinds()))
	}
	if k, ok := events.KindByName("voucher"); ok {
		t.Errorf("found %+v by half a name", k)
	}
}
