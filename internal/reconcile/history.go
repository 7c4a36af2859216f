package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"alipay-notify/internal/events"
)

// seen is one stored event, as far as a judgement needs it.
type seen struct {
	kind     string
	sequence uint64
	time     time.Time // when it happened
	ownTime  bool      // the message says when
	received time.Time
	stored   time.Time
	outBizNo string
	failed   bool // card.open_result: it was not opened
}

// history is what is stored of one item.
type history struct {
	events   map[string][]seen
	inferred map[string]uint64 // ce-id: the sequence of what was concluded before
	alive    bool              // something stored shows that it was published, while the archive was there
}

func (h history) count() int {
	n := 0
	for _, list := range h.events {
		n += len(list)
	}
	return n
}

// shows are the kinds that come only while an activity is active.
var shows = map[string]bool{Created: true, Modified: true, Appended: true}

// recall reads what is stored of an item.
func recall(ctx context.Context, a Archive, item Item) (history, error) {
	h := history{events: make(map[string][]seen), inferred: make(map[string]uint64)}
	for _, kind := range Kinds(item.Entity) {
		err := a.Events(ctx, item.App, kind, item.Key, func(m events.Stored) error {
			if m.Key == item.Key && !m.Replayed() { // two keys can share a subject
				h.events[kind] = append(h.events[kind], newSeen(kind, m))
				h.alive = h.alive || shows[kind]
			}
			return nil
		})
		if err == nil {
			err = a.Inferred(ctx, item.App, kind, item.Key, func(m events.Stored) error {
				h.inferred[m.ID] = m.Sequence
				return nil
			})
		}
		if err != nil {
			return h, fmt.Errorf("look up %s of %s: %w", kind, item.Key, err)
		}
	}
	if item.Entity == Card || h.alive {
		return h, nil
	}
	var err error
	if h.alive, err = wasGiven(ctx, a, item); err != nil {
		return h, fmt.Errorf("look up voucher.received of %s: %w", item.Key, err)
	}
	return h, nil
}

func newSeen(kind string, m events.Stored) seen {
	var data struct {
		OutBizNo string `json:"out_biz_no"`
		Success  *bool  `json:"success"`
	}
	_ = json.Unmarshal(m.Data, &data) // what cannot be read is not known
	return seen{
		kind: kind, sequence: m.Sequence, time: m.Time, ownTime: m.TimeSource == "" && !m.Time.IsZero(),
		received: m.ReceivedAt, stored: m.StoredAt, outBizNo: data.OutBizNo, failed: data.Success != nil && !*data.Success,
	}
}

// errFound ends a reading that has found what it looked for.
var errFound = errors.New("found")

// wasGiven tells whether users received vouchers of an activity while the archive
// was there: then it was published, and can only have been stopped afterwards.
func wasGiven(ctx context.Context, a Archive, item Item) (bool, error) {
	err := a.Events(ctx, item.App, "voucher.received", item.Key, func(m events.Stored) error {
		if m.Key == item.Key {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
