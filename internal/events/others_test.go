package events_test

import (
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// The catalogue of what keeps its other.* subject, the kinds and what the
// stand-in for Alipay can send fit together.
func TestOthers(t *testing.T) {
	t.Parallel()
	var names, simulated []string
	for _, o := range events.Others() {
		names = append(names, o.Name)
		if o.Name != "other."+strings.ReplaceAll(o.Method, ".", "_") || o.Title == "" || o.Fact == "" {
			t.Errorf("%+v", o)
		}
		if e := event(t, message(o.Method, `{}`)); e.Kind != o.Name {
			t.Errorf("%s: its events are %s", o.Name, e.Kind)
		}
		schema := ""
		if o.HasSchema {
			schema = "urn:alipay-notify:schema:" + o.Name + ":v1"
		}
		if o.Schema() != schema {
			t.Errorf("%s: schema %q, want %q", o.Name, o.Schema(), schema)
		}
		if found, ok := events.OtherByMethod(o.Method); !ok || found.Name != o.Name {
			t.Errorf("%s is not found by its method", o.Name)
		}
	}
	for _, k := range events.Kinds() {
		if _, ok := events.OtherByMethod(k.Method); ok {
			t.Errorf("%s is both a kind and another message", k.Method)
		}
	}
	for _, info := range alipaytest.Types() {
		if strings.HasPrefix(info.Type, "other.") {
			simulated = append(simulated, info.Type)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in the order of the names: %q", names)
	}
	slices.Sort(simulated)
	if !slices.Equal(names, simulated) {
		t.Errorf("the catalogue has %q\nthe stand-in sends %q", names, simulated)
	}
	if _, ok := events.OtherByMethod("alipay.nobody.knows"); ok {
		t.Error("found what nobody knows")
	}
}

// ce-dataschema is a promise: it stands only where the schema is true.
func TestOthersWithoutPromise(t *testing.T) {
	t.Parallel()
	const fund, settle, market = "alipay.fund.trans.order.changed", "alipay.trade.order.settle.notify", "servicemarket_order_notify"
	tests := map[string]struct {
		form alipaytest.Form
		want bool
	}{
		"texts":                         {message(fund, `{"status":"SUCCESS","trans_amount":"1.10"}`), true},
		"no field that we know":         {message(fund, `{"x":[1]}`), true},
		"a number for an amount":        {message(fund, `{"status":"SUCCESS","trans_amount":1.10}`), false},
		"null":                          {message(fund, `{"status":null}`), false},
		"a list where none was seen":    {message(fund, `{"status":["SUCCESS"]}`), false},
		"twice, once a number":          {message(fund, `{"status":1,"status":"SUCCESS"}`), false},
		"twice":                         {message(fund, `{"status":"a","status":"SUCCESS"}`), true},
		"a list":                        {message(settle, `{"royalty_detail_list":[{"amount":1}]}`), true},
		"a list in a string":            {message(settle, `{"royalty_detail_list":"[]"}`), true},
		"an object for a list":          {message(settle, `{"royalty_detail_list":{}}`), false},
		"a name known with a bracket":   {message(settle, `{"royalty_detail_list[]":1}`), true},
		"invalid bytes":                 {message(fund, "{\"status\":\"\xff\"}"), false},
		"XML":                           {message(fund, `<status>SUCCESS</status>`), false},
		"a message as flat form":        {flat().With("notify_type", fund), false},
		"flat":                          {flat().With("notify_type", market), true},
		"flat with content":             {flat(field("biz_content", `{"a":1}`)).With("notify_type", market), true},
		"flat, invalid bytes":           {flat(field("name", "\xff")).With("notify_type", market), false},
		"a flat form as message":        {message(market, `{"phone":"1"}`), false},
		"the documented name, not seen": {message("alipay.open.auth.appauth.cancelled", `{"user_id":"1"}`), false},
		"no known fields":               {message("alipay.fund.trans.refund.success", `{"status":"SUCCESS"}`), false},
		"unknown":                       {message("alipay.nobody.knows", `{}`), false},
		"a known kind without its key":  {message(created, `{"id":"1"}`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, tt.form)
			if !strings.HasPrefix(e.Kind, "other.") || (e.DataSchema != "") != tt.want {
				t.Errorf("kind %s has the schema %q", e.Kind, e.DataSchema)
			}
			if err := checkEvent(e); err != nil {
				t.Error(err)
			}
		})
	}
}
