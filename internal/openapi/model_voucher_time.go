package openapi

// VoucherUseRuleInfo limits how often and when a voucher is used.
type VoucherUseRuleInfo struct {
	PaymentRestrictionList         []string            `json:"payment_restriction_list,omitempty"`
	QuantityLimitPerUser           int64               `json:"quantity_limit_per_user,omitempty"`
	QuantityLimitPerUserPeriodType string              `json:"quantity_limit_per_user_period_type,omitempty"`
	VoucherMaxUseTimes             int64               `json:"voucher_max_use_times,omitempty"`
	VoucherUseExtInfo              string              `json:"voucher_use_ext_info,omitempty"`
	VoucherUseTimeInfo             *VoucherUseTimeInfo `json:"voucher_use_time_info,omitempty"`
}

// VoucherUseTimeInfo is when a voucher is valid: period_type, and the block of that type.
type VoucherUseTimeInfo struct {
	AbsolutePeriodInfo *VoucherAbsolutePeriodInfo `json:"absolute_period_info,omitempty"`
	PeriodType         string                     `json:"period_type,omitempty"`
	RelativePeriodInfo *VoucherRelativePeriodInfo `json:"relative_period_info,omitempty"`
}

// VoucherAbsolutePeriodInfo is a period between two moments.
type VoucherAbsolutePeriodInfo struct {
	TimeRestrictInfo *TimeRestrictInfo `json:"time_restrict_info,omitempty"`
	ValidBeginTime   string            `json:"valid_begin_time,omitempty"`
	ValidEndTime     string            `json:"valid_end_time,omitempty"`
}

// VoucherRelativePeriodInfo is a period that begins when the user gets the voucher, in days.
type VoucherRelativePeriodInfo struct {
	TimeRestrictInfo      *TimeRestrictInfo `json:"time_restrict_info,omitempty"`
	ValidDaysAfterReceive int64             `json:"valid_days_after_receive,omitempty"`
	WaitDaysAfterReceive  int64             `json:"wait_days_after_receive,omitempty"`
}

// TimeRestrictInfo lists times within a period when a voucher can, or cannot, be used.
type TimeRestrictInfo struct {
	DisablePeriodInfo []VoucherUseTimeRuleInfo `json:"disable_period_info,omitempty"`
	UsablePeriodInfo  []VoucherUseTimeRuleInfo `json:"usable_period_info,omitempty"`
}

// VoucherUseTimeRuleInfo is one such time: rule_type, and the block of that type.
type VoucherUseTimeRuleInfo struct {
	DateRuleInfo    *DateRuleInfo    `json:"date_rule_info,omitempty"`
	HolidayRuleInfo *HolidayRuleInfo `json:"holiday_rule_info,omitempty"`
	RuleType        string           `json:"rule_type,omitempty"`
	WeekRuleInfo    *WeekRuleInfo    `json:"week_rule_info,omitempty"`
}

// DateRuleInfo is a range of days, and of hours within them.
type DateRuleInfo struct {
	DateRangeInfo *DateRangeInfo `json:"date_range_info,omitempty"`
	TimeRangeInfo *TimeRangeInfo `json:"time_range_info,omitempty"`
}

// DateRangeInfo is a range of days.
type DateRangeInfo struct {
	BeginDate string `json:"begin_date,omitempty"`
	EndDate   string `json:"end_date,omitempty"`
}

// TimeRangeInfo is a range of hours.
type TimeRangeInfo struct {
	BeginTime   string       `json:"begin_time,omitempty"`
	EndTimeInfo *EndTimeInfo `json:"end_time_info,omitempty"`
}

// EndTimeInfo is the end of a range of hours, on the same day or the next.
type EndTimeInfo struct {
	EndTime     string `json:"end_time,omitempty"`
	EndTimeType string `json:"end_time_type,omitempty"`
}

// HolidayRuleInfo is a range of hours on holidays.
type HolidayRuleInfo struct {
	TimeRangeInfo *TimeRangeInfo `json:"time_range_info,omitempty"`
}

// WeekRuleInfo is a range of hours on a day of the week.
type WeekRuleInfo struct {
	TimeRangeInfo *TimeRangeInfo `json:"time_range_info,omitempty"`
	WeekDay       string         `json:"week_day,omitempty"`
}
