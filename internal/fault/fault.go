// Package fault is the closed set of ways in which handling one notification
// can fail. The place where something goes wrong tags the error with its kind;
// the reply to Alipay, the metric label, the log field and the alert are all
// read off the tag, so they cannot disagree. It imports nothing of ours.
//
// An error without a tag is Internal: the safe default is "not acknowledged".
package fault

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Kind says how handling one notification failed.
type Kind string

// The kinds; DESIGN.md section 2 gives each its reply.
const (
	Malformed   Kind = "malformed"   // not a notification
	TooLarge    Kind = "too_large"   // over a size limit
	Refused     Kind = "refused"     // not proved to come from Alipay for this app
	InFlight    Kind = "in_flight"   // the same notification is being handled right now
	Overloaded  Kind = "overloaded"  // too much at once
	Unavailable Kind = "unavailable" // a dependency did not take it: it certainly did not happen
	Uncertain   Kind = "uncertain"   // sent, but no answer came: it may have happened
	Internal    Kind = "internal"    // a bug
)

// Kinds is the whole set, for tests and metrics that walk it.
func Kinds() []Kind {
	return []Kind{Malformed, TooLarge, Refused, InFlight, Overloaded, Unavailable, Uncertain, Internal}
}

// Error is an error of one kind. Reason is a short constant such as
// "unknown_app": it is safe as a metric label, a log field and a subject token,
// and never holds what a stranger sent. It may be empty.
type Error struct {
	Kind   Kind
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind, formatted and wrapped as fmt.Errorf does.
func Errorf(kind Kind, reason, format string, args ...any) error {
	return &Error{Kind: kind, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// KindOf is the kind of the outermost tag in err's chain: Internal without
// one, and the empty kind for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// ReasonOf is the first reason in err's chain, or the empty string.
func ReasonOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Reason != "" {
			return e.Reason
		}
		err = e.Err
	}
	return ""
}

// Panicked makes an Internal error of a recovered panic, with the stack of
// where it happened. Of the panic's value only a run-time error's text is kept
// (an index, a nil pointer): anything else may quote what was being handled.
func Panicked(value any) error {
	what := fmt.Sprintf("a %T", value)
	if err, ok := value.(runtime.Error); ok {
		what = err.Error()
	}
	return Errorf(Internal, "panic", "panic: %s\n%s", what, debug.Stack())
}
