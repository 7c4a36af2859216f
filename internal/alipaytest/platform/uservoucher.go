package platform

import (
	"slices"
	"strconv"
	"time"
)

// The states of a user's voucher (PROTOCOL.md 5.3).
const (
	sended  = "SENDED" // sic
	used    = "USED"
	expired = "EXPIRED"
)

// expiredKept is how long a list of expired vouchers reaches back.
const expiredKept = 180 * 24 * time.Hour

// userVoucher is one voucher in a user's hands.
type userVoucher struct {
	id, code string
	user     string // user id or open id, as it was sent to
	activity *activity
	status   string
	created  time.Time
}

func (v *userVoucher) statusAt(at time.Time) string {
	if v.status == sended && at.After(v.activity.end) {
		return expired
	}
	return v.status
}

func (v *userVoucher) view(at time.Time) object {
	out := clone(v.activity.blocks)
	set(out, "activity_base_info.activity_id", v.activity.id)
	base := object{"voucher_id": v.id, "voucher_code": v.code, "voucher_name": v.activity.name, "voucher_status": v.statusAt(at),
		"belong_merchant_id": v.activity.merchantID, "create_time": clock(v.created),
		"valid_begin_time": clock(v.created), "valid_end_time": clock(v.activity.end)}
	out["user_voucher_base_info"] = base
	for _, name := range []string{"voucher_id", "voucher_name", "voucher_status", "belong_merchant_id", "create_time"} {
		out[name] = base[name]
	}
	out["activity_id"] = v.activity.id
	out["available_begin_time"], out["available_end_time"] = base["valid_begin_time"], base["valid_end_time"]
	return out
}

// sendVoucher gives a user a voucher. It causes no notification here: which
// operations do, the documents say, and this is not among them.
func (p *Platform) sendVoucher(c *call) (object, *problem) {
	user := c.user("", "user_id")
	if user == "" {
		return nil, c.invalid("user_id和open_id不能同时为空")
	}
	a, prob := c.findActivity(false)
	if prob != nil {
		return nil, prob
	}
	if prob = sendable(a, c.at); prob != nil {
		return nil, prob
	}
	held := int64(0)
	for _, v := range c.app.sent {
		if v.activity == a && v.user == user {
			held++
		}
	}
	if most := a.limitPerUser(); most > 0 && held >= most {
		return nil, decline("COUNT_OVER_LIMIT", "用户领券次数超限")
	}
	r := p.draw("voucher", c.app.ID, c.text("out_biz_no"))
	v := &userVoucher{user: user, activity: a, status: sended, created: c.at, code: digits(r, 12)}
	for v.id == "" || c.app.vouchers[v.id] != nil {
		v.id = day(c.at) + "00073" + digits(r, 15)
	}
	a.sent++
	c.app.vouchers[v.id] = v
	c.app.sent = append(c.app.sent, v)
	return object{"voucher_id": v.id}, nil
}

// sendable is nil while an activity hands out vouchers.
func sendable(a *activity, at time.Time) *problem {
	switch {
	case a.stopped:
		return decline("ACTIVITY_IS_STOPED", "活动已停止") // sic
	case a.status == notYet, a.status == initial, a.status == paused:
		return decline("ACTIVITY_NOT_ACTIVE", "活动未激活")
	case at.After(a.end):
		return decline("ACTIVITY_IS_END", "活动已结束")
	case at.Before(a.start):
		return decline("ACTIVITY_NOT_START", "活动未开始")
	case a.sent >= a.quantity:
		return decline("BUDGET_NOT_ENOUGH", "活动预算不足")
	}
	return nil
}

// limitPerUser is how many vouchers one user may have; 0 is any number.
func (a *activity) limitPerUser() int64 {
	c := call{params: a.blocks}
	n, _ := c.number("voucher_send_mode_info.voucher_send_rule_info.quantity_limit_per_user", "voucher_send_rule.voucher_quantity_limit_per_user")
	return n
}

// batchQueryUserVouchers lists what one user has, the newest first.
func (p *Platform) batchQueryUserVouchers(c *call) (object, *problem) {
	user, belong, sender := c.user("", "user_id"), c.text("belong_merchant_id"), c.text("sender_merchant_id")
	switch {
	case user == "":
		return nil, c.invalid("user_id和open_id不能同时为空")
	case (belong == "") == (sender == ""):
		return nil, c.invalid("belong_merchant_id和sender_merchant_id须且只能传一个")
	}
	var found []any
	for _, v := range slices.Backward(c.app.sent) {
		status, owner := c.text("voucher_status"), belong
		if owner == "" {
			owner = sender // who sends is who owns here
		}
		old := v.statusAt(c.at) == expired && c.at.Sub(v.activity.end) > expiredKept
		if v.user == user && v.activity.merchantID == owner && !old && (status == "" || status == v.statusAt(c.at)) &&
			(c.text("activity_id") == "" || c.text("activity_id") == v.activity.id) {
			found = append(found, v.view(c.at))
		}
	}
	return c.page(found, "user_voucher_infos", 20)
}

func (p *Platform) queryUserVoucher(c *call) (object, *problem) {
	user, id, code := c.user("", "user_id"), c.text("voucher_id"), c.text("voucher_code")
	switch {
	case user == "":
		return nil, c.invalid("user_id和open_id不能同时为空")
	case id == "" && code == "":
		return nil, c.invalid("voucher_id和voucher_code不能同时为空")
	}
	i := slices.IndexFunc(c.app.sent, func(v *userVoucher) bool {
		return v.user == user && (id == "" || id == v.id) && (code == "" || code == v.code)
	})
	if i < 0 {
		return nil, decline("VOUCHER_NOT_EXIST", "券不存在")
	}
	v := c.app.sent[i]
	switch merchant, activity := c.text("merchant_id"), c.text("activity_id"); {
	case activity != "" && activity != v.activity.id:
		return nil, decline("VOUCHER_NOT_EXIST", "券不存在")
	case merchant != "" && merchant != v.activity.merchantID:
		return nil, decline("ACTIVITY_NOT_PERMISSION", "无活动权限")
	}
	return v.view(c.at), nil
}

// page cuts one page out of what was found.
func (c *call) page(found []any, name string, most int64) (object, *problem) {
	num, _ := c.number("page_num")
	size, _ := c.number("page_size")
	if num < 1 || size < 1 || size > most {
		return nil, c.invalid("page_num应不小于1，page_size应在1到%d之间", most)
	}
	from := min((num-1)*size, int64(len(found)))
	to := min(from+size, int64(len(found)))
	return object{name: append([]any{}, found[from:to]...), "page_num": num, "page_size": size, "total_size": len(found)}, nil
}

func itoa(n int) string { return strconv.Itoa(n) }
