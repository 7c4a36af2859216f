//go:build e2e

package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// sender posts notifications and notes what must become of them.
type sender struct {
	receiver *receiver
	app      *alipaytest.App
	schemas  schemaSet
	want     []*wanted
}

// sendTypes sends each type that alipaysim offers, by either signing rule, in
// two charsets, plain and encrypted, to a merchant and to an ISV.
func (s *sender) sendTypes(t *testing.T) {
	t.Helper()
	keep, drop := alipaytest.Signing{Rule: alipaytest.KeepSignType}, alipaytest.Signing{Rule: alipaytest.DropSignType}
	list := run(t, tools.alipaysim, "send", "--list", "-o", "json")
	for _, row := range rows(t, list.stdout) {
		if row["event"] != true {
			continue
		}
		for name, opts := range map[string]alipaytest.Options{
			"keep": {Charset: alipaytest.UTF8, Signing: keep}, "drop, GBK": {Charset: alipaytest.GBK, Signing: drop},
			"drop, AES":           {Charset: alipaytest.UTF8, Signing: drop, AESKey: s.app.AESKey},
			"keep, GBK, AES, ISV": {Charset: alipaytest.GBK, Signing: keep, AESKey: s.app.AESKey},
		} {
			if row["type"] == "account.event" {
				opts.AESKey = nil // an encrypted one does not say whose it is
			}
			n := s.app.Notification(t, row["type"].(string), opts)
			if strings.Contains(name, "ISV") {
				n.Set("auth_app_id", "2021000000000007")
				n.Set("msg_uid", "2088000000000001")
			}
			s.send(t, n.Type()+", "+name, n)
		}
	}
}

// keys are the fields whose value becomes ce-subject.
var keys = map[string]string{
	"voucher": "activity_id", "order": "order_no", "card": "biz_card_no", "trade": "out_trade_no", "account": "FromAlipayUserId",
}

// sendHostile sends ids that would break out of a header, a subject or a
// percent-encoding, if anything could.
func (s *sender) sendHostile(t *testing.T) {
	t.Helper()
	for _, typ := range []string{"voucher.created", "order.received", "card.open_result", "trade.status_changed", "account.event"} {
		for i, key := range []string{
			`two words "quoted"`, "100% %41 %zz %", "line\r\nce-id: other", "券 活动-😀-é", "alipay.events.>.*", "+a/b?c#d~\x7f",
		} {
			entity, _, _ := strings.Cut(typ, ".")
			opts := alipaytest.Options{Charset: alipaytest.UTF8, Payload: []alipaytest.Field{{Name: keys[entity], Value: key}}}
			if entity != "account" {
				opts.NotifyID = fmt.Sprintf(`%%41"%d".*.>%%`, i) + entity
			} else if strings.Contains(key, "\r") {
				continue // XML knows no carriage return
			}
			s.send(t, fmt.Sprintf("%s of %q", typ, key), s.app.Notification(t, typ, opts))
		}
	}
}

// sendOdd sends what becomes an event of another form than its kind's.
func (s *sender) sendOdd(t *testing.T) {
	t.Helper()
	one := voucher(t, s.app)
	s.send(t, "the first of two", one)
	other := s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: one.ID()})
	w := s.send(t, "a conflict", other)
	w.Extensions["conflict"] = one.ID()
	events := s.receiver.events(t)
	w.Attributes["id"] += "~" + header(events[len(events)-1], "Alipay-Fingerprint")[:8]

	keyless := voucher(t, s.app)
	keyless.RemovePayload("activity_id")
	s.send(t, "no key", keyless).Extensions["decodeerror"] = "activity_id"

	odd := voucher(t, s.app)
	odd.SetPayloadJSON("unknown", `{"amount":1.10,"list":[null,true,"<&> \u2028"]}`)
	s.send(t, "unknown fields", odd)

	form, err := voucher(t, s.app).Form(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	content := "{\"activity_id\":\"\xff\"}"
	if form, err = s.app.Key.SignForm(form.With("biz_content", content), alipaytest.Signing{}); err != nil {
		t.Fatal(err)
	}
	w = s.post(t, "no UTF-8", form, "other.alipay_marketing_activity_message_created", "")
	w.Extensions["decodeerror"] = "charset"
	w.Data = map[string]any{"_base64": base64.StdEncoding.EncodeToString([]byte(content))}
}

// send posts a notification; the result may still be amended.
func (s *sender) send(t *testing.T, name string, n *alipaytest.Notification) *wanted {
	t.Helper()
	form, err := n.Form(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	kind := n.Type()
	entity, _, _ := strings.Cut(kind, ".")
	key := n.Payload(keys[entity])
	if key == "" && entity != "other" {
		method, _ := form.Get("msg_method")
		kind = "other." + strings.ReplaceAll(method, ".", "_")
	}
	w := s.post(t, name, form, kind, key)
	if entity == "account" { // these have no id of their own
		signed, err := alipaytest.SigningString(form, n.Signing())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(signed)
		w.Attributes["id"] = hex.EncodeToString(sum[:])
		w.Attributes["time"] = epoch(t, n.Payload("CreateTime"))
	}
	return w
}

// post posts a form that becomes an event of a kind.
func (s *sender) post(t *testing.T, name string, form alipaytest.Form, kind, key string) *wanted {
	t.Helper()
	if got := s.receiver.post(t, form.Encode()); !got.acknowledged() {
		t.Fatalf("%s: got %d %q, want success", name, got.status, got.body)
	}
	get := func(name string) string { v, _ := form.Get(name); return v }
	if s.schemas.byKind[kind] == "" && !strings.HasPrefix(kind, "other.") {
		t.Errorf("%s: there is no schema of %s", name, kind)
	}
	w := &wanted{name: name}
	w.Attributes = nonEmpty(map[string]string{
		"specversion": "1.0", "id": get("notify_id"), "source": "/alipay/" + s.app.ID, "subject": key,
		"type": get("msg_method") + get("notify_type") + get("service"), "datacontenttype": "application/json", "dataschema": s.schemas.byKind[kind],
	})
	w.Extensions = nonEmpty(map[string]string{"dedupe": "stream", "authappid": get("auth_app_id"), "msguid": get("msg_uid")})
	switch {
	case get("msg_method") != "":
		s.message(t, w, form, strings.HasPrefix(kind, "other."))
	case get("notify_type") != "":
		at, err := time.ParseInLocation(time.DateTime, get("notify_time"), time.FixedZone("", 8*60*60))
		if err != nil {
			t.Fatal(err)
		}
		w.Attributes["time"], w.Extensions["timesource"] = instant(at), "notify_time"
		if strings.HasPrefix(kind, "other.") {
			w.Data = s.formData(t, form)
		}
	}
	s.want = append(s.want, w)
	return w
}

func nonEmpty(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// message fills in the data of a message and when it happened: the JSON that
// was sent, with a real time and a real truth value where its kind is known.
func (s *sender) message(t *testing.T, w *wanted, form alipaytest.Form, other bool) {
	t.Helper()
	text, _ := form.Get("biz_content")
	if _, encrypted := form.Get("encrypt_type"); encrypted {
		text = decrypt(t, s.app.AESKey, text)
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(fromCharset(t, form, text)), &data); err != nil {
		t.Fatal(err)
	}
	sent, _ := form.Get("utc_timestamp")
	w.Data, w.Attributes["time"], w.Extensions["timesource"] = data, epoch(t, sent), "utc_timestamp"
	if other {
		return
	}
	if event, ok := data["event_time"].(string); ok {
		data["event_time"] = epoch(t, event)
		w.Attributes["time"] = epoch(t, event)
		delete(w.Extensions, "timesource")
	}
	if success, ok := data["success"].(string); ok {
		data["success"] = success == "true"
	}
}

// formData is the data of a flat notification of no kind of its own.
func (s *sender) formData(t *testing.T, form alipaytest.Form) any {
	t.Helper()
	data := map[string]any{}
	for _, field := range form.Without("sign", "sign_type") {
		if field.Value != "" {
			data[field.Name] = fromCharset(t, form, field.Value)
		}
	}
	return data
}

func fromCharset(t *testing.T, form alipaytest.Form, text string) string {
	t.Helper()
	name, _ := form.Get("charset")
	out, err := charsets[alipaytest.Charset(name)].NewDecoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// epoch is a time of 13 digits as an instant.
func epoch(t *testing.T, millis string) string {
	t.Helper()
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return instant(time.UnixMilli(n))
}

func decrypt(t *testing.T, key []byte, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(raw, raw)
	return string(raw[:len(raw)-int(raw[len(raw)-1])])
}
