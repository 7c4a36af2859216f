package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

// What is asked for at once: enough to keep the line busy, little enough to
// bound the memory of a reader.
const (
	fetchMessages = 512
	fetchBytes    = 8 << 20
)

// How long a reading waits for the next message before it asks the server what
// became of it: a message that was counted may have expired, one that was sent
// may be lost with a connection, and the consumer may be gone.
const (
	idleCheck       = time.Second // of a bounded reading
	idleCheckFollow = 5 * time.Second
)

const (
	// patience is how long a bounded reading bears a server that is away.
	patience = 30 * time.Second
	// openTimeout bounds the making of one consumer.
	openTimeout = 5 * time.Second
	// closeTimeout bounds taking it back.
	closeTimeout = time.Second
	// unread is after how long without a reader the server removes a consumer
	// that we could not take back.
	unread = 5 * time.Minute
	// The pauses between two attempts to make a consumer.
	firstPause, maxPause = 50 * time.Millisecond, 2 * time.Second
)

// reading is one Read under way: a consumer of its own that the server forgets
// easily, and the place up to which fn has everything, from where a new one goes
// on. The library's ordered consumer does the same, but looks at no context
// while it makes itself anew, for ever when the stream is gone.
type reading struct {
	client  *Client
	options ReadOptions
	last    uint64 // the last sequence when the reading began

	consumer jetstream.Consumer
	puller   *puller
	seen     uint64 // messages of this consumer that came
	suspect  bool   // the server has sent more than came, or is about to

	at   uint64    // the sequence of the last message that was handed on
	away time.Time // since when the server does not answer, or zero
}

// config is the consumer that gives what is still to be read.
func (r *reading) config() jetstream.ConsumerConfig {
	o := r.options
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: unread,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
	}
	if len(o.Subjects) == 1 {
		config.FilterSubject = o.Subjects[0] // named in the API's subject, so that a permission can bound it
	} else {
		config.FilterSubjects = o.Subjects
	}
	switch {
	case r.at > 0:
		config.OptStartSeq = r.at + 1
	case o.FromSeq > 0:
		config.OptStartSeq = o.FromSeq
	case !o.FromTime.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.FromTime
	case o.OnlyNew:
		// Not DeliverNew, which would begin anew, with a gap, when the line is
		// cut before the first message.
		config.OptStartSeq = r.last + 1
	default:
		config.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	return config
}

func (r *reading) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	consumer, err := r.client.js.CreateConsumer(ctx, r.options.Stream, r.config())
	if err != nil {
		return err
	}
	// One message may be larger than what is usually asked for, and would never
	// come if not even it were asked for.
	limit := max(fetchBytes, 2*int(r.client.nc.MaxPayload()))
	p, err := r.client.pull(r.options.Stream, consumer.CachedInfo().Name, limit, r.idleCheck())
	if err != nil {
		return err
	}
	r.consumer, r.puller, r.seen, r.suspect = consumer, p, 0, false
	return nil
}

// close takes back what open made. Where that fails the server does it itself.
func (r *reading) close(ctx context.Context) {
	r.puller.stop()
	if !r.client.Connected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = r.client.js.DeleteConsumer(ctx, r.options.Stream, r.consumer.CachedInfo().Name)
}

func (r *reading) idleCheck() time.Duration {
	if r.options.Follow {
		return idleCheckFollow
	}
	return idleCheck
}

// next gives the next message, or none at the end.
func (r *reading) next(ctx context.Context) (*nats.Msg, *nats.MsgMetadata, error) {
	for {
		msg, err := r.puller.next(ctx, r.idleCheck())
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		end := false
		switch {
		case err == nil:
			meta, err := msg.Metadata()
			if err != nil {
				return nil, nil, fault.Errorf(fault.Internal, "read", "read %s: %w", r.options.Stream, err)
			}
			if meta.Sequence.Consumer == r.seen+1 {
				return r.take(msg, meta)
			}
			if err := r.reopen(ctx); err != nil { // what was before it is lost with a connection
				return nil, nil, err
			}
		case errors.Is(err, errIdle):
			end, err = r.idle(ctx)
		default:
			err = r.reopen(ctx)
		}
		if end || err != nil {
			return nil, nil, err
		}
	}
}

func (r *reading) take(msg *nats.Msg, meta *nats.MsgMetadata) (*nats.Msg, *nats.MsgMetadata, error) {
	r.seen++
	r.suspect, r.away = false, time.Time{}
	if !r.options.Follow && meta.Sequence.Stream > r.last {
		return nil, nil, nil
	}
	r.at = meta.Sequence.Stream
	return msg, meta, nil
}

// idle finds out why nothing comes, and whether that is the end.
func (r *reading) idle(ctx context.Context) (end bool, err error) {
	ask, cancel := context.WithTimeout(ctx, openTimeout)
	info, err := r.consumer.Info(ask)
	cancel()
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return false, r.reopen(ctx)
	case err != nil:
		return false, r.missed(err)
	}
	r.away = time.Time{}
	switch {
	case info.Delivered.Consumer != r.seen && r.suspect:
		return false, r.reopen(ctx) // it has had time enough to come
	case info.Delivered.Consumer != r.seen:
		r.suspect = true
	case info.NumPending == 0 && !r.options.Follow:
		return true, nil
	}
	return false, nil
}

// reopen makes the consumer anew, from behind the last message that was handed
// on. It gives up where the stream or the connection is gone.
func (r *reading) reopen(ctx context.Context) error {
	r.close(ctx)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := r.open(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, nats.ErrConnectionClosed):
			return fault.Errorf(fault.Unavailable, "read", "read %s: %w", r.options.Stream, err)
		}
		if err := r.missed(err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// missed counts a server that does not answer. A reading that follows waits for
// it as long as it takes.
func (r *reading) missed(err error) error {
	if r.away.IsZero() {
		r.away = time.Now()
	}
	if r.options.Follow || time.Since(r.away) < patience {
		return nil
	}
	return fault.Errorf(fault.Unavailable, "read", "read %s: no answer for %v: %w", r.options.Stream, patience, err)
}
