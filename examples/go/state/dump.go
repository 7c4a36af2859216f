package state

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"alipay-notify-consumer/event"
)

// State is everything that the consumer knows. Fields stand in the order of their
// names, so that its JSON has sorted keys.
type State struct {
	Activities map[string]Activity `json:"activities"` // by <app>/<activity_id>
	Cards      map[string]Card     `json:"cards"`      // by <app>/<biz_card_no>
	Events     int64               `json:"events"`     // counted, each once
}

// Activity is what became of one voucher activity.
type Activity struct {
	Counts   map[string]int `json:"counts"`    // by action, each event once
	LastID   string         `json:"last_id"`   // of the latest change, by ce-time, then ce-id
	LastTime string         `json:"last_time"` // as written in ce-time
	LastType string         `json:"last_type"` // such as voucher.modified; empty before any change
	Status   string         `json:"status"`    // stopped when the latest change is voucher.stopped, else active
}

// Card is the latest result of opening one card.
type Card struct {
	LastID   string `json:"last_id"`
	LastTime string `json:"last_time"`
	Opened   bool   `json:"opened"`
}

// changes are the actions that confirm an operation on the activity. The others
// tell of a user's voucher, and are counted only.
var changes = map[string]bool{"created": true, "modified": true, "appended": true, "stopped": true}

func (a *Activity) take(e event.Event, counts bool) {
	action := strings.TrimPrefix(e.Kind, "voucher.")
	if a.Counts == nil {
		a.Counts, a.Status = map[string]int{}, "active"
	}
	if counts {
		a.Counts[action]++
	}
	if !changes[action] || !later(e, a.LastTime, a.LastID) {
		return
	}
	a.LastID, a.LastTime, a.LastType, a.Status = e.ID, e.TimeText, e.Kind, "active"
	if action == "stopped" {
		a.Status = "stopped"
	}
}

func (c *Card) take(e event.Event) {
	if later(e, c.LastTime, c.LastID) {
		c.LastID, c.LastTime, c.Opened = e.ID, e.TimeText, e.Opened
	}
}

// later tells whether the event comes after what decides so far. Times are
// compared as instants (as texts, 10:00:00.5Z would come before 10:00:00Z), and of
// two events of one instant the greater id decides: any rule will do that does not
// depend on which came first.
func later(e event.Event, lastTime, lastID string) bool {
	if lastID == "" {
		return true
	}
	last, err := time.Parse(time.RFC3339Nano, lastTime)
	if err != nil || !e.Time.Equal(last) {
		return err != nil || e.Time.After(last)
	}
	return e.ID > lastID
}

// Dump gives everything, as of one moment.
func (s *Store) Dump() (State, error) {
	all := State{Activities: map[string]Activity{}, Cards: map[string]Card{}}
	err := s.db.View(func(tx *bbolt.Tx) (err error) {
		if tx.Bucket(totals) == nil {
			return nil // a run that ended before its first write
		}
		if all.Events, err = readTotal(tx); err != nil {
			return err
		}
		if err := read(tx.Bucket(activities), all.Activities); err != nil {
			return err
		}
		return read(tx.Bucket(cards), all.Cards)
	})
	if err != nil {
		return State{}, fmt.Errorf("read the state: %w", err)
	}
	return all, nil
}

func read[T any](b *bbolt.Bucket, into map[string]T) error {
	return b.ForEach(func(key, stored []byte) error {
		var value T
		if err := json.Unmarshal(stored, &value); err != nil {
			return err
		}
		into[string(key)] = value
		return nil
	})
}
