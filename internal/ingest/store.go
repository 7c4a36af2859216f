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

// storing is one notification on its way into the stream, in one piece of memory: others
// keep parts of it for a while.
type storing struct {
	pipeline *Pipeline
	event    events.Event
	result   Result
	sending  Sending // nil where the publisher does it all in one step
	receipt  events.Receipt
}

// store claims, publishes and commits, and sets the outcome. An id that was
// used before with other content is stored under an id of its own: swallowing
// it would lose a notification, and nobody could prove which one was right.
func (s *storing) store(ctx context.Context) {
	fault.Point("before-claim")
	err := s.once(ctx)
	if errors.Is(err, errConflict) {
		again := &storing{pipeline: s.pipeline, event: s.event.AsConflict(), result: s.result}
		again.event.Unasked = false // that is found out anew
		again.result.Conflict, again.result.EventID = true, again.event.ID
		err = again.once(ctx)
		s.result = again.result
	}
	if err != nil {
		s.result.fail(err)
	}
	fault.Point("before-answer")
}

func (s *storing) once(ctx context.Context) error {
	p, e, res := s.pipeline, &s.event, &s.result
	var ahead Ahead
	if preparer, ok := p.publisher.(Preparer); ok {
		// What cannot be sent is not claimed: a stream that is away costs Redis
		// nothing, and no delivery is told that another is at work.
		var err error
		if s.sending, err = preparer.Prepare(ctx, e); err != nil {
			return err
		}
		ahead = s.sending
	}
	_, prior, err := p.once.Do(ctx, p.key(e.AppID, e.ID), e.Fingerprint, ahead, s.publish)
	switch {
	case prior != "" && prior != e.Fingerprint:
		return fmt.Errorf("event %s: %w", e.ID, errConflict)
	case err != nil:
		return err
	case prior != "":
		res.Outcome = Duplicate
	case s.receipt.Duplicate:
		res.Outcome, res.Sequence = Duplicate, s.receipt.Sequence
	default:
		res.Outcome, res.Sequence = Accepted, s.receipt.Sequence
	}
	return nil
}

// publish stores the event, with or without a claim, and says where. When the stream
// says that it has the message id already, the stored content is compared: only the same
// content is the same notification.
func (s *storing) publish(ctx context.Context, asked bool) (place string, err error) {
	// If we die here the claim is left, and runs out before Alipay's first
	// retry; that delivery is handled afresh.
	p, e := s.pipeline, &s.event
	if !asked { // so nothing has begun
		e.Unasked, s.result.Unasked = true, true
	}
	if s.sending != nil {
		s.receipt, err = s.sending.Wait(ctx)
	} else {
		s.receipt, err = p.publisher.Publish(ctx, *e)
	}
	// At this point the event is stored (or err says that it is not, or may
	// be). If we die before our caller commits, the next delivery publishes again,
	// and the stream knows the message id.
	if err != nil || !s.receipt.Duplicate {
		return s.receipt.Place, err
	}
	at := s.receipt.Sequence
	stored, err := p.publisher.Fingerprint(ctx, at)
	if err != nil {
		return "", fault.Errorf(fault.Uncertain, "compare_duplicate", "compare with the stored event %d: %w", at, err)
	}
	if stored != e.Fingerprint {
		return "", fmt.Errorf("event %s is stored at %d: %w", e.ID, at, errConflict)
	}
	return s.receipt.Place, nil
}
