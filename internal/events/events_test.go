package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

const appID = alipaytest.DefaultAppID

var (
	sentAt     = time.Date(2026, 1, 2, 7, 4, 5, 678e6, time.UTC)
	receivedAt = time.Date(2026, 1, 2, 7, 4, 6, 9e6, time.UTC)
)

// The kinds by how Alipay sends them, so that a new one is tested with its like.
var (
	messageKinds = kindsOf("message 1.1")
	flatKinds    = kindsOf("flat 1.0")
	typedKinds   = slices.Concat(messageKinds, flatKinds)
	gatewayKinds = kindsOf("生活号 gateway")
)

func kindsOf(protocol string) (names []string) {
	for _, info := range alipaytest.Types() {
		if _, ok := events.KindByName(info.Type); ok && info.Protocol == protocol {
			names = append(names, info.Type)
		}
	}
	return names
}

const trade = "trade.status_changed"

func kind(t testing.TB, name string) events.Kind {
	t.Helper()
	k, ok := events.KindByName(name)
	if !ok {
		t.Fatalf("no kind %s", name)
	}
	return k
}

// signingKey is one key for all, and short: signing is slow, and nothing here verifies.
var signingKey = sync.OnceValues(func() (*alipaytest.Key, error) { return alipaytest.GenerateKey(1024) })

// genuine makes a notification as Alipay would send it; the seed makes it up.
func genuine(t testing.TB, typ string, seed uint64, opts alipaytest.Options) *alipaytest.Notification {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	opts.Key, opts.Time, opts.Rand = key, sentAt, rand.New(rand.NewPCG(seed, 1))
	n, err := alipaytest.New(typ, opts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sent(t testing.TB, n *alipaytest.Notification, at time.Time) alipaytest.Form {
	t.Helper()
	f, err := n.Form(at)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// message is a hand-written 1.1 message. Nothing here looks at the signature.
func message(method, content string) alipaytest.Form {
	return alipaytest.Form{
		{Name: "charset", Value: "UTF-8"},
		{Name: "biz_content", Value: content},
		{Name: "utc_timestamp", Value: "1767337445678"}, // sentAt
		{Name: "sign", Value: "c2ln"},
		{Name: "app_id", Value: appID},
		{Name: "version", Value: "1.1"},
		{Name: "sign_type", Value: "RSA2"},
		{Name: "notify_id", Value: "2026010200222150405000812345678901"},
		{Name: "msg_method", Value: method},
	}
}

// flat is a hand-written trade notification with these fields beside the envelope.
func flat(fields ...alipaytest.Field) alipaytest.Form {
	f := alipaytest.Form{
		{Name: "charset", Value: "UTF-8"},
		{Name: "notify_time", Value: "2026-01-02 15:04:05"},
		{Name: "sign", Value: "c2ln"},
		{Name: "app_id", Value: appID},
		{Name: "version", Value: "1.0"},
		{Name: "sign_type", Value: "RSA2"},
		{Name: "notify_id", Value: "2026010200222150405000812345678901"},
		{Name: "notify_type", Value: "trade_status_sync"},
		{Name: "out_trade_no", Value: "T1"},
	}
	for _, field := range fields {
		f = f.With(field.Name, field.Value)
	}
	return f
}

func field(name, value string) alipaytest.Field { return alipaytest.Field{Name: name, Value: value} }

// form is what the receiver makes of the posted bytes.
func form(t testing.TB, f alipaytest.Form) verify.Form {
	t.Helper()
	out, err := parseForm(f)
	if err != nil {
		t.Fatalf("form: %v", err)
	}
	return out
}

func parseForm(f alipaytest.Form) (verify.Form, error) { return verify.ParseForm(string(f.Encode())) }

func parse(t testing.TB, f alipaytest.Form) events.Notification {
	t.Helper()
	n, err := events.ParseNotification(form(t, f), events.Arrival{})
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return n
}

// event is what is stored of a form that is taken for verified.
func event(t testing.TB, f alipaytest.Form) events.Event {
	t.Helper()
	e, err := tryEvent(t, f)
	if err != nil {
		t.Fatalf("event: %v", err)
	}
	return e
}

func tryEvent(t testing.TB, f alipaytest.Form) (events.Event, error) {
	t.Helper()
	n := parse(t, f)
	return events.NewEvent(n, events.Facts{
		Content: n.Content, Proof: "key=k1; rule=keep-sign-type,keep-empty", Raw: string(f.Encode()), ReceivedAt: receivedAt,
	})
}

// wantFault wants an error of a kind, for a reason.
func wantFault(t testing.TB, err error, kind fault.Kind, reason string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("got %s/%s (%v), want %s/%s", fault.KindOf(err), fault.ReasonOf(err), err, kind, reason)
	}
}

func gbk(t testing.TB, s string) string {
	t.Helper()
	out, err := simplifiedchinese.GBK.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func gb18030(t testing.TB, s string) string {
	t.Helper()
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkEvent holds what is true of every event, whatever was sent.
func checkEvent(e events.Event) error {
	if !json.Valid(e.Data) || !strings.HasPrefix(strings.TrimSpace(string(e.Data)), "{") && e.DataSchema != "" {
		return fmt.Errorf("data is not a JSON object: %s", e.Data)
	}
	if len(strings.Split(e.Subject, ".")) != 6 || strings.Trim(e.Subject, tokenBytes+".") != "" {
		return fmt.Errorf("subject %q", e.Subject)
	}
	k, known := events.KindByName(e.Kind)
	if !known {
		o, _ := events.OtherByMethod(e.Type)
		if !strings.HasPrefix(e.Kind, "other.") || e.Key != "" || !strings.HasSuffix(e.Subject, "._") ||
			e.DataSchema != "" && (e.DataSchema != o.Schema() || e.DecodeError != "") {
			return fmt.Errorf("untyped event with the marks of a typed one: %s, key %q, schema %q, decode error %q", e.Subject, e.Key, e.DataSchema, e.DecodeError)
		}
		return nil
	}
	if e.Key == "" || e.DecodeError != "" || e.DataSchema != k.Schema() {
		return fmt.Errorf("typed event without its marks: %s, key %q, schema %q, decode error %q", e.Subject, e.Key, e.DataSchema, e.DecodeError)
	}
	return decodes(k, e.Data)
}

const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

var errDecode = errors.New("data does not decode into the kind's type")
