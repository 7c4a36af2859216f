package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var errLost = errors.New("the answer was lost on the way")

// balancer takes what the sender sends to the ready receivers, one after the
// other, and writes the journal. It is the sender's http.RoundTripper, and is
// safe for concurrent use.
type balancer struct {
	journal   *journal
	receivers []*receiver
	transport http.Transport
	losing    atomic.Bool // every other answer is lost on the way

	mu   sync.Mutex
	turn int
}

// pick is the next ready receiver, or, when none is, the next one: balancers do
// so rather than have nobody answer, and the harness wants to see what a receiver
// that is not ready says.
func (b *balancer) pick() *receiver {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.receivers {
		b.turn = (b.turn + 1) % len(b.receivers)
		if r := b.receivers[b.turn]; r.ready.Load() {
			return r
		}
	}
	b.turn = (b.turn + 1) % len(b.receivers)
	return b.receivers[b.turn]
}

// RoundTrip makes one delivery; see http.RoundTripper.
func (b *balancer) RoundTrip(request *http.Request) (*http.Response, error) {
	c := chainOf(request.Context())
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	a := attempt{Begin: time.Now(), Body: hashOf(body)}
	defer func() {
		a.End = time.Now()
		b.journal.note(c.record, a)
	}()
	r := b.pick()
	a.Receiver = r.name
	answer, err := b.forward(request, r, body)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // it is read
	if err != nil {
		return nil, err
	}
	a.Status, a.Answer = answer.StatusCode, string(text)
	if a.Lost = b.losing.Load() && b.odd(); a.Lost {
		return nil, errLost
	}
	answer.Body = io.NopCloser(strings.NewReader(a.Answer))
	return answer, nil
}

func (b *balancer) forward(request *http.Request, r *receiver, body []byte) (*http.Response, error) {
	target, err := url.Parse(r.url)
	if err != nil {
		return nil, err
	}
	forwarded := request.Clone(request.Context())
	forwarded.URL, forwarded.Host = target, target.Host
	forwarded.Body, forwarded.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	return b.transport.RoundTrip(forwarded)
}

func (b *balancer) odd() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return b.turn%2 == 1
}

// chain is one notification on its way along the schedule.
type chain struct {
	record *record
	gaps   int // that have begun
	last   int // the number of gaps in the schedule
}

type chainKey struct{}

func withChain(ctx context.Context, c *chain) context.Context {
	return context.WithValue(ctx, chainKey{}, c)
}

func chainOf(ctx context.Context) *chain {
	c, _ := ctx.Value(chainKey{}).(*chain) // every delivery has one
	return c
}
