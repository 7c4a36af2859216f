package dedupe

import "strings"

// kind says what a stored value is.
type kind int

const (
	unreadable kind = iota // not of our making
	lease
	commit
)

const (
	leasePrefix  = "1L:"
	commitPrefix = "1C:"
)

// maxWord bounds fingerprints and tokens; a hex SHA-256 has 64 bytes.
const maxWord = 128

// value is a stored value, decoded.
type value struct {
	kind        kind
	token       string // of a lease
	fingerprint string
	place       string // of a commit; any bytes, also none
}

func leaseValue(token, fingerprint string) string {
	return leasePrefix + token + ":" + fingerprint
}

// commitValue puts the place last, because it may hold any bytes.
func commitValue(fingerprint, place string) string {
	return commitPrefix + fingerprint + ":" + place
}

// decodeValue never fails: what it does not know is unreadable. It is strict, so
// that a value is readable exactly when leaseValue or commitValue made it.
func decodeValue(s string) value {
	if rest, ok := strings.CutPrefix(s, leasePrefix); ok {
		token, fingerprint, ok := strings.Cut(rest, ":")
		if ok && isWord(token) && isWord(fingerprint) {
			return value{kind: lease, token: token, fingerprint: fingerprint}
		}
	}
	if rest, ok := strings.CutPrefix(s, commitPrefix); ok {
		fingerprint, place, ok := strings.Cut(rest, ":")
		if ok && isWord(fingerprint) {
			return value{kind: commit, fingerprint: fingerprint, place: place}
		}
	}
	return value{}
}

// isWord reports whether s is 1 to maxWord bytes of '!' to '~' without ':'.
func isWord(s string) bool {
	if s == "" || len(s) > maxWord {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return true
}
