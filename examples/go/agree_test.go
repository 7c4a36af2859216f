package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"alipay-notify-consumer/event"
	"alipay-notify-consumer/proof"
)

// TestAgree: a genuine request proves only an event that says the same. Whoever
// may publish could put any data beside it.
func TestAgree(t *testing.T) {
	t.Parallel()
	at, sent := time.UnixMilli(1767323045006), time.UnixMilli(1767323050000)
	conflict := nats.Header{"ce-conflict": {"n-1"}, "Alipay-Fingerprint": {"01234567890abcdef"}}
	good := event.Event{AppID: "1", ID: "n-1", Type: "m", Time: at}
	with := func(change func(*event.Event)) event.Event { e := good; change(&e); return e }
	const content = `{"id":12,"activity_id":"a","event_time":"1767323045006","success":"True","x":[]}`
	const data = `{"id":"12","activity_id":"a","event_time":"2026-01-02T03:04:05.006Z","success":true,"x":[]}`
	for name, tt := range map[string]struct {
		event   event.Event
		header  nats.Header
		data    string
		content string
		want    bool
	}{
		"the same":             {good, nil, data, content, true},
		"content not readable": {good, nil, `{"activity_id":"any"}`, "", true},
		"a conflict":           {with(func(e *event.Event) { e.ID = "n-1~01234567" }), conflict, data, content, true},
		"time of sending":      {with(func(e *event.Event) { e.Time = sent }), nil, data, content, true},
		"time in seconds":      {with(func(e *event.Event) { e.Time = time.Unix(1767323045, 0) }), nil, `{"activity_id":"a"}`, `{"activity_id":"a","event_time":1767323045}`, true},
		"did not convert":      {good, nil, `{"activity_id":"a","_unparsed":{"success":"maybe","id":{"x": 1}}}`, `{"activity_id":"a","success":"maybe","id":{"x": 1},"event_time":"1767323045006"}`, true},
		"a number as it came":  {good, nil, `{"activity_id":"2016042700826004508401111111"}`, `{"activity_id":2016042700826004508401111111,"event_time":"1767323045006"}`, true},

		"another app":           {with(func(e *event.Event) { e.AppID = "2" }), nil, data, content, false},
		"another type":          {with(func(e *event.Event) { e.Type = "x" }), nil, data, content, false},
		"another id":            {with(func(e *event.Event) { e.ID = "n-2" }), nil, data, content, false},
		"a conflict unsaid":     {with(func(e *event.Event) { e.ID = "n-1~01234567" }), nil, data, content, false},
		"a conflict of another": {with(func(e *event.Event) { e.ID = "n-1~76543210" }), conflict, data, content, false},
		"another time":          {with(func(e *event.Event) { e.Time = at.Add(time.Second) }), nil, data, content, false},
		"no time at all":        {with(func(e *event.Event) { e.Time = time.Time{}.Add(1) }), nil, `{"activity_id":"a"}`, `{"activity_id":"a"}`, false},
		"another activity":      {good, nil, `{"id":"12","activity_id":"A","success":true}`, content, false},
		"another business id":   {good, nil, `{"id":"13","activity_id":"a","success":true}`, content, false},
		"no business id":        {good, nil, `{"activity_id":"a","success":true}`, content, false},
		"another result":        {good, nil, `{"id":"12","activity_id":"a","success":false}`, content, false},
	} {
		n := proof.Notification{AppID: "1", ID: "n-1", Method: "m", SentAt: sent}
		if tt.content != "" {
			n.Content = json.RawMessage(tt.content)
		}
		if err := agree(tt.event, tt.header, []byte(tt.data), n); (err == nil) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
