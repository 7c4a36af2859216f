package events_test

import (
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

func BenchmarkNewEvent(b *testing.B) {
	for _, typ := range []string{"voucher.created", trade, "other.alipay_fund_trans_order_changed"} {
		for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK} {
			b.Run(typ+"/"+string(charset), func(b *testing.B) {
				f := sent(b, genuine(b, typ, 1, alipaytest.Options{Charset: charset}), sentAt)
				n := parse(b, f)
				facts := events.Facts{Content: n.Content, Raw: string(f.Encode()), ReceivedAt: receivedAt}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := events.NewEvent(n, facts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkParseNotification(b *testing.B) {
	fields := form(b, sent(b, genuine(b, "voucher.created", 1, alipaytest.Options{}), sentAt))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.ParseNotification(fields, events.Arrival{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	large := make([]byte, 256<<10)
	for i := range large {
		large[i] = 'a' + byte(i%26)
	}
	e := event(b, sent(b, genuine(b, "voucher.created", 1, alipaytest.Options{}), sentAt))
	for name, raw := range map[string]string{"verbatim": e.Raw, "base64": " " + e.Raw, "gzip": string(large)} {
		b.Run(name, func(b *testing.B) {
			e.Raw = raw
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Header(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
