package dedupe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

// held keeps commits at a gate; other calls pass.
type held struct {
	breaker
	arrived, open chan struct{}
}

func (h *held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, c := range cmds {
			if dedupe.ScriptName(c.Args()) == dedupe.OpCommit {
				h.arrived <- struct{}{}
				<-h.open
			}
		}
		return next(ctx, cmds)
	}
}

// The answer does not wait for the commit, and whoever comes right behind the
// answer does: a sender that repeats itself at once was told "in flight" of a
// notification that had been acknowledged.
func TestCommitBehind(t *testing.T) {
	g := newRig(t, dedupe.Publish, false)
	client, gate := open(t, g.server.Addr()), &held{arrived: make(chan struct{}, 1), open: make(chan struct{})}
	client.AddHook(gate)
	r, err := dedupe.New(client, dedupe.Options{
		Lease: time.Minute, Retention: time.Hour, Timeout: 20 * time.Second, Behind: true,
		Holds:   func(context.Context, string) (bool, error) { return true, nil },
		Observe: func(op string, err error) { t.Errorf("observed %s: %v", op, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	do := func(ctx context.Context) (place, prior string, err error) {
		return r.Do(ctx, g.key, "fp", nil, func(context.Context, bool) (string, error) { return "p", nil })
	}
	if place, prior, err := do(t.Context()); place != "p" || prior != "" || err != nil {
		t.Fatalf("Do = %q, %q, %v", place, prior, err)
	}
	<-gate.arrived // answered, and the commit is still under way

	short, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() { _, _, err := do(short); waiting <- err }()
	go func() { waiting <- r.Settle(short) }()
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("while the commit is under way: %v", err)
		}
	}
	if _, _, err := do(short); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an ended context: %v", err)
	}

	again := make(chan error)
	go func() {
		place, prior, err := do(t.Context())
		if place != "p" || prior != "fp" {
			t.Errorf("the repeat: %q, %q, %v; want the commit", place, prior, err)
		}
		again <- err
	}()
	close(gate.open)
	if err := <-again; err != nil {
		t.Error(err)
	}
	if err := r.Settle(t.Context()); err != nil || g.stored() != "1C:fp:p" {
		t.Errorf("Settle: %v, stored %q", err, g.stored())
	}
}

// A Redis that has become slow slows the answers down; the commits that wait for
// it do not pile up, and one key has one at a time.
func TestCommitsBehindAreBounded(t *testing.T) {
	s := dedupe.NewSettling()
	key := func(i int) string { return string(rune(0x4E00 + i)) }
	for i := range dedupe.MaxSettling {
		if !s.Add(key(i)) {
			t.Fatalf("no room for %d", i)
		}
	}
	if s.Add("one more") {
		t.Error("one more than the most is behind its answer")
	}
	for i := range dedupe.MaxSettling {
		go s.Remove(key(i))
	}
	if err := s.Wait(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if !s.Add("k") || s.Add("k") {
		t.Error("a second commit of one key is under way beside the first")
	}
	settled := make(chan error, 2)
	for _, key := range []string{"k", ""} {
		go func() { settled <- s.Wait(t.Context(), key) }()
	}
	if err := s.Wait(t.Context(), "other"); err != nil {
		t.Errorf("another key: %v", err)
	}
	s.Remove("k")
	for range 2 {
		if err := <-settled; err != nil {
			t.Error(err)
		}
	}
}
