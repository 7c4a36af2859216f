package ingest

import (
	"context"
	"errors"
	"fmt"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// errConflict means that the stream has the event's id with other content.
var errConflict = errors.New("the same id was stored with other content")

// store claims, publishes and commits, and sets the outcome. An id that was
// used before with other content is stored under an id of its own: swallowing
// it would lose a notification, and nobody could prove which one was right.
func (p *Pipeline) store(ctx context.Context, e *events.Event, res *Result) {
	fault.Point("before-claim")
	err := p.storeOnce(ctx, e, res)
	if errors.Is(err, errConflict) {
		again := e.AsConflict()
		again.Unasked = false // that is found out anew
		res.Conflict, res.EventID = true, again.ID
		err = p.storeOnce(ctx, &again, res)
	}
	if err != nil {
		res.fail(err)
	}
	fault.Point("before-answer")
}

func (p *Pipeline) storeOnce(ctx context.Context, e *events.Event, res *Result) error {
	var (
		receipt events.Receipt
		sending Sending
		ahead   Ahead
	)
	if preparer, ok := p.publisher.(Preparer); ok {
		// What cannot be sent is not claimed: a stream that is away costs Redis
		// nothing, and no delivery is told that another is at work.
		var err error
		if sending, err = preparer.Prepare(ctx, e); err != nil {
			return err
		}
		ahead = sending
	}
	_, prior, err := p.once.Do(ctx, p.key(e.AppID, e.ID), e.Fingerprint, ahead, func(ctx context.Context, asked bool) (string, error) {
		// If we die here the claim is left, and runs out before Alipay's first
		// retry; that delivery is handled afresh.
		if !asked { // so nothing has begun
			e.Unasked, res.Unasked = true, true
		}
		var err error
		receipt, err = p.publish(ctx, e, sending)
		// At this point the event is stored (or err says that it is not, or may
		// be). If we die before Do commits, the next delivery publishes again,
		// and the stream knows the message id.
		return receipt.Place, err
	})
	switch {
	case prior != "" && prior != e.Fingerprint:
		return fmt.Errorf("event %s: %w", e.ID, errConflict)
	case err != nil:
		return err
	case prior != "":
		res.Outcome = Duplicate
	case receipt.Duplicate:
		res.Outcome, res.Sequence = Duplicate, receipt.Sequence
	default:
		res.Outcome, res.Sequence = Accepted, receipt.Sequence
	}
	return nil
}

// publish stores the event. When the stream says that it has the message id
// already, the stored content is compared: only the same content is the same
// notification. sending is nil where the publisher does it all in one step.
func (p *Pipeline) publish(ctx context.Context, e *events.Event, sending Sending) (events.Receipt, error) {
	var receipt events.Receipt
	var err error
	if sending != nil {
		receipt, err = sending.Wait(ctx)
	} else {
		receipt, err = p.publisher.Publish(ctx, *e)
	}
	if err != nil || !receipt.Duplicate {
		return receipt, err
	}
	stored, err := p.publisher.Fingerprint(ctx, receipt.Sequence)
	if err != nil {
		return receipt, fault.Errorf(fault.Uncertain, "compare_duplicate", "compare with the stored event %d: %w", receipt.Sequence, err)
	}
	if stored != e.Fingerprint {
		return receipt, fmt.Errorf("event %s is stored at %d: %w", e.ID, receipt.Sequence, errConflict)
	}
	return receipt, nil
}
