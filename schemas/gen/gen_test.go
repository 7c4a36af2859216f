package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/schemas"
)

const root = "../.."

// generated is what generate gives; it is made once.
var generated = sync.OnceValues(generate)

// The files in the repository are those that the generator gives.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator gives: run %s and look at the difference", name, regenerate)
		}
	}
}

// write puts them where they belong, and the same bytes each time: a map that
// is walked somewhere would make the test above fail now and then.
func TestWrite(t *testing.T) {
	t.Parallel()
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, folder := range []string{"schemas", "docs"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from one run to the next (%v)", name, err)
		}
	}
	if err := write(filepath.Join(dir, "none")); err == nil {
		t.Error("no error where there is no folder")
	}
}

// document is the AsyncAPI document in the repository.
func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "schemas/asyncapi.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree.(map[string]any)
}

// at follows names into a tree.
func at(t *testing.T, tree any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		tree = tree.(map[string]any)[name]
	}
	m, ok := tree.(map[string]any)
	if !ok {
		t.Fatalf("no object at %v", path)
	}
	return m
}

// compile compiles the schema at a place of the document in a dialect.
func compile(t *testing.T, doc any, dialect *jsonschema.Draft, pointer string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(dialect)
	c.AssertFormat()
	if err := c.AddResource("file:///asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("file:///asyncapi.json#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every message has examples; headers and payload are what its schemas say, in
// AsyncAPI's dialect of JSON Schema and in ours.
func TestExamplesFitTheDocument(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for name, m := range at(t, doc, "components", "messages") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			examples, _ := m.(map[string]any)["examples"].([]any)
			if len(examples) == 0 {
				t.Error("no examples")
			}
			for _, dialect := range []*jsonschema.Draft{jsonschema.Draft7, jsonschema.Draft2020} {
				for _, part := range []string{"headers", "payload"} {
					if m.(map[string]any)[part] == nil {
						continue // advisories and audit records have no headers
					}
					schema := compile(t, doc, dialect, "/components/messages/"+name+"/"+part)
					for _, x := range examples {
						if err := schema.Validate(x.(map[string]any)[part]); err != nil {
							t.Errorf("%s of example %v: %v", part, x.(map[string]any)["name"], err)
						}
					}
				}
			}
		})
	}
}

// sameInBoth are the words that mean the same in draft-07, which AsyncAPI's
// Schema Object is made of, and in 2020-12, which our files are.
var sameInBoth = []string{
	"title", "description", "examples", "type", "enum", "const", "format", "pattern", "minLength", "maxLength",
	"minimum", "maximum", "required", "properties", "additionalProperties", "propertyNames", "minProperties",
	"maxProperties", "minItems", "maxItems", "uniqueItems", "items", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
}

// Payloads are copies of the files, and use no word that AsyncAPI's dialect reads
// differently. A word that is missing here is to be looked up, not just added.
func TestPayloadsAreTheSchemas(t *testing.T) {
	t.Parallel()
	doc := document(t)
	payloads := at(t, doc, "components", "schemas")
	payloads["audit.record"] = at(t, doc, "components", "messages", "audit.record", "payload")
	files, err := schemas.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".v1.json")
		if !ok || strings.HasPrefix(name, "asyncapi") || name == "expectation" { // of a bucket, to which nobody subscribes
			continue
		}
		text, err := schemas.FS.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		want, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		tree := want.(map[string]any)
		tree["x-schema-id"] = tree["$id"]
		delete(tree, "$id")
		delete(tree, "$schema")
		if diff := cmp.Diff(want, payloads[name]); diff != "" {
			t.Errorf("%s (-file +document):\n%s", name, diff)
		}
		delete(tree, "x-schema-id")
		checkWords(t, name, tree)
	}
}

func checkWords(t *testing.T, where string, schema any) {
	t.Helper()
	tree, ok := schema.(map[string]any)
	if !ok {
		return // true, false
	}
	for word, value := range tree {
		if !slices.Contains(sameInBoth, word) {
			t.Errorf("%s: %s may mean another thing to AsyncAPI", where, word)
		}
		switch word {
		case "properties":
			for name, s := range value.(map[string]any) {
				checkWords(t, where+"."+name, s)
			}
		case "allOf", "anyOf", "oneOf":
			for _, s := range value.([]any) {
				checkWords(t, where+"."+word, s)
			}
		case "items", "additionalProperties", "propertyNames", "not", "if", "then", "else":
			checkWords(t, where+"."+word, value)
		}
	}
	if _, list := tree["items"].([]any); list {
		t.Errorf("%s: a list of items means another thing in draft-07", where)
	}
}
