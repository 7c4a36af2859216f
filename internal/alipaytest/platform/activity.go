package platform

import (
	"encoding/json"
	"slices"
	"time"
)

// The states of an activity, and what is under way with it (PROTOCOL.md 5.2).
const (
	notYet   = "" // accepted, not created yet
	initial  = "INIT"
	active   = "ACTIVE"
	paused   = "PAUSE"
	finished = "FINISHED"

	creating  = "CREATING"
	modifying = "MODIFYING"
	appending = "APPENDING"
	finishing = "FINISHEING" // sic
)

// maxQuantity bounds voucher_quantity, and longestRun the time from the
// beginning of an activity to its end (PROTOCOL.md 5.1).
const (
	maxQuantity = 99_999_999
	longestRun  = 180 * 24 * time.Hour
)

// activity is one voucher activity: 支付券, or 商家券 when forOrders.
type activity struct {
	id        string
	forOrders bool
	status    string
	operation string // under way; empty: none
	created   time.Time
	stopped   bool // by a call, not by time

	name       string
	merchantID string
	start, end time.Time
	quantity   int64 // vouchers there are in all
	sent, used int64
	blocks     object // what create and modify said, by its own names
}

// statusAt is the state as a query tells it. An activity whose time is over
// ends without a word.
func (a *activity) statusAt(at time.Time) string {
	if (a.status == active || a.status == paused) && at.After(a.end) {
		return finished
	}
	return a.status
}

// view is the activity as the queries show it, in the old names and the new.
func (a *activity) view(at time.Time) object {
	out := clone(a.blocks)
	for _, base := range []string{"", "activity_base_info."} {
		set(out, base+"activity_id", a.id)
		set(out, base+"activity_name", a.name)
		set(out, base+"activity_status", a.statusAt(at))
	}
	set(out, "activity_base_info.activity_operation_status", a.operation)
	set(out, "activity_base_info.belong_merchant_info.merchant_id", a.merchantID)
	set(out, "belong_merchant_info.merchant_id", a.merchantID)
	for name, value := range map[string]any{"publish_start_time": clock(a.start), "publish_end_time": clock(a.end)} {
		set(out, name, value)
		set(out, "voucher_send_mode_info.voucher_send_rule_info."+name, value)
	}
	set(out, "voucher_send_mode_info.voucher_send_rule_info.quantity", a.quantity)
	set(out, "voucher_send_rule.voucher_quantity", a.quantity)
	set(out, "summary", object{"publish_count": a.sent, "used_count": a.used})
	set(out, "voucher_inventory_info", object{"send_count": a.sent, "use_count": a.used})
	if a.forOrders {
		set(out, "activity_operation_status", a.operation)
	}
	return out
}

// idle is nil when the activity can be changed from one of these states.
func (c *call) idle(a *activity, from ...string) *problem {
	switch {
	case a.operation != "":
		return c.invalid("活动有处理中的操作%s", a.operation)
	case !slices.Contains(from, a.statusAt(c.at)):
		return c.invalid("活动状态%s不允许该操作", a.statusAt(c.at))
	}
	return nil
}

// findActivity is the one that the call names, of the caller's and of the
// family that the operation is about.
func (c *call) findActivity(forOrders bool) (*activity, *problem) {
	id := c.text("activity_id", "activity_base_info.activity_id")
	a := c.app.activities[id]
	if a == nil || a.forOrders != forOrders {
		return nil, c.invalid("活动不存在")
	}
	if inner := c.text("activity_base_info.activity_id"); inner != "" && inner != id {
		return nil, c.invalid("activity_id与activity_base_info.activity_id不一致")
	}
	return a, nil
}

// newActivity makes an activity of what the call says, and keeps it.
func (p *Platform) newActivity(c *call, forOrders bool) (*activity, *problem) {
	r := p.draw("activity", c.app.ID, c.op.method, c.text("out_biz_no"))
	a := &activity{
		forOrders: forOrders, created: c.at, start: c.at, end: c.at.Add(longestRun),
		name:       c.text("activity_base_info.activity_name", "activity_name"),
		merchantID: c.text("activity_base_info.belong_merchant_info.merchant_id", "belong_merchant_info.merchant_id"),
		blocks:     onlyBlocks(c.params),
	}
	if a.merchantID == "" {
		a.merchantID = c.app.MerchantID
	}
	var prob *problem
	if a.start, prob = c.time("publish_start_time", a.start); prob != nil {
		return nil, prob
	}
	if a.end, prob = c.time("publish_end_time", a.end); prob != nil {
		return nil, prob
	}
	a.quantity, _ = c.number("voucher_send_mode_info.voucher_send_rule_info.quantity", "voucher_send_rule.voucher_quantity")
	switch {
	case !a.end.After(a.start), !a.end.After(c.at), a.end.Sub(a.start) > longestRun:
		return nil, c.invalid("publish_end_time须晚于publish_start_time和当前时间，且相差不超过180天")
	case a.quantity < 0 || a.quantity > maxQuantity:
		return nil, c.invalid("voucher_quantity应在0到%d之间", maxQuantity)
	}
	for a.id == "" || c.app.activities[a.id] != nil {
		a.id = day(c.at) + "00826" + digits(r, 15)
	}
	p.keepActivity(c.app, a)
	return a, nil
}

func (p *Platform) keepActivity(owner *app, a *activity) {
	owner.activities[a.id] = a
	owner.order = append(owner.order, a)
}

// time is a time that may be in the rule block or beside it.
func (c *call) time(name string, otherwise time.Time) (time.Time, *problem) {
	s := c.text("voucher_send_mode_info.voucher_send_rule_info."+name, name)
	if s == "" {
		return otherwise, nil
	}
	t, err := parseClock(s)
	if err != nil {
		return t, c.invalid("%s格式应为yyyy-MM-dd HH:mm:ss", name)
	}
	return t, nil
}

func onlyBlocks(params object) object {
	out := object{}
	for name, value := range params {
		if inner, ok := value.(object); ok {
			out[name] = clone(inner)
		}
	}
	return out
}

// recharge is where a prepaid budget is paid for: the answer of publish and
// append.
func (a *activity) recharge() object {
	for _, name := range []string{"voucher_budget_supply_info.budget_type", "voucher_budget_info.budget_type"} {
		if lookup(a.blocks, name) == "RECHARGE" {
			return object{"recharge_url": "https://example.com/recharge?activity_id=" + a.id}
		}
	}
	return object{}
}

// change is what a modify asks for, checked: ranges may only widen, and dates
// only move to later (PROTOCOL.md 5.1).
func (c *call) change(a *activity) (func(), *problem) {
	end, prob := c.time("publish_end_time", a.end)
	if prob != nil {
		return nil, prob
	}
	if end.Before(a.end) || end.Sub(a.start) > longestRun {
		return nil, c.invalid("publish_end_time只能延后，且距开始时间不超过180天")
	}
	change := onlyBlocks(c.params)
	for _, name := range []string{"voucher_use_rule.voucher_valid_period.valid_end_time",
		"voucher_use_rule_info.voucher_use_time_info.absolute_period_info.valid_end_time"} {
		old, _ := lookup(a.blocks, name).(string)
		if s := c.text(name); s != "" && s < old { // the form sorts as time does
			return nil, c.invalid("%s只能延后", name)
		}
	}
	if name := narrows(a.blocks, change); name != "" {
		return nil, c.invalid("%s只能扩大范围", name)
	}
	name := c.text("activity_base_info.activity_name", "activity_name")
	return func() {
		a.end, a.blocks = end, merge(a.blocks, change)
		if name != "" {
			a.name = name
		}
	}, nil
}

// narrows names a range that lacks, after the change, what it has now.
func narrows(old, change object) string {
	for name, value := range change {
		if inner, ok := value.(object); ok {
			before, _ := old[name].(object)
			if found := narrows(before, inner); found != "" {
				return found
			}
			continue
		}
		before, _ := old[name].([]any)
		after, isList := value.([]any)
		if isList && slices.ContainsFunc(before, func(v any) bool { return !holds(after, v) }) {
			return name
		}
	}
	return ""
}

func holds(all []any, wanted any) bool {
	want, _ := json.Marshal(wanted)
	return slices.ContainsFunc(all, func(v any) bool {
		got, _ := json.Marshal(v)
		return string(got) == string(want)
	})
}
