package alipaytest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Form is the signed form as Alipay would send it at this moment: stamped with
// the time, encrypted, in its charset. Two calls with the same time give the
// same bytes; another time changes the stamp and the signature, and neither
// the notify_id nor biz_content.
func (n *Notification) Form(at time.Time) (Form, error) {
	if n.frozen != nil {
		return slices.Clone(n.frozen), nil
	}
	if n.opts.Key == nil {
		return nil, errors.New("no key to sign with")
	}
	form, err := n.unsigned(at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.kind.name, err)
	}
	return n.opts.Key.SignForm(form, n.signing)
}

// SameBytes is a copy of the notification that is stamped and signed once and
// for all: its Form is the one of this moment, whenever it is asked for.
func (n *Notification) SameBytes(at time.Time) (*Notification, error) {
	form, err := n.Form(at)
	if err != nil {
		return nil, err
	}
	frozen := *n
	frozen.frozen = form
	return &frozen, nil
}

// Body is the encoded Form.
func (n *Notification) Body(at time.Time) ([]byte, error) {
	form, err := n.Form(at)
	if err != nil {
		return nil, err
	}
	return form.Encode(), nil
}

// unsigned is the form in sending order, with sign empty in its place.
func (n *Notification) unsigned(at time.Time) (Form, error) {
	values, err := n.values(at)
	if err != nil {
		return nil, err
	}
	var form Form
	for _, name := range n.order() {
		value, ok := values.Get(name)
		if !ok {
			continue // encrypt_type of a plain message
		}
		if value, err = n.opts.Charset.encode(value); err != nil {
			return nil, err
		}
		form = append(form, Field{name, value})
		values = values.Without(name)
	}
	for _, field := range values {
		if field.Value, err = n.opts.Charset.encode(field.Value); err != nil {
			return nil, err
		}
		form = append(form, field)
	}
	return form, nil
}

func (n *Notification) order() []string {
	switch n.kind.shape {
	case flat:
		return n.kind.order
	case account:
		return accountOrder
	}
	return messageOrder
}

// values are all fields, as text, in no order that matters.
func (n *Notification) values(at time.Time) (Form, error) {
	form := Form{
		{"sign", ""},
		{"sign_type", string(n.signing.SignType)},
		{"charset", string(n.opts.Charset)},
	}
	if n.kind.shape == account {
		form = append(form, Field{"service", n.kind.wire})
	} else {
		form = append(form, Field{"app_id", n.opts.AppID}, Field{"notify_id", n.id})
	}
	switch n.kind.shape {
	case message:
		form = append(form, Field{"version", "1.1"}, Field{"msg_method", n.kind.wire},
			Field{"utc_timestamp", epochMillis(at)})
	case flat:
		stamp := beijingTime(at)
		form = append(form, Field{"version", "1.0"}, Field{"notify_type", n.kind.wire},
			Field{"notify_time", stamp})
		if n.Payload("method") != "" {
			form = append(form, Field{"timestamp", stamp})
		}
		for _, m := range n.payload {
			form = form.With(m.name, m.value)
		}
	}
	form, err := n.withContent(form)
	if err != nil {
		return nil, err
	}
	for _, field := range n.set {
		form = form.With(field.Name, field.Value)
	}
	return form, nil
}

// withContent adds biz_content, encrypted where there is a key. The ciphertext
// is of the bytes in the declared charset, and it is what gets signed
// (PROTOCOL.md 3.4).
func (n *Notification) withContent(form Form) (Form, error) {
	var content string
	var err error
	switch n.kind.shape {
	case flat:
		return form, nil
	case message:
		content, err = renderJSON(n.payload)
	case account:
		content = renderXML(n.payload, n.opts.Charset)
	}
	if err != nil || n.opts.AESKey == nil {
		return append(form, Field{"biz_content", content}), err
	}
	if content, err = n.opts.Charset.encode(content); err != nil {
		return nil, err
	}
	if content, err = EncryptAES(n.opts.AESKey, []byte(content)); err != nil {
		return nil, err
	}
	return append(form, Field{"biz_content", content}, Field{"encrypt_type", "AES"}), nil
}
