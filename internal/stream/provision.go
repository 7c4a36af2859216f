package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is what provisioning does, or would do, to one stream or bucket.
type Change struct {
	Stream      string
	Create      bool
	Differences []Difference // what an update would mend, but for Stuck
	Stuck       []Difference // what no update can change: the data has to be moved by hand
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
		have, err := c.config(ctx, "KV_"+b.Bucket)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			changes = append(changes, Change{Stream: "KV_" + b.Bucket, Create: true, bucket: &b})
		case err != nil:
			return nil, fmt.Errorf("read the configuration of %s: %w", b.Bucket, err)
		default:
			change := Change{Stream: have.Name, Differences: compareBucket(have, b), config: have}
			change.config.Replicas, change.config.MaxAge = b.Replicas, b.TTL
			change.nameStuck(have)
			changes = append(changes, change)
		}
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
		return max((info.Limits.MaxStore-int64(info.Store))*6/10, 16*mib), "" //nolint:gosec // no disk has 2^63 bytes
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
		// The server takes no subjects that overlap, so narrower ones go.
		next.Subjects = slices.DeleteFunc(slices.Clone(next.Subjects), func(have string) bool { return covers(s, have) })
		next.Subjects = append(next.Subjects, s)
	}
	next.NoAck, next.Discard, next.MaxAge = false, want.Discard, want.MaxAge
	if have.Retention != jetstream.WorkQueuePolicy {
		next.Retention = want.Retention
	}
	next.Duplicates, next.Replicas = want.Duplicates, want.Replicas
	next.MaxMsgs, next.MaxMsgsPerSubject, next.DiscardNewPerSubject = want.MaxMsgs, want.MaxMsgsPerSubject, false
	if want.Name == Events && int64(have.MaxMsgSize) < int64(o.MessageSize()) {
		next.MaxMsgSize = want.MaxMsgSize
	}
	next.AllowRollup, next.SubjectTransform, next.RePublish = false, nil, nil
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
	change.nameStuck(have)
	return change
}

// nameStuck picks the differences that the server lets nobody change.
func (c *Change) nameStuck(have jetstream.StreamConfig) {
	var names []string
	for _, d := range c.Differences {
		stuck := d.Field == "storage" || d.Field == "sealed" || d.Field == "persist_mode" ||
			d.Field == "retention" && have.Retention == jetstream.WorkQueuePolicy
		if stuck {
			c.Stuck = append(c.Stuck, d)
			names = append(names, fmt.Sprintf("%s is %s, want %s", d.Field, d.Have, d.Want))
		}
	}
	if names != nil {
		c.Note = "cannot be changed on a stream that exists: " + strings.Join(names, ", ") + "; make it anew and move its data by hand"
	}
}

// covers tells whether every subject of have is one of want, which is a subject
// or ends in ".>".
func covers(want, have string) bool {
	prefix, wild := strings.CutSuffix(want, ">")
	return have == want || wild && strings.HasPrefix(have, prefix)
}

// Apply carries out the changes of a plan, in order. It stops at the first
// failure; what was done before stays, and a new plan goes on from there. That
// this user may not change streams is ErrDenied.
// What is stuck does not keep the rest from being done, but is an error in the
// end: the plan is not fulfilled, and a second one would say the same.
func (c *Client) Apply(ctx context.Context, changes []Change) error {
	var stuck []error
	for _, change := range changes {
		for _, d := range change.Stuck {
			stuck = append(stuck, fmt.Errorf("%s: it cannot be changed on a stream that exists", d))
		}
		sealed := slices.ContainsFunc(change.Stuck, func(d Difference) bool { return d.Field == "sealed" })
		if len(change.Differences) == len(change.Stuck) && !change.Create || sealed {
			continue
		}
		if err := c.ask(ctx, applyTimeout, func(ctx context.Context) error { return c.apply(ctx, change) }); err != nil {
			return fmt.Errorf("%s: %w", change, err)
		}
	}
	return errors.Join(stuck...)
}

// applyTimeout covers a cluster that places one stream.
const applyTimeout = 30 * time.Second

func (c *Client) apply(ctx context.Context, change Change) (err error) {
	switch {
	case change.bucket != nil:
		_, err = c.js.CreateKeyValue(ctx, *change.bucket)
	case change.Create:
		_, err = c.js.CreateStream(ctx, change.config)
	default:
		_, err = c.js.UpdateStream(ctx, change.config)
	}
	return err
}
