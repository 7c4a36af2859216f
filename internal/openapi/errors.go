package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind is what a failed call means to its caller. The set is closed.
type Kind string

// The kinds. What is retried by itself stands in retry.go.
const (
	Invalid     Kind = "invalid"     // the request is wrong: nothing was sent
	Unavailable Kind = "unavailable" // Alipay was not reached, or the caller gave up while waiting: nothing was sent
	Throttled   Kind = "throttled"   // Alipay says: too many requests; nothing happened
	Refused     Kind = "refused"     // Alipay says no: nothing happened
	Uncertain   Kind = "uncertain"   // the outcome is unknown: no answer in time, or Alipay itself does not know
	Untrusted   Kind = "untrusted"   // an answer that is not proved to be Alipay's: it was dropped
	Garbled     Kind = "garbled"     // an answer that is no answer: HTML, cut off, too large
)

// Kinds is the whole set, for metrics and tests that walk it.
func Kinds() []Kind {
	return []Kind{Invalid, Unavailable, Throttled, Refused, Uncertain, Untrusted, Garbled}
}

// Error is every error of this package's calls. It holds neither keys, tokens
// nor values of parameters; Message is Alipay's own text, which may quote some.
type Error struct {
	Kind    Kind
	Method  string // Alipay's name of the operation
	Gateway Gateway
	Write   bool // the operation changes something

	// What Alipay said. Unless Authenticated, anybody on the way may have said it:
	// Alipay signs no errors over v3, and none of the gateway's own (4.1, 4.2). It
	// is a help for people then, and no proof that a write did not happen.
	Authenticated bool
	Status        int    // of HTTP; 0 without an answer
	Code          string // v3: the code; gateway.do: 10000, 40004, ...
	SubCode       string // gateway.do alone
	Message       string // one line
	Links         []string
	TraceID       string // what Alipay's support asks for

	RequestID string        // ours, of the last attempt (v3 alone)
	Attempts  int           // how many were sent
	Earlier   bool          // an attempt before the last may have done it
	Skew      time.Duration // how far this machine's clock is ahead of the answer's Date header; 0: unknown
	Repeat    string        // the field that makes a repeat harmless, as out_biz_no, if the operation has one
	Hint      string        // what to do next
	Err       error         // the cause, if there is one beside Alipay's answer

	retryAfter time.Duration
	final      bool // a repeat would bring the same
}

// Reason is the most specific code, the same over both protocols: SubCode or
// Code without isv., isp., aop. or ACQ. before it, as CARD_NOT_EXIT or
// invalid-app-id. It is empty when Alipay gave none.
func (e *Error) Reason() string { return reason(cmp.Or(e.SubCode, e.Code)) }

func reason(code string) string {
	for _, prefix := range []string{"isv.", "isp.", "aop.", "ACQ."} {
		if rest, ok := strings.CutPrefix(code, prefix); ok {
			return rest
		}
	}
	return code
}

// MayHaveHappened tells whether a write may have been done in spite of the
// error, by any attempt of the call. Refused and Throttled say no; but unless
// Authenticated that is hearsay.
func (e *Error) MayHaveHappened() bool {
	return e.Write && (e.Earlier || e.Kind == Uncertain || e.Kind == Untrusted || e.Kind == Garbled)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Error says in one line what happened, how sure that is, and what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", cmp.Or(e.Method, "openapi"), e.Kind)
	if code := cmp.Or(e.SubCode, e.Code); code != "" {
		fmt.Fprintf(&b, ": %s", code)
		if e.SubCode != "" && e.Code != "" {
			fmt.Fprintf(&b, " (%s)", e.Code)
		}
	}
	// The text about a bad signature is the request itself, with what it says of people.
	if e.Message != "" && !strings.Contains(e.Reason(), "invalid-signature") {
		fmt.Fprintf(&b, ": %s", shorten(e.Message, 200))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", e.Err)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " [HTTP %d", e.Status)
		if e.TraceID != "" {
			fmt.Fprintf(&b, ", trace %s", e.TraceID)
		}
		if e.Code != "" && !e.Authenticated {
			b.WriteString(", not signed")
		}
		b.WriteString("]")
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " after %d attempts", e.Attempts)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

// As gives the *Error in err's chain, or nil.
func As(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}

// shorten cuts text to at most n characters.
func shorten(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "..."
	}
	return text
}

// oneLine makes text of strangers fit for terminals and logs.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, shorten(text, 1000)))
}

// label takes from a stranger what looks like a code or a trace id, and nothing else.
func label(text string) string {
	if len(text) > 128 {
		return ""
	}
	for _, c := range []byte(text) {
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return text
}
