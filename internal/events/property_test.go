package events_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// rounds is how many random values each kind gets.
var rounds = map[bool]int{false: 100, true: 10}[raceDetector]

func forEachKind(t *testing.T, test func(t *testing.T, k events.Kind, m mutator)) {
	t.Helper()
	for _, k := range events.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			test(t, k, newMutator(t))
		})
	}
}

// What a kind's Go type holds is the same after data and back, and after the
// whole way: written as Alipay writes it, typed, under headers, stored, read.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	forEachKind(t, func(t *testing.T, k events.Kind, m mutator) {
		for range rounds {
			n := genuine(t, k.Name, 1, alipaytest.Options{Charset: alipaytest.UTF8})
			want := m.fill(k, n)
			var data bytes.Buffer
			enc := json.NewEncoder(&data)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(want.Interface()); err != nil {
				t.Fatal(err)
			}
			checkDecodes(t, k, want, data.Bytes())
			checkDecodes(t, k, want, storedAndRead(t, event(t, sent(t, n, sentAt))).Data)
		}
	})
}

// storedAndRead is what a stream gives back of an event, which must be the event.
func storedAndRead(t *testing.T, e events.Event) events.Stored {
	t.Helper()
	checkReadsBack(t, e)
	h, err := e.Header()
	if err != nil {
		t.Fatal(err)
	}
	s := events.Stored{Header: make(map[string][]string)}
	for name, value := range h {
		s.Header[name] = []string{value}
	}
	if s.Event, err = events.ParseHeader(func(name string) string { return h[name] }, e.Subject, e.Data); err != nil {
		t.Fatal(err)
	}
	if s.Kind != e.Kind || s.Replayed() {
		t.Fatalf("%s was read as %s", e.Kind, s.Kind)
	}
	return s
}

func checkDecodes(t *testing.T, k events.Kind, want reflect.Value, data []byte) {
	t.Helper()
	got := reflect.New(k.GoType())
	if err := json.Unmarshal(data, got.Interface()); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	for i := range k.GoType().NumField() {
		name, _, _ := strings.Cut(k.GoType().Field(i).Tag.Get("json"), ",")
		if inEnvelope[name] {
			got.Elem().Field(i).SetZero()
		}
	}
	if diff := cmp.Diff(want.Interface(), got.Elem().Interface()); diff != "" {
		t.Fatalf("(-want +got):\n%s\n%s", diff, data)
	}
}

// inEnvelope are fields of data that are fields of the envelope, too, where
// they have a grammar. They stay as the stand-in makes them.
var inEnvelope = map[string]bool{
	"app_id": true, "auth_app_id": true, "charset": true, "notify_id": true, "notify_time": true, "notify_type": true, "version": true, "AppId": true,
}

// fill gives a random value of the kind's type, and writes it into n as Alipay does.
func (m mutator) fill(k events.Kind, n *alipaytest.Notification) reflect.Value {
	v := reflect.New(k.GoType()).Elem()
	for i := range k.GoType().NumField() {
		f := k.GoType().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inEnvelope[name] {
			continue
		}
		if name != k.Key && m.r.IntN(4) == 0 {
			n.RemovePayload(name)
			continue
		}
		n.SetPayload(name, m.field(v.Field(i), f.Tag.Get("alipay")))
	}
	return v
}

// field gives one field a random value, and the text that Alipay sends for it.
func (m mutator) field(v reflect.Value, format string) (wire string) {
	switch v.Interface().(type) {
	case string:
		wire = m.word()
		v.SetString(wire)
	case events.Amount:
		wire = []string{"", "-"}[m.r.IntN(2)] + strconv.Itoa(m.r.IntN(1e6)) + []string{"", ".5", ".10", ".001"}[m.r.IntN(4)]
		v.SetString(wire)
	case *bool:
		yes := m.r.IntN(2) == 0
		wire = strings.ToUpper(strconv.FormatBool(yes))
		v.Set(reflect.ValueOf(&yes))
	case json.RawMessage:
		wire = fmt.Sprintf(`{"a":[%d,1.10,null],%s:{"<&>":"%s"}}`, m.r.Int(), strconv.QuoteToASCII(strconv.Itoa(m.r.Int())), "券")
		v.SetBytes([]byte(wire))
	case time.Time:
		at := time.UnixMilli(1262304000000 + m.r.Int64N(4133980800000-1262304000000))
		switch {
		case format == "beijing":
			at = at.Add(time.Duration(m.r.IntN(1e6)))
			wire = at.In(time.FixedZone("", 8*60*60)).Format("2006-01-02 15:04:05.999999999")
		case m.r.IntN(2) == 0:
			at = at.Truncate(time.Second)
			wire = strconv.FormatInt(at.Unix(), 10)
		default:
			wire = strconv.FormatInt(at.UnixMilli(), 10)
		}
		v.Set(reflect.ValueOf(at.UTC()))
	}
	return wire
}

// word is a text that survives XML, too: no control bytes, no space around it.
func (m mutator) word() string {
	const letters = `aZ09.*>-_ "\/<&'%=#]券😀` + "\u2028"
	runes := []rune(letters)
	var b strings.Builder
	b.WriteByte('x')
	for range m.r.IntN(20) {
		b.WriteRune(runes[m.r.IntN(len(runes))])
	}
	b.WriteByte('x')
	return b.String()
}

// A field that we do not know is in data as it came, whatever its name and value.
func TestUnknownFieldsSurvive(t *testing.T) {
	t.Parallel()
	forEachKind(t, func(t *testing.T, k events.Kind, m mutator) {
		for range rounds {
			n := genuine(t, k.Name, 1, alipaytest.Options{Charset: alipaytest.UTF8})
			want := make(map[string]string)
			for i := range 1 + m.r.IntN(4) {
				name, value := fmt.Sprintf("zz%d", i), m.value(3)
				if !slices.Contains(messageKinds, k.Name) { // fields and elements are texts
					text := m.word()
					n.SetPayload(name, text)
					value = plainQuote(t, text)
				} else {
					name += m.word()
					n.SetPayloadJSON(name, value)
				}
				want[name] = value
			}
			var got map[string]json.RawMessage
			data := event(t, sent(t, n, sentAt)).Data
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			for name, value := range want {
				var compact bytes.Buffer
				if err := json.Compact(&compact, []byte(value)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got[name], compact.Bytes()) {
					t.Fatalf("%q is %s, want %s\n%s", name, got[name], compact.Bytes(), data)
				}
			}
		}
	})
}

// plainQuote writes a text as JSON without the escapes that are for web pages.
func plainQuote(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whatever stands in an id, the event is stored under its own app and kind, in
// one token more, and the id is in ce-subject as it came.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	hostile := []string{
		".", "*", ">", ".>", " ", "\t", "券", "\u2028", "\u202e", "😀", "$SYS.>", "alipay.events.", "%2E", "_INBOX.", "x", "\"", "\\", strings.Repeat("k", 127),
		strings.Repeat("\x7f", 4096), "..", "-", "\u0000", "\r\n", "/", "&a=b",
	}
	forEachKind(t, func(t *testing.T, k events.Kind, m mutator) {
		for range rounds {
			var id strings.Builder
			for id.Len() == 0 || m.r.IntN(3) > 0 {
				id.WriteString(hostile[m.r.IntN(len(hostile))])
			}
			want := id.String()
			n := genuine(t, k.Name, 1, alipaytest.Options{Charset: alipaytest.UTF8})
			if slices.Contains(gatewayKinds, k.Name) { // XML has no such characters, and space around a text means nothing
				want = "x" + strings.NewReplacer("\x00", "", "\r\n", "\n").Replace(want) + "x"
			}
			n.SetPayload(k.Key, want)
			e := event(t, sent(t, n, sentAt))
			prefix := "alipay.events." + appID + "." + k.Name + "."
			token, ok := strings.CutPrefix(e.Subject, prefix)
			if !ok || token == "" || len(token) > 128 || strings.Trim(token, tokenBytes) != "" || e.Key != want {
				t.Fatalf("%q: stored under %s with the key %q", want, e.Subject, e.Key)
			}
			if e.CheckSize() == nil {
				checkReadsBack(t, e)
			}
		}
	})
}

// The headers of an event are ours alone: nothing that a request says about
// traces, schemas or jobs becomes one, wherever it says it.
func TestRequestNamesNoHeader(t *testing.T) {
	t.Parallel()
	ours := []string{
		"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-timesource", "ce-datacontenttype", "ce-dataschema",
		"ce-receivedtime", "ce-authappid", "ce-msguid", "ce-decodeerror", "Nats-Msg-Id", "Alipay-Fingerprint", "Alipay-Raw", "Alipay-Raw-Encoding", "Alipay-Proof",
	}
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	names := []string{"traceparent", "tracestate", "ce-traceparent", "ce-replayjob", "ce-conflict", "ce-dedupe", "Nats-Expected-Stream", "Nats-Rollup"}
	content := `{"activity_id":"1"`
	for _, name := range names {
		content += `,"` + name + `":"` + parent + `"`
	}
	forms := []alipaytest.Form{message(created, content+"}"), message("alipay.nobody.knows", content+"}"), flat(), gateway("<traceparent>" + parent + "</traceparent>")}
	for _, f := range forms {
		for _, name := range names {
			f = f.With(name, parent)
		}
		e := event(t, f)
		h, err := e.Header()
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range h {
			if !slices.Contains(ours, name) {
				t.Errorf("%s: the header %s: %s", e.Kind, name, value)
			}
			if strings.Contains(value, "4bf92f3577b34da6a3ce929d0e0e4736") && name != events.HeaderRaw {
				t.Errorf("%s: %s has the request's trace: %s", e.Kind, name, value)
			}
		}
	}
}

// A name may stand twice in an element's XML, which JSON has no room for.
func TestRepeatedElements(t *testing.T) {
	t.Parallel()
	e := event(t, gateway("<A>1</A><EventType>click</EventType><A><B>2</B><B>3</B></A><EventType>follow</EventType>"))
	want := `{"AppId":"` + appID + `","FromAlipayUserId":"2088102165945162","A":["1",{"B":["2","3"]}],"_unparsed":{"EventType":["click","follow"]}}`
	if string(e.Data) != want || e.DecodeError != "" {
		t.Errorf("%s\ngot  %s\nwant %s", e.DecodeError, e.Data, want)
	}
	e = event(t, gateway("<FromAlipayUserId>2</FromAlipayUserId>"))
	if e.Kind != "other.alipay_mobile_public_message_notify" || !strings.Contains(e.DecodeError, "FromAlipayUserId") {
		t.Errorf("two keys: %s, %q", e.Kind, e.DecodeError)
	}
}
