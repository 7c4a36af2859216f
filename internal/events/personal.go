package events

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Personal data, and what a person could be harmed with. Tools that show events
// hide it unless they are asked not to. The stored event always has all of it.
//
// Names are compared without case and without "_": FromAlipayUserId is
// from_alipay_user_id. A name that stands nowhere here is shown; its value is
// still looked at for user ids. Shown on purpose are keys and numbers of orders,
// trades, cards (biz_card_no) and agreements, which operators work with and which
// mean nothing outside, amounts, states, and the names of companies and goods.

// hiding is how much of a value is hidden.
type hiding int

const (
	shown hiding = iota
	ends         // the first and last four characters stay, so that two events of one person can be told from those of two
	whole
)

// personalNames says what is hidden of the fields of the catalogue, and why.
var personalNames = map[string]hiding{
	// Who somebody is, in numbers that only Alipay can turn into a person.
	"userid": ends, "openid": ends, "unionid": ends, "buyerid": ends, "transin": ends, "transout": ends,
	// A number that somebody carries: whoever shows it may be served for him.
	"externalcardno": ends, "vouchercode": ends,
	// The name, mail or telephone number itself, whole or nearly so.
	"logonid": whole, "selleremail": whole, "contactor": whole, "phone": whole, "userinfo": whole,
	// The member's account at the merchant: commonly a telephone number.
	"accountno": whole, "bindaccountno": whole,
	// What somebody wrote, bought, or the merchant wrote about him: free text.
	"text": whole, "subject": whole, "body": whole, "passbackparams": whole, "refundreason": whole, "extinfo": whole,
	// Not personal, but secret: it opens a merchant's account, or an order.
	"appauthtoken": whole, "orderticket": whole, "isvticket": whole,
}

// personalEndings hide fields that we do not know by what their names end in.
var personalEndings = []struct {
	ending string
	hide   hiding
}{
	{"userid", ends}, {"openid", ends}, {"unionid", ends},
	{"logonid", whole}, {"email", whole}, {"phone", whole}, {"mobile", whole}, {"telephone", whole}, {"cell", whole},
	{"username", whole}, {"realname", whole}, {"nickname", whole}, {"buyername", whole}, {"receivername", whole}, {"contactname", whole},
	{"certno", whole}, {"idcard", whole}, {"idno", whole}, {"birthday", whole}, {"birth", whole}, {"address", whole},
	{"token", whole}, {"ticket", whole}, {"password", whole}, {"secret", whole},
}

// joined writes a name without what parts its words.
var joined = strings.NewReplacer("_", "", "-", "")

// hidingOf says how much of a field's value is hidden. buyer_ is whoever paid,
// but for the amount.
func hidingOf(name string) hiding {
	name = strings.ToLower(joined.Replace(name))
	if h, known := personalNames[name]; known {
		return h
	}
	for _, e := range personalEndings {
		if strings.HasSuffix(name, e.ending) {
			return e.hide
		}
	}
	if strings.HasPrefix(name, "buyer") && !strings.HasSuffix(name, "amount") {
		return whole
	}
	return shown
}

// Hidden stands for a value of which nothing is shown.
const Hidden = "***"

// MaskText hides the user ids in a text: 2088 and twelve digits, as Alipay
// numbers people and merchants alike. A part of a longer number is none.
func MaskText(s string) string {
	if !strings.Contains(s, "2088") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits == 16 && strings.HasPrefix(s, "2088") {
			b.WriteString(maskEnds(s[:digits]))
		} else {
			b.WriteString(s[:digits])
		}
		s = s[digits:]
		next := strings.IndexAny(s, "0123456789")
		if next < 0 {
			next = len(s)
		}
		b.WriteString(s[:next])
		s = s[next:]
	}
	return b.String()
}

func maskEnds(s string) string {
	if len(s) < 12 || !utf8.ValidString(s) || utf8.RuneCountInString(s) != len(s) {
		return Hidden
	}
	return s[:4] + "****" + s[len(s)-4:]
}

// MaskValue hides what is personal in the value of a field that is text.
func MaskValue(name, value string) string {
	switch h := hidingOf(name); {
	case value == "":
		return ""
	case h != shown:
		return hide(value, h)
	}
	return maskInside(value)
}

// Mask hides what is personal in data. What is not JSON, or holds bytes in
// base64, which nobody can look into here, is hidden wholly.
func Mask(data []byte) []byte {
	if !json.Valid(data) {
		return []byte(quote(Hidden))
	}
	return maskJSON(nil, strings.TrimSpace(string(data)), shown, 0)
}

// maxMaskDepth bounds what is looked into: deeper values are hidden wholly, so
// that the work stays in proportion to the length. Alipay's have four levels.
const maxMaskDepth = 32

func maskJSON(dst []byte, value string, h hiding, depth int) []byte {
	switch c := value[0]; {
	case (c == '{' || c == '[') && depth >= maxMaskDepth:
		return append(dst, quote(Hidden)...)
	case c == '{':
		return maskObject(dst, value, h, depth)
	case c == '[':
		return maskList(dst, value, h, depth)
	case c == 't' || c == 'f' || c == 'n':
		return append(dst, value...)
	}
	s, ok := textOf(value)
	masked := Hidden
	switch {
	case !ok:
	case s == "":
		return append(dst, value...)
	case h != shown:
		masked = hide(s, h)
	case value[0] == '"':
		masked = maskInside(s)
	default:
		masked = MaskText(s)
	}
	if masked == s {
		return append(dst, value...)
	}
	return append(dst, quote(masked)...)
}

func maskObject(dst []byte, value string, h hiding, depth int) []byte {
	members, _, err := splitObject(nil, value)
	if err != nil {
		return append(dst, quote(Hidden)...) // not reached: the text is valid
	}
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		inner := max(h, hidingOf(m.name))
		if m.name == "_base64" {
			inner = whole
		}
		name := m.rawName
		if masked := MaskText(m.name); masked != m.name {
			name = quote(masked)
		}
		dst = append(append(dst, name...), ':')
		dst = maskJSON(dst, m.value, inner, depth+1)
	}
	return append(dst, '}')
}

func maskList(dst []byte, value string, h hiding, depth int) []byte {
	s := scanner{data: value}
	s.take('[')
	dst = append(dst, '[')
	for first := true; !s.take(']'); first = false {
		if !first {
			dst = append(dst, ',')
			s.take(',')
		}
		item, ok := s.value()
		if !ok {
			return append(dst, `"***"]`...) // not reached: the text is valid
		}
		dst = maskJSON(dst, item, h, depth+1)
	}
	return append(dst, ']')
}

func hide(s string, h hiding) string {
	if h == ends {
		return maskEnds(s)
	}
	return Hidden
}

// maskInside hides what is personal in a text that may be a document: JSON in a
// string is looked into, XML is hidden wholly.
func maskInside(s string) string {
	switch inner := strings.TrimSpace(s); {
	case inner == "":
	case inner[0] == '<':
		return Hidden
	case (inner[0] == '{' || inner[0] == '[') && json.Valid([]byte(inner)):
		return string(maskJSON(nil, inner, shown, 0))
	}
	return MaskText(s)
}
