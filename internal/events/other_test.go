package events_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// The data of what the catalogue does not know is biz_content, byte for byte.
func TestOtherMessages(t *testing.T) {
	t.Parallel()
	contents := []string{
		`{}`, `{"a":1.10,"a":2}`, " {\n\"x\" : [1e400, \"\\u4e2d\", null] } ", `{"_unparsed":1,"_base64":"eA=="}`,
		`{"event_time":"1672740605064"}`,
	}
	for _, content := range contents {
		e := event(t, message("alipay.fund.trans.order.changed", content))
		if string(e.Data) != content || e.Kind != "other.alipay_fund_trans_order_changed" || e.DecodeError != "" {
			t.Errorf("%s: %+v", content, e)
		}
		if want := "alipay.events." + appID + ".other.alipay_fund_trans_order_changed._"; e.Subject != want {
			t.Errorf("subject %s, want %s", e.Subject, want)
		}
		if err := checkEvent(e); err != nil {
			t.Error(err)
		}
	}
}

// Everything that alipaytest makes and the catalogue does not know comes out whole.
func TestOtherGenuineNotifications(t *testing.T) {
	t.Parallel()
	for _, info := range alipaytest.Types() {
		if !strings.HasPrefix(info.Type, "other.") {
			continue
		}
		t.Run(info.Type, func(t *testing.T) {
			t.Parallel()
			f := sent(t, genuine(t, info.Type, 1, alipaytest.Options{}), sentAt)
			e := event(t, f)
			if e.Kind != info.Type || e.Type != info.Wire || e.DecodeError != "" {
				t.Fatalf("%+v", e)
			}
			if content, ok := f.Get("biz_content"); ok && info.Protocol == "message 1.1" && string(e.Data) != content {
				t.Errorf("data %s, want %s", e.Data, content)
			}
			if err := checkEvent(e); err != nil {
				t.Error(err)
			}
		})
	}
}

// A flat notification becomes an object of all its fields but two, as texts. One
// without a value counts as absent: where Alipay leaves those out of what it
// signs, a stranger could add any name, and it used to stand in data.
func TestOtherFlat(t *testing.T) {
	t.Parallel()
	f := alipaytest.Form{
		field("notify_type", "servicemarket_order_notify"), field("sign", "c2ln"), field("sign_type", "RSA2"),
		field("notify_id", "N1"), field("app_id", appID), field("isv_ticket", ""), field("price", "1.10"),
		field("title", "麦田 \"<&>\""), field("biz_content", `{"a": 1}`), field("utc_timestamp", "1767337445678"), field("奇", "x"),
	}
	want := `{"app_id":"2021000000000001","biz_content":"{\"a\": 1}","notify_id":"N1",` +
		`"notify_type":"servicemarket_order_notify","price":"1.10","title":"麦田 \"<&>\"","utc_timestamp":"1767337445678","奇":"x"}`
	e := event(t, f)
	if string(e.Data) != want || e.Kind != "other.servicemarket_order_notify" || e.DecodeError != "" {
		t.Errorf("%s %q\ngot  %s\nwant %s", e.Kind, e.DecodeError, e.Data, want)
	}
}

// biz_content of a flat notification need not be JSON, but half an object is
// half of something else.
func TestFlatContent(t *testing.T) {
	t.Parallel()
	for content, ok := range map[string]bool{
		`{"a":1}`: true, `{"a":1`: false, `{"a":1}&b=c`: false, `text`: true, `[1`: true, "": true, " {": false, "<a>": false,
	} {
		_, err := tryEvent(t, flat(field("biz_content", content)).With("notify_type", "open_app_auth_notify"))
		if ok && err != nil || !ok && fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestOtherKindNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a.", 64)
	for m, want := range map[string]string{
		"a.b.c": "other.a_b_c", "A_b": "other.A_b", "...": "other.___", long: "other." + strings.Repeat("a_", 64),
	} {
		if e := event(t, message(m, "{}")); e.Kind != want || e.Subject != "alipay.events."+appID+"."+want+"._" {
			t.Errorf("%s: %s, %s", m, e.Kind, e.Subject)
		}
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	// The second byte of the GBK of 誠 is a backslash, that of 亄 a brace.
	const text = `{"biz_card_no":"誠","template_id":"亄亅誠","external_card_no":"券\"誠\\誠"}`
	for charset, encode := range map[string]func(testing.TB, string) string{
		"GBK": gbk, "gbk": gbk, "GB2312": gbk, "GB18030": gb18030, "gb18030": gb18030,
		"UTF-8": asIs, "utf-8": asIs, "": asIs, "unheard_of": asIs,
	} {
		e := event(t, message("alipay.user.opencard.result.notify", encode(t, text)).With("charset", charset))
		if e.Key != "誠" || string(e.Data) != text || e.DecodeError != "" {
			t.Errorf("%s: key %q, %s, data %s", charset, e.Key, e.DecodeError, e.Data)
		}
		e = event(t, message("alipay.nobody.knows", encode(t, text)).With("charset", charset))
		if string(e.Data) != text || e.DecodeError != "" {
			t.Errorf("%s: %s, data %s", charset, e.DecodeError, e.Data)
		}
	}
}

func asIs(_ testing.TB, s string) string { return s }

// GB18030 has what GBK lacks.
func TestCharsetGB18030Alone(t *testing.T) {
	t.Parallel()
	const text = `{"activity_id":"1","out_biz_no":"😀𠀀ü"}`
	if e := event(t, message(created, gb18030(t, text)).With("charset", "GB18030")); string(e.Data) != text || e.DecodeError != "" {
		t.Errorf("%s, data %s", e.DecodeError, e.Data)
	}
}

func TestCharsetOfGenuineNotifications(t *testing.T) {
	t.Parallel()
	for _, charset := range []alipaytest.Charset{alipaytest.GBK, alipaytest.GB18030} {
		for _, typ := range []string{trade, "card.open_result", "other.alipay_open_app_service_audit_notify", "other.servicemarket_order_notify"} {
			utf := event(t, sent(t, genuine(t, typ, 3, alipaytest.Options{}), sentAt))
			gb := event(t, sent(t, genuine(t, typ, 3, alipaytest.Options{Charset: charset}), sentAt))
			want := strings.Replace(string(utf.Data), `"charset":"UTF-8"`, fmt.Sprintf(`"charset":%q`, charset), 1)
			if string(gb.Data) != want {
				t.Errorf("%s, %s:\ngot  %s\nwant %s", typ, charset, gb.Data, want)
			}
		}
	}
}

// Bytes that are invalid in their charset are kept as they are.
func TestInvalidBytes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ charset, content string }{
		"UTF-8":                  {"UTF-8", "{\"activity_id\":\"1\",\"x\":\"\xff\"}"},
		"no charset":             {"", "{\"activity_id\":\"\xe5\x88\"}"},
		"GBK, a lone lead byte":  {"GBK", "{\"activity_id\":\"1\",\"x\":\"\x81\"}"},
		"GBK, 0xFF":              {"GBK", "{\"activity_id\":\"1\",\"x\":\"\xff\"}"},
		"GB18030, half of four":  {"GB18030", "{\"activity_id\":\"1\",\"x\":\"\x81\x30\"}"},
		"GBK where it says UTF8": {"UTF-8", "{\"activity_id\":\"\xd6\xd0\"}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, m := range []string{created, "alipay.nobody.knows"} {
				checkBase64(t, event(t, message(m, tt.content).With("charset", tt.charset)), tt.content)
			}
		})
	}
}

func checkBase64(t *testing.T, e events.Event, want string) {
	t.Helper()
	if e.DecodeError != "bytes that are invalid in the declared charset" || !strings.HasPrefix(e.Kind, "other.") {
		t.Errorf("kind %s, decode error %q", e.Kind, e.DecodeError)
	}
	if got := `{"_base64":"` + base64.StdEncoding.EncodeToString([]byte(want)) + `"}`; string(e.Data) != got {
		t.Errorf("data %s, want %s", e.Data, got)
	}
	if err := checkEvent(e); err != nil {
		t.Error(err)
	}
}

// One unreadable character once made the whole content be read as bytes, where
// the backslash in the second byte of 誠 ended no text: a genuine message was
// refused as malformed for ever, when it should have been kept in base64.
func TestInvalidBytesBesideBackslashBytes(t *testing.T) {
	t.Parallel()
	for _, charset := range []string{"GBK", "GB18030"} {
		content := `{"activity_id":"1","x":"` + "\xff" + `","y":"` + gbk(t, "誠") + `"}`
		checkBase64(t, event(t, message(created, content).With("charset", charset)), content)
	}
	_, err := tryEvent(t, message(created, `{"activity_id":"1","x":"`+"\xff"+`"`).With("charset", "GBK"))
	wantFault(t, err, fault.Malformed, "bad_biz_content")
}

func TestInvalidBytesFlat(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]alipaytest.Form{
		"value": flat(field("subject", "\xff")), "name": flat(field("\xff", "x")),
		"GBK": flat(field("subject", "a\x81")).With("charset", "GBK"),
	} {
		e := event(t, f)
		var want []string
		for n, v := range form(t, f).All() {
			if n != "sign" && n != "sign_type" {
				want = append(want, n+"="+v)
			}
		}
		t.Log(name)
		checkBase64(t, e, strings.Join(want, "&"))
	}
}

// ce-time prefers when it happened, then when it was sent; then there is only
// when it came. ce-timesource says which of the latter two it is.
func TestEventTime(t *testing.T) {
	t.Parallel()
	const m = `{"activity_id":"1","event_time":`
	card := kind(t, "card.open_result").Method
	tests := map[string]struct {
		form         alipaytest.Form
		want, source string
	}{
		"event_time":            {message(created, m+`"1672740605064"}`), "2023-01-03T10:10:05.064Z", ""},
		"event_time, a number":  {message(created, m+`1672740605064}`), "2023-01-03T10:10:05.064Z", ""},
		"event_time, seconds":   {message(created, m+`"1672740605"}`), "2023-01-03T10:10:05Z", ""},
		"event_time, as sent":   {message(created, m+`"1767337445678"}`), "2026-01-02T07:04:05.678Z", ""},
		"event_time, nonsense":  {message(created, m+`"12342425435232423"}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"event_time, twice":     {message(created, m+`"1672740605","event_time":"1672740606"}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"no event_time":         {message(created, `{"activity_id":"1"}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"no key":                {message(created, `{"event_time":"1672740605"}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"whole seconds":         {message(created, `{"activity_id":"1"}`).With("utc_timestamp", "1767337445000"), "2026-01-02T07:04:05Z", "utc_timestamp"},
		"tenths":                {message(created, `{"activity_id":"1"}`).With("utc_timestamp", "1767337445100"), "2026-01-02T07:04:05.1Z", "utc_timestamp"},
		"a card has none":       {message(card, `{"biz_card_no":"1"}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"a card that has one":   {message(card, `{"biz_card_no":"1","event_time":"1672740605"}`), "2023-01-03T10:10:05Z", ""},
		"an unknown message":    {message("alipay.nobody.knows", `{}`), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"flat":                  {flat(), "2026-01-02T07:04:05Z", "notify_time"},
		"flat with both":        {flat().With("utc_timestamp", "1767337445678"), "2026-01-02T07:04:05.678Z", "utc_timestamp"},
		"flat with neither":     {flat().Without("notify_time"), "2026-01-02T07:04:06.009Z", "received"},
		"the day before":        {flat().With("notify_time", "2026-01-01 07:59:59"), "2025-12-31T23:59:59Z", "notify_time"},
		"生活号":                   {gateway("<CreateTime>1672740605064</CreateTime>"), "2023-01-03T10:10:05.064Z", ""},
		"生活号, CreateTime, none": {gateway(""), "2026-01-02T07:04:06.009Z", "received"},
		"生活号, without its key":  {gateway("<CreateTime>1672740605064</CreateTime>").With("biz_content", "<XML><AppId>"+appID+"</AppId><CreateTime>1672740605064</CreateTime></XML>"), "2023-01-03T10:10:05.064Z", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, tt.form)
			h, err := e.Header()
			if source, ok := h[events.HeaderTimeSource]; err != nil || h[events.HeaderTime] != tt.want || source != tt.source || ok != (source != "") {
				t.Errorf("%s %q by %q (%v), want %q by %q", events.HeaderTime, h[events.HeaderTime], source, err, tt.want, tt.source)
			}
			checkReadsBack(t, e)
		})
	}
}

// gateway is a hand-written 生活号 event with these elements in its XML.
func gateway(elements string) alipaytest.Form {
	return alipaytest.Form{
		field("service", events.ServiceNotify), field("sign", "c2ln"), field("sign_type", "RSA2"), field("charset", "UTF-8"),
		field("biz_content", "<XML><AppId>"+appID+"</AppId><FromAlipayUserId>2088102165945162</FromAlipayUserId>"+elements+"</XML>"),
	}
}

// ce-receivedtime has milliseconds always, and is UTC whatever the clock was.
func TestReceivedTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 8*60*60)
	for want, at := range map[string]time.Time{
		"2026-01-02T07:04:06.009Z": receivedAt,
		"2026-01-02T07:04:06.000Z": time.Date(2026, 1, 2, 15, 4, 6, 0, zone),
		"2025-12-31T23:59:59.999Z": time.Date(2026, 1, 1, 7, 59, 59, 999_999_999, zone),
	} {
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.ReceivedAt = at
		if h, err := e.Header(); err != nil || h[events.HeaderReceivedTime] != want {
			t.Errorf("got %q (%v), want %q", h[events.HeaderReceivedTime], err, want)
		}
	}
}
