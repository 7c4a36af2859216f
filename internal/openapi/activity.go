package openapi

import (
	"context"
	"encoding/json"
)

// ActivityQuery is alipay.marketing.activity.query (查询活动详情). Codes:
// SYSTEM_ERROR, INVALID_PARAMETER, ACTIVITY_NOT_ACTIVE, ACTIVITY_NOT_PERMISSION.
func (c *Client) ActivityQuery(ctx context.Context, in ActivityQuery, opts ...Option) (Result[Activity], error) {
	return do[Activity](ctx, c, "alipay.marketing.activity.query", in, opts)
}

// OrderVoucherQuery is alipay.marketing.activity.ordervoucher.query
// (查询商家券活动详情). Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) OrderVoucherQuery(ctx context.Context, in ActivityQuery, opts ...Option) (Result[Activity], error) {
	return do[Activity](ctx, c, "alipay.marketing.activity.ordervoucher.query", in, opts)
}

// ActivityList are the parameters of alipay.marketing.activity.batchquery.
type ActivityList struct {
	PageNum            int64  `json:"page_num,omitempty"`             // required, from 1
	PageSize           int64  `json:"page_size,omitempty"`            // required
	MerchantAccessMode string `json:"merchant_access_mode,omitempty"` // required, 32
	MerchantID         string `json:"merchant_id,omitempty"`
	ActivityStatus     string `json:"activity_status,omitempty"`
}

// ActivityPage is a page of activities.
type ActivityPage struct {
	ActivityLiteInfos []ActivityLiteInfo `json:"activity_lite_infos,omitempty"`
	PageNum           int64              `json:"page_num,omitempty"`
	PageSize          int64              `json:"page_size,omitempty"`
	TotalSize         json.Number        `json:"total_size,omitempty"` // a string, as Alipay describes it
}

// ActivityLiteInfo is one activity of a list.
type ActivityLiteInfo struct {
	ActivityBaseInfo          *ActivityBaseInfo          `json:"activity_base_info,omitempty"`
	ActivityID                string                     `json:"activity_id,omitempty"`
	ActivityName              string                     `json:"activity_name,omitempty"`
	ActivityStatus            string                     `json:"activity_status,omitempty"`
	BelongMerchantID          string                     `json:"belong_merchant_id,omitempty"`
	CreateTime                string                     `json:"create_time,omitempty"`
	PublishEndTime            string                     `json:"publish_end_time,omitempty"`
	PublishStartTime          string                     `json:"publish_start_time,omitempty"`
	VoucherAvailableScopeInfo *VoucherAvailableScopeInfo `json:"voucher_available_scope_info,omitempty"`
	VoucherCustomerGuideInfo  *VoucherCustomerGuideInfo  `json:"voucher_customer_guide_info,omitempty"`
	VoucherDeductInfo         *VoucherDeductInfo         `json:"voucher_deduct_info,omitempty"`
	VoucherDisplayLiteInfo    *VoucherDisplayInfo        `json:"voucher_display_lite_info,omitempty"`
	VoucherDisplayPatternInfo *VoucherDisplayPatternInfo `json:"voucher_display_pattern_info,omitempty"`
	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`
	VoucherType               string                     `json:"voucher_type,omitempty"`
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherUseRuleLiteInfo    *VoucherUseRule            `json:"voucher_use_rule_lite_info,omitempty"`
}

// ID is the activity's id, wherever Alipay put it.
func (a ActivityLiteInfo) ID() string {
	if a.ActivityID == "" && a.ActivityBaseInfo != nil {
		return a.ActivityBaseInfo.ActivityID
	}
	return a.ActivityID
}

// ActivityBatchQuery is alipay.marketing.activity.batchquery (条件查询活动列表): one
// page. Activities reads them all. Codes: SYSTEM_ERROR, INVALID_PARAMETER.
func (c *Client) ActivityBatchQuery(ctx context.Context, in ActivityList, opts ...Option) (Result[ActivityPage], error) {
	return do[ActivityPage](ctx, c, "alipay.marketing.activity.batchquery", in, opts)
}

// UserVoucherList are the parameters of alipay.marketing.activity.user.batchqueryvoucher.
type UserVoucherList struct {
	PageNum            int64  `json:"page_num,omitempty"`             // required, from 1
	PageSize           int64  `json:"page_size,omitempty"`            // required, at most 20
	MerchantAccessMode string `json:"merchant_access_mode,omitempty"` // required, 32
	UserID             string `json:"user_id,omitempty"`              // 16
	OpenID             string `json:"open_id,omitempty"`              // 128
	ActivityID         string `json:"activity_id,omitempty"`          // 128
	BelongMerchantID   string `json:"belong_merchant_id,omitempty"`   // exactly one of this and the next is required
	SenderMerchantID   string `json:"sender_merchant_id,omitempty"`
	VoucherStatus      string `json:"voucher_status,omitempty"` // SENDED (sic), USED, EXPIRED (of the last six months)
}

// UserVoucherPage is a page of a user's vouchers.
type UserVoucherPage struct {
	UserVoucherInfos []UserVoucherInfo `json:"user_voucher_infos,omitempty"`
	PageNum          int64             `json:"page_num,omitempty"`
	PageSize         int64             `json:"page_size,omitempty"`
	TotalSize        int64             `json:"total_size,omitempty"`
}

// UserVoucherInfo is one voucher of a list of a user's vouchers.
type UserVoucherInfo struct {
	ActivityBaseInfo          *ActivityBaseInfo          `json:"activity_base_info,omitempty"`
	ActivityID                string                     `json:"activity_id,omitempty"`
	AvailableBeginTime        string                     `json:"available_begin_time,omitempty"`
	AvailableEndTime          string                     `json:"available_end_time,omitempty"`
	BelongMerchantID          string                     `json:"belong_merchant_id,omitempty"`
	CreateTime                string                     `json:"create_time,omitempty"`
	UserVoucherBaseInfo       *UserVoucherBaseInfo       `json:"user_voucher_base_info,omitempty"`
	VoucherAvailableScopeInfo *VoucherAvailableScopeInfo `json:"voucher_available_scope_info,omitempty"`
	VoucherCustomerGuideInfo  *VoucherCustomerGuideInfo  `json:"voucher_customer_guide_info,omitempty"`
	VoucherDeductInfo         *VoucherDeductInfo         `json:"voucher_deduct_info,omitempty"`
	VoucherDisplayLiteInfo    *VoucherDisplayInfo        `json:"voucher_display_lite_info,omitempty"`
	VoucherDisplayPatternInfo *VoucherDisplayPatternInfo `json:"voucher_display_pattern_info,omitempty"`
	VoucherID                 string                     `json:"voucher_id,omitempty"`
	VoucherName               string                     `json:"voucher_name,omitempty"`
	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`
	VoucherStatus             string                     `json:"voucher_status,omitempty"`
	VoucherType               string                     `json:"voucher_type,omitempty"`
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherUseRuleLiteInfo    *VoucherUseRule            `json:"voucher_use_rule_lite_info,omitempty"`
}

// ID is the voucher's id, wherever Alipay put it.
func (v UserVoucherInfo) ID() string {
	if v.VoucherID == "" && v.UserVoucherBaseInfo != nil {
		return v.UserVoucherBaseInfo.VoucherID
	}
	return v.VoucherID
}

// UserVoucherBaseInfo is what every voucher of a user has: voucher_status SENDED (sic), USED
// or EXPIRED.
type UserVoucherBaseInfo struct {
	AssociateTradeNo   string `json:"associate_trade_no,omitempty"`
	BelongMerchantID   string `json:"belong_merchant_id,omitempty"`
	CreateTime         string `json:"create_time,omitempty"`
	ValidBeginTime     string `json:"valid_begin_time,omitempty"`
	ValidEndTime       string `json:"valid_end_time,omitempty"`
	VoucherCode        string `json:"voucher_code,omitempty"`
	VoucherID          string `json:"voucher_id,omitempty"`
	VoucherMaxUseTimes int64  `json:"voucher_max_use_times,omitempty"`
	VoucherName        string `json:"voucher_name,omitempty"`
	VoucherStatus      string `json:"voucher_status,omitempty"`
	VoucherUsedTimes   int64  `json:"voucher_used_times,omitempty"`
}

// UserVoucherBatchQuery is alipay.marketing.activity.user.batchqueryvoucher
// (条件查询用户券): one page. UserVouchers reads them all. Codes: SYSTEM_ERROR,
// INVALID_PARAMETER.
func (c *Client) UserVoucherBatchQuery(ctx context.Context, in UserVoucherList, opts ...Option) (Result[UserVoucherPage], error) {
	return do[UserVoucherPage](ctx, c, "alipay.marketing.activity.user.batchqueryvoucher", in, opts)
}

// UserVoucherQuery are the parameters of alipay.marketing.activity.user.queryvoucher.
// No page says which of them are required.
type UserVoucherQuery struct {
	MerchantID         string `json:"merchant_id,omitempty"`
	UserID             string `json:"user_id,omitempty"`     // 16
	OpenID             string `json:"open_id,omitempty"`     // 128
	ActivityID         string `json:"activity_id,omitempty"` // 128
	VoucherID          string `json:"voucher_id,omitempty"`  // 32
	VoucherCode        string `json:"voucher_code,omitempty"`
	MerchantAccessMode string `json:"merchant_access_mode,omitempty"` // 32
}

// UserVoucher is the state of a user's voucher.
type UserVoucher struct {
	ActivityID                string                     `json:"activity_id,omitempty"`
	ActivityBaseInfo          *ActivityBaseInfo          `json:"activity_base_info,omitempty"`
	UserVoucherBaseInfo       *UserVoucherBaseInfo       `json:"user_voucher_base_info,omitempty"`
	VoucherSendModeInfo       *VoucherSendModeInfo       `json:"voucher_send_mode_info,omitempty"`
	VoucherDeductInfo         *VoucherDeductInfo         `json:"voucher_deduct_info,omitempty"`
	VoucherDisplayPatternInfo *VoucherDisplayPatternInfo `json:"voucher_display_pattern_info,omitempty"`
	VoucherUseRuleInfo        *VoucherUseRuleInfo        `json:"voucher_use_rule_info,omitempty"`
	VoucherCustomerGuideInfo  *VoucherCustomerGuideInfo  `json:"voucher_customer_guide_info,omitempty"`

	// The older form of the same.
	AssociateTradeNo   string              `json:"associate_trade_no,omitempty"`
	AvailableBeginTime string              `json:"available_begin_time,omitempty"`
	AvailableEndTime   string              `json:"available_end_time,omitempty"`
	BelongMerchantID   string              `json:"belong_merchant_id,omitempty"`
	CreateTime         string              `json:"create_time,omitempty"`
	VoucherName        string              `json:"voucher_name,omitempty"`
	VoucherStatus      string              `json:"voucher_status,omitempty"`
	VoucherType        string              `json:"voucher_type,omitempty"`
	VoucherDisplayInfo *VoucherDisplayInfo `json:"voucher_display_info,omitempty"`
	VoucherSendRule    *VoucherSendRule    `json:"voucher_send_rule,omitempty"`
	VoucherUseRule     *VoucherUseRule     `json:"voucher_use_rule,omitempty"`
}

// UserVoucherQuery is alipay.marketing.activity.user.queryvoucher (查询用户券详情).
// Codes: SYSTEM_ERROR, INVALID_PARAMETER, VOUCHER_NOT_EXIST,
// ACTIVITY_NOT_PERMISSION, MERCHANT_RELATION_NOT_EXIST.
func (c *Client) UserVoucherQuery(ctx context.Context, in UserVoucherQuery, opts ...Option) (Result[UserVoucher], error) {
	return do[UserVoucher](ctx, c, "alipay.marketing.activity.user.queryvoucher", in, opts)
}
