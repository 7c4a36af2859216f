package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/fault"
)

const (
	// resendAfter is how long the stream may be silent before what it has not
	// confirmed is sent once more, under the same message ids.
	resendAfter = 5 * time.Second
	// resendPatience is how long it may be silent before nothing more is tried.
	resendPatience = 30 * time.Second
	// resendBytes bounds what is kept until it is confirmed.
	resendBytes = 16 << 20
)

// Settled is what became of one message that was sent.
type Settled struct {
	Sequence  uint64 // the caller's own number of the message
	StoredAt  uint64 // its sequence on the target stream; 0 when it is not stored
	Duplicate bool   // the stream had the message id already
	Err       error  // the stream will never take this message, and why; nil when it is stored
}

// ResendOptions says how to send.
type ResendOptions struct {
	Stream string // where the messages must end up
	Window int    // how many may wait for their confirmation, at least 1

	// Settled is called once for each message, in the order of sending, one call at
	// a time and soon: nothing is confirmed meanwhile. It must not call the Resender.
	Settled func(Settled)
}

// Resender publishes messages without waiting for each, and learns later what
// became of them. What the stream does not confirm is sent again. Send, Flush
// and Close are for one goroutine.
type Resender struct {
	client  *Client
	options ResendOptions
	inbox   string // replies go to <inbox>.<number of the message>
	good    []byte // how the confirmation of a stored message begins
	sub     *nats.Subscription
	space   chan struct{} // has one when something has become free
	quit    chan struct{}
	watcher sync.WaitGroup

	mu    sync.Mutex
	slots []slot // message n is in slots[n % Window]
	head  uint64 // the first message that is not settled
	next  uint64 // the number of the next message
	bytes int    // of what is not settled
	heard time.Time
	err   error // why nothing more can be sent
}

// slot is one message under way.
type slot struct {
	msg  *nats.Msg
	size int
	sent time.Time
	done bool
	what Settled
}

// NewResender begins. Close must be called.
func (c *Client) NewResender(o ResendOptions) (*Resender, error) {
	r := &Resender{
		client: c, options: o, inbox: nats.NewInbox(), good: []byte(`{"stream":"` + o.Stream + `"`),
		space: make(chan struct{}, 1), quit: make(chan struct{}), slots: make([]slot, max(1, o.Window)),
	}
	var err error
	if r.sub, err = c.nc.Subscribe(r.inbox+".*", r.confirm); err != nil {
		return nil, fault.Errorf(fault.Unavailable, "disconnected", "listen for confirmations: %w", err)
	}
	r.watcher.Go(r.watch)
	return r, nil
}

// Send sends a message, and returns before it is stored. It waits while as many
// are under way as may be. The Resender keeps header and data until the message
// is settled. After an error, which is ctx's or fault.Unavailable, nothing more
// can be sent.
func (r *Resender) Send(ctx context.Context, sequence uint64, subject string, header map[string][]string, data []byte) error {
	msg := &nats.Msg{Subject: subject, Header: header, Data: data}
	size := msg.Size()
	number, err := r.reserve(ctx, size)
	if err != nil {
		return err
	}
	msg.Reply = r.inbox + "." + strconv.FormatUint(number, 10)
	now := time.Now()
	r.mu.Lock()
	if r.head == number { // nobody was waited for
		r.heard = now
	}
	r.slots[number%uint64(len(r.slots))] = slot{msg: msg, size: size, sent: now, what: Settled{Sequence: sequence}}
	r.next, r.bytes = number+1, r.bytes+size
	r.mu.Unlock()
	r.publish(number, msg)
	return nil
}

// reserve waits for a place in the window, and gives its number.
func (r *Resender) reserve(ctx context.Context, size int) (uint64, error) {
	for {
		r.mu.Lock()
		number, err := r.next, r.err
		under := number - r.head
		free := under < uint64(len(r.slots)) && (r.bytes+size <= resendBytes || under == 0)
		r.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case free:
			return number, nil
		}
		select {
		case <-r.space:
		case <-ctx.Done():
		}
	}
}

// publish sends, or sends again. What could not be sent because the line is cut
// waits for the watcher.
func (r *Resender) publish(number uint64, msg *nats.Msg) {
	err := r.client.nc.PublishMsg(msg)
	switch {
	case err == nil, errors.Is(err, nats.ErrReconnectBufExceeded):
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		r.fail(fault.Errorf(fault.Unavailable, "disconnected", "publish: %w", err))
	default: // too large, or a subject that is none: it will never be sent
		r.settle(number, Settled{Err: err})
	}
}

// Flush returns when everything sent is settled, with the reason why it cannot
// be, or with ctx.
func (r *Resender) Flush(ctx context.Context) error {
	for {
		r.mu.Lock()
		empty, err := r.head == r.next, r.err
		r.mu.Unlock()
		switch {
		case empty:
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		select {
		case <-r.space:
		case <-ctx.Done():
		}
	}
}

// Close ends the waiting for confirmations. Settled is not called afterwards.
func (r *Resender) Close() {
	close(r.quit)
	r.watcher.Wait()
	_ = r.sub.Unsubscribe() // the connection may be gone
	r.fail(fault.Errorf(fault.Unavailable, "closed", "the sending is over"))
}

// confirm takes one answer of the server.
func (r *Resender) confirm(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(r.inbox)+1:], 10, 64)
	if err != nil {
		return
	}
	if stored, ok := r.plain(m.Data); ok {
		r.settle(number, Settled{StoredAt: stored})
		return
	}
	r.judge(number, m)
}

// plain reads the usual confirmation, {"stream":"S", "seq":N}, without the JSON
// package, which would cost more than the rest of it.
func (r *Resender) plain(data []byte) (stored uint64, ok bool) {
	rest, ok := bytes.CutPrefix(data, r.good)
	if !ok {
		return 0, false
	}
	_, rest, ok = bytes.Cut(rest, []byte(`"seq":`))
	digits := bytes.TrimLeft(rest, "0123456789")
	if !ok || !bytes.Equal(digits, []byte("}")) {
		return 0, false
	}
	stored, err := strconv.ParseUint(string(rest[:len(rest)-1]), 10, 64)
	return stored, err == nil
}

// judge reads any other answer.
func (r *Resender) judge(number uint64, m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return // nobody listens, as while a leader is chosen: the watcher tries again
	}
	var answer struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		r.fail(fault.Errorf(fault.Internal, "no_ack", "the stream's answer is not JSON: %w", err))
		return
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == codeDuplicateInProcess:
		// The message is being stored under this very id: the watcher asks again.
	case answer.Error != nil && fault.KindOf(classify(answer.Error)) == fault.TooLarge:
		r.settle(number, Settled{Err: classify(answer.Error)})
	case answer.Error != nil: // a full stream, say: the next message would fare alike
		r.fail(classify(answer.Error))
	case answer.Stream != r.options.Stream:
		r.fail(fault.Errorf(fault.Internal, "wrong_stream", "stored on %q instead of %s", answer.Stream, r.options.Stream))
	default:
		r.settle(number, Settled{StoredAt: answer.Sequence, Duplicate: answer.Duplicate})
	}
}

// settle marks a message, and reports it and those that waited for it.
func (r *Resender) settle(number uint64, what Settled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = time.Now()
	window := uint64(len(r.slots))
	if number < r.head || number >= r.next || r.slots[number%window].done || r.err != nil {
		return // a second confirmation of what was sent twice
	}
	s := &r.slots[number%window]
	what.Sequence = s.what.Sequence
	s.done, s.what = true, what
	for r.head < r.next && r.slots[r.head%window].done {
		first := &r.slots[r.head%window]
		r.bytes -= first.size
		r.options.Settled(first.what)
		*first = slot{}
		r.head++
	}
	r.wake()
}

func (r *Resender) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.wake()
}

func (r *Resender) wake() {
	select {
	case r.space <- struct{}{}:
	default:
	}
}

// watch sends again what is not confirmed, and gives up in the end.
func (r *Resender) watch() {
	tick := time.NewTicker(resendAfter / 10)
	defer tick.Stop()
	for {
		select {
		case <-r.quit:
			return
		case now := <-tick.C:
			first, again := r.overdue(now)
			for i, msg := range again {
				if msg != nil {
					r.publish(first+uint64(i), msg)
				}
			}
		}
	}
}

// overdue gives what has to be sent again, from the first message on, with nil
// for what has not: everything when the stream is silent; else, since it confirms
// in order, what it has passed over.
func (r *Resender) overdue(now time.Time) (first uint64, again []*nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == r.next || r.err != nil {
		return 0, nil
	}
	silence := now.Sub(r.heard)
	switch {
	case silence > resendAfter && errors.Is(r.client.nc.LastError(), nats.ErrPermissionViolation): // the only answer there is
		r.err = fault.Errorf(fault.Unavailable, "denied", "publish to %s: %w", r.options.Stream, ErrDenied)
	case silence > resendPatience:
		r.err = fault.Errorf(fault.Unavailable, "no_acks", "%s has confirmed nothing for %v", r.options.Stream, resendPatience)
	}
	if r.err != nil || !r.client.Connected() {
		r.wake()
		return 0, nil
	}
	window := uint64(len(r.slots))
	end := r.next
	for silence <= resendAfter && end > r.head && !r.slots[(end-1)%window].done {
		end-- // what comes after the last one confirmed has time
	}
	for number := r.head; number < end; number++ {
		s := &r.slots[number%window]
		if s.done || now.Sub(s.sent) <= resendAfter {
			again = append(again, nil)
			continue
		}
		s.sent = now
		again = append(again, s.msg)
	}
	return r.head, again
}
