package events

import (
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// toUTF8 transcodes a value from the charset that the sender named. ok is false
// when the bytes are not valid in that charset, or the charset is unknown and
// the bytes are not UTF-8. GB text then comes back with U+FFFD for what cannot
// be read, because its structure must still be seen: the second byte of a
// character may be a backslash. Only what was verified may be transcoded: the
// signature covers the bytes of the declared charset.
func toUTF8(charset, s string) (utf string, ok bool) {
	var enc encoding.Encoding
	switch {
	case strings.EqualFold(charset, "UTF-8"):
		return s, utf8.ValidString(s)
	case strings.EqualFold(charset, "GBK"), strings.EqualFold(charset, "GB2312"), strings.EqualFold(charset, "CP936"):
		enc = simplifiedchinese.GBK
	case strings.EqualFold(charset, "GB18030"):
		enc = simplifiedchinese.GB18030
	default:
		return s, utf8.ValidString(s)
	}
	out, err := enc.NewDecoder().String(s)
	if err != nil {
		return s, false
	}
	// The decoder replaces what it cannot read, and we must report it.
	return out, !strings.ContainsRune(out, utf8.RuneError)
}

// charsetOf is the charset parameter of a Content-Type, or the empty string.
func charsetOf(contentType string) string {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return params["charset"]
}
