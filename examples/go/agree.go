package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"alipay-notify-consumer/event"
	"alipay-notify-consumer/proof"
)

// agree compares an event with the request that shall prove it. A genuine request
// beside other data would prove nothing: what this consumer acts on has to be in
// the request. Where biz_content cannot be read here (proof.Notification), what is
// in data rests on the receiver's word.
func agree(e event.Event, header nats.Header, data []byte, n proof.Notification) error {
	switch {
	case n.AppID != e.AppID:
		return errors.New("app_id of Alipay-Raw is not the app of ce-source")
	case n.Method != e.Type:
		return errors.New("msg_method of Alipay-Raw is not ce-type")
	case e.ID != n.ID && e.ID != conflictID(header, n.ID):
		return errors.New("notify_id of Alipay-Raw is not ce-id")
	case n.Content == nil:
		return nil
	}
	var said, typed map[string]json.RawMessage
	if err := json.Unmarshal(n.Content, &said); err != nil {
		return errors.New("biz_content of Alipay-Raw is no JSON object")
	}
	if err := json.Unmarshal(data, &typed); err != nil {
		return errors.New("data is no JSON object")
	}
	var unparsed map[string]json.RawMessage // what did not convert, as Alipay sent it
	_ = json.Unmarshal(typed["_unparsed"], &unparsed)
	for _, name := range []string{"id", "activity_id", "biz_card_no", "success"} {
		value := typed[name]
		if value == nil {
			value = unparsed[name]
		}
		same := text(value) == text(said[name])
		if name == "success" { // "True" is true
			same = strings.EqualFold(text(value), text(said[name]))
		}
		if !same {
			return fmt.Errorf("%s is not the same in data and in Alipay-Raw", name)
		}
	}
	if !e.Time.Equal(n.SentAt) && !e.Time.Equal(epoch(text(said["event_time"]))) {
		return errors.New("ce-time is neither event_time nor utc_timestamp of Alipay-Raw")
	}
	return nil
}

// conflictID is the ce-id of a notification whose notify_id came before with other
// content: both are events, and the later one has an id of its own. Its eight digits
// are taken on trust.
func conflictID(header nats.Header, notifyID string) string {
	fingerprint := header.Get("Alipay-Fingerprint")
	if header.Get("ce-conflict") == "" || len(fingerprint) < 8 {
		return ""
	}
	return notifyID + "~" + fingerprint[:8]
}

// text is what a string, a number or a boolean says: Alipay writes ids and
// booleans now as one, now as the other, and data has each as what it is.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// epoch reads event_time: 10 digits are seconds, 13 are milliseconds. Anything else
// is the zero time, which no event has.
func epoch(digits string) time.Time {
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err == nil && len(digits) == 10:
		return time.Unix(n, 0)
	case err == nil && len(digits) == 13:
		return time.UnixMilli(n)
	}
	return time.Time{}
}
