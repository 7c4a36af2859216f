package openapi

import "context"

// Kinds of card numbers: target_card_no_type (32; card.query 64).
const (
	BizCard      = "BIZ_CARD"      // Alipay's own number of the card: every operation
	DynamicQR    = "D_QR_CODE"     // the dynamic QR code that stands for it: card.query alone
	DynamicBar   = "D_BAR_CODE"    // the dynamic bar code that stands for it: card.query alone
	ExternalCard = "EXTERNAL_CARD" // the merchant's number: older documents
)

// Reasons of card.delete: reason_code (32).
const (
	Unbound   = "USER_UNBUND" // the user may bind it again
	Cancelled = "CANCEL"      // for good
	Presented = "PRESENT"     // given to another user; may be bound again
)

// CardOpen are the parameters of alipay.marketing.card.open.
type CardOpen struct {
	OutSerialNo       string                  `json:"out_serial_no,omitempty"`    // required, 64
	CardTemplateID    string                  `json:"card_template_id,omitempty"` // required, 32
	CardUserInfo      *CardUserInfo           `json:"card_user_info,omitempty"`   // required: user_uni_id_type (32, UID), user_uni_id (32) or open_id (128)
	CardExtInfo       *MerchantCard           `json:"card_ext_info,omitempty"`    // required: external_card_no (64)
	AuthToken         Secret                  `json:"auth_token,omitempty"`       // the user's, 40; a public parameter over gateway.do
	MemberExtInfo     *MerchantMember         `json:"member_ext_info,omitempty"`
	OpenCardChannel   string                  `json:"open_card_channel,omitempty"`
	OpenCardChannelID string                  `json:"open_card_channel_id,omitempty"`
	PaidOuterCardInfo *PaidOuterCardExtraInfo `json:"paid_outer_card_info,omitempty"`
}

// wire is what is sent: the field of the same name hides the masked one.
func (in CardOpen) wire() any {
	return struct {
		CardOpen
		AuthToken string `json:"auth_token,omitempty"`
	}{in, string(in.AuthToken)}
}

// CardOpened is the answer: the card, with Alipay's number in biz_card_no.
type CardOpened struct {
	CardInfo          *MerchantCard `json:"card_info,omitempty"`
	OpenCardChannel   string        `json:"open_card_channel,omitempty"`
	OpenCardChannelID string        `json:"open_card_channel_id,omitempty"`
}

// CardOpen is alipay.marketing.card.open (会员卡开卡); alipay.user.opencard.result.notify
// follows. Repeatable with the same out_serial_no. Codes: INVALID_PARAMETER,
// SYSTEM_ERROR, TEMPLATE_NOT_EXIT (sic), NO_CARD_TYPE, OPEN_CARD_NEED_OPENFORM,
// OPEN_CARD_CONCURRENTLY, USER_AUTH_FAIL, CARD_HAS_OPENED,
// PAID_OUTER_CARD_LACK_TEMPLATE_CONFIG.
func (c *Client) CardOpen(ctx context.Context, in CardOpen, opts ...Option) (Result[CardOpened], error) {
	return do[CardOpened](ctx, c, "alipay.marketing.card.open", in, opts)
}

// CardQuery are the parameters of alipay.marketing.card.query.
type CardQuery struct {
	TargetCardNo     string        `json:"target_card_no,omitempty"`      // required, 32
	TargetCardNoType string        `json:"target_card_no_type,omitempty"` // required, 64: BIZ_CARD, D_QR_CODE or D_BAR_CODE
	CardUserInfo     *CardUserInfo `json:"card_user_info,omitempty"`      // narrows the search: user_uni_id_type (32), user_uni_id (32) or open_id (128)
	TemplateID       string        `json:"template_id,omitempty"`         // 32
	ExtInfo          string        `json:"ext_info,omitempty"`            // 1024
}

// Card is the state of a card.
type Card struct {
	CardInfo          *MerchantCard           `json:"card_info,omitempty"`
	PaidOuterCardInfo *PaidOuterCardExtraInfo `json:"paid_outer_card_info,omitempty"`
	PassID            string                  `json:"pass_id,omitempty"`
	SchemaURL         string                  `json:"schema_url,omitempty"` // 64: the card's page in the Alipay app
}

// CardQuery is alipay.marketing.card.query (会员卡查询), over v3 or, with
// Over(V2), gateway.do. Codes: INVALID_PARAMETER, SYSTEM_ERROR,
// CARD_NOT_EXIT (sic), NO_CARD_TYPE.
func (c *Client) CardQuery(ctx context.Context, in CardQuery, opts ...Option) (Result[Card], error) {
	return do[Card](ctx, c, "alipay.marketing.card.query", in, opts)
}

// CardUpdate are the parameters of alipay.marketing.card.update.
type CardUpdate struct {
	TargetCardNo        string                  `json:"target_card_no,omitempty"`      // required, 32
	TargetCardNoType    string                  `json:"target_card_no_type,omitempty"` // required, 32: BIZ_CARD
	OccurTime           string                  `json:"occur_time,omitempty"`          // required, 32: 2006-01-02 15:04:05, Beijing
	CardInfo            *MerchantCard           `json:"card_info,omitempty"`           // required; open_date and valid_date cannot change
	MerchantCardMsgInfo *MerchantCardMsgInfo    `json:"merchant_card_msg_info,omitempty"`
	PaidOuterCardInfo   *PaidOuterCardExtraInfo `json:"paid_outer_card_info,omitempty"`
	ExtInfo             string                  `json:"ext_info,omitempty"`         // 1024
	McardStyleInfo      *CardStyleInfo          `json:"mcard_style_info,omitempty"` // deprecated by Alipay, as the next
	NotifyMessages      []CardNotifyMessage     `json:"notify_messages,omitempty"`
}

// CardUpdated is the answer.
type CardUpdated struct {
	ResultCode string `json:"result_code,omitempty"`
}

// CardUpdate is alipay.marketing.card.update (会员卡更新). It has no number, so it
// is never repeated by itself. Codes: INVALID_PARAMETER, SYSTEM_ERROR,
// NO_CARD_TYPE, CARD_NOT_EXIT (sic), PAIDOUTERCARD_LACK_TEMPLATE_CONFIG.
func (c *Client) CardUpdate(ctx context.Context, in CardUpdate, opts ...Option) (Result[CardUpdated], error) {
	return do[CardUpdated](ctx, c, "alipay.marketing.card.update", in, opts)
}

// CardDelete are the parameters of alipay.marketing.card.delete.
type CardDelete struct {
	OutSerialNo      string `json:"out_serial_no,omitempty"`       // required, 32
	TargetCardNo     string `json:"target_card_no,omitempty"`      // required, 32
	TargetCardNoType string `json:"target_card_no_type,omitempty"` // required, 32: BIZ_CARD
	ReasonCode       string `json:"reason_code,omitempty"`         // required, 32: USER_UNBUND, CANCEL or PRESENT
	ExtInfo          string `json:"ext_info,omitempty"`            // 1024: JSON with new_card_no, donee_user_id
}

// CardDeleted is the answer.
type CardDeleted struct {
	BizSerialNo string `json:"biz_serial_no,omitempty"`
}

// CardDelete is alipay.marketing.card.delete (会员卡删卡). Repeatable with the same
// out_serial_no. Codes: INVALID_PARAMETER, SYSTEM_ERROR, CARD_NOT_EXIT (sic),
// NO_CARD_TYPE, CARD_IS_DELETED_ALREADY.
func (c *Client) CardDelete(ctx context.Context, in CardDelete, opts ...Option) (Result[CardDeleted], error) {
	return do[CardDeleted](ctx, c, "alipay.marketing.card.delete", in, opts)
}

// TemplateBlocks are what a card template consists of, the same when it is
// queried and when it is modified.
type TemplateBlocks struct {
	TemplateStyleInfo   *TemplateStyleInfo         `json:"template_style_info,omitempty"` // required by modify
	CardActionList      []TemplateActionInfo       `json:"card_action_list,omitempty"`
	ColumnInfoList      []TemplateColumnInfo       `json:"column_info_list,omitempty"`
	FieldRuleList       []TemplateFieldRule        `json:"field_rule_list,omitempty"`
	OpenCardConf        *TemplateOpenCardConf      `json:"open_card_conf,omitempty"`
	MdcodeNotifyConf    *TemplateMdcodeNotifyConf  `json:"mdcode_notify_conf,omitempty"`
	PaidOuterCardConf   *PaidOuterCardTemplateConf `json:"paid_outer_card_conf,omitempty"`
	TemplateFormConfig  *TemplateFormConfig        `json:"template_form_config,omitempty"`
	TemplateBenefitInfo []TemplateBenefitInfo      `json:"template_benefit_info,omitempty"`
	PubChannels         []PubChannel               `json:"pub_channels,omitempty"`
	ShopIDs             []string                   `json:"shop_ids,omitempty"`
	SPIAppID            string                     `json:"spi_app_id,omitempty"`
	AccessVersion       string                     `json:"access_version,omitempty"`
	BizNoPrefix         string                     `json:"biz_no_prefix,omitempty"` // 16
	BizNoSuffixLen      string                     `json:"biz_no_suffix_len,omitempty"`
	CardSpecTag         string                     `json:"card_spec_tag,omitempty"`
}

// TemplateQuery are the parameters of alipay.marketing.card.template.query.
type TemplateQuery struct {
	TemplateID string `json:"template_id,omitempty"` // required, 32
}

// Template is a card template.
type Template struct {
	TemplateBlocks
	CardLevelConfs   []TemplateCardLevelConf `json:"card_level_confs,omitempty"`
	CardType         string                  `json:"card_type,omitempty"`
	ServiceLabelList []string                `json:"service_label_list,omitempty"`
}

// TemplateQuery is alipay.marketing.card.template.query (会员卡模板查询接口). Codes:
// INVALID_PARAMETER, SYSTEM_ERROR, TEMPLATE_NOT_EXIT (sic).
func (c *Client) TemplateQuery(ctx context.Context, in TemplateQuery, opts ...Option) (Result[Template], error) {
	return do[Template](ctx, c, "alipay.marketing.card.template.query", in, opts)
}

// TemplateModify are the parameters of alipay.marketing.card.template.modify.
type TemplateModify struct {
	RequestID  string `json:"request_id,omitempty"`  // required, 64
	TemplateID string `json:"template_id,omitempty"` // required, 32
	TemplateBlocks
	CardLevelConf []TemplateCardLevelConf `json:"card_level_conf,omitempty"`
	WriteOffType  string                  `json:"write_off_type,omitempty"` // 32
}

// TemplateModified is the answer.
type TemplateModified struct {
	TemplateID string `json:"template_id,omitempty"`
}

// TemplateModify is alipay.marketing.card.template.modify (会员卡模板修改). No page
// says that request_id makes a repeat harmless, so it is never repeated by
// itself. Codes: INVALID_PARAMETER, SYSTEM_ERROR, TEMPLATE_NOT_EXIT (sic).
func (c *Client) TemplateModify(ctx context.Context, in TemplateModify, opts ...Option) (Result[TemplateModified], error) {
	return do[TemplateModified](ctx, c, "alipay.marketing.card.template.modify", in, opts)
}
