package dedupe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/batch"
)

var (
	someClaims  = &operation{claimScript, "60000", time.Minute}
	someCommits = &operation{commitScript, "60000", time.Minute}
	errLate     = errors.New("no answer from redis within some time")
)

// A Redis that takes connections and says nothing. Once the limit of whoever waits and
// that of the round trip came to end in that order, and the log said "context deadline
// exceeded" where the runbook has operators look for the time.
func TestLateSaysSo(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) //nolint:errcheck,gosec // it was used up
	client := redis.NewClient(&redis.Options{Addr: silent.Addr().String(), MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() }) //nolint:errcheck,gosec // it was used up
	f := newFlights(client, 20*time.Millisecond, errLate)
	_, err = f.eval(t.Context(), call{op: someClaims, key: "k", lease: "1L:x:fp"})
	if !errors.Is(err, errLate) || !mayHaveHappened(err) {
		t.Errorf("a claim: %v", err)
	}
	said := make(chan error, 1)
	f.send(call{op: someCommits, key: "k", lease: "1L:x:fp", other: "1C:fp:1"}, func(_ any, err error) { said <- err })
	if err := <-said; !errors.Is(err, errLate) {
		t.Errorf("a commit: %v", err)
	}
}

// Who finds no room in any round trip leaves when his time is over, and knows that
// nothing was sent.
func TestWhoNeverBoards(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	defer close(block)
	f := newFlights(nil, 20*time.Millisecond, errLate)
	f.calls = batch.NewSender(batch.Options{Most: 1, Batches: 1}, func([]*passenger) { <-block })
	if _, err := f.eval(t.Context(), call{op: someClaims, key: "k"}); !errors.Is(err, errLate) || !errors.Is(err, errNotSent) || mayHaveHappened(err) {
		t.Errorf("got %v", err)
	}
}

// slowAhead is done some time after it has begun.
type slowAhead struct {
	lag   time.Duration
	begun atomic.Int32
	ended atomic.Bool
}

func (a *slowAhead) Begin(done chan struct{}) {
	a.begun.Add(1)
	time.AfterFunc(a.lag, func() {
		a.ended.Store(true)
		done <- struct{}{}
	})
}

// Passengers are used again. Each call gets the answer of its own key and of no other,
// whoever leaves early beside it, and what nobody waits for any more never begins. With
// the short limit most are late in a round trip that goes on; with the long one, whoever
// is not in a hurry is answered.
func TestPassengersGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]time.Duration{"short": 3 * time.Millisecond, "long": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passengersGetTheirOwnAnswers(t, limit)
		})
	}
}

func passengersGetTheirOwnAnswers(t *testing.T, limit time.Duration) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { client.Close() }) //nolint:errcheck,gosec // it was used up
	const keys = 50
	for i := range keys {
		if err := m.Set(fmt.Sprint("taken", i), fmt.Sprint("1C:fp:", i)); err != nil {
			t.Fatal(err)
		}
	}
	f := newFlights(client, limit, errLate)
	patient := limit > time.Second
	taken := func(ctx context.Context, i int) {
		a := &slowAhead{}
		reply, err := f.eval(ctx, call{op: someClaims, key: fmt.Sprint("taken", i), lease: "1L:x:fp", ahead: a})
		if err == nil && reply != any(fmt.Sprint("1C:fp:", i)) || a.begun.Load() > 0 || err != nil && patient && ctx.Err() == nil {
			t.Errorf("taken%d: %v, %v, begun %d times", i, reply, err, a.begun.Load())
		}
	}
	free := func(ctx context.Context, key string, lag time.Duration) {
		a := &slowAhead{lag: lag}
		reply, err := f.eval(ctx, call{op: someClaims, key: key, lease: "1L:" + key + ":fp", ahead: a})
		if err != nil {
			if a.begun.Load() > 0 || patient && ctx.Err() == nil {
				t.Errorf("%s: %v, begun %d times", key, err, a.begun.Load())
			}
			return
		}
		if held, err := m.Get(key); err != nil || held != "1L:"+key+":fp" || reply != any(begun{}) || a.begun.Load() != 1 {
			t.Errorf("%s: %v, begun %d times, held by %q, %v", key, reply, a.begun.Load(), held, err)
		}
		if patient && ctx.Err() == nil && !a.ended.Load() {
			t.Errorf("%s: its caller was woken before it had ended", key)
		}
	}
	var all, sends sync.WaitGroup
	commit := func(i int) {
		sends.Add(1)
		var told atomic.Int32
		f.send(call{op: someCommits, key: fmt.Sprint("taken", i), lease: "1L:z:fp", other: "1C:other:1"}, func(reply any, err error) {
			if told.Add(1) != 1 || err == nil && reply != any(fmt.Sprint("1C:fp:", i)) {
				t.Errorf("a commit of taken%d: %v, told %d times", i, reply, told.Load())
			}
			sends.Done()
		})
	}
	for w := range 32 {
		all.Go(func() {
			for n := range 60 {
				ctx, leave := context.WithCancel(context.Background())
				if n%2 == 0 { // in a hurry
					leave()
					ctx, leave = context.WithTimeout(context.Background(), rand.N(6*time.Millisecond)) //nolint:gosec // anything will do
				}
				switch rand.IntN(3) { //nolint:gosec // anything will do
				case 0:
					taken(ctx, (w+n)%keys)
				case 1:
					free(ctx, fmt.Sprint("free", w, "-", n), rand.N(2*time.Millisecond)) //nolint:gosec // anything will do
				default:
					commit((w + n) % keys)
				}
				leave()
			}
		})
	}
	all.Wait()
	sends.Wait()
}
