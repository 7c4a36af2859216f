package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Kind describes one kind of typed event. It is immutable.
type Kind struct {
	Name   string // entity.action, as users and subjects name it
	Method string // what Alipay calls it: msg_method, notify_type or service
	Title  string // one line for people
	Key    string // the payload's field that becomes the subject's last token
	Time   string // the payload's field that says when it happened; empty: event_time
	Fact   string // where the fields are documented

	// Whole sentences for people who build on the events, by PROTOCOL.md and its sources;
	// what they do not say is called not known.
	When    string // when Alipay sends it
	Absence string // what it means when it does not come
	Query   string // which OpenAPI query proves it, and what that can and cannot prove

	fields map[string]converter
	goType reflect.Type
	schema string
}

// Schema is the $id of the kind's JSON Schema in schemas/.
func (k Kind) Schema() string { return k.schema }

func schemaID(name string) string { return "urn:alipay-notify:schema:" + name + ":v1" }

// GoType is the struct that the data of the kind's events decodes into.
func (k Kind) GoType() reflect.Type { return k.goType }

var byMethod, byName = make(map[string]*Kind), make(map[string]*Kind)

// Kinds gives the catalogue in the order of the names.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(byMethod))
	for _, k := range byMethod {
		kinds = append(kinds, *k)
	}
	slices.SortFunc(kinds, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return kinds
}

// KindByName finds a kind by entity.action.
func KindByName(name string) (Kind, bool) {
	if k, ok := byName[name]; ok {
		return *k, true
	}
	return Kind{}, false
}

// define enters a kind into the catalogue while the package's variables are
// initialised, so that a new kind is one file. The fields of T say what each
// value becomes: string, bool, Amount and json.RawMessage by their type, a
// time.Time by the tag alipay:"epoch" or alipay:"beijing". A mistake here is
// one of the program's text, and the first test finds it.
func define[T any](k Kind) Kind {
	if k.Time == "" {
		k.Time = "event_time"
	}
	k.goType = reflect.TypeFor[T]()
	k.fields = make(map[string]converter)
	for i := range k.goType.NumField() {
		f := k.goType.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		conv := converterFor(f)
		if name == "" || conv == nil {
			panic(fmt.Sprintf("kind %s: field %s has no name or no type that we write", k.Name, f.Name))
		}
		k.fields[name] = conv
	}
	if k.fields[k.Key] == nil || byMethod[k.Method] != nil || byName[k.Name] != nil {
		panic(fmt.Sprintf("kind %s: no field for its key, or its method or name is taken", k.Name))
	}
	k.schema = schemaID(k.Name)
	byMethod[k.Method], byName[k.Name] = &k, &k
	return k
}

func converterFor(f reflect.StructField) converter {
	switch f.Type {
	case reflect.TypeFor[string]():
		return toText
	case reflect.TypeFor[bool](), reflect.TypeFor[*bool]():
		return toBool
	case reflect.TypeFor[Amount]():
		return toAmount
	case reflect.TypeFor[json.RawMessage]():
		return toJSON
	case reflect.TypeFor[time.Time]():
		switch f.Tag.Get("alipay") {
		case "epoch":
			return toEpochTime
		case "beijing":
			return toBeijingTime
		}
	}
	return nil
}

// unparsed is the member that keeps, verbatim, the values that did not convert.
const unparsed = "_unparsed"

// reading is what a kind makes of a payload.
type reading struct {
	data []byte
	key  string
	at   time.Time // when it happened; zero when the payload does not say
}

// typed converts a payload. The result holds every member of the payload: known
// ones with their real type, unknown ones as they came, and under _unparsed those
// that did not convert or whose name is repeated: which value is meant cannot be
// told. The only failure is a payload without its key. members is used up.
func (k *Kind) typed(members []member, repeated []string) (reading, error) {
	var r reading
	out, left := members[:0], []member(nil) // what is written is read already
	for _, m := range members {
		if m.name == unparsed || slices.Contains(repeated, m.name) {
			left = append(left, m) // their _unparsed goes under ours: nothing may look like our own word
			continue
		}
		if m.name == k.Time {
			r.at = epochOf(m.value)
		}
		conv, known := k.fields[m.name]
		if !known {
			out = append(out, m)
			continue
		}
		value, ok := conv(m.value)
		if !ok {
			left = append(left, m)
			continue
		}
		if m.name == k.Key {
			r.key, _ = textOf(value)
		}
		m.value = value
		out = append(out, m)
	}
	switch {
	case slices.Contains(repeated, k.Key):
		return reading{}, fmt.Errorf("the field %s stands twice", k.Key)
	case r.key == "":
		return reading{}, fmt.Errorf("the field %s is missing, empty or no text", k.Key)
	}
	if len(left) > 0 {
		out = append(out, newMember(unparsed, string(appendObject(nil, gather(left)))))
	}
	r.data = appendObject(nil, out)
	return r, nil
}
