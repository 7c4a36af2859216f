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

// What is true of all four confirmations, and of all three about a user.
const (
	unconfirmed = "The operation is accepted at best, and not confirmed; or the message is lost. Alipay tries 8 times in " +
		"25 hours, and no way to ask for a message again is known; its documents say to contact support. "
	noHistory = " No answer has a time of the last change or the request that made it, " +
		"so a state is proved, and not which request led to it nor when."
	notReceived = "Nothing: no deadline is documented, and a lost message looks the same. "
	queryUser   = "For 商家券 `alipay.marketing.activity.user.queryvoucher` and `.batchqueryvoucher`: "
	queryCount  = " For 支付券 no query by user is known; `alipay.marketing.activity.voucher.query` has sums of an activity only "
)

// The kinds of voucher events.
var (
	_ = define[VoucherChange](voucher(Kind{
		Name: "voucher.created", Title: "A voucher activity is active (支付券 after publish, 商家券 after create)", Fact: "PROTOCOL.md 2.1",
		When: "After a voucher activity came into being. For 支付券 that is after `alipay.marketing.activity.voucher.publish` (激活), " +
			"not after create; for 商家券 after `alipay.marketing.activity.ordervoucher.create`. Both are only accepted when they return.",
		Absence: unconfirmed + "Of a 支付券 that was created and never published it does not come.",
		Query: "`alipay.marketing.activity.voucher.query`: `activity_status` ACTIVE proves it, INIT is created and not activated, empty is " +
			"not created yet. For 商家券 `alipay.marketing.activity.ordervoucher.query`: ACTIVE, while `activity_operation_status` CREATING is still at work." + noHistory,
	}))
	_ = define[VoucherChange](voucher(Kind{
		Name: "voucher.modified", Title: "A voucher activity was modified", Fact: "PROTOCOL.md 2.1",
		When: "After `alipay.marketing.activity.voucher.modify` or `alipay.marketing.activity.ordervoucher.modify` took effect: " +
			"the answer to the request does not mean that it did.",
		Absence: unconfirmed + "Until it comes the old values hold as far as anybody knows.",
		Query: "`alipay.marketing.activity.voucher.query` or `alipay.marketing.activity.ordervoucher.query`: compare the values that were to change " +
			"(`publish_end_time`, the rules, `activity_name`). For 商家券 `activity_operation_status` MODIFYING is still at work." + noHistory,
	}))
	_ = define[VoucherChange](voucher(Kind{
		Name: "voucher.appended", Title: "The budget of a voucher activity was raised", Fact: "PROTOCOL.md 2.1",
		When:    "After `alipay.marketing.activity.voucher.append` or `alipay.marketing.activity.ordervoucher.append` took effect.",
		Absence: unconfirmed + "Repeat the request with the same `out_biz_no` only: a repetition then gives the first result.",
		Query: "`alipay.marketing.activity.voucher.query` or `alipay.marketing.activity.ordervoucher.query`: the quantity " +
			"(`voucher_send_rule.voucher_quantity` or `voucher_send_mode_info.voucher_send_rule_info.quantity`) equals the new total that was asked for, " +
			"which nobody at Alipay documents as the test. For 商家券 `activity_operation_status` APPENDING is still at work." + noHistory,
	}))
	_ = define[VoucherChange](voucher(Kind{
		Name: "voucher.stopped", Title: "A voucher activity was stopped", Fact: "PROTOCOL.md 2.1",
		When: "After `alipay.marketing.activity.voucher.stop` or `alipay.marketing.activity.ordervoucher.stop` took effect. " +
			"Whether an activity that ends by its own date causes one is not known.",
		Absence: unconfirmed + "Until it comes the activity may still give out vouchers.",
		Query: "`alipay.marketing.activity.voucher.query` or `alipay.marketing.activity.ordervoucher.query`: `activity_status` FINISHED; whether an " +
			"activity that ended by its date reads the same is not known. For 商家券 `activity_operation_status` FINISHEING (sic) is still at work." + noHistory,
	}))
	_ = define[VoucherReceived](voucher(Kind{
		Name: "voucher.received", Title: "A user received a voucher", Fact: "PROTOCOL.md 2.2",
		When:    "When a user received a voucher of the activity (券领取通知). Known from a sample alone.",
		Absence: notReceived + "Nobody received one, or it was not told.",
		Query: queryUser + "a voucher with `voucher_status` SENDED was received; so was one that reads USED or EXPIRED by now." +
			queryCount + "(`publish_count`, `send_count`), which prove no single one.",
	}))
	_ = define[VoucherUse](voucher(Kind{
		Name: "voucher.used", Title: "A user used a voucher", Fact: "PROTOCOL.md 2.2",
		When:    "When a user used a voucher of the activity (券核销消息). Neither a table of its fields nor a sample is known.",
		Absence: notReceived + "The voucher is unused or expired, or its use was not told.",
		Query: queryUser + "`voucher_status` USED. It proves that the voucher is used; the trade is in `associate_trade_no` where there is one." +
			queryCount + "(`used_count`, `use_count`), which prove no single one.",
	}))
	_ = define[VoucherUse](voucher(Kind{
		Name: "voucher.expired", Title: "A user's voucher expired", Fact: "PROTOCOL.md 2.2",
		When:    "When a voucher that a user had expired (券过期消息).",
		Absence: notReceived + "The voucher's own end of validity tells as much without a message.",
		Query: queryUser + "`voucher_status` EXPIRED, which reaches back 6 months; before that its absence proves nothing." +
			queryCount + "and none of expiry.",
	}))
)

func voucher(k Kind) Kind {
	const entity = "voucher."
	k.Method, k.Key = "alipay.marketing.activity.message."+k.Name[len(entity):], "activity_id"
	return k
}
