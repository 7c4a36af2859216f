package events

// CardOpenResult is the data of card.open_result: whether a membership card was
// opened (PROTOCOL.md 2.4). The message carries no time of its own.
type CardOpenResult struct {
	TemplateID     string `json:"template_id,omitempty"`
	BizCardNo      string `json:"biz_card_no"` // Alipay's card number
	ExternalCardNo string `json:"external_card_no,omitempty"`
	Success        bool   `json:"success"`           // comes as a string
	UserID         string `json:"user_id,omitempty"` // one of user_id and open_id
	OpenID         string `json:"open_id,omitempty"`
}

var _ = define[CardOpenResult](Kind{
	Name: "card.open_result", Method: "alipay.user.opencard.result.notify",
	Title: "The result of opening a membership card", Key: "biz_card_no", Fact: "PROTOCOL.md 2.4",
})
