package schemas_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// everyWord is a schema with every word that the comparison knows.
const everyWord = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:test:v1", "title": "t", "type": "object",
  "additionalProperties": true, "required": ["key", "status"], "minProperties": 2, "maxProperties": 20,
  "properties": {
    "key": {"type": "string", "minLength": 1, "maxLength": 64, "description": "d", "examples": ["a"]},
    "status": {"enum": ["A", "B", 1]},
    "const": {"const": "K"},
    "at": {"type": "string", "format": "date-time", "pattern": "Z$"},
    "count": {"type": "integer", "minimum": 0, "maximum": 10, "exclusiveMinimum": -1, "exclusiveMaximum": 11, "multipleOf": 1},
    "list": {"type": ["array", "object"], "items": {"type": "object", "required": ["a"], "additionalProperties": false,
      "properties": {"a": {"type": "string"}}}, "minItems": 1, "maxItems": 3, "uniqueItems": true},
    "any": {"description": "anything"},
    "true": true,
    "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "map": {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"maxLength": 8}}
  },
  "examples": [{"key": "a", "status": "A", "at": "2026-01-02T07:04:05Z", "list": [{"a": "x"}], "map": {"k": "v"}, "either": null}]
}`

// change puts a value at a path of a schema; no value takes away what is there.
func change(t *testing.T, text, path, value string) map[string]any {
	t.Helper()
	tree := decoded(t, []byte(text)).(map[string]any)
	node, steps := tree, strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		next, ok := node[step].(map[string]any)
		if !ok {
			t.Fatalf("%s: no %s", path, step)
		}
		node = next
	}
	last := steps[len(steps)-1]
	if value == "" {
		if _, there := node[last]; !there {
			t.Fatalf("%s is not there to be taken away", path)
		}
		delete(node, last)
	} else {
		node[last] = decoded(t, []byte(value))
	}
	return tree
}

// What makes a v2. Each row is one change, and each must be caught.
func TestForbiddenChanges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, value string }{
		"a property goes":                         {"properties.any", ""},
		"a property inside goes":                  {"properties.list.items.properties.a", ""},
		"all properties go":                       {"properties", ""},
		"a type goes":                             {"properties.list.type", `["array"]`},
		"another type":                            {"properties.key.type", `"number"`},
		"a type where there was none":             {"properties.any.type", `"string"`},
		"a type where all was true":               {"properties.true", `{"type": "string"}`},
		"nothing where all was true":              {"properties.true", `false`},
		"nothing where something was":             {"properties.any", `false`},
		"an integer for a number":                 {"properties.either.anyOf", `[{"type": "integer"}]`},
		"a type inside":                           {"properties.list.items.properties.a.type", `"integer"`},
		"one more is required":                    {"required", `["key", "status", "at"]`},
		"another key":                             {"required", `["at"]`},
		"required where nothing was":              {"properties.map.required", `["a"]`},
		"required inside":                         {"properties.list.items.required", `["a", "b"]`},
		"a value of an enum goes":                 {"properties.status.enum", `["A", 1]`},
		"a value of an enum becomes text":         {"properties.status.enum", `["A", "B", "1"]`},
		"an enum where there was none":            {"properties.key.enum", `["a"]`},
		"another constant":                        {"properties.const.const", `"L"`},
		"a constant where there was none":         {"properties.key.const", `"a"`},
		"another pattern":                         {"properties.at.pattern", `"[Zz]$"`},
		"a pattern where there was none":          {"properties.key.pattern", `"."`},
		"another format":                          {"properties.at.format", `"date"`},
		"a format where there was none":           {"properties.key.format", `"uuid"`},
		"longer":                                  {"properties.key.minLength", `2`},
		"shorter":                                 {"properties.key.maxLength", `63`},
		"a length where there was none":           {"properties.at.maxLength", `30`},
		"a least length where there was none":     {"properties.at.minLength", `0`},
		"more":                                    {"properties.count.minimum", `1`},
		"less":                                    {"properties.count.maximum", `9.5`},
		"more, exclusively":                       {"properties.count.exclusiveMinimum", `0`},
		"less, exclusively":                       {"properties.count.exclusiveMaximum", `10`},
		"multiples of more":                       {"properties.count.multipleOf", `2`},
		"more items":                              {"properties.list.minItems", `2`},
		"fewer items":                             {"properties.list.maxItems", `2`},
		"unique where it was not":                 {"properties.map.uniqueItems", `true`},
		"more members":                            {"minProperties", `3`},
		"fewer members":                           {"maxProperties", `19`},
		"no other members":                        {"additionalProperties", `false`},
		"other members of a type":                 {"additionalProperties", `{"type": "string"}`},
		"no other members where nothing was said": {"properties.any.additionalProperties", `false`},
		"other members of another type":           {"properties.map.additionalProperties", `{"type": "boolean"}`},
		"names that are shorter":                  {"properties.map.propertyNames", `{"maxLength": 7}`},
		"names where all were":                    {"propertyNames", `{"maxLength": 100}`},
		"items where all were":                    {"properties.map.items", `{"type": "string"}`},
		"no items":                                {"properties.list.items", `false`},
		"another choice":                          {"properties.either.anyOf", `[{"type": "string"}]`},
		"a choice where there was none":           {"properties.key.anyOf", `[{"type": "string"}]`},
		"a word that nobody knows":                {"properties.key.contentEncoding", `"base64"`},
		"a not":                                   {"not", `{"required": ["x"]}`},
		"a condition":                             {"if", `{"required": ["x"]}`},
		"another $id":                             {"$id", `"urn:test:v2"`},
		"no $id":                                  {"$id", ""},
		"another dialect":                         {"$schema", `"http://json-schema.org/draft-07/schema#"`},
	}
	was := decoded(t, []byte(everyWord)).(map[string]any)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(breaches(was, change(t, everyWord, tt.path, tt.value))) == 0 {
				t.Error("not caught")
			}
		})
	}
}

// What may change within v1.
func TestAllowedChanges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, value string }{
		"nothing":                        {"title", `"t"`},
		"a better title":                 {"title", `"T"`},
		"a better description":           {"properties.key.description", `"D"`},
		"other examples":                 {"properties.key.examples", `["b"]`},
		"deprecated":                     {"properties.any.deprecated", `true`},
		"a new property":                 {"properties.new", `{"type": "string", "enum": ["X"]}`},
		"a new property inside":          {"properties.list.items.properties.b", `{"type": "string"}`},
		"one type more":                  {"properties.key.type", `["string", "null"]`},
		"any type":                       {"properties.key.type", ""},
		"number for integer":             {"properties.count.type", `"number"`},
		"a type inside":                  {"properties.list.items.properties.a.type", `["string", "number"]`},
		"one less is required":           {"required", `["key"]`},
		"none is required":               {"required", ""},
		"one value more":                 {"properties.status.enum", `["A", "B", 1, "C"]`},
		"any value":                      {"properties.status.enum", ""},
		"no constant":                    {"properties.const.const", ""},
		"no pattern":                     {"properties.at.pattern", ""},
		"no format":                      {"properties.at.format", ""},
		"shorter":                        {"properties.key.minLength", `0`},
		"longer":                         {"properties.key.maxLength", `65`},
		"any length":                     {"properties.key.maxLength", ""},
		"less":                           {"properties.count.minimum", `-0.5`},
		"more":                           {"properties.count.maximum", `10.5`},
		"any number":                     {"properties.count.multipleOf", ""},
		"fewer items":                    {"properties.list.minItems", `0`},
		"more items":                     {"properties.list.maxItems", `4`},
		"repeated items":                 {"properties.list.uniqueItems", ""},
		"any items":                      {"properties.list.items.additionalProperties", `true`},
		"fewer members":                  {"minProperties", ""},
		"more members":                   {"maxProperties", `21`},
		"not a word on other members":    {"additionalProperties", ""},
		"other members of any type":      {"properties.map.additionalProperties", `true`},
		"other members of a type more":   {"properties.map.additionalProperties", `{"type": ["string", "number"]}`},
		"names of any length":            {"properties.map.propertyNames", `true`},
		"no choice":                      {"properties.either.anyOf", ""},
		"true for a schema of no words":  {"properties.any", `true`},
		"true for a schema of one value": {"properties.const", `true`},
	}
	was := decoded(t, []byte(everyWord)).(map[string]any)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := change(t, everyWord, tt.path, tt.value)
			if found := incompatible(was, compile(t, is)); len(found) > 0 {
				t.Errorf("%q", found)
			}
		})
	}
}

// The same on the real files: no property of any of them can go, change its
// type or become required without being caught.
func TestForbiddenChangesOfOurs(t *testing.T) {
	t.Parallel()
	for name, s := range loadAll(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(s.tree)
			if err != nil {
				t.Fatal(err)
			}
			text := string(body)
			if found := incompatible(decoded(t, body).(map[string]any), s); len(found) > 0 {
				t.Fatalf("compared with itself: %q", found)
			}
			required := list(s.tree["required"])
			for property := range s.tree["properties"].(map[string]any) {
				for what, tree := range map[string]map[string]any{
					"gone":         change(t, text, "properties."+property, ""),
					"another type": change(t, text, "properties."+property+".type", `"null"`),
					"closed":       change(t, text, "properties."+property, `false`),
				} {
					if len(breaches(s.tree, tree)) == 0 {
						t.Errorf("%s %s is not caught", property, what)
					}
				}
				with, err := json.Marshal(append(list(property), required...))
				if err != nil {
					t.Fatal(err)
				}
				if found := breaches(s.tree, change(t, text, "required", string(with))); (len(found) == 0) != slices.Contains(required, any(property)) {
					t.Errorf("%s required: %q", property, found)
				}
			}
		})
	}
}

// An example that the words admit may still be refused, and is the last word.
func TestReleasedExamplesCount(t *testing.T) {
	t.Parallel()
	was := decoded(t, []byte(everyWord)).(map[string]any)
	is := compile(t, change(t, everyWord, "properties.new", `{"type": "string"}`))
	if found := incompatible(was, is); len(found) > 0 {
		t.Fatalf("%q", found)
	}
	was["examples"] = []any{map[string]any{"key": "a", "status": "A", "new": json.Number("1")}}
	if found := incompatible(was, is); len(found) != 1 || !strings.Contains(found[0], "example 0") {
		t.Errorf("%q", found)
	}
}

// A message keeps its subject and its key, and one that has none of its own
// does not get one.
func TestLostRows(t *testing.T) {
	t.Parallel()
	kind, other := row{"voucher.created", "a.created", "activity_id"}, row{Name: "other.a_b", Method: "a.b"}
	for name, tt := range map[string]struct {
		is   []row
		lost int
	}{
		"as it was":                {[]row{kind, other}, 0},
		"another order":            {[]row{other, kind}, 0},
		"one more":                 {[]row{kind, {"card.closed", "a.closed", "no"}, other}, 0},
		"a kind goes":              {[]row{other}, 1},
		"another key":              {[]row{{"voucher.created", "a.created", "id"}, other}, 1},
		"another subject":          {[]row{{"voucher.made", "a.created", "activity_id"}, other}, 1},
		"another method":           {[]row{{"voucher.created", "a.made", "activity_id"}, other}, 1},
		"a subject of its own":     {[]row{kind, {"a.b", "a.b", "id"}}, 1},
		"nobody knows it any more": {[]row{kind}, 1},
	} {
		if lost := lostRows([]row{kind, other}, tt.is); len(lost) != tt.lost {
			t.Errorf("%s: %q", name, lost)
		}
	}
}
