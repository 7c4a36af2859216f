package replay

import (
	"context"
	"time"
)

// maxCatchUp bounds what a pacer makes up for after it was held up: a rate is
// there to protect somebody.
const maxCatchUp = time.Second

// pacer keeps to a rate. It is for one goroutine.
type pacer struct {
	rate  int // a second; 0: no limit
	began time.Time
	n     int
}

// wait returns when the next one is due.
func (p *pacer) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.rate == 0 {
		return nil
	}
	now := time.Now()
	due := p.began.Add(time.Duration(p.n) * time.Second / time.Duration(p.rate))
	if now.Sub(due) > maxCatchUp {
		p.began, p.n, due = now, 0, now
	}
	p.n++
	ahead := due.Sub(now)
	if ahead < time.Millisecond { // a timer is not finer
		return nil
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
