// Package dedupetest holds what every server that package dedupe runs on must
// be seen to do: a fake one, Redis from 6 on, Valkey, single or clustered. It
// never waits for an expiry; it deletes the key instead, which is what an expiry
// is to everybody who looks at the key afterwards, and checks apart from that
// that an expiry of the right length is set.
package dedupetest

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/fault"
)

// The settings of the suite. The timeout is generous: nothing here waits for it,
// and a slow machine must not look like an absent Redis.
const (
	leaseTime = 30 * time.Second
	retention = 72 * time.Hour
	timeout   = 10 * time.Second
)

// Run runs the suite. newClient gives a client of the server to test, and closes
// it with t.Cleanup. The server may be shared: every test has a key of its own,
// and removes it.
func Run(t *testing.T, newClient func(t testing.TB) redis.UniversalClient) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*harness)
	}{
		{"runs once and remembers the place", runsOnce},
		{"a lease has its expiry, a commit too", setsExpiry},
		{"a failure lets the next attempt in at once", failureReleases},
		{"a panic releases and goes on", panicReleases},
		{"a failure under an ended context releases", endedContextReleases},
		{"a success under an ended context is remembered", endedContextCommits},
		{"an ended context runs nothing", endedContextRunsNothing},
		{"a conflict is visible during the lease and after the commit", conflictVisible},
		{"a commit whose place is gone is taken over", takesOver},
		{"a lost takeover looks again", lostTakeover},
		{"nothing is a duplicate when nobody can tell", holdsUnknown},
		{"a late commit does not overwrite another's lease", lateCommit},
		{"a late commit does not overwrite another's commit", lateCommitAfterCommit},
		{"a late release does not delete another's lease", lateRelease},
		{"a late commit of a key that nobody took is true", lateCommitUntaken},
		{"values that are not ours are left alone", foreignValues},
		{"ids with braces", bracesInID},
		{"a server that forgot the scripts", scriptFlush},
		{"many at once run once", manyAtOnce},
		{"many keys at once", manyKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := newClient(t)
			h := &harness{T: t, client: client, key: dedupe.Key("2021000000000001", rand.Text())}
			h.holds = func(context.Context, string) (bool, error) { return true, nil }
			t.Cleanup(func() { client.Del(context.Background(), h.key) })
			tt.run(h)
		})
	}
}

// harness is one test's server, key and what was observed.
type harness struct {
	*testing.T
	client redis.UniversalClient
	key    string
	holds  func(context.Context, string) (bool, error)

	mu       sync.Mutex
	observed []error
}

func (h *harness) new() *dedupe.Redis {
	h.Helper()
	r, err := dedupe.New(h.client, dedupe.Options{
		Lease: leaseTime, Retention: retention, Timeout: timeout,
		Holds: func(ctx context.Context, place string) (bool, error) { return h.holds(ctx, place) },
		Observe: func(_ string, err error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.observed = append(h.observed, err)
		},
	})
	if err != nil {
		h.Fatal(err)
	}
	return r
}

// expire ends whatever is stored under the key.
func (h *harness) expire() {
	h.Helper()
	if err := h.client.Del(h.Context(), h.key).Err(); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) stored() string {
	h.Helper()
	v, err := h.client.Get(h.Context(), h.key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		h.Fatal(err)
	}
	return v
}

// wantObserved checks what has been observed since the last check.
func (h *harness) wantObserved(want ...error) {
	h.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.observed) != len(want) {
		h.Fatalf("observed %v, want %v", h.observed, want)
	}
	for i := range want {
		if !errors.Is(h.observed[i], want[i]) || !strings.Contains(h.observed[i].Error(), h.key) {
			h.Errorf("observed %v, want %v with the key", h.observed[i], want[i])
		}
	}
	h.observed = nil
}

// storing is an fn that succeeds.
func storing(place string) func(context.Context, bool) (string, error) {
	return func(context.Context, bool) (string, error) { return place, nil }
}

var errFn = errors.New("fn failed")

func failing(context.Context, bool) (string, error) { return "", errFn }

// wantRun calls Do and expects fn to have run, under a claim, and to have
// stored the event.
func (h *harness) wantRun(r *dedupe.Redis, fingerprint, place string) {
	h.Helper()
	ran := false
	got, prior, err := r.Do(h.Context(), h.key, fingerprint, nil, func(_ context.Context, asked bool) (string, error) {
		ran = asked
		return place, nil
	})
	if !ran || got != place || prior != "" || err != nil {
		h.Fatalf("Do = %q, %q, %v; ran under a claim: %v; want it to run and store at %q", got, prior, err, ran, place)
	}
}

// wantPrior calls Do and expects fn not to run: with an empty kind because of a
// commit, else with an error of that kind.
func (h *harness) wantPrior(r *dedupe.Redis, fingerprint, place, prior string, kind fault.Kind) {
	h.Helper()
	gotPlace, gotPrior, err := r.Do(h.Context(), h.key, fingerprint, nil, func(context.Context, bool) (string, error) {
		h.Error("fn ran")
		return "", errFn
	})
	if gotPlace != place || gotPrior != prior || fault.KindOf(err) != kind {
		h.Fatalf("Do = %q, %q, %v; want %q, %q, kind %q", gotPlace, gotPrior, err, place, prior, kind)
	}
}
