package platform_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// inbox is a Notifier that keeps what it gets, and answers what it is told to.
type inbox struct {
	mu     sync.Mutex
	got    []posted
	answer func(n *alipaytest.Notification, nth int) string // nil: always success
}

type posted struct {
	at     time.Time
	id     string
	typ    string
	form   alipaytest.Form
	number string
}

func (i *inbox) Deliver(ctx context.Context, n *alipaytest.Notification, _ alipaytest.Schedule) (alipaytest.Result, error) {
	form, err := n.Form(time.Now())
	if err != nil {
		return alipaytest.Result{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, posted{time.Now(), n.ID(), n.Type(), form, n.Payload("out_biz_no")})
	body := "success"
	if i.answer != nil {
		nth := 0
		for _, p := range i.got {
			if p.id == n.ID() {
				nth++
			}
		}
		body = i.answer(n, nth)
	}
	result := alipaytest.Result{Outcome: alipaytest.GivenUp, Attempts: []alipaytest.Attempt{{Status: 200, Body: body}}}
	if body == "success" {
		result.Outcome = alipaytest.Acknowledged
	}
	return result, ctx.Err()
}

// types are the types of what came, in order.
func (i *inbox) types() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []string
	for _, p := range i.got {
		out = append(out, p.typ)
	}
	return out
}

// deaf never acknowledges.
func deaf(*alipaytest.Notification, int) string { return "fail" }

// TestNotificationsKeepAlipaysSchedule: eight attempts, each stamped and signed
// anew, then it is given up (PROTOCOL.md 1.4).
func TestNotificationsKeepAlipaysSchedule(t *testing.T) {
	t.Parallel()
	for name, scale := range map[string]float64{"real": 1, "a thousand times as fast": 1000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				box := &inbox{answer: deaf}
				p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.TimeScale = box, scale })
				ids, err := p.AddActivities("", 1, "ACTIVE")
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				settle()
				var gaps []time.Duration
				for i, got := range box.got {
					if i == 0 {
						gaps = append(gaps, time.Duration(float64(got.at.Sub(begun))*scale))
						continue
					}
					before := box.got[i-1]
					gaps = append(gaps, time.Duration(float64(got.at.Sub(before.at))*scale))
					if got.id != before.id || value(got, "biz_content") != value(before, "biz_content") {
						t.Error("a retry tells something else")
					}
					if value(got, "utc_timestamp") == value(before, "utc_timestamp") || value(got, "sign") == value(before, "sign") {
						t.Error("a retry is not stamped and signed anew")
					}
				}
				want := append([]time.Duration{2 * time.Second}, alipaytest.MessageSchedule()...)
				if diff := cmp.Diff(want, gaps); diff != "" {
					t.Errorf("gaps (-want +got):\n%s", diff)
				}
				last := p.Journal()[len(p.Journal())-1]
				if last.What != platform.GivenUp || last.Key != ids[0] || last.Number != "preset-1" || last.Type != "voucher.created" {
					t.Errorf("the journal ends with %+v", last)
				}
			})
		})
	}
}

func value(p posted, name string) string {
	v, _ := p.form.Get(name)
	return v
}

// fates runs n activities through creation and end, and gives what the journal
// says about each notification, by the number of its call.
func fates(t *testing.T, seed uint64, m platform.Mischief, n int, scramble bool) (map[string][]string, *inbox) {
	t.Helper()
	out := map[string][]string{}
	box := &inbox{}
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief, c.Seed = box, m, seed })
		var all sync.WaitGroup
		for i := range n {
			if scramble {
				i = n - 1 - i
			}
			one := func() {
				c := newCaller(t, p)
				c.nonce = i * 100
				id := c.create("act-" + itoa(i))
				c.change("publish", id, "pub-"+itoa(i)).want(t, "")
				<-time.After(time.Minute)
				c.change("stop", id, "stop-"+itoa(i)).want(t, "")
			}
			if scramble {
				all.Go(one)
			} else {
				one()
			}
		}
		all.Wait()
		settle()
		for _, e := range p.Journal() {
			if e.Notification > 0 {
				line := e.What
				if e.Tampered || e.Duplicate {
					line += " spoilt"
				}
				out[e.Number] = append(out[e.Number], line)
			}
		}
	})
	return out, box
}

// TestMischiefRepeats: the same seed gives each notification the same fate,
// though the calls come in another order and at once; another seed does not.
func TestMischiefRepeats(t *testing.T) {
	t.Parallel()
	m := platform.Mischief{Drop: 0.3, Duplicate: 0.3, Tamper: 0.3, Delay: time.Minute}
	first, _ := fates(t, 11, m, 15, false)
	again, _ := fates(t, 11, m, 15, true)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed (-first +again):\n%s", diff)
	}
	other, _ := fates(t, 12, m, 15, false)
	if cmp.Equal(first, other) {
		t.Error("another seed gave the same")
	}
}

// TestDropsAreTheTruth: what is dropped never comes, all else does.
func TestDropsAreTheTruth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief.Drop = box, 0.05 })
		if _, err := p.AddActivities("", 2000, "ACTIVE"); err != nil {
			t.Fatal(err)
		}
		settle()
		arrived := map[string]bool{}
		for _, got := range box.got {
			arrived[got.id] = true
		}
		caused, dropped := journaled(p, platform.Caused), journaled(p, platform.Dropped)
		if n := len(dropped); len(caused) != 2000 || n < 60 || n > 140 {
			t.Errorf("%d caused, %d dropped, want 2000 and some 100", len(caused), n)
		}
		for _, e := range dropped {
			if arrived[e.NotifyID] {
				t.Errorf("%s was dropped, and came", e.NotifyID)
			}
		}
		if len(arrived)+len(dropped) != len(caused) || len(journaled(p, platform.Acknowledged)) != len(arrived) {
			t.Errorf("%d came, %d were dropped, %d were caused", len(arrived), len(dropped), len(caused))
		}
	})
}

// TestTamperedComesGenuineLater: the receiver refuses the first, and the retry
// is what Alipay signed.
func TestTamperedComesGenuineLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keys(t)
		genuine := func(form alipaytest.Form) bool {
			text, err := alipaytest.SigningString(form, alipaytest.Signing{})
			if err != nil {
				t.Fatal(err)
			}
			sign, _ := form.Get("sign")
			return alipaytest.VerifyBytes(k.alipay.Public(), text, sign, alipaytest.RSA2)
		}
		box := &inbox{answer: func(n *alipaytest.Notification, nth int) string {
			return map[bool]string{true: "fail", false: "success"}[nth == 1]
		}}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief.Tamper = box, 1 })
		if _, err := p.AddActivities("", 1, "ACTIVE"); err != nil {
			t.Fatal(err)
		}
		settle()
		if len(box.got) != 2 || genuine(box.got[0].form) || !genuine(box.got[1].form) {
			t.Fatalf("%d came; the first has to be spoilt, and the second genuine", len(box.got))
		}
		if diff := cmp.Diff([]bool{true, false}, []bool{journaled(p, platform.Tried)[0].Tampered, journaled(p, platform.Tried)[1].Tampered}); diff != "" {
			t.Errorf("the journal's word (-want +got):\n%s", diff)
		}
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	_, box := fates(t, 1, platform.Mischief{Duplicate: 1}, 2, false)
	times := map[string]int{}
	for _, got := range box.got {
		times[got.id]++
	}
	if len(times) != 4 {
		t.Errorf("%d notifications", len(times))
	}
	for id, n := range times {
		if n != 2 {
			t.Errorf("%s came %d times, want 2", id, n)
		}
	}
}

// TestReordered: what is held back comes after one that was caused later, and,
// when none follows, comes all the same.
func TestReordered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief.Reorder = box, 0.3 })
		for range 20 {
			if _, err := p.AddActivities("", 1, "ACTIVE"); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		settle()
		order, held := map[string]int{}, map[string]bool{} // by notify_id
		for _, e := range journaled(p, platform.Caused) {
			order[e.NotifyID] = e.Notification
		}
		for _, e := range journaled(p, platform.Held) {
			held[e.NotifyID] = true
		}
		if len(box.got) != 20 || len(held) < 3 {
			t.Fatalf("%d came, %d of them held; want all 20, and some", len(box.got), len(held))
		}
		for i, got := range box.got {
			overtaken := slices.ContainsFunc(box.got[:i], func(p posted) bool { return order[p.id] > order[got.id] })
			if last := order[got.id] == 20; overtaken != held[got.id] && !last {
				t.Errorf("notification %d: held %v, overtaken %v", order[got.id], held[got.id], overtaken)
			}
		}
	})
}

func TestDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief.Delay = box, time.Hour })
		if _, err := p.AddActivities("", 20, "ACTIVE"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now().Add(2 * time.Second)
		settle()
		late := 0
		for _, got := range box.got {
			if d := got.at.Sub(begun); d < 0 || d > time.Hour {
				t.Errorf("%s late", d)
			} else if d > 10*time.Minute {
				late++
			}
		}
		if len(box.got) != 20 || late < 5 {
			t.Errorf("%d came, %d of them late", len(box.got), late)
		}
	})
}

// TestCloseInterrupts: what is under way ends, and the journal says so.
func TestCloseInterrupts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{answer: deaf}
		p := newPlatform(t, func(c *platform.Config) { c.Notifier, c.Mischief.Delay = box, 20*time.Hour })
		c := newCaller(t, p)
		if _, err := p.AddActivities("", 10, "ACTIVE"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Hour) // some held, some between two attempts
		id := c.create("in flight")
		c.change("publish", id, "p").want(t, "")
		p.Close()
		if n := len(journaled(p, platform.Interrupted)); n != 10 {
			t.Errorf("%d interrupted, want 10", n)
		}
		if got := c.state(id); got != "INIT CREATING" {
			t.Errorf("in flight when it was closed: %s", got)
		}
		n := len(box.got)
		other := c.create("after the end")
		c.change("publish", other, "q").want(t, "")
		settle()
		if len(box.got) != n {
			t.Error("something was sent after the end")
		}
	})
}

func TestEncryptedNotifications(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, key := &inbox{}, alipaytest.NewAESKey()
		p := newPlatform(t, func(c *platform.Config) {
			c.Notifier, c.Apps[0].AESKey, c.Apps[0].Encrypt = box, key, true
		})
		ids, err := p.AddActivities("", 1, "FINISHED")
		if err != nil {
			t.Fatal(err)
		}
		settle()
		if diff := cmp.Diff([]string{"voucher.created", "voucher.stopped"}, slices.Sorted(slices.Values(box.types()))); diff != "" {
			t.Fatalf("types (-want +got):\n%s", diff)
		}
		plain, err := alipaytest.DecryptAES(key, value(box.got[0], "biz_content"))
		if err != nil || !strings.Contains(string(plain), ids[0]) {
			t.Errorf("%s, %v", plain, err)
		}
	})
}

// TestManyAtOnce is for the race detector: calls of all sorts, faults that come
// and go, and somebody who reads the journal.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	p := newPlatform(t, func(c *platform.Config) {
		c.Notifier, c.TimeScale, c.OperationDelay = box, 1e6, time.Second
		c.Mischief = platform.Mischief{Drop: 0.1, Duplicate: 0.1, Reorder: 0.1, Tamper: 0.1, Delay: time.Second}
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := newCaller(t, p)
			c.nonce = 1000 * i
			c.v3("POST", accounts+"create", object{"bind_account_no": itoa(i), "display_name": "甲", "from_user_id": member}).want(t, "")
			id := c.create("many-" + itoa(i))
			if i%2 == 0 {
				id = c.create("many-even") // one number for several
			}
			c.change("publish", id, "p-many")
			c.query(id).want(t, "")
			c.v3("POST", "/v3/alipay/marketing/activity/batchquery", object{"page_num": 1, "page_size": 20, "merchant_access_mode": "SELF_MODE"}).want(t, "")
			card := newCard("c" + itoa(i))
			card["card_user_info"] = object{"user_uni_id_type": "UID", "user_uni_id": "208800000000010" + itoa(i)}
			c.v3("POST", cards+"open", card).want(t, "")
			if err := p.AddFault(platform.Fault{Kind: platform.Slashes, Probability: 0.5}); err != nil {
				t.Error(err)
			}
			p.ClearFaults()
			p.Journal()
		})
	}
	all.Wait()
	p.Close()
}
