package batch

import (
	"context"
	"sync/atomic"
	"time"
)

// together is how long a context is given to whoever comes.
const together = 50 * time.Millisecond

// Deadline gives contexts that end by themselves, the same to all who come within 50
// milliseconds: a timer and a context for each cost more than a claim. They cannot be
// canceled. It is safe for concurrent use.
type Deadline struct {
	limit time.Duration
	cause error
	now   atomic.Pointer[moment]
}

// moment is who comes together.
type moment struct {
	ctx   context.Context
	until time.Time
}

// NewDeadline makes contexts that end after limit, or up to 50 milliseconds later, with
// a cause.
func NewDeadline(limit time.Duration, cause error) *Deadline {
	return &Deadline{limit: limit, cause: cause}
}

// Context is for whoever comes now, which is what time.Now says.
func (d *Deadline) Context(now time.Time) context.Context {
	if m := d.now.Load(); m != nil && now.Before(m.until) {
		return m.ctx
	}
	// Two may come here at once; each makes one, and one of them is given to the others.
	until := now.Add(together)
	ctx, cancel := context.WithDeadlineCause(context.Background(), until.Add(d.limit), d.cause)
	_ = cancel // never: others have it still, and it ends by itself
	d.now.Store(&moment{ctx, until})
	return ctx
}
