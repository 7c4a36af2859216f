package verify

import (
	"fmt"
	"slices"
	"strings"
)

// SignTypeMode says what a rule does with the field sign_type.
type SignTypeMode string

// The three ways in which sign_type takes part.
const (
	KeepSignType   SignTypeMode = "keep"   // signed as sent; 生活号, 服务市场 and some messages (PROTOCOL.md 3.1, "V2")
	DropSignType   SignTypeMode = "drop"   // sent but not signed; trade notifications and other messages ("V1")
	InsertSignType SignTypeMode = "insert" // signed but not sent; seen when a gateway strips the field (PROTOCOL.md 3.1)
)

// Rule is one way of building the signed string. Rules are comparable.
type Rule struct {
	SignType  SignTypeMode
	Inserted  SignType // the value that InsertSignType puts in; empty otherwise
	DropEmpty bool     // leave out fields without a value
}

// String is the rule as the Alipay-Proof header writes it, for example
// "keep-sign-type,drop-empty".
func (r Rule) String() string {
	const keepEmpty, dropEmpty = "-sign-type,keep-empty", "-sign-type,drop-empty"
	switch { // three times for each notification
	case r.SignType == KeepSignType && !r.DropEmpty:
		return "keep" + keepEmpty
	case r.SignType == KeepSignType:
		return "keep" + dropEmpty
	case r.SignType == DropSignType && !r.DropEmpty:
		return "drop" + keepEmpty
	case r.SignType == DropSignType:
		return "drop" + dropEmpty
	case r.DropEmpty:
		return string(r.SignType) + dropEmpty
	}
	return string(r.SignType) + keepEmpty
}

// ParseRules reads what Rule.String wrote. "insert" does not say which type was
// inserted, so it gives one rule for each allowed type.
func ParseRules(s string, allowed []SignType) ([]Rule, error) {
	mode, empty, _ := strings.Cut(s, ",")
	rule := Rule{SignType: SignTypeMode(strings.TrimSuffix(mode, "-sign-type")), DropEmpty: empty == "drop-empty"}
	if rule.String() != s {
		return nil, fmt.Errorf("unknown rule %q", s)
	}
	switch rule.SignType {
	case KeepSignType, DropSignType:
		return []Rule{rule}, nil
	case InsertSignType:
		var rules []Rule
		for _, t := range allowed {
			rules = append(rules, Rule{SignType: InsertSignType, Inserted: t, DropEmpty: rule.DropEmpty})
		}
		return rules, nil
	}
	return nil, fmt.Errorf("unknown rule %q", s)
}

// Rules gives the rules that lead to different signed strings for this form:
// {keep, drop, insert each allowed type when the form has none} x {keep, drop
// empty fields}, without repetitions. Where two coincide, the one named first
// here stands for both, so that a proof names a rule in one way only.
func (f Form) Rules(allowed []SignType) []Rule { return f.appendRules(nil, allowed) }

// appendRules is Rules in the room of a slice that is empty.
func (f Form) appendRules(rules []Rule, allowed []SignType) []Rule {
	_, hasType := f.Lookup("sign_type")
	modes := append(make([]Rule, 0, 4), Rule{SignType: KeepSignType})
	if hasType {
		modes = append(modes, Rule{SignType: DropSignType})
	} else {
		for _, t := range allowed {
			modes = append(modes, Rule{SignType: InsertSignType, Inserted: t})
		}
	}
	for _, m := range modes {
		rules = append(rules, m)
		if f.hasEmpty(m) {
			m.DropEmpty = true
			rules = append(rules, m)
		}
	}
	// A sign_type that is there but empty: dropping it and dropping the empty
	// fields can give the same string.
	if hasType && f.Get("sign_type") == "" {
		keepDrop := Rule{SignType: KeepSignType, DropEmpty: true}
		rules = slices.DeleteFunc(rules, func(r Rule) bool {
			return r.SignType == DropSignType && r != keepDrop && f.SigningString(r) == f.SigningString(keepDrop)
		})
	}
	return rules
}

// hasEmpty tells whether dropping empty fields changes the string of rule r.
func (f Form) hasEmpty(r Rule) bool {
	for _, fd := range f.fields {
		if fd.Value == "" && fd.Name != "sign" && (fd.Name != "sign_type" || r.SignType == KeepSignType) {
			return true
		}
	}
	return false
}

// SigningString is the text that Alipay signed under rule r: name=value pairs
// in the byte order of the names, joined by '&', values as they are, without
// the field sign.
func (f Form) SigningString(r Rule) string {
	return string(f.appendSigningString(nil, r))
}

func (f Form) appendSigningString(dst []byte, r Rule) []byte {
	start := len(dst)
	pair := func(name, value string) {
		if r.DropEmpty && value == "" {
			return
		}
		if len(dst) > start {
			dst = append(dst, '&')
		}
		dst = append(dst, name...)
		dst = append(dst, '=')
		dst = append(dst, value...)
	}
	pending := r.SignType == InsertSignType
	for _, fd := range f.fields {
		if fd.Name == "sign" {
			continue
		}
		if fd.Name == "sign_type" && r.SignType != KeepSignType {
			continue
		}
		if pending && fd.Name > "sign_type" {
			pair("sign_type", string(r.Inserted))
			pending = false
		}
		pair(fd.Name, fd.Value)
	}
	if pending {
		pair("sign_type", string(r.Inserted))
	}
	return dst
}
