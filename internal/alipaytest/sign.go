package alipaytest

import (
	"fmt"
	"slices"
	"strings"
)

// Rule says what becomes of sign_type in the signed string. Alipay is not
// consistent: two captures of one message type, app and key need different
// rules (PROTOCOL.md section 0 item 1).
type Rule string

// The rules of PROTOCOL.md 3.1. The empty Rule in Options is the habit of the
// type: what the captures of such notifications do.
const (
	KeepSignType   Rule = "keep"   // V2: sign_type is signed and sent
	DropSignType   Rule = "drop"   // V1: sign_type is sent, but not signed
	InsertSignType Rule = "insert" // sign_type is signed, but not sent
)

// Signing says how a form is signed. The zero value is RSA2, KeepSignType,
// empty fields kept.
type Signing struct {
	SignType  SignType
	Rule      Rule
	DropEmpty bool // leave fields without a value out of the signed string; they are still sent
}

func (s Signing) withDefaults() (Signing, error) {
	if s.SignType == "" {
		s.SignType = RSA2
	}
	if s.Rule == "" {
		s.Rule = KeepSignType
	}
	if _, err := s.SignType.hash(); err != nil {
		return s, err
	}
	switch s.Rule {
	case KeepSignType, DropSignType, InsertSignType:
		return s, nil
	}
	return s, fmt.Errorf("unknown rule %q: want keep, drop or insert", s.Rule)
}

// SigningString is the text that is signed: the fields without sign, by the
// byte order of their names, as name=value joined with '&', nothing escaped
// (PROTOCOL.md 3.1). Values are taken as the bytes they are.
func SigningString(f Form, how Signing) ([]byte, error) {
	how, err := how.withDefaults()
	if err != nil {
		return nil, err
	}
	signed := f.Without("sign")
	switch how.Rule {
	case DropSignType:
		signed = signed.Without("sign_type")
	case InsertSignType:
		signed = signed.With("sign_type", string(how.SignType))
	}
	if how.DropEmpty {
		signed = slices.DeleteFunc(signed, func(field Field) bool { return field.Value == "" })
	}
	slices.SortStableFunc(signed, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })

	var text []byte
	for i, field := range signed {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(text, field.Name...)
		text = append(text, '=')
		text = append(text, field.Value...)
	}
	return text, nil
}

// Sign is the signature over the form. sign and, by the rule, sign_type of the
// form are not part of what is signed; the form is not changed.
func (k *Key) Sign(f Form, how Signing) (string, error) {
	text, err := SigningString(f, how)
	if err != nil {
		return "", err
	}
	return k.SignBytes(text, how.SignType)
}

// SignForm is the form as it is sent: with sign, and with sign_type unless the
// rule is InsertSignType. What the form said before under these names is
// replaced, so that a changed form can be signed anew.
func (k *Key) SignForm(f Form, how Signing) (Form, error) {
	how, err := how.withDefaults()
	if err != nil {
		return nil, err
	}
	if how.Rule == InsertSignType {
		f = f.Without("sign_type")
	} else {
		f = f.With("sign_type", string(how.SignType))
	}
	sign, err := k.Sign(f, how)
	if err != nil {
		return nil, err
	}
	return f.With("sign", sign), nil
}
