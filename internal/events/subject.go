package events

import "strings"

// The subject spaces; DESIGN.md section 3 and 4 fix them.
const (
	SubjectRoot = "alipay.events" // what Alipay proved it said

	maxToken = 128
)

// Token makes one subject token of any bytes: A-Z a-z 0-9 _ - stay, every
// other byte becomes '_', nothing becomes "_", and 128 bytes are the most. A
// value from outside can therefore never widen a subject or act as a wildcard.
func Token(s string) string {
	if s == "" {
		return "_"
	}
	if len(s) > maxToken {
		s = s[:maxToken]
	}
	clean := 0
	for clean < len(s) && tokenByte(s[clean]) {
		clean++
	}
	if clean == len(s) {
		return s
	}
	b := []byte(s)
	for i := clean; i < len(b); i++ {
		if !tokenByte(b[i]) {
			b[i] = '_'
		}
	}
	return string(b)
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Subject is where an event is stored: alipay.events.<app_id>.<entity>.<action>.<key>.
// kind is "entity.action"; what follows its first dot is one token.
func Subject(appID, kind, key string) string {
	entity, action, _ := strings.Cut(kind, ".")
	return strings.Join([]string{SubjectRoot, Token(appID), Token(entity), Token(action), Token(key)}, ".")
}

// otherKind is the kind of what the catalogue does not type.
func otherKind(ceType string) string {
	return "other." + Token(strings.ReplaceAll(ceType, ".", "_"))
}
