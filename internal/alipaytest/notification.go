package alipaytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Options say how a notification is made. The zero value is one to
// DefaultAppID, as Alipay would send it now, but without a key nothing can be
// signed.
type Options struct {
	AppID    string  // the receiver; empty is DefaultAppID
	Key      *Key    // Alipay's key for that app
	Signing  Signing // an empty Rule is the habit of the type
	Charset  Charset // empty is GBK for the 生活号 gateway, else UTF-8
	AESKey   []byte  // 16 bytes encrypt biz_content; flat notifications have none and stay plain
	NotifyID string  // empty is a new one

	// Payload overrides fields of the payload, or adds them at its end. The
	// values are text; SetPayloadJSON takes the others.
	Payload []Field

	// Time is when what is told happened; zero is now. Rand is where the made
	// up values come from; nil is unpredictable. Given both, the same options
	// give the same notification. A Rand is for one goroutine.
	Time time.Time
	Rand *rand.Rand
}

// Notification is one notification before it is signed and sent. Its business
// content and its notify_id are fixed when it is made; Form stamps it with the
// time of sending and signs it, so each delivery may have a signature of its
// own (PROTOCOL.md 1.4). It may be used by several goroutines once nothing
// sets fields any more.
type Notification struct {
	kind    *kind
	opts    Options
	signing Signing
	id      string
	payload []member
	set     []Field // what Set overrides
	frozen  Form    // SameBytes: what Form gives, whatever else is set
}

// New makes a notification of a type: an entity.action from Types.
func New(typ string, opts Options) (*Notification, error) {
	k, err := findKind(typ)
	if err != nil {
		return nil, err
	}
	n := &Notification{kind: k, opts: opts, signing: opts.Signing, id: opts.NotifyID}
	if err := n.defaults(); err != nil {
		return nil, fmt.Errorf("%s: %w", typ, err)
	}
	d := &draw{rand: n.opts.Rand, at: n.opts.Time, appID: n.opts.AppID}
	if n.id == "" && k.shape != account {
		n.id = d.notifyID()
	}
	n.payload = k.payload(d)
	for _, f := range opts.Payload {
		n.SetPayload(f.Name, f.Value)
	}
	return n, nil
}

// defaults fills in what the options left open, and refuses what cannot be.
func (n *Notification) defaults() error {
	o := &n.opts
	if o.AppID == "" {
		o.AppID = DefaultAppID
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if o.Charset == "" {
		o.Charset = UTF8
		if n.kind.shape == account {
			o.Charset = GBK
		}
	}
	if n.signing.Rule == "" {
		n.signing.Rule = n.kind.habit
		// Of the two captures of one type, the encrypted one drops sign_type
		// (PROTOCOL.md section 0 item 1).
		if n.kind.shape == message && o.AESKey != nil {
			n.signing.Rule = DropSignType
		}
	}
	if n.id != "" && n.kind.shape == account {
		return errors.New("notifications of the 生活号 gateway have no notify_id")
	}
	if o.AESKey != nil && len(o.AESKey) != 16 {
		return fmt.Errorf("the AES key has %d bytes: want 16", len(o.AESKey))
	}
	if _, err := o.Charset.encode(""); err != nil {
		return err
	}
	var err error
	n.signing, err = n.signing.withDefaults()
	return err
}

// Type is the entity.action.
func (n *Notification) Type() string { return n.kind.name }

// ID is the notify_id; the 生活号 gateway has none. Retries do not change it.
func (n *Notification) ID() string { return n.id }

// AppID is the app that it is addressed to.
func (n *Notification) AppID() string { return n.opts.AppID }

// Signing says how Form signs, with every default filled in.
func (n *Notification) Signing() Signing { return n.signing }

// ContentType is the header that the form is posted with (PROTOCOL.md 1.1).
func (n *Notification) ContentType() string {
	return "application/x-www-form-urlencoded; charset=" + string(n.opts.Charset)
}

// Payload is the text of one field of the payload: a JSON member, an XML
// element, or a form field of a flat notification.
func (n *Notification) Payload(name string) string {
	for _, m := range n.payload {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

// SetPayload gives a field of the payload a text, in its place or at the end.
func (n *Notification) SetPayload(name, text string) {
	n.setMember(member{name: name, value: text})
}

// SetPayloadJSON gives a member of a JSON payload a value that is not a
// string, such as an event_time that is a number (PROTOCOL.md 2.1).
func (n *Notification) SetPayloadJSON(name, json string) {
	n.setMember(member{name: name, value: json, json: true})
}

// RemovePayload takes a field out of the payload.
func (n *Notification) RemovePayload(name string) {
	n.payload = slices.DeleteFunc(n.payload, func(m member) bool { return m.name == name })
}

func (n *Notification) setMember(m member) {
	i := slices.IndexFunc(n.payload, func(old member) bool { return old.name == m.name })
	if i < 0 {
		n.payload = append(n.payload, m)
		return
	}
	n.payload[i] = m
}

// Set gives a field of the envelope a value, in its place or at the end; it is
// signed with the rest. It outlives stamping: a set utc_timestamp stays. For
// fields that are to be missing or wrongly signed, change the Form and, where
// the signature shall hold, sign it again with SignForm.
func (n *Notification) Set(name, value string) {
	n.set = Form(n.set).With(name, value)
}
