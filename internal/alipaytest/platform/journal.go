package platform

import (
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"
)

// What an Entry can tell.
const (
	Called       = "call"         // an operation was asked for
	Caused       = "caused"       // a notification came into being
	Dropped      = "dropped"      // ... and will never be sent
	Held         = "held"         // ... and is sent later than others
	Tried        = "attempt"      // it was posted once; what came back
	Acknowledged = "acknowledged" // the receiver has said success for the first time
	GivenUp      = "given_up"     // it has not, as often as the schedule allows
	Interrupted  = "interrupted"  // the platform was closed before
)

// Entry is one line of the journal: the truth that a test compares with. Fields
// that do not concern What are empty.
type Entry struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	App  string    `json:"app_id,omitempty"`

	// Of a call.
	Method   string `json:"method,omitempty"`
	Protocol string `json:"protocol,omitempty"` // v3 or v2
	Code     string `json:"code,omitempty"`     // of the problem; empty: there was none
	Fault    string `json:"fault,omitempty"`    // what was done to the call on purpose

	// Of a notification.
	Notification int    `json:"notification,omitempty"` // counted from 1, as caused
	NotifyID     string `json:"notify_id,omitempty"`
	Type         string `json:"type,omitempty"`
	Key          string `json:"key,omitempty"` // activity_id or biz_card_no
	Attempt      int    `json:"attempt,omitempty"`
	Body         string `json:"body,omitempty"`
	Tampered     bool   `json:"tampered,omitempty"`
	Duplicate    bool   `json:"duplicate,omitempty"` // an attempt after the acknowledgement

	// Of either.
	Number string `json:"number,omitempty"` // out_biz_no, out_serial_no or request_id
	Status int    `json:"status,omitempty"` // HTTP's; 0 when no answer came
	Detail string `json:"detail,omitempty"`
}

// journal keeps entries, and writes them as they come.
type journal struct {
	mu      sync.Mutex
	w       io.Writer
	entries []Entry
}

func (j *journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.At = time.Now().UTC()
	j.entries = append(j.entries, e)
	if j.w != nil {
		line, _ := json.Marshal(e)           // plain fields
		_, _ = j.w.Write(append(line, '\n')) // what cannot be written is still kept
	}
}

// Journal is everything so far, in order.
func (p *Platform) Journal() []Entry {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	return slices.Clone(p.journal.entries)
}
