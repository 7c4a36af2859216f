package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is what provisioning does, or would do, to one stream or bucket.
type Change struct {
	Stream      string
	Create      bool
	Differences []Difference // what an update would mend
	Shrinks     []string     // settings that would drop stored messages
	Note        string       // what the operator should know, or empty

	config jetstream.StreamConfig
	bucket *jetstream.KeyValueConfig
}

func (c Change) String() string {
	switch {
	case c.Create:
		return c.Stream + ": create"
	case len(c.Differences) > 0:
		return fmt.Sprintf("%s: update %d settings", c.Stream, len(c.Differences))
	}
	return c.Stream + ": in order"
}

// Pending tells whether the change does anything.
func (c Change) Pending() bool { return c.Create || len(c.Differences) > 0 }

// Plan says what Apply would do. freeDisk is the free space of the server's
// disk in bytes where it is known, else 0: ALIPAY_EVENTS takes 60 % of it when
// no size is configured.
func (c *Client) Plan(ctx context.Context, l Layout, freeDisk int64) ([]Change, error) {
	var changes []Change
	for _, want := range l.streams {
		have, err := c.config(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			change := Change{Stream: want.Name, Create: true, config: want}
			if want.MaxBytes == 0 {
				change.config.MaxBytes, change.Note = c.archiveSize(ctx, freeDisk)
			}
			changes = append(changes, change)
		case err != nil:
			return nil, fmt.Errorf("read the configuration of %s: %w", want.Name, err)
		default:
			changes = append(changes, planUpdate(have, want, l.options))
		}
	}
	for _, b := range l.buckets {
		change := Change{Stream: "KV_" + b.Bucket, bucket: &b}
		if _, err := c.config(ctx, change.Stream); errors.Is(err, jetstream.ErrStreamNotFound) {
			change.Create = true
		} else if err != nil {
			return nil, fmt.Errorf("read the configuration of %s: %w", b.Bucket, err)
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// archiveSize chooses max_bytes where none is configured: 60 % of the disk that
// we can see, or of what the account may use.
func (c *Client) archiveSize(ctx context.Context, freeDisk int64) (int64, string) {
	if freeDisk > 0 {
		return max(freeDisk*6/10, 16*mib), ""
	}
	if info, err := c.js.AccountInfo(ctx); err == nil && info.Limits.MaxStore > 0 {
		return max((info.Limits.MaxStore-int64(info.Store))*6/10, 16*mib), ""
	}
	return -1, "the free disk of a remote server cannot be seen: without nats.max_bytes the stream has no limit of its own"
}

// planUpdate keeps what is set beside our layout (placement, sources, more
// subjects) and changes only what differs.
func planUpdate(have, want jetstream.StreamConfig, o LayoutOptions) Change {
	change := Change{Stream: want.Name, config: have}
	change.Differences = slices.DeleteFunc(compare(have, want, o), func(d Difference) bool {
		return d.Field == "max_bytes" && want.MaxBytes <= 0 // fixed when the stream was created
	})
	next := &change.config
	for _, s := range want.Subjects {
		if !slices.Contains(next.Subjects, s) {
			next.Subjects = append(slices.Clone(next.Subjects), s)
		}
	}
	next.NoAck, next.Discard, next.MaxAge = false, want.Discard, want.MaxAge
	next.Duplicates, next.Replicas = want.Duplicates, want.Replicas
	next.MaxMsgs, next.MaxMsgsPerSubject, next.MaxMsgSize = want.MaxMsgs, want.MaxMsgsPerSubject, want.MaxMsgSize
	next.AllowRollup = false
	next.DenyDelete = have.DenyDelete || want.DenyDelete
	next.DenyPurge = have.DenyPurge || want.DenyPurge
	next.Metadata = maps.Clone(have.Metadata)
	if next.Metadata == nil {
		next.Metadata = map[string]string{}
	}
	next.Metadata["layout"] = layoutVersion
	if want.MaxBytes > 0 {
		next.MaxBytes = want.MaxBytes
	}
	if shorter(want.MaxAge, have.MaxAge) {
		change.Shrinks = append(change.Shrinks, fmt.Sprintf("max_age %v to %v", have.MaxAge, want.MaxAge))
	}
	if want.MaxBytes > 0 && (have.MaxBytes <= 0 || want.MaxBytes < have.MaxBytes) {
		change.Shrinks = append(change.Shrinks, fmt.Sprintf("max_bytes %d to %d", have.MaxBytes, want.MaxBytes))
	}
	return change
}

// Apply carries out the changes of a plan, in order. It stops at the first
// failure; what was done before stays, and a new plan goes on from there.
// Storage, retention and the like cannot be changed on a stream that exists:
// the error says so, and the data has to be moved by hand.
func (c *Client) Apply(ctx context.Context, changes []Change) error {
	for _, change := range changes {
		if !change.Pending() {
			continue
		}
		var err error
		switch {
		case change.bucket != nil:
			_, err = c.js.CreateKeyValue(ctx, *change.bucket)
		case change.Create:
			_, err = c.js.CreateStream(ctx, change.config)
		default:
			_, err = c.js.UpdateStream(ctx, change.config)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", change, err)
		}
	}
	return nil
}
