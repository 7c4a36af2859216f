package config

import (
	"reflect"
	"strconv"
	"time"
)

// The shape of the configuration is that of the type Config: what follows
// reads it off the type, so that the file, the environment and the messages
// know the same keys.

// fieldOf finds the field of the struct t that has this key. Keys are compared
// exactly; another case is another key.
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		if field.Tag.Get("koanf") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

// keysOf lists the keys of the struct t, in order.
func keysOf(t reflect.Type) []string {
	var keys []string
	for field := range t.Fields() {
		keys = append(keys, field.Tag.Get("koanf"))
	}
	return keys
}

// isScalar tells a type that one value fills.
func isScalar(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice
}

// expectation says what must be written for a t.
func expectation(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration with its unit, such as 30s or 72h"
	case t.Kind() == reflect.Struct:
		return "a section of keys"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "a list of sections, each beginning with a dash"
	case t.Kind() == reflect.Slice:
		return "a list, such as [one, another]"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a whole number"
}

// blank is the tree of a t that says nothing.
func blank(t reflect.Type) any {
	if t.Kind() == reflect.Struct {
		return map[string]any{}
	}
	return reflect.Zero(t).Interface()
}

// join is the path of a key inside a section; the root's path is empty.
func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

// index is the path of a list's element.
func index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
