package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// errIdle means that no message has come in time.
var errIdle = errors.New("nothing comes")

// puller gets the messages of one consumer, some ahead of those that are handed
// on. The library's iterator does that too, with timers for every message and
// through one goroutine more, which is most of what a long reading costs. It is
// for one goroutine.
type puller struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	msgs    chan *nats.Msg
	subject string // where messages are asked for
	request []byte
	asked   int // asked for, and neither come nor refused
	idle    *time.Timer
}

// pull begins. Messages come until stop.
func (c *Client) pull(stream, consumer string, maxBytes int, idle time.Duration) (*puller, error) {
	p := &puller{
		nc: c.nc, msgs: make(chan *nats.Msg, 4*fetchMessages),
		subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		// A request ends before somebody asks why nothing comes, and so repeats it.
		request: fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d}`, fetchMessages, maxBytes, idle*4/5),
		idle:    time.NewTimer(idle),
	}
	var err error
	p.sub, err = c.nc.ChanSubscribe(nats.NewInbox(), p.msgs)
	return p, err
}

func (p *puller) stop() {
	p.idle.Stop()
	_ = p.sub.Unsubscribe() // the connection may be gone
}

// next gives the next message; errIdle when none has come for a while, ctx's
// error, or what else keeps messages from coming.
func (p *puller) next(ctx context.Context, idle time.Duration) (*nats.Msg, error) {
	waiting := false
	for {
		if p.asked+len(p.msgs) <= fetchMessages/2 {
			if err := p.nc.PublishRequest(p.subject, p.sub.Subject, p.request); err != nil {
				return nil, err
			}
			p.asked += fetchMessages
		}
		var msg *nats.Msg
		select {
		case msg = <-p.msgs:
		default:
			if !waiting {
				p.idle.Reset(idle)
				waiting = true
			}
			select {
			case msg = <-p.msgs:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-p.idle.C:
				p.asked = 0 // whatever was asked for has been lost, or has run out
				if p.nc.IsClosed() {
					return nil, nats.ErrConnectionClosed
				}
				return nil, errIdle
			}
		}
		if msg.Reply != "" {
			p.asked = max(0, p.asked-1)
			return msg, nil
		}
		if err := p.status(msg); err != nil {
			return nil, err
		}
	}
}

// status takes the server's word on a request. One that is over with a rest, for
// its time or size, is nothing unusual; anything else is.
func (p *puller) status(msg *nats.Msg) error {
	rest, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return fmt.Errorf("the server says %s %s", msg.Header.Get("Status"), msg.Header.Get("Description"))
	}
	p.asked = max(0, p.asked-rest)
	return nil
}
