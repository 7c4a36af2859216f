package events

import "time"

// VoucherChange is the data of the four events that confirm an operation on a
// voucher activity. Alipay documents samples only; all four share these fields
// (PROTOCOL.md 2.1).
type VoucherChange struct {
	ID         string    `json:"id"`                                 // Alipay's event id, for de-duplication by business
	ActivityID string    `json:"activity_id"`                        // the activity
	EventTime  time.Time `json:"event_time,omitzero" alipay:"epoch"` // when it happened; orders events of one activity
	OutBizNo   string    `json:"out_biz_no,omitempty"`               // the request that caused it
}

// VoucherReceived is the data of voucher.received: a user got a voucher (PROTOCOL.md 2.2).
type VoucherReceived struct {
	ID            string    `json:"id"`
	ActivityID    string    `json:"activity_id"`
	EventTime     time.Time `json:"event_time,omitzero" alipay:"epoch"`
	VoucherID     string    `json:"voucher_id,omitempty"`
	VoucherCode   string    `json:"voucher_code,omitempty"` // 商家券 only
	ReceiveUserID string    `json:"receive_user_id,omitempty"`
	UserID        string    `json:"user_id,omitempty"`
	OpenID        string    `json:"open_id,omitempty"`
}

// VoucherUse is the data of voucher.used and voucher.expired. The fields of
// voucher.used are inferred: neither table nor sample was found (PROTOCOL.md 2.2).
type VoucherUse struct {
	ID          string    `json:"id"`
	ActivityID  string    `json:"activity_id"`
	EventTime   time.Time `json:"event_time,omitzero" alipay:"epoch"`
	VoucherID   string    `json:"voucher_id,omitempty"`
	VoucherCode string    `json:"voucher_code,omitempty"`
	UserID      string    `json:"user_id,omitempty"` // one of user_id and open_id
	OpenID      string    `json:"open_id,omitempty"`
}

// The kinds of voucher events.
var (
	_ = define[VoucherChange](voucher("created", "A voucher activity is active (支付券 after publish, 商家券 after create)", "PROTOCOL.md 2.1"))
	_ = define[VoucherChange](voucher("modified", "A voucher activity was modified", "PROTOCOL.md 2.1"))
	_ = define[VoucherChange](voucher("appended", "The budget of a voucher activity was raised", "PROTOCOL.md 2.1"))
	_ = define[VoucherChange](voucher("stopped", "A voucher activity was stopped", "PROTOCOL.md 2.1"))
	_ = define[VoucherReceived](voucher("received", "A user received a voucher", "PROTOCOL.md 2.2"))
	_ = define[VoucherUse](voucher("used", "A user used a voucher", "PROTOCOL.md 2.2"))
	_ = define[VoucherUse](voucher("expired", "A user's voucher expired", "PROTOCOL.md 2.2"))
)

func voucher(action, title, fact string) Kind {
	return Kind{
		Name:   "voucher." + action,
		Method: "alipay.marketing.activity.message." + action,
		Title:  title,
		Key:    "activity_id",
		Fact:   fact,
	}
}
