package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// parser reads YAML by the shape of Config, as koanf's parser of the file. It
// is stricter than any decoder at hand: one that stops at the first wrong
// value, ignores the case of keys, rounds 1.5 to 1 or takes 30 for 30 ns would
// hide the mistake that the operator is looking for.
//
// Unmarshal fails only when there is nothing to go on with; all else is
// gathered in problems, and what is wrong is left out of the result.
type parser struct{ problems Problems }

// Unmarshal gives the tree of what the document says: maps, lists, and scalars
// of the very types that Config has.
func (p *parser) Unmarshal(data []byte) (map[string]any, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or nothing but comments
		return map[string]any{}, nil
	case err != nil:
		return nil, syntaxError(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document; only one is read, so keep one")
	}
	root := content(doc.Content[0])
	if isNull(root) {
		return map[string]any{}, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("is not a mapping of keys to values, such as `log: { level: info }`")
	}
	return p.section("", root, reflect.TypeFor[Config]()), nil
}

// Marshal is there because koanf's interface asks for it; see Config.YAML.
func (p *parser) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("config: this parser only reads")
}

// syntaxError is err without the parser's name. The one message that would
// repeat a piece of the file, which may be a password, is replaced.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "anchor") {
		return errors.New("is not valid YAML: an anchor is used that is not defined; a value that begins with * must be quoted")
	}
	return fmt.Errorf("is not valid YAML: %s", strings.ReplaceAll(text, "\n", " "))
}

// value reads one node as a t; ok is false when there is nothing to keep. It
// goes no deeper than Config does, and so ends even where an alias holds itself.
func (p *parser) value(key string, node *yaml.Node, t reflect.Type) (v any, ok bool) {
	node = content(node)
	if isNull(node) { // a key without a value is as good as no key
		return nil, false
	}
	switch {
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		return p.section(key, node, t), true
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		return p.list(key, node, t), true
	case isScalar(t) && node.Kind == yaml.ScalarNode:
		v, ok = scalar(node, t)
	}
	if !ok {
		p.problems.add(key, "must be %s, and line %d has %s", expectation(t), node.Line, found(node, t))
	}
	return v, ok
}

// section reads a mapping as the struct t: every key must be one of its fields
// and be there once.
func (p *parser) section(key string, node *yaml.Node, t reflect.Type) map[string]any {
	section := map[string]any{}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, line := content(node.Content[i]).Value, node.Content[i].Line
		place := join(key, printable(name))
		if first, again := lines[name]; again {
			p.problems.add(place, "is there twice, in line %d and in line %d; which one is meant?", first, line)
			continue
		}
		lines[name] = line
		field, known := fieldOf(t, name)
		if !known {
			p.problems.add(place, "unknown key in line %d; the keys here are %s", line, strings.Join(keysOf(t), ", "))
			continue
		}
		if v, ok := p.value(place, node.Content[i+1], field.Type); ok {
			section[name] = v
		}
	}
	return section
}

// list reads a sequence as the slice t. An element that cannot be read keeps
// its place, so that the indices in later messages are those of the file.
func (p *parser) list(key string, node *yaml.Node, t reflect.Type) []any {
	list := make([]any, len(node.Content))
	for i, element := range node.Content {
		v, ok := p.value(index(key, i), element, t.Elem())
		if !ok {
			v = blank(t.Elem())
		}
		list[i] = v
	}
	return list
}

// scalar reads a scalar node as a t, without any conversion that could guess wrong.
func scalar(node *yaml.Node, t reflect.Type) (any, bool) {
	tag := node.ShortTag()
	switch {
	case t == reflect.TypeFor[time.Duration]():
		// A bare number has no unit; only zero needs none.
		if tag != "!!str" && node.Value != "0" {
			return nil, false
		}
		d, err := time.ParseDuration(node.Value)
		return d, err == nil
	case t.Kind() == reflect.String:
		return node.Value, tag == "!!str"
	case t.Kind() == reflect.Bool:
		var b bool
		err := node.Decode(&b)
		return b, tag == "!!bool" && err == nil
	default:
		var n int64
		err := node.Decode(&n)
		return n, tag == "!!int" && err == nil
	}
}

// found names what stands where a t should, without its value.
func found(node *yaml.Node, t reflect.Type) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	tag := node.ShortTag()
	switch {
	case t.Kind() == reflect.String:
		return "what YAML takes for something else: put it in quotes"
	case tag == "!!str" && t != reflect.TypeFor[time.Duration]():
		return "text"
	case tag == "!!bool":
		return "true or false"
	case tag == "!!float":
		return "a fraction, or a number that is too large"
	case tag == "!!int" && t == reflect.TypeFor[time.Duration]():
		return "a number without a unit"
	case tag == "!!int" && t.Kind() == reflect.Bool:
		return "a number"
	case tag == "!!int":
		return "a number that is too large"
	}
	return "something else"
}

// content is the node itself, or what the alias stands for.
func content(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// isNull tells a key without a value, or with null or ~.
func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// namePattern is what a key can look like without being a value gone astray.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_<-]{1,40}$`)

// printable is name, unless it looks like something else: a forgotten space,
// as in {url:redis://:password@host}, makes a key of what holds a password.
func printable(name string) string {
	if namePattern.MatchString(name) {
		return name
	}
	return "(key of " + strconv.Itoa(len(name)) + " bytes)"
}
