package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/batch"
	"alipay-notify/internal/events"
)

// maxTogether bounds the events of a batch: some 120 KB. The library writes them
// in pieces of its buffer's size, 32 KB; a larger buffer gained nothing.
const maxTogether = 64

// inbox takes the stream's answers to all publishes of a connection: one
// subscription for them together, and neither a subscription nor a goroutine for
// each. What an answer belongs to is said by the last token of its subject, which
// is used once in the life of the connection: one that comes too late finds
// nobody, and can never be taken for another's.
//
// Events that come at the same moment are written together: each write of its own
// would cost a system call here and wake the server. It is safe for concurrent
// use.
type inbox struct {
	conn   *nats.Conn
	prefix string // of the subjects, with a dot at its end

	mu       sync.Mutex
	sub      *nats.Subscription // nil before the first publish
	next     uint64
	waiting  map[uint64]*waiter
	outgoing *batch.Sender[outgoing]

	// The sender's, of which there is one at a time.
	msg    nats.Msg
	values []string
}

// waiter waits for one answer. Whoever takes it out of the inbox's table owns it
// then and may send, once, so that it can be used again.
type waiter struct {
	answer chan reply // of one
	timer  *time.Timer
}

// outgoing is an event that somebody waits to have sent.
type outgoing struct {
	token uint64
	event *events.Event
}

// reply is what came, or why nothing did.
type reply struct {
	ack  jetstream.PubAck
	err  error
	came bool // the server has said it
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{answer: make(chan reply, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}}

func newInbox() *inbox {
	i := &inbox{
		prefix: nats.NewInbox() + ".", waiting: make(map[uint64]*waiter),
		msg: nats.Msg{Header: make(nats.Header)},
	}
	i.outgoing = batch.NewSender(batch.Options{Most: maxTogether, Batches: 1}, i.send)
	return i
}

// publish sends an event and waits for the stream's answer: until ctx ends, and
// not longer than timeout, which is context.DeadlineExceeded too. When the
// connection is lost it does not wait for what will hardly come any more. What
// nobody waits for any more when its batch leaves is not sent.
func (i *inbox) publish(ctx context.Context, e *events.Event, timeout time.Duration) reply {
	w := waiters.Get().(*waiter) //nolint:forcetypeassert // nothing else is put there
	w.timer.Reset(timeout)
	token, err := i.expect(w)
	if err != nil {
		return reply{err: err}
	}
	i.outgoing.Add(outgoing{token, e})
	var got reply
	select {
	case got = <-w.answer:
		token = 0
	case <-w.timer.C:
		got.err = context.DeadlineExceeded
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	if token != 0 && i.take(token) == nil {
		got = <-w.answer // it is being brought at this very moment
	}
	w.timer.Stop()
	waiters.Put(w)
	return got
}

// expect enters w into the table under a new token, never 0.
func (i *inbox) expect(w *waiter) (uint64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.sub == nil {
		sub, err := i.conn.Subscribe(i.prefix+"*", i.deliver)
		if err != nil {
			return 0, err
		}
		i.sub = sub
	}
	i.next++
	i.waiting[i.next] = w
	return i.next, nil
}

// send writes those of a batch that somebody still waits for now. (Who gives up
// while they are being written is told that his may be stored.) The library writes
// to the socket when its buffer is full or when it gets to it, which for a batch of
// some fifteen events is once.
func (i *inbox) send(batch []outgoing) {
	i.mu.Lock()
	batch = slices.DeleteFunc(batch, func(o outgoing) bool { return i.waiting[o.token] == nil })
	i.mu.Unlock()
	for _, o := range batch {
		i.write(o)
	}
}

// write hands one event to the connection.
func (i *inbox) write(o outgoing) {
	i.msg.Subject, i.msg.Data, i.msg.Reply = o.event.Subject, o.event.Data, i.prefix+strconv.FormatUint(o.token, 36)
	clear(i.msg.Header)
	i.values = i.values[:0]
	err := o.event.EachHeader(func(name, value string) {
		i.values = append(i.values, value)
		n := len(i.values)
		i.msg.Header[name] = i.values[n-1 : n : n]
	})
	if err == nil {
		err = i.conn.PublishMsg(&i.msg) // which keeps nothing of it
	}
	if err == nil {
		return
	}
	if w := i.take(o.token); w != nil {
		w.answer <- reply{err: err}
	}
}

// take takes a waiter out of the table, or gives nil when somebody else did.
func (i *inbox) take(token uint64) *waiter {
	i.mu.Lock()
	defer i.mu.Unlock()
	w := i.waiting[token]
	delete(i.waiting, token)
	return w
}

// deliver brings an answer to whoever waits for it.
func (i *inbox) deliver(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[len(i.prefix):], 36, 64)
	if err != nil {
		return // not an answer to us
	}
	if w := i.take(token); w != nil {
		ack, err := parseAck(m)
		w.answer <- reply{ack, err, true}
	}
}

// fail tells everybody who waits that no answer will come. Publishes that begin
// while the connection is being lost may be told so as well; none is told that it
// was not stored.
func (i *inbox) fail(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for token, w := range i.waiting {
		delete(i.waiting, token)
		w.answer <- reply{err: why}
	}
}

// plainAck is how the answer of an event that was stored begins, up to its
// sequence. Whatever looks otherwise goes the long way.
var plainAck = []byte(`{"stream":"` + Events + `",`)

// parseAck reads the stream's answer.
func parseAck(m *nats.Msg) (jetstream.PubAck, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return jetstream.PubAck{}, nats.ErrNoResponders
	}
	if sequence, ok := plainSequence(m.Data); ok {
		return jetstream.PubAck{Stream: Events, Sequence: sequence}, nil
	}
	var said struct {
		jetstream.PubAck
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &said); {
	case err != nil, said.Error == nil && said.Stream == "":
		return jetstream.PubAck{}, jetstream.ErrInvalidJSAck
	case said.Error != nil:
		return jetstream.PubAck{}, fmt.Errorf("nats: %w", said.Error)
	}
	return said.PubAck, nil
}

// plainSequence reads `{"stream":"ALIPAY_EVENTS", "seq":12}` and nothing else.
func plainSequence(data []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(data, plainAck)
	if !ok {
		return 0, false
	}
	if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(`"seq":`)); !ok {
		return 0, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte("}")); !ok {
		return 0, false
	}
	sequence, err := strconv.ParseUint(string(rest), 10, 64)
	return sequence, err == nil && sequence > 0
}
