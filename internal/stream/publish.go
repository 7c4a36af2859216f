package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// publishTimeout is how long Publish waits for the stream to say that it has stored
// an event; who publishes in steps brings a limit of his own. Both are far below a
// claim's lease, so that a claim cannot run out while its event is under way.
const publishTimeout = 2 * time.Second

// The server's error codes that mean something to us.
const (
	codeStreamMessageTooLarge jetstream.ErrorCode = 10054
	codeHeaderTooLarge        jetstream.ErrorCode = 10097
	codeDuplicateInProcess    jetstream.ErrorCode = 10158
)

// reasonRefused is the reason of an event that the stream does not take.
const reasonRefused = "refused_by_stream"

// Publisher stores events on ALIPAY_EVENTS. It is safe for concurrent use.
type Publisher struct {
	client *Client
	broken atomic.Pointer[error] // why nothing may be stored, or nil

	incarnation incarnation
	acks        acks
	refusals    refusals
}

// NewPublisher makes a publisher on a connection.
func (c *Client) NewPublisher() *Publisher { return &Publisher{client: c} }

// Suspend makes every Publish fail with fault.Unavailable until it is called
// with nil: a stream that is not what the layout says (in memory, say) must not
// be acknowledged from.
func (p *Publisher) Suspend(why error) {
	if why == nil {
		p.broken.Store(nil)
		return
	}
	p.broken.Store(&why)
}

// Suspended gives the reason of Suspend, or nil.
func (p *Publisher) Suspended() error {
	if why := p.broken.Load(); why != nil {
		return *why
	}
	return nil
}

// Publish sends the event and waits for the stream's word that it is stored, two
// seconds at the most.
//
//   - no error: it is stored, now or (Duplicate) before;
//   - fault.Unavailable: it was not sent, or the server refused it;
//   - fault.InFlight: the server is storing the same message id right now;
//   - fault.TooLarge: the server will never take it;
//   - fault.Uncertain: it was sent and no answer came, so it may be stored.
func (p *Publisher) Publish(ctx context.Context, e events.Event) (events.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	s, err := p.Prepare(ctx, &e)
	if err != nil {
		return events.Receipt{}, err
	}
	return s.Wait(ctx)
}

// Sending is a publish that was prepared. Begin sends, does not block, and is done
// once however often it is called. The first done, which has room for it, is sent one
// value when there is nothing left to wait for; whoever has that value may use the
// channel for something else. Wait, which is for one to call, begins where that was not
// done yet, and ends as Publish does, or with ctx.
type Sending = interface {
	Begin(done chan struct{})
	Wait(ctx context.Context) (events.Receipt, error)
}

// Prepare is Publish in steps. It sends nothing yet, and asks all that may take
// its time; its errors are Publish's, of an event that is not stored. The event is
// not changed once its sending has begun.
func (p *Publisher) Prepare(ctx context.Context, e *events.Event) (Sending, error) {
	if err := p.able(ctx, e); err != nil {
		return nil, err
	}
	return &sending{publisher: p, event: e}, nil
}

// able tells whether an event could be sent now.
func (p *Publisher) able(ctx context.Context, e *events.Event) error {
	if err := p.suspended(); err != nil {
		return err // before we ask the stream anything, which may take its time
	}
	if err := e.CheckSize(); err != nil {
		return err
	}
	// What is sent while the connection is down would wait in a buffer and be
	// stored after we have said that it was not. (The library refuses it, should
	// the connection be lost before it is sent.)
	if !p.client.Connected() {
		return fault.Errorf(fault.Unavailable, "disconnected", "not connected to NATS")
	}
	if err := p.incarnation.known(ctx, p.client); err != nil {
		return fault.Errorf(fault.Unavailable, "no_stream", "read %s: %w", Events, err)
	}
	if err := p.client.acks.open(); err != nil {
		return fault.Errorf(fault.Unavailable, "disconnected", "subscribe to the answers: %w", err)
	}
	return nil
}

func (p *Publisher) suspended() error {
	if err := p.Suspended(); err != nil {
		return fault.Errorf(fault.Unavailable, "layout", "%w", err)
	}
	return nil
}

// sending is one event on its way, and what becomes of it.
type sending struct {
	publisher *Publisher
	event     *events.Event

	once    sync.Once
	created int64  // of the stream, when it began
	token   uint64 // under which it waits in the inbox
	done    chan struct{}
	got     reply       // before over
	over    atomic.Bool // before done is sent anything, and then that is not ours any more
}

func (s *sending) Begin(done chan struct{}) {
	s.once.Do(func() {
		s.done = done
		s.begin()
	})
}

// begin sends, unless it is known already that that is of no use. It takes no lock
// that anybody holds while he writes to a server: a claim's answer, and those of
// all that came with it, wait behind it.
func (s *sending) begin() {
	if err := s.ready(); err != nil {
		s.end(reply{err: err})
		return
	}
	// Not before: a claim that found a commit has asked meanwhile whether it holds,
	// and that may have been how we learned of another life of the stream.
	s.created = s.publisher.incarnation.created.Load()
	s.publisher.client.acks.begin(s)
}

func (s *sending) ready() error {
	if err := s.publisher.suspended(); err != nil {
		return err
	}
	if !s.publisher.acks.allow(time.Now) {
		return fault.Errorf(fault.Unavailable, "no_acks", "the stream does not confirm what it takes; one event a second is tried")
	}
	return nil
}

// end brings the answer. Only one may: whoever took it out of the inbox's table,
// or began and did not enter it.
func (s *sending) end(got reply) {
	s.got = got
	s.over.Store(true)
	s.done <- struct{}{}
}

func (s *sending) Wait(ctx context.Context) (events.Receipt, error) {
	s.once.Do(func() { // as Begin, with a channel that is made only then
		s.done = make(chan struct{}, 1)
		s.begin()
	})
	p := s.publisher
	got := p.client.acks.wait(ctx, s)
	// At this point a crash leaves the event, and nobody has heard of it.
	fault.Point("before-ack")
	switch {
	case got.came:
		p.acks.heard()
	case got.gaveUp && errors.Is(got.err, context.DeadlineExceeded):
		p.acks.miss(time.Now())
	}
	var err error
	if got.err != nil {
		err = classify(got.err)
	}
	p.refusals.heard(got.ack.Duplicate, err, time.Now)
	if err != nil {
		return events.Receipt{}, err
	}
	if got.ack.Stream != Events {
		return events.Receipt{}, fault.Errorf(fault.Internal, "wrong_stream", "stored on %s instead of %s", got.ack.Stream, Events)
	}
	return events.Receipt{
		Sequence: got.ack.Sequence, Duplicate: got.ack.Duplicate,
		Place: place{s.created, got.ack.Sequence, mark(s.event.Fingerprint)}.String(),
	}, nil
}

// classify says what a failed publish means for the event.
func classify(err error) error {
	if _, ours := errors.AsType[*fault.Error](err); ours {
		return err // it was not sent
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeDuplicateInProcess:
			return fault.Errorf(fault.InFlight, "in_process", "publish: %w", err)
		case codeStreamMessageTooLarge, codeHeaderTooLarge:
			return fault.Errorf(fault.TooLarge, "message_too_large", "publish: %w", err)
		}
		return fault.Errorf(fault.Unavailable, reasonRefused, "publish: %w", err)
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Errorf(fault.TooLarge, "message_too_large", "publish: %w", err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.Errorf(fault.Unavailable, "no_stream", "publish: no stream took it: %w", err)
	case errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrReconnectBufExceeded):
		return fault.Errorf(fault.Unavailable, "disconnected", "publish: %w", err)
	}
	// ErrConnectionClosed and ErrDisconnected too: the library gives them to
	// whoever waits for an answer when the connection ends.
	return fault.Errorf(fault.Uncertain, "no_ack", "publish: no answer, it may be stored: %w", err)
}

// Fingerprint gives the fingerprint of the event at a sequence. It asks the
// stream's leader, which alone knows the newest.
func (p *Publisher) Fingerprint(ctx context.Context, sequence uint64) (string, error) {
	msg, err := p.client.leaderMessage(ctx, Events, sequence)
	if err != nil {
		return "", fmt.Errorf("read %s %d: %w", Events, sequence, err)
	}
	return msg.Header.Get(events.HeaderFingerprint), nil
}

// Holds tells whether a place that Publish once returned still stands: the
// stream has not been recreated since, nor restored to an earlier state. A
// restored stream keeps its creation time and grows past the sequences that were
// lost, so the message that is there now is looked at too.
func (p *Publisher) Holds(ctx context.Context, at string) (bool, error) {
	was, ok := parsePlace(at)
	if !ok {
		return false, nil // not written by us: it proves nothing
	}
	now, err := p.incarnation.refresh(ctx, p.client)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fault.Errorf(fault.Unavailable, "no_stream", "read %s: %w", Events, err)
	}
	switch {
	case was.created != now.created, was.sequence > now.last:
		return false, nil
	case was.sequence < now.first:
		return true, nil // it was stored, and has aged out since
	}
	fingerprint, err := p.Fingerprint(ctx, was.sequence)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fault.Errorf(fault.Unavailable, "no_stream", "%w", err)
	}
	return mark(fingerprint) == was.mark, nil
}

// place says where an event is stored. It is written "<creation time of the
// stream, Unix nanoseconds>/<sequence>/<mark>".
type place struct {
	created  int64
	sequence uint64
	mark     string // of the event's fingerprint
}

func (p place) String() string {
	b := make([]byte, 0, 64)
	b = strconv.AppendInt(b, p.created, 10)
	b = strconv.AppendUint(append(b, '/'), p.sequence, 10)
	return string(append(append(b, '/'), p.mark...))
}

func parsePlace(s string) (place, bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return place{}, false
	}
	created, err1 := strconv.ParseInt(parts[0], 10, 64)
	sequence, err2 := strconv.ParseUint(parts[1], 10, 64)
	return place{created, sequence, parts[2]}, err1 == nil && err2 == nil
}

// mark is as much of a fingerprint as tells one event from another.
func mark(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

// incarnation knows which life of ALIPAY_EVENTS we publish to. A stale value is
// harmless: the place that is made of it no longer stands, so that the next
// delivery publishes again, and the stream knows the message id.
type incarnation struct {
	created atomic.Int64 // Unix nanoseconds; 0 before it is known
}

func (i *incarnation) known(ctx context.Context, c *Client) error {
	if i.created.Load() != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := i.refresh(ctx, c)
	return err
}

// extent is a stream's life and the sequences that it holds.
type extent struct {
	created     int64
	first, last uint64
}

func (i *incarnation) refresh(ctx context.Context, c *Client) (extent, error) {
	s, err := c.js.Stream(ctx, Events)
	if err != nil {
		return extent{}, err
	}
	info := s.CachedInfo()
	now := extent{created: info.Created.UnixNano(), first: info.State.FirstSeq, last: info.State.LastSeq}
	i.created.Store(now.created)
	return now, nil
}
