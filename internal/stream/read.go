package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// ReadOptions is which part of a stream to read.
type ReadOptions struct {
	Stream   string
	Subjects []string  // server-side filter; none: all
	FromSeq  uint64    // first sequence, or 0
	FromTime time.Time // first time of storing, or zero; FromSeq wins
	Follow   bool      // go on with what comes, until ctx ends
	OnlyNew  bool      // with Follow: leave out what is stored already
	Began    func()    // called once nothing that is stored from now on can be missed; or nil
	Light    bool      // read as much of the headers as a selection needs; see decodeLight
}

// Read hands the messages of a stream to fn in their order, each once, decoded.
// It leaves no consumer behind, and goes on where it was when the line is cut.
// Without Follow it ends at the message that was the last one when it began, and
// with fault.Unavailable where the server stays away. An error of fn ends the
// reading and is returned as it is; the end of ctx gives its cause.
func (c *Client) Read(ctx context.Context, o ReadOptions, fn func(events.Stored) error) error {
	s, err := c.js.Stream(ctx, o.Stream)
	if err != nil {
		return fault.Errorf(fault.Unavailable, "no_stream", "open %s: %w", o.Stream, err)
	}
	last := s.CachedInfo().State.LastSeq
	if !o.Follow && last == 0 {
		return nil
	}
	r := &reading{client: c, options: o, last: last}
	if err := c.ask(ctx, openTimeout, r.open); err != nil {
		return fault.Errorf(fault.Unavailable, "no_consumer", "read %s: %w", o.Stream, err)
	}
	defer func() { r.close(ctx) }()
	if o.Began != nil {
		o.Began()
	}
	read := decode
	if o.Light {
		read = decodeLight
	}
	if !o.Follow && r.consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	for {
		msg, meta, err := r.next(ctx)
		if err != nil || msg == nil {
			return err
		}
		if err := fn(read(msg.Subject, msg.Header, msg.Data, meta.Sequence.Stream, meta.Timestamp)); err != nil {
			return err
		}
		if !o.Follow && (meta.NumPending == 0 || meta.Sequence.Stream == last) {
			return nil
		}
	}
}

// ErrNotFound means that a stream has no message at a sequence.
var ErrNotFound = errors.New("no such message")

// Get reads one message. It gives ErrNotFound when there is none.
func (c *Client) Get(ctx context.Context, stream string, sequence uint64) (events.Stored, error) {
	m, err := c.leaderMessage(ctx, stream, sequence)
	if err != nil {
		return events.Stored{}, fmt.Errorf("read %s %d: %w", stream, sequence, err)
	}
	return decode(m.Subject, m.Header, m.Data, m.Sequence, m.Time), nil
}

// getTimeout bounds the reading of one message: a caller's context may have no
// end, and a server that hangs gives no error.
const getTimeout = 5 * time.Second

// leaderMessage reads a message from the stream's leader. The library would ask
// any replica where the stream allows it, and a replica may lag.
func (c *Client) leaderMessage(ctx context.Context, stream string, sequence uint64) (*jetstream.RawStreamMsg, error) {
	return c.askLeader(ctx, stream, fmt.Sprintf(`{"seq":%d}`, sequence))
}

func (c *Client) askLeader(ctx context.Context, stream, request string) (*jetstream.RawStreamMsg, error) {
	var reply *nats.Msg
	err := c.ask(ctx, getTimeout, func(ctx context.Context) (err error) {
		reply, err = c.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, []byte(request))
		return err
	})
	if err != nil {
		return nil, fault.Errorf(fault.Unavailable, "no_stream", "ask the stream: %w", err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("the stream's answer is not JSON: %w", err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, ErrNotFound
		}
		return nil, answer.Error
	}
	m := answer.Message
	msg := &jetstream.RawStreamMsg{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time}
	if len(m.Header) > 0 {
		if msg.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("the message's headers: %w", err)
		}
	}
	return msg, nil
}

// decode makes a stored event of a message. What cannot be read stays empty
// and the reason goes with it: an operator must be able to look at anything.
func decode(subject string, header nats.Header, data []byte, sequence uint64, at time.Time) events.Stored {
	get := func(name string) string {
		if v := header.Get(name); v != "" {
			return v
		}
		return textproto.MIMEHeader(header).Get(name)
	}
	e, err := events.ParseHeader(get, subject, data)
	s := events.Stored{Event: e, Sequence: sequence, StoredAt: at.UTC(), Header: header}
	switch {
	case err != nil:
		s.Problem = err.Error()
	case e.ID == "" && eventSubject(subject):
		s.Problem = events.HeaderID + ": it has none, so it is no event of ours"
	}
	return s
}

// decodeLight is decode for what goes on as it is: what a selection looks at is
// read, and the request (Raw) and everything else stays in the headers. Most of
// the time of a long reading would go there.
func decodeLight(subject string, header nats.Header, data []byte, sequence uint64, at time.Time) events.Stored {
	e, _ := events.ParseHeader(func(name string) string { // nothing that could be wrong is asked for
		switch name {
		case events.HeaderID, events.HeaderSource, events.HeaderSubject, events.HeaderConflict:
			return header.Get(name)
		}
		return ""
	}, subject, data)
	return events.Stored{Event: e, Sequence: sequence, StoredAt: at.UTC(), Header: header}
}

// eventSubject tells whether what is stored there should be an event. Audit
// records, advisories and refused requests are none, and have no such headers.
func eventSubject(subject string) bool {
	for _, space := range []string{"alipay.events.", "alipay.replays.", "alipay.inferred."} {
		if strings.HasPrefix(subject, space) {
			return true
		}
	}
	return false
}

// Record stores an audit record: the guard's Recorder. It returns nil only when
// the stream has it; the same message id twice is stored once.
func (c *Client) Record(ctx context.Context, subject, messageID string, record []byte) error {
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: record}, jetstream.WithMsgID(messageID))
	if err != nil {
		return fmt.Errorf("store the audit record: %w", classify(err))
	}
	if ack.Stream != Audit {
		return fmt.Errorf("the audit record went to %s instead of %s", ack.Stream, Audit)
	}
	return nil
}
