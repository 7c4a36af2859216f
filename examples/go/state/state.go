// Package state keeps what the consumer made of the events, and which events
// those were, in one file (bbolt: one process at a time, every transaction on the
// disk before it returns). Put your own database in its place; what matters is
// that marks and effect change in one transaction.
package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"alipay-notify-consumer/event"
)

// The buckets of the file.
var (
	notifications = []byte("notifications") // marks: ce-source, ce-id
	happenings    = []byte("happenings")    // marks: ce-source, ce-type, data.id
	activities    = []byte("activities")    // <app>/<activity> -> Activity
	cards         = []byte("cards")         // <app>/<card> -> Card
	totals        = []byte("totals")
)

var countKey = []byte("events") // in totals: how many events were counted

// lockWait is how long to wait for another process to let go of the file.
const lockWait = 2 * time.Second

// Store is the file. Its methods may be called by several goroutines.
type Store struct {
	db *bbolt.DB
}

// Open opens the file, and makes it where there is none.
func Open(path string) (*Store, error) {
	s, err := open(path, false)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{notifications, happenings, activities, cards, totals} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), s.Close())
	}
	return s, nil
}

// OpenReadOnly opens a file that is there, for Dump.
func OpenReadOnly(path string) (*Store, error) { return open(path, true) }

func open(path string, readOnly bool) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: readOnly})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use: stop the consumer that runs with it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	return &Store{db}, nil
}

// Close waits for a transaction under way.
func (s *Store) Close() error { return s.db.Close() }

// Apply counts what is new among the events and passes over the rest, all in one
// transaction. When it returns without an error, all of it is on the disk; with
// one, nothing has changed, and it may be tried again. It tells how many counted.
func (s *Store) Apply(events []event.Event) (counted int, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		counted = 0
		for _, e := range events {
			isNew, err := apply(tx, e)
			if err != nil {
				return err
			}
			if isNew {
				counted++
			}
		}
		return addTotal(tx, counted)
	})
	if err != nil {
		return 0, fmt.Errorf("write the state: %w", err)
	}
	return counted, nil
}

// apply tells whether the event was counted.
func apply(tx *bbolt.Tx, e event.Event) (bool, error) {
	isNew, err := mark(tx.Bucket(notifications), e.Source, e.ID)
	if err != nil || !isNew {
		return false, err
	}
	counts := true
	if e.Business != "" {
		if counts, err = mark(tx.Bucket(happenings), e.Source, e.Type, e.Business); err != nil {
			return false, err
		}
	}
	// A second notification of one happening does not count. It may still be the
	// later of the two, and then is the last: otherwise the result would depend on
	// which of them came first.
	if e.Kind == "card.open_result" {
		return counts, update(tx.Bucket(cards), e, func(c *Card) { c.take(e) })
	}
	return counts, update(tx.Bucket(activities), e, func(a *Activity) { a.take(e, counts) })
}

// mark remembers something by its parts, and tells whether it is new. Hashed, a
// mark has 32 bytes whatever the parts are, and no two lists of parts are alike.
//
// Marks stay for ever here, with the time when they were made. One may go when no
// stream can deliver its event any more: 37 days by default, because ALIPAY_EVENTS
// keeps 30 days and a replay may wait for 7 more in ALIPAY_REPLAYS.
func mark(b *bbolt.Bucket, parts ...string) (isNew bool, err error) {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write([]byte(part))
	}
	key := h.Sum(nil)
	if b.Get(key) != nil {
		return false, nil
	}
	return true, b.Put(key, time.Now().UTC().AppendFormat(nil, time.RFC3339))
}

// update changes the entry of the event's key.
func update[T any](b *bbolt.Bucket, e event.Event, change func(*T)) error {
	key := []byte(e.AppID + "/" + e.Key)
	var value T
	if stored := b.Get(key); stored != nil {
		if err := json.Unmarshal(stored, &value); err != nil {
			return fmt.Errorf("the entry of a key cannot be read: %w", err)
		}
	}
	change(&value)
	stored, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Put(key, stored)
}

func addTotal(tx *bbolt.Tx, n int) error {
	total, err := readTotal(tx)
	if err != nil || n == 0 {
		return err
	}
	return tx.Bucket(totals).Put(countKey, strconv.AppendInt(nil, total+int64(n), 10))
}

func readTotal(tx *bbolt.Tx) (int64, error) {
	stored := tx.Bucket(totals).Get(countKey)
	if stored == nil {
		return 0, nil
	}
	return strconv.ParseInt(string(stored), 10, 64)
}
