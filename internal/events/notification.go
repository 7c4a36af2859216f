package events

import (
	"encoding/json"
	"iter"
	"strings"
	"time"

	"alipay-notify/internal/fault"
)

// Form is the decoded fields of a request body, each name once.
type Form interface {
	// Get gives a field's value; an absent field and an empty one are the same.
	Get(name string) string
	// All gives every field in the byte order of the names.
	All() iter.Seq2[string, string]
}

// Shape says how a notification carries its content.
type Shape int

// The three shapes of PROTOCOL.md sections 1, 2.6 and 2.7.
const (
	Message Shape = iota // message service: msg_method and biz_content (JSON)
	Flat                 // notify_url and 1.0 messages: notify_type and fields beside it
	Gateway              // 生活号 gateway: service and biz_content (XML)
)

// Notification is the envelope of one request whose values have passed their
// grammar. It says nothing about who sent it: verify first, then believe.
type Notification struct {
	Shape     Shape
	AppID     string // whose keys decide; from the form, else from the URL
	NotifyID  string // empty only for Gateway
	Type      string // ce-type: msg_method, else notify_type, else service
	Encrypted bool   // encrypt_type was there
	Charset   string // as declared by the form, else by the Content-Type; may be empty
	AuthAppID string // ISVs: the authorising app
	MsgUID    string // ISVs: the merchant that owns the message
	SentAt    time.Time
	Content   string // biz_content as sent

	form   Form
	sentBy string // the field that SentAt is from; empty for Gateway, whose time is the event's own
}

// Arrival is what a request says outside its body.
type Arrival struct {
	PathApp     string // app_id from the URL path, or empty
	ContentType string
}

// ParseNotification reads the envelope. Signed values are not escaped, so one
// genuine signature fits several forms; the grammars here, none of which has
// room for '&' or '=', are what keeps a merged or split form out (DESIGN.md
// section 2). Every error is fault.Malformed, except an app in the URL that
// contradicts the body, which is fault.Refused.
func ParseNotification(form Form, arrival Arrival) (Notification, error) {
	if form.Get("sign") == "" {
		return Notification{}, malformed("missing_sign", "the field sign is missing")
	}
	if err := checkEnvelope(form); err != nil {
		return Notification{}, err
	}
	n := Notification{
		AppID:     form.Get("app_id"),
		NotifyID:  form.Get("notify_id"),
		Encrypted: form.Get("encrypt_type") != "",
		Charset:   form.Get("charset"),
		AuthAppID: form.Get("auth_app_id"),
		MsgUID:    form.Get("msg_uid"),
		Content:   form.Get("biz_content"),
		form:      form,
	}
	if n.Charset == "" {
		n.Charset = charsetOf(arrival.ContentType)
	}
	if err := n.setShape(); err != nil {
		return Notification{}, err
	}
	if n.Shape == Gateway {
		if n.Charset == "" {
			n.Charset = "GBK" // the gateway's default (PROTOCOL.md 2.7)
		}
		if err := n.setGatewayApp(); err != nil {
			return Notification{}, err
		}
	}
	if n.AppID == "" {
		n.AppID = arrival.PathApp
	}
	switch {
	case n.AppID == "":
		return Notification{}, malformed("missing_app_id", "neither the form nor the URL names an app")
	case arrival.PathApp != "" && arrival.PathApp != n.AppID:
		return Notification{}, fault.Errorf(fault.Refused, "app_mismatch", "the app in the URL is not the app in the body")
	}
	return n, n.setSentAt()
}

func (n *Notification) setShape() error {
	method, notifyType, service := n.form.Get("msg_method"), n.form.Get("notify_type"), n.form.Get("service")
	switch {
	case method != "":
		n.Shape, n.Type = Message, method
	case notifyType != "":
		n.Shape, n.Type = Flat, notifyType
	case service != "":
		n.Shape, n.Type = Gateway, service
	default:
		// The parameters of a return URL are signed with the same key and
		// visible to the buyer; these three names are what they lack.
		return malformed("not_a_notification", "none of msg_method, notify_type and service is there")
	}
	if n.NotifyID == "" && n.Shape != Gateway {
		return malformed("missing_notify_id", "the field notify_id is missing")
	}
	if n.Content == "" && n.Shape != Flat {
		return malformed("missing_biz_content", "the field biz_content is missing")
	}
	return nil
}

// beijing is the zone of every time that Alipay writes without one. It has no
// daylight saving, so no zone database is needed.
var beijing = time.FixedZone("UTC+8", 8*60*60)

func (n *Notification) setSentAt() error {
	if utc := n.form.Get("utc_timestamp"); utc != "" {
		n.sentBy = "utc_timestamp"
		n.SentAt, _ = parseEpoch(utc) // the grammar says 13 digits; an absurd year is kept, so that it counts as stale
		return nil
	}
	if n.Shape == Message {
		return malformed("missing_utc_timestamp", "msg_method without utc_timestamp")
	}
	if at := n.form.Get("notify_time"); at != "" {
		t, err := time.ParseInLocation(time.DateTime, at, beijing)
		if err != nil {
			return malformed("bad_notify_time", "notify_time is not yyyy-MM-dd HH:mm:ss")
		}
		n.SentAt, n.sentBy = t, "notify_time"
	}
	return nil
}

// envelope lists the fields with a fixed grammar. Nothing here may admit '&' or '='.
var envelope = []struct {
	name string
	max  int
	ok   *[256]bool
}{
	{"app_id", 32, digits},
	{"auth_app_id", 32, digits},
	{"charset", 64, word},
	{"encrypt_type", 64, word},
	{"merchant_app_id", 32, digits},
	{"msg_app_id", 32, digits},
	{"msg_method", 128, methodName},
	{"msg_mshop_id", 64, word},
	{"msg_type", 64, word},
	{"msg_uid", 32, digits},
	{"notify_id", 128, idText},
	{"notify_type", 64, word},
	{"service", 128, methodName},
	{"sign_type", 64, word},
	{"version", 64, word},
}

func checkEnvelope(form Form) error {
	for i := range envelope {
		rule := &envelope[i]
		v := form.Get(rule.name)
		if len(v) > rule.max {
			return malformed("bad_"+rule.name, "%s has %d bytes; %d are the most", rule.name, len(v), rule.max)
		}
		for i := range len(v) {
			if !rule.ok[v[i]] {
				return malformed("bad_"+rule.name, "%s has a byte at %d that its grammar does not allow", rule.name, i)
			}
		}
	}
	if v := form.Get("utc_timestamp"); v != "" && (len(v) != 13 || strings.Trim(v, "0123456789") != "") {
		return malformed("bad_utc_timestamp", "utc_timestamp is not 13 digits")
	}
	return nil
}

// The bytes of the grammars.
var (
	digits     = bytesOf(digit)
	methodName = bytesOf(methodByte)
	word       = bytesOf(func(c byte) bool { return methodByte(c) || c == '-' })
	idText     = bytesOf(func(c byte) bool { return c >= '!' && c <= '~' && c != '&' && c != '=' })
)

func bytesOf(ok func(byte) bool) *[256]bool {
	var table [256]bool
	for c := range table {
		table[c] = ok(byte(c))
	}
	return &table
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func methodByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c) || c == '.' || c == '_'
}

func malformed(reason, format string, args ...any) error {
	return fault.Errorf(fault.Malformed, reason, format, args...)
}

// IsObject tells whether content, in the charset of n, is one complete JSON
// object and nothing else: what a merged or split biz_content cannot be.
func (n *Notification) IsObject(content string) bool {
	text, _ := toUTF8(n.Charset, content)
	return isObject(text)
}

func isObject(text string) bool {
	if usualObject(text) {
		return true
	}
	trimmed := strings.TrimLeft(text, " \t\r\n")
	return strings.HasPrefix(trimmed, "{") && json.Valid([]byte(text))
}
