package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify-consumer/state"
)

const (
	// inHand is how many messages one transaction takes at the most, and how many
	// are fetched ahead of it, for each stream.
	inHand = 256
	// A pull waits this long. The server's accounts keep the way back open for two
	// minutes (deploy/README.md). Twice the heartbeat without a sign of life, and it
	// is asked again: after a restart of the server the first question may be early.
	pullExpiry    = 30 * time.Second
	pullHeartbeat = 2 * time.Second
	// stopLimit bounds the clean stop when the server does not answer any more.
	// What is not acknowledged then comes again, and is known.
	stopLimit = 10 * time.Second
)

// run consumes until the context ends, which is no error, or it cannot go on.
func run(ctx context.Context, o options, log *slog.Logger) error {
	checker, err := o.checker()
	if err != nil {
		return err
	}
	store, err := state.Open(o.state)
	if err != nil {
		return err
	}
	err = consume(ctx, o, &worker{store: store, checker: checker, log: log})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, store.Close())
}

// session is what one run of consume shares.
type session struct {
	js       jetstream.JetStream
	log      *slog.Logger
	create   bool
	messages chan jetstream.Msg
	drained  chan struct{}           // closed: nothing comes any more
	fail     context.CancelCauseFunc // ends the session, and says why
}

// consume feeds what both streams deliver to the worker, until the context ends or
// it cannot go on.
func consume(ctx context.Context, o options, w *worker) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	nc, err := connect(o, w.log, fail)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := o.jetStream(nc)
	if err != nil {
		return err
	}
	w.point = pointerTo(js, o.pointerRoot())
	s := session{js: js, log: w.log, create: o.create, fail: fail, messages: make(chan jetstream.Msg, inHand), drained: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.work(s.messages, s.drained)
	}()
	feeds, err := s.feeds(ctx, o.name)
	if err == nil {
		w.log.Info("consuming", "name", o.name, "requests_checked", w.checker != nil)
		<-ctx.Done()
		err = context.Cause(ctx)
	}

	// Ask for no more, finish what is in hand, acknowledge it, go. Without a server
	// only the finishing is left to do.
	if nc.IsConnected() {
		drain(feeds)
	}
	close(s.drained)
	<-done
	if nc.IsConnected() {
		if lost := nc.FlushTimeout(stopLimit); lost != nil {
			w.log.Warn("acknowledgements may be lost: their messages come again, and are known", "error", lost)
		}
	}
	return err
}

// connect gives a connection that comes back by itself, for ever. It is only given
// up when the server refuses the login twice; fail hears of that.
func connect(o options, log *slog.Logger, fail context.CancelCauseFunc) (*nats.Conn, error) {
	options, err := o.login()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(o.nats, append(options,
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.PingInterval(20*time.Second), // a dead peer is noticed within a minute
		nats.ConnectHandler(func(nc *nats.Conn) { log.Info("connected", "server", nc.ConnectedAddr()) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("connected again", "server", nc.ConnectedAddr()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else it is us who go
				log.Warn("disconnected", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("server says", "error", err) }),
		nats.ClosedHandler(func(nc *nats.Conn) { fail(fmt.Errorf("the connection was given up: %w", nc.LastError())) }),
	)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}

// feeds begins to consume from both durable consumers.
func (s session) feeds(ctx context.Context, name string) ([]jetstream.ConsumeContext, error) {
	var all []jetstream.ConsumeContext
	for stream, config := range durables(name) {
		consumer, err := s.bind(ctx, stream, config)
		if err != nil {
			return all, err
		}
		trouble := func(_ jetstream.ConsumeContext, err error) {
			s.log.Warn("trouble with a consumer", "stream", stream, "error", err)
			// The library goes on whatever it is. When the consumer is gone, and with it
			// its place in the stream, people have to decide.
			if _, err := consumer.Info(ctx); errors.Is(err, jetstream.ErrConsumerNotFound) {
				s.fail(missing(stream, config, err))
			}
		}
		feed, err := consumer.Consume(s.take, jetstream.PullMaxMessages(inHand), jetstream.PullExpiry(pullExpiry),
			jetstream.PullHeartbeat(pullHeartbeat), jetstream.ConsumeErrHandler(trouble))
		if err != nil {
			return all, fmt.Errorf("consume %s: %w", stream, err)
		}
		all = append(all, feed)
	}
	return all, nil
}

// take hands a message to the worker, which is what slows the feeds down.
func (s session) take(m jetstream.Msg) {
	select {
	case s.messages <- m:
	case <-s.drained: // it was stopped without waiting: the message comes again
	}
}

// drain stops the pulls and waits until what was delivered is in the worker's hands.
func drain(feeds []jetstream.ConsumeContext) {
	for _, f := range feeds {
		f.Drain()
	}
	limit := time.After(stopLimit)
	for _, f := range feeds {
		select {
		case <-f.Closed():
		case <-limit:
			return
		}
	}
}
