package dedupe

import (
	"context"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/batch"
)

// ScriptName is the Op constant of the script that a command calls, or stands for,
// or empty.
func ScriptName(args []any) string {
	if args[0] == "set" && args[len(args)-1] == "nx" {
		return OpClaim
	}
	if len(args) < 2 || (args[0] != "evalsha" && args[0] != "eval") {
		return ""
	}
	scripts := map[string]*redis.Script{OpClaim: claimScript, OpCommit: commitScript, OpRelease: releaseScript}
	for op, s := range scripts {
		if args[1] == s.Hash() {
			return op
		}
	}
	// By source: recognized through its digest.
	src, _ := args[1].(string)
	for op, s := range scripts {
		if redis.NewScript(src).Hash() == s.Hash() {
			return op
		}
	}
	return ""
}

// KeysOf counts the keys of a command that ScriptName has a name for.
func KeysOf(args []any) int {
	if args[0] == "set" {
		return 1
	}
	return args[2].(int)
}

// WithEvalHook is r, telling after before each answer that it waits for.
func WithEvalHook(r *Redis, after func(key string)) *Redis {
	return &Redis{opts: r.opts, eval: hooked{r.eval, after}, claims: r.claims, commits: r.commits, releases: r.releases}
}

type hooked struct {
	evaluator
	after func(key string)
}

func (h hooked) eval(ctx context.Context, c call) (any, error) {
	reply, err := h.evaluator.eval(ctx, c)
	h.after(c.key)
	return reply, err
}

// SetPatience lets a round trip take so long before another begins beside it.
func SetPatience(r *Redis, d time.Duration) {
	f := r.eval.(*flights)
	f.calls = batch.NewSender(batch.Options{Most: maxAboard, Batches: maxFlights, Patience: d, Gather: true}, f.fly)
}

// WhenWaiting returns when n calls of r wait for a flight.
func WhenWaiting(r *Redis, n int) {
	for r.eval.(*flights).calls.Waiting() < n {
		runtime.Gosched()
	}
}

// Single says that r has learned to send each key by itself.
func Single(r *Redis) bool { return r.eval.(*flights).single.Load() }

// Settling is settling.
type Settling struct{ settling }

// NewSettling makes one.
func NewSettling() *Settling { return &Settling{} }

// Add is add.
func (s *Settling) Add(key string) bool { return s.add(key) }

// Remove is remove.
func (s *Settling) Remove(key string) { s.remove(key) }

// Wait is wait.
func (s *Settling) Wait(ctx context.Context, key string) error { return s.wait(ctx, key) }

// MaxSettling is maxSettling.
const MaxSettling = maxSettling

// Land returns when no call of r is under way.
func Land(r *Redis) {
	for r.eval.(*flights).calls.Underway() > 0 {
		runtime.Gosched()
	}
}
