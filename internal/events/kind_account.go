package events

import (
	"encoding/json"
	"time"
)

// AccountEvent is the data of account.event: something happened between a user
// and a 生活号 (PROTOCOL.md 2.7). It comes as XML; the names are Alipay's.
type AccountEvent struct {
	AppID            string          `json:"AppId,omitempty"`
	FromUserID       string          `json:"FromUserId,omitempty"` // openid, planned for removal since 2016
	FromAlipayUserID string          `json:"FromAlipayUserId"`     // 2088...
	CreateTime       time.Time       `json:"CreateTime,omitzero" alipay:"epoch"`
	MsgType          string          `json:"MsgType,omitempty"`     // event, text, image
	EventType        string          `json:"EventType,omitempty"`   // follow, unfollow, click, enter
	ActionParam      string          `json:"ActionParam,omitempty"` // menu key; authentication = bind, delete = unbind
	AgreementID      string          `json:"AgreementId,omitempty"`
	AccountNo        string          `json:"AccountNo,omitempty"`
	MsgID            string          `json:"MsgId,omitempty"`
	UserInfo         json.RawMessage `json:"UserInfo,omitempty"` // comes as JSON in a string
	Text             json.RawMessage `json:"Text,omitempty"`     // {"Content": ...}
}

var _ = define[AccountEvent](Kind{
	Name: "account.event", Method: ServiceNotify,
	Title: "Something happened between a user and a 生活号", Key: "FromAlipayUserId", Time: "CreateTime", Fact: "PROTOCOL.md 2.7",
	When: "When a user follows, unfollows, enters or writes to the 生活号, or clicks in its menu; `ActionParam` authentication asks to bind a " +
		"member's account, delete unbinds one. Unfollowing with N bound accounts comes as N+1 events in no order.",
	Absence: "Nothing: no deadline is documented. The signed answer stops Alipay's retries.",
	Query: "`alipay.open.public.account.query` lists the accounts that a user has bound, which proves a binding or its end. For follow, unfollow, click, " +
		"enter and texts no query is known.",
})
