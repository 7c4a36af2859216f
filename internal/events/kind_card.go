package events

// CardOpenResult is the data of card.open_result: whether a membership card was
// opened (PROTOCOL.md 2.4). The message carries no time of its own.
type CardOpenResult struct {
	TemplateID     string `json:"template_id,omitempty"`
	BizCardNo      string `json:"biz_card_no"` // Alipay's card number
	ExternalCardNo string `json:"external_card_no,omitempty"`
	Success        *bool  `json:"success,omitempty"` // comes as a string; nil: not told, which is not false
	UserID         string `json:"user_id,omitempty"` // one of user_id and open_id
	OpenID         string `json:"open_id,omitempty"`
}

var _ = define[CardOpenResult](Kind{
	Name: "card.open_result", Method: "alipay.user.opencard.result.notify",
	Title: "The result of opening a membership card", Key: "biz_card_no", Fact: "PROTOCOL.md 2.4",
	When: "When the opening of a membership card ended, well or not (会员卡开卡结果通知). Opening by the form in Alipay's app is a synchronous " +
		"call to the merchant, which this project does not serve.",
	Absence: "The result is not known; it is not a failure. No deadline is documented.",
	Query: "`alipay.marketing.card.query` with `target_card_no_type` BIZ_CARD: a card in the answer was opened; the error CARD_NOT_EXIT (sic) is that " +
		"there is none now, which a card deleted since looks like, too.",
})
