package alipaytest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Charset is the value of the field charset. The bytes of the declared charset
// are what is signed and sent (PROTOCOL.md 3.2).
type Charset string

// The charsets that notifications come in: messages in UTF-8, the 生活号
// gateway in GBK (PROTOCOL.md 2.7).
const (
	UTF8    Charset = "UTF-8"
	GBK     Charset = "GBK"
	GB18030 Charset = "GB18030"
)

// encode gives text in the charset. A character that the charset lacks is an
// error, not a question mark: a test should say what it means.
func (c Charset) encode(text string) (string, error) {
	var codec encoding.Encoding
	switch c {
	case UTF8:
		return text, nil
	case GBK:
		codec = simplifiedchinese.GBK
	case GB18030:
		codec = simplifiedchinese.GB18030
	default:
		return "", fmt.Errorf("unknown charset %q: want UTF-8, GBK or GB18030", c)
	}
	out, err := codec.NewEncoder().String(text)
	if err != nil {
		return "", fmt.Errorf("%q has a character that %s lacks: %w", text, c, err)
	}
	return out, nil
}

// NewAESKey makes a key for EncryptAES.
func NewAESKey() []byte {
	key := make([]byte, 16)
	rand.Read(key) // never fails: it ends the process instead
	return key
}

// ParseAESKey reads a key as the console shows it: base64 of 16 bytes.
func ParseAESKey(text []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	if len(key) != 16 {
		return nil, fmt.Errorf("the AES key has %d bytes: want 16", len(key))
	}
	return key, nil
}

// EncryptAES is Alipay's 接口内容加密: AES-128-CBC, an IV of 16 zero bytes,
// PKCS#5 padding, standard base64 (PROTOCOL.md 3.4).
func EncryptAES(key, plain []byte) (string, error) {
	if len(key) != 16 {
		return "", fmt.Errorf("the AES key has %d bytes: want 16", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, out)
	return base64.StdEncoding.EncodeToString(out), nil
}

// member is one entry of a payload: a form field, a JSON member or an XML
// element, as the shape of the notification has it.
type member struct {
	name, value string
	json        bool // value is JSON already; elsewhere it is text
}

// renderJSON writes one object in the order given. Alipay escapes neither
// '<', '>', '&' nor '/' in it, and values are strings nearly everywhere.
func renderJSON(members []member) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	text := func(s string) error {
		err := enc.Encode(s)
		out.Truncate(out.Len() - 1) // the newline that Encode adds
		return err
	}
	out.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := text(m.name); err != nil {
			return "", err
		}
		out.WriteByte(':')
		switch {
		case !m.json:
			if err := text(m.value); err != nil {
				return "", err
			}
		case json.Valid([]byte(m.value)):
			out.WriteString(m.value)
		default:
			return "", fmt.Errorf("%s: %q is not JSON", m.name, m.value)
		}
	}
	out.WriteByte('}')
	return out.String(), nil
}

// renderXML writes the <XML> document of the 生活号 gateway, values in CDATA
// (PROTOCOL.md 2.7).
func renderXML(members []member, charset Charset) string {
	var out strings.Builder
	fmt.Fprintf(&out, `<?xml version="1.0" encoding="%s"?><XML>`, strings.ToLower(string(charset)))
	for _, m := range members {
		// "]]>" would end the section, so it is cut in two.
		value := strings.ReplaceAll(m.value, "]]>", "]]]]><![CDATA[>")
		fmt.Fprintf(&out, "<%s><![CDATA[%s]]></%s>", m.name, value, m.name)
	}
	out.WriteString("</XML>")
	return out.String()
}
