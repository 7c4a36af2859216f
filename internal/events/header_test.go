package events_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// common are the headers that the golden events below share.
func common(more map[string]string) map[string]string {
	h := map[string]string{
		"ce-specversion":     "1.0",
		"ce-source":          "/alipay/2021000000000001",
		"ce-datacontenttype": "application/json",
		"ce-receivedtime":    "2026-01-02T07:04:06.009Z",
		"Alipay-Proof":       "key=k1; rule=keep-sign-type,keep-empty",
	}
	for name, value := range more {
		h[name] = value
	}
	return h
}

// One event per family with every header that it has, written by hand from the
// contract (DESIGN.md section 3). What is not here must not be there.
func TestHeaderGolden(t *testing.T) {
	t.Parallel()
	const plainID = "2026010200222150405000812345678901"
	tests := map[string]struct {
		form   alipaytest.Form
		raw    string
		change func(*events.Event)
		want   map[string]string
	}{
		"voucher": {
			form: message(created, `{"activity_id":"2016042700826004508401111111","event_time":"1672740605064"}`),
			raw:  "a=b&c=%7B%7D",
			want: common(map[string]string{
				"ce-id": plainID, "ce-type": created, "ce-subject": "2016042700826004508401111111",
				"ce-time": "2023-01-03T10:10:05.064Z", "ce-dataschema": "urn:alipay-notify:schema:voucher.created:v1",
				"Nats-Msg-Id":        "2021000000000001:" + plainID,
				"Alipay-Fingerprint": "23e3b7c73b0d6b8a6ab3c90d57105035d122c31a8fbd2cc4019c69b6e744da78",
				"Alipay-Raw":         "a=b&c=%7B%7D",
			}),
		},
		"order, for an ISV, without Redis": {
			form: message("alipay.marketing.activity.ordermessage.refunded", `{"order_no":"券 \"1%\"\n"}`).
				With("auth_app_id", "2021000000000002").With("msg_uid", "2088102165945162"),
			raw:    "a=b c",
			change: func(e *events.Event) { e.Unasked = true },
			want: common(map[string]string{
				"ce-id": plainID, "ce-type": "alipay.marketing.activity.ordermessage.refunded",
				"ce-subject": "%E5%88%B8%20%221%25%22%0A",
				"ce-time":    "2026-01-02T07:04:05.678Z", "ce-timesource": "utc_timestamp", "ce-dataschema": "urn:alipay-notify:schema:order.refunded:v1",
				"ce-authappid": "2021000000000002", "ce-msguid": "2088102165945162", "ce-dedupe": "stream",
				"Nats-Msg-Id":        "2021000000000001:" + plainID,
				"Alipay-Fingerprint": "1f674f3fd3c6146fc7b4f3fd6e4138ad8e1f8b9c16db356c5656e2ed49f35bf9",
				"Alipay-Raw":         "YT1iIGM=", "Alipay-Raw-Encoding": "base64",
			}),
		},
		"card, in conflict": {
			form:   message("alipay.user.opencard.result.notify", `{"biz_card_no":"000001","success":"true"}`),
			raw:    "a=b",
			change: func(e *events.Event) { *e = e.AsConflict() },
			want: common(map[string]string{
				"ce-id": plainID + "~6d889f06", "ce-type": "alipay.user.opencard.result.notify", "ce-subject": "000001",
				"ce-time": "2026-01-02T07:04:05.678Z", "ce-timesource": "utc_timestamp", "ce-dataschema": "urn:alipay-notify:schema:card.open_result:v1",
				"ce-conflict":        plainID,
				"Nats-Msg-Id":        "2021000000000001:" + plainID + "~6d889f06",
				"Alipay-Fingerprint": "6d889f0669ba015369c8d83d806c3cd0814118024e572c23389d527d9b98a498",
				"Alipay-Raw":         "a=b",
			}),
		},
		"trade, with an odd id": {
			form: flat().With("notify_id", `N!~"%1`),
			raw:  "a=b",
			want: common(map[string]string{
				"ce-id": "N!~%22%251", "ce-type": "trade_status_sync", "ce-subject": "T1",
				"ce-time": "2026-01-02T07:04:05Z", "ce-timesource": "notify_time", "ce-dataschema": "urn:alipay-notify:schema:trade.status_changed:v1",
				"Nats-Msg-Id":        `2021000000000001:N!~"%1`,
				"Alipay-Fingerprint": "03c80b49b0550581751fe4f9748660ffe8823c2e487bc31fe4cb9f498e74b4f1",
				"Alipay-Raw":         "a=b",
			}),
		},
		"other, with a schema": {
			form: message("alipay.fund.trans.order.changed", `{"a":1}`),
			raw:  "a=b",
			want: common(map[string]string{
				"ce-id": plainID, "ce-type": "alipay.fund.trans.order.changed",
				"ce-time": "2026-01-02T07:04:05.678Z", "ce-timesource": "utc_timestamp",
				"ce-dataschema":      "urn:alipay-notify:schema:other.alipay_fund_trans_order_changed:v1",
				"Nats-Msg-Id":        "2021000000000001:" + plainID,
				"Alipay-Fingerprint": "4ab6ab96da952745c71af79e6c3dc0e61ac0949273028bb4ce99a2fcfe1b08ec",
				"Alipay-Raw":         "a=b",
			}),
		},
		"other, a known kind without its key": {
			form: message("alipay.user.opencard.result.notify", `{"success":"true"}`),
			raw:  "",
			want: common(map[string]string{
				"ce-id": plainID, "ce-type": "alipay.user.opencard.result.notify",
				"ce-time": "2026-01-02T07:04:05.678Z", "ce-timesource": "utc_timestamp",
				"ce-decodeerror":     "the%20field%20biz_card_no%20is%20missing,%20empty%20or%20no%20text",
				"Nats-Msg-Id":        "2021000000000001:" + plainID,
				"Alipay-Fingerprint": "a794b213f8caf0dde0abb21fcc97f7e5d45e94baf11fa8e3a23cd061fcd6e881",
				"Alipay-Raw":         "",
			}),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, tt.form)
			e.Raw = tt.raw
			if tt.change != nil {
				tt.change(&e)
			}
			got, err := e.Header()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if e.MessageID() != got["Nats-Msg-Id"] {
				t.Errorf("MessageID %q", e.MessageID())
			}
			checkReadsBack(t, e)
		})
	}
}

// checkReadsBack reads the event from its own headers.
func checkReadsBack(t testing.TB, e events.Event) {
	t.Helper()
	h, err := e.Header()
	if err != nil {
		t.Fatal(err)
	}
	checkHeader(t, h)
	got, err := events.ParseHeader(func(name string) string { return h[name] }, e.Subject, e.Data)
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	want := e
	want.ReceivedAt = e.ReceivedAt.UTC().Truncate(time.Millisecond)
	want.Time = e.Time.UTC()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// checkHeader wants headers that cannot break a line, and fit.
func checkHeader(t testing.TB, h map[string]string) {
	t.Helper()
	size := len("NATS/1.0\r\n\r\n")
	for name, value := range h {
		size += len(name) + len(": ") + len(value) + len("\r\n")
		for i := range len(value) {
			if c := value[i]; c < 0x20 || c > 0x7e || c == ' ' && name != events.HeaderProof {
				t.Errorf("%s: byte %#x at %d", name, c, i)
				break
			}
		}
	}
	if size >= 64<<10 {
		t.Errorf("the headers have %d bytes", size)
	}
}

// Escaping as the CloudEvents NATS binding has it: space, double quote, percent
// and all but 0x21-0x7E become %XX of their UTF-8 bytes, in capitals.
func TestHeaderEscape(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"plain":             "plain",
		printableID:         strings.NewReplacer(`"`, "%22", "%", "%25").Replace(printableID),
		" ":                 "%20",
		"&=":                "&=",
		"a b":               "a%20b",
		"%41":               "%2541",
		"\r\n":              "%0D%0A",
		"a\r\nce-id: x":     "a%0D%0Ace-id:%20x",
		"\x00\x1f\x7f\t":    "%00%1F%7F%09",
		"é":                 "%C3%A9",
		"券":                 "%E5%88%B8",
		"😀":                 "%F0%9F%98%80",
		"\u2028":            "%E2%80%A8",
		"\x80\xff":          "%80%FF",
		"Euro € \"zone\" %": "Euro%20%E2%82%AC%20%22zone%22%20%25",
	}
	for in, want := range tests {
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.Key = in
		h, err := e.Header()
		if err != nil || h[events.HeaderSubject] != want {
			t.Errorf("%q: %q (%v), want %q", in, h[events.HeaderSubject], err, want)
		}
		checkReadsBack(t, e)
	}
}

// Somebody else's headers are read as far as they can be.
func TestParseHeaderUnescapes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a%20b": "a b", "%e5%88%b8": "券", "100%": "100%", "%": "%", "%2": "%2", "%zz": "%zz", "%%20": "% ", "%4": "%4", "%2520": "%20", "a%2": "a%2", "%41": "A",
	} {
		e, err := events.ParseHeader(func(name string) string {
			if name == events.HeaderSubject {
				return in
			}
			return ""
		}, "", nil)
		if err != nil || e.Key != want {
			t.Errorf("%q: %q (%v), want %q", in, e.Key, err, want)
		}
	}
}

func TestParseHeaderLenient(t *testing.T) {
	t.Parallel()
	read := func(h map[string]string, subject string) (events.Event, error) {
		return events.ParseHeader(func(name string) string { return h[name] }, subject, []byte("x"))
	}
	e, err := read(nil, "something.else")
	if err != nil || e.Subject != "something.else" || e.Kind != "" || string(e.Data) != "x" {
		t.Errorf("nothing: %+v, %v", e, err)
	}
	// An event that was read back without a fingerprint once made Header panic:
	// what it would be called in a conflict was cut out of the fingerprint.
	if _, err := e.Header(); err != nil {
		t.Errorf("write it again: %v", err)
	}
	if c := e.AsConflict(); c.ID != "~" {
		t.Errorf("as a conflict: %q", c.ID)
	}
	for _, h := range []map[string]string{
		{events.HeaderTime: "yesterday"}, {events.HeaderReceivedTime: "0"}, {events.HeaderRawEncoding: "rot13"},
		{events.HeaderRaw: "!", events.HeaderRawEncoding: "base64"}, {events.HeaderRaw: "!", events.HeaderRawEncoding: "gzip+base64"},
		{events.HeaderRaw: "eA==", events.HeaderRawEncoding: "gzip+base64"},
	} {
		h[events.HeaderID] = "N1"
		if e, err := read(h, "alipay.events.1.voucher.created.2"); err == nil || e.ID != "N1" || e.Kind != "voucher.created" {
			t.Errorf("%v: %+v, %v", h, e, err)
		}
	}
}

// A bad ce-time once ended the reading, so that the request, which is the
// evidence, looked as if it were not there. Everything is read, and everything
// that is wrong is named, on one line.
func TestParseHeaderReadsAllOfIt(t *testing.T) {
	t.Parallel()
	h := map[string]string{
		events.HeaderTime: "noon\n", events.HeaderReceivedTime: "2026-01-02T07:04:06.009Z",
		events.HeaderRaw: "YSBi", events.HeaderRawEncoding: "base64",
	}
	get := func(name string) string { return h[name] }
	e, err := events.ParseHeader(get, "alipay.events.1.voucher.created.2", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "ce-time: ") || e.Raw != "a b" || e.ReceivedAt.IsZero() || !e.Time.IsZero() {
		t.Errorf("%v: %+v", err, e)
	}
	h[events.HeaderReceivedTime], h[events.HeaderRaw] = "0", "%"
	e, err = events.ParseHeader(get, "", nil)
	if err == nil || len(e.Raw) != 0 {
		t.Fatalf("%v: %+v", err, e)
	}
	for _, want := range []string{"ce-time: ", "; ce-receivedtime: ", "; Alipay-Raw: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

// What is sent again to one consumer has a token more in its subject, and what
// reconciliation concludes a longer source: both were read as if they were plain
// events, and gave the consumer for the app and "<app>/inferred" for the app id.
func TestParseHeaderKnowsTheSpaces(t *testing.T) {
	t.Parallel()
	const app = "2021000000000001"
	for subject, want := range map[string]string{
		"alipay.events." + app + ".voucher.created.1":          "voucher.created",
		"alipay.inferred." + app + ".voucher.stopped.1":        "voucher.stopped",
		"alipay.replays.orders." + app + ".order.refunded.1":   "order.refunded",
		"alipay.replays.orders." + app + ".other.a_b._":        "other.a_b",
		"alipay.replays.orders." + app + ".order":              "",
		"alipay.quarantine." + app + ".stale":                  "",
		"alipay.rejects._unknown.bad_signature.x.y":            "",
		"alipay.audit." + app + ".replay.20260102t150405-k5u2": "",
		"alipay.events.stray":                                  "", "something.events.a.b.c.d": "", "alipay": "", "": "",
	} {
		for source, wantApp := range map[string]string{
			"/alipay/" + app: app, "/alipay/" + app + "/inferred": app, "": "", "/other/1": "/other/1", "/alipay/": "",
		} {
			e, err := events.ParseHeader(func(name string) string {
				if name == events.HeaderSource {
					return source
				}
				return ""
			}, subject, nil)
			if err != nil || e.Kind != want || e.AppID != wantApp {
				t.Errorf("%q of %q: kind %q, app %q, %v; want %q and %q", subject, source, e.Kind, e.AppID, err, want, wantApp)
			}
		}
	}
}

// A stranger's words in a key, an id or an error never break a header.
func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	hostile := []string{"\r\n", "\n", "\r\n\r\n", "\x00", ": ", "Nats-Msg-Id: x", "%0A", "\"", " ", "\u2028", "券", "\x7f", "\x85", "ce-id", "~", "\xff"}
	text := func() string {
		var b strings.Builder
		for range r.IntN(8) {
			b.WriteString(hostile[r.IntN(len(hostile))])
		}
		return b.String()
	}
	for range 500 {
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.Key, e.DecodeError, e.Raw = text(), text(), text()
		if r.IntN(2) == 0 {
			e = e.AsConflict()
		}
		checkReadsBack(t, e)
	}
	for _, key := range hostile {
		e := event(t, message(created, fmt.Sprintf(`{"activity_id":%s}`, quoteJSON(t, key))))
		checkReadsBack(t, e)
	}
}

func TestStoredReplay(t *testing.T) {
	t.Parallel()
	if (events.Stored{}).Replayed() {
		t.Error("no headers, and yet a replay")
	}
	s := events.Stored{Header: map[string][]string{events.HeaderReplayJob: {"job%20one", "two"}}}
	if !s.Replayed() || s.ReplayJob() != "job one" {
		t.Errorf("replayed %v by %q", s.Replayed(), s.ReplayJob())
	}
}
