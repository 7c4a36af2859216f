package openapi

// Blocks that Alipay keeps beside the newer ones of model_voucher.go. Answers
// may hold either, or both.

// VoucherUseRule is the older form of VoucherDeductInfo, VoucherUseRuleInfo and
// VoucherAvailableScopeInfo in one; each operation knows a part of it.
type VoucherUseRule struct {
	AvailableAppIDs                       []string                     `json:"available_app_ids,omitempty"`
	AvailableGoods                        *VoucherAvailableGoods       `json:"available_goods,omitempty"`
	AvailableMerchant                     *VoucherAvailableAccountInfo `json:"available_merchant,omitempty"`
	AvailableStoreIDs                     []string                     `json:"available_store_ids,omitempty"`
	FixVoucher                            *FixVoucher                  `json:"fix_voucher,omitempty"`
	UnavailableGoodsIDs                   []string                     `json:"unavailable_goods_ids,omitempty"`
	UseMode                               string                       `json:"use_mode,omitempty"`
	UseURL                                string                       `json:"use_url,omitempty"`
	VoucherQuantityLimitPerUser           int64                        `json:"voucher_quantity_limit_per_user,omitempty"`
	VoucherQuantityLimitPerUserPeriodType string                       `json:"voucher_quantity_limit_per_user_period_type,omitempty"`
	VoucherValidPeriod                    *VoucherValidPeriod          `json:"voucher_valid_period,omitempty"`
	DiscountVoucher                       *DiscountVoucher             `json:"discount_voucher,omitempty"`
	ExchangeVoucher                       *ExchangeVoucher             `json:"exchange_voucher,omitempty"`
	SpecialVoucher                        *SpecialVoucher              `json:"special_voucher,omitempty"`
	VoucherAvailableScope                 *VoucherAvailableScope       `json:"voucher_available_scope,omitempty"`
}

// VoucherUseRuleModify is what alipay.marketing.activity.voucher.modify knows of it: there two
// of the lists are one string.
type VoucherUseRuleModify struct {
	AvailableAppIDs    string                       `json:"available_app_ids,omitempty"`
	AvailableGoods     *VoucherAvailableGoods       `json:"available_goods,omitempty"`
	AvailableMerchant  *VoucherAvailableAccountInfo `json:"available_merchant,omitempty"`
	AvailableStoreIDs  string                       `json:"available_store_ids,omitempty"`
	VoucherValidPeriod *VoucherValidPeriod          `json:"voucher_valid_period,omitempty"`
}

// VoucherSendRule is the older form of VoucherSendRuleInfo. VoucherQuantity is the total
// budget.
type VoucherSendRule struct {
	MaxQuantityByDay                      int64  `json:"max_quantity_by_day,omitempty"`
	NaturalPersonLimit                    *bool  `json:"natural_person_limit,omitempty"`
	PhoneNumberLimit                      *bool  `json:"phone_number_limit,omitempty"`
	RealNameLimit                         *bool  `json:"real_name_limit,omitempty"`
	VoucherQuantity                       int64  `json:"voucher_quantity,omitempty"`
	VoucherQuantityLimitPerUser           int64  `json:"voucher_quantity_limit_per_user,omitempty"`
	VoucherQuantityLimitPerUserPeriodType string `json:"voucher_quantity_limit_per_user_period_type,omitempty"`
}

// VoucherValidPeriod is the older form of VoucherUseTimeInfo.
type VoucherValidPeriod struct {
	Type                  string `json:"type,omitempty"`
	ValidBeginTime        string `json:"valid_begin_time,omitempty"`
	ValidDaysAfterReceive int64  `json:"valid_days_after_receive,omitempty"`
	ValidEndTime          string `json:"valid_end_time,omitempty"`
	WaitDaysAfterReceive  int64  `json:"wait_days_after_receive,omitempty"`
}

// VoucherAvailableGoods is the older form of VoucherAvailableGoodsInfo.
type VoucherAvailableGoods struct {
	GoodsDescription string   `json:"goods_description,omitempty"`
	GoodsIDs         []string `json:"goods_ids,omitempty"`
	GoodsName        string   `json:"goods_name,omitempty"`
}

// DiscountVoucher is the older form of DiscountVoucherInfo.
type DiscountVoucher struct {
	CeilingAmount string `json:"ceiling_amount,omitempty"`
	Discount      string `json:"discount,omitempty"`
	FloorAmount   string `json:"floor_amount,omitempty"`
	GoodsName     string `json:"goods_name,omitempty"`
	OriginAmount  string `json:"origin_amount,omitempty"`
}

// ExchangeVoucher is the older form of ExchangeVoucherInfo.
type ExchangeVoucher struct {
	Amount                string `json:"amount,omitempty"`
	FloorAmount           string `json:"floor_amount,omitempty"`
	OverdueRefundable     *bool  `json:"overdue_refundable,omitempty"`
	Refundable            *bool  `json:"refundable,omitempty"`
	SaleAmount            string `json:"sale_amount,omitempty"`
	BizType               string `json:"biz_type,omitempty"`
	CustomerServiceMobile string `json:"customer_service_mobile,omitempty"`
	CustomerServiceURL    string `json:"customer_service_url,omitempty"`
	PayeePID              string `json:"payee_pid,omitempty"`
	SettleType            string `json:"settle_type,omitempty"`
	VoucherDetailURL      string `json:"voucher_detail_url,omitempty"`
	VoucherName           string `json:"voucher_name,omitempty"`
}

// FixVoucher is the older form of FixVoucherInfo.
type FixVoucher struct {
	Amount      string `json:"amount,omitempty"`
	FloorAmount string `json:"floor_amount,omitempty"`
	GoodsName   string `json:"goods_name,omitempty"`
}

// SpecialVoucher is the older form of SpecialVoucherInfo.
type SpecialVoucher struct {
	FloorAmount   string `json:"floor_amount,omitempty"`
	GoodsName     string `json:"goods_name,omitempty"`
	OriginAmount  string `json:"origin_amount,omitempty"`
	SpecialAmount string `json:"special_amount,omitempty"`
}

// VoucherDisplayInfo is the older form of VoucherDisplayPatternInfo.
type VoucherDisplayInfo struct {
	BrandName             string   `json:"brand_name,omitempty"`
	CustomerServiceMobile string   `json:"customer_service_mobile,omitempty"`
	VoucherDescription    string   `json:"voucher_description,omitempty"`
	VoucherDetailImages   []string `json:"voucher_detail_images,omitempty"`
	VoucherImage          string   `json:"voucher_image,omitempty"`
	BrandLogo             string   `json:"brand_logo,omitempty"`
	CustomerServiceURL    string   `json:"customer_service_url,omitempty"`
	VoucherComment        string   `json:"voucher_comment,omitempty"`
}

// VoucherBudgetInfo is the older form of VoucherBudgetSupplyInfo.
type VoucherBudgetInfo struct {
	Amount       string                     `json:"amount,omitempty"`
	BudgetType   string                     `json:"budget_type,omitempty"`
	RechargeInfo *VoucherBudgetRechargeInfo `json:"recharge_info,omitempty"`
}

// VoucherBudgetRechargeInfo says how a prepaid budget is paid, in the older form.
type VoucherBudgetRechargeInfo struct {
	AlipayBalanceRechargeInfo *AlipayBalanceRechargeInfo `json:"alipay_balance_recharge_info,omitempty"`
	RechargeType              string                     `json:"recharge_type,omitempty"`
}

// AlipayBalanceRechargeInfo names the account that pays a prepaid budget, in the older form.
type AlipayBalanceRechargeInfo struct {
	LogonID string `json:"logon_id,omitempty"`
	UserID  string `json:"user_id,omitempty"`
}

// VoucherSummary counts vouchers given out and used, in the older form.
type VoucherSummary struct {
	PublishCount int64 `json:"publish_count,omitempty"`
	UsedCount    int64 `json:"used_count,omitempty"`
}

// CustomerGuide is the older form of VoucherCustomerGuideInfo.
type CustomerGuide struct {
	MiniAppID        string            `json:"mini_app_id,omitempty"`
	MiniAppPath      string            `json:"mini_app_path,omitempty"`
	RealShopIDs      []string          `json:"real_shop_ids,omitempty"`
	ServiceCodes     []string          `json:"service_codes,omitempty"`
	ShopIDs          []string          `json:"shop_ids,omitempty"`
	StoreIDs         []string          `json:"store_ids,omitempty"`
	VoucherSendGuide *VoucherSendGuide `json:"voucher_send_guide,omitempty"`
	VoucherUseGuide  *VoucherUseGuide  `json:"voucher_use_guide,omitempty"`
}

// VoucherSendGuide is the older form of VoucherSendGuideInfo.
type VoucherSendGuide struct {
	VoucherDetailURL string `json:"voucher_detail_url,omitempty"`
}

// VoucherUseGuide is the older form of VoucherUseGuideInfo.
type VoucherUseGuide struct {
	MiniAppID           string   `json:"mini_app_id,omitempty"`
	MiniAppPath         string   `json:"mini_app_path,omitempty"`
	MiniAppUseGuide     *bool    `json:"mini_app_use_guide,omitempty"`
	OfflineCodeUseGuide *bool    `json:"offline_code_use_guide,omitempty"`
	ServiceCodes        []string `json:"service_codes,omitempty"`
}

// VoucherAvailableScope is the older form of VoucherAvailableGeographyScopeInfo.
type VoucherAvailableScope struct {
	OrderVoucherAvailableCityCode *OrderVoucherAvailableCityCode `json:"order_voucher_available_city_code,omitempty"`
	OrderVoucherAvailableShop     *OrderVoucherAvailableShop     `json:"order_voucher_available_shop,omitempty"`
	VoucherAvailableType          string                         `json:"voucher_available_type,omitempty"`
}

// OrderVoucherAvailableCityCode names cities, in the older form.
type OrderVoucherAvailableCityCode struct {
	AllCity   *bool    `json:"all_city,omitempty"`
	CityCodes []string `json:"city_codes,omitempty"`
}

// OrderVoucherAvailableShop names shops, in the older form.
type OrderVoucherAvailableShop struct {
	OrderVoucherMerchantAllShop *OrderVoucherMerchantAllShop `json:"order_voucher_merchant_all_shop,omitempty"`
	RealShopIDs                 []string                     `json:"real_shop_ids,omitempty"`
	ShopIDs                     []string                     `json:"shop_ids,omitempty"`
}

// OrderVoucherMerchantAllShop means every shop of the merchant, but for some.
type OrderVoucherMerchantAllShop struct {
	ExcludeShopIDs []string `json:"exclude_shop_ids,omitempty"`
}
