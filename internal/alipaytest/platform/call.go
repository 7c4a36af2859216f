package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// object is a JSON object; its numbers are json.Number.
type object = map[string]any

// call is one operation asked for by an app that has proved itself.
type call struct {
	op     *operation
	app    *app
	params object // from path, query and body, or from biz_content
	v2     bool
	at     time.Time
}

// sort is what a parameter has to be.
type sort int

const (
	text sort = iota
	number
	block
	token // text that may change from call to call without making another call
)

// param is one rule about one parameter. Names of nested ones have dots.
type param struct {
	name     string
	sort     sort
	required bool
	length   int      // in characters, of text; 0 is any
	of       []string // all values there are; nil is any
}

func need(name string, length int) param {
	return param{name: name, required: true, length: length}
}

func may(name string, length int) param { return param{name: name, length: length} }

func needBlock(name string) param { return param{name: name, sort: block, required: true} }

func mayBlocks(names ...string) []param {
	var out []param
	for _, name := range names {
		out = append(out, param{name: name, sort: block})
	}
	return out
}

func needNumber(name string) param { return param{name: name, sort: number, required: true} }

func needOne(name string, of ...string) param {
	return param{name: name, required: true, length: 64, of: of}
}

// check finds the first parameter that is not as its rule wants it.
func (c *call) check() *problem {
	for _, rule := range c.op.params {
		value := lookup(c.params, rule.name)
		if value == nil || value == "" {
			if rule.required {
				return c.invalid("%s不能为空", rule.name)
			}
			continue
		}
		if p := c.checkValue(rule, value); p != nil {
			return p
		}
	}
	return nil
}

func (c *call) checkValue(rule param, value any) *problem {
	switch v := value.(type) {
	case string:
		switch {
		case rule.sort != text && rule.sort != token:
			return c.invalid("%s类型错误", rule.name)
		case rule.length > 0 && utf8.RuneCountInString(v) > rule.length:
			return c.invalid("%s超过最大长度%d", rule.name, rule.length)
		case rule.of != nil && !slices.Contains(rule.of, v):
			return c.invalid("%s取值错误，应为%s", rule.name, strings.Join(rule.of, "、"))
		}
	case json.Number:
		if _, err := v.Int64(); rule.sort != number || err != nil {
			return c.invalid("%s类型错误", rule.name)
		}
	case object:
		if rule.sort != block {
			return c.invalid("%s类型错误", rule.name)
		}
	default:
		return c.invalid("%s类型错误", rule.name)
	}
	return nil
}

// invalid is the operation's way to say that a parameter is wrong.
func (c *call) invalid(format string, args ...any) *problem {
	code := "INVALID_PARAMETER"
	if c.op.invalid != "" {
		code = c.op.invalid
	}
	return decline(code, "参数有误，"+format, args...)
}

// lookup is the value under a name with dots, or nil.
func lookup(o object, name string) any {
	for {
		head, rest, nested := strings.Cut(name, ".")
		if !nested {
			return o[name]
		}
		inner, ok := o[head].(object)
		if !ok {
			return nil
		}
		o, name = inner, rest
	}
}

// set puts a value under a name with dots, and makes the objects on the way.
func set(o object, name string, value any) {
	head, rest, nested := strings.Cut(name, ".")
	if !nested {
		o[name] = value
		return
	}
	inner, ok := o[head].(object)
	if !ok {
		inner = object{}
		o[head] = inner
	}
	set(inner, rest, value)
}

// text is the first of the named parameters that is a text and not empty.
func (c *call) text(names ...string) string {
	for _, name := range names {
		if s, _ := lookup(c.params, name).(string); s != "" {
			return s
		}
	}
	return ""
}

// number is the first of the named parameters that is a number.
func (c *call) number(names ...string) (int64, bool) {
	for _, name := range names {
		if n, ok := lookup(c.params, name).(json.Number); ok {
			i, err := n.Int64()
			return i, err == nil
		}
	}
	return 0, false
}

// user is who the call is about: an Alipay user id, or an open id.
func (c *call) user(prefix, userName string) string {
	return c.text(prefix+userName, prefix+"open_id")
}

// fingerprint is the same for calls that ask for the same.
func (c *call) fingerprint() string {
	params := maps.Clone(c.params)
	for _, rule := range c.op.params {
		if rule.sort == token {
			delete(params, rule.name)
		}
	}
	data, _ := json.Marshal(params) // came from JSON, and becomes JSON again
	return string(data)
}

// parseObject reads one JSON object and nothing behind it. No text is none.
func parseObject(data []byte) (object, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return object{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out object
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	if d.More() || out == nil {
		return nil, fmt.Errorf("want one object")
	}
	return out, nil
}

// render writes an object as Alipay does: nothing escaped that need not be.
func render(o object) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		panic(err) // objects hold what JSON has, and nothing else
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// clone copies an object with all it holds.
func clone(o object) object {
	out := make(object, len(o))
	for name, value := range o {
		if inner, ok := value.(object); ok {
			value = clone(inner)
		}
		out[name] = value
	}
	return out
}

// merge puts what change holds into a copy of o: block by block, lists and
// values whole.
func merge(o, change object) object {
	out := clone(o)
	for name, value := range change {
		inner, ok := value.(object)
		old, was := out[name].(object)
		switch {
		case ok && was:
			value = merge(old, inner)
		case ok:
			value = clone(inner)
		}
		out[name] = value
	}
	return out
}

// beijing is the zone of every written-out time of Alipay's.
var beijing = time.FixedZone("CST", 8*60*60)

func clock(t time.Time) string { return t.In(beijing).Format(time.DateTime) }

func parseClock(s string) (time.Time, error) {
	return time.ParseInLocation(time.DateTime, s, beijing)
}
