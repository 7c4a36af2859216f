package dedupe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/batch"
	"alipay-notify/internal/fault"
)

// evaluator brings calls to Redis.
type evaluator interface {
	// eval gives the answer, or an error with ctx or with the timeout.
	eval(ctx context.Context, c call) (any, error)
	// send waits for nothing. It tells landed the outcome, from another goroutine.
	send(c call, landed func(reply any, err error))
}

// newEvaluator shares round trips where all keys live on one server. On a
// cluster a shared round trip would make every call wait for the slowest node,
// and one dead node would look like a dead cluster; calls go alone there, over
// more connections.
func newEvaluator(client redis.UniversalClient, timeout time.Duration) evaluator {
	late := fmt.Errorf("no answer from redis within %s", timeout)
	if c, ok := client.(*redis.Client); ok {
		return newFlights(c, timeout, late)
	}
	return alone{client, timeout, late}
}

// alone sends every call by itself.
type alone struct {
	client  redis.UniversalClient
	timeout time.Duration
	late    error
}

func (e alone) eval(ctx context.Context, c call) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, e.late)
	defer cancel()
	c.depart()
	simple := c.simple()
	if simple {
		if free, err := e.client.SetNX(ctx, c.key, c.lease, c.op.ttl).Result(); free || err != nil {
			return claimed, err
		}
	}
	reply, err := c.op.script.Run(ctx, e.client, []string{c.key}, c.op.expiry, c.lease, c.other).Result()
	if said, ok := reply.([]any); ok && err == nil && len(said) == 1 {
		return said[0], nil
	}
	if simple && err != nil {
		err = fmt.Errorf("%w: %w", errTaken, err)
	}
	return reply, err
}

func (e alone) send(c call, landed func(any, error)) {
	go func() { landed(e.eval(context.Background(), c)) }()
}

// depart is the moment before a call is sent. When that is a commit, the sender
// may have been told "success": a crash leaves event and lease all the same.
func (c call) depart() {
	if c.op.script == commitScript {
		fault.Point("in-commit")
	}
}

const (
	// patience is how long a round trip may take before the next begins beside it.
	// Until then calls wait for it and share the next: that saves the system calls
	// on both sides, which are most of the cost, and one that is late (a far server,
	// a connection that died in the pool) does not hold up the others.
	patience = 5 * time.Millisecond
	// maxFlights bounds the round trips under way.
	maxFlights = 8
	// maxAboard bounds the calls that share one, so that their answers stay small
	// beside the client's buffers and no script keeps Redis from others for long.
	maxAboard = 128
)

// errNotSent marks a call that was given up before it left.
var errNotSent = errors.New("not sent")

// flights lets calls that come at the same moment share a round trip, and calls
// of one script share even the command. (The client's own autopipelining is
// experimental, and runs calls on a context of its own, so that a caller could
// not leave when its time is over.) It has no goroutines while it has no calls.
type flights struct {
	client  *redis.Client
	timeout time.Duration
	late    error           // what went wrong then
	limit   *batch.Deadline // of a call, from timeout
	single  atomic.Bool     // the server does not take several keys in one script
	calls   *batch.Sender[*passenger]
}

func newFlights(client *redis.Client, timeout time.Duration, late error) *flights {
	f := &flights{client: client, timeout: timeout, late: late, limit: batch.NewDeadline(timeout, late)}
	f.calls = batch.NewSender(batch.Options{Most: maxAboard, Batches: maxFlights, Patience: patience, Gather: true}, f.fly)
	return f
}

// passenger is one call. Who changes the state from waiting owns it: the flight,
// which then brings the outcome, or the caller, who leaves. Where something waits
// for the outcome (call.ahead), the caller may leave until that begins.
type passenger struct {
	call

	state atomic.Int32
	reply any
	err   error
	to    func(any, error) // whom to tell, or nil:
	done  chan struct{}    // of one; the caller waits here, also for what begins ahead
}

const (
	stateWaiting int32 = iota
	stateAboard
	stateBegun
	stateLeft
)

// passengers are those that nobody knows any more, with their channel.
var passengers = sync.Pool{New: func() any { return &passenger{done: make(chan struct{}, 1)} }}

func newPassenger(c call) *passenger {
	p := passengers.Get().(*passenger) //nolint:forcetypeassert // nothing else is put there
	p.call = c
	p.state.Store(stateWaiting)
	return p
}

func (f *flights) eval(ctx context.Context, c call) (any, error) {
	p := newPassenger(c)
	limit := f.limit.Context(time.Now())
	f.calls.Add(p)
	var why error
	select {
	case <-p.done:
		reply, err := p.reply, p.err
		if p.state.Load() == stateBegun { // meanwhile there was nothing to wake up for
			reply, err = begun{}, nil
		}
		p.recycle()
		return reply, err
	case <-limit.Done():
		why = f.late
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	// It is left to whoever still knows it, and not used again.
	if p.state.CompareAndSwap(stateWaiting, stateLeft) {
		return nil, fmt.Errorf("%w: %w", errNotSent, why)
	}
	if !p.state.CompareAndSwap(stateAboard, stateLeft) {
		return begun{}, nil
	}
	return nil, why
}

// recycle gives a passenger back that nobody else knows any more.
func (p *passenger) recycle() {
	p.call, p.reply, p.err, p.to = call{}, nil, nil, nil
	passengers.Put(p)
}

func (f *flights) send(c call, landed func(any, error)) {
	p := newPassenger(c)
	p.to = landed
	f.calls.Add(p)
}

// fly takes whoever still waits on one round trip. It is bounded by the timeout,
// so that a Redis that hangs holds no goroutine longer; whoever is told the outcome
// is quick about it.
func (f *flights) fly(calls []*passenger) {
	aboard := calls[:0]
	for _, p := range calls {
		if p.state.CompareAndSwap(stateWaiting, stateAboard) {
			aboard = append(aboard, p)
		}
	}
	if len(aboard) == 0 {
		return
	}
	// Not the context of any caller: one that leaves must not take the others with
	// it.
	ctx, cancel := context.WithTimeoutCause(context.Background(), f.timeout, f.late)
	defer cancel()
	f.carry(ctx, aboard)
	limit, _ := ctx.Deadline()
	late := !time.Now().Before(limit) // ctx itself may learn of it a moment later
	for _, p := range aboard {
		if late && p.err != nil && !refused(p.err) {
			p.err = fmt.Errorf("%w: %w", f.late, p.err) // the client says only that something timed out
		}
		p.arrive()
	}
}

// arrive brings the outcome. What waits for a claim begins here, in the batch in
// which the claims were made; its caller sleeps on until that is done.
func (p *passenger) arrive() {
	ahead := p.ahead
	switch {
	case p.to != nil:
		p.to(p.reply, p.err)
		p.recycle()
	case ahead == nil || p.err != nil || p.reply != any(claimed):
		p.done <- struct{}{}
	default:
		afterClaim()
		if p.state.CompareAndSwap(stateAboard, stateBegun) {
			ahead.Begin(p.done)
		}
	}
}

// carry brings the calls to the server: together first, and claims in the simplest
// way; then by script those whose key was not free, and by source those that it
// does not know yet (it is new, or was restarted), then one by one those that it
// refused together, so that each gets an answer of its own.
func (f *flights) carry(ctx context.Context, aboard []*passenger) {
	var claims, others []*passenger
	for _, p := range aboard {
		p.depart()
		if p.simple() {
			claims = append(claims, p)
		} else {
			others = append(others, p)
		}
	}
	groups := groupByScript(others, f.single.Load())
	taken := f.pipeline(ctx, claims, groups, (*redis.Script).EvalSha)
	if len(taken) > 0 {
		more := groupByScript(taken, f.single.Load())
		f.pipeline(ctx, nil, more, (*redis.Script).EvalSha)
		groups = append(groups, more...)
	}
	var unknown, apart []group
	for _, g := range groups {
		switch err := g[0].err; {
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, g)
		case len(g) > 1 && refused(err):
			apart = append(apart, f.takeApart(g)...)
		}
	}
	f.pipeline(ctx, nil, unknown, (*redis.Script).Eval)
	for _, g := range unknown {
		if len(g) > 1 && refused(g[0].err) {
			apart = append(apart, f.takeApart(g)...)
		}
	}
	f.pipeline(ctx, nil, apart, (*redis.Script).Eval)
	for _, p := range taken {
		if p.err != nil {
			p.err = fmt.Errorf("%w: %w", errTaken, p.err)
		}
	}
}

// takeApart makes a group of each call of one that was refused. Where several
// keys will never do (a cluster behind one address) that is remembered.
func (f *flights) takeApart(g group) []group {
	if strings.Contains(strings.ToLower(g[0].err.Error()), "slot") {
		f.single.Store(true)
	}
	return groupByScript(g, true)
}

// group is calls of one script that become one command.
type group []*passenger

// groupByScript puts the calls of each script together, or each by itself.
func groupByScript(calls []*passenger, single bool) []group {
	var groups []group
next:
	for _, p := range calls {
		if !single {
			for i := range groups {
				if groups[i][0].op == p.op {
					groups[i] = append(groups[i], p)
					continue next
				}
			}
		}
		groups = append(groups, group{p})
	}
	return groups
}

// pipeline claims keys, each with a command of its own, and runs each group as one
// command, all in one round trip. It gives the claims whose keys were not free.
func (f *flights) pipeline(ctx context.Context, claims []*passenger, groups []group, run func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd) (taken []*passenger) {
	if len(claims)+len(groups) == 0 {
		return nil
	}
	pipe := f.client.Pipeline()
	sets := make([]*redis.BoolCmd, len(claims))
	for i, p := range claims {
		sets[i] = pipe.SetNX(ctx, p.key, p.lease, p.op.ttl)
	}
	cmds := make([]*redis.Cmd, len(groups))
	for i, g := range groups {
		keys, args := make([]string, len(g)), make([]any, 1, 1+2*len(g))
		args[0] = g[0].op.expiry
		for j, p := range g {
			keys[j], args = p.key, append(args, p.lease, p.other)
		}
		cmds[i] = run(g[0].op.script, ctx, pipe, keys, args...)
	}
	// Each command has an error of its own, but when the server refuses the
	// connection itself (NOAUTH, WRONGPASS) the client marks none of them: claims
	// look as if they were taken then, and it is said when their script is run.
	_, failed := pipe.Exec(ctx)
	for i, p := range claims {
		switch free, err := sets[i].Result(); {
		case err != nil:
			p.err = err
		case free:
			p.reply = claimed
		default:
			taken = append(taken, p)
		}
	}
	for i, g := range groups {
		reply, err := cmds[i].Result()
		if reply == nil && err == nil {
			err = failed
		}
		g.land(reply, err)
	}
	return taken
}

// land gives each call its part of the answer.
func (g group) land(reply any, err error) {
	said, ok := reply.([]any)
	if err == nil && (!ok || len(said) != len(g)) {
		err = fmt.Errorf("unexpected answer of type %T to %d calls", reply, len(g))
	}
	for i, p := range g {
		p.reply, p.err = nil, err
		if err == nil {
			p.reply = said[i]
		}
	}
}
