package openapi

// MerchantCard is a card as the merchant has it. biz_card_no is Alipay's number,
// external_card_no the merchant's; open_date and valid_date cannot be changed.
type MerchantCard struct {
	Balance        string          `json:"balance,omitempty"`
	BizCardNo      string          `json:"biz_card_no,omitempty"`
	CustomAssets   string          `json:"custom_assets,omitempty"`
	ExternalCardNo string          `json:"external_card_no,omitempty"`
	FrontImageID   string          `json:"front_image_id,omitempty"`
	FrontTextList  []CardFrontText `json:"front_text_list,omitempty"`
	Level          string          `json:"level,omitempty"`
	MdcodeInfo     *MdCodeInfo     `json:"mdcode_info,omitempty"`
	OpenDate       string          `json:"open_date,omitempty"`
	Point          string          `json:"point,omitempty"`
	TemplateID     string          `json:"template_id,omitempty"`
	ValidDate      string          `json:"valid_date,omitempty"`
}

// CardFrontText is one line on the face of a card: label (4), value (32). A card has four at
// most.
type CardFrontText struct {
	Label string `json:"label,omitempty"`
	Value string `json:"value,omitempty"`
}

// MdCodeInfo gives back a dynamic code: code_status SUCCESS, FAIL_RETRY or FAIL_NOT_RETRY;
// code_value and expire_time with SUCCESS.
type MdCodeInfo struct {
	CodeStatus string `json:"code_status,omitempty"`
	CodeValue  string `json:"code_value,omitempty"`
	ExpireTime string `json:"expire_time,omitempty"`
	TimeStamp  int64  `json:"time_stamp,omitempty"`
}

// CardUserInfo names a user: user_uni_id with user_uni_id_type UID, or open_id.
type CardUserInfo struct {
	OpenID        string `json:"open_id,omitempty"`
	UserUniID     string `json:"user_uni_id,omitempty"`
	UserUniIDType string `json:"user_uni_id_type,omitempty"`
}

// MerchantMember is what the merchant knows of a member (Alipay: MerchantMenber, gende). It is
// personal.
type MerchantMember struct {
	Birth  string `json:"birth,omitempty"`
	Cell   string `json:"cell,omitempty"`
	Gender string `json:"gende,omitempty"`
	Name   string `json:"name,omitempty"`
}

// PaidOuterCardExtraInfo is about cards that users pay for.
type PaidOuterCardExtraInfo struct {
	Action       string                     `json:"action,omitempty"`
	CycleInfo    *PaidOuterCardCycleInfo    `json:"cycle_info,omitempty"`
	PurchaseInfo *PaidOuterCardPurchaseInfo `json:"purchase_info,omitempty"`
}

// PaidOuterCardCycleInfo is about a card that is paid again and again.
type PaidOuterCardCycleInfo struct {
	AlipayDeductAgreement   string `json:"alipay_deduct_agreement,omitempty"`
	AlipayDeductProductCode string `json:"alipay_deduct_product_code,omitempty"`
	AlipayDeductScene       string `json:"alipay_deduct_scene,omitempty"`
	CloseReason             string `json:"close_reason,omitempty"`
	CycleType               string `json:"cycle_type,omitempty"`
	OpenStatus              string `json:"open_status,omitempty"`
}

// PaidOuterCardPurchaseInfo is about the payment for a card.
type PaidOuterCardPurchaseInfo struct {
	ActionDate    string `json:"action_date,omitempty"`
	AlipayTradeNo string `json:"alipay_trade_no,omitempty"`
	OutTradeNo    string `json:"out_trade_no,omitempty"`
	Price         string `json:"price,omitempty"`
	Source        string `json:"source,omitempty"`
}

// CardStyleInfo is the look of a card; deprecated by Alipay.
type CardStyleInfo struct {
	BackgroundID string `json:"background_id,omitempty"`
	BgColor      string `json:"bg_color,omitempty"`
	LogoID       string `json:"logo_id,omitempty"`
}

// MerchantCardMsgInfo is the message that a user gets about a change; changed_point is its
// older form.
type MerchantCardMsgInfo struct {
	ChangedPoint string `json:"changed_point,omitempty"`
	MessageType  string `json:"message_type,omitempty"`
	ChangeReason string `json:"change_reason,omitempty"`
	ExtInfo      string `json:"ext_info,omitempty"`
}

// CardNotifyMessage is such a message in the older form; deprecated by Alipay.
type CardNotifyMessage struct {
	ChangeReason string `json:"change_reason,omitempty"`
	ExtInfo      string `json:"ext_info,omitempty"`
	MessageType  string `json:"message_type,omitempty"`
}
