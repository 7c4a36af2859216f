package openapi

// Blocks of voucher activities. The names are Alipay's, without DTO and with
// initials as Go writes them; where Alipay has several models of the same
// content under one field name, one type here holds the fields of them all. A
// false that must be sent is new(false); an int64 of zero is left out.

// ActivityBaseInfo is what every activity has: who it is, whose, and in what state.
type ActivityBaseInfo struct {
	ActivityID              string              `json:"activity_id,omitempty"`
	ActivityName            string              `json:"activity_name,omitempty"`
	ActivityOperationStatus string              `json:"activity_operation_status,omitempty"`
	ActivityProductType     string              `json:"activity_product_type,omitempty"`
	ActivityStatus          string              `json:"activity_status,omitempty"`
	BelongMerchantInfo      *BelongMerchantInfo `json:"belong_merchant_info,omitempty"`
	CodeMode                string              `json:"code_mode,omitempty"`
	OutActivityID           string              `json:"out_activity_id,omitempty"`
}

// BelongMerchantInfo is the merchant that an activity belongs to.
type BelongMerchantInfo struct {
	BusinessType   string `json:"business_type,omitempty"`
	MerchantID     string `json:"merchant_id,omitempty"`
	MerchantIDType string `json:"merchant_id_type,omitempty"`
}

// VoucherAvailableScopeInfo says where a voucher may be used. It may only be widened.
type VoucherAvailableScopeInfo struct {
	VoucherAvailableAccountInfo        *VoucherAvailableAccountInfo        `json:"voucher_available_account_info,omitempty"`
	VoucherAvailableAppInfo            *VoucherAvailableAppInfo            `json:"voucher_available_app_info,omitempty"`
	VoucherAvailableGeographyScopeInfo *VoucherAvailableGeographyScopeInfo `json:"voucher_available_geography_scope_info,omitempty"`
	VoucherAvailableGoodsInfo          *VoucherAvailableGoodsInfo          `json:"voucher_available_goods_info,omitempty"`
	VoucherAvailableItemInfo           *VoucherAvailableItemInfo           `json:"voucher_available_item_info,omitempty"`
}

// VoucherAvailableAccountInfo names the merchants where a voucher may be used: PIDs, and SMIDs
// of indirect merchants.
type VoucherAvailableAccountInfo struct {
	AvailablePIDs  []string `json:"available_pids,omitempty"`
	AvailableSMIDs []string `json:"available_smids,omitempty"`
}

// VoucherAvailableAppInfo names the mini programs where a voucher may be used.
type VoucherAvailableAppInfo struct {
	AvailableAppIDs []string `json:"available_app_ids,omitempty"`
}

// VoucherAvailableGeographyScopeInfo names the cities or shops where a voucher may be used.
type VoucherAvailableGeographyScopeInfo struct {
	AvailableGeographyCityInfo  *VoucherAvailableGeographyCityInfo `json:"available_geography_city_info,omitempty"`
	AvailableGeographyScopeType string                             `json:"available_geography_scope_type,omitempty"`
	AvailableGeographyShopInfo  *VoucherAvailableGeographyShopInfo `json:"available_geography_shop_info,omitempty"`
}

// VoucherAvailableGeographyCityInfo names cities.
type VoucherAvailableGeographyCityInfo struct {
	AllCity            *bool    `json:"all_city,omitempty"`
	AvailableCityCodes []string `json:"available_city_codes,omitempty"`
}

// VoucherAvailableGeographyShopInfo names shops.
type VoucherAvailableGeographyShopInfo struct {
	AvailableGeographyAllShop *VoucherAvailableGeographyAllShopInfo `json:"available_geography_all_shop,omitempty"`
	AvailableRealShopIDs      []string                              `json:"available_real_shop_ids,omitempty"`
	AvailableShopIDs          []string                              `json:"available_shop_ids,omitempty"`
}

// VoucherAvailableGeographyAllShopInfo means every shop of a brand or of merchants, but for
// some.
type VoucherAvailableGeographyAllShopInfo struct {
	AvailableBrandID string   `json:"available_brand_id,omitempty"`
	ExcludeShopIDs   []string `json:"exclude_shop_ids,omitempty"`
	MerchantIDs      []string `json:"merchant_ids,omitempty"`
}

// VoucherAvailableGoodsInfo says which goods a voucher is for.
type VoucherAvailableGoodsInfo struct {
	AvailableGoodsSKUIDs       []string `json:"available_goods_sku_ids,omitempty"`
	ExcludeGoodsSKUIDs         []string `json:"exclude_goods_sku_ids,omitempty"`
	GoodsDescription           string   `json:"goods_description,omitempty"`
	GoodsDetail                string   `json:"goods_detail,omitempty"`
	GoodsDetailImages          []string `json:"goods_detail_images,omitempty"`
	GoodsDetailRichDescription string   `json:"goods_detail_rich_description,omitempty"`
	GoodsName                  string   `json:"goods_name,omitempty"`
	OriginAmount               string   `json:"origin_amount,omitempty"`
}

// VoucherAvailableItemInfo names one item, and the items of mini programs that it stands for.
type VoucherAvailableItemInfo struct {
	ItemID      string                        `json:"item_id,omitempty"`
	OutItemInfo []VoucherAvailableOutItemInfo `json:"out_item_info,omitempty"`
}

// VoucherAvailableOutItemInfo is an item of a mini program.
type VoucherAvailableOutItemInfo struct {
	ItemAppID string `json:"item_app_id,omitempty"`
	OutItemID string `json:"out_item_id,omitempty"`
}

// VoucherBudgetSupplyInfo says who pays: budget_type NO_CASH, or RECHARGE for a prepaid
// voucher.
type VoucherBudgetSupplyInfo struct {
	BudgetType          string               `json:"budget_type,omitempty"`
	VoucherRechargeInfo *VoucherRechargeInfo `json:"voucher_recharge_info,omitempty"`
}

// VoucherRechargeInfo says how a prepaid budget is paid.
type VoucherRechargeInfo struct {
	RechargeType               string                      `json:"recharge_type,omitempty"`
	VoucherBalanceRechargeInfo *VoucherBalanceRechargeInfo `json:"voucher_balance_recharge_info,omitempty"`
}

// VoucherBalanceRechargeInfo names the account that pays a prepaid budget, and the amount in
// yuan.
type VoucherBalanceRechargeInfo struct {
	Amount    string `json:"amount,omitempty"`
	LogonID   string `json:"logon_id,omitempty"`
	PartnerID string `json:"partner_id,omitempty"`
}

// VoucherCustomerGuideInfo says where a user is led to get a voucher and to use it.
type VoucherCustomerGuideInfo struct {
	VoucherSendGuideInfo *VoucherSendGuideInfo `json:"voucher_send_guide_info,omitempty"`
	VoucherUseGuideInfo  *VoucherUseGuideInfo  `json:"voucher_use_guide_info,omitempty"`
}

// VoucherSendGuideInfo says where a user gets a voucher.
type VoucherSendGuideInfo struct {
	MiniAppSendGuideInfo *VoucherMiniAppGuideInfo `json:"mini_app_send_guide_info,omitempty"`
	SendGuideMode        []string                 `json:"send_guide_mode,omitempty"`
}

// VoucherMiniAppGuideInfo is a page or service of a mini program.
type VoucherMiniAppGuideInfo struct {
	MiniAppURL          string   `json:"mini_app_url,omitempty"`
	MiniAppServiceCodes []string `json:"mini_app_service_codes,omitempty"`
}

// VoucherUseGuideInfo says where a user uses a voucher.
type VoucherUseGuideInfo struct {
	MiniAppUseGuideInfo *VoucherMiniAppGuideInfo `json:"mini_app_use_guide_info,omitempty"`
	UseGuideMode        []string                 `json:"use_guide_mode,omitempty"`
	UseURL              string                   `json:"use_url,omitempty"`
}

// VoucherDeductInfo says what a voucher is worth: voucher_type, and the block of that type.
// Amounts are in yuan.
type VoucherDeductInfo struct {
	CustomerDefineVoucherInfo *CustomerDefineVoucherInfo `json:"customer_define_voucher_info,omitempty"`
	DiscountVoucherInfo       *DiscountVoucherInfo       `json:"discount_voucher_info,omitempty"`
	ExchangeVoucherInfo       *ExchangeVoucherInfo       `json:"exchange_voucher_info,omitempty"`
	FixVoucherInfo            *FixVoucherInfo            `json:"fix_voucher_info,omitempty"`
	SpecialVoucherInfo        *SpecialVoucherInfo        `json:"special_voucher_info,omitempty"`
	VoucherType               string                     `json:"voucher_type,omitempty"`
}

// CustomerDefineVoucherInfo is a voucher whose worth the merchant describes in words.
type CustomerDefineVoucherInfo struct {
	DeductInfo *DeductInfo `json:"deduct_info,omitempty"`
}

// DeductInfo holds the rule of a CustomerDefineVoucherInfo.
type DeductInfo struct {
	CustomerDefineDeductRule *CustomerDefineDeductRule `json:"customer_define_deduct_rule,omitempty"`
}

// CustomerDefineDeductRule is that rule, in words.
type CustomerDefineDeductRule struct {
	CustomerDefineDeductRuleDesc string `json:"customer_define_deduct_rule_desc,omitempty"`
}

// DiscountVoucherInfo is a voucher for a percentage, with a ceiling.
type DiscountVoucherInfo struct {
	CeilingAmount              string                      `json:"ceiling_amount,omitempty"`
	Discount                   string                      `json:"discount,omitempty"`
	FloorAmount                string                      `json:"floor_amount,omitempty"`
	VoucherDeductThresholdInfo *VoucherDeductThresholdInfo `json:"voucher_deduct_threshold_info,omitempty"`
}

// VoucherDeductThresholdInfo says from what purchase on a voucher counts.
type VoucherDeductThresholdInfo struct {
	CustomerDefineVoucherThresholdDesc    string                                 `json:"customer_define_voucher_threshold_desc,omitempty"`
	VoucherExpressInfo                    *VoucherExpressInfo                    `json:"voucher_express_info,omitempty"`
	VoucherGoodsQuantitySpecificationInfo *VoucherGoodsQuantitySpecificationInfo `json:"voucher_goods_quantity_specification_info,omitempty"`
}

// VoucherExpressInfo is a threshold by means of payment.
type VoucherExpressInfo struct {
	PayExpress string `json:"pay_express,omitempty"`
}

// VoucherGoodsQuantitySpecificationInfo is a threshold by quantity of goods.
type VoucherGoodsQuantitySpecificationInfo struct {
	DirectionalType       string `json:"directional_type,omitempty"`
	SpecificationQuantity int64  `json:"specification_quantity,omitempty"`
	SpecificationUnit     string `json:"specification_unit,omitempty"`
}

// ExchangeVoucherInfo is a voucher that is exchanged for goods.
type ExchangeVoucherInfo struct {
	Amount                     string                      `json:"amount,omitempty"`
	BizType                    string                      `json:"biz_type,omitempty"`
	ExchangeGoodsInfo          *VoucherExchangeGoodsInfo   `json:"exchange_goods_info,omitempty"`
	FloorAmount                string                      `json:"floor_amount,omitempty"`
	VoucherDeductThresholdInfo *VoucherDeductThresholdInfo `json:"voucher_deduct_threshold_info,omitempty"`
}

// VoucherExchangeGoodsInfo names those goods.
type VoucherExchangeGoodsInfo struct {
	ExchangeGoodsName string `json:"exchange_goods_name,omitempty"`
}

// FixVoucherInfo is a voucher for a fixed amount.
type FixVoucherInfo struct {
	Amount                     string                      `json:"amount,omitempty"`
	FloorAmount                string                      `json:"floor_amount,omitempty"`
	VoucherDeductThresholdInfo *VoucherDeductThresholdInfo `json:"voucher_deduct_threshold_info,omitempty"`
}

// SpecialVoucherInfo is a voucher for a special price.
type SpecialVoucherInfo struct {
	FloorAmount                string                      `json:"floor_amount,omitempty"`
	SpecialAmount              string                      `json:"special_amount,omitempty"`
	VoucherDeductThresholdInfo *VoucherDeductThresholdInfo `json:"voucher_deduct_threshold_info,omitempty"`
}

// VoucherDisplayPatternInfo is what users see of a voucher.
type VoucherDisplayPatternInfo struct {
	BrandLogo              string   `json:"brand_logo,omitempty"`
	BrandLogoURL           string   `json:"brand_logo_url,omitempty"`
	BrandName              string   `json:"brand_name,omitempty"`
	CustomerServiceMobile  string   `json:"customer_service_mobile,omitempty"`
	CustomerServiceURL     string   `json:"customer_service_url,omitempty"`
	VoucherDescription     string   `json:"voucher_description,omitempty"`
	VoucherDetailImageURLs []string `json:"voucher_detail_image_urls,omitempty"`
	VoucherDetailImages    []string `json:"voucher_detail_images,omitempty"`
	VoucherImage           string   `json:"voucher_image,omitempty"`
	VoucherImageURL        string   `json:"voucher_image_url,omitempty"`
	VoucherName            string   `json:"voucher_name,omitempty"`
}

// VoucherSendModeInfo says how a voucher is given out, sold, or packed.
type VoucherSendModeInfo struct {
	DeliveryChannelList    []string                `json:"delivery_channel_list,omitempty"`
	VoucherPackageModeInfo *VoucherPackageModeInfo `json:"voucher_package_mode_info,omitempty"`
	VoucherSaleModeInfo    *VoucherSaleModeInfo    `json:"voucher_sale_mode_info,omitempty"`
	VoucherSendMode        string                  `json:"voucher_send_mode,omitempty"`
	VoucherSendRuleInfo    *VoucherSendRuleInfo    `json:"voucher_send_rule_info,omitempty"`
}

// VoucherPackageModeInfo names the package that a voucher is part of.
type VoucherPackageModeInfo struct {
	VoucherPackageID string `json:"voucher_package_id,omitempty"`
}

// VoucherSaleModeInfo says at what price a voucher is sold, and whether it is refunded.
type VoucherSaleModeInfo struct {
	FundCustodyMode              string      `json:"fund_custody_mode,omitempty"`
	OverdueRefundable            *bool       `json:"overdue_refundable,omitempty"`
	OverdueRefundableNeedConfirm *bool       `json:"overdue_refundable_need_confirm,omitempty"`
	PayeePID                     string      `json:"payee_pid,omitempty"`
	Refundable                   *bool       `json:"refundable,omitempty"`
	RefundableNeedConfirm        *bool       `json:"refundable_need_confirm,omitempty"`
	SaleAmount                   string      `json:"sale_amount,omitempty"`
	SettleInfo                   *SettleInfo `json:"settle_info,omitempty"`
}

// SettleInfo says how the price of a sold voucher is settled.
type SettleInfo struct {
	SettleMode       string `json:"settle_mode,omitempty"`
	SettleTargetType string `json:"settle_target_type,omitempty"`
}

// VoucherSendRuleInfo limits how many vouchers are given out, when and to whom. Quantity is
// the total budget.
type VoucherSendRuleInfo struct {
	MaxQuantityByDay               int64  `json:"max_quantity_by_day,omitempty"`
	NaturalPersonLimit             *bool  `json:"natural_person_limit,omitempty"`
	PhoneNumberLimit               *bool  `json:"phone_number_limit,omitempty"`
	PhoneNumberNeedInputLimit      *bool  `json:"phone_number_need_input_limit,omitempty"`
	PublishEndTime                 string `json:"publish_end_time,omitempty"`
	PublishStartTime               string `json:"publish_start_time,omitempty"`
	Quantity                       int64  `json:"quantity,omitempty"`
	QuantityLimitPerUser           int64  `json:"quantity_limit_per_user,omitempty"`
	QuantityLimitPerUserPeriodType string `json:"quantity_limit_per_user_period_type,omitempty"`
	RealNameLimit                  *bool  `json:"real_name_limit,omitempty"`
}

// VoucherInventoryInfo counts vouchers given out and used.
type VoucherInventoryInfo struct {
	SendCount int64 `json:"send_count,omitempty"`
	UseCount  int64 `json:"use_count,omitempty"`
}
