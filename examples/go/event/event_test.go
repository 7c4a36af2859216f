package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"alipay-notify-consumer/event"
)

const created = "alipay.marketing.activity.message.created"

// header is that of a good voucher.created, with changes: name, value, and so on.
func header(changes ...string) nats.Header {
	h := nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"n-1"}, "ce-source": {"/alipay/2021"}, "ce-type": {created},
		"ce-time": {"2026-01-02T03:04:05.006Z"},
	}
	for i := 0; i < len(changes); i += 2 {
		h[changes[i]] = []string{changes[i+1]}
	}
	return h
}

func TestParse(t *testing.T) {
	t.Parallel()
	const message = "alipay.marketing.activity.message."
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	base := event.Event{Source: "/alipay/2021", ID: "n-1", Type: created, Time: at, TimeText: "2026-01-02T03:04:05.006Z",
		AppID: "2021", Kind: "voucher.created", Key: "活动 1", Business: "b-1"}
	change := func(f func(*event.Event)) event.Event { e := base; f(&e); return e }
	for name, tt := range map[string]struct {
		subject string
		header  nats.Header
		data    string
		want    event.Event
	}{
		"voucher": {"alipay.events.2021.voucher.created.___1", header(), `{"id":"b-1","activity_id":"活动 1"}`, base},
		"replay for one consumer": {"alipay.replays.a-name.2021.voucher.created.___1", header("ce-replayjob", "job%2D1", "ce-replayof", "7"),
			`{"id":"b-1","activity_id":"活动 1"}`, change(func(e *event.Event) { e.ReplayJob = "job-1" })},
		"escaped id, unknown field, no business id": {"alipay.events.2021.voucher.created._", header("ce-id", "n%25%20%E4%BA%BA+"),
			`{"activity_id":"a","new":{"x":1},"_unparsed":{"id":[1]}}`,
			change(func(e *event.Event) { e.ID, e.Key, e.Business = "n% 人+", "a", "" })},
		"card": {"alipay.events.2021.card.open_result.1", header("ce-type", "alipay.user.opencard.result.notify"), `{"biz_card_no":"1","success":true}`,
			change(func(e *event.Event) {
				e.Type, e.Kind, e.Key, e.Business, e.Opened = "alipay.user.opencard.result.notify", "card.open_result", "1", "", true
			})},
	} {
		got, err := event.Parse(tt.subject, tt.header, []byte(tt.data))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, tt.want)
		}
	}
	for _, action := range []string{"created", "modified", "appended", "stopped", "received", "used", "expired"} {
		got, err := event.Parse("alipay.events.2021.voucher."+action+".a", header("ce-type", message+action), []byte(`{"id":"b","activity_id":"a"}`))
		if err != nil || got.Kind != "voucher."+action || got.Key != "a" || got.Business != "b" {
			t.Errorf("%s: got %+v, %v", action, got, err)
		}
	}
}

// TestParseRefuses: what can never be read is an error, and the error quotes
// nothing of the payload, because it goes to logs and to the server.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"activity_id":"a"}`
	for name, tt := range map[string]struct {
		header nats.Header
		data   string
	}{
		"no headers":               {nil, good},
		"another version":          {header("ce-specversion", "2.0"), good},
		"no id":                    {header("ce-id", ""), good},
		"an endless id":            {header("ce-id", strings.Repeat("x", 2000)), good},
		"a foreign source":         {header("ce-source", "/other/2021"), good},
		"no app":                   {header("ce-source", "/alipay/"), good},
		"inferred, not notified":   {header("ce-source", "/alipay/2021/inferred"), good},
		"no time":                  {header("ce-time", ""), good},
		"no RFC 3339":              {header("ce-time", "2026-01-02 03:04:05"), good},
		"an unknown type":          {header("ce-type", created+".2088123"), good},
		"the type of another kind": {header("ce-type", "alipay.marketing.activity.message.stopped"), good},
		"no JSON":                  {header(), "2088123"[:3] + "{"},
		"null":                     {header(), "null"},
		"an array":                 {header(), `["2088123"]`},
		"no key":                   {header(), `{"user_id":"2088123"}`},
		"an empty key":             {header(), `{"activity_id":""}`},
		"an endless key":           {header(), `{"activity_id":"` + strings.Repeat("2088123", 200) + `"}`},
		"a key that is no string":  {header(), `{"activity_id":2088123}`},
		"a time that is none":      {header(), `{"activity_id":"a","event_time":"2088123"}`},
	} {
		_, err := event.Parse("alipay.events.2021.voucher.created.a", tt.header, []byte(tt.data))
		if err == nil || errors.Is(err, event.ErrOther) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		} else if strings.Contains(err.Error(), "2088123") {
			t.Errorf("%s: the error quotes the message: %v", name, err)
		}
	}
	_, err := event.Parse("alipay.events.2021.card.open_result.1", header("ce-type", "alipay.user.opencard.result.notify"), []byte(`{"biz_card_no":"1","_unparsed":{"success":"?"}}`))
	if err == nil {
		t.Error("a card whose result is not known was taken for one that was not opened")
	}
}

// TestParsePassesOver: an operator may replay anything to a consumer, and a filter
// may be wider than what the consumer reads.
func TestParsePassesOver(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"alipay.events.2021.order.received.1", "alipay.replays.me.2021.other.x._", "alipay.events.2021", "", "voucher.created"} {
		if _, err := event.Parse(subject, header(), nil); !errors.Is(err, event.ErrOther) {
			t.Errorf("%q: got %v, want ErrOther", subject, err)
		}
	}
}
