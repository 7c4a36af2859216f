package events

import (
	"strconv"
	"strings"
)

// ReplaysRoot begins the subjects of what is sent again to one consumer alone.
const ReplaysRoot = "alipay.replays"

// ReplayMark is what a job writes on each message that it sends again. It may be
// used from several goroutines.
type ReplayMark struct {
	job, reason []string // as header values; every message shares them
	messageID   string   // but for the sequence
}

// NewReplayMark makes the mark of a job; reason is the operator's own words.
func NewReplayMark(job, reason string) ReplayMark {
	return ReplayMark{
		job: []string{escape(job)}, reason: []string{escape(reason)},
		messageID: "replay:" + job + ":",
	}
}

// Put writes the mark on the headers of the message that is stored at sequence.
// All others stay as they are, but for those by which NATS would be told what to
// do with the message (Nats-Expected-..., Nats-Rollup): none of ours has one. The
// message id is new with each job, so that no window takes a replay for what it
// already has, and the same within one job, so that a retry is stored once.
func (m ReplayMark) Put(header map[string][]string, sequence uint64) {
	for name := range header {
		if len(name) > 5 && strings.EqualFold(name[:5], "Nats-") {
			delete(header, name)
		}
	}
	of := strconv.FormatUint(sequence, 10)
	header[HeaderReplayJob], header[HeaderReplayReason] = m.job, m.reason
	header[HeaderReplayOf] = []string{of}
	header[HeaderMessageID] = []string{m.messageID + of}
}

// Size is how many bytes the mark adds to the headers of the message that is
// stored at sequence, whose own message id goes.
func (m ReplayMark) Size(sequence uint64) int {
	const lines = len(HeaderReplayJob+HeaderReplayOf+HeaderReplayReason) + 3*len(": \r\n")
	return lines + len(m.job[0]) + len(m.reason[0]) + 2*len(strconv.FormatUint(sequence, 10)) + len(m.messageID)
}

// ReplaySubject is where an event is sent again to one consumer:
// alipay.replays.<consumer>.<what follows alipay.events.>. What was already sent
// again to a consumer can be sent to another one.
func ReplaySubject(consumer, subject string) string {
	rest, isEvent := strings.CutPrefix(subject, SubjectRoot+".")
	if replayed, ok := strings.CutPrefix(subject, ReplaysRoot+"."); ok && !isEvent {
		_, rest, _ = strings.Cut(replayed, ".")
	}
	return ReplaysRoot + "." + Token(consumer) + "." + rest
}
