package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

// Difference is one way in which a stream is not what the layout says.
type Difference struct {
	Stream string
	Field  string
	Have   string
	Want   string
	Fatal  bool // a receiver must not run on it: something acknowledged could be lost
}

func (d Difference) String() string {
	if d.Field == "" {
		return fmt.Sprintf("%s: %s, want %s", d.Stream, d.Have, d.Want)
	}
	return fmt.Sprintf("%s: %s is %s, want %s", d.Stream, d.Field, d.Have, d.Want)
}

// Fatal picks the differences that a receiver must not run on.
func Fatal(all []Difference) []Difference {
	return slices.DeleteFunc(slices.Clone(all), func(d Difference) bool { return !d.Fatal })
}

// Check compares the server's streams with the layout and changes nothing. An
// error means that the server could not be asked about ALIPAY_EVENTS, and says
// nothing about the layout. Another stream that cannot be read (its only replica is
// away, say) is a difference, and none that keeps events from being stored.
func (c *Client) Check(ctx context.Context, l Layout) ([]Difference, error) {
	found := make([]finding, len(l.streams)+len(l.buckets))
	var asking sync.WaitGroup // at once: one that does not answer takes all the time there is
	for i, want := range l.streams {
		asking.Go(func() {
			found[i] = c.look(ctx, want.Name, func(have jetstream.StreamConfig) []Difference { return compare(have, want, l.options) })
		})
	}
	for i, b := range l.buckets {
		asking.Go(func() {
			found[len(l.streams)+i] = c.look(ctx, "KV_"+b.Bucket, func(have jetstream.StreamConfig) []Difference { return compareBucket(have, b) })
		})
	}
	asking.Wait()
	var diffs []Difference
	for _, f := range found {
		if f.err != nil && f.stream == Events {
			return nil, fault.Errorf(fault.Unavailable, "layout", "read the configuration of %s: %w", f.stream, f.err)
		}
		if f.err != nil {
			diffs = append(diffs, Difference{Stream: f.stream, Have: "cannot be read (" + f.err.Error() + ")", Want: "a stream with a leader"})
		}
		diffs = append(diffs, f.diffs...)
	}
	if limit, need := c.nc.MaxPayload(), int64(l.options.MessageSize()); limit > 0 && limit < need {
		diffs = append(diffs, Difference{
			Stream: "server", Field: "max_payload", Have: fmt.Sprint(limit),
			Want: fmt.Sprintf("at least %d for http.max_body %d", need, l.options.MaxBody), Fatal: true,
		})
	}
	return diffs, nil
}

// finding is what there is to say of one stream.
type finding struct {
	stream string
	diffs  []Difference
	err    error // it cannot be read
}

func (c *Client) look(ctx context.Context, name string, compare func(have jetstream.StreamConfig) []Difference) finding {
	f := finding{stream: name}
	switch have, err := c.config(ctx, name); {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		f.diffs = []Difference{{Stream: name, Have: "missing", Want: "a stream (receiver provision creates it)", Fatal: true}}
	case err != nil:
		f.err = err
	default:
		f.diffs = compare(have)
	}
	return f
}

func (c *Client) config(ctx context.Context, name string) (jetstream.StreamConfig, error) {
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return s.CachedInfo().Config, nil
}

// comparison collects the differences of one stream.
type comparison struct {
	name  string
	diffs []Difference
}

func (c *comparison) add(differs, fatal bool, field string, have, want any) {
	if differs {
		c.diffs = append(c.diffs, Difference{
			Stream: c.name, Field: field, Have: fmt.Sprint(have), Want: fmt.Sprint(want), Fatal: fatal,
		})
	}
}

func compare(have, want jetstream.StreamConfig, o LayoutOptions) []Difference {
	c := &comparison{name: want.Name}
	archive := want.Name == Events

	// What would lose or drop something: fatal on every stream.
	for _, s := range want.Subjects {
		c.add(!slices.Contains(have.Subjects, s), true, "subjects", strings.Join(have.Subjects, " "), s)
	}
	c.add(have.Storage != want.Storage, true, "storage", have.Storage, want.Storage)
	c.add(have.NoAck, true, "no_ack", true, false)
	c.add(have.Retention != want.Retention, true, "retention", have.Retention, want.Retention)
	c.add(have.Sealed, true, "sealed", true, false)
	c.add(have.PersistMode != want.PersistMode, true, "persist_mode", have.PersistMode, want.PersistMode)

	// What would store elsewhere, copy or expire what was acknowledged.
	c.add(have.SubjectTransform != nil, true, "subject_transform", "set", "none: no consumer would find what is stored")
	c.add(have.Mirror != nil, true, "mirror", "set", "none")
	c.add(have.AllowMsgTTL, archive, "allow_msg_ttl", true, false)
	c.add(have.RePublish != nil, archive, "republish", "set", "none: it writes events under other subjects")
	c.add(len(have.Sources) > 0, archive, "sources", "set", "none: what comes from there was not proved")

	// What the archive's promise hangs on.
	c.add(have.Discard != want.Discard, archive, "discard", have.Discard, want.Discard)
	c.add(have.Duplicates < want.Duplicates, archive, "duplicate_window", have.Duplicates, atLeast(want.Duplicates))
	c.add(shorter(have.MaxAge, want.MaxAge), archive, "max_age", have.MaxAge, atLeast(want.MaxAge))
	c.add(have.MaxMsgsPerSubject > 0, archive, "max_msgs_per_subject", have.MaxMsgsPerSubject, "no limit: it drops the oldest")
	if archive {
		need := int64(o.MessageSize())
		c.add(have.MaxMsgSize > 0 && int64(have.MaxMsgSize) < need, true, "max_msg_size", have.MaxMsgSize,
			fmt.Sprintf("at least %d for http.max_body %d", need, o.MaxBody))
	}

	// What is only not as it should be.
	c.add(!shorter(have.MaxAge, want.MaxAge) && have.MaxAge != want.MaxAge, false, "max_age", have.MaxAge, want.MaxAge)
	c.add(have.Duplicates > want.Duplicates, false, "duplicate_window", have.Duplicates, want.Duplicates)
	c.add(want.MaxBytes > 0 && have.MaxBytes != want.MaxBytes, false, "max_bytes", have.MaxBytes, want.MaxBytes)
	c.add(archive && have.MaxBytes <= 0, false, "max_bytes", "without limit", "a limit, so that a full disk is refused before it is reached")
	c.add(have.MaxMsgs > 0, false, "max_msgs", have.MaxMsgs, "no limit")
	c.add(have.Replicas != want.Replicas, false, "replicas", have.Replicas, want.Replicas)
	c.add(want.DenyDelete && !have.DenyDelete, false, "deny_delete", false, true)
	c.add(want.DenyPurge && !have.DenyPurge, false, "deny_purge", false, true)
	c.add(have.AllowRollup, false, "allow_rollup_hdrs", true, false)
	c.add(have.Metadata["layout"] != layoutVersion, false, "metadata layout", quoted(have.Metadata["layout"]), quoted(layoutVersion))
	return c.diffs
}

func compareBucket(have jetstream.StreamConfig, want jetstream.KeyValueConfig) []Difference {
	c := &comparison{name: have.Name}
	c.add(have.Storage != want.Storage, true, "storage", have.Storage, want.Storage)
	c.add(have.MaxAge != want.TTL, false, "max_age", have.MaxAge, want.TTL)
	c.add(have.Replicas != want.Replicas, false, "replicas", have.Replicas, want.Replicas)
	return c.diffs
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

func atLeast(d time.Duration) string { return "at least " + d.String() }

// shorter compares ages, of which 0 is without end.
func shorter(have, want time.Duration) bool { return have > 0 && (want == 0 || have < want) }
