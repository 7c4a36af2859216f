package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/stream"
)

// fast are the flags of a reconciliation against a stand-in on this machine.
var fast = []string{"--rate", "100000", "--grace", "0s"}

// client is the product's own, without a limit.
func (s *shop) openapi(t *testing.T) *openapi.Client {
	t.Helper()
	cfg, err := wire.Config(s.config, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wire.OpenAPI(cfg, s.app.ID, func(o *openapi.Config) { o.Rate = 1e6 })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// truth is what the stand-in's journal says: by type and key, the numbers of the
// calls that caused a notification which was dropped.
func (s *shop) truth() map[string][]string {
	dropped := make(map[string][]string)
	for _, e := range s.p.Journal() {
		if e.What == platform.Dropped {
			dropped[e.Type+" "+e.Key] = append(dropped[e.Type+" "+e.Key], e.Number)
		}
	}
	return dropped
}

// stores counts the messages of a stream.
func (s *shop) stores(t *testing.T, name string) int {
	t.Helper()
	u, err := s.client.UsageOf(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return int(u.Messages)
}

func texts(v any) []string {
	var out []string
	for _, item := range v.([]any) {
		out = append(out, item.(string))
	}
	return out
}

// population is what a big test makes: activities in every state, some of them
// changed by calls, of which only a part is known to the reconciliation.
type population struct {
	all   int
	file  string          // requests that are known
	known map[string]bool // type and key
}

// populate makes n activities.
func (s *shop) populate(t *testing.T, n int) population {
	t.Helper()
	p := population{all: n, known: make(map[string]bool)}
	parts := map[string]int{"FINISHED": n * 4 / 10, "PAUSE": n / 10, "INIT": n / 10}
	parts["ACTIVE"] = n - parts["FINISHED"] - parts["PAUSE"] - parts["INIT"]
	caused := 0
	ids := make(map[string][]string)
	for status, count := range parts {
		made, err := s.p.AddActivities("", count, status)
		if err != nil {
			t.Fatal(err)
		}
		ids[status] = made
		caused += count * map[string]int{"FINISHED": 2, "PAUSE": 1, "ACTIVE": 1}[status]
	}
	s.quiet(t, caused)
	c := s.openapi(t)
	rows := [][]string{{"activity_id", "out_biz_no", "voucher_quantity", "activity_name"}}
	changed := ids["ACTIVE"][:n*3/8]
	for i, id := range changed {
		number := fmt.Sprintf("append-%d", i)
		in := openapi.VoucherAppend{VoucherQuantity: int64(2000 + i)}
		in.ActivityID, in.OutBizNo, in.MerchantAccessMode = id, number, openapi.SelfMode
		if _, err := c.VoucherAppend(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			rows = append(rows, []string{id, number, fmt.Sprint(2000 + i), ""})
			p.known["voucher.appended "+id] = true
		}
	}
	caused += len(changed)
	s.quiet(t, caused)
	for i, id := range changed {
		number, name := fmt.Sprintf("modify-%d", i), fmt.Sprintf("新名字 %d", i)
		if _, err := c.VoucherModify(t.Context(), openapi.VoucherModify{ActivityID: id, OutBizNo: number, MerchantAccessMode: openapi.SelfMode,
			ActivityBaseInfo: &openapi.ActivityBaseInfo{ActivityName: name}}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			rows = append(rows, []string{id, number, "", name})
			p.known["voucher.modified "+id] = true
		}
	}
	caused += len(changed)
	s.quiet(t, caused)
	// Rows about one activity belong together; the others have one without a request.
	slices.SortStableFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	for status, list := range ids {
		for _, id := range list {
			if status != "ACTIVE" || !p.known["voucher.modified "+id] {
				rows = append(rows, []string{id, "", "", ""})
			}
		}
	}
	var text strings.Builder
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	p.file = s.write(t, "requests.csv", text.String())
	return p
}

// judge compares a report with the truth: everything that can be known to be
// missing is, nothing else is, and of what cannot be known the report says so.
func (p population) judge(t *testing.T, rows []map[string]any, dropped map[string][]string) (missing int) {
	t.Helper()
	unseen := maps.Clone(dropped)
	for _, row := range rows {
		key := row["key"].(string)
		for _, kind := range texts(row["missing"]) {
			name := kind + " " + key
			if dropped[name] == nil {
				t.Errorf("false alarm: %s (%v)", name, row["why"])
			}
			delete(unseen, name)
			missing++
		}
		doubt := texts(row["cannot_tell"])
		for _, kind := range []string{"voucher.modified", "voucher.appended"} {
			if name := kind + " " + key; dropped[name] != nil && !p.known[name] {
				if !slices.Contains(doubt, kind) {
					t.Errorf("nobody can tell about %s, and the report does not say so: %v", name, row)
				}
				delete(unseen, name)
			}
		}
		if v := row["verdict"]; v != "missing" && v != "in_step" && v != "inferred" && v != "out_of_order" {
			t.Errorf("%s is %v: %v", key, v, row["why"])
		}
	}
	for name := range unseen {
		t.Errorf("not found: %s", name)
	}
	return missing
}

// 5 % of the notifications are dropped. reconcile finds each that can be known to
// be missing, raises no false alarm, makes up for them once, and what comes late
// does no harm. The stand-in's journal is the truth.
func TestReconcileFindsWhatWasDropped(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 0.05 })
	p := s.populate(t, 600)
	dropped := s.truth()
	byKind := make(map[string]int)
	for name := range dropped {
		kind, _, _ := strings.Cut(name, " ")
		byKind[fmt.Sprintf("%s known:%t", kind, p.known[name])]++
	}
	if len(byKind) < 6 { // else the test would show less than it says
		t.Fatalf("dropped: %v", byKind)
	}
	t.Logf("%d activities, dropped: %v", p.all, byKind)
	file := append([]string{"reconcile", "--file", p.file}, fast...)
	got := s.want(t, 1, append(file, "--emit", "-o", "json")...) // a dry run
	var rows []map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || len(rows) != p.all {
		t.Errorf("%d rows for %d activities: %v", len(rows), p.all, err)
	}
	missing := p.judge(t, rows, dropped)
	if !strings.Contains(got.stderr, fmt.Sprintf("reconcile: %d items", missing)) || !strings.Contains(got.stderr, "dry run: nothing was published") || s.stores(t, stream.Inferred) != 0 {
		t.Errorf("dry run: %s", got.stderr)
	}

	// Alipay's own list has them all; without the file fewer requests are known.
	listed := s.rows(t, 1, append([]string{"reconcile", "--from-alipay"}, fast...)...)
	if len(listed) != p.all {
		t.Errorf("%d rows from Alipay's list", len(listed))
	}
	population{all: p.all}.judge(t, listed, dropped)

	emit := append(file, "--emit", "--execute", "--reason", "INC-9")
	got = s.want(t, 0, emit...)
	if n := s.stores(t, stream.Inferred); n != missing || !strings.Contains(got.stderr, fmt.Sprintf("%d published, 0 there already, 0 failed", missing)) {
		t.Errorf("%d inferred events of %d: %s", n, missing, got.stderr)
	}
	got = s.want(t, 0, append(emit, "-o", "json")...)
	if n := s.stores(t, stream.Inferred); n != missing || !strings.Contains(got.stderr, "reconcile: 0 items") || strings.Contains(got.stdout, `"missing":["`) {
		t.Errorf("the second run is not clean: %d inferred events, %s", n, got.stderr)
	}

	// The genuine ones come after all, and are events like any other.
	before := s.stores(t, stream.Events)
	for name, numbers := range dropped {
		kind, key, _ := strings.Cut(name, " ")
		for _, number := range numbers {
			s.receive(t, kind, alipaytest.Options{Payload: []alipaytest.Field{{Name: "activity_id", Value: key}, {Name: "out_biz_no", Value: number}}})
		}
	}
	if n := s.stores(t, stream.Events); n != before+len(dropped) {
		t.Errorf("%d of %d late notifications are stored", n-before, len(dropped))
	}
	for _, row := range s.rows(t, 0, emit...) {
		if v := row["verdict"]; v != "in_step" && v != "out_of_order" {
			t.Errorf("after all have come, %v is %v: %v", row["key"], v, row["why"])
		}
	}
	if n := s.stores(t, stream.Inferred); n != missing {
		t.Errorf("%d inferred events at the end", n)
	}
}

// The archive is a source by itself: an activity of which one event has come is
// asked about, whatever else is missing of it.
func TestReconcileArchive(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 0.3 })
	ids, err := s.p.AddActivities("", 60, "FINISHED")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 120)
	dropped, gone := s.truth(), 0
	for _, id := range ids {
		if dropped["voucher.created "+id] != nil && dropped["voucher.stopped "+id] != nil {
			gone++ // nothing of it is in the archive
			delete(dropped, "voucher.created "+id)
			delete(dropped, "voucher.stopped "+id)
		}
	}
	if gone == 0 || len(dropped) == 0 {
		t.Fatalf("%d gone, %d dropped", gone, len(dropped))
	}
	rows := s.rows(t, 1, append([]string{"reconcile", "--since", "1h"}, fast...)...)
	if n := (population{}).judge(t, rows, dropped); len(rows) != len(ids)-gone || n != len(dropped) {
		t.Errorf("%d rows, %d missing", len(rows), n)
	}
	// A table for eyes shows what is wrong, CSV everything.
	table := s.want(t, 1, append([]string{"reconcile"}, fast...)...)
	inStep := 0
	for _, row := range rows {
		if row["verdict"] == "in_step" {
			inStep++
		}
	}
	if lines := strings.Count(table.stdout, "\n"); lines != len(rows)-inStep+1 || !strings.Contains(table.stderr, fmt.Sprintf("in_step %d", inStep)) {
		t.Errorf("%d lines, %d of %d in step; %s", lines, inStep, len(rows), table.stderr)
	}
	text := s.want(t, 1, append([]string{"reconcile", "-o", "csv"}, fast...)...)
	cells, err := csv.NewReader(strings.NewReader(text.stdout)).ReadAll()
	if err != nil || len(cells) != len(rows)+1 || !slices.Equal(cells[0], reportCSVHead) {
		t.Errorf("%d rows of CSV, head %v: %v", len(cells)-1, cells[0], err)
	}
	if rows := s.rows(t, 0, append([]string{"reconcile", "--until", "1h"}, fast...)...); len(rows) != 0 {
		t.Errorf("%d rows of an hour ago", len(rows))
	}
	var first firstEvents // beyond what it remembers it looks, and says the same
	first.client, first.known, first.full = s.client, map[string]bool{}, true
	seen := 0
	for sequence := range uint64(s.stores(t, stream.Events)) {
		if is, err := first.is(t.Context(), s.stored(t, sequence+1)); err != nil {
			t.Fatal(err)
		} else if is {
			seen++
		}
	}
	if seen != len(rows) {
		t.Errorf("%d activities by looking, %d by remembering", seen, len(rows))
	}
}

// An activity that ended by its own date is FINISHED without a stop.
func TestReconcileWhatEndedByItself(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	params := newVoucher("短", 10)
	id := s.call(t, vouchers+"create", params).Data["activity_id"].(string)
	s.call(t, vouchers+"publish", change(id, nil), "--no-expectation")
	s.quiet(t, 1)
	if err := s.p.SetActivity("", id, "FINISHED"); err != nil { // its end is in a month: somebody stopped it
		t.Fatal(err)
	}
	if rows := s.rows(t, 1, append([]string{"reconcile", id}, fast...)...); rows[0]["verdict"] != "missing" || fmt.Sprint(rows[0]["missing"]) != "[voucher.stopped]" {
		t.Errorf("%v", rows)
	}
	state := newActivityState(openapi.Result[openapi.Activity]{Value: openapi.Activity{ActivityStatus: "FINISHED", PublishEndTime: "2026-01-01 00:00:00"}})
	if state.Ends.IsZero() || state.Status != "FINISHED" {
		t.Errorf("%+v", state)
	}
}

// Two families of activities have two queries, and one id does not say which.
func TestReconcileBothFamilies(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	made, err := s.p.AddActivities("", 3, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	order := s.call(t, "alipay.marketing.activity.ordervoucher.create", object{"merchant_access_mode": "SELF_MODE", "activity_base_info": object{"activity_name": "商家券"}})
	s.quiet(t, 4)
	ids := []string{made[0], order.Data["activity_id"].(string), made[1], "2026010100826000000000000000", made[2]}
	rows := s.rows(t, 1, append(append([]string{"reconcile"}, ids...), append(fast, "--concurrency", "1")...)...)
	for i, want := range []string{"in_step", "in_step", "in_step", "unknown_to_alipay", "in_step"} {
		if rows[i]["verdict"] != want || rows[i]["key"] != ids[i] {
			t.Errorf("%s: %v, want %s", ids[i], rows[i], want)
		}
	}
	if got := s.want(t, 0, append([]string{"reconcile", "--expectations", "--all"}, fast...)...); !strings.Contains(got.stdout, "voucher.created") {
		t.Errorf("create of a 商家券 left no expectation: %s", got.stdout)
	}
}

// Cards come from arguments and from files, with their template and number.
func TestReconcileCards(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 0.4 })
	var numbers []string
	for i := range 12 {
		a := s.call(t, cards+"open", object{
			"card_template_id": platform.DefaultTemplateID, "card_user_info": object{"user_uni_id_type": "UID", "user_uni_id": fmt.Sprintf("20883024630820%02d", i)},
			"card_ext_info": object{"external_card_no": fmt.Sprintf("EXT%d", i)},
		})
		numbers = append(numbers, a.Data["card_info"].(object)["biz_card_no"].(string))
	}
	s.quiet(t, len(numbers))
	dropped := s.truth()
	if len(dropped) == 0 || len(dropped) == len(numbers) {
		t.Fatalf("%d dropped", len(dropped))
	}
	byArgs := s.rows(t, 1, append(append([]string{"reconcile", "--cards"}, numbers...), fast...)...)
	var text strings.Builder
	for _, no := range numbers {
		fmt.Fprintf(&text, "{\"biz_card_no\":%q}\n", no)
	}
	file := s.write(t, "cards.ndjson", text.String())
	byFile := s.rows(t, 1, append([]string{"reconcile", "--file", file}, fast...)...)
	for _, rows := range [][]map[string]any{byArgs, byFile} {
		if n := (population{}).judge(t, rows, dropped); n != len(dropped) || len(rows) != len(numbers) {
			t.Errorf("%d of %d rows are missing, want %d", n, len(rows), len(dropped))
		}
	}
	s.want(t, 0, append([]string{"reconcile", "--file", file, "--emit", "--execute", "--reason", "x"}, fast...)...)
	for name := range dropped {
		_, no, _ := strings.Cut(name, " ")
		found := false
		err := s.client.Under(t.Context(), stream.Inferred, "alipay.inferred."+s.app.ID+".card.open_result."+no, 0, func(m events.Stored) error {
			found = true
			var data struct {
				Success  bool   `json:"success"`
				Template string `json:"template_id"`
				No       string `json:"biz_card_no"`
			}
			if err := json.Unmarshal(m.Data, &data); err != nil || !data.Success || data.No != no || data.Template != platform.DefaultTemplateID {
				t.Errorf("%s: %v", m.Data, err)
			}
			return nil
		})
		if err != nil || !found {
			t.Errorf("%s: %v", no, err)
		}
	}
}
