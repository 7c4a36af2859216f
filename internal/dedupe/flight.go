package dedupe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// evaluator runs a script on one key, until ctx ends.
type evaluator interface {
	eval(ctx context.Context, script *redis.Script, key string, args []any) (any, error)
}

// newEvaluator shares round trips where all keys live on one server. On a
// cluster a shared round trip would make every call wait for the slowest node,
// and one dead node would look like a dead cluster; calls go alone there, over
// more connections.
func newEvaluator(client redis.UniversalClient, timeout time.Duration) evaluator {
	if c, ok := client.(*redis.Client); ok {
		return &flights{client: c, timeout: timeout}
	}
	return alone{client}
}

// alone sends every call by itself.
type alone struct{ client redis.UniversalClient }

func (e alone) eval(ctx context.Context, script *redis.Script, key string, args []any) (any, error) {
	return script.Run(ctx, e.client, []string{key}, args...).Result()
}

const (
	// maxFlights bounds the round trips under way. Up to so many calls at a time
	// travel alone and wait for nobody; more of them begin to share.
	maxFlights = 8
	// maxAboard bounds the calls that share one, so that their answers stay small
	// beside the client's buffers.
	maxAboard = 128
)

// errNotSent marks a call that was given up before it left.
var errNotSent = errors.New("not sent")

// flights lets calls that come at the same moment share a round trip. (The
// client's own autopipelining is experimental, and runs calls on a context of its
// own, so that a caller could not leave when its time is over.) It has no
// goroutines while it has no calls.
type flights struct {
	client  *redis.Client
	timeout time.Duration

	mu       sync.Mutex
	waiting  []*passenger
	underway int
}

// passenger is one call. Who changes the state from waiting owns it: the
// flight, which then fills in the answer and closes landed, or the caller, who
// leaves.
type passenger struct {
	script *redis.Script
	key    string
	args   []any

	state  atomic.Int32
	landed chan struct{}
	reply  any
	err    error
}

const (
	stateWaiting int32 = iota
	stateAboard
	stateLeft
)

func (f *flights) eval(ctx context.Context, script *redis.Script, key string, args []any) (any, error) {
	p := &passenger{script: script, key: key, args: args, landed: make(chan struct{})}
	f.mu.Lock()
	f.waiting = append(f.waiting, p)
	start := f.underway < maxFlights
	if start {
		f.underway++
	}
	f.mu.Unlock()
	if start {
		go f.fly() //nolint:gosec // it carries calls of several contexts, so none of them may end it
	}
	select {
	case <-p.landed:
		return p.reply, p.err
	case <-ctx.Done():
	}
	if p.state.CompareAndSwap(stateWaiting, stateLeft) {
		return nil, fmt.Errorf("%w: %w", errNotSent, context.Cause(ctx))
	}
	return nil, context.Cause(ctx)
}

// fly takes whoever waits, again and again, until nobody does. Each round is
// bounded by the timeout, so that a Redis that hangs holds no goroutine longer.
func (f *flights) fly() {
	for {
		aboard := f.board()
		if aboard == nil {
			return
		}
		// Not the context of any caller: one that leaves must not take the
		// others with it.
		ctx, cancel := context.WithTimeoutCause(context.Background(), f.timeout, fmt.Errorf("no answer from redis within %s", f.timeout))
		f.send(ctx, aboard)
		cancel()
		for _, p := range aboard {
			close(p.landed)
		}
	}
}

// board takes up to maxAboard calls, or ends the flight: both under the lock, so
// that no call is left behind without one.
func (f *flights) board() []*passenger {
	f.mu.Lock()
	defer f.mu.Unlock()
	var aboard []*passenger
	taken := 0
	for taken < len(f.waiting) && len(aboard) < maxAboard {
		p := f.waiting[taken]
		f.waiting[taken] = nil
		taken++
		if p.state.CompareAndSwap(stateWaiting, stateAboard) {
			aboard = append(aboard, p)
		}
	}
	f.waiting = f.waiting[taken:]
	if len(f.waiting) == 0 {
		f.waiting = nil
	}
	if aboard == nil {
		f.underway--
	}
	return aboard
}

// send runs the calls by digest, and those that the server does not know yet
// (it is new, or was restarted) once more by source.
func (f *flights) send(ctx context.Context, aboard []*passenger) {
	f.pipeline(ctx, aboard, func(pipe redis.Pipeliner, p *passenger) *redis.Cmd {
		return p.script.EvalSha(ctx, pipe, []string{p.key}, p.args...)
	})
	var unknown []*passenger
	for _, p := range aboard {
		if redis.HasErrorPrefix(p.err, "NOSCRIPT") {
			unknown = append(unknown, p)
		}
	}
	if unknown == nil {
		return
	}
	f.pipeline(ctx, unknown, func(pipe redis.Pipeliner, p *passenger) *redis.Cmd {
		return p.script.Eval(ctx, pipe, []string{p.key}, p.args...)
	})
}

func (f *flights) pipeline(ctx context.Context, aboard []*passenger, queue func(redis.Pipeliner, *passenger) *redis.Cmd) {
	pipe := f.client.Pipeline()
	cmds := make([]*redis.Cmd, len(aboard))
	for i, p := range aboard {
		cmds[i] = queue(pipe, p)
	}
	_, err := pipe.Exec(ctx)
	for i, p := range aboard {
		p.reply, p.err = cmds[i].Result()
		if p.reply == nil && p.err == nil {
			// Each call has an error of its own, but when the server refuses the
			// connection itself (NOAUTH, WRONGPASS) the client marks none of them.
			p.err = err
		}
	}
}
