package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify-consumer/event"
	"alipay-notify-consumer/proof"
)

// applier keeps marks and effect. Apply does it for all events in one transaction,
// or for none, and what it did before it does not do again.
type applier interface {
	Apply(events []event.Event) (counted int, err error)
}

// worker turns messages into effects. It is the part that stays the same whatever
// the effect is.
type worker struct {
	store   applier
	checker *proof.Checker // nil: requests are not checked
	log     *slog.Logger
	// point leaves a pointer to a message on ALIPAY_DLQ, with the reason, and returns
	// when it is stored.
	point func(ctx context.Context, m jetstream.Msg, reason string) error
}

// unreadable is a message that will be no better next time, and why.
type unreadable struct {
	m   jetstream.Msg
	why error
}

// work handles messages in batches, one after another, until drained is closed and
// nothing is left.
func (w *worker) work(messages <-chan jetstream.Msg, drained <-chan struct{}) {
	for {
		var batch []jetstream.Msg
		select {
		case m := <-messages:
			batch = collect(m, messages)
		case <-drained:
			if len(messages) == 0 {
				return
			}
			continue
		}
		w.handle(batch)
	}
}

// collect takes what is there, without waiting for more.
func collect(first jetstream.Msg, messages <-chan jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{first}
	for len(batch) < inHand {
		select {
		case m := <-messages:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// handle makes one transaction of a batch, and then acknowledges it.
//
//	if we die                              then
//	before the transaction is committed    nothing has happened; all of it comes again
//	before the acknowledgements arrive     all of it comes again, is known, and is acknowledged
//
// So a plain Ack is enough: one that is lost costs a redelivery, and no second
// effect. Where the effect cannot be in the transaction of its mark (a mail, a call
// to somebody's API), do it first and mark it then, acknowledge with DoubleAck,
// which waits until the server has it, and expect a repetition all the same.
func (w *worker) handle(batch []jetstream.Msg) {
	var events []event.Event
	var readable []jetstream.Msg
	var hopeless []unreadable
	for _, m := range batch {
		e, err := w.read(m)
		switch {
		case errors.Is(err, event.ErrOther):
			w.settle(m, "acknowledge", m.Ack())
		case err != nil:
			hopeless = append(hopeless, unreadable{m, err})
		default:
			events, readable = append(events, e), append(readable, m)
		}
	}
	counted, err := w.store.Apply(events)
	if err != nil {
		w.log.Error("nothing of the batch was kept; it comes again", "messages", len(readable), "error", err)
		for _, m := range readable {
			w.putOff(m)
		}
	} else {
		// At this point the effects are on the disk.
		for _, m := range readable {
			w.settle(m, "acknowledge", m.Ack())
		}
		w.log.Info("batch", "messages", len(batch), "counted", counted, "known", len(readable)-counted)
	}
	w.giveUp(hopeless)
}

// giveUp terminates messages, each with a pointer by which the operators find it and
// may have it delivered again. The pointer is stored first: a message that nothing
// points to must not be terminated, it comes again until it can be, or until the
// server gives it up.
func (w *worker) giveUp(hopeless []unreadable) {
	ctx, cancel := context.WithTimeout(context.Background(), pointerLimit) // also of what is in hand at the end
	defer cancel()
	for _, u := range hopeless {
		if err := w.point(ctx, u.m, u.why.Error()); err != nil {
			w.log.Warn("cannot point to it on ALIPAY_DLQ; the message comes again", append(about(u.m), "reason", u.why.Error(), "error", err)...)
			w.putOff(u.m)
			continue
		}
		w.log.Warn("message given up", append(about(u.m), "reason", u.why.Error())...)
		w.settle(u.m, "give up", u.m.TermWithReason(u.why.Error()))
	}
}

// putOff has a message delivered again, later each time.
func (w *worker) putOff(m jetstream.Msg) {
	w.settle(m, "put off", m.NakWithDelay(backoff[min(deliveries(m), len(backoff))-1]))
}

// read gives the event of a message, proved where there are keys. Any error but
// event.ErrOther is for ever.
func (w *worker) read(m jetstream.Msg) (event.Event, error) {
	e, err := event.Parse(m.Subject(), m.Headers(), m.Data())
	if err != nil || w.checker == nil {
		return e, err
	}
	n, err := w.checker.Check(m.Headers().Get)
	if err != nil {
		return e, err
	}
	return e, agree(e, m.Headers(), m.Data(), n)
}

// settle says when the server could not be told. The message comes again then.
func (w *worker) settle(m jetstream.Msg, what string, err error) {
	if err != nil {
		w.log.Warn("cannot "+what, append(about(m), "error", err)...)
	}
}

// about names a message in a log line. The subject is not in it, because it ends
// in the key, which may be the number of a card; nor is anything of the data.
func about(m jetstream.Msg) []any {
	fields := []any{"ce_id", m.Headers().Get("ce-id"), "ce_type", m.Headers().Get("ce-type")}
	if meta, err := m.Metadata(); err == nil {
		fields = append(fields, "stream", meta.Stream, "sequence", meta.Sequence.Stream, "delivery", meta.NumDelivered)
	}
	return fields
}

// deliveries is how often the message was delivered, this time included.
func deliveries(m jetstream.Msg) int {
	meta, err := m.Metadata()
	if err != nil || meta.NumDelivered < 1 {
		return 1
	}
	return int(min(meta.NumDelivered, maxDeliver))
}
