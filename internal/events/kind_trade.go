package events

import (
	"encoding/json"
	"time"
)

// TradeStatusChanged is the data of trade.status_changed, the classic
// notify_url notification (PROTOCOL.md 2.6). It is a reason to query the trade,
// not a proof of payment: a split form cannot be told from a genuine one.
type TradeStatusChanged struct {
	NotifyTime          time.Time       `json:"notify_time,omitzero" alipay:"beijing"`
	NotifyType          string          `json:"notify_type,omitempty"`
	NotifyID            string          `json:"notify_id,omitempty"`
	AppID               string          `json:"app_id,omitempty"`
	AuthAppID           string          `json:"auth_app_id,omitempty"`
	Charset             string          `json:"charset,omitempty"`
	Version             string          `json:"version,omitempty"`
	TradeNo             string          `json:"trade_no,omitempty"`
	OutTradeNo          string          `json:"out_trade_no"`
	OutBizNo            string          `json:"out_biz_no,omitempty"`
	OutRequestNo        string          `json:"out_request_no,omitempty"`
	BuyerID             string          `json:"buyer_id,omitempty"`
	BuyerLogonID        string          `json:"buyer_logon_id,omitempty"`
	BuyerOpenID         string          `json:"buyer_open_id,omitempty"`
	SellerID            string          `json:"seller_id,omitempty"`
	SellerEmail         string          `json:"seller_email,omitempty"`
	TradeStatus         string          `json:"trade_status,omitempty"` // WAIT_BUYER_PAY, TRADE_CLOSED, TRADE_SUCCESS, TRADE_FINISHED
	TotalAmount         Amount          `json:"total_amount,omitempty"`
	ReceiptAmount       Amount          `json:"receipt_amount,omitempty"`
	InvoiceAmount       Amount          `json:"invoice_amount,omitempty"`
	BuyerPayAmount      Amount          `json:"buyer_pay_amount,omitempty"`
	PointAmount         Amount          `json:"point_amount,omitempty"`
	RefundFee           Amount          `json:"refund_fee,omitempty"`
	SendBackFee         Amount          `json:"send_back_fee,omitempty"`
	Subject             string          `json:"subject,omitempty"`
	Body                string          `json:"body,omitempty"`
	GmtCreate           time.Time       `json:"gmt_create,omitzero" alipay:"beijing"`
	GmtPayment          time.Time       `json:"gmt_payment,omitzero" alipay:"beijing"`
	GmtRefund           time.Time       `json:"gmt_refund,omitzero" alipay:"beijing"` // comes with a fraction
	GmtClose            time.Time       `json:"gmt_close,omitzero" alipay:"beijing"`
	FundBillList        json.RawMessage `json:"fund_bill_list,omitempty"`
	VoucherDetailList   json.RawMessage `json:"voucher_detail_list,omitempty"`
	PassbackParams      string          `json:"passback_params,omitempty"` // verbatim, still encoded as the merchant sent it
	AgreementNo         string          `json:"agreement_no,omitempty"`
	ExternalAgreementNo string          `json:"external_agreement_no,omitempty"`
	DbackStatus         string          `json:"dback_status,omitempty"`
	DbackAmount         Amount          `json:"dback_amount,omitempty"`
	BankAckTime         time.Time       `json:"bank_ack_time,omitzero" alipay:"beijing"`
	RefundStatus        string          `json:"refund_status,omitempty"`
	RefundReason        string          `json:"refund_reason,omitempty"`
	RefundAmount        Amount          `json:"refund_amount,omitempty"`
}

var _ = define[TradeStatusChanged](Kind{
	Name: "trade.status_changed", Method: "trade_status_sync",
	Title: "The status of a trade changed", Key: "out_trade_no", Fact: "PROTOCOL.md 2.6",
	When: "When a trade comes into a new status or is refunded, to the `notify_url` of its own request. Which statuses are told for " +
		"which product is not known here; act on TRADE_SUCCESS and TRADE_FINISHED alone.",
	Absence: "Nothing about the payment: a trade without an event may well be paid. Alipay tries 8 times in 25 hours and then gives up.",
	Query: "`alipay.trade.query` by `out_trade_no` says what the trade is now, and is the proof that this event is not: values are signed without " +
		"escaping, so a form that was split at an `&` inside a free text cannot be told from a genuine one. Then compare the amount with the order, " +
		"and `seller_id` with yours. A query does not say whether an earlier notification was sent.",
})
