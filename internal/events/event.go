package events

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"alipay-notify/internal/fault"
)

// Event is what we store: one verified notification, typed where the catalogue
// knows its kind. Data and Raw must not be changed.
type Event struct {
	ID          string    // ce-id: the same for every delivery of one notification
	AppID       string    // whose keys proved it
	Kind        string    // entity.action
	Type        string    // ce-type: Alipay's own name
	Key         string    // verbatim; empty for other.*
	Subject     string    // where it is stored
	DataSchema  string    // $id of its schema; empty without one
	Time        time.Time // when it happened, as well as the message says
	TimeSource  string    // what Time is where the message does not say; see HeaderTimeSource
	ReceivedAt  time.Time
	AuthAppID   string
	MsgUID      string
	Unasked     bool   // Redis was not asked: the stream's window alone decides on duplicates
	Conflict    string // the notify_id that had other content before
	DecodeError string // why a known kind could not be typed
	Fingerprint string // hex SHA-256 of what makes two deliveries the same
	Proof       string // which key and rule proved it
	Raw         string // the request body, byte for byte
	Data        []byte // UTF-8 JSON
}

// Facts is what the caller knows of a notification beside its envelope.
type Facts struct {
	Content    string    // biz_content after decryption, in the declared charset
	Signed     string    // the signing string that fitted; names a notification that has no id
	Proof      string    // value of the Alipay-Proof header
	Raw        string    // the request body
	ReceivedAt time.Time // when the request came
}

// NewEvent makes the event of a verified notification. It fails only on content
// that no genuine message has, because it is not one complete JSON object or XML
// document (fault.Malformed): such a form may be half of another one.
func NewEvent(n Notification, f Facts) (Event, error) {
	e := Event{
		ID:          n.NotifyID,
		AppID:       n.AppID,
		Type:        n.Type,
		ReceivedAt:  f.ReceivedAt,
		AuthAppID:   n.AuthAppID,
		MsgUID:      n.MsgUID,
		Fingerprint: n.fingerprint(f.Content),
		Proof:       f.Proof,
		Raw:         f.Raw,
		Time:        n.SentAt,
		TimeSource:  n.sentBy,
	}
	if e.ID == "" {
		e.ID = hexDigest([]byte(f.Signed))
	}
	if e.Time.IsZero() {
		e.Time, e.TimeSource = f.ReceivedAt, "received"
	}
	text, valid := toUTF8(n.Charset, f.Content)
	if err := n.checkContent(text); err != nil {
		return Event{}, err
	}

	payload, err := n.payload(f.Content, text, valid)
	if err == nil {
		err = e.typed(n, f.Content, payload)
	}
	if err != nil {
		e.DecodeError = err.Error()
	}
	if e.Kind == "" {
		e.Kind, e.Data = otherKind(n.Type), []byte(payload)
		if o := otherByMethod[n.Type]; o != nil && err == nil && o.describes(n, f.Content, payload) {
			e.DataSchema = o.Schema()
		}
	}
	e.Subject = Subject(e.AppID, e.Kind, e.Key)
	return e, nil
}

// typed fills in what the catalogue knows. An error leaves the event untyped.
func (e *Event) typed(n Notification, content, payload string) error {
	kind, known := byMethod[e.Type]
	if !known {
		return nil
	}
	if n.Shape == Gateway {
		root, err := n.gatewayXML(content)
		if err != nil {
			return err
		}
		payload = root.object()
	}
	var room [16]member // nearly always enough, and on the stack
	members, repeated, err := splitObject(room[:0], payload)
	if err != nil {
		return err
	}
	r, err := kind.typed(members, repeated)
	if err != nil {
		return err
	}
	e.Kind, e.Key, e.Data, e.DataSchema = kind.Name, r.key, r.data, kind.schema
	if !r.at.IsZero() {
		e.Time, e.TimeSource = r.at, ""
	}
	return nil
}

var errCharset = errors.New("bytes that are invalid in the declared charset")

// payload gives a notification's content as UTF-8 JSON; text is the content in
// UTF-8 as far as it is valid. With errCharset it gives the bytes themselves in
// {"_base64": ...}, so that nothing is lost.
func (n *Notification) payload(content, text string, valid bool) (string, error) {
	if n.Shape == Message && !isXML(content) {
		if !valid {
			return base64Object(content), errCharset
		}
		return text, nil
	}
	return fieldsPayload(n.form, n.Charset, content)
}

// fieldsPayload is the payload of what has no object of its own: all fields that
// have a value.
func fieldsPayload(form Form, charset, content string) (string, error) {
	var members []member
	for name, value := range form.All() {
		// Where empty fields are not signed anybody can add one, so none counts.
		if value == "" || name == "sign" || name == "sign_type" {
			continue
		}
		if name == "biz_content" {
			value = content
		}
		utfName, okName := toUTF8(charset, name)
		utfValue, okValue := toUTF8(charset, value)
		if !okName || !okValue {
			return base64Object(string(rawFields(form))), errCharset
		}
		members = append(members, newMember(utfName, quote(utfValue)))
	}
	return string(appendObject(nil, members)), nil
}

func base64Object(s string) string {
	return `{"_base64":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"}`
}

// rawFields is the fields of a form that have a value, undecoded in charset.
func rawFields(form Form) []byte {
	var b []byte
	for name, value := range form.All() {
		if value == "" || name == "sign" || name == "sign_type" {
			continue
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, name...), '='), value...)
	}
	return b
}

// checkContent refuses content that is not whole, by its text in UTF-8. Bytes that
// are invalid in their charset do not matter here: the structure is what a split
// breaks.
func (n *Notification) checkContent(text string) error {
	switch {
	case n.Shape == Flat && !looksStructured(text):
		return nil
	case isXML(text):
		if _, err := textXML(text); err != nil {
			return malformed("bad_biz_content", "biz_content is not one complete XML document")
		}
		return nil
	case !isObject(text):
		return malformed("bad_biz_content", "biz_content is not one complete JSON object")
	}
	return nil
}

func looksStructured(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s != "" && (s[0] == '{' || s[0] == '<')
}

func isXML(s string) bool { return strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "<") }

// notInFingerprint are the fields that change from one delivery to the next.
var notInFingerprint = set("sign", "sign_type", "notify_time", "utc_timestamp", "charset", "version")

// Fingerprint is the fingerprint of a notification that never became an event:
// over its content as it was sent.
func (n *Notification) Fingerprint() string { return n.fingerprint(n.Content) }

// fingerprint is the hex SHA-256 over what stays the same when Alipay stamps
// and signs a retry anew: app, type and content of messages, and of flat
// notifications every other field with a value. Each part is written behind its
// length, so that no two lists of parts read the same.
func (n *Notification) fingerprint(content string) string {
	if n.Shape == Flat {
		return flatFingerprint(n.form)
	}
	return digestParts(n.AppID, n.Type, content)
}

func flatFingerprint(form Form) string {
	var parts []string
	for name, value := range form.All() {
		if value != "" && !notInFingerprint[name] {
			parts = append(parts, name, value)
		}
	}
	return digestParts(parts...)
}

func digestParts(parts ...string) string {
	buf := make([]byte, 0, 1<<10) // on the stack; nearly always that will do
	for _, p := range parts {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	return hexDigest(buf)
}

// hexDigest is the SHA-256 of b in hexadecimal digits.
func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return string(text[:])
}

// AsConflict gives the event the identity under which it is stored when its id
// was used before for other content: both are kept, and a consumer can see it.
func (e *Event) AsConflict() Event {
	other := *e
	other.Conflict = e.ID
	other.ID = e.ID + "~" + e.Fingerprint[:min(8, len(e.Fingerprint))] // what was read back may lack it
	return other
}

// MessageID is the Nats-Msg-Id, by which the stream knows a repetition.
func (e *Event) MessageID() string { return e.AppID + ":" + e.ID }

// CheckSize tells whether the event's headers fit into what JetStream takes
// (fault.TooLarge). Call it before anything is claimed.
func (e *Event) CheckSize() error {
	if e.roomy() {
		return nil
	}
	if _, _, err := encodeRaw(e.Raw, rawBudget(*e)); err != nil {
		return fault.Errorf(fault.TooLarge, "raw_too_large", "the request does not fit into the headers of an event: %w", err)
	}
	return nil
}

// roomy tells of nearly every event that it is far below the limit, whatever the
// escaping does to its few values of variable length.
func (e *Event) roomy() bool {
	variable := len(e.ID) + len(e.Key) + len(e.Type) + len(e.DecodeError)
	return base64.StdEncoding.EncodedLen(len(e.Raw))+8*variable+2<<10 < maxHeader
}
