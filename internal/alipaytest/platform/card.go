package platform

import (
	"encoding/json"
	"maps"
	"slices"

	"alipay-notify/internal/alipaytest"
)

// The ways to name a card: its number at Alipay; the numbers behind its dynamic
// codes; and, in older documents, the merchant's own number.
const (
	bizCard      = "BIZ_CARD"
	qrCode       = "D_QR_CODE"
	barCode      = "D_BAR_CODE"
	externalCard = "EXTERNAL_CARD"
)

// card is a member's card.
type card struct {
	bizNo    string
	template string
	user     string
	openID   bool // user is an open id
	info     object
	paid     object // paid_outer_card_info
	reason   string // why it was deleted; empty: it was not
}

// DynamicCode is the number behind the code that the member's app shows for a
// card, by the type D_QR_CODE or D_BAR_CODE. Alipay changes its codes every
// minute; these stay.
func DynamicCode(cardNoType, bizCardNo string) string {
	switch cardNoType {
	case qrCode:
		return "28" + bizCardNo
	case barCode:
		return "62" + bizCardNo
	}
	return ""
}

func (k *card) called(no, kind string) bool {
	if kind == bizCard || kind == externalCard {
		return no == map[string]any{bizCard: k.bizNo, externalCard: k.info["external_card_no"]}[kind]
	}
	// A merchant that makes the codes itself sends them with an update.
	return no == DynamicCode(kind, k.bizNo) || no == lookup(k.info, "mdcode_info.code_value")
}

// findCard is the card that the call names, deleted or not.
func (c *call) findCard() (*card, *problem) {
	no, kind := c.text("target_card_no"), c.text("target_card_no_type")
	var gone *card
	for _, bizNo := range slices.Sorted(maps.Keys(c.app.cards)) {
		switch k := c.app.cards[bizNo]; {
		case !k.called(no, kind):
		case k.reason == "":
			return k, nil
		default:
			gone = k // EXTERNAL_CARD: the same number may have been bound again
		}
	}
	if gone == nil {
		return nil, decline("CARD_NOT_EXIT", "会员卡不存在") // sic
	}
	return gone, nil
}

func (p *Platform) openCard(c *call) (object, *problem) {
	user := c.user("card_user_info.", "user_uni_id")
	switch template := c.app.templates[c.text("card_template_id")]; {
	case c.v2 && c.text("auth_token") == "": // PROTOCOL.md 5.4: required over gateway.do
		return nil, refuse("invalid-auth-token", "")
	case user == "":
		return nil, c.invalid("user_uni_id和open_id不能同时为空")
	case template == nil:
		return nil, decline("TEMPLATE_NOT_EXIT", "会员卡模板不存在") // sic
	}
	if prob := c.checkFront("card_ext_info.front_text_list"); prob != nil {
		return nil, prob
	}
	for _, k := range c.app.cards {
		if k.user == user && k.template == c.text("card_template_id") && (k.reason == "" || k.reason == "CANCEL") {
			return nil, decline("CARD_HAS_OPENED", "用户已开卡，或已销户")
		}
	}
	r := p.draw("card", c.app.ID, c.text("out_serial_no"))
	k := &card{template: c.text("card_template_id"), user: user, openID: c.text("card_user_info.user_uni_id") == "",
		info: clone(c.params["card_ext_info"].(object))}
	for k.bizNo == "" || c.app.cards[k.bizNo] != nil {
		k.bizNo = "00" + digits(r, 14)
	}
	k.paid, _ = c.params["paid_outer_card_info"].(object)
	k.info["biz_card_no"], k.info["template_id"] = k.bizNo, k.template
	for name, value := range map[string]string{"open_date": clock(c.at), "valid_date": clock(c.at.AddDate(10, 0, 0))} {
		if k.info[name] == nil {
			k.info[name] = value
		}
	}
	c.app.cards[k.bizNo] = k
	p.later(&event{app: c.app, typ: "card.open_result", key: k.bizNo, number: c.text("out_serial_no"), payload: k.opened()}, func() {})

	out := object{"card_info": clone(k.info)}
	for _, name := range []string{"open_card_channel", "open_card_channel_id"} {
		if s := c.text(name); s != "" {
			out[name] = s
		}
	}
	return out, nil
}

// opened is what card.open_result tells (PROTOCOL.md 2.4).
func (k *card) opened() payload {
	external, _ := k.info["external_card_no"].(string)
	user := alipaytest.Field{Name: "user_id", Value: k.user}
	out := payload{fields: []alipaytest.Field{
		{Name: "template_id", Value: k.template}, {Name: "biz_card_no", Value: k.bizNo},
		{Name: "external_card_no", Value: external}, {Name: "success", Value: "true"},
	}}
	if k.openID {
		user.Name, out.without = "open_id", "user_id"
	}
	out.fields = append(out.fields, user)
	return out
}

// checkFront checks the lines on a card's face.
func (c *call) checkFront(name string) *problem {
	lines, _ := lookup(c.params, name).([]any)
	if len(lines) > 4 {
		return c.invalid("%s最多4行", name)
	}
	for _, line := range lines {
		o, _ := line.(object)
		label, _ := o["label"].(string)
		value, _ := o["value"].(string)
		if len([]rune(label)) > 4 || len([]rune(value)) > 32 {
			return c.invalid("%s的label最长4、value最长32", name)
		}
	}
	return nil
}

// queryCard finds a card by Alipay's numbers; the user, where given, has to
// be the member (card.query's documentation).
func (p *Platform) queryCard(c *call) (object, *problem) {
	if c.text("target_card_no_type") == externalCard {
		return nil, c.invalid("会员卡查询只能提供支付宝端的卡号")
	}
	k, prob := c.findCard()
	if prob != nil {
		return nil, prob
	}
	user := c.user("card_user_info.", "user_uni_id")
	if k.reason != "" || user != "" && user != k.user || c.text("template_id") != "" && c.text("template_id") != k.template {
		return nil, decline("CARD_NOT_EXIT", "会员卡不存在")
	}
	out := object{"card_info": clone(k.info), "pass_id": "P" + k.bizNo,
		"schema_url": "alipays://platformapi/startapp?appId=20000021&b=m&p=" + k.bizNo}
	if k.paid != nil {
		out["paid_outer_card_info"] = clone(k.paid)
	}
	return out, nil
}

// updateCard changes a card; it says nothing when open_date and valid_date are
// set, and does not change them (PROTOCOL.md 5.4).
func (p *Platform) updateCard(c *call) (object, *problem) {
	if _, err := parseClock(c.text("occur_time")); err != nil {
		return nil, c.invalid("occur_time格式应为yyyy-MM-dd HH:mm:ss")
	}
	if prob := c.checkFront("card_info.front_text_list"); prob != nil {
		return nil, prob
	}
	k, prob := c.findCard()
	if prob == nil && k.reason != "" {
		prob = decline("CARD_NOT_EXIT", "会员卡不存在")
	}
	if prob != nil {
		return nil, prob
	}
	change := clone(c.params["card_info"].(object))
	if id, _ := change["template_id"].(string); id != "" && c.app.templates[id] == nil {
		return nil, decline("NO_CARD_TYPE", "卡类型不正确，请确认模板已创建")
	} else if id != "" {
		k.template = id
	}
	for _, name := range []string{"open_date", "valid_date", "biz_card_no"} {
		delete(change, name)
	}
	k.info = merge(k.info, change)
	if paid, ok := c.params["paid_outer_card_info"].(object); ok {
		k.paid = merge(k.paid, paid)
	}
	return object{"result_code": "SUCCESS"}, nil
}

func (p *Platform) deleteCard(c *call) (object, *problem) {
	if ext := c.text("ext_info"); ext != "" && !json.Valid([]byte(ext)) {
		return nil, c.invalid("ext_info应为JSON")
	}
	k, prob := c.findCard()
	if prob == nil && k.reason != "" {
		prob = decline("CARD_IS_DELETED_ALREADY", "会员卡已删除")
	}
	if prob != nil {
		return nil, prob
	}
	k.reason = c.text("reason_code")
	return object{"biz_serial_no": day(c.at) + digits(p.draw("delete", c.app.ID, c.text("out_serial_no")), 16)}, nil
}
