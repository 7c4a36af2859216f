package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// compactJSON takes the white space out, which Alipay never writes.
func compactJSON(s string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(s)) != nil {
		return s
	}
	return b.String()
}

// plainJSON undoes what the usual encoders do, all at once: spaces, escaped
// slashes, and characters written as \uXXXX.
func plainJSON(s string) string { return unescapeUnicode(unescapeSlash(compactJSON(s))) }

func compactEscapeSlash(s string) string { return escapeSlash(compactJSON(s)) }

func spaceColonComma(s string) string { return spaced(s, ": ", ", ") }
func spaceComma(s string) string      { return spaced(s, ":", ", ") }
func spaceColon(s string) string      { return spaced(s, ": ", ",") }

// spaced writes JSON with other separators.
func spaced(s, colon, comma string) string {
	if !json.Valid([]byte(s)) {
		return s
	}
	return outsideStrings(compactJSON(s), func(b *strings.Builder, c byte) {
		switch c {
		case ':':
			b.WriteString(colon)
		case ',':
			b.WriteString(comma)
		default:
			b.WriteByte(c)
		}
	})
}

// outsideStrings copies JSON text, with a say on what is not inside a string.
func outsideStrings(s string, write func(*strings.Builder, byte)) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	inside := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			inside = !inside
		}
		switch {
		case inside && c == '\\' && i+1 < len(s):
			b.WriteString(s[i : i+2])
			i++
		case inside || c == '"':
			b.WriteByte(c)
		default:
			write(&b, c)
		}
	}
	return b.String()
}

// escapeSlash writes "/" as "\/". Slashes stand inside strings alone.
func escapeSlash(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\/`, "/"), "/", `\/`)
}

func unescapeSlash(s string) string { return strings.ReplaceAll(s, `\/`, "/") }

// unescapeUnicode writes \uXXXX as the character, except what JSON must escape.
func unescapeUnicode(s string) string {
	if !strings.Contains(s, `\u`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		r, size := unicodeEscape(s[i:])
		if size == 0 {
			b.WriteString(s[i : i+2])
			i += 2
			continue
		}
		if r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError {
			b.WriteString(s[i : i+size])
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// unicodeEscape reads \uXXXX, or a pair of them for one character; size is 0 for
// anything else.
func unicodeEscape(s string) (r rune, size int) {
	one := func(s string) (rune, bool) {
		if len(s) < 6 || s[:2] != `\u` {
			return 0, false
		}
		n, err := strconv.ParseUint(s[2:6], 16, 16)
		return rune(n), err == nil
	}
	high, ok := one(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(high) {
		return high, 6
	}
	if low, ok := one(s[6:]); ok {
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

func escapeUnicode(s string) string      { return escapeAbove(s, `\u%04x`) }
func escapeUnicodeUpper(s string) string { return escapeAbove(s, `\u%04X`) }

// escapeAbove writes characters beyond ASCII as \uXXXX.
func escapeAbove(s, format string) string {
	if isASCII(s) || !utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, format, unit)
		}
	}
	return b.String()
}

// escapeHTMLInJSON writes what Go's and other encoders escape for HTML.
func escapeHTMLInJSON(s string) string {
	return strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(s)
}

// escapeInner puts backslashes before quotes inside strings, where that makes
// broken JSON whole: a quote ends a string only before a separator.
func escapeInner(s string) string {
	if json.Valid([]byte(s)) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	inside := false
	for i := range len(s) {
		switch {
		case s[i] != '"':
		case !inside:
			inside = true
		case endsString(s[i+1:]):
			inside = false
		default:
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return validOr(b.String(), s)
}

func endsString(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	return rest == "" || strings.IndexByte(",:}]", rest[0]) >= 0
}

// escapeNested does the same where the string holds JSON of its own.
func escapeNested(s string) string {
	if json.Valid([]byte(s)) {
		return s
	}
	var b strings.Builder
	rest := s
	for {
		begin, end := nested(rest)
		if begin < 0 {
			break
		}
		b.WriteString(rest[:begin])
		b.WriteString(strings.ReplaceAll(rest[begin:end], `"`, `\"`))
		rest = rest[end:]
	}
	b.WriteString(rest)
	return validOr(b.String(), s)
}

// nested finds the first "{...}" or "[...]" that stands in quotes.
func nested(s string) (begin, end int) {
	for _, pair := range []struct{ open, shut string }{{`"{`, `}"`}, {`"[`, `]"`}} {
		i := strings.Index(s, pair.open)
		if i < 0 {
			continue
		}
		if j := strings.Index(s[i+1:], pair.shut); j >= 0 {
			return i + 1, i + 1 + j + 1
		}
	}
	return -1, -1
}

// escapeInnerAndSlash is stripslashes undone where it hit both.
func escapeInnerAndSlash(s string) string { return escapeSlash(escapeInner(s)) }

func validOr(mended, s string) string {
	if json.Valid([]byte(mended)) {
		return mended
	}
	return s
}
