package explain

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charsets puts values back into the charset that they may have been signed in.
var charsets = changing(toGB(simplifiedchinese.GBK), toGB(simplifiedchinese.GB18030), gbToUTF8, fromLatin1)

func toGB(enc encoding.Encoding) func(string) string {
	return func(s string) string {
		if isASCII(s) || !utf8.ValidString(s) {
			return s
		}
		out, err := enc.NewEncoder().String(s)
		if err != nil {
			return s
		}
		return out
	}
}

func gbToUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	if out, ok := fromGB(s); ok {
		return out
	}
	return s
}

// fromLatin1 undoes bytes that were taken for Latin-1 and written as UTF-8.
func fromLatin1(s string) string {
	if isASCII(s) || !utf8.ValidString(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return s
		}
		out = append(out, byte(r)) //nolint:gosec // at most 0xff, as was just seen
	}
	return string(out)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var entities = strings.NewReplacer("&quot;", `"`, "&#34;", `"`, "&#034;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">",
	"&#39;", "'", "&#039;", "'", "&#x27;", "'", "&apos;", "'", "&#x2F;", "/", "&#43;", "+", "&nbsp;", " ")

func unescapeHTML(s string) string { return entities.Replace(s) }

func unescapeHTMLTwice(s string) string { return unescapeHTML(unescapeHTML(s)) }

// unescapeQuotes is for filters that leave '&' as it is.
func unescapeQuotes(s string) string { return strings.ReplaceAll(s, "&quot;", `"`) }

// stripSlashes takes one level of backslashes away, as PHP's function does.
func stripSlashes(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				break
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// stripQuoteSlashes is for filters that escape quotes alone.
func stripQuoteSlashes(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\'`, `'`).Replace(s)
}

// encode writes a value as a form has it: which bytes stay, how a space is
// written, and the hexadecimal digits.
func encode(s, stay, space, hex string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(stay, c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteString(space)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

func encodeJava(s string) string      { return encode(s, ".-*_", "+", upperHex) }
func encodeJavaLower(s string) string { return encode(s, ".-*_", "+", lowerHex) }
func encodeGo(s string) string        { return encode(s, ".-~_", "%20", upperHex) }
func encodeScript(s string) string    { return encode(s, "-_.!~*'()", "%20", upperHex) }

func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
func trimRight(s string) string { return strings.TrimRight(s, "\r\n") }

func toLF(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func toCRLF(s string) string { return strings.ReplaceAll(toLF(s), "\n", "\r\n") }

// spaceToLF is for clients that join lines.
func spaceToLF(s string) string {
	if isTime(s) {
		return s
	}
	return strings.ReplaceAll(s, " ", "\n")
}

// twoDecimals writes an amount with the two places that Alipay's have. Numbers
// with more digits are ids.
func twoDecimals(s string) string {
	whole, part, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || strings.Trim(whole+part, "0123456789") != "" {
		return s
	}
	switch {
	case !point:
		return s + ".00"
	case len(part) == 1:
		return s + "0"
	}
	return s
}

// snake writes appId and APP_ID as app_id.
func snake(name string) string {
	if strings.ToUpper(name) == name {
		return strings.ReplaceAll(strings.ToLower(name), "-", "_")
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-':
			c = '_'
		case c >= 'A' && c <= 'Z':
			if c += 'a' - 'A'; i > 0 && name[i-1] != '_' && name[i-1] != '-' {
				b.WriteByte('_')
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
