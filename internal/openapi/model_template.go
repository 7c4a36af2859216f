package openapi

// TemplateActionInfo is a button on a card.
type TemplateActionInfo struct {
	Code       string                    `json:"code,omitempty"`
	MiniAppURL *TemplateActionMiniAppURL `json:"mini_app_url,omitempty"`
	Text       string                    `json:"text,omitempty"`
	URL        string                    `json:"url,omitempty"`
	URLType    string                    `json:"url_type,omitempty"`
}

// TemplateActionMiniAppURL is a page of a mini program behind a button.
type TemplateActionMiniAppURL struct {
	DisplayOnList  string `json:"display_on_list,omitempty"`
	MiniAppID      string `json:"mini_app_id,omitempty"`
	MiniPageParam  string `json:"mini_page_param,omitempty"`
	MiniQueryParam string `json:"mini_query_param,omitempty"`
}

// TemplateCardLevelConf is a level of membership.
type TemplateCardLevelConf struct {
	Level         string `json:"level,omitempty"`
	LevelDesc     string `json:"level_desc,omitempty"`
	LevelIcon     string `json:"level_icon,omitempty"`
	LevelShowName string `json:"level_show_name,omitempty"`
}

// TemplateColumnInfo is a line of the card's page.
type TemplateColumnInfo struct {
	Code        string    `json:"code,omitempty"`
	GroupTitle  string    `json:"group_title,omitempty"`
	IconID      string    `json:"icon_id,omitempty"`
	MoreInfo    *MoreInfo `json:"more_info,omitempty"`
	OperateType string    `json:"operate_type,omitempty"`
	Tag         string    `json:"tag,omitempty"`
	Title       string    `json:"title,omitempty"`
	Value       string    `json:"value,omitempty"`
}

// MoreInfo is the page behind such a line.
type MoreInfo struct {
	Descs  []string `json:"descs,omitempty"`
	Params string   `json:"params,omitempty"`
	Title  string   `json:"title,omitempty"`
	URL    string   `json:"url,omitempty"`
}

// TemplateFieldRule says where a field of a card takes its value from.
type TemplateFieldRule struct {
	FieldName string `json:"field_name,omitempty"`
	RuleName  string `json:"rule_name,omitempty"`
	RuleValue string `json:"rule_value,omitempty"`
}

// TemplateMdcodeNotifyConf says where Alipay asks for dynamic codes: an https URL of the
// merchant.
type TemplateMdcodeNotifyConf struct {
	ExtParams string `json:"ext_params,omitempty"`
	URL       string `json:"url,omitempty"`
}

// TemplateOpenCardConf says how a user opens a card.
type TemplateOpenCardConf struct {
	CardRights         []TemplateRightsContent `json:"card_rights,omitempty"`
	Conf               string                  `json:"conf,omitempty"`
	OpenCardSourceType string                  `json:"open_card_source_type,omitempty"`
	OpenCardURL        string                  `json:"open_card_url,omitempty"`
	SourceAppID        string                  `json:"source_app_id,omitempty"`
}

// TemplateRightsContent is a benefit shown when a card is opened.
type TemplateRightsContent struct {
	Detail string `json:"detail,omitempty"`
	LogoID string `json:"logo_id,omitempty"`
	Title  string `json:"title,omitempty"`
}

// PaidOuterCardTemplateConf is about templates of cards that users pay for.
type PaidOuterCardTemplateConf struct {
	CycleSellingConf *PaidOuterCardCycleSellConf `json:"cycle_selling_conf,omitempty"`
	ManageURLConf    *PaidOuterCardManageURLConf `json:"manage_url_conf,omitempty"`
	OpenSellingConf  *PaidOuterCardSellingConf   `json:"open_selling_conf,omitempty"`
}

// PaidOuterCardCycleSellConf is about selling a card that is paid again and again.
type PaidOuterCardCycleSellConf struct {
	CycleSellingURL  string   `json:"cycle_selling_url,omitempty"`
	CycleType        []string `json:"cycle_type,omitempty"`
	SupportCycleSell *bool    `json:"support_cycle_sell,omitempty"`
}

// PaidOuterCardManageURLConf holds the pages where a paid card is managed.
type PaidOuterCardManageURLConf struct {
	CycleManageURL string `json:"cycle_manage_url,omitempty"`
	DowngradeURL   string `json:"downgrade_url,omitempty"`
	RefundURL      string `json:"refund_url,omitempty"`
	RenewURL       string `json:"renew_url,omitempty"`
	UpgradeURL     string `json:"upgrade_url,omitempty"`
}

// PaidOuterCardSellingConf is about selling a card.
type PaidOuterCardSellingConf struct {
	EndDate     string                     `json:"end_date,omitempty"`
	PriceDetail []PaidOuterCardPriceDetail `json:"price_detail,omitempty"`
	SellingURL  string                     `json:"selling_url,omitempty"`
	StartDate   string                     `json:"start_date,omitempty"`
}

// PaidOuterCardPriceDetail is a price of a card.
type PaidOuterCardPriceDetail struct {
	Desc      string `json:"desc,omitempty"`
	Price     string `json:"price,omitempty"`
	PriceType string `json:"price_type,omitempty"`
	Worth     string `json:"worth,omitempty"`
}

// PubChannel is a channel where a card is offered.
type PubChannel struct {
	ExtInfo    string `json:"ext_info,omitempty"`
	PubChannel string `json:"pub_channel,omitempty"`
}

// TemplateBenefitInfo is a benefit of a card.
type TemplateBenefitInfo struct {
	BenefitDesc []string `json:"benefit_desc,omitempty"`
	EndDate     string   `json:"end_date,omitempty"`
	StartDate   string   `json:"start_date,omitempty"`
	Title       string   `json:"title,omitempty"`
}

// TemplateFormConfig is the form that a user fills in to get a card.
type TemplateFormConfig struct {
	Fields            *TemplateFormFields `json:"fields,omitempty"`
	OpenCardMiniAppID string              `json:"open_card_mini_app_id,omitempty"`
}

// TemplateFormFields names the fields of that form.
type TemplateFormFields struct {
	Optional []string `json:"optional,omitempty"`
	Required []string `json:"required,omitempty"`
}

// TemplateStyleInfo is the look of a card.
type TemplateStyleInfo struct {
	BackgroundID        string   `json:"background_id,omitempty"`
	BannerImgID         string   `json:"banner_img_id,omitempty"`
	BannerURL           string   `json:"banner_url,omitempty"`
	BgColor             string   `json:"bg_color,omitempty"`
	BrandName           string   `json:"brand_name,omitempty"`
	CardShowName        string   `json:"card_show_name,omitempty"`
	Color               string   `json:"color,omitempty"`
	ColumnInfoLayout    string   `json:"column_info_layout,omitempty"`
	FeatureDescriptions []string `json:"feature_descriptions,omitempty"`
	FrontImageEnable    *bool    `json:"front_image_enable,omitempty"`
	FrontTextListEnable *bool    `json:"front_text_list_enable,omitempty"`
	LogoID              string   `json:"logo_id,omitempty"`
	Slogan              string   `json:"slogan,omitempty"`
	SloganImgID         string   `json:"slogan_img_id,omitempty"`
}
