package events_test

import (
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

func FuzzNewEvent(f *testing.F) {
	for i, name := range typedKinds {
		content, _ := sent(f, genuine(f, name, 1, alipaytest.Options{}), sentAt).Get("biz_content")
		f.Add(uint8(i), "UTF-8", content, "T1")
	}
	f.Add(uint8(0), "GBK", "{\"activity_id\":\"\xd5\\\",\"x\":\"\xff\"}", "\xd5\\")
	f.Add(uint8(9), "GB18030", `{"biz_card_no":1e400,"success":"TRUE","_unparsed":{"a":[null]}}`, "")
	f.Add(uint8(0), "", `<a>x</a>`, "&subject=x")
	f.Fuzz(func(t *testing.T, which uint8, charset, content, text string) {
		name := typedKinds[int(which)%len(typedKinds)]
		form := message(method(t, name), content)
		if name == trade {
			form = flat(field("out_trade_no", text), field("gmt_refund", content), field("fund_bill_list", content), field("total_amount", content))
		}
		fields, err := parseForm(form.With("charset", charset))
		if err != nil {
			t.Skip()
		}
		n, err := events.ParseNotification(fields, events.Arrival{})
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Fatal(err)
			}
			return
		}
		n.Ambiguous()
		if n.CheckFlat() != nil {
			return
		}
		e, err := events.NewEvent(n, events.Facts{Content: n.Content, Raw: content, ReceivedAt: receivedAt})
		if err != nil {
			if fault.KindOf(err) != fault.Malformed || name == trade || charset == "UTF-8" && isObject(content) {
				t.Fatalf("%v: %q", err, content)
			}
			return
		}
		if err := checkEvent(e); err != nil {
			t.Fatal(err)
		}
		if e.CheckSize() == nil {
			checkReadsBack(t, e)
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "a.b", "*", ">", "券", "\xff", strings.Repeat("x", 129)} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, app, kind, key string) {
		checkSubject(t, app, kind, key)
		if token := events.Token(key); events.Token(token) != token {
			t.Errorf("Token(%q) is not a token's", key)
		}
	})
}

func FuzzHeaderRoundTrip(f *testing.F) {
	f.Add("2016", "", "", []byte("a=b"), true)
	f.Add("券 \"1%\"\r\n", "why: \x00", "N1", []byte("a=b c"), false)
	f.Fuzz(func(t *testing.T, key, decodeError, conflict string, raw []byte, unasked bool) {
		if len(conflict) > 128 { // it is a notify_id
			t.Skip()
		}
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.Key, e.DecodeError, e.Conflict, e.Raw, e.Unasked = key, decodeError, conflict, string(raw), unasked
		_, err := e.Header()
		if (err == nil) != (e.CheckSize() == nil) {
			t.Fatalf("Header says %v, CheckSize %v", err, e.CheckSize())
		}
		if err == nil {
			checkReadsBack(t, e)
		}
	})
}
