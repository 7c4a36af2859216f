package audit_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/audit"
)

const schemaFile = "../../schemas/audit.record.v1.json"

type document struct {
	compiled *jsonschema.Schema
	tree     map[string]any
}

var loadSchema = sync.OnceValues(func() (document, error) {
	body, err := os.ReadFile(schemaFile)
	if err != nil {
		return document{}, err
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return document{}, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(audit.SchemaID, tree); err != nil {
		return document{}, err
	}
	compiled, err := c.Compile(audit.SchemaID)
	return document{compiled: compiled, tree: tree.(map[string]any)}, err
})

func schema(t *testing.T) document {
	t.Helper()
	d, err := loadSchema()
	if err != nil {
		t.Fatalf("schema: %v", err)
	}
	return d
}

// validate is for goroutines other than the test's own, too: it does not stop it.
func validate(t *testing.T, body []byte) {
	t.Helper()
	d, err := loadSchema()
	if err != nil {
		t.Errorf("schema: %v", err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = d.compiled.Validate(value)
	}
	if err != nil {
		t.Errorf("not a record by its schema: %v\n%s", err, body)
	}
}

// The struct and the schema name the same fields, demand the same ones, and
// every one of them is described.
func TestSchemaFitsRecord(t *testing.T) {
	t.Parallel()
	tree := schema(t).tree
	if tree["$id"] != audit.SchemaID {
		t.Errorf("$id %v", tree["$id"])
	}
	compareObject(t, "record", tree, reflect.TypeFor[audit.Record]())
}

func compareObject(t *testing.T, at string, node map[string]any, typ reflect.Type) {
	t.Helper()
	if node["additionalProperties"] != false || node["description"] == nil {
		t.Errorf("%s: other properties are allowed, or there is no description", at)
	}
	properties, _ := node["properties"].(map[string]any)
	var required, want []string
	for _, name := range node["required"].([]any) {
		required = append(required, name.(string))
	}
	fields := map[string]bool{}
	for field := range typ.Fields() {
		tag, rest, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" {
			continue
		}
		fields[tag] = true
		if rest != "omitempty" {
			want = append(want, tag)
		}
		child, ok := properties[tag].(map[string]any)
		if !ok || child["description"] == nil {
			t.Errorf("%s.%s is not in the schema, or not described", at, tag)
			continue
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			compareObject(t, at+"."+tag, child, inner)
		}
	}
	for name := range properties {
		if !fields[name] {
			t.Errorf("%s.%s is in the schema alone", at, name)
		}
	}
	slices.Sort(required)
	slices.Sort(want)
	if diff := cmp.Diff(want, required); diff != "" {
		t.Errorf("%s: required (-struct +schema):\n%s", at, diff)
	}
}

// Each status of the schema's is one of ours, and those without a record are
// exactly the ones that the schema leaves out.
func TestSchemaStatuses(t *testing.T) {
	t.Parallel()
	result := schema(t).tree["properties"].(map[string]any)["result"].(map[string]any)
	var got []audit.Status
	for _, s := range result["properties"].(map[string]any)["status"].(map[string]any)["enum"].([]any) {
		got = append(got, audit.Status(s.(string)))
	}
	want := slices.DeleteFunc(audit.Statuses(), func(s audit.Status) bool {
		return s == audit.StatusDryRun || s == audit.StatusRefused
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-code +schema):\n%s", diff)
	}
}

func TestSchemaExamples(t *testing.T) {
	t.Parallel()
	examples := schema(t).tree["examples"].([]any)
	if len(examples) == 0 {
		t.Fatal("no examples")
	}
	for _, example := range examples {
		body, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		validate(t, body)
		var record audit.Record
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&record); err != nil {
			t.Errorf("example: %v", err)
		}
		p := record.Plan
		if want := (audit.Plan{
			Verb: record.Verb, App: record.App, Items: p.Items, Bytes: p.Bytes, First: p.First, Last: p.Last,
			Target: p.Target, Parameters: p.Parameters,
		}).Digest(); p.Digest != want {
			t.Errorf("example: digest %s, want %s", p.Digest, want)
		}
		again, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(body, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("example (-read +written):\n%s", diff)
		}
	}
}

// The schema refuses what the guard never writes: a result beside "before",
// none beside "after", and fields that nobody knows.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	d := schema(t)
	before, after := d.tree["examples"].([]any)[0].(map[string]any), d.tree["examples"].([]any)[1].(map[string]any)
	tests := map[string]struct {
		of    map[string]any
		field string
		value any
	}{
		"a before with a result":  {before, "result", after["result"]},
		"an after without":        {before, "phase", "after"},
		"an unknown field":        {before, "extra", "x"},
		"a job of several tokens": {before, "job", "a.b"},
		"a local time":            {before, "at", "2026-01-02T15:04:05.006+08:00"},
		"a blank reason":          {before, "reason", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := map[string]any{}
			for k, v := range tt.of {
				record[k] = v
			}
			record[tt.field] = tt.value
			if err := d.compiled.Validate(record); err == nil {
				t.Error("accepted")
			}
		})
	}
}
