package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
)

// Expected is one record of ALIPAY_EXPECT.
type Expected struct {
	Name     string
	Value    []byte
	Revision uint64
	Since    time.Time // when it was written
}

const (
	expectRoot = "$KV." + ExpectBucket + "."
	// expectTimeout bounds one access to ALIPAY_EXPECT.
	expectTimeout = 5 * time.Second
	// kvOperation is the header by which a bucket marks what was removed.
	kvOperation, kvPurge = "KV-Operation", "PURGE"
)

// errCutShort means that the connection, or the bucket, went away under a list.
var errCutShort = errors.New("the list was cut short")

// Expect writes a record, in the place of one that has the name.
func (c *Client) Expect(ctx context.Context, name string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, expectTimeout)
	defer cancel()
	if _, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: expectRoot + name, Data: value}); err != nil {
		return fmt.Errorf("write %s of %s: %w", name, ExpectBucket, classify(err))
	}
	return nil
}

// CloseExpected removes a record and its history, unless somebody has written it
// meanwhile (ErrStale).
func (c *Client) CloseExpected(ctx context.Context, name string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, expectTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: expectRoot + name, Header: nats.Header{
		kvOperation: {kvPurge}, jetstream.MsgRollup: {jetstream.MsgRollupSubject},
	}}
	_, err := c.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision))
	if wrongRevision(err) {
		return ErrStale
	}
	if err != nil {
		return fmt.Errorf("remove %s of %s: %w", name, ExpectBucket, classify(err))
	}
	return nil
}

// AllExpected hands every record to fn, in no order. fn must not take long: what
// waits for it waits in memory. Without an error the list was whole.
func (c *Client) AllExpected(ctx context.Context, fn func(Expected) error) error {
	bucket, err := c.js.KeyValue(ctx, ExpectBucket)
	if err != nil {
		return fmt.Errorf("open %s: %w", ExpectBucket, err)
	}
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("list %s: %w", ExpectBucket, err)
	}
	defer watcher.Stop() //nolint:errcheck // the server forgets it by itself
	silence := time.NewTimer(expectTimeout)
	defer silence.Stop()
	for {
		select {
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return fmt.Errorf("list %s: %w", ExpectBucket, errCutShort)
			case entry == nil: // the end of what there is
				return ctx.Err()
			}
			silence.Reset(expectTimeout)
			if err := fn(Expected{entry.Key(), entry.Value(), entry.Revision(), entry.Created()}); err != nil {
				return err
			}
		case <-silence.C:
			return fmt.Errorf("list %s: nothing comes any more: %w", ExpectBucket, errCutShort)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ExpectedUnder gives the records whose names match; a * stands for one part of a
// name, between dots. It is meant for few.
func (c *Client) ExpectedUnder(ctx context.Context, match string) ([]Expected, error) {
	var all []Expected
	place := make(map[string]int)
	err := c.Under(ctx, "KV_"+ExpectBucket, expectRoot+match, 0, func(m events.Stored) error {
		name := strings.TrimPrefix(m.Subject, expectRoot)
		at, known := place[name]
		if !known {
			at, place[name] = len(all), len(all)
			all = append(all, Expected{})
		}
		all[at] = Expected{Name: name, Value: m.Data, Revision: m.Sequence, Since: m.StoredAt}
		if len(m.Header[kvOperation]) > 0 {
			all[at] = Expected{} // removed
		}
		return nil
	})
	open := all[:0]
	for _, e := range all {
		if e.Name != "" {
			open = append(open, e)
		}
	}
	return open, err
}
