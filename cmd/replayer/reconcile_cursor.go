package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// cursorRecord is how far a reconciliation has come, as ALIPAY_JOBS keeps it
// under reconcile.<job>.
type cursorRecord struct {
	Job     string    `json:"job"`
	Source  string    `json:"source"` // what is reconciled; a job goes on with the same alone
	Cursor  uint64    `json:"cursor"` // everything up to here is reported
	Done    bool      `json:"done"`
	Updated time.Time `json:"updated"`
}

// saveEvery is how often a long run notes how far it is. A short one leaves no
// record at all.
const saveEvery = 5 * time.Second

// cursor follows a run through its source. Items are done in another order than
// they come in; what counts is the first that is not.
type cursor struct {
	client   *stream.Client
	record   cursorRecord
	revision uint64
	saved    time.Time

	mu      sync.Mutex
	skip    uint64          // items up to here are done by an earlier run
	pending []uint64        // given out, in order, the first of them not done
	over    map[uint64]bool // of these, what is done
	unasked []uint64        // of these, the last in a row that could not be asked for
	low     uint64          // everything up to here is done
}

// newCursor begins a run, or goes on with --resume.
func (r *reconciling) newCursor(ctx context.Context, s itemSource) (*cursor, error) {
	c := &cursor{
		client: r.client, saved: time.Now(), over: make(map[uint64]bool),
		record: cursorRecord{Job: audit.NewJobID(time.Now()), Source: s.name},
	}
	if r.resume == "" {
		return c, nil
	}
	kept, err := r.client.LoadCheckpoint(ctx, cursorName(r.resume))
	switch {
	case errors.Is(err, stream.ErrNoCheckpoint):
		return nil, cli.Usagef("the same without --resume, from the beginning", "--resume: there is no job %s", cli.Clean(r.resume))
	case err != nil:
		return nil, cli.Failedf(checkFirst, "%w", err)
	}
	var record cursorRecord
	if err := json.Unmarshal(kept.Value, &record); err != nil || record.Source != s.name {
		return nil, cli.Usagef("the same without --resume, from the beginning", "--resume: job %s reconciles something else: %s", cli.Clean(r.resume), cli.Clean(record.Source))
	}
	if record.Done {
		r.say("job %s is done: nothing is left", record.Job)
	}
	c.record, c.revision = record, kept.Revision
	c.skip, c.low = record.Cursor, record.Cursor
	return c, nil
}

func cursorName(job string) string { return "reconcile." + job }

// watch is the source without what an earlier run has done.
func (c *cursor) watch(source iter.Seq2[reconcile.Item, error]) iter.Seq2[reconcile.Item, error] {
	return func(yield func(reconcile.Item, error) bool) {
		for item, err := range source {
			if err == nil && item.Cursor > 0 && item.Cursor <= c.skip {
				continue
			}
			if err == nil && item.Cursor > 0 {
				c.mu.Lock()
				c.pending = append(c.pending, item.Cursor)
				c.mu.Unlock()
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// done takes an item out, and gives up to where everything is done. What could not
// be asked for is done when a later one could: an outage is not, and whoever goes
// on after it begins with the first that it hit.
func (c *cursor) done(ctx context.Context, at uint64, asked bool) uint64 {
	if at == 0 {
		return 0
	}
	c.mu.Lock()
	c.unasked = append(c.unasked, at)
	if asked {
		for _, at := range c.unasked {
			c.over[at] = true
		}
		c.unasked = c.unasked[:0]
	}
	for len(c.pending) > 0 && c.over[c.pending[0]] {
		c.low = c.pending[0]
		delete(c.over, c.low)
		c.pending = c.pending[1:]
	}
	c.mu.Unlock()
	if time.Since(c.saved) > saveEvery {
		c.save(ctx)
	}
	return c.low
}

// save notes how far the run is, and gives the job's name; empty where nobody
// could go on. Whether it is noted decides nothing: without it more is done twice.
func (c *cursor) save(ctx context.Context) string {
	c.mu.Lock()
	c.record.Cursor, c.record.Updated, c.saved = c.low, time.Now().UTC(), time.Now()
	record := c.record
	c.mu.Unlock()
	if record.Cursor == 0 {
		return ""
	}
	revision, err := c.client.SaveCheckpoint(ctx, cursorName(record.Job), asJSON(record), c.revision)
	if err != nil {
		return ""
	}
	c.revision = revision
	return record.Job
}

// finish says that nothing is left to go on with.
func (c *cursor) finish(ctx context.Context) {
	if c.revision == 0 {
		return
	}
	c.low = max(c.low, slices.Max(append(c.unasked, 0)))
	c.record.Done = true
	c.save(ctx)
}
