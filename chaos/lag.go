package main

import (
	"context"
	"sync/atomic"
	"time"
)

// lag measures how late the harness itself is. The proxies are in this process:
// when it waits for a processor, every line is slow, and nothing of that is the
// product's doing. It is safe for concurrent use.
type lag struct{ most, healed atomic.Int64 } // nanoseconds

// watch looks a hundred times a second until ctx ends.
func (l *lag) watch(ctx context.Context, healed <-chan struct{}) {
	const every = 10 * time.Millisecond
	for ctx.Err() == nil {
		before := time.Now()
		pass(ctx, every)
		late := int64(time.Since(before) - every)
		l.most.Store(max(l.most.Load(), late))
		select {
		case <-healed:
			l.healed.Store(max(l.healed.Load(), late))
		default:
		}
	}
}

// text is how late it was, in all and after the healing.
func (l *lag) text() (all, afterwards time.Duration) {
	return time.Duration(l.most.Load()).Round(time.Millisecond), time.Duration(l.healed.Load()).Round(time.Millisecond)
}
