package event

import (
	"encoding/json"
	"errors"
	"fmt"

	"alipay-notify-consumer/contract"
)

// ours are the entities that the subjects of this consumer's filters name.
var ours = map[string]bool{"voucher": true, "card": true}

// kind is one kind of event: its name, and how its data is read.
type kind struct {
	name string
	read func(data []byte, e *Event) error
}

// kinds are what this consumer reads, by ce-type, which is Alipay's own name. The
// types are generated from the schemas. Reading is lenient, as they are: unknown
// fields pass, so that a field which Alipay adds breaks nothing.
var kinds = map[string]kind{
	activity + "created":  of("voucher.created", func(d contract.VoucherCreated, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "modified": of("voucher.modified", func(d contract.VoucherModified, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "appended": of("voucher.appended", func(d contract.VoucherAppended, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "stopped":  of("voucher.stopped", func(d contract.VoucherStopped, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "received": of("voucher.received", func(d contract.VoucherReceived, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "used":     of("voucher.used", func(d contract.VoucherUsed, e *Event) { e.voucher(d.ActivityID, d.ID) }),
	activity + "expired":  of("voucher.expired", func(d contract.VoucherExpired, e *Event) { e.voucher(d.ActivityID, d.ID) }),

	"alipay.user.opencard.result.notify": {"card.open_result", readCard},
}

const activity = "alipay.marketing.activity.message."

func of[T any](name string, take func(T, *Event)) kind {
	return kind{name, func(data []byte, e *Event) error {
		var d T
		if err := json.Unmarshal(data, &d); err != nil {
			return undecodable(name, err)
		}
		take(d, e)
		return nil
	}}
}

func (e *Event) voucher(activity string, business *string) {
	e.Key = activity
	if business != nil {
		e.Business = *business
	}
}

func readCard(data []byte, e *Event) error {
	var d contract.CardOpenResult
	if err := json.Unmarshal(data, &d); err != nil {
		return undecodable("card.open_result", err)
	}
	if d.Success == nil {
		// Missing is unknown, not false. Somebody has to look.
		return errors.New("data does not say whether the card was opened")
	}
	e.Key, e.Opened = d.BizCardNo, *d.Success
	return nil
}

// redacted is an error of decoding without the piece of the payload that such
// errors like to quote.
func redacted(err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		return fmt.Errorf("%s is not of type %s", typ.Field, typ.Type)
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON, at byte %d", syntax.Offset)
	}
	return errors.New("a required field is missing, or a value is outside its format")
}
