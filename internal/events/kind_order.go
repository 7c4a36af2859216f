package events

import "time"

// OrderReceived is the data of order.received: the voucher of an exchange order
// (商家兑换券) was delivered (PROTOCOL.md 2.3).
type OrderReceived struct {
	ID         string    `json:"id"`
	OrderNo    string    `json:"order_no"`
	OutOrderNo string    `json:"out_order_no,omitempty"`
	EventTime  time.Time `json:"event_time,omitzero" alipay:"epoch"`
	SendStatus string    `json:"send_status,omitempty"`
}

// OrderRefunded is the data of order.refunded (PROTOCOL.md 2.3).
type OrderRefunded struct {
	ID           string    `json:"id"`
	OrderNo      string    `json:"order_no"`
	OutOrderNo   string    `json:"out_order_no,omitempty"`
	EventTime    time.Time `json:"event_time,omitzero" alipay:"epoch"`
	RefundType   string    `json:"refund_type,omitempty"`   // USER_REFUND or SEND_ERROR_REFUND
	RefundStatus string    `json:"refund_status,omitempty"` // SUCCESS
	OutBizNo     string    `json:"out_biz_no,omitempty"`    // of the refund request; USER_REFUND only
}

const noOrderQuery = "No query of these orders is known here. That the user holds the voucher says little: " +
	"`alipay.marketing.activity.user.queryvoucher` knows vouchers and not the `order_no`."

// The kinds of order events.
var (
	_ = define[OrderReceived](Kind{
		Name: "order.received", Method: "alipay.marketing.activity.ordermessage.received",
		Title: "The voucher of an exchange order was delivered", Key: "order_no", Fact: "PROTOCOL.md 2.3",
		When:    "When Alipay gave out the voucher of an order of 商家兑换券. `send_status` SUCCESS is the only value known.",
		Absence: notReceived + "The voucher may be out, still to come, or refunded: see order.refunded.",
		Query:   noOrderQuery,
	})
	_ = define[OrderRefunded](Kind{
		Name: "order.refunded", Method: "alipay.marketing.activity.ordermessage.refunded",
		Title: "An exchange order was refunded", Key: "order_no", Fact: "PROTOCOL.md 2.3",
		When: "When an order of 商家兑换券 was refunded: by `alipay.marketing.activity.order.refund` (`refund_type` USER_REFUND, with the request's " +
			"`out_biz_no`), or because its voucher could not be given out (SEND_ERROR_REFUND). `refund_status` SUCCESS is the only value known.",
		Absence: notReceived + "Whether a refund that fails is told is not known.",
		Query:   noOrderQuery,
	})
)
