package openapi

import (
	"fmt"
	"io"
	"strings"
)

// Secret is text that neither fmt nor encoding/json nor a logger built on them
// shows; string(s) is the only way to it.
type Secret string

const masked = "(secret)"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format masks the text whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText masks the text in JSON and in structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// redact takes secrets out of text that Alipay or the network gave us: its
// answer to a bad signature quotes the request.
func redact(text string, secrets ...Secret) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, string(s), masked)
		}
	}
	return text
}
