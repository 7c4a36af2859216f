package platform_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest/platform"
)

func TestUserVouchers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		c := newCaller(t, newPlatform(t, func(c *platform.Config) { c.Notifier = box }))
		params := newVoucher("uv")
		params["belong_merchant_info"] = object{"merchant_id": "2088111111111111"}
		id := c.v3("POST", vouchers+"create", params).want(t, "").text(t, "activity_id")
		c.change("publish", id, "p").want(t, "")
		pass(time.Minute)

		const user = "2088000000000001"
		first := c.change("send", id, "s1", "user_id", user).want(t, "").text(t, "voucher_id")
		if again := c.change("send", id, "s1", "user_id", user).want(t, "").text(t, "voucher_id"); again != first {
			t.Error("the same send gave two vouchers")
		}
		c.change("send", id, "s2", "user_id", user).want(t, "")
		c.change("send", id, "s3", "user_id", user).want(t, "COUNT_OVER_LIMIT")
		c.change("send", id, "s4").want(t, "INVALID_PARAMETER")
		c.change("send", id, "s5", "open_id", "o1").want(t, "")
		if err := c.p.SetVoucher("", first, "USED"); err != nil {
			t.Fatal(err)
		}

		one := func(more object) answer {
			params := object{"user_id": user, "merchant_access_mode": "SELF_MODE", "voucher_id": first}
			for name, value := range more {
				params[name] = value
			}
			return c.v3("GET", userCards+"voucher", params)
		}
		if a := one(nil).want(t, ""); a.text(t, "voucher_status") != "USED" || a.text(t, "activity_id") != id {
			t.Errorf("%s", a.Body)
		}
		one(object{"user_id": "2088000000000009"}).want(t, "VOUCHER_NOT_EXIST")
		one(object{"activity_id": "1"}).want(t, "VOUCHER_NOT_EXIST")
		one(object{"merchant_id": "2088999999999999"}).want(t, "ACTIVITY_NOT_PERMISSION")
		one(object{"voucher_id": ""}).want(t, "INVALID_PARAMETER")
		one(object{"user_id": ""}).want(t, "INVALID_PARAMETER")

		many := func(more object) answer {
			params := object{"user_id": user, "merchant_access_mode": "SELF_MODE", "page_num": 1, "page_size": 20, "belong_merchant_id": "2088111111111111"}
			for name, value := range more {
				params[name] = value
			}
			return c.v3("GET", userCards+"batchqueryvoucher", params)
		}
		for status, want := range map[string]float64{"": 2, "SENDED": 1, "USED": 1, "EXPIRED": 0} {
			if got := many(object{"voucher_status": status}).want(t, "").body["total_size"]; got != want {
				t.Errorf("%s: %v, want %v", status, got, want)
			}
		}
		many(object{"voucher_status": "GONE"}).want(t, "INVALID_PARAMETER")
		many(object{"page_size": 21}).want(t, "INVALID_PARAMETER")
		many(object{"page_num": "one"}).want(t, "INVALID_PARAMETER")
		many(object{"sender_merchant_id": "2088111111111111"}).want(t, "INVALID_PARAMETER") // one of the two
		many(object{"belong_merchant_id": ""}).want(t, "INVALID_PARAMETER")
		many(object{"user_id": ""}).want(t, "INVALID_PARAMETER")
		if got := many(object{"belong_merchant_id": "", "sender_merchant_id": "2088111111111111", "activity_id": id}).want(t, "").body["total_size"]; got != 2.0 {
			t.Errorf("by the sender: %v", got)
		}
		if sent := c.query(id).body["summary"]; !cmp.Equal(sent, object{"publish_count": 3.0, "used_count": 1.0}) {
			t.Errorf("summary %v", sent)
		}

		pass(181 * 24 * time.Hour)
		if got := many(object{"voucher_status": "EXPIRED"}).want(t, "").body["total_size"]; got != 1.0 {
			t.Errorf("expired: %v", got)
		}
		if diff := cmp.Diff([]string{"voucher.created"}, box.types()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	})
}

func TestBudgetIsSpent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, newPlatform(t, nil))
		params := newVoucher("budget")
		params["voucher_send_mode_info"] = object{"voucher_send_rule_info": object{"quantity": 1}}
		id := c.v3("POST", vouchers+"create", params).want(t, "").text(t, "activity_id")
		c.change("publish", id, "p").want(t, "")
		pass(time.Minute)
		c.change("send", id, "s1", "user_id", "2088000000000001").want(t, "")
		c.change("send", id, "s2", "user_id", "2088000000000002").want(t, "BUDGET_NOT_ENOUGH")
		c.change("append", id, "a", "voucher_quantity", 2).want(t, "")
		pass(time.Minute)
		c.change("send", id, "s2", "user_id", "2088000000000002").want(t, "")
	})
}
