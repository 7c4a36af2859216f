package events_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// mutations is how many each kind gets. The race detector makes them ten times
// as slow and has nothing to find in them: all is done in one goroutine.
var mutations = map[bool]int{false: 10_000, true: 1_000}[raceDetector]

// Whatever Alipay may come to send, it becomes a typed event, or an untyped one
// that says why. Only content that is not one complete JSON object is refused.
func TestMutatedMessages(t *testing.T) {
	t.Parallel()
	for _, name := range messageKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMutator(t)
			content, _ := sent(t, genuine(t, name, m.r.Uint64(), alipaytest.Options{}), sentAt).Get("biz_content")
			n := parse(t, message(method(t, name), content))
			var typed, untyped, refused int
			for range mutations {
				content := m.mutate(content)
				e, err := events.NewEvent(n, events.Facts{Content: content, ReceivedAt: receivedAt})
				switch {
				case err != nil:
					refused++
					if fault.KindOf(err) != fault.Malformed || isObject(content) {
						t.Fatalf("%v: %q", err, content)
					}
					continue
				case e.Kind == name:
					typed++
				default:
					untyped++
					if e.DecodeError == "" {
						t.Fatalf("untyped without a reason: %q", content)
					}
				}
				if err := checkMutant(e, content); err != nil {
					t.Fatalf("%v\n%q", err, content)
				}
			}
			if min(typed, untyped, refused) < mutations/100 {
				t.Errorf("%d typed, %d untyped, %d refused: the mutations are poor", typed, untyped, refused)
			}
		})
	}
}

// isObject is what "one complete JSON object" means, by other means than the code's.
func isObject(s string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(s), &m) == nil && m != nil
}

// checkMutant wants a sound event that has lost nothing of the payload.
func checkMutant(e events.Event, content string) error {
	if err := checkEvent(e); err != nil {
		return err
	}
	var before, after map[string]json.RawMessage
	if strings.HasPrefix(string(e.Data), `{"_base64":`) && e.DecodeError != "" {
		return nil // TestInvalidBytes looks at these
	}
	if e.DecodeError != "" {
		if string(e.Data) != content {
			return fmt.Errorf("data is not as it came: %s", e.Data)
		}
		return nil
	}
	if err := json.Unmarshal([]byte(content), &before); err != nil {
		return err
	}
	if err := json.Unmarshal(e.Data, &after); err != nil {
		return err
	}
	left := make(map[string]json.RawMessage)
	if v, ok := after["_unparsed"]; ok {
		if err := json.Unmarshal(v, &left); err != nil {
			return fmt.Errorf("_unparsed is no object: %s", v)
		}
	}
	for name := range before {
		_, in := after[name]
		_, out := left[name]
		if in == out && name != "_unparsed" || name == "_unparsed" && !out {
			return fmt.Errorf("%q is lost, or there twice: %s", name, e.Data)
		}
	}
	if extra := len(after) + len(left) - len(before); extra != 0 && (extra != 1 || len(left) == 0) {
		return fmt.Errorf("%d members too many: %s", extra, e.Data)
	}
	return nil
}

// Flat fields have no content to be incomplete: no mutation of them is refused.
func TestMutatedFlat(t *testing.T) {
	t.Parallel()
	for _, name := range flatKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutateFlat(t, kind(t, name))
		})
	}
}

func mutateFlat(t *testing.T, k events.Kind) {
	t.Helper()
	m := newMutator(t)
	genuine := sent(t, genuine(t, k.Name, m.r.Uint64(), alipaytest.Options{}), sentAt)
	envelope := []string{"sign", "sign_type", "charset", "app_id", "auth_app_id", "version", "notify_id", "notify_type", "notify_time"}
	var typed, untyped int
	for range mutations {
		f := slices.Clone(genuine)
		for range 1 + m.r.IntN(3) {
			i := m.r.IntN(len(f))
			switch {
			case slices.Contains(envelope, f[i].Name):
			case m.r.IntN(8) == 0:
				f = slices.Delete(f, i, i+1)
			case m.r.IntN(4) == 0:
				f[i].Value = m.text()
			default:
				f[i].Value = m.bytes(f[i].Value)
			}
		}
		if m.r.IntN(20) == 0 {
			f = f.Without(k.Key)
		}
		e := event(t, f)
		if e.Kind == k.Name {
			typed++
		} else if untyped++; e.DecodeError == "" {
			t.Fatalf("untyped without a reason: %q", f.Encode())
		}
		if err := checkEvent(e); err != nil {
			t.Fatalf("%v\n%q", err, f.Encode())
		}
	}
	if min(typed, untyped) < mutations/100 {
		t.Errorf("%d typed, %d untyped: the mutations are poor", typed, untyped)
	}
}

// XML has no room for half of it either: what does not end as an event is no
// complete document, or names another app.
func TestMutatedGateway(t *testing.T) {
	t.Parallel()
	for _, name := range gatewayKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutateGateway(t, kind(t, name))
		})
	}
}

func mutateGateway(t *testing.T, k events.Kind) {
	t.Helper()
	m := newMutator(t)
	genuine := sent(t, genuine(t, k.Name, m.r.Uint64(), alipaytest.Options{Charset: alipaytest.UTF8}), sentAt)
	content, _ := genuine.Get("biz_content")
	var typed, untyped, refused int
	for range mutations {
		mutant := content
		for range 1 + m.r.IntN(3) {
			if m.r.IntN(2) == 0 {
				mutant = m.bytes(mutant)
			} else {
				mutant = m.elements(mutant)
			}
		}
		n, err := events.ParseNotification(form(t, genuine.With("biz_content", mutant)), events.Arrival{PathApp: appID})
		var e events.Event
		if err == nil {
			e, err = events.NewEvent(n, events.Facts{Content: mutant, Signed: "signed", ReceivedAt: receivedAt})
		}
		switch {
		case err != nil:
			refused++
			if reason := fault.ReasonOf(err); reason != "bad_biz_content" && reason != "bad_app_id" && reason != "app_mismatch" && reason != "missing_biz_content" {
				t.Fatalf("%v: %q", err, mutant)
			}
			continue
		case e.Kind == k.Name:
			typed++
		default:
			untyped++
			if e.DecodeError == "" {
				t.Fatalf("untyped without a reason: %q", mutant)
			}
		}
		if err := checkEvent(e); err != nil {
			t.Fatalf("%v\n%q", err, mutant)
		}
	}
	if min(typed, untyped, refused) < mutations/100 {
		t.Errorf("%d typed, %d untyped, %d refused: the mutations are poor", typed, untyped, refused)
	}
}

// elements takes one element of a flat XML document out, repeats it, or gives it
// another name or text.
func (m mutator) elements(content string) string {
	parts := element.FindAllStringSubmatchIndex(content, -1)
	if len(parts) == 0 {
		return content
	}
	at := parts[m.r.IntN(len(parts))]
	whole, name, text := content[at[0]:at[1]], content[at[2]:at[3]], content[at[4]:at[5]]
	if name == "AppId" && m.r.IntN(4) > 0 {
		return content
	}
	switch m.r.IntN(6) {
	case 0:
		whole = ""
	case 1:
		whole += whole
	case 2:
		name = []string{"x", "_unparsed", strings.ToUpper(name), "FromAlipayUserId"}[m.r.IntN(4)]
		whole = "<" + name + ">" + text + "</" + name + ">"
	case 3:
		whole = "<" + name + "><a>" + text + "</a><b/></" + name + ">"
	default:
		whole = "<" + name + "><![CDATA[" + m.text() + "]]></" + name + ">"
	}
	return content[:at[0]] + whole + content[at[1]:]
}

var element = regexp.MustCompile(`<(\w+)>(<!\[CDATA\[[^\]]*\]\]>)</\w+>`)

type mutator struct{ r *rand.Rand }

func newMutator(t *testing.T) mutator {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return mutator{rand.New(rand.NewPCG(seed, 0))}
}

// mutate changes bytes, or members, or both.
func (m mutator) mutate(content string) string {
	for range 1 + m.r.IntN(3) {
		if m.r.IntN(5) == 0 {
			content = m.bytes(content)
		} else {
			content = m.members(content)
		}
	}
	return content
}

func (m mutator) bytes(s string) string {
	b := []byte(s)
	if len(b) == 0 {
		return m.text()
	}
	i := m.r.IntN(len(b))
	j := min(len(b), i+1+m.r.IntN(8))
	switch m.r.IntN(6) {
	case 0:
		b[i] ^= 1 << m.r.IntN(8)
	case 1:
		b = slices.Delete(b, i, j)
	case 2:
		b = slices.Insert(b, i, b[i:j]...)
	case 3:
		b = b[:i]
	case 4:
		b = slices.Insert(b, i, []byte(m.text())...)
	case 5:
		b[i] = `{}[]",:\ 0e.-`[m.r.IntN(13)]
	}
	return string(b)
}

// members takes one member out, or gives it another name or value.
func (m mutator) members(content string) string {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(content), &all) != nil || len(all) == 0 {
		return content
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	chosen := names[m.r.IntN(len(names))]
	var b strings.Builder
	b.WriteByte('{')
	pair := func(name, value string) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%s", strconv.QuoteToASCII(name), value)
	}
	for _, name := range names {
		value := string(all[name])
		if name != chosen {
			pair(name, value)
			continue
		}
		switch m.r.IntN(6) {
		case 0: // gone
		case 1:
			pair(name, value)
			pair(name, m.value(2))
		case 2:
			pair([]string{"x", "", "_unparsed", "_base64", strings.ToUpper(name)}[m.r.IntN(5)], value)
		default:
			pair(name, m.value(3))
		}
	}
	return b.String() + "}"
}

// value is a JSON value of any type.
func (m mutator) value(depth int) string {
	literals := []string{
		"null", "true", "false", "0", "-0", "1.10", "1e400", "20160427008260045084011111", `""`, `"TRUE"`, `"券"`, `"\u0000"`,
		`"1672740605064"`, "1672740605064", `"12342425435232423"`, `"1619338271"`, `"\ud800"`, `"a.*.>"`, `" "`, `"[{}]"`, `"{\"a\":1}"`,
		`"9999999999999"`, "1e3", "-1672740605",
	}
	switch k := m.r.IntN(10); {
	case depth > 0 && k == 0:
		return "[" + m.value(depth-1) + " , " + m.value(depth-1) + "]"
	case depth > 0 && k == 1:
		return `{"a":` + m.value(depth-1) + "}"
	}
	return literals[m.r.IntN(len(literals))]
}

func (m mutator) text() string {
	texts := []string{
		"", " ", "0", "-1.5", "1e9", "\x00", "\xff", "券", "\r\n", "&", "&total_amount=1", "2026-01-02 15:04:05.5",
		"0000-00-00 00:00:00", "0000-01-01 00:00:00", "9999-12-31 23:59:59", "[]", "[1", `{"a":1e400}`, "null", strings.Repeat("9", 300),
	}
	return texts[m.r.IntN(len(texts))]
}
