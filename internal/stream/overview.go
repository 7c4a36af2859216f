package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Overview is a stream as an operator looks at it. Unseen says what this user
// may not see, which then is missing.
type Overview struct {
	Name    string
	Missing bool // there is no such stream; nothing else is said
	Usage   Usage
	MaxAge  time.Duration // 0: kept without end
	Window  time.Duration // for how long a message id is known again
	Storage string
	Discard string // what a full stream does: new is refused, or old dropped

	Replicas int      // configured
	Leader   string   // the server that leads; empty: nobody does, or it is one server alone
	Behind   []string // replicas that are away or not current

	Absent    uint64     // sequences between the first and the last that hold nothing
	Gaps      []Gap      // these, in order; at most maxGaps
	Expiring  uint64     // messages that will be too old at the time asked for
	Consumers []Consumer // durable ones and those that somebody reads with
	Unseen    []string
}

// Gap is a run of sequences that hold nothing: what was there was removed. On a
// stream that denies it, as ALIPAY_EVENTS does, there should be none.
type Gap struct{ First, Last uint64 }

// Consumer is one consumer of a stream, with its own counts.
type Consumer struct {
	Stream     string
	Name       string
	Durable    bool
	Filters    []string
	Delivered  uint64 // the stream's sequence of the last that was delivered
	AckFloor   uint64 // all up to this sequence is settled
	Lag        uint64 // not yet delivered for the first time
	AckPending int    // delivered, and not yet settled
	// Redelivered counts what was delivered more than once and is not settled:
	// some of AckPending, and everything that was given up after MaxDeliver.
	Redelivered int
	MaxDeliver  int       // -1: without end
	Active      time.Time // the last delivery, or zero
	Paused      bool
}

const (
	// maxGaps is how many gaps are told one by one.
	maxGaps = 10
	// maxAbsent is for how many absent sequences the server is asked to list them.
	maxAbsent = 10_000
	// askTimeout bounds one question to the server.
	askTimeout = 5 * time.Second
)

// Overview looks at a stream; Expiring is what will be too old at a time. The
// error says that the server could not be asked at all.
func (c *Client) Overview(ctx context.Context, name string, then time.Time) (Overview, error) {
	o := Overview{Name: name}
	var s jetstream.Stream
	err := c.ask(ctx, askTimeout, func(ctx context.Context) (err error) {
		s, err = c.js.Stream(ctx, name)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		o.Missing = true
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("look at %s: %w", name, err)
	}
	info := s.CachedInfo()
	o.Usage, o.MaxAge, o.Window = usageOf(info), info.Config.MaxAge, info.Config.Duplicates
	o.Storage, o.Discard = info.Config.Storage.String(), info.Config.Discard.String()
	o.Replicas = info.Config.Replicas
	if info.Cluster != nil {
		o.Leader = info.Cluster.Leader
		for _, r := range info.Cluster.Replicas {
			if r.Offline || !r.Current {
				o.Behind = append(o.Behind, r.Name)
			}
		}
	}
	o.Absent = uint64(max(0, info.State.NumDeleted))
	for _, part := range []struct {
		what string
		look func(context.Context) error
	}{
		{"consumers", func(ctx context.Context) (err error) { o.Consumers, err = consumers(ctx, s); return err }},
		{"gaps", func(ctx context.Context) (err error) { o.Gaps, err = gaps(ctx, s, o.Absent); return err }},
		{"expiring", func(ctx context.Context) (err error) {
			o.Expiring, err = c.expiring(ctx, o, then)
			return err
		}},
	} {
		if err := c.ask(ctx, askTimeout, part.look); err != nil {
			if ctx.Err() != nil {
				return o, context.Cause(ctx)
			}
			o.Unseen = append(o.Unseen, fmt.Sprintf("%s: %v", part.what, err))
		}
	}
	return o, nil
}

// gaps asks for the absent sequences, and puts them together.
func gaps(ctx context.Context, s jetstream.Stream, absent uint64) ([]Gap, error) {
	if absent == 0 || absent > maxAbsent {
		return nil, nil
	}
	info, err := s.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, err
	}
	var all []Gap
	for _, sequence := range info.State.Deleted {
		if n := len(all); n > 0 && all[n-1].Last+1 == sequence {
			all[n-1].Last = sequence
		} else if n < maxGaps {
			all = append(all, Gap{sequence, sequence})
		} else {
			break
		}
	}
	return all, nil
}

// Consumers lists the consumers of a stream.
func (c *Client) Consumers(ctx context.Context, name string) (all []Consumer, err error) {
	err = c.ask(ctx, askTimeout, func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		all, err = consumers(ctx, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", name, err)
	}
	return all, nil
}

func consumers(ctx context.Context, s jetstream.Stream) ([]Consumer, error) {
	var all []Consumer
	lister := s.ListConsumers(ctx)
	for info := range lister.Info() {
		config := info.Config
		consumer := Consumer{
			Stream: info.Stream, Name: info.Name, Durable: config.Durable != "", Filters: config.FilterSubjects,
			Delivered: info.Delivered.Stream, AckFloor: info.AckFloor.Stream, Lag: info.NumPending,
			AckPending: info.NumAckPending, Redelivered: info.NumRedelivered, MaxDeliver: config.MaxDeliver, Paused: info.Paused,
		}
		if config.FilterSubject != "" {
			consumer.Filters = []string{config.FilterSubject}
		}
		if info.Delivered.Last != nil {
			consumer.Active = info.Delivered.Last.UTC()
		}
		all = append(all, consumer)
	}
	slices.SortFunc(all, func(a, b Consumer) int { return slices.Compare([]string{a.Stream, a.Name}, []string{b.Stream, b.Name}) })
	return all, lister.Err()
}

// expiring counts what will be too old at a time. The server counts: a consumer
// that begins behind it, of which nothing is read, has the rest pending.
func (c *Client) expiring(ctx context.Context, o Overview, at time.Time) (uint64, error) {
	oldest := at.Add(-o.MaxAge)
	switch {
	case o.MaxAge == 0 || o.Usage.Messages == 0 || !o.Usage.First.Before(oldest):
		return 0, nil
	case o.Usage.Last.Before(oldest):
		return o.Usage.Messages, nil
	}
	consumer, err := c.js.CreateConsumer(ctx, o.Name, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: askTimeout,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &oldest,
	})
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	_ = c.js.DeleteConsumer(ctx, o.Name, info.Name) // where it may not, the server does it soon
	return o.Usage.Messages - min(o.Usage.Messages, info.NumPending), nil
}
