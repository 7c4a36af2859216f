package explain

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"slices"
	"strings"

	"alipay-notify/internal/verify"
)

// wireFields reads a body as far as it goes, in its order, at most MaxFields:
// escapes that are none stand for themselves, and names may come twice.
func wireFields(body []byte) []verify.Field {
	return pairs(string(body), formDecode)
}

// pairs splits at '&' and '=' and decodes both sides.
func pairs(body string, decode func(string) string) []verify.Field {
	var out []verify.Field
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		if len(out) == verify.MaxFields {
			break
		}
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, verify.Field{Name: decode(name), Value: decode(value)})
	}
	return out
}

// formDecode undoes form encoding; what is no escape stays.
func formDecode(s string) string {
	return percentDecode(strings.ReplaceAll(s, "+", " "))
}

// percentDecode undoes %XX; what is no escape stays.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi < 16 && lo < 16 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unhex gives the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// forms gives readings that have a signature; others cannot be compared.
func forms(readings ...[]verify.Field) iter.Seq[[]verify.Field] {
	return func(yield func([]verify.Field) bool) {
		for _, fields := range readings {
			signed := slices.ContainsFunc(fields, func(f verify.Field) bool { return f.Name == "sign" })
			if signed && !yield(fields) {
				return
			}
		}
	}
}

func gunzip(body []byte, _ string) iter.Seq[[]verify.Field] {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return forms()
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil || len(plain) > MaxBody {
		return forms()
	}
	return forms(wireFields(plain))
}

func base64Body(body []byte, _ string) iter.Seq[[]verify.Field] {
	plain, err := base64.StdEncoding.DecodeString(string(bytes.Trim(bytes.TrimSpace(body), `"`)))
	if err != nil {
		return forms()
	}
	return forms(wireFields(plain))
}

func httpMessage(body []byte, _ string) iter.Seq[[]verify.Field] {
	head, rest, ok := bytes.Cut(body, []byte("\r\n\r\n"))
	if !ok {
		head, rest, ok = bytes.Cut(body, []byte("\n\n"))
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if !ok || !bytes.Contains(line, []byte(" HTTP/")) && !bytes.Contains(line, []byte(": ")) {
		return forms()
	}
	return forms(wireFields(bytes.TrimSpace(rest)))
}

func queryString(body []byte, _ string) iter.Seq[[]verify.Field] {
	before, query, ok := strings.Cut(string(body), "?")
	if !ok || strings.ContainsAny(before, "&=") {
		return forms()
	}
	query, _, _ = strings.Cut(strings.TrimSpace(query), "#")
	return forms(wireFields([]byte(query)))
}

func escapedSeparators(body []byte, _ string) iter.Seq[[]verify.Field] {
	return forms(wireFields(bytes.ReplaceAll(body, []byte("&amp;"), []byte("&"))))
}

// jsonBody reads the members of an object as fields: text by what it says,
// anything else by its spelling.
func jsonBody(body []byte, _ string) iter.Seq[[]verify.Field] {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return forms()
	}
	var out []verify.Field
	for dec.More() && len(out) <= verify.MaxFields {
		t, err := dec.Token()
		name, isName := t.(string)
		var value json.RawMessage
		if err != nil || !isName || dec.Decode(&value) != nil {
			return forms()
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		out = append(out, verify.Field{Name: name, Value: text})
	}
	return forms(out)
}

func multipartBody(body []byte, contentType string) iter.Seq[[]verify.Field] {
	boundary := ""
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		boundary = params["boundary"]
	}
	if first, _, _ := bytes.Cut(body, []byte("\n")); boundary == "" && len(first) < 100 && bytes.HasPrefix(first, []byte("--")) {
		boundary = strings.TrimSpace(string(first[2:]))
	}
	if boundary == "" {
		return forms()
	}
	var out []verify.Field
	for r := multipart.NewReader(bytes.NewReader(body), boundary); len(out) <= verify.MaxFields; {
		part, err := r.NextRawPart()
		if err != nil {
			break
		}
		value, err := io.ReadAll(part)
		if err != nil {
			break
		}
		out = append(out, verify.Field{Name: part.FormName(), Value: string(value)})
	}
	return forms(out)
}

// wrapped takes off what copying puts around and into a body: a form has no
// white space of its own.
func wrapped(body []byte, _ string) iter.Seq[[]verify.Field] {
	trimmed := bytes.Trim(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n\"'")
	joined := []byte(strings.NewReplacer("\r", "", "\n", "", "\t", "").Replace(string(trimmed)))
	if len(joined) == len(body) {
		return forms()
	}
	return forms(wireFields(trimmed), wireFields(joined))
}

func encodedTwice(body []byte, _ string) iter.Seq[[]verify.Field] {
	if bytes.ContainsAny(body, "&") {
		return forms()
	}
	body = bytes.TrimSuffix(body, []byte("=")) // curl --data-urlencode and its like name nothing
	return forms(wireFields([]byte(percentDecode(string(body)))))
}

// decodedAlready reads a body whose escapes are gone: '%' and '+' stand for
// themselves. A value may hold '&' now, so the split is tried at documented
// names alone, and at every '&'. A body in which nothing needs an escape any
// more is none that was decoded.
func decodedAlready(body []byte, _ string) iter.Seq[[]verify.Field] {
	text := string(body)
	raw := func(c rune) bool { return c >= 0x80 || strings.ContainsRune(`"{}[]<>: `, c) }
	if strings.IndexFunc(text, raw) < 0 {
		return forms()
	}
	var split []verify.Field
	seen := make(map[string]bool)
	value := 0 // where the value of the last field begins
	for at := 0; at <= len(text); {
		end := at + strings.IndexByte(text[at:], '&')
		if end < at {
			end = len(text)
		}
		name, _, ok := strings.Cut(text[at:end], "=")
		switch last := len(split) - 1; {
		case ok && documented(name) && !seen[name]:
			seen[name], value = true, at+len(name)+1
			split = append(split, verify.Field{Name: name, Value: text[value:end]})
		case last >= 0:
			split[last].Value = text[value:end]
		}
		at = end + 1
	}
	return forms(split, pairs(text, func(s string) string { return s }))
}
