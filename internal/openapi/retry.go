package openapi

import (
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Pauses between attempts. Half of each is drawn by lot, so that callers who
// failed together do not come back together.
const (
	firstPause     = 200 * time.Millisecond
	firstThrottled = time.Second
	maxPause       = time.Minute // Retry-After included: who is asked to wait longer gives up
	maxBackoff     = 5 * time.Second
)

// mayRepeat is the retry policy.
//
//	                         read   write with a number   other write
//	Unavailable, Throttled   yes    yes                   yes: nothing happened
//	Uncertain, Garbled       yes    yes                   no: it may have happened
//	Invalid, Refused         no     no                    no: the answer would be the same
//	Untrusted                no     no                    no: somebody should look first
//
// A number is the field that makes a repeat harmless (out_biz_no, out_serial_no):
// the repeat carries the same number and the same parameters, so Alipay gives the
// first result again.
func (p *call) mayRepeat(e *Error) bool {
	switch e.Kind {
	case Unavailable, Throttled:
		return !e.final
	case Uncertain, Garbled:
		return !e.final && (p.op.Effect == Read || p.op.Repeat != "" && p.number != "")
	}
	return false
}

// backoff is how long to wait after the n-th attempt.
func backoff(n int, e *Error) time.Duration {
	first := firstPause
	if e.Kind == Throttled {
		first = firstThrottled
	}
	d := min(first<<min(n-1, 10), maxBackoff)
	return max(e.retryAfter, d/2+time.Duration(lot(uint64(d/2)))) //nolint:gosec // both are small and positive
}

// lot draws a number below n. It needs no secrecy, but there is only one source
// of chance in this program.
func lot(n uint64) uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:]) % max(n, 1)
}

// throttles are the codes that mean "too many", over either protocol.
var throttles = []string{"app-call-limited", "method-call-limited", "call-limited", "app-auth-invoke-limit", "rate-limited"}

// unknowns are the codes with which Alipay says that it does not know either.
var unknowns = []string{"unknow-error", "unknown-error", "service-timeout", "service-unavailable"}

// kindOf is what an answer with these codes means. The documents contradict
// themselves about the status of v3 (4.1), so codes come first.
func kindOf(status int, code, sub string) Kind {
	specific := reason(sub)
	if sub == "" {
		specific = reason(code)
	}
	switch {
	case code == "40005", slices.Contains(throttles, specific), status == http.StatusTooManyRequests:
		return Throttled
	case code == "20000", code == "10003", slices.Contains(unknowns, specific), strings.HasSuffix(specific, "SYSTEM_ERROR"), status >= 500:
		return Uncertain
	}
	return Refused
}

// byStatus is what an answer without a code means.
func byStatus(status int) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= 500:
		return Uncertain
	}
	return Garbled
}
