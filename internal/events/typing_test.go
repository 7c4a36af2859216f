package events_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

func method(t testing.TB, name string) string {
	t.Helper()
	return kind(t, name).Method
}

// What Alipay sends becomes an event of its kind: nothing is left over, nothing
// is missing, and the times are times.
func TestGenuineNotificationsAreTyped(t *testing.T) {
	t.Parallel()
	for _, name := range typedKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				n := genuine(t, name, seed, alipaytest.Options{})
				e := event(t, sent(t, n, sentAt))
				k := kind(t, name)
				if e.Kind != name || e.ID != n.ID() || e.Type != k.Method || e.Key != n.Payload(k.Key) || e.DecodeError != "" {
					t.Fatalf("seed %d: %+v", seed, e)
				}
				if err := checkEvent(e); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				if strings.Contains(string(e.Data), "_unparsed") {
					t.Errorf("seed %d: left over: %s", seed, e.Data)
				}
			}
		})
	}
}

// Each case is biz_content as sent and data as stored.
func TestTypedMessages(t *testing.T) {
	t.Parallel()
	const at = `"event_time":"2023-01-03T10:10:05.064Z"`
	tests := map[string]struct{ kind, content, want string }{
		"all fields, order kept": {
			"voucher.created",
			`{"out_biz_no":"abscd123341","id":"ORDERSEND_1","activity_id":"2016","event_time":"1672740605064"}`,
			`{"out_biz_no":"abscd123341","id":"ORDERSEND_1","activity_id":"2016",` + at + `}`,
		},
		"space is dropped": {
			"voucher.created",
			" \r\n\t{ \"activity_id\" : \"1 \" ,\n\"event_time\": 1672740605064 } \n",
			`{"activity_id":"1 ",` + at + `}`,
		},
		"event_time in seconds, text": {"voucher.modified", `{"activity_id":"1","event_time":"1619338271"}`, `{"activity_id":"1","event_time":"2021-04-25T08:11:11Z"}`},
		"event_time in seconds":       {"voucher.appended", `{"activity_id":"1","event_time":1619338271}`, `{"activity_id":"1","event_time":"2021-04-25T08:11:11Z"}`},
		"the documents' nonsense":     {"voucher.stopped", `{"event_time":"12342425435232423","activity_id":"1"}`, `{"activity_id":"1","_unparsed":{"event_time":"12342425435232423"}}`},
		"the same as a number":        {"voucher.stopped", `{"activity_id":"1","event_time":12342425435232423}`, `{"activity_id":"1","_unparsed":{"event_time":12342425435232423}}`},
		"event_time out of range":     {"voucher.stopped", `{"activity_id":"1","event_time":"1262303999"}`, `{"activity_id":"1","_unparsed":{"event_time":"1262303999"}}`},
		"first second of 2010":        {"voucher.stopped", `{"activity_id":"1","event_time":"1262304000"}`, `{"activity_id":"1","event_time":"2010-01-01T00:00:00Z"}`},
		"last moment of 2100":         {"voucher.stopped", `{"activity_id":"1","event_time":"4133980799999"}`, `{"activity_id":"1","event_time":"2100-12-31T23:59:59.999Z"}`},
		"first second of 2101":        {"voucher.stopped", `{"activity_id":"1","event_time":"4133980800000"}`, `{"activity_id":"1","_unparsed":{"event_time":"4133980800000"}}`},
		"event_time as a float":       {"voucher.stopped", `{"activity_id":"1","event_time":1.672740605064e12}`, `{"activity_id":"1","_unparsed":{"event_time":1.672740605064e12}}`},
		"event_time with a sign":      {"voucher.stopped", `{"activity_id":"1","event_time":"-1672740605"}`, `{"activity_id":"1","_unparsed":{"event_time":"-1672740605"}}`},
		"event_time as a date":        {"voucher.stopped", `{"activity_id":"1","event_time":"2023-01-03 18:10:05"}`, `{"activity_id":"1","_unparsed":{"event_time":"2023-01-03 18:10:05"}}`},
		"an empty event_time":         {"voucher.stopped", `{"activity_id":"1","event_time":""}`, `{"activity_id":"1","_unparsed":{"event_time":""}}`},

		"ids as numbers": {
			"voucher.received",
			`{"id":7,"activity_id":20160427008260045084011111,"voucher_id":0,"voucher_code":-1,"receive_user_id":2088102165945162}`,
			`{"id":"7","activity_id":"20160427008260045084011111","voucher_id":"0","voucher_code":"-1","receive_user_id":"2088102165945162"}`,
		},
		"number literals": {
			"voucher.used",
			`{"activity_id":1.10,"voucher_id":1e400,"x":1.10,"y":1e400,"z":-0,"n":20160427008260045084011111}`,
			`{"activity_id":"1.10","voucher_id":"1e400","x":1.10,"y":1e400,"z":-0,"n":20160427008260045084011111}`,
		},
		"unknown fields": {
			"voucher.used",
			`{"activity_id":"1","trade_no":"T","list":[1, 2.50 ,{"a" : null}],"o":{ "b":"\u4e2d<&>" },"t":true,"n":null,"":"x"}`,
			`{"activity_id":"1","trade_no":"T","list":[1,2.50,{"a":null}],"o":{"b":"\u4e2d<&>"},"t":true,"n":null,"":"x"}`,
		},
		"names and texts as written": {
			"voucher.used",
			`{"activit\u0079_id":"\u4e2d\/\"","\u0078":"\/","user_id":"券<b>&"}`,
			`{"activit\u0079_id":"\u4e2d\/\"","\u0078":"\/","user_id":"券<b>&"}`,
		},
		"null values": {"voucher.expired", `{"activity_id":"1","id":null,"event_time":null,"x":null}`, `{"activity_id":"1","x":null,"_unparsed":{"id":null,"event_time":null}}`},
		"wrong types": {
			"voucher.expired",
			`{"activity_id":"1","id":true,"voucher_id":["v"],"user_id":{"a":[1.10, 1e400]}}`,
			`{"activity_id":"1","_unparsed":{"id":true,"voucher_id":["v"],"user_id":{"a":[1.10,1e400]}}}`,
		},
		"user_id":       {"voucher.expired", `{"activity_id":"1","user_id":"2088102165945162"}`, `{"activity_id":"1","user_id":"2088102165945162"}`},
		"open_id":       {"voucher.expired", `{"activity_id":"1","open_id":"074a1Cc-_"}`, `{"activity_id":"1","open_id":"074a1Cc-_"}`},
		"empty strings": {"voucher.created", `{"activity_id":"1","id":"","out_biz_no":""}`, `{"activity_id":"1","id":"","out_biz_no":""}`},

		"their own _unparsed":   {"voucher.created", `{"activity_id":"1","_unparsed":{"id": 1}}`, `{"activity_id":"1","_unparsed":{"_unparsed":{"id":1}}}`},
		"both _unparsed":        {"voucher.created", `{"_unparsed":"x","activity_id":"1","id":[]}`, `{"activity_id":"1","_unparsed":{"_unparsed":"x","id":[]}}`},
		"_unparsed in disguise": {"voucher.created", `{"activity_id":"1","\u005funparsed":1}`, `{"activity_id":"1","_unparsed":{"\u005funparsed":1}}`},

		// A repeated name once made the whole payload untyped, which the contract
		// has for payloads without their key alone.
		"a repeated name":          {"voucher.created", `{"id":"1","activity_id":"1","id": "2","event_time":7}`, `{"activity_id":"1","_unparsed":{"id":["1","2"],"event_time":7}}`},
		"a repeated time":          {"voucher.created", `{"event_time":"1672740605064","event_time":"1672740605065","activity_id":"1"}`, `{"activity_id":"1","_unparsed":{"event_time":["1672740605064","1672740605065"]}}`},
		"an unknown one, repeated": {"voucher.created", `{"x": 1,"activity_id":"1","\u0078":[ 2 ],"y":3,"x":null}`, `{"activity_id":"1","y":3,"_unparsed":{"x":[1,[2],null]}}`},
		"_unparsed, repeated":      {"voucher.created", `{"_unparsed":1,"activity_id":"1","_unparsed":{}}`, `{"activity_id":"1","_unparsed":{"_unparsed":[1,{}]}}`},

		"order received": {
			"order.received",
			`{"id":"ORDERSEND_1","order_no":"2014081801502300000000140007771420","out_order_no":"20123214235435","event_time":"1672740605064","send_status":"SUCCESS"}`,
			`{"id":"ORDERSEND_1","order_no":"2014081801502300000000140007771420","out_order_no":"20123214235435",` + at + `,"send_status":"SUCCESS"}`,
		},
		"order refunded, a real body": {
			"order.refunded",
			`{"order_no":"2023010301502300000009120012095700","refund_status":"SUCCESS","refund_type":"SEND_ERROR_REFUND","out_order_no":"472224544699228160","id":"ORDERREFUND_2023010301502300000009120012095700","event_time":"1672740605064"}`,
			`{"order_no":"2023010301502300000009120012095700","refund_status":"SUCCESS","refund_type":"SEND_ERROR_REFUND","out_order_no":"472224544699228160","id":"ORDERREFUND_2023010301502300000009120012095700",` + at + `}`,
		},
		"order refunded, the sample": {
			"order.refunded",
			`{"id":"1","order_no":"2","refund_type":"USER_REFUND","send_status":"SUCCESS","out_biz_no":"12342sdfsdf"}`,
			`{"id":"1","order_no":"2","refund_type":"USER_REFUND","send_status":"SUCCESS","out_biz_no":"12342sdfsdf"}`,
		},
		"success as text":       {"card.open_result", `{"biz_card_no":"000001","success":"true","template_id":20200312000000000414103000300846}`, `{"biz_card_no":"000001","success":true,"template_id":"20200312000000000414103000300846"}`},
		"success in capitals":   {"card.open_result", `{"biz_card_no":"1","success":"TRUE"}`, `{"biz_card_no":"1","success":true}`},
		"success as a boolean":  {"card.open_result", `{"biz_card_no":"1","success":true}`, `{"biz_card_no":"1","success":true}`},
		"no success":            {"card.open_result", `{"biz_card_no":"1","success":"False"}`, `{"biz_card_no":"1","success":false}`},
		"no success, a boolean": {"card.open_result", `{"biz_card_no":"1","success":false}`, `{"biz_card_no":"1","success":false}`},
		"success as a number":   {"card.open_result", `{"biz_card_no":"1","success":1}`, `{"biz_card_no":"1","_unparsed":{"success":1}}`},
		"success with a space":  {"card.open_result", `{"biz_card_no":"1","success":"true "}`, `{"biz_card_no":"1","_unparsed":{"success":"true "}}`},
		"success as a word":     {"card.open_result", `{"biz_card_no":"1","success":"T"}`, `{"biz_card_no":"1","_unparsed":{"success":"T"}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, message(method(t, tt.kind), tt.content))
			if e.Kind != tt.kind || e.DecodeError != "" {
				t.Fatalf("kind %s, %s", e.Kind, e.DecodeError)
			}
			if diff := cmp.Diff(tt.want, string(e.Data)); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			if err := checkEvent(e); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTypedKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ value, key, token string }{
		"text":                {`"2016"`, "2016", "2016"},
		"escaped":             {`"\u4e2d\n\"%"`, "中\n\"%", "______"},
		"with dots":           {`"a.*.>"`, "a.*.>", "a____"},
		"a number":            {`20160427008260045084011111`, "20160427008260045084011111", "20160427008260045084011111"},
		"a null byte":         {`"a\u0000b"`, "a\x00b", "a_b"},
		"half a pair":         {`"\ud800"`, "�", "___"},
		"longer than a token": {`"` + strings.Repeat("k", 200) + `"`, strings.Repeat("k", 200), strings.Repeat("k", 128)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, k := range []string{"voucher.created", "order.received", "card.open_result"} {
				e := event(t, message(method(t, k), `{"`+kind(t, k).Key+`":`+tt.value+`}`))
				if e.Key != tt.key || e.Subject != "alipay.events."+appID+"."+k+"."+tt.token {
					t.Errorf("%s: key %q, subject %q", k, e.Key, e.Subject)
				}
			}
		})
	}
}

// A payload that cannot be typed is carried as it came, under other.*, and says why.
func TestUntypablePayloads(t *testing.T) {
	t.Parallel()
	for _, name := range messageKinds {
		key := kind(t, name).Key
		tests := map[string]struct{ content, why string }{
			"no key":              {`{"id":"1", "event_time":"1672740605064"}`, key},
			"an empty key":        {`{"` + key + `":""}`, key},
			"a null key":          {`{"` + key + `":null}`, key},
			"a boolean key":       {`{"` + key + `":true}`, key},
			"a list for a key":    {`{"` + key + `":["1"]}`, key},
			"an object for a key": {` {"` + key + `": {"a":1.10}} `, key},
			"the key of case":     {`{"` + strings.ToUpper(key) + `":"1"}`, key},
			"no member":           {`{}`, key},
			"the key twice":       {`{"` + key + `":"1","` + key + `":"2"}`, "twice"},
			"the key in disguise": {`{"` + key + `":"1","\u00` + hexOf(key[0]) + key[1:] + `":"2"}`, "twice"},
		}
		for what, tt := range tests {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				e := event(t, message(method(t, name), tt.content))
				want := "other." + strings.ReplaceAll(method(t, name), ".", "_")
				if e.Kind != want || e.Type != method(t, name) || !strings.Contains(e.DecodeError, tt.why) {
					t.Errorf("kind %s, type %s, decode error %q", e.Kind, e.Type, e.DecodeError)
				}
				if string(e.Data) != tt.content {
					t.Errorf("data %s, want %s", e.Data, tt.content)
				}
				if err := checkEvent(e); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func hexOf(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// Content that is not one complete JSON object may be half of another form.
func TestIncompleteContentIsMalformed(t *testing.T) {
	t.Parallel()
	contents := []string{
		`{`, `}`, `{"activity_id":"1"`, `{"activity_id":"1}`, `{"activity_id":"1"}}`, `{"activity_id":"1"}{}`,
		`{"activity_id":"1"}&charset=GBK`, `{"activity_id":"1"} x`, `["activity_id"]`, `"activity_id"`, `1`, `null`,
		`true`, ` `, `x`, `{'activity_id':'1'}`, `{"activity_id":1,}`, `{"activity_id":01}`, `{"activity_id":"` + "\n" + `"}`,
		"\ufeff" + `{"activity_id":"1"}`, `<a`, `<a></b>`, `eyJhIjoxfQ==`,
	}
	for _, content := range contents {
		for _, m := range []string{created, "alipay.user.opencard.result.notify", "alipay.nobody.knows"} {
			_, err := tryEvent(t, message(m, content))
			if fault.KindOf(err) != fault.Malformed || fault.ReasonOf(err) != "bad_biz_content" {
				t.Errorf("%s %q: got %v", m, content, err)
			}
		}
	}
}

// The fields of the Go types are read back from real data, not only the names.
func TestDataReadsBack(t *testing.T) {
	t.Parallel()
	e := event(t, message(created, `{"id":"I","activity_id":"A","event_time":"1672740605064","out_biz_no":"O"}`))
	var change events.VoucherChange
	if err := json.Unmarshal(e.Data, &change); err != nil {
		t.Fatal(err)
	}
	want := events.VoucherChange{ID: "I", ActivityID: "A", EventTime: time.UnixMilli(1672740605064).UTC(), OutBizNo: "O"}
	if diff := cmp.Diff(want, change); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := kind(t, "voucher.created").GoType(); got != reflect.TypeFor[events.VoucherChange]() {
		t.Errorf("type %v", got)
	}
}
