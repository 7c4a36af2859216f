package batch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/batch"
)

// Whoever comes has at least the limit, and hardly more.
func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("too late")
		d := batch.NewDeadline(time.Second, cause)
		seen := make(map[context.Context]int)
		for range 40 {
			ctx := d.Context(time.Now())
			seen[ctx]++
			by, _ := ctx.Deadline()
			if left := time.Until(by); left < time.Second || left > 1050*time.Millisecond {
				t.Errorf("%v are left, want a second and 50 ms at the most", left)
			}
			<-time.After(5 * time.Millisecond)
		}
		if len(seen) != 4 { // in 200 ms
			t.Errorf("%d contexts for four times 50 ms", len(seen))
		}
		last := d.Context(time.Now())
		select {
		case <-last.Done():
			t.Error("it ended before its time")
		case <-time.After(time.Second):
		}
		<-last.Done()
		if got := context.Cause(last); !errors.Is(got, cause) {
			t.Errorf("the cause is %v", got)
		}
		if next := d.Context(time.Now()); next.Err() != nil {
			t.Error("whoever comes after a pause has no time at all")
		}
	})
}
