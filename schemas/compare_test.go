package schemas_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// comparison finds what a schema no longer admits, or no longer tells, that it
// did when it was released. What cannot be judged counts as a breach: a new
// pattern may or may not be wider than the old one, and somebody must decide.
type comparison struct{ breaches []string }

// breaches compares two readings of one schema file.
func breaches(was, is any) []string {
	var c comparison
	c.schema("", was, is)
	return c.breaches
}

func (c *comparison) add(path, format string, args ...any) {
	c.breaches = append(c.breaches, path+": "+fmt.Sprintf(format, args...))
}

// annotations say nothing about what is admitted.
var annotations = map[string]bool{
	"title": true, "description": true, "examples": true, "default": true, "deprecated": true, "$comment": true,
}

func (c *comparison) schema(path string, was, is any) {
	if was == false || is == true && !hasProperties(was) {
		return // nothing was admitted, or everything is
	}
	w, _ := was.(map[string]any) // true is the schema without a word
	i, ok := is.(map[string]any)
	if !ok {
		c.add(path, "the schema is %v now", is)
		return
	}
	keywords := maps.Clone(w)
	if keywords == nil {
		keywords = make(map[string]any)
	}
	maps.Copy(keywords, i)
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		if !annotations[keyword] {
			c.keyword(path+"/"+keyword, keyword, w, i)
		}
	}
}

func hasProperties(node any) bool {
	m, _ := node.(map[string]any)
	return m["properties"] != nil
}

// keyword compares what two schemas say under one name.
func (c *comparison) keyword(path, keyword string, w, i map[string]any) {
	was, had := w[keyword]
	is, has := i[keyword]
	switch keyword {
	case "$id", "$schema":
		if was != is {
			c.add(path, "was %v, is %v", was, is)
		}
	case "properties":
		c.properties(path, was, is)
	case "required":
		for _, name := range list(is) {
			if !slices.Contains(list(was), name) {
				c.add(path, "%v is demanded now", name)
			}
		}
	case "additionalProperties", "items", "propertyNames", "unevaluatedProperties":
		c.schema(path, orTrue(was, had), orTrue(is, has))
	case "type", "enum":
		if has {
			c.values(path, keyword, was, is, had)
		}
	case "minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties":
		if has && (!had || number(is) > number(was)) {
			c.add(path, "was %v, is %v", was, is)
		}
	case "maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties":
		if has && (!had || number(is) < number(was)) {
			c.add(path, "was %v, is %v", was, is)
		}
	default: // pattern, format, const, anyOf, if ...: it may only go away
		if has && !reflect.DeepEqual(was, is) {
			c.add(path, "was %v, is %v", was, is)
		}
	}
}

// properties may become more, and each may come to admit more.
func (c *comparison) properties(path string, was, is any) {
	w, _ := was.(map[string]any)
	i, _ := is.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if node, there := i[name]; there {
			c.schema(path+"/"+name, w[name], node)
		} else {
			c.add(path, "%s is gone", name)
		}
	}
}

// values are the types or the members of an enum, of which none may go.
func (c *comparison) values(path, keyword string, was, is any, had bool) {
	if !had {
		c.add(path, "only %v now", is)
		return
	}
	now := list(is)
	for _, value := range list(was) {
		number := keyword == "type" && value == "integer" && slices.Contains(now, any("number"))
		if !number && !slices.ContainsFunc(now, func(v any) bool { return reflect.DeepEqual(v, value) }) {
			c.add(path, "%v is not admitted any more", value)
		}
	}
}

func orTrue(node any, there bool) any {
	if !there {
		return true
	}
	return node
}

// list takes a single type for a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func number(v any) float64 {
	n, _ := v.(json.Number)
	f, _ := n.Float64()
	return f
}
