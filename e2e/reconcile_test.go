//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// openPlatform is `alipaysim serve` under way, and a receiver that gets what it
// sends.
type openPlatform struct {
	*process
	base     string
	receiver *receiver
	config   string // of replayer
}

var platformAddress = regexp.MustCompile(`the open platform is at (http://[^,]+),`)

// startPlatform begins both, with development keys, as first steps do.
func startPlatform(t *testing.T, flags ...string) *openPlatform {
	t.Helper()
	config, keys := developmentConfig(t)
	p := &openPlatform{receiver: ready(t, config)}
	p.process = start(t, "alipaysim", tools.alipaysim, append([]string{"serve", "--listen", "127.0.0.1:0", "--url", p.receiver.url,
		"--key", filepath.Join(keys, "alipay-private.pem"), "--app-key", filepath.Join(keys, "app-public.pem"),
		"--time-scale", "1000", "--journal", filepath.Join(config.dir, "journal.ndjson")}, flags...)...)
	eventually(t, "alipaysim says where it is", func() bool {
		if m := platformAddress.FindStringSubmatch(p.out.String()); m != nil {
			p.base = m[1]
		}
		return p.base != ""
	})
	config.keys["openapi.base_url"] = p.base
	p.config = config.save(t)
	return p
}

// replayer runs the operators' tool.
func (p *openPlatform) replayer(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, tools.replayer, append(args, "--config", p.config)...)
}

// call executes a call, and gives the data of its answer.
func (p *openPlatform) call(t *testing.T, method string, params map[string]any, more ...string) map[string]any {
	t.Helper()
	got := p.replayer(t, append([]string{"call", method, "--json", object(t, params), "--execute", "--reason", "e2e", "-o", "json"}, more...)...)
	got.want(t, 0)
	var answer struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
		t.Fatalf("%s: %v in %s", method, err, got.stdout)
	}
	return answer.Data
}

func object(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// query is the one row of a query.
func (p *openPlatform) query(t *testing.T, args ...string) map[string]any {
	t.Helper()
	got := p.replayer(t, append(append([]string{"query"}, args...), "-o", "json")...)
	got.want(t, 0)
	all := rows(t, got.stdout)
	if len(all) != 1 {
		t.Fatalf("query %v: %s", args, got.stdout)
	}
	return all[0]
}

// journal are its entries of one kind.
func (p *openPlatform) journal(t *testing.T, what string) []platform.Entry {
	t.Helper()
	answer, err := http.Get(p.base + "/_sim/journal?what=" + what)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all []platform.Entry
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		var e platform.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// activities makes some, by a word to the stand-in.
func (p *openPlatform) activities(t *testing.T, count int, status string) []string {
	t.Helper()
	answer, err := http.Post(p.base+"/_sim/activities", "application/json", strings.NewReader(object(t, map[string]any{"count": count, "activity_status": status})))
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		IDs []string `json:"activity_ids"`
	}
	if body := read(t, answer).body; json.Unmarshal([]byte(body), &made) != nil || len(made.IDs) != count {
		t.Fatalf("%d activities: %s", count, body)
	}
	return made.IDs
}

// settle waits until so many notifications were caused, and each has arrived or
// was dropped.
func (p *openPlatform) settle(t *testing.T, caused int) {
	t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for {
		n := len(p.journal(t, platform.Acknowledged)) + len(p.journal(t, platform.Dropped))
		if all := len(p.journal(t, platform.Caused)); all >= caused && n >= all {
			return
		}
		if lost := len(p.journal(t, platform.GivenUp)); lost > 0 || time.Now().After(deadline) {
			t.Fatalf("%d of %d notifications have come to rest, %d were given up", n, caused, lost)
		}
		wait := time.NewTimer(100 * time.Millisecond)
		<-wait.C
	}
}

// kinds are the types of the stored events, in their order.
func (p *openPlatform) kinds(t *testing.T) []string {
	t.Helper()
	got := p.replayer(t, "events", "-o", "json")
	got.want(t, 0)
	var kinds []string
	for _, row := range rows(t, got.stdout) {
		kinds = append(kinds, row["type"].(string))
	}
	return kinds
}

const (
	vouchers = "alipay.marketing.activity.voucher."
	cards    = "alipay.marketing.card."
	accounts = "alipay.open.public.account."
	member   = "2088302463082075"
)

// TestOpenPlatform drives every operation through `replayer call` and `query`
// against `alipaysim serve`: publish, append, modify, stop and card.open cause
// their notification, received, typed and stored, and nothing else does.
func TestOpenPlatform(t *testing.T) {
	t.Parallel()
	p := startPlatform(t, "--operation-delay", "1s")
	type m = map[string]any
	id := p.call(t, vouchers+"create", m{
		"merchant_access_mode": "SELF_MODE", "activity_base_info": m{"activity_name": "小笼包"}, "voucher_deduct_info": m{"voucher_type": "FIX_VOUCHER"},
		"voucher_send_mode_info": m{"voucher_send_rule_info": m{"quantity": 1000}}, "voucher_display_pattern_info": m{"voucher_name": "小笼包"},
	})["activity_id"].(string)
	if row := p.query(t, "voucher", id); row["status"] != "INIT" {
		t.Errorf("after create: %v", row)
	}
	step := func(operation string, more m, stored int) {
		t.Helper()
		params := m{"activity_id": id, "merchant_access_mode": "SELF_MODE"}
		maps.Copy(params, more)
		p.call(t, vouchers+operation, params)
		p.settle(t, stored)
	}
	step("publish", nil, 1)
	step("append", m{"voucher_quantity": 2000}, 2)
	step("modify", m{"activity_base_info": m{"activity_id": id, "activity_name": "大笼包"}}, 3)
	step("stop", nil, 4)
	if row := p.query(t, "voucher", id); row["status"] != "FINISHED" || row["data"].(m)["activity_name"] != "大笼包" {
		t.Errorf("after stop: %v", row)
	}
	if a := p.call(t, vouchers+"query", m{"activity_id": id, "merchant_access_mode": "SELF_MODE"}); a["activity_status"] != "FINISHED" {
		t.Errorf("after stop: %v", a)
	}

	no := p.call(t, cards+"open", m{
		"card_template_id": platform.DefaultTemplateID, "card_user_info": m{"user_uni_id_type": "UID", "user_uni_id": member},
		"card_ext_info": m{"external_card_no": "EXT1", "level": "VIP1"},
	})["card_info"].(m)["biz_card_no"].(string)
	p.settle(t, 5)
	card := m{"target_card_no": no, "target_card_no_type": "BIZ_CARD"}
	update := m{"occur_time": "2026-08-01 12:00:00", "card_info": m{"level": "VIP2"}}
	maps.Copy(update, card)
	p.call(t, cards+"update", update)
	for _, gateway := range []string{"v3", "v2"} {
		if row := p.query(t, "card", no, "--gateway", gateway); row["data"].(m)["card_info"].(m)["level"] != "VIP2" {
			t.Errorf("over %s: %v", gateway, row)
		}
		if a := p.call(t, cards+"query", card, "--gateway", gateway); a["card_info"].(m)["level"] != "VIP2" {
			t.Errorf("over %s: %v", gateway, a)
		}
	}
	card["reason_code"] = "CANCEL"
	p.call(t, cards+"delete", card)
	p.replayer(t, "query", "card", no).want(t, 1, "not found")

	binding := m{"bind_account_no": "M1", "display_name": "王", "from_user_id": member}
	binding["agreement_id"] = p.call(t, accounts+"create", binding)["agreement_id"]
	if row := p.query(t, "account", member); row["status"] != "BOUND" {
		t.Errorf("after create: %v", row)
	}
	if a := p.call(t, accounts+"query", m{"user_id": member}); len(a["public_bind_accounts"].([]any)) != 1 {
		t.Errorf("after create: %v", a)
	}
	second := p.call(t, accounts+"reset", binding)["agreement_id"]
	p.call(t, accounts+"delete", m{"agreement_id": second, "from_user_id": member})
	if row := p.query(t, "account", member); row["status"] != "NONE" {
		t.Errorf("after delete: %v", row)
	}
	p.call(t, cards+"template.query", m{"template_id": platform.DefaultTemplateID})
	p.call(t, cards+"template.modify", m{"template_id": platform.DefaultTemplateID, "template_style_info": m{"card_show_name": "金卡"}})
	if row := p.query(t, "card-template", platform.DefaultTemplateID); row["detail"] != "金卡" {
		t.Errorf("after modify: %v", row)
	}

	p.settle(t, 5)
	if n := len(p.journal(t, platform.Caused)); n != 5 {
		t.Errorf("%d notifications were caused, want 5", n)
	}
	if got, want := p.kinds(t), []string{"voucher.created", "voucher.appended", "voucher.modified", "voucher.stopped", "card.open_result"}; !slices.Equal(got, want) {
		t.Errorf("stored events %v, want %v", got, want)
	}
	p.replayer(t, "reconcile", "--expectations").want(t, 0, "fulfilled 5")
	p.replayer(t, "reconcile").want(t, 0, "1 items in", "in_step 1")
	p.replayer(t, "verify").want(t, 0)
}

// TestReconcile is the promise that what never arrived is found: of 2,000
// activities 5 % of the notifications are dropped. The stand-in's journal is the
// truth.
func TestReconcile(t *testing.T) {
	t.Parallel()
	const count, changed = 2000, 40
	p := startPlatform(t, "--drop", "0.05", "--seed", "192", "--operation-delay", "1s")
	// The calls of another installation are in its own trail: nobody here knows of them.
	config, _ := developmentConfig(t)
	maps.Copy(config.keys, map[string]any{"apps": p.receiver.config.keys["apps"], "openapi.base_url": p.base})
	for _, name := range []string{"alipay-public.pem", "aes.key", "app-private.pem"} {
		data := readFile(t, filepath.Join(p.receiver.config.dir, "dev", name))
		config.file(t, filepath.Join("dev", name), data)
	}
	other := *p
	other.receiver, other.config = ready(t, config), config.save(t)

	p.activities(t, count*5/10, "FINISHED")
	active := p.activities(t, count*4/10, "ACTIVE")
	p.activities(t, count/10, "INIT")
	caused := 2*count*5/10 + count*4/10
	p.settle(t, caused)
	known := make(map[string]bool)
	for i, id := range active[:changed] {
		here := p
		if i%2 == 1 {
			here = &other
		}
		for operation, more := range map[string]map[string]any{
			"append": {"voucher_quantity": 2000 + i}, "modify": {"activity_base_info": map[string]any{"activity_id": id, "activity_name": fmt.Sprint("新 ", i)}},
		} {
			params := map[string]any{"activity_id": id, "merchant_access_mode": "SELF_MODE"}
			maps.Copy(params, more)
			here.call(t, vouchers+operation, params, "--no-expectation", "--out-biz-no", fmt.Sprintf("%s-%d", operation, i))
			caused++
			p.settle(t, caused)
			known[map[string]string{"append": "voucher.appended ", "modify": "voucher.modified "}[operation]+id] = here == p
		}
	}

	dropped := make(map[string]platform.Entry)
	told := make(map[string]int)
	for _, e := range p.journal(t, platform.Dropped) {
		dropped[e.Type+" "+e.Key] = e
		told[fmt.Sprintf("%s, request known: %t", e.Type, known[e.Type+" "+e.Key])]++
	}
	t.Logf("dropped: %v", told)
	if len(told) != 6 { // else the test would show less than it says
		t.Fatalf("want created, stopped, and the other two with known and unknown requests")
	}
	args := []string{"reconcile", "--from-alipay", "--rate", "100000", "--grace", "1s", "-o", "json"}
	first := p.replayer(t, args...)
	first.want(t, 1)
	found := wantReport(t, rows(t, first.stdout), dropped, known, count)

	emit := append(args, "--emit", "--execute", "--reason", "e2e")
	p.replayer(t, emit...).want(t, 0, fmt.Sprintf("%d published, 0 there already, 0 failed", found))
	p.replayer(t, emit...).want(t, 0, "reconcile: 0 items", fmt.Sprintf("inferred %d", distinct(dropped, known)))

	// What was lost comes after all: it is an event like any other.
	before := len(p.kinds(t))
	key, err := alipaytest.ParsePrivatePEM(readFile(t, filepath.Join(p.receiver.config.dir, "dev", "alipay-private.pem")))
	if err != nil {
		t.Fatal(err)
	}
	app := &alipaytest.App{ID: alipaytest.DefaultAppID, Key: key}
	for _, e := range dropped {
		p.receiver.deliver(t, app.Notification(t, e.Type, alipaytest.Options{Payload: []alipaytest.Field{{Name: "activity_id", Value: e.Key}, {Name: "out_biz_no", Value: e.Number}}}))
	}
	if n := len(p.kinds(t)) - before; n != len(dropped) {
		t.Errorf("%d of %d late notifications are stored", n, len(dropped))
	}
	last := p.replayer(t, emit...)
	last.want(t, 0, "reconcile: 0 items")
	if strings.Contains(last.stdout, `"inferred"`) {
		t.Error("something is still called inferred, though its event is there")
	}
}

// wantReport holds a report against the truth, and counts the missing events.
func wantReport(t *testing.T, report []map[string]any, dropped map[string]platform.Entry, known map[string]bool, count int) (found int) {
	t.Helper()
	if len(report) != count {
		t.Errorf("%d items, want %d", len(report), count)
	}
	left := maps.Clone(dropped)
	for _, row := range report {
		key := row["key"].(string)
		for _, kind := range row["missing"].([]any) {
			name := kind.(string) + " " + key
			if _, was := dropped[name]; !was {
				t.Errorf("false alarm: %s: %v", name, row["why"])
			}
			delete(left, name)
			found++
		}
		for _, kind := range row["cannot_tell"].([]any) {
			if name := kind.(string) + " " + key; !known[name] {
				delete(left, name)
			}
		}
	}
	for name := range left {
		t.Errorf("not found: %s", name)
	}
	return found
}

// distinct counts the activities of which something is known to be missing.
func distinct(dropped map[string]platform.Entry, known map[string]bool) int {
	keys := make(map[string]bool)
	for name, e := range dropped {
		if e.Type == "voucher.created" || e.Type == "voucher.stopped" || known[name] {
			keys[e.Key] = true
		}
	}
	return len(keys)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
