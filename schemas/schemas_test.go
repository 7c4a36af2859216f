package schemas_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/verify"
	"alipay-notify/schemas"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// notEvents are the schemas of other things than events.
var notEvents = map[string]bool{"audit.record": true, "expectation": true}

type schema struct {
	name     string // entity.action
	tree     map[string]any
	compiled *jsonschema.Schema
}

// load reads and compiles every schema file; a broken one fails every test.
var load = sync.OnceValues(func() (map[string]schema, error) {
	files, err := fs.Glob(schemas.FS, "*.v1.json")
	if err != nil {
		return nil, err
	}
	all := make(map[string]schema)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	for _, file := range files {
		if strings.HasPrefix(file, "asyncapi") {
			continue // generated, and held to the catalogue where it is made
		}
		body, err := schemas.FS.ReadFile(file)
		if err != nil {
			return nil, err
		}
		tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		s := schema{name: strings.TrimSuffix(file, ".v1.json"), tree: tree.(map[string]any)}
		if err := c.AddResource("file:///"+file, tree); err != nil {
			return nil, err
		}
		if s.compiled, err = c.Compile("file:///" + file); err != nil {
			return nil, err
		}
		all[s.name] = s
	}
	return all, nil
})

func loadAll(t *testing.T) map[string]schema {
	t.Helper()
	all, err := load()
	if err != nil {
		t.Fatalf("schemas: %v", err)
	}
	return all
}

func TestEverySchema(t *testing.T) {
	t.Parallel()
	ids := make(map[any]string)
	for name, s := range loadAll(t) {
		if s.tree["$schema"] != draft || s.compiled.DraftVersion != 2020 {
			t.Errorf("%s: not 2020-12", name)
		}
		id := s.tree["$id"]
		if id != "urn:alipay-notify:schema:"+name+":v1" {
			t.Errorf("%s: $id %v", name, id)
		}
		if other := ids[id]; other != "" {
			t.Errorf("%s and %s have one $id", name, other)
		}
		ids[id] = name
		for _, key := range []string{"title", "description"} {
			if text, _ := s.tree[key].(string); text == "" {
				t.Errorf("%s: no %s", name, key)
			}
		}
		examples, _ := s.tree["examples"].([]any)
		if len(examples) == 0 {
			t.Errorf("%s: no examples", name)
		}
		for i, example := range examples {
			if err := s.compiled.Validate(example); err != nil {
				t.Errorf("%s: example %d: %v", name, i, err)
			}
		}
	}
}

// Every file in the folder is one that the tests above know.
func TestEveryFileIsASchema(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(schemas.FS, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := loadAll(t)[strings.TrimSuffix(file, ".v1.json")]; !ok && !strings.HasPrefix(file, "asyncapi") {
			t.Errorf("%s: not <entity.action>.v1.json", file)
		}
	}
}

// The catalogue and the folder name the same kinds.
func TestSchemasAreTheCatalogue(t *testing.T) {
	t.Parallel()
	all := loadAll(t)
	for _, k := range events.Kinds() {
		s, ok := all[k.Name]
		if !ok {
			t.Errorf("the kind %s has no schema", k.Name)
			continue
		}
		if s.tree["$id"] != k.Schema() {
			t.Errorf("%s: $id %v, the catalogue says %s", k.Name, s.tree["$id"], k.Schema())
		}
	}
	others := make(map[string]bool)
	for _, o := range events.Others() {
		s, ok := all[o.Name]
		if others[o.Name] = o.HasSchema; ok != o.HasSchema {
			t.Errorf("%s: a schema file is there: %v, the catalogue says %v", o.Name, ok, o.HasSchema)
		} else if ok && s.tree["$id"] != o.Schema() {
			t.Errorf("%s: $id %v, the catalogue says %s", o.Name, s.tree["$id"], o.Schema())
		}
	}
	for name := range all {
		if _, ok := events.KindByName(name); !ok && !notEvents[name] && !others[name] {
			t.Errorf("the schema %s has no kind and no other message", name)
		}
	}
}

// A kind's schema and its Go type have the same members of the same types, and
// the schema demands the key and nothing else: reading is lenient.
func TestSchemasFitTheGoTypes(t *testing.T) {
	t.Parallel()
	for _, k := range events.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			tree := loadAll(t)[k.Name].tree
			if diff := cmp.Diff([]any{k.Key}, tree["required"]); diff != "" {
				t.Errorf("required (-key +schema):\n%s", diff)
			}
			if tree["type"] != "object" || tree["additionalProperties"] != true {
				t.Error("not an object that takes unknown fields")
			}
			properties, _ := tree["properties"].(map[string]any)
			checkProperty(t, "_unparsed", properties["_unparsed"], "object")
			fields := map[string]bool{"_unparsed": true}
			for i := range k.GoType().NumField() {
				f := k.GoType().Field(i)
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				fields[name] = true
				checkProperty(t, name, properties[name], wantType(f.Type))
			}
			for name := range properties {
				if !fields[name] {
					t.Errorf("%s is in the schema alone", name)
				}
			}
		})
	}
}

// wantType says what a Go type is in a schema.
func wantType(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[string]():
		return "string"
	case reflect.TypeFor[*bool]():
		return "boolean"
	case reflect.TypeFor[time.Time]():
		return "date-time"
	case reflect.TypeFor[events.Amount]():
		return "amount"
	case reflect.TypeFor[json.RawMessage]():
		return "array or object"
	}
	return "no type that is known here"
}

func checkProperty(t *testing.T, name string, node any, want string) {
	t.Helper()
	p, ok := node.(map[string]any)
	if !ok {
		t.Errorf("%s is not in the schema", name)
		return
	}
	if text, _ := p["description"].(string); text == "" {
		t.Errorf("%s has no description", name)
	}
	got, _ := p["type"].(string)
	if list, ok := p["type"].([]any); ok && len(list) == 2 && list[0] != list[1] {
		got = "array or object"
		for _, one := range list {
			if one != "array" && one != "object" {
				got = "another list of types"
			}
		}
	}
	switch pattern, _ := p["pattern"].(string); {
	case got == "string" && p["format"] == "date-time":
		got = "date-time"
	case got == "string" && strings.HasPrefix(pattern, "^-?[0-9]+"):
		got = "amount"
	}
	if got != want {
		t.Errorf("%s is %s in the schema and %s in Go", name, got, want)
	}
	examples, _ := p["examples"].([]any)
	if len(examples) == 0 {
		return
	}
	checkExamples(t, name, p, examples)
}

func checkExamples(t *testing.T, name string, p map[string]any, examples []any) {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("urn:property", p); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("urn:property")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		if err := compiled.Validate(example); err != nil {
			t.Errorf("%s: example %v: %v", name, example, err)
		}
	}
}

// A kind's examples decode into its Go type; where they differ after being
// written again, it is by what Go does not know.
func TestExamplesDecode(t *testing.T) {
	t.Parallel()
	for _, k := range events.Kinds() {
		examples, _ := loadAll(t)[k.Name].tree["examples"].([]any)
		for i, example := range examples {
			body, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(body, reflect.New(k.GoType()).Interface()); err != nil {
				t.Errorf("%s: example %d: %v", k.Name, i, err)
			}
		}
	}
}

// What Alipay sends becomes data that its schema admits and its Go type reads.
func TestEventsFitTheirSchemas(t *testing.T) {
	t.Parallel()
	key, all := signingKey(t), loadAll(t)
	for _, k := range events.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				e := stored(t, made(t, key, k.Name, seed))
				if e.DataSchema != k.Schema() {
					t.Fatalf("seed %d: schema %q, %s", seed, e.DataSchema, e.DecodeError)
				}
				validate(t, all[k.Name], e.Data)
				if err := json.Unmarshal(e.Data, reflect.New(k.GoType()).Interface()); err != nil {
					t.Errorf("seed %d: %v: %s", seed, err, e.Data)
				}
			}
		})
	}
}

// Odd values leave data that fits the schema, too: what does not convert is
// under _unparsed.
func TestOddEventsFitTheirSchemas(t *testing.T) {
	t.Parallel()
	key, all := signingKey(t), loadAll(t)
	odd := []string{
		"", " ", "x", "0", "-1.50", "1e9", "true", "FALSE", "null", "1672740605064", "1619338271", "12342425435232423",
		"2026-01-02 15:04:05", "2026-01-02 15:04:05.123456789", "0000-01-01 00:00:00", "9999-12-31 23:59:59",
		"[]", `{"a":[1.10]}`, "券\n",
	}
	for _, k := range events.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			for i := range k.GoType().NumField() {
				name, _, _ := strings.Cut(k.GoType().Field(i).Tag.Get("json"), ",")
				if name == k.Key || isEnvelope(name) {
					continue
				}
				for _, value := range odd {
					n := made(t, key, k.Name, 1)
					n.SetPayload(name, value)
					validate(t, all[k.Name], stored(t, n).Data)
				}
			}
		})
	}
}

// isEnvelope tells of fields whose grammar is checked before there is an event.
func isEnvelope(name string) bool {
	switch name {
	case "app_id", "auth_app_id", "charset", "notify_id", "notify_time", "notify_type", "version", "AppId":
		return true
	}
	return false
}

// The schemas refuse what the product never writes.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ kind, data string }{
		"no key":                {"voucher.created", `{"id":"1"}`},
		"an empty key":          {"voucher.created", `{"activity_id":""}`},
		"a number for an id":    {"voucher.created", `{"activity_id":"1","id":7}`},
		"a time as it came":     {"voucher.created", `{"activity_id":"1","event_time":"1672740605064"}`},
		"a time of a zone":      {"voucher.created", `{"activity_id":"1","event_time":"2023-01-03T18:10:05+08:00"}`},
		"no real day":           {"voucher.created", `{"activity_id":"1","event_time":"2023-02-30T10:10:05Z"}`},
		"null":                  {"voucher.created", `{"activity_id":"1","id":null}`},
		"an empty _unparsed":    {"voucher.created", `{"activity_id":"1","_unparsed":{}}`},
		"success as text":       {"card.open_result", `{"biz_card_no":"1","success":"true"}`},
		"an amount as a number": {"trade.status_changed", `{"out_trade_no":"1","total_amount":1.10}`},
		"an amount in e":        {"trade.status_changed", `{"out_trade_no":"1","total_amount":"1e2"}`},
		"a list in a string":    {"trade.status_changed", `{"out_trade_no":"1","fund_bill_list":"[]"}`},
		"a list":                {"order.received", `[]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if err := loadAll(t)[tt.kind].compiled.Validate(value); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// signingKey is a short key: nothing here verifies.
func signingKey(t *testing.T) *alipaytest.Key {
	t.Helper()
	key, err := alipaytest.GenerateKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// made is a notification of a type as the stand-in for Alipay makes it up.
func made(t *testing.T, key *alipaytest.Key, typ string, seed uint64) *alipaytest.Notification {
	t.Helper()
	n, err := alipaytest.New(typ, alipaytest.Options{Key: key, Rand: rand.New(rand.NewPCG(seed, 0))})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stored is the event that becomes of a notification.
func stored(t *testing.T, n *alipaytest.Notification) events.Event {
	t.Helper()
	body, err := n.Body(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	form, err := verify.ParseForm(string(body))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := events.ParseNotification(form, events.Arrival{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.NewEvent(parsed, events.Facts{Content: parsed.Content, Raw: string(body), ReceivedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func validate(t *testing.T, s schema, data []byte) {
	t.Helper()
	if err := s.compiled.Validate(decoded(t, data)); err != nil {
		t.Errorf("not as its schema: %v\n%s", err, data)
	}
}

func decoded(t *testing.T, data []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return value
}
