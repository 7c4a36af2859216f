package dedupe_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

func TestKey(t *testing.T) {
	tests := map[[2]string]string{
		{"2021000000000001", "abc"}: "alipay:dedupe:{2021000000000001:abc}",
		{"2021", "a}b{"}:            "alipay:dedupe:{2021:a}b{}",
	}
	for in, want := range tests {
		if got := dedupe.Key(in[0], in[1]); got != want {
			t.Errorf("Key(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNewValidates(t *testing.T) {
	client := open(t, "127.0.0.1:1")
	good := dedupe.Options{Lease: 30 * time.Second, Retention: time.Hour, Holds: func(context.Context, string) (bool, error) { return false, nil }}
	if _, err := dedupe.New(client, good); err != nil {
		t.Errorf("good options: %v", err)
	}
	tests := map[string]func(*dedupe.Options){
		"timeout must be positive":                       func(o *dedupe.Options) { o.Timeout = -1 },
		"lease 0s must be longer":                        func(o *dedupe.Options) { o.Lease = 0 },
		"lease 100ms must be longer":                     func(o *dedupe.Options) { o.Lease = 100 * time.Millisecond },
		"retention 30s must be longer":                   func(o *dedupe.Options) { o.Retention = o.Lease },
		`policy "guess" must be`:                         func(o *dedupe.Options) { o.OnUnavailable = "guess" },
		"holds must be set":                              func(o *dedupe.Options) { o.Holds = nil },
		"lease 30s must be longer than the timeout 1m0s": func(o *dedupe.Options) { o.Timeout = time.Minute },
	}
	for want, spoil := range tests {
		o := good
		spoil(&o)
		if _, err := dedupe.New(client, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	// All problems at once.
	_, err := dedupe.New(nil, dedupe.Options{})
	for _, want := range []string{"client", "lease", "retention", "holds"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want it to name %s", err, want)
		}
	}
}

func TestBadFingerprint(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	for _, fp := range []string{"", "a:b", "a b", "é", strings.Repeat("f", 129)} {
		_, _, err := g.redis.Do(t.Context(), g.key, fp, nil, func(context.Context, bool) (string, error) { t.Error("fn ran"); return "", nil })
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("%q: err = %v, want internal", fp, err)
		}
	}
}

func TestStream(t *testing.T) {
	var s dedupe.Stream
	for range 2 {
		place, prior, err := s.Do(t.Context(), "k", "fp", nil, func(_ context.Context, asked bool) (string, error) {
			if asked {
				t.Error("asked, without a Redis")
			}
			return "p", nil
		})
		if place != "p" || prior != "" || err != nil {
			t.Errorf("Do = %q, %q, %v", place, prior, err)
		}
	}
	if _, _, err := s.Do(t.Context(), "k", "fp", nil, func(context.Context, bool) (string, error) { return "", errConn }); !errors.Is(err, errConn) {
		t.Errorf("err = %v, want fn's", err)
	}
}

// TestLeaseEnds: the lease does end by itself, on a server whose clock we hold.
func TestLeaseEnds(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	other := func() (ran bool, err error) {
		_, _, err = g.redis.Do(t.Context(), g.key, "two", nil, func(context.Context, bool) (string, error) { ran = true; return "second", nil })
		return ran, err
	}
	_, _, err := g.redis.Do(t.Context(), g.key, "one", nil, func(context.Context, bool) (string, error) {
		g.server.FastForward(time.Minute - time.Millisecond)
		if ran, err := other(); ran || fault.KindOf(err) != fault.InFlight {
			t.Errorf("before its end: ran %v, err %v", ran, err)
		}
		g.server.FastForward(time.Millisecond)
		if ran, err := other(); !ran || err != nil {
			t.Errorf("after its end: ran %v, err %v", ran, err)
		}
		return "first", nil
	})
	if err != nil || g.stored() != "1C:two:second" {
		t.Errorf("err %v, stored %q; want the second's commit", err, g.stored())
	}
}

// TestFlightsShare: calls that wait behind a busy server travel together, and
// one whose caller leaves is not sent at all.
func TestFlightsShare(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	gate := &gate{open: make(chan struct{}), arrived: make(chan int, 1000)}
	r := g.through(gate, dedupe.Options{})
	dedupe.SetPatience(r, time.Hour)
	do := func(ctx context.Context, key string) error {
		_, _, err := r.Do(ctx, key, "fp", nil, func(context.Context, bool) (string, error) { return "p", nil })
		return err
	}
	const calls = 101
	errs := make(chan error, calls)
	for i := range calls {
		go func() { errs <- do(t.Context(), dedupe.Key("2021", strings.Repeat("x", i))) }()
		if i == 0 {
			<-gate.arrived
		}
	}
	// At this point a flight is held at the gate with one call aboard.
	dedupe.WhenWaiting(r, calls-1)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error)
	go func() { cancelled <- do(ctx, "left") }()
	dedupe.WhenWaiting(r, calls)
	cancel()
	if err := <-cancelled; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("err = %v, want unavailable", err)
	}
	close(gate.open)
	for range calls {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if g.server.Exists("left") {
		t.Error("the call whose caller had left was sent")
	}
	largest := 0
	for range len(gate.arrived) {
		largest = max(largest, <-gate.arrived)
	}
	if largest < 10 {
		t.Errorf("at most %d calls shared a round trip", largest)
	}
}

// A round trip that is late, on a connection that died in the pool say, must not
// hold up the calls that come after it.
func TestFlightsDoNotWaitForALateOne(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	gate := &gate{open: make(chan struct{}), arrived: make(chan int, 1000), first: true}
	r := g.through(gate, dedupe.Options{})
	do := func(key string) error {
		_, _, err := r.Do(t.Context(), key, "fp", nil, func(context.Context, bool) (string, error) { return "p", nil })
		return err
	}
	dedupe.SetPatience(r, 0)
	late := make(chan error)
	go func() { late <- do("late") }()
	<-gate.arrived
	for _, key := range []string{"a", "b", "c"} {
		if err := do(key); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-late:
		t.Fatalf("the late one is back: %v", err)
	default:
	}
	close(gate.open)
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// gate is a client hook that holds pipelines until it is opened, and counts what
// is in them.
type gate struct {
	breaker
	open    chan struct{}
	arrived chan int
	first   bool // only the first is held
	passed  atomic.Int32
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		keys := 0
		for _, c := range cmds {
			if args := c.Args(); dedupe.ScriptName(args) != "" {
				keys += dedupe.KeysOf(args)
			}
		}
		if keys > 0 {
			g.arrived <- keys
			if g.passed.Add(1) == 1 || !g.first {
				<-g.open
			}
		}
		return next(ctx, cmds)
	}
}

// A server that does not do several keys in one script (a cluster behind one
// address) or refuses one of them must not fail the others: each call is repeated
// by itself and has an answer of its own.
func TestFlightsRefusedTogether(t *testing.T) {
	for _, refusal := range []refusal{"CROSSSLOT Keys in request don't hash to the same slot", "OOM command not allowed"} {
		g := newRig(t, dedupe.Refuse, false)
		client := open(t, g.server.Addr())
		gate := &gate{open: make(chan struct{}), arrived: make(chan int, 1000)}
		client.AddHook(gate)
		client.AddHook(&oneKey{refusal: refusal})
		r, err := dedupe.New(client, dedupe.Options{
			Lease: time.Minute, Retention: time.Hour, Timeout: 20 * time.Second, OnUnavailable: dedupe.Refuse,
			Holds:   func(context.Context, string) (bool, error) { return true, nil },
			Observe: func(op string, err error) { t.Errorf("observed %s: %v", op, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		dedupe.SetPatience(r, time.Hour)
		// First each key is claimed, then it is found to be done: two scripts.
		const calls = 21
		for _, prior := range []string{"", "fp"} {
			gate.open = make(chan struct{})
			errs := make(chan error, calls)
			for i := range calls {
				go func() {
					_, was, err := r.Do(t.Context(), dedupe.Key("2021", strings.Repeat("x", i)), "fp", nil, func(_ context.Context, asked bool) (string, error) {
						if !asked {
							return "", errors.New("not asked")
						}
						return "p", nil
					})
					if was != prior {
						err = fmt.Errorf("prior %q, want %q: %w", was, prior, err)
					}
					errs <- err
				}()
				if i == 0 {
					<-gate.arrived
				}
			}
			dedupe.WhenWaiting(r, calls-1)
			close(gate.open)
			for range calls {
				if err := <-errs; err != nil {
					t.Errorf("%s: %v", refusal, err)
				}
			}
			for len(gate.arrived) > 0 {
				<-gate.arrived
			}
		}
		for i := range calls {
			if got, _ := g.server.Get(dedupe.Key("2021", strings.Repeat("x", i))); got != "1C:fp:p" {
				t.Errorf("%s: stored %q", refusal, got)
			}
		}
		if single := strings.HasPrefix(string(refusal), "CROSSSLOT"); dedupe.Single(r) != single {
			t.Errorf("%s: remembered %v", refusal, !single)
		}
	}
}

// oneKey is a client hook that refuses scripts with several keys.
type oneKey struct {
	breaker
	refusal refusal
}

func (o *oneKey) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var taken []redis.Cmder
		for _, c := range cmds {
			if args := c.Args(); dedupe.ScriptName(args) != "" && dedupe.KeysOf(args) > 1 {
				c.SetErr(o.refusal)
			} else {
				taken = append(taken, c)
			}
		}
		if len(taken) > 0 {
			if err := next(ctx, taken); err != nil || len(taken) == len(cmds) {
				return err
			}
		}
		return o.refusal
	}
}

func BenchmarkDo(b *testing.B) {
	client := open(b, miniredis.RunT(b).Addr())
	r, err := dedupe.New(client, dedupe.Options{
		Lease: time.Minute, Retention: time.Hour, Timeout: 20 * time.Second,
		Holds: func(context.Context, string) (bool, error) { return true, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	fn := func(context.Context, bool) (string, error) { return "p", nil }
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		n := 0
		for pb.Next() {
			n++
			if _, _, err := r.Do(context.Background(), dedupe.Key("2021", string(rune(n%1000))), "fp", nil, fn); err != nil && fault.KindOf(err) != fault.InFlight {
				b.Fatal(err)
			}
		}
	})
}
