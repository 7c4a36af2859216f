package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// expect writes an expectation as any NATS client would: a record with a name.
func (s *shop) expect(t *testing.T, x reconcile.Expectation) string {
	t.Helper()
	x.Schema, x.AppID = reconcile.ExpectationSchema, s.app.ID
	if x.Due.IsZero() {
		x.Due = time.Now().Add(-time.Second)
	}
	kv, err := s.js.KeyValue(t.Context(), stream.ExpectBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), x.Name(), asJSON(x)); err != nil {
		t.Fatal(err)
	}
	return x.Name()
}

// What call leaves behind fits the schema that other people write by.
func TestExpectationFitsItsSchema(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../../schemas/expectation.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tree, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("x", tree); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("x")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []any
	for _, k := range events.Kinds() {
		kinds = append(kinds, k.Name)
	}
	if got := tree.(object)["properties"].(object)["type"].(object)["enum"]; fmt.Sprint(got) != fmt.Sprint(kinds) {
		t.Errorf("the schema has the types %v, the catalogue %v", got, kinds)
	}
	for _, example := range tree.(object)["examples"].([]any) {
		if _, err := reconcile.ParseExpectation(asJSON(example)); err != nil {
			t.Errorf("an example of the schema is refused: %v", err)
		}
	}

	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 1, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 1)
	s.call(t, vouchers+"modify", change(ids[0], object{"activity_base_info": object{"activity_id": ids[0], "activity_name": "新"}}), "--due", "1h")
	if err := s.client.AllExpected(t.Context(), func(x stream.Expected) error {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(x.Value)))
		if err != nil {
			return err
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", x.Value, err)
		}
		asked := value.(object)["requested"].(object)
		if len(asked) != 1 || asked["activity_base_info"].(object)["activity_name"] != "新" {
			t.Errorf("requested %v", asked)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// 500 expectations, of which 25 are never fulfilled: of 13 the notification is
// lost, and 12 were never done. Those are reported with the reason that the query
// gives, and none of the others.
func TestExpectationsOfWhichSomeAreNotMet(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	good, err := s.p.AddActivities("", 475, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 475)
	bad, err := s.p.AddActivities("", 25, "INIT")
	if err != nil {
		t.Fatal(err)
	}
	reasons := make(map[string]string)
	for i, id := range bad {
		reasons[id] = "state_unexplained it was asked for, and activity_status is INIT: not done"
		if i < 13 {
			reasons[id] = "missing activity_status is ACTIVE, and no event says so"
			if err := s.p.SetActivity("", id, "ACTIVE"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, id := range append(good, bad...) {
		s.expect(t, reconcile.Expectation{Type: reconcile.Created, Key: id, OutBizNo: fmt.Sprintf("preset-%d", i+1), RequestedAt: time.Now().Add(-time.Minute), By: "campaign"})
	}
	rows := s.rows(t, 1, append([]string{"reconcile", "--expectations"}, fast...)...)
	if len(rows) != 25 {
		t.Errorf("%d are reported, want 25", len(rows))
	}
	for _, row := range rows {
		key := row["key"].(string)
		if got := fmt.Sprint(row["verdict"], " ", row["why"]); got != reasons[key] || row["standing"] != "overdue" || row["by"] != "campaign" {
			t.Errorf("%s: %s, want %s", key, got, reasons[key])
		}
	}
	if n := len(s.expected(t)); n != 25 {
		t.Errorf("%d expectations are left", n)
	}
	// What is proved is made up for, once; what was never done stays overdue.
	emit := append([]string{"reconcile", "--expectations", "--emit", "--execute", "--reason", "INC-3"}, fast...)
	if got := s.want(t, 1, emit...); !strings.Contains(got.stderr, "13 published") || s.stores(t, stream.Inferred) != 13 {
		t.Errorf("%d inferred, %s", s.stores(t, stream.Inferred), got.stderr)
	}
	if got := s.want(t, 1, emit...); !strings.Contains(got.stderr, "concluded 13, overdue 12") || s.stores(t, stream.Inferred) != 13 || len(s.expected(t)) != 12 {
		t.Errorf("%d inferred, %d left, %s", s.stores(t, stream.Inferred), len(s.expected(t)), got.stderr)
	}
}

// Whatever others write into the bucket, what is expected of our apps is looked
// after: records of an app that is not configured, or with keys that cannot be
// any, used to end the pass as if Alipay were away.
func TestExpectationsOfStrangers(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 1, "INIT")
	if err != nil {
		t.Fatal(err)
	}
	kv, err := s.js.KeyValue(t.Context(), stream.ExpectBucket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		x := reconcile.Expectation{Schema: reconcile.ExpectationSchema, AppID: "42", Type: reconcile.Stopped, Key: fmt.Sprint(i), Due: time.Now().Add(-time.Hour)}
		if _, err := kv.Put(t.Context(), x.Name(), asJSON(x)); err != nil {
			t.Fatal(err)
		}
		if _, err := kv.PutString(t.Context(), fmt.Sprint("nonsense.", i), "nonsense"); err != nil {
			t.Fatal(err)
		}
		s.expect(t, reconcile.Expectation{Type: reconcile.Opened, Key: fmt.Sprint(strings.Repeat("7", 100), i)}) // longer than a card's number
	}
	s.expect(t, reconcile.Expectation{Type: reconcile.Created, Key: ids[0], OutBizNo: "c"})
	count := make(map[string]int)
	for _, row := range s.rows(t, 1, append([]string{"reconcile", "--expectations", "--concurrency", "1"}, fast...)...) {
		count[fmt.Sprint(row["standing"], " ", row["verdict"])]++
	}
	if want := "map[broken cannot_tell:30 overdue could_not_ask:60 overdue state_unexplained:1]"; fmt.Sprint(count) != want {
		t.Errorf("%v, want %s", count, want)
	}
}

// A modification or an append is known to be missing where somebody has written
// down what was asked for: the audit trail of call, or an expectation.
func TestReconcileKnowsRequests(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 1 })
	ids, err := s.p.AddActivities("", 3, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 3)
	for _, id := range ids { // created is not what this is about
		s.receive(t, "voucher.created", alipaytest.Options{Payload: []alipaytest.Field{{Name: "activity_id", Value: id}}})
	}
	c := s.openapi(t)
	in := openapi.VoucherAppend{VoucherQuantity: 2000}
	in.OutBizNo, in.MerchantAccessMode = "n", openapi.SelfMode
	for i, id := range ids {
		in.ActivityID, in.OutBizNo = id, fmt.Sprint("n", i)
		if i == 0 {
			s.call(t, vouchers+"append", change(id, object{"voucher_quantity": 2000}), "--out-biz-no", "n0", "--no-expectation")
		} else if _, err := c.VoucherAppend(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	s.quiet(t, 6)
	s.expect(t, reconcile.Expectation{Type: reconcile.Appended, Key: ids[1], OutBizNo: "n1", Requested: json.RawMessage(`{"voucher_quantity":"2000"}`), Due: time.Now().Add(time.Hour)})
	args := append(append([]string{"reconcile"}, ids...), append(fast, "--concurrency", "1")...)
	rows := s.rows(t, 1, args...)
	for i, want := range []string{"missing [voucher.appended] [voucher.modified]", "missing [voucher.appended] [voucher.modified]", "in_step [] [voucher.modified voucher.appended]"} {
		if got := fmt.Sprint(rows[i]["verdict"], " ", rows[i]["missing"], " ", rows[i]["cannot_tell"]); got != want {
			t.Errorf("activity %d: %s, want %s", i, got, want)
		}
	}
	s.want(t, 0, append(args, "--emit", "--execute", "--reason", "x")...)
	err = s.client.Under(t.Context(), stream.Inferred, events.InferredSubject(s.app.ID, reconcile.Appended, ids[0]), 0, func(m events.Stored) error {
		if want := fmt.Sprintf(`{"activity_id":%q,"out_biz_no":"n0"}`, ids[0]); string(m.Data) != want || m.ID != "voucher.appended:"+ids[0]+":2000" {
			t.Errorf("%s %s", m.ID, m.Data)
		}
		return nil
	})
	if err != nil || s.stores(t, stream.Inferred) != 2 {
		t.Errorf("%d inferred, %v", s.stores(t, stream.Inferred), err)
	}
}

// What was received here for the first time yesterday is not missing from before.
func TestReconcileOnAYoungArchive(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(c *platform.Config) { c.Mischief.Drop = 1 })
	ids, err := s.p.AddActivities("", 2, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 2)
	listed := append([]string{"reconcile", "--from-alipay"}, fast...)
	if rows := s.rows(t, 1, listed...); len(rows) != len(ids) || rows[0]["verdict"] != "missing" {
		t.Errorf("%v", rows)
	}
	later := time.Now().Add(time.Hour).Format(time.RFC3339)
	for _, row := range s.rows(t, 0, append(listed, "--recorded-since", later)...) {
		if row["verdict"] != "cannot_tell" || !strings.Contains(row["why"].(string), "the archive begins at") {
			t.Errorf("%v", row)
		}
	}
}
