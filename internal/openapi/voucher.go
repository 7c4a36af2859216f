package openapi

import "context"

// States of an activity: activity_status, and activity_operation_status while an
// operation is at work. Both may be empty: not created yet, and nothing at work (5.2).
const (
	ActivityInit     = "INIT"     // created, not published
	ActivityActive   = "ACTIVE"   // published
	ActivityPaused   = "PAUSE"    //
	ActivityFinished = "FINISHED" // stopped or over

	OperationCreating  = "CREATING"
	OperationModifying = "MODIFYING"
	OperationAppending = "APPENDING"
	OperationFinishing = "FINISHEING" // Alipay's spelling
)

// Modes of merchant_access_mode (32).
const (
	SelfMode   = "SELF_MODE"   // the merchant itself
	AgencyMode = "AGENCY_MODE" // an ISV for the merchant
)

// VoucherCreate are the parameters of alipay.marketing.activity.voucher.create.
type VoucherCreate struct {
	OutBizNo                  string                     `json:"out_biz_no,omitempty"`                   // required, 64
	MerchantAccessMode        string                     `json:"merchant_access_mode,omitempty"`         // required, 32
	ActivityBaseInfo          *ActivityBaseInfo          `json:"activity_base_info,omitempty"`           // required
	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`       // required
	VoucherDeductInfo         *VoucherDeductInfo         `json:"voucher_deduct_info,omitempty"`          // required
	VoucherDisplayPatternInfo *VoucherDisplayPatternInfo `json:"voucher_display_pattern_info,omitempty"` // required
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherAvailableScopeInfo *VoucherAvailableScopeInfo `json:"voucher_available_scope_info,omitempty"`
	VoucherCustomerGuideInfo  *VoucherCustomerGuideInfo  `json:"voucher_customer_guide_info,omitempty"`
	VoucherBudgetSupplyInfo   *VoucherBudgetSupplyInfo   `json:"voucher_budget_supply_info,omitempty"`

	// The older form of the same.
	ActivityName       string              `json:"activity_name,omitempty"` // 20
	BelongMerchantInfo *BelongMerchantInfo `json:"belong_merchant_info,omitempty"`
	PublishStartTime   string              `json:"publish_start_time,omitempty"`
	PublishEndTime     string              `json:"publish_end_time,omitempty"` // at most 180 days after the start
	VoucherType        string              `json:"voucher_type,omitempty"`     // FIX_VOUCHER
	VoucherBudgetInfo  *VoucherBudgetInfo  `json:"voucher_budget_info,omitempty"`
	VoucherDisplayInfo *VoucherDisplayInfo `json:"voucher_display_info,omitempty"`
	VoucherSendRule    *VoucherSendRule    `json:"voucher_send_rule,omitempty"`
	VoucherUseRule     *VoucherUseRule     `json:"voucher_use_rule,omitempty"`
}

// ActivityCreated is the answer: the activity's id, state INIT.
type ActivityCreated struct {
	ActivityID string `json:"activity_id,omitempty"`
}

// VoucherCreate is alipay.marketing.activity.voucher.create (创建支付券): it makes
// an activity that is not active yet, and causes no notification. Repeatable with
// the same out_biz_no. Codes: SYSTEM_ERROR, INVALID_PARAMETER, BIZ_ERROR,
// MATERIAL_AUDIT_WAITING.
func (c *Client) VoucherCreate(ctx context.Context, in VoucherCreate, opts ...Option) (Result[ActivityCreated], error) {
	return do[ActivityCreated](ctx, c, "alipay.marketing.activity.voucher.create", in, opts)
}

// ActivityChange names an activity and numbers what is done to it.
type ActivityChange struct {
	ActivityID         string `json:"activity_id,omitempty"`          // required, 128
	OutBizNo           string `json:"out_biz_no,omitempty"`           // required, 64
	MerchantAccessMode string `json:"merchant_access_mode,omitempty"` // required, 32
}

// Recharge is the answer of operations that may cost money.
type Recharge struct {
	RechargeURL string `json:"recharge_url,omitempty"` // prepaid vouchers alone; valid for three days
}

// Nothing is the answer of operations that answer nothing.
type Nothing struct{}

// VoucherPublish is alipay.marketing.activity.voucher.publish (激活支付券): the
// answer only says that Alipay took it; the activity is ACTIVE when
// alipay.marketing.activity.message.created comes. Repeatable with the same
// out_biz_no. Codes: SYSTEM_ERROR, INVALID_PARAMETER, BIZ_ERROR, BUSINESS_HAS_RISK.
func (c *Client) VoucherPublish(ctx context.Context, in ActivityChange, opts ...Option) (Result[Recharge], error) {
	return do[Recharge](ctx, c, "alipay.marketing.activity.voucher.publish", in, opts)
}

// VoucherModify are the parameters of alipay.marketing.activity.voucher.modify.
// Ranges may only be widened and dates only moved later.
type VoucherModify struct {
	OutBizNo                  string                     `json:"out_biz_no,omitempty"`           // required, 64
	MerchantAccessMode        string                     `json:"merchant_access_mode,omitempty"` // required, 32
	ActivityID                string                     `json:"activity_id,omitempty"`          // required, 128; or in activity_base_info
	ActivityBaseInfo          *ActivityBaseInfo          `json:"activity_base_info,omitempty"`   // required, but made of ActivityID when nil
	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherAvailableScopeInfo *VoucherAvailableScopeInfo `json:"voucher_available_scope_info,omitempty"`

	// The older form of the same.
	PublishEndTime string                `json:"publish_end_time,omitempty"`
	VoucherUseRule *VoucherUseRuleModify `json:"voucher_use_rule,omitempty"`
}

// VoucherModify is alipay.marketing.activity.voucher.modify (修改支付券基本信息): the
// answer only says that Alipay took it; it is done when
// alipay.marketing.activity.message.modified comes. Alipay's descriptions want
// the id in two places, so it is sent in both. Repeatable with the same
// out_biz_no. Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) VoucherModify(ctx context.Context, in VoucherModify, opts ...Option) (Result[Nothing], error) {
	base := ActivityBaseInfo{}
	if in.ActivityBaseInfo != nil {
		base = *in.ActivityBaseInfo
	}
	if in.ActivityID == "" {
		in.ActivityID = base.ActivityID
	}
	if base.ActivityID == "" {
		base.ActivityID = in.ActivityID
	}
	in.ActivityBaseInfo = &base
	return do[Nothing](ctx, c, "alipay.marketing.activity.voucher.modify", in, opts)
}

// VoucherAppend are the parameters of alipay.marketing.activity.voucher.append.
type VoucherAppend struct {
	ActivityChange
	VoucherQuantity int64 `json:"voucher_quantity,omitempty"` // required: the new total, not the difference; at most 99999999
}

// VoucherAppend is alipay.marketing.activity.voucher.append (追加支付券预算): the
// answer only says that Alipay took it; it is done when
// alipay.marketing.activity.message.appended comes. Repeatable with the same
// out_biz_no. Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) VoucherAppend(ctx context.Context, in VoucherAppend, opts ...Option) (Result[Recharge], error) {
	return do[Recharge](ctx, c, "alipay.marketing.activity.voucher.append", in, opts)
}

// VoucherStop is alipay.marketing.activity.voucher.stop (停止支付券): the answer
// only says that Alipay took it; the activity is FINISHED when
// alipay.marketing.activity.message.stopped comes. Repeatable with the same
// out_biz_no. Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) VoucherStop(ctx context.Context, in ActivityChange, opts ...Option) (Result[Nothing], error) {
	return do[Nothing](ctx, c, "alipay.marketing.activity.voucher.stop", in, opts)
}

// VoucherSend are the parameters of alipay.marketing.activity.voucher.send.
type VoucherSend struct {
	ActivityChange
	UserID string `json:"user_id,omitempty"` // 16; this one or the next is required
	OpenID string `json:"open_id,omitempty"` // 128
}

// VoucherSent is the answer: the user's voucher.
type VoucherSent struct {
	VoucherID string `json:"voucher_id,omitempty"`
}

// VoucherSend is alipay.marketing.activity.voucher.send (发放支付券): it gives a
// voucher to a user. Repeatable with the same out_biz_no. Codes: SYSTEM_ERROR,
// INVALID_PARAMETER, ACTIVITY_NOT_ACTIVE, ACTIVITY_NOT_START, ACTIVITY_IS_END,
// ACTIVITY_IS_STOPED (sic), BUDGET_NOT_ENOUGH, COUNT_OVER_LIMIT.
func (c *Client) VoucherSend(ctx context.Context, in VoucherSend, opts ...Option) (Result[VoucherSent], error) {
	return do[VoucherSent](ctx, c, "alipay.marketing.activity.voucher.send", in, opts)
}

// ActivityQuery names an activity.
type ActivityQuery struct {
	ActivityID         string `json:"activity_id,omitempty"`          // required, 128
	MerchantAccessMode string `json:"merchant_access_mode,omitempty"` // 32; required but for ordervoucher.query
	MerchantID         string `json:"merchant_id,omitempty"`          // alipay.marketing.activity.query alone
}

// Activity is the state of an activity, as three queries give it; each knows a
// part of the fields. 5.2 says which of them prove what.
type Activity struct {
	ActivityID              string            `json:"activity_id,omitempty"`
	ActivityName            string            `json:"activity_name,omitempty"`
	ActivityStatus          string            `json:"activity_status,omitempty"`
	ActivityOperationStatus string            `json:"activity_operation_status,omitempty"` // ordervoucher.query
	ActivityBaseInfo        *ActivityBaseInfo `json:"activity_base_info,omitempty"`
	PublishStartTime        string            `json:"publish_start_time,omitempty"`
	PublishEndTime          string            `json:"publish_end_time,omitempty"`

	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`
	VoucherDeductInfo         *VoucherDeductInfo         `json:"voucher_deduct_info,omitempty"`
	VoucherDisplayPatternInfo *VoucherDisplayPatternInfo `json:"voucher_display_pattern_info,omitempty"`
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherAvailableScopeInfo *VoucherAvailableScopeInfo `json:"voucher_available_scope_info,omitempty"`
	VoucherCustomerGuideInfo  *VoucherCustomerGuideInfo  `json:"voucher_customer_guide_info,omitempty"`
	VoucherBudgetSupplyInfo   *VoucherBudgetSupplyInfo   `json:"voucher_budget_supply_info,omitempty"` // voucher.query
	VoucherInventoryInfo      *VoucherInventoryInfo      `json:"voucher_inventory_info,omitempty"`     // not activity.query

	// The older form of the same.
	BelongMerchantID   string              `json:"belong_merchant_id,omitempty"`   // activity.query
	BelongMerchantInfo *BelongMerchantInfo `json:"belong_merchant_info,omitempty"` // the others
	BizTag             string              `json:"biz_tag,omitempty"`              // ordervoucher.query
	CustomerGuide      *CustomerGuide      `json:"customer_guide,omitempty"`       // ordervoucher.query
	Summary            *VoucherSummary     `json:"summary,omitempty"`              // not activity.query
	VoucherType        string              `json:"voucher_type,omitempty"`
	VoucherBudgetInfo  *VoucherBudgetInfo  `json:"voucher_budget_info,omitempty"` // voucher.query
	VoucherDisplayInfo *VoucherDisplayInfo `json:"voucher_display_info,omitempty"`
	VoucherSendRule    *VoucherSendRule    `json:"voucher_send_rule,omitempty"`
	VoucherUseRule     *VoucherUseRule     `json:"voucher_use_rule,omitempty"`
}

// VoucherQuery is alipay.marketing.activity.voucher.query (查询支付券详情).
// Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) VoucherQuery(ctx context.Context, in ActivityQuery, opts ...Option) (Result[Activity], error) {
	return do[Activity](ctx, c, "alipay.marketing.activity.voucher.query", in, opts)
}
