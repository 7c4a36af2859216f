package events

import "time"

// Stored is an event as a stream keeps it.
type Stored struct {
	Event
	Sequence uint64
	StoredAt time.Time
	Header   map[string][]string // every header, as stored
	Problem  string              // what could not be read of it, or empty
}

// Replayed tells whether the message is a replay of an earlier one.
func (s Stored) Replayed() bool { return s.first(HeaderReplayJob) != "" }

// ReplayJob is the job that replayed the message, or empty.
func (s Stored) ReplayJob() string { return unescape(s.first(HeaderReplayJob)) }

// ReplayReason is why it was replayed, in the operator's words, or empty.
func (s Stored) ReplayReason() string { return unescape(s.first(HeaderReplayReason)) }

func (s Stored) first(name string) string {
	if v := s.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
