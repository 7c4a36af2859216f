package events_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

const created = "alipay.marketing.activity.message.created"

// printableID is every byte that a notify_id may have, 92 of them.
var printableID = func() string {
	var b []byte
	for c := byte('!'); c <= '~'; c++ {
		if c != '&' && c != '=' {
			b = append(b, c)
		}
	}
	return string(b)
}()

// grammars are the envelope's fields with a value that passes, the longest that
// does, and bytes beside '&' and '=' that do not (DESIGN.md section 2).
var grammars = []struct {
	name, good string
	max        int
	bad        []string
}{
	{"app_id", "20", 32, []string{"a", ".", "-", "_", "+"}},
	{"auth_app_id", "20", 32, []string{"a", ".", "-"}},
	{"charset", "GBK-2._a", 64, []string{";", "/"}},
	{"encrypt_type", "AES", 64, []string{"/", ";"}},
	{"merchant_app_id", "20", 32, []string{"x"}},
	{"msg_app_id", "20", 32, []string{"x"}},
	{"msg_method", "alipay.Open_2", 128, []string{"-", "/", "*", ">"}},
	{"msg_mshop_id", "20", 64, []string{"/"}},
	{"msg_type", "sys", 64, []string{"/"}},
	{"msg_uid", "2088", 32, []string{"x"}},
	{"notify_id", printableID, 128, nil},
	{"notify_type", "trade_status_sync", 64, []string{"*", ">", "/"}},
	{"service", "alipay.mobile_x", 128, []string{"-", "*"}},
	{"sign_type", "RSA2", 64, []string{"/", ","}},
	{"version", "1.1", 64, []string{"/"}},
}

func TestParseNotificationGrammar(t *testing.T) {
	t.Parallel()
	everywhere := []string{"&", "=", " ", "\n", "\r", "\x00", "\x7f", "\x80", "\xff", "２", "\t"}
	for _, g := range grammars {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			try := func(value string) error {
				f := message(created, `{"activity_id":"1"}`).With(g.name, value)
				_, err := events.ParseNotification(form(t, f), events.Arrival{})
				return err
			}
			longest := strings.Repeat(g.good, g.max)[:g.max]
			for _, value := range []string{g.good, longest} {
				if err := try(value); err != nil {
					t.Errorf("%q: %v", value, err)
				}
			}
			wantFault(t, try(strings.Repeat(g.good, g.max)[:g.max+1]), fault.Malformed, "bad_"+g.name)
			for _, bad := range append(slices.Clone(g.bad), everywhere...) {
				for _, value := range []string{bad, g.good + bad, bad + g.good, g.good[:1] + bad + g.good[1:]} {
					if err := try(value); fault.ReasonOf(err) != "bad_"+g.name || fault.KindOf(err) != fault.Malformed {
						t.Errorf("%q: got %v, want bad_%s", value, err, g.name)
					}
				}
			}
		})
	}
}

func TestParseNotificationTimestamps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form   alipaytest.Form
		sentAt time.Time
		reason string
	}{
		"milliseconds":           {form: message(created, "{}"), sentAt: sentAt},
		"an absurd year":         {form: message(created, "{}").With("utc_timestamp", "0000000000001"), sentAt: time.UnixMilli(1)},
		"seconds":                {form: message(created, "{}").With("utc_timestamp", "1767337445"), reason: "bad_utc_timestamp"},
		"14 digits":              {form: message(created, "{}").With("utc_timestamp", "17673374456780"), reason: "bad_utc_timestamp"},
		"a sign":                 {form: message(created, "{}").With("utc_timestamp", "+767337445678"), reason: "bad_utc_timestamp"},
		"two fields":             {form: message(created, "{}").With("utc_timestamp", "1767337445678&version=1.1"), reason: "bad_utc_timestamp"},
		"a message without":      {form: message(created, "{}").Without("utc_timestamp"), reason: "missing_utc_timestamp"},
		"a message with nothing": {form: message(created, "{}").With("utc_timestamp", ""), reason: "missing_utc_timestamp"},
		"flat":                   {form: flat(), sentAt: time.Date(2026, 1, 2, 7, 4, 5, 0, time.UTC)},
		"flat with both":         {form: flat().With("utc_timestamp", "1767337445678"), sentAt: sentAt},
		"flat without":           {form: flat().Without("notify_time")},
		"flat, another order":    {form: flat().With("notify_time", "02/01/2026 15:04:05"), reason: "bad_notify_time"},
		"flat, RFC 3339":         {form: flat().With("notify_time", "2026-01-02T15:04:05Z"), reason: "bad_notify_time"},
		"flat, 30 February":      {form: flat().With("notify_time", "2026-02-30 15:04:05"), reason: "bad_notify_time"},
		"flat, two fields":       {form: flat().With("notify_time", "2026-01-02 15:04:05&x=y"), reason: "bad_notify_time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := events.ParseNotification(form(t, tt.form), events.Arrival{})
			if tt.reason != "" {
				wantFault(t, err, fault.Malformed, tt.reason)
				return
			}
			if err != nil || !n.SentAt.Equal(tt.sentAt) {
				t.Errorf("sent at %v (%v), want %v", n.SentAt, err, tt.sentAt)
			}
		})
	}
}

// The fields that a notification cannot be without; an empty one is as good as
// none, because anybody may add or remove empty fields.
func TestParseNotificationMissing(t *testing.T) {
	t.Parallel()
	msg := message(created, "{}")
	tests := map[string]struct {
		form   alipaytest.Form
		reason string
	}{
		"no sign":               {msg.Without("sign"), "missing_sign"},
		"empty sign":            {msg.With("sign", ""), "missing_sign"},
		"no notify_id":          {msg.Without("notify_id"), "missing_notify_id"},
		"empty notify_id":       {msg.With("notify_id", ""), "missing_notify_id"},
		"flat, no notify_id":    {flat().Without("notify_id"), "missing_notify_id"},
		"no biz_content":        {msg.Without("biz_content"), "missing_biz_content"},
		"empty biz_content":     {msg.With("biz_content", ""), "missing_biz_content"},
		"no app_id":             {msg.Without("app_id"), "missing_app_id"},
		"empty app_id":          {msg.With("app_id", ""), "missing_app_id"},
		"flat, no app_id":       {flat().Without("app_id"), "missing_app_id"},
		"no msg_method":         {msg.Without("msg_method"), "not_a_notification"},
		"empty msg_method":      {msg.With("msg_method", ""), "not_a_notification"},
		"nothing":               {nil, "missing_sign"},
		"return URL parameters": {returnURL(), "not_a_notification"},
		"return URL, an id":     {returnURL().With("notify_id", "1"), "not_a_notification"},
		"return URL, a type":    {returnURL().With("notify_type", "trade_status_sync"), "missing_notify_id"},
		"return URL, a method":  {returnURL().With("msg_method", created), "missing_notify_id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := events.ParseNotification(form(t, tt.form), events.Arrival{})
			wantFault(t, err, fault.Malformed, tt.reason)
		})
	}
}

// returnURL is what the buyer's browser carries to the return_url: signed with
// the same key, and visible to the buyer.
func returnURL() alipaytest.Form {
	return alipaytest.Form{
		field("app_id", appID), field("auth_app_id", appID), field("charset", "UTF-8"),
		field("method", "alipay.trade.page.pay.return"), field("out_trade_no", "T1"),
		field("seller_id", "2088101122136241"), field("sign", "c2ln"), field("sign_type", "RSA2"),
		field("timestamp", "2026-01-02 15:04:05"), field("total_amount", "0.01"),
		field("trade_no", "2026010222001406811000812345"), field("version", "1.0"),
	}
}

func TestParseNotificationApp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body, path, want string
		kind             fault.Kind
		reason           string
	}{
		"body alone":    {body: appID, want: appID},
		"URL alone":     {path: appID, want: appID},
		"both agree":    {body: appID, path: appID, want: appID},
		"they disagree": {body: appID, path: "2021000000000002", kind: fault.Refused, reason: "app_mismatch"},
		"a prefix":      {body: appID, path: appID[:15], kind: fault.Refused, reason: "app_mismatch"},
		"neither":       {kind: fault.Malformed, reason: "missing_app_id"},
	}
	for name, tt := range tests {
		for shape, f := range map[string]alipaytest.Form{"message": message(created, "{}"), "flat": flat()} {
			t.Run(name+", "+shape, func(t *testing.T) {
				t.Parallel()
				n, err := events.ParseNotification(form(t, f.With("app_id", tt.body)), events.Arrival{PathApp: tt.path})
				if tt.reason != "" {
					wantFault(t, err, tt.kind, tt.reason)
				} else if err != nil || n.AppID != tt.want {
					t.Errorf("app %q (%v), want %q", n.AppID, err, tt.want)
				}
			})
		}
	}
}

func TestParseNotificationCharset(t *testing.T) {
	t.Parallel()
	const formType = "application/x-www-form-urlencoded"
	tests := map[string]struct{ field, contentType, want string }{
		"field":                {"GBK", "", "GBK"},
		"field before header":  {"GBK", formType + "; charset=UTF-8", "GBK"},
		"header":               {"", formType + "; charset=gb18030", "gb18030"},
		"header, quoted":       {"", formType + `; Charset="GBK"`, "GBK"},
		"header without":       {"", formType, ""},
		"broken header":        {"", "; charset=GBK", ""},
		"broken parameter":     {"", formType + "; charset=G BK", ""},
		"nothing":              {"", "", ""},
		"another content type": {"", "text/plain; charset=GBK", "GBK"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := message(created, "{}").With("charset", tt.field)
			n, err := events.ParseNotification(form(t, f), events.Arrival{ContentType: tt.contentType})
			if err != nil || n.Charset != tt.want {
				t.Errorf("charset %q (%v), want %q", n.Charset, err, tt.want)
			}
		})
	}
}

func TestParseNotificationFields(t *testing.T) {
	t.Parallel()
	f := message(created, "{}").With("auth_app_id", "2021000000000009").With("msg_uid", "2088102165945162").
		With("encrypt_type", "AES").With("notify_type", "trade_status").With("unknown", "a&b=c")
	n := parse(t, f)
	if n.Shape != events.Message || n.Type != created || n.AppID != appID || !n.Encrypted || n.Content != "{}" ||
		n.NotifyID != "2026010200222150405000812345678901" || n.AuthAppID != "2021000000000009" || n.MsgUID != "2088102165945162" {
		t.Errorf("%+v", n)
	}
	if n := parse(t, f.With("encrypt_type", "")); n.Encrypted {
		t.Error("an empty encrypt_type says that it is encrypted")
	}
	if n := parse(t, flat(field("service", "alipay.x"))); n.Shape != events.Flat || n.Type != "trade_status_sync" {
		t.Errorf("%+v", n)
	}
}

// refused tells whether any of the checks that a verified form passes stops it.
func refused(t *testing.T, f alipaytest.Form) bool {
	t.Helper()
	n, err := events.ParseNotification(form(t, f), events.Arrival{})
	if err == nil {
		err = n.CheckFlat()
	}
	if err == nil {
		if _, ambiguous := n.Ambiguous(); ambiguous {
			return true
		}
		_, err = events.NewEvent(n, events.Facts{Content: n.Content, ReceivedAt: receivedAt})
	}
	if err != nil && fault.KindOf(err) != fault.Malformed {
		t.Errorf("refused, but as %v", err)
	}
	return err != nil
}

func signingString(t *testing.T, f alipaytest.Form) string {
	t.Helper()
	return form(t, f).SigningString(verify.Rule{SignType: verify.KeepSignType})
}

// Signed values are not escaped, so that every run of neighbouring fields can
// be posted as one field under the genuine signature. None may pass.
func TestMergedFormsAreRefused(t *testing.T) {
	t.Parallel()
	for _, typ := range typedKinds {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			f := sent(t, genuine(t, typ, 1, alipaytest.Options{}), sentAt)
			if refused(t, f) {
				t.Fatal("the genuine form is refused")
			}
			text := signingString(t, f)
			signed := f.Without("sign")
			slices.SortFunc(signed, func(a, b alipaytest.Field) int { return strings.Compare(a.Name, b.Name) })
			sign, _ := f.Get("sign")
			for i := range signed {
				for j := i + 1; j < len(signed); j++ {
					value := signed[i].Value
					for _, swallowed := range signed[i+1 : j+1] {
						value += "&" + swallowed.Name + "=" + swallowed.Value
					}
					merged := append(slices.Clone(signed[:i]), field(signed[i].Name, value))
					merged = append(append(merged, signed[j+1:]...), field("sign", sign))
					if signingString(t, merged) != text {
						t.Fatal("the merge changed what is signed: the test is wrong")
					}
					if !refused(t, merged) {
						t.Errorf("%s swallowed everything up to %s and passed", signed[i].Name, signed[j].Name)
					}
				}
			}
		})
	}
}

// The other way round: a genuine value that holds "&name=" can be posted as two fields.
func TestSplitMessagesAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"charset", "c", "encrypt_type", "notify_type", "msg_mshop_id", "nobody_knows"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// biz_content is the only value of a message that may hold '&'.
			head, tail := `{"activity_id":"A","out_biz_no":"x`, `GBK"}`
			whole := message(created, fmt.Sprintf("%s&%s=%s", head, name, tail)).Without("charset", "msg_method", "notify_id", "app_id")
			whole = append(whole, field("app_id", appID), field("notify_id", "N1"), field("zz", "1"))
			split := whole.With("biz_content", head).With(name, tail)
			// Only where the new field sorts right behind are the signed strings
			// the same; with msg_method between, nothing can be split off.
			if got, want := signingString(t, split) == signingString(t, whole), name < "notify_id"; got != want {
				t.Fatalf("same signed string: %v, want %v", got, want)
			}
			split, whole = split.With("msg_method", created), whole.With("msg_method", created)
			if refused(t, whole) {
				t.Error("the genuine form is refused")
			}
			if !refused(t, split) {
				t.Error("the split form passed")
			}
		})
	}
}
