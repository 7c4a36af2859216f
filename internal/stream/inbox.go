package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/batch"
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
// Events that come at the same moment, most of them with the claims of one round
// trip, are written together: each write of its own would cost a system call here
// and wake the server. It is safe for concurrent use.
type inbox struct {
	conn   *nats.Conn
	prefix string // of the subjects, with a dot at its end

	opening sync.Mutex
	opened  atomic.Bool // it is subscribed: before the first publish begins

	mu       sync.Mutex
	next     uint64
	waiting  map[uint64]*sending
	outgoing *batch.Sender[*sending]

	// The sender's, of which there is one at a time.
	msg    nats.Msg
	header header
}

// reply is what came, or why nothing did.
type reply struct {
	ack    jetstream.PubAck
	err    error
	came   bool // the server has said it
	gaveUp bool // we did not wait for it any longer
}

func newInbox() *inbox {
	i := &inbox{
		prefix: nats.NewInbox() + ".", waiting: make(map[uint64]*sending),
	}
	i.outgoing = batch.NewSender(batch.Options{Most: maxTogether, Batches: 1}, i.send)
	return i
}

// begin has an event sent with those that come at the same moment, and waits for
// nothing. The inbox is open.
func (i *inbox) begin(s *sending) {
	i.expect(s)
	i.outgoing.Add(s)
}

// wait waits for the answer to what was begun, until ctx ends. When the
// connection is lost it does not wait for what will hardly come any more. What
// nobody waits for any more when its batch leaves is not sent.
func (i *inbox) wait(ctx context.Context, s *sending) reply {
	if s.over.Load() {
		return s.got
	}
	select {
	case <-s.done:
		return s.got
	case <-ctx.Done():
	}
	if i.take(s.token) == nil {
		<-s.done // it is being brought at this very moment
		return s.got
	}
	return reply{err: ctx.Err(), gaveUp: true}
}

// open makes the subscription, once. It may wait for a connection that is busy.
func (i *inbox) open() error {
	if i.opened.Load() {
		return nil
	}
	i.opening.Lock()
	defer i.opening.Unlock()
	if i.opened.Load() {
		return nil
	}
	if _, err := i.conn.Subscribe(i.prefix+"*", i.deliver); err != nil {
		return err
	}
	i.opened.Store(true)
	return nil
}

// expect enters s into the table under a new token, never 0.
func (i *inbox) expect(s *sending) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next++
	s.token = i.next
	i.waiting[s.token] = s
}

// send writes those of a batch that somebody still waits for now. (Who gives up
// while they are being written is told that his may be stored.) The library writes
// to the socket when its buffer is full or when it gets to it, which for a batch of
// some fifteen events is once.
func (i *inbox) send(batch []*sending) {
	i.mu.Lock()
	batch = slices.DeleteFunc(batch, func(s *sending) bool { return i.waiting[s.token] == nil })
	i.mu.Unlock()
	for _, s := range batch {
		i.write(s)
	}
}

// write hands one event to the connection.
func (i *inbox) write(s *sending) {
	i.msg.Subject, i.msg.Data, i.msg.Reply = s.event.Subject, s.event.Data, i.prefix+strconv.FormatUint(s.token, 36)
	i.header.begin()
	err := s.event.EachHeader(i.header.add)
	if err == nil {
		i.msg.Header = i.header.all()
		err = i.conn.PublishMsg(&i.msg) // which keeps nothing of it
	}
	if err == nil {
		return
	}
	if s = i.take(s.token); s != nil {
		s.end(reply{err: err})
	}
}

// take takes what waits out of the table, or gives nil when somebody else did.
// Whoever gets it may end it.
func (i *inbox) take(token uint64) *sending {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.waiting[token]
	delete(i.waiting, token)
	return s
}

// deliver brings an answer to whoever waits for it.
func (i *inbox) deliver(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[len(i.prefix):], 36, 64)
	if err != nil {
		return // not an answer to us
	}
	if s := i.take(token); s != nil {
		ack, err := parseAck(m)
		s.end(reply{ack: ack, err: err, came: true})
	}
}

// fail tells everybody who waits that no answer will come. Publishes that begin
// while the connection is being lost may be told so as well; none is told that it
// was not stored.
func (i *inbox) fail(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for token, s := range i.waiting {
		delete(i.waiting, token)
		s.end(reply{err: why})
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
