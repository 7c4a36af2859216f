package openapi

import (
	"context"
	"sync"
	"time"
)

// limiter is a token bucket in which callers queue: each reserves the next token
// and waits for it. Alipay counts requests per app, and so does a client.
type limiter struct {
	rate  float64 // tokens a second
	burst float64

	mu     sync.Mutex
	tokens float64   // as of last; negative when callers wait
	last   time.Time // lies in the future during a pause
	epoch  int       // counts pauses: reservations from before one are void
}

// reserve takes a token and says how long to wait for it.
func (l *limiter) reserve(now time.Time) (wait time.Duration, epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.last) {
		l.tokens = min(l.burst, l.tokens+now.Sub(l.last).Seconds()*l.rate)
		l.last = now
	}
	l.tokens--
	wait = l.last.Sub(now)
	if l.tokens < 0 {
		wait += time.Duration(-l.tokens / l.rate * float64(time.Second))
	}
	return wait, l.epoch
}

// pause lets nobody go before now+d, and afterwards at the rate, without a burst:
// Alipay has just said that it is too much. Who waits already queues again.
func (l *limiter) pause(now time.Time, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := now.Add(d); until.After(l.last) {
		l.last, l.tokens = until, 1
		l.epoch++
	}
}

// use tells whether a reservation still counts; unused, it is given back.
func (l *limiter) use(epoch int, used bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch && !used {
		l.tokens = min(l.burst, l.tokens+1)
	}
	return epoch == l.epoch
}

// wait blocks until this caller may go. It gives up at once when the wait would
// outlast the context.
func (l *limiter) wait(ctx context.Context, now func() time.Time, sleep func(context.Context, time.Duration) error) (time.Duration, error) {
	begin := now()
	for {
		d, epoch := l.reserve(now())
		err := pauseFor(ctx, d, now, sleep)
		if counts := l.use(epoch, err == nil); err != nil || counts {
			return now().Sub(begin), err
		}
	}
}

// pauseFor sleeps, unless the context would end before.
func pauseFor(ctx context.Context, d time.Duration, now func() time.Time, sleep func(context.Context, time.Duration) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && now().Add(d).After(deadline) {
		return context.DeadlineExceeded
	}
	return sleep(ctx, d)
}

// sleep is the Config's default.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
