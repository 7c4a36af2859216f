package dedupe_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

// breaker is a client hook that lets calls of one script fail.
type breaker struct {
	mu   sync.Mutex
	op   string // of dedupe.ScriptName
	mode mode
}

// mode says how a call fails.
type mode struct {
	happens bool  // the server does it all the same
	hangs   bool  // no answer until the time is over
	err     error // otherwise this answer
}

func (b *breaker) set(op string, m mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.op, b.mode = op, m
}

func (b *breaker) next(ctx context.Context, cmds []redis.Cmder, do func() error) error {
	b.mu.Lock()
	op, m := b.op, b.mode
	b.mu.Unlock()
	if !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return op != "" && dedupe.ScriptName(c.Args()) == op }) {
		return do()
	}
	if m.happens {
		if err := do(); err != nil {
			return err // NOSCRIPT: the call by source follows
		}
	}
	err := m.err
	if m.hangs {
		<-ctx.Done()
		err = ctx.Err()
	}
	for _, c := range cmds {
		c.SetErr(err)
	}
	return err
}

func (b *breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return b.next(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return b.next(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// refusal is an error that the server answered with.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

var errConn = errors.New("connection reset by peer")

// modes are the ways to fail. A refusal has never happened.
var modes = map[string]mode{
	"lost and did not happen": {err: errConn},
	"lost but happened":       {err: errConn, happens: true},
	"hangs, did not happen":   {hangs: true},
	"hangs, but happened":     {hangs: true, happens: true},
	"OOM":                     {err: refusal("OOM command not allowed when used memory > 'maxmemory'.")},
	"READONLY":                {err: refusal("READONLY You can't write against a read only replica.")},
	"LOADING":                 {err: refusal("LOADING Redis is loading the dataset in memory")},
	"CLUSTERDOWN":             {err: refusal("CLUSTERDOWN The cluster is down")},
	"NOAUTH":                  {err: refusal("NOAUTH Authentication required.")},
	"NOPERM":                  {err: refusal("NOPERM this user has no permissions to run the 'evalsha' command")},
}

// rig is one server with a Redis that can be broken.
type rig struct {
	*testing.T
	server  *miniredis.Miniredis
	breaker *breaker
	redis   *dedupe.Redis
	key     string

	mu  sync.Mutex
	ops []string
}

func newRig(t *testing.T, policy dedupe.Policy, hangs bool) *rig {
	t.Helper()
	g := &rig{T: t, server: miniredis.RunT(t), breaker: &breaker{}, key: dedupe.Key("2021", t.Name())}
	client := open(t, g.server.Addr())
	client.AddHook(g.breaker)
	o := dedupe.Options{
		Lease: time.Minute, Retention: time.Hour, OnUnavailable: policy, Timeout: 20 * time.Second,
		Holds: func(context.Context, string) (bool, error) { return true, nil },
		Observe: func(op string, _ error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.ops = append(g.ops, op)
		},
	}
	if hangs { // the one thing that only time can end
		o.Timeout = 500 * time.Millisecond
	}
	var err error
	if g.redis, err = dedupe.New(client, o); err != nil {
		t.Fatal(err)
	}
	return g
}

// through is a Redis of its own on the server, with calls through a hook.
func (g *rig) through(hook redis.Hook, o dedupe.Options) *dedupe.Redis {
	g.Helper()
	client := open(g.T, g.server.Addr())
	client.AddHook(hook)
	o.Lease, o.Retention, o.Timeout = time.Minute, time.Hour, 20*time.Second
	o.Holds = func(context.Context, string) (bool, error) { return true, nil }
	r, err := dedupe.New(client, o)
	if err != nil {
		g.Fatal(err)
	}
	return r
}

func (g *rig) observed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ops)
}

func (g *rig) stored() string {
	v, _ := g.server.Get(g.key) // the error says that there is none
	return v
}

// TestFaults breaks each operation in each way, under each policy, with fn
// succeeding and failing, and then repairs it and lets the sender retry, at once
// and after the lease. What holds of all of it:
//
//   - fn's success is returned as such, and fn's error as such;
//   - fn does not run only when the claim was refused or lost, by policy Refuse;
//   - after a success nothing but the event's own lease or commit is there;
//   - the retry is a duplicate, waits for our own lease, or runs;
//   - once the lease is over it never waits.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, op := range []string{dedupe.OpClaim, dedupe.OpCommit, dedupe.OpRelease} {
		for name, m := range modes {
			for _, policy := range []dedupe.Policy{dedupe.Publish, dedupe.Refuse} {
				for _, fnErr := range []error{nil, errConn} {
					t.Run(fmt.Sprintf("%s/%s/%s/%v", op, name, policy, fnErr), func(t *testing.T) {
						t.Parallel()
						testFault(newRig(t, policy, m.hangs), op, m, policy, fnErr)
					})
				}
			}
		}
	}
}

func testFault(g *rig, op string, m mode, policy dedupe.Policy, fnErr error) {
	g.breaker.set(op, m)
	ran, asked := false, false
	place, prior, err := g.redis.Do(g.Context(), g.key, "fp", nil, func(_ context.Context, a bool) (string, error) {
		ran, asked = true, a
		return "p", fnErr
	})
	if op == dedupe.OpClaim && policy == dedupe.Refuse {
		if ran || fault.KindOf(err) != fault.Unavailable || fault.ReasonOf(err) != "redis" {
			g.Fatalf("ran %v, err %v; want it refused as unavailable", ran, err)
		}
	} else {
		if !ran || asked == (op == dedupe.OpClaim) {
			g.Fatalf("ran %v, asked %v", ran, asked)
		}
		if err != fnErr || (err == nil && place != "p") || prior != "" { //nolint:errorlint // unchanged
			g.Fatalf("Do = %q, %q, %v; want fn's own outcome", place, prior, err)
		}
	}
	if broken := op == dedupe.OpClaim || (op == dedupe.OpCommit) == (fnErr == nil); broken != slices.Contains(g.observed(), op) {
		g.Errorf("observed %q", g.observed())
	}
	succeeded := ran && fnErr == nil
	g.breaker.set("", mode{})
	kept := g.stored()
	if op == dedupe.OpClaim && succeeded && kept != "1C:fp:p" {
		g.Errorf("stored %q; want the commit, for Redis answers again", kept)
	}
	if op == dedupe.OpClaim && !succeeded && kept != "" {
		g.Errorf("stored %q; want the claim taken back", kept)
	}

	again := func() (ran bool, prior string, err error) {
		_, prior, err = g.redis.Do(g.Context(), g.key, "fp", nil, func(context.Context, bool) (string, error) { ran = true; return "p", nil })
		return ran, prior, err
	}
	ran, prior, err = again()
	switch {
	case kept == "" && ran && err == nil: // handled afresh
	case kept == "1C:fp:p" && succeeded && !ran && prior == "fp" && err == nil: // duplicate
	case kept != "" && op != dedupe.OpClaim && !m.happens && !ran && fault.KindOf(err) == fault.InFlight: // the lease
		g.server.FastForward(time.Minute)
		if ran, _, err := again(); !ran || err != nil {
			g.Errorf("after the lease: ran %v, err %v", ran, err)
		}
	default:
		g.Errorf("the retry over %q: ran %v, prior %q, err %v", kept, ran, prior, err)
	}
	g.server.FastForward(time.Minute)
	if ran, prior, err := again(); ran || prior != "fp" || err != nil {
		g.Errorf("at last: ran %v, prior %q, err %v; want a duplicate", ran, prior, err)
	}
	g.server.FastForward(time.Hour)
	if ran, _, err := again(); !ran || err != nil {
		g.Errorf("after the retention: ran %v, err %v", ran, err)
	}
}

// TestCancelledClaim: the caller goes away while Redis thinks. fn must not run,
// whatever the policy, and the claim that did get through is taken back.
func TestCancelledClaim(t *testing.T) {
	for _, happens := range []bool{false, true} {
		g := newRig(t, dedupe.Publish, false)
		ctx, cancel := context.WithCancel(t.Context())
		g.breaker.set(dedupe.OpClaim, mode{happens: happens, err: errConn})
		g.redis = dedupe.WithEvalHook(g.redis, func(string) { cancel() })
		_, prior, err := g.redis.Do(ctx, g.key, "fp", nil, func(context.Context, bool) (string, error) {
			t.Error("fn ran")
			return "", nil
		})
		if prior != "" || fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("prior %q, err %v; want unavailable, cancelled", prior, err)
		}
		if got := g.stored(); got != "" {
			t.Errorf("stored %q, want nothing", got)
		}
		if got := g.observed(); len(got) > 0 {
			t.Errorf("observed %q; the caller's leaving is no fault of Redis", got)
		}
	}
}

// TestClaimRepeatedByClient: the client repeats a claim whose answer was lost.
// The second sending finds the lease of the first and knows it for its own.
func TestClaimRepeatedByClient(t *testing.T) {
	g := newRig(t, dedupe.Refuse, false)
	client := open(t, g.server.Addr())
	client.AddHook(&repeater{})
	r, err := dedupe.New(client, dedupe.Options{
		Lease: time.Minute, Retention: time.Hour, Timeout: 20 * time.Second, OnUnavailable: dedupe.Refuse,
		Holds:   func(context.Context, string) (bool, error) { return true, nil },
		Observe: func(op string, err error) { t.Errorf("observed %s: %v", op, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, fnErr := range []error{errConn, nil} {
		asked := false
		_, prior, err := r.Do(t.Context(), g.key, "fp", nil, func(_ context.Context, a bool) (string, error) { asked = a; return "p", fnErr })
		if !asked || prior != "" || !errors.Is(err, fnErr) {
			t.Errorf("asked %v, prior %q, err %v; want fn's outcome under a claim", asked, prior, err)
		}
	}
	if got := g.stored(); got != "1C:fp:p" {
		t.Errorf("stored %q", got)
	}
}

// repeater sends everything twice.
type repeater struct{ breaker }

func (*repeater) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		_ = next(ctx, cmds)
		for _, c := range cmds {
			c.SetErr(nil)
		}
		return next(ctx, cmds)
	}
}

// TestRedisAway: nobody listens at all, for a claim and from then on.
func TestRedisAway(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	g.server.Close()
	place, _, err := g.redis.Do(t.Context(), g.key, "fp", nil, func(_ context.Context, asked bool) (string, error) {
		if asked {
			t.Error("asked, of a server that is not there")
		}
		return "p", nil
	})
	if place != "p" || err != nil {
		t.Errorf("Do = %q, %v", place, err)
	}
	if got, want := g.observed(), []string{dedupe.OpClaim, dedupe.OpCommit}; !slices.Equal(got, want) {
		t.Errorf("observed %q, want %q", got, want)
	}
}

// TestRefusedLogin: the client marks no single call when the server refuses the
// connection; an unmarked call must not look like an answer.
func TestRefusedLogin(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("secret")
	for _, url := range []string{"redis://" + server.Addr(), "redis://:wrong-pw@" + server.Addr()} {
		client, err := dedupe.Open(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		r, err := dedupe.New(client, dedupe.Options{
			Lease: time.Minute, Retention: time.Hour, OnUnavailable: dedupe.Refuse, Timeout: 20 * time.Second,
			Holds: func(context.Context, string) (bool, error) { return true, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = r.Do(t.Context(), "k", "fp", nil, func(context.Context, bool) (string, error) { t.Error("fn ran"); return "", nil })
		if _, refused := errors.AsType[redis.Error](err); !refused || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: err = %v, want the server's refusal, as unavailable", url, err)
		}
	}
}

// repeats is a client hook that makes of each claim what the client does when the
// answer to its first sending was lost: it is sent again, and finds itself. What
// follows is refused, as by a server that ran out of memory in between.
type repeats struct{ breaker }

func (r *repeats) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		switch name := dedupe.ScriptName(cmds[0].Args()); {
		case name == dedupe.OpClaim && cmds[0].Args()[0] == "set":
			if err := next(ctx, cmds); err != nil {
				return err
			}
		case name == dedupe.OpClaim:
			for _, c := range cmds {
				c.SetErr(refusal("OOM command not allowed when used memory > 'maxmemory'."))
			}
			return cmds[0].Err()
		}
		return next(ctx, cmds)
	}
}

// TestClaimOfARepeat: a claim that met itself and was refused a closer look may be
// there. Taken for one that is not, it was left to keep the next delivery waiting.
func TestClaimOfARepeat(t *testing.T) {
	t.Parallel()
	g := newRig(t, dedupe.Refuse, false)
	r := g.through(&repeats{}, dedupe.Options{OnUnavailable: dedupe.Refuse})
	_, _, err := r.Do(t.Context(), g.key, "fp", nil, func(context.Context, bool) (string, error) { t.Error("fn ran"); return "", nil })
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("err = %v", err)
	}
	if got := g.stored(); got != "" {
		t.Errorf("the claim is still there: %q", got)
	}
}
