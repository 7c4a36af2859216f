package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/cli"
)

// quietWait is the longest wait before a retry that is not worth a line.
const quietWait = time.Second

// sender delivers what one command line asks for.
type sender struct {
	options sendOptions
	base    alipaytest.Options
	types   []string
	client  *alipaytest.Client
	stderr  *lineWriter
}

// delivered is what became of one notification. err says that it could not be
// made; then there is no result.
type delivered struct {
	notification *alipaytest.Notification
	result       alipaytest.Result
	err          error
}

func newSender(o sendOptions, base alipaytest.Options, stderr io.Writer) *sender {
	s := &sender{options: o, base: base, types: o.types(), stderr: &lineWriter{w: stderr}}
	s.client = &alipaytest.Client{
		URL:     o.url,
		HTTP:    newHTTPClient(o.concurrency),
		Timeout: o.timeout,
		OnRetry: s.sayRetry,
	}
	return s
}

func (s *sender) close() { s.client.HTTP.CloseIdleConnections() }

// say is conversation: one line to stderr.
func (s *sender) say(format string, args ...any) {
	fmt.Fprintf(s.stderr, "alipaysim: %s\n", fmt.Sprintf(format, args...))
}

// sayRetry explains the silence: on Alipay's real schedule a retry is minutes
// or hours away.
func (s *sender) sayRetry(n *alipaytest.Notification, failed alipaytest.Attempt, wait time.Duration) {
	if wait >= quietWait {
		s.say("%s %s: %s; next delivery in %s", n.Type(), n.ID(), describe(failed), wait.Round(time.Second))
	}
}

// describe says in a few words how an attempt went.
func describe(a alipaytest.Attempt) string {
	if a.Err != nil {
		return cli.Clean(plainError(a.Err))
	}
	return fmt.Sprintf("%d %q", a.Status, shorten(a.Body))
}

func (s *sender) planned() int { return len(s.types) * s.options.count }

// prepare makes and signs one notification of each type, to find what the
// flags ask for in vain, such as a character that GBK lacks.
func (s *sender) prepare() error {
	for _, typ := range s.types {
		n, err := alipaytest.New(typ, s.base)
		if err == nil {
			_, err = n.Form(time.Now())
		}
		if err != nil {
			return cli.Usagef(sendHelp, "%w", err)
		}
	}
	return nil
}

// run delivers everything and closes the channel when the last is done. After
// ctx ends nothing more is begun.
func (s *sender) run(ctx context.Context) <-chan delivered {
	work := make(chan string)
	done := make(chan delivered)
	go s.feed(ctx, work)

	var workers sync.WaitGroup
	for range min(s.options.concurrency, s.planned()) {
		workers.Go(func() {
			for typ := range work {
				done <- s.deliver(ctx, typ)
			}
		})
	}
	go func() {
		workers.Wait()
		close(done)
	}()
	return done
}

// feed hands out the types at the rate that was asked for. The n-th is due at
// a time counted from the beginning, so a late one does not make all later.
func (s *sender) feed(ctx context.Context, work chan<- string) {
	defer close(work)
	start := time.Now()
	for i := range s.planned() {
		if s.options.rate > 0 && !sleepUntil(ctx, start.Add(due(i, s.options.rate))) {
			return
		}
		select {
		case work <- s.types[i%len(s.types)]:
		case <-ctx.Done():
			return
		}
	}
}

// due is when the i-th notification begins, counted from the first.
func due(i int, rate float64) time.Duration {
	return time.Duration(float64(i) / rate * float64(time.Second))
}

// sleepUntil waits, and says whether the time came before ctx ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver makes one notification and sends it, and after success again as
// often as --duplicate says. The first sending that is not acknowledged ends it.
func (s *sender) deliver(ctx context.Context, typ string) delivered {
	n, err := alipaytest.New(typ, s.base)
	if err == nil && s.options.sameBytes {
		n, err = n.SameBytes(time.Now())
	}
	if err != nil {
		return delivered{err: err}
	}
	schedule := n.Schedule().Scaled(s.options.timeScale)
	if s.options.noRetry {
		schedule = nil
	}
	schedule = schedule[:min(len(schedule), s.options.retries)]

	out := delivered{notification: n}
	for range 1 + s.options.duplicate {
		result, err := s.client.Deliver(ctx, n, schedule)
		if err != nil {
			return delivered{err: err}
		}
		out.result.Outcome = result.Outcome
		out.result.Attempts = append(out.result.Attempts, result.Attempts...)
		if result.Outcome != alipaytest.Acknowledged {
			break
		}
	}
	return out
}
