package replay

import (
	"strings"

	"alipay-notify/internal/events"
)

// TargetKind is where a replay goes.
type TargetKind string

// The kinds of targets.
const (
	ToAll      TargetKind = "all"      // the original subjects: every subscriber sees it again
	ToConsumer TargetKind = "consumer" // the replay subjects of one consumer
	ToFile     TargetKind = "file"     // a file, one JSON object a line
	ToStdout   TargetKind = "stdout"   // the same on standard output
)

// Target is where a replay goes. Make one with ParseTarget.
type Target struct {
	Kind TargetKind
	Name string // the consumer, or the path
}

// ParseTarget reads all, consumer:NAME, file:PATH or stdout. The error is a
// *FieldError.
func ParseTarget(text string) (Target, error) {
	kind, name, named := strings.Cut(text, ":")
	t := Target{Kind: TargetKind(kind), Name: name}
	wrong := func(reason string, meant ...string) (Target, error) {
		return Target{}, &FieldError{Field: "to", Value: text, Reason: reason, Meant: meant}
	}
	switch t.Kind {
	case ToAll, ToStdout:
		if named {
			return wrong("it takes no name", kind)
		}
	case ToConsumer:
		if name == "" || events.Token(name) != name {
			return wrong("a consumer's name is of A-Z a-z 0-9 _ -, at most 128 of them")
		}
	case ToFile:
		if name == "" || strings.ContainsRune(name, 0) {
			return wrong("which file?", "file:PATH")
		}
	default:
		return wrong("unknown target", "all", "consumer:NAME", "file:PATH", "stdout")
	}
	return t, nil
}

func (t Target) String() string {
	if t.Name == "" {
		return string(t.Kind)
	}
	return string(t.Kind) + ":" + t.Name
}

// OnStream tells whether the replay is stored on a stream, and not written out.
func (t Target) OnStream() bool { return t.Kind == ToAll || t.Kind == ToConsumer }

// Subject is where the message of a subject goes.
func (t Target) Subject(subject string) string {
	if t.Kind == ToConsumer {
		return events.ReplaySubject(t.Name, subject)
	}
	return subject
}
