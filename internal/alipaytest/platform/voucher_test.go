package platform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest/platform"
)

// state is what a query says of an activity.
func (c *caller) state(id string) string {
	c.t.Helper()
	a := c.query(id).want(c.t, "")
	status, inner := a.text(c.t, "activity_status"), a.text(c.t, "activity_base_info", "activity_status")
	if status != inner {
		c.t.Errorf("activity_status is %q and %q", status, inner)
	}
	return strings.TrimSuffix(status+" "+a.text(c.t, "activity_base_info", "activity_operation_status"), " ")
}

// TestLifeOfAVoucher walks one activity through every operation: each is
// accepted, in flight, and then done, with one notification that carries the
// number of the call. create is done at once and tells nobody.
func TestLifeOfAVoucher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier = box })
		c := newCaller(t, p)
		id := c.create("life")
		synctest.Wait()
		if got := c.state(id); got != "INIT" {
			t.Errorf("created: %s", got)
		}
		pass(time.Hour)
		for _, step := range []struct {
			op      string
			more    []any
			flight  string
			after   string
			typ     string
			changed []string // path to what is new, and the value
		}{
			{"publish", nil, "INIT CREATING", "ACTIVE", "voucher.created", nil},
			{"append", []any{"voucher_quantity", 250}, "ACTIVE APPENDING", "ACTIVE", "voucher.appended", nil},
			{"modify", []any{"activity_name", "十元券"}, "ACTIVE MODIFYING", "ACTIVE", "voucher.modified", []string{"activity_name", "十元券"}},
			{"stop", nil, "ACTIVE FINISHEING", "FINISHED", "voucher.stopped", nil},
		} {
			number := "life-" + step.op
			c.change(step.op, id, number, step.more...).want(t, "")
			pass(time.Second) // of the two that it takes
			if got := c.state(id); got != step.flight {
				t.Errorf("%s in flight: %s, want %s", step.op, got, step.flight)
			}
			if sent := box.types(); slices.Contains(sent, step.typ) {
				t.Errorf("%s was told before it was done", step.typ)
			}
			// One at a time.
			c.change("stop", id, "meanwhile-"+step.op).want(t, "INVALID_PARAMETER")
			pass(time.Second)
			if got := c.state(id); got != step.after {
				t.Errorf("%s: %s, want %s", step.op, got, step.after)
			}
			if n := len(step.changed); n > 0 {
				if got := c.query(id).text(t, step.changed[:n-1]...); got != step.changed[n-1] {
					t.Errorf("%s: %s is %s", step.op, step.changed[0], got)
				}
			}
			last := box.got[len(box.got)-1]
			content, _ := last.form.Get("biz_content")
			if last.typ != step.typ || last.number != number || !strings.Contains(content, `"activity_id":"`+id+`"`) {
				t.Errorf("%s caused %s %s", step.op, last.typ, content)
			}
			// The same call once more: the first result, and nothing happens.
			c.change(step.op, id, number, step.more...).want(t, "")
			settle()
		}
		if diff := cmp.Diff([]string{"voucher.created", "voucher.appended", "voucher.modified", "voucher.stopped"}, box.types()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

// TestWhatAStateAllows is the state machine: from each state each operation.
func TestWhatAStateAllows(t *testing.T) {
	t.Parallel()
	const no = "INVALID_PARAMETER"
	for state, want := range map[string]map[string]string{
		"INIT":     {"publish": "", "append": no, "modify": no, "stop": no, "send": "ACTIVITY_NOT_ACTIVE", "query": "ACTIVITY_NOT_ACTIVE"},
		"ACTIVE":   {"publish": no, "append": "", "modify": "", "stop": "", "send": "", "query": ""},
		"PAUSE":    {"publish": no, "append": "", "modify": "", "stop": "", "send": "ACTIVITY_NOT_ACTIVE", "query": ""},
		"FINISHED": {"publish": no, "append": no, "modify": no, "stop": no, "send": "ACTIVITY_IS_STOPED", "query": ""},
	} {
		for op, code := range want {
			t.Run(state+" "+op, func(t *testing.T) {
				t.Parallel()
				c := newCaller(t, newPlatform(t, nil))
				ids, err := c.p.AddActivities("", 1, state)
				if err != nil {
					t.Fatal(err)
				}
				switch op {
				case "append":
					c.change(op, ids[0], "n", "voucher_quantity", 2000).want(t, code)
				case "send":
					c.change(op, ids[0], "n", "user_id", "2088000000000001").want(t, code)
				case "query":
					c.v3("GET", "/v3/alipay/marketing/activity/"+ids[0], object{"merchant_access_mode": "SELF_MODE"}).want(t, code)
				default:
					c.change(op, ids[0], "n").want(t, code)
				}
			})
		}
	}
}

// TestAnActivityEndsByItself: after its time it is FINISHED, and nobody is told.
func TestAnActivityEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Notifier = box }))
		params := newVoucher("ends")
		params["publish_start_time"], params["publish_end_time"] = clock(time.Hour), clock(2*time.Hour)
		id := c.v3("POST", vouchers+"create", params).want(t, "").text(t, "activity_id")
		c.change("publish", id, "p").want(t, "")
		pass(time.Minute)
		c.change("send", id, "s1", "user_id", "2088000000000001").want(t, "ACTIVITY_NOT_START")
		pass(time.Hour)
		c.change("send", id, "s2", "user_id", "2088000000000001").want(t, "")
		pass(time.Hour)
		c.change("send", id, "s3", "user_id", "2088000000000001").want(t, "ACTIVITY_IS_END")
		if got := c.state(id); got != "FINISHED" {
			t.Errorf("%s after its end", got)
		}
		if diff := cmp.Diff([]string{"voucher.created"}, box.types()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

// clock is a written-out time from now.
func clock(in time.Duration) string {
	return time.Now().Add(in).In(time.FixedZone("", 8*3600)).Format(time.DateTime)
}

// TestSameNumber is idempotency, for a write of each kind.
func TestSameNumber(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	first := c.create("same")
	if again := c.create("same"); again != first {
		t.Errorf("the same create made %s and %s", first, again)
	}
	// Over the other protocol it is the same call.
	if again := c.v2("alipay.marketing.activity.voucher.create", newVoucher("same")).want(t, "").text(t, "activity_id"); again != first {
		t.Errorf("over gateway.do it made %s", again)
	}
	other := newVoucher("same")
	other["activity_base_info"] = object{"activity_name": "另一张"}
	c.v3("POST", vouchers+"create", other).want(t, "INVALID_PARAMETER")
	// A number is an operation's own, and one that was refused is free.
	c.change("publish", first, "same").want(t, "")
	c.change("append", first, "refused", "voucher_quantity", 5).want(t, "INVALID_PARAMETER")
	if got := len(c.v3("POST", "/v3/alipay/marketing/activity/batchquery", object{"page_num": 1, "page_size": 20, "merchant_access_mode": "SELF_MODE"}).
		want(t, "").body["activity_lite_infos"].([]any)); got != 1 {
		t.Errorf("%d activities", got)
	}
}

func TestVoucherParameters(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	without := func(name string) object { v := newVoucher("n"); delete(v, name); return v }
	with := func(name string, value any) object { v := newVoucher("n"); v[name] = value; return v }
	rule := func(more object) object {
		return with("voucher_send_mode_info", object{"voucher_send_rule_info": more})
	}
	for name, tt := range map[string]struct {
		params object
		says   string
	}{
		"no number":           {without("out_biz_no"), "out_biz_no不能为空"},
		"an empty number":     {with("out_biz_no", ""), "out_biz_no不能为空"},
		"a long number":       {with("out_biz_no", strings.Repeat("9", 65)), "out_biz_no超过最大长度64"},
		"a number as number":  {with("out_biz_no", 9), "out_biz_no类型错误"},
		"no base info":        {without("activity_base_info"), "activity_base_info不能为空"},
		"base info as text":   {with("activity_base_info", "x"), "activity_base_info类型错误"},
		"base info as list":   {with("activity_base_info", []any{}), "activity_base_info类型错误"},
		"no send mode":        {without("voucher_send_mode_info"), "voucher_send_mode_info不能为空"},
		"no deduction":        {without("voucher_deduct_info"), "voucher_deduct_info不能为空"},
		"no display":          {without("voucher_display_pattern_info"), "voucher_display_pattern_info不能为空"},
		"no mode":             {without("merchant_access_mode"), "merchant_access_mode不能为空"},
		"another mode":        {with("merchant_access_mode", "OTHER"), "merchant_access_mode取值错误"},
		"a long name":         {with("activity_name", strings.Repeat("名", 21)), "activity_name超过最大长度20"},
		"a time in ISO":       {with("publish_end_time", "2030-01-01T00:00:00Z"), "publish_end_time超过最大长度19"},
		"a time with words":   {with("publish_end_time", "tomorrow"), "publish_end_time格式应为"},
		"an end that is over": {rule(object{"publish_start_time": clock(-48 * time.Hour), "publish_end_time": clock(-24 * time.Hour)}), "publish_end_time须晚于"},
		"longer than 180 days": {rule(object{"publish_start_time": clock(0), "publish_end_time": clock(181 * 24 * time.Hour)}),
			"publish_end_time须晚于"},
		"too many": {rule(object{"quantity": 100_000_000}), "voucher_quantity"},
	} {
		a := c.v3("POST", vouchers+"create", tt.params).want(t, "INVALID_PARAMETER")
		if says := a.text(t, "message"); a.Code != 400 || !strings.Contains(says, tt.says) {
			t.Errorf("%s: %d %q, want %q in it", name, a.Code, says, tt.says)
		}
		a = c.v2("alipay.marketing.activity.voucher.create", tt.params).want(t, "INVALID_PARAMETER")
		if a.body["code"] != "40004" || a.body["sub_msg"] == "" {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	c.query("1").want(t, "INVALID_PARAMETER")
	c.change("stop", "1", "n").want(t, "INVALID_PARAMETER")
}

// TestModifyOnlyWidens: dates move to later, ranges grow.
func TestModifyOnlyWidens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, newPlatform(t, nil))
		params := newVoucher("widen")
		params["publish_end_time"] = clock(48 * time.Hour)
		params["voucher_use_rule"] = object{"voucher_valid_period": object{"valid_end_time": clock(72 * time.Hour)}}
		id := c.v3("POST", vouchers+"create", params).want(t, "").text(t, "activity_id")
		c.change("publish", id, "p").want(t, "")
		pass(time.Minute)
		pids := func(all ...any) object {
			return object{"voucher_available_account_info": object{"available_pids": all}}
		}
		for i, tt := range []struct {
			name  string
			value any
			code  string
		}{
			{"publish_end_time", clock(47 * time.Hour), "INVALID_PARAMETER"},
			{"publish_end_time", clock(200 * 24 * time.Hour), "INVALID_PARAMETER"},
			{"publish_end_time", clock(49 * time.Hour), ""},
			{"voucher_use_rule", object{"voucher_valid_period": object{"valid_end_time": clock(71 * time.Hour)}}, "INVALID_PARAMETER"},
			{"voucher_use_rule", object{"voucher_valid_period": object{"valid_end_time": clock(73 * time.Hour)}}, ""},
			{"voucher_available_scope_info", pids("2088000000000002"), "INVALID_PARAMETER"},
			{"voucher_available_scope_info", pids("2088000000000002", "2088000000000001"), ""},
			{"activity_id", "another", "INVALID_PARAMETER"},
		} {
			c.change("modify", id, fmt.Sprint("m", i), tt.name, tt.value).want(t, tt.code)
			pass(time.Minute)
		}
		got := c.query(id)
		if end := got.text(t, "publish_end_time"); end <= clock(48*time.Hour) {
			t.Errorf("the end is %s", end)
		}
		scope := got.body["voucher_available_scope_info"].(object)["voucher_available_account_info"].(object)
		if diff := cmp.Diff([]any{"2088000000000002", "2088000000000001"}, scope["available_pids"]); diff != "" {
			t.Errorf("available_pids (-want +got):\n%s", diff)
		}
	})
}

// TestAppendIsATotal: the new total, which may only grow.
func TestAppendIsATotal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, newPlatform(t, nil))
		params := newVoucher("total")
		params["voucher_budget_supply_info"] = object{"budget_type": "RECHARGE"}
		id := c.v3("POST", vouchers+"create", params).want(t, "").text(t, "activity_id")
		if url := c.change("publish", id, "p").want(t, "").text(t, "recharge_url"); !strings.HasPrefix(url, "https://") {
			t.Errorf("recharge_url %q of a prepaid budget", url)
		}
		pass(time.Minute)
		for i, tt := range []struct {
			total any
			code  string
		}{
			{100, "INVALID_PARAMETER"}, {99, "INVALID_PARAMETER"}, {100_000_000, "INVALID_PARAMETER"}, {1.5, "INVALID_PARAMETER"},
			{"101", "INVALID_PARAMETER"}, {99_999_999, ""},
		} {
			c.change("append", id, fmt.Sprint("a", i), "voucher_quantity", tt.total).want(t, tt.code)
		}
		pass(time.Minute)
		for _, path := range [][]string{{"voucher_send_rule", "voucher_quantity"}, {"voucher_send_mode_info", "voucher_send_rule_info", "quantity"}} {
			var v any = c.query(id).body
			for _, name := range path {
				v = v.(object)[name]
			}
			if v != 99_999_999.0 {
				t.Errorf("%v is %v", path, v)
			}
		}
	})
}

// TestOrderVouchers: for 商家券 it is create that is told (PROTOCOL.md 2.1).
func TestOrderVouchers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Notifier = box }))
		params := newVoucher("order")
		id := c.v3("POST", orders, params).want(t, "").text(t, "activity_id")
		query := func() answer {
			return c.v3("GET", "/v3/alipay/marketing/activity/ordervoucher/query", object{"activity_id": id, "merchant_access_mode": "SELF_MODE"}).want(t, "")
		}
		if a := query(); a.text(t, "activity_operation_status") != "CREATING" || a.text(t, "activity_status") != "" {
			t.Errorf("created: %s", a.Body)
		}
		pass(time.Minute)
		if a := query(); a.text(t, "activity_status") != "ACTIVE" {
			t.Errorf("done: %s", a.Body)
		}
		c.query(id).want(t, "INVALID_PARAMETER") // no 支付券
		c.v3("PATCH", orders+"/"+id+"/append", object{"out_biz_no": "a", "voucher_quantity": 101, "merchant_access_mode": "SELF_MODE"}).want(t, "")
		pass(time.Minute)
		c.v3("PATCH", orders+"/"+id, object{"out_biz_no": "m", "merchant_access_mode": "SELF_MODE"}).want(t, "")
		pass(time.Minute)
		c.v3("PATCH", orders+"/"+id+"/stop", object{"out_biz_no": "s", "merchant_access_mode": "SELF_MODE"}).want(t, "")
		pass(time.Minute)
		if diff := cmp.Diff([]string{"voucher.created", "voucher.appended", "voucher.modified", "voucher.stopped"}, box.types()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

// TestBatchQueryShifts: the newest come first, so a page moves on when another
// activity is made between two reads.
func TestBatchQueryShifts(t *testing.T) {
	t.Parallel()
	c := newCaller(t, newPlatform(t, nil))
	ids, err := c.p.AddActivities("", 5, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	page := func(num, size int, more ...any) (string, []string) {
		params := object{"page_num": num, "page_size": size, "merchant_access_mode": "SELF_MODE"}
		for i := 0; i < len(more); i += 2 {
			params[more[i].(string)] = more[i+1]
		}
		a := c.v3("POST", "/v3/alipay/marketing/activity/batchquery", params).want(t, "")
		var out []string
		for _, one := range a.body["activity_lite_infos"].([]any) {
			out = append(out, one.(object)["activity_id"].(string))
		}
		return a.text(t, "total_size"), out
	}
	total, first := page(1, 3)
	if diff := cmp.Diff([]string{ids[4], ids[3], ids[2]}, first); diff != "" || total != "5" {
		t.Errorf("first page of %s (-want +got):\n%s", total, diff)
	}
	c.create("between")
	total, second := page(2, 3)
	if diff := cmp.Diff([]string{ids[2], ids[1], ids[0]}, second); diff != "" || total != "6" {
		t.Errorf("second page of %s (-want +got):\n%s", total, diff)
	}
	if total, beyond := page(3, 3); len(beyond) != 0 || total != "6" {
		t.Errorf("beyond the end: %v of %s", beyond, total)
	}
	if total, initial := page(1, 3, "activity_status", "INIT"); len(initial) != 1 || total != "1" {
		t.Errorf("INIT alone: %v of %s", initial, total)
	}
	if total, _ := page(1, 3, "merchant_id", "2088999999999999"); total != "0" {
		t.Errorf("of another merchant: %s", total)
	}
	for _, size := range []int{0, 101} {
		c.v3("POST", "/v3/alipay/marketing/activity/batchquery", object{"page_num": 1, "page_size": size, "merchant_access_mode": "SELF_MODE"}).
			want(t, "INVALID_PARAMETER")
	}
}

// TestAppsAreApart: what one app has, another cannot see or change.
func TestAppsAreApart(t *testing.T) {
	t.Parallel()
	const other = "2021000000000002"
	p := newPlatform(t, func(c *platform.Config) {
		c.Apps = append(c.Apps, platform.App{ID: other, Public: &keys(t).app.PublicKey})
	})
	mine, theirs := newCaller(t, p), newCaller(t, p)
	theirs.app = other
	id := mine.create("mine")
	theirs.query(id).want(t, "INVALID_PARAMETER")
	theirs.change("publish", id, "p").want(t, "INVALID_PARAMETER")
	theirs.v3("GET", "/v3/alipay/marketing/activity/"+id, object{"merchant_access_mode": "SELF_MODE"}).want(t, "ACTIVITY_NOT_PERMISSION")
	// Numbers are an app's own.
	if theirs.create("mine") == id {
		t.Error("one activity for two apps")
	}
	if _, err := p.AddActivities("", 1, "ACTIVE"); err == nil {
		t.Error("no app was named, and there are two")
	}
}
