package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	envPrefix    = "ALIPAY_NOTIFY_"
	envSeparator = "__"
)

// override lays the environment over tree, which it changes and gives back.
//
// Only two kinds of names are ours: those with two underscores behind the
// prefix, which must then be a key, and those of the top-level scalars (DEV).
// Others with our prefix are left alone. Kubernetes puts the addresses of a
// Service called alipay-notify into every container as ALIPAY_NOTIFY_PORT,
// ALIPAY_NOTIFY_SERVICE_HOST and so on, never with two underscores; and
// ALIPAY_NOTIFY_CONFIG, which names the file, is no key of it.
func override(tree map[string]any, environ []string) (map[string]any, Problems) {
	values := map[string]string{}
	for _, entry := range environ {
		// As with os.Getenv, a name with other capitals is another name.
		if name, value, ok := strings.Cut(entry, "="); ok && isOverride(name) {
			values[name] = value // a later one wins, as in os/exec
		}
	}
	var problems Problems
	// In order, so that apps[1] is there when it is apps[2]'s turn, and a
	// whole list before its elements.
	for _, name := range slices.SortedFunc(maps.Keys(values), compareNames) {
		o := overriding{name: name, value: values[name], problems: &problems}
		parts := strings.Split(strings.TrimPrefix(name, envPrefix), envSeparator)
		o.section("", tree, reflect.TypeFor[Config](), parts)
	}
	return tree, problems
}

// isOverride tells whether an environment variable speaks to us; see override.
func isOverride(name string) bool {
	rest, ok := strings.CutPrefix(name, envPrefix)
	if !ok {
		return false
	}
	field, known := fieldOf(reflect.TypeFor[Config](), strings.ToLower(rest))
	return strings.Contains(rest, envSeparator) ||
		known && isScalar(field.Type) && rest == strings.ToUpper(rest)
}

// compareNames orders names part by part, numbers as numbers and before words.
func compareNames(a, b string) int {
	return slices.CompareFunc(strings.Split(a, envSeparator), strings.Split(b, envSeparator), func(x, y string) int {
		i, errX := strconv.Atoi(x)
		j, errY := strconv.Atoi(y)
		switch {
		case errX == nil && errY == nil:
			return cmp.Or(cmp.Compare(i, j), strings.Compare(x, y))
		case errX == nil:
			return -1
		case errY == nil:
			return 1
		}
		return strings.Compare(x, y)
	})
}

// overriding is one environment variable on its way to its key.
type overriding struct {
	name, value string
	problems    *Problems
}

// section sets the value inside a section of type t, at the key that parts name.
func (o overriding) section(key string, section map[string]any, t reflect.Type, parts []string) {
	name := strings.ToLower(parts[0])
	field, known := fieldOf(t, name)
	if !known || parts[0] != strings.ToUpper(name) {
		where := "at the top"
		if key != "" {
			where = "in " + key
		}
		o.problems.add(o.name, "names no key of the configuration; %s there are %s",
			where, strings.ToUpper(strings.Join(keysOf(t), ", ")))
		return
	}
	if v, ok := o.set(join(key, name), section[name], field.Type, parts[1:]); ok {
		section[name] = v
	}
}

// set gives what stands at key once the value is in it, at the place below
// key that parts name. present is what stands there now.
func (o overriding) set(key string, present any, t reflect.Type, parts []string) (any, bool) {
	if len(parts) == 0 {
		return o.whole(key, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		section, ok := present.(map[string]any)
		if !ok { // the file does not have this section
			section = map[string]any{}
		}
		o.section(key, section, t, parts)
		return section, true
	case reflect.Slice:
		list, _ := present.([]any)
		return o.element(key, list, t, parts)
	}
	o.problems.add(o.name, "goes on behind %s, which is %s", key, expectation(t))
	return nil, false
}

// element sets the value in one element of a list: one that is there, or the
// one behind the last. A gap would be an application of which nothing is said.
func (o overriding) element(key string, list []any, t reflect.Type, parts []string) (any, bool) {
	i, err := strconv.Atoi(parts[0])
	if err != nil || parts[0] != strconv.Itoa(i) || i < 0 {
		o.problems.add(o.name, "%s is a list: name the element by its number, from 0 up", key)
		return nil, false
	}
	if i > len(list) {
		o.problems.add(o.name, "there is no %s; the list has %d so far, so the next is number %d",
			index(key, i), len(list), len(list))
		return nil, false
	}
	if i == len(list) {
		list = append(list, blank(t.Elem()))
	}
	if v, ok := o.set(index(key, i), list[i], t.Elem(), parts[1:]); ok {
		list[i] = v
	}
	return list, true
}

// whole reads the value for a key of its own.
func (o overriding) whole(key string, t reflect.Type) (any, bool) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String {
		return splitList(o.value), true
	}
	if !isScalar(t) {
		o.problems.add(o.name, "%s has keys of its own: go on with %s and one of them", key, envSeparator)
		return nil, false
	}
	v, err := parseScalar(o.value, t)
	if err != nil {
		o.problems.add(key, "must be %s, and %s is something else", expectation(t), o.name)
		return nil, false
	}
	return v, true
}

// splitList reads a comma-separated list; an empty value is an empty list.
func splitList(value string) []any {
	list := []any{}
	if strings.TrimSpace(value) == "" {
		return list
	}
	for item := range strings.SplitSeq(value, ",") {
		list = append(list, strings.TrimSpace(item))
	}
	return list
}

// parseScalar reads value as a t. Its error repeats the value: do not show it.
func parseScalar(value string, t reflect.Type) (any, error) {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return time.ParseDuration(value)
	case t.Kind() == reflect.String:
		return value, nil
	case t.Kind() == reflect.Bool:
		return strconv.ParseBool(value)
	}
	return strconv.ParseInt(value, 10, 64)
}
