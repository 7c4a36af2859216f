package fault_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"alipay-notify/internal/fault"
)

func TestKindAndReason(t *testing.T) {
	t.Parallel()
	inner := fault.Errorf(fault.Refused, "bad_signature", "no key fits")
	quiet := fault.Errorf(fault.Unavailable, "", "no answer: %w", inner)
	tests := []struct {
		name   string
		err    error
		kind   fault.Kind
		reason string
	}{
		{"no error", nil, "", ""},
		{"no tag", io.ErrUnexpectedEOF, fault.Internal, ""},
		{"no tag, wrapped", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), fault.Internal, ""},
		{"tagged", inner, fault.Refused, "bad_signature"},
		{"tagged, wrapped", fmt.Errorf("verify: %w", inner), fault.Refused, "bad_signature"},
		{"tagged twice: the outer kind", fault.Errorf(fault.TooLarge, "body", "%w", inner), fault.TooLarge, "body"},
		{"the outer tag has no reason: the inner one's", quiet, fault.Unavailable, "bad_signature"},
		{"the same, wrapped", fmt.Errorf("claim: %w", quiet), fault.Unavailable, "bad_signature"},
		{"no reason anywhere", fault.Errorf(fault.Uncertain, "", "gone"), fault.Uncertain, ""},
		{"joined: the first tag", errors.Join(io.EOF, inner, quiet), fault.Refused, "bad_signature"},
		{"joined without a tag", errors.Join(io.EOF, io.ErrClosedPipe), fault.Internal, ""},
		{"two verbs", fault.Errorf(fault.InFlight, "lease", "%w and %w", io.EOF, inner), fault.InFlight, "lease"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := fault.KindOf(tt.err); got != tt.kind {
				t.Errorf("KindOf = %q, want %q", got, tt.kind)
			}
			if got := fault.ReasonOf(tt.err); got != tt.reason {
				t.Errorf("ReasonOf = %q, want %q", got, tt.reason)
			}
		})
	}
}

func TestErrorSeesThrough(t *testing.T) {
	t.Parallel()
	err := fault.Errorf(fault.Malformed, "short_body", "read %d bytes: %w", 3, io.ErrUnexpectedEOF)
	if got, want := err.Error(), "read 3 bytes: unexpected EOF"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not find the cause")
	}
	if e, ok := errors.AsType[*fault.Error](fmt.Errorf("outer: %w", err)); !ok || e.Kind != fault.Malformed || e.Reason != "short_body" {
		t.Errorf("errors.AsType = %+v, %v", e, ok)
	}
}

// The set is a contract: dashboards and alerts know these words.
func TestKinds(t *testing.T) {
	t.Parallel()
	want := []fault.Kind{"malformed", "too_large", "refused", "in_flight", "overloaded", "unavailable", "uncertain", "internal"}
	if got := fault.Kinds(); !slices.Equal(got, want) {
		t.Errorf("Kinds() = %q, want %q", got, want)
	}
	for _, k := range fault.Kinds() {
		if got := fault.KindOf(fault.Errorf(k, "x", "y")); got != k {
			t.Errorf("KindOf an error of kind %q = %q", k, got)
		}
	}
}
