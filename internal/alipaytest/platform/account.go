package platform

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBindings is how many accounts one user may bind. What it is at Alipay, no
// document says.
const maxBindings = 10

// binding is a merchant's account that a user of the 生活号 has bound.
type binding struct {
	agreementID string
	account     string
	userID      string
	openID      string
	display     string
	real        string
}

func (b *binding) of(userID, openID string) bool {
	return userID != "" && b.userID == userID || openID != "" && b.openID == openID
}

// readBinding reads what create and reset are given, with the codes that these
// operations have of their own (PROTOCOL.md 5.5).
func (c *call) readBinding() (*binding, *problem) {
	b := &binding{account: c.text("bind_account_no"), userID: c.text("from_user_id"), openID: c.text("open_id"),
		display: c.text("display_name"), real: c.text("real_name")}
	switch {
	case b.userID == "" && b.openID == "":
		return nil, decline("FROM_USER_ID_NULL", "from_user_id和open_id不能同时为空")
	case b.userID != "" && !isUserID(b.userID):
		return nil, decline("USERINFO_NOT_EXIST", "用户不存在")
	case len(b.openID) > 128:
		return nil, decline("OPEN_ID_IS_ILLEGAL", "open_id不合法")
	case b.account == "":
		return nil, decline("BIND_ACCOUNT_NO_NULL", "绑定账号为空")
	case utf8.RuneCountInString(b.account) > 32:
		return nil, decline("BIND_ACCOUNT_FORMAT_ERROR", "绑定账号格式错误")
	case b.display == "":
		return nil, decline("DISPLAY_NAME_IS_NULL", "显示名为空")
	case utf8.RuneCountInString(b.display) > 10:
		return nil, decline("DISPLAY_NAME_EXCEED_LENGTH", "显示名超过10个字符")
	case utf8.RuneCountInString(b.real) > 10:
		return nil, decline("REAL_NAME_EXCEED_LENGTH", "真实姓名超过10个字符")
	}
	return b, nil
}

// isUserID: 2088 and twelve more digits.
func isUserID(s string) bool {
	return len(s) == 16 && strings.HasPrefix(s, "2088") && strings.Trim(s, "0123456789") == ""
}

// createBinding is idempotent per user and account.
func (p *Platform) createBinding(c *call) (object, *problem) {
	b, prob := c.readBinding()
	if prob != nil {
		return nil, prob
	}
	bound := 0
	for _, old := range c.app.bindings {
		if !old.of(b.userID, b.openID) {
			continue
		}
		if old.account == b.account {
			return object{"agreement_id": old.agreementID}, nil
		}
		bound++
	}
	if bound >= maxBindings {
		return nil, decline("EXCEED_THIRD_ACCOUNT_LIMIT", "绑定账号数超过限制")
	}
	p.bind(c, b)
	return object{"agreement_id": b.agreementID}, nil
}

func (p *Platform) bind(c *call, b *binding) {
	r := p.draw("binding", c.app.ID, b.userID, b.openID, b.account)
	for b.agreementID == "" || slices.ContainsFunc(c.app.bindings, func(old *binding) bool { return old.agreementID == b.agreementID }) {
		b.agreementID = day(c.at) + digits(r, 16)
	}
	c.app.bindings = append(c.app.bindings, b)
}

func (c *call) unbind(b *binding) {
	c.app.bindings = slices.DeleteFunc(c.app.bindings, func(old *binding) bool { return old == b })
}

// resetBinding removes the account of agreement_id and binds the new one.
func (p *Platform) resetBinding(c *call) (object, *problem) {
	b, prob := c.readBinding()
	if prob != nil {
		return nil, prob
	}
	id := c.text("agreement_id")
	if id == "" {
		return nil, decline("AGREEMENT_ID_NULL", "协议号为空")
	}
	i := slices.IndexFunc(c.app.bindings, func(old *binding) bool { return old.agreementID == id })
	switch {
	case i < 0:
		return nil, decline("DELETE_THIRD_ACCOUNT_FAIL", "原绑定账号不存在")
	case !c.app.bindings[i].of(b.userID, b.openID):
		return nil, decline("FORBIT_REMOVE_OTHER_USER_BIND_AC", "不能删除其他用户的绑定账号") // sic
	}
	c.unbind(c.app.bindings[i])
	p.bind(c, b)
	return object{"agreement_id": b.agreementID}, nil
}

// deleteBinding names the account by its agreement, or by its number and user.
func (p *Platform) deleteBinding(c *call) (object, *problem) {
	id, account, user, open := c.text("agreement_id"), c.text("bind_account_no"), c.text("from_user_id"), c.text("open_id")
	if id == "" && (account == "" || user == "" && open == "") {
		return nil, decline("ACCOUNT_PARAMS_NOT_ENOUGH", "agreement_id为空时，bind_account_no和用户不能为空")
	}
	i := slices.IndexFunc(c.app.bindings, func(b *binding) bool {
		return (id == "" || b.agreementID == id) && (account == "" || b.account == account)
	})
	if i < 0 {
		return nil, decline("REMOVE_BIND_ACCOUNT_FAIL", "绑定账号不存在")
	}
	b := c.app.bindings[i]
	if (user != "" || open != "") && !b.of(user, open) {
		return nil, decline("FORBIT_REMOVE_BIND_ACCOUNT", "不能删除该绑定账号") // sic
	}
	c.unbind(b)
	return object{}, nil
}

func (p *Platform) queryBindings(c *call) (object, *problem) {
	user, open := c.text("user_id"), c.text("open_id")
	if user != "" && !isUserID(user) || user == "" && open == "" {
		return nil, decline("OPEN_ID_IS_ILLEGAL", "用户标识不合法")
	}
	found := []any{}
	for _, b := range c.app.bindings {
		if !b.of(user, open) {
			continue
		}
		row := object{"agreement_id": b.agreementID, "app_id": c.app.ID, "bind_account_no": b.account, "display_name": b.display}
		for name, value := range map[string]string{"from_user_id": b.userID, "open_id": b.openID, "real_name": b.real} {
			if value != "" {
				row[name] = value
			}
		}
		found = append(found, row)
	}
	return object{"public_bind_accounts": found}, nil
}
