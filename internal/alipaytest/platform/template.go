package platform

// defaultTemplate is what every app has from the start.
func defaultTemplate() object {
	return object{
		"card_type": "OUT_MEMBER_CARD", "biz_no_prefix": "prex", "biz_no_suffix_len": "10",
		"template_style_info": object{"card_show_name": "会员卡", "brand_name": "示例", "bg_color": "rgb(55,112,179)"},
		"field_rule_list":     []any{object{"field_name": "Balance", "rule_name": "ASSIGN_FROM_REQUEST", "rule_value": "Balance"}},
	}
}

func (p *Platform) queryTemplate(c *call) (object, *problem) {
	template := c.app.templates[c.text("template_id")]
	if template == nil {
		return nil, decline("TEMPLATE_NOT_EXIT", "会员卡模板不存在")
	}
	return clone(template), nil
}

// modifyTemplate changes a template; field_rule_list is taken and not changed
// (the card documentation).
func (p *Platform) modifyTemplate(c *call) (object, *problem) {
	id := c.text("template_id")
	if c.app.templates[id] == nil {
		return nil, decline("TEMPLATE_NOT_EXIT", "会员卡模板不存在")
	}
	change := clone(c.params)
	for _, name := range []string{"request_id", "template_id", "field_rule_list"} {
		delete(change, name)
	}
	if levels, ok := change["card_level_conf"]; ok { // modify's name and query's differ (models of the SDK)
		change["card_level_confs"] = levels
		delete(change, "card_level_conf")
	}
	c.app.templates[id] = merge(c.app.templates[id], change)
	return object{"template_id": id}, nil
}
