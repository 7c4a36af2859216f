package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"alipay-notify/internal/events"
)

// Cause says how a consumer gave a message up.
type Cause string

// The causes, by the server's names in lower case.
const (
	MaxDeliveries Cause = "max_deliveries" // it was delivered as often as the consumer allows
	Terminated    Cause = "terminated"     // the consumer said that it will never do it
)

// advisoryRoot begins the subjects of ALIPAY_DLQ: the cause, the stream and the
// consumer follow.
const advisoryRoot = "$JS.EVENT.ADVISORY.CONSUMER."

// causes are the tokens of the subjects.
var causes = map[string]Cause{"MAX_DELIVERIES": MaxDeliveries, "MSG_TERMINATED": Terminated}

// PointerFilter is the subject of the pointers of a consumer, or of all (empty).
func PointerFilter(consumer string) string {
	if consumer == "" {
		return advisoryRoot + ">"
	}
	return advisoryRoot + "*.*." + consumer
}

// Pointer is what ALIPAY_DLQ keeps of a message that a consumer gave up: the
// server's advisory, or one of the same shape that the consumer has left itself.
type Pointer struct {
	Sequence   uint64 // on ALIPAY_DLQ
	StoredAt   time.Time
	Cause      Cause
	Stream     string
	Consumer   string
	Event      uint64 // the sequence of the message on Stream
	Deliveries int
	Reason     string // the consumer's own words, where it said something
}

// NewPointer reads a message of ALIPAY_DLQ. Whose pointer it is says the subject,
// on which permissions are given, and not the body.
func NewPointer(m events.Stored) (Pointer, error) {
	p := Pointer{Sequence: m.Sequence, StoredAt: m.StoredAt}
	tokens := strings.Split(strings.TrimPrefix(m.Subject, advisoryRoot), ".")
	if len(tokens) != 3 || causes[tokens[0]] == "" {
		return p, fmt.Errorf("the subject is that of no pointer")
	}
	p.Cause, p.Stream, p.Consumer = causes[tokens[0]], tokens[1], tokens[2]
	var body struct {
		Sequence   uint64 `json:"stream_seq"`
		Deliveries int    `json:"deliveries"`
		Reason     string `json:"reason"`
	}
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return p, fmt.Errorf("no pointer: %w", err)
	}
	if body.Sequence == 0 {
		return p, fmt.Errorf("it points to no message")
	}
	p.Event, p.Deliveries, p.Reason = body.Sequence, max(0, body.Deliveries), body.Reason
	return p, nil
}

// DeadLetter is a message that a consumer gave up, with all pointers to it.
type DeadLetter struct {
	Pointer           // the first; Deliveries and Reason are the most that any says
	Pointers []uint64 // all of them, on ALIPAY_DLQ
	Causes   []Cause  // what they say, each once
	Message  events.Stored
	Gone     bool // the message is no longer in its stream
	Redrives int  // how often it was sent again to this consumer
}

// Age is since when the message is given up.
func (d DeadLetter) Age(now time.Time) time.Duration { return max(0, now.Sub(d.StoredAt)) }

// Origin is the sequence of the event on ALIPAY_EVENTS: that of the message, or
// what it is a replay of.
func (d DeadLetter) Origin() uint64 {
	if of := d.Message.Header[events.HeaderReplayOf]; d.Message.Replayed() && len(of) > 0 {
		if n, err := strconv.ParseUint(of[0], 10, 64); err == nil {
			return n
		}
	}
	return d.Event
}

// Subject is where the message is sent again to its consumer alone.
func (d DeadLetter) Subject() string { return events.ReplaySubject(d.Consumer, d.Message.Subject) }

// Pick tells whether it is selected, and whether a later one can be: times and
// sequences are those of its first pointer, everything else is the event's.
func (d DeadLetter) Pick(pick *Picker) (selected, more bool) {
	m := d.Message
	m.Sequence, m.StoredAt = d.Sequence, d.StoredAt
	return pick.Pick(m)
}

// DeadLetters puts pointers together that point to the same message for the same
// consumer: the server leaves one, and a consumer may leave its own. The zero
// value is empty.
type DeadLetters struct {
	all   []*DeadLetter
	index map[letterKey]*DeadLetter
}

type letterKey struct {
	stream, consumer string
	event            uint64
}

// Add takes a pointer in; they come in the order of their sequences.
func (d *DeadLetters) Add(p Pointer) {
	key := letterKey{p.Stream, p.Consumer, p.Event}
	letter := d.index[key]
	if letter == nil {
		letter = &DeadLetter{Pointer: p}
		if d.index == nil {
			d.index = make(map[letterKey]*DeadLetter)
		}
		d.index[key] = letter
		d.all = append(d.all, letter)
	}
	letter.Pointers = append(letter.Pointers, p.Sequence)
	if !slices.Contains(letter.Causes, p.Cause) {
		letter.Causes = append(letter.Causes, p.Cause)
	}
	letter.Deliveries = max(letter.Deliveries, p.Deliveries)
	letter.Reason = cmp.Or(letter.Reason, p.Reason)
}

// All gives them in the order of their first pointers.
func (d *DeadLetters) All() []*DeadLetter { return d.all }

// LetterCounts counts dead letters by stream and consumer.
type LetterCounts map[string]int

// LetterKey names a consumer of a stream in LetterCounts.
func LetterKey(stream, consumer string) string { return stream + "/" + consumer }

// Count counts those that a consumer's own counts know of: what was delivered too
// often stays among what it has redelivered, what it terminated leaves no trace.
func (c LetterCounts) Count(d *DeadLetter) {
	if slices.Contains(d.Causes, MaxDeliveries) {
		c[LetterKey(d.Stream, d.Consumer)]++
	}
}

// String writes the counts as an audit record keeps them: "ALIPAY_EVENTS/orders 3".
func (c LetterCounts) String() string { return Counts(c) }

// ParseLetterCounts reads them back, and leaves out what is none.
func ParseLetterCounts(text string) LetterCounts {
	c := make(LetterCounts)
	for part := range strings.SplitSeq(text, ", ") {
		name, number, _ := strings.Cut(part, " ")
		if n, err := strconv.Atoi(number); err == nil && n > 0 && strings.Contains(name, "/") {
			c[name] += n
		}
	}
	return c
}

// Add adds other counts.
func (c LetterCounts) Add(other LetterCounts) {
	for _, name := range slices.Sorted(maps.Keys(other)) {
		c[name] += other[name]
	}
}
