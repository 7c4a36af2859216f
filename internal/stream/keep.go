package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"alipay-notify/internal/events"
)

const (
	// quarantineTimeout bounds what a refused but signed request waits for.
	quarantineTimeout = time.Second

	// What may wait to be written to ALIPAY_REJECTS: a flood of rubbish must
	// cost neither memory nor the genuine ones' time.
	rejectQueue = 4096
	rejectBytes = 16 << 20

	// How many rejects an app or a source may leave: enough for an evening with
	// the wrong key, and then one a second.
	rejectBurst  = 2000
	rejectPerSec = 1
	maxLimited   = 4096 // sources counted one by one; the rest share
)

// Keeper stores requests that were not accepted. It is safe for concurrent use;
// Run must be running for rejects to be written.
type Keeper struct {
	client  *Client
	observe func(event string, err error)
	now     func() time.Time

	queue   chan events.Kept
	waiting atomic.Int64 // bytes in queue

	mu      sync.Mutex
	apps    map[string]*bucket // configured apps and "": needs no bound
	sources map[string]*bucket // chosen by strangers: at most maxLimited
}

// The events that a Keeper's observer is told of.
const (
	KeptQuarantine  = "quarantined"
	KeptReject      = "rejected"
	KeepLimited     = "limited"  // over the rate of its app or source: not kept
	KeepOverflow    = "overflow" // too many waiting: not kept
	KeepUnavailable = "unavailable"
)

// KeeperEvents is the closed set of what the observer is told of.
func KeeperEvents() []string {
	return []string{KeptQuarantine, KeptReject, KeepLimited, KeepOverflow, KeepUnavailable}
}

// NewKeeper makes a keeper. observe hears of every request, kept or not.
func (c *Client) NewKeeper(observe func(event string, err error)) *Keeper {
	return &Keeper{
		client: c, observe: observe, now: time.Now,
		queue: make(chan events.Kept, rejectQueue), apps: make(map[string]*bucket), sources: make(map[string]*bucket),
	}
}

// Quarantine stores a signed request that was not accepted, and returns when it
// is stored. The same request again is stored once.
func (k *Keeper) Quarantine(ctx context.Context, kept events.Kept) error {
	ctx, cancel := context.WithTimeout(ctx, quarantineTimeout)
	defer cancel()
	if err := k.put(ctx, kept); err != nil {
		k.observe(KeepUnavailable, err)
		return fmt.Errorf("quarantine: %w", err)
	}
	k.observe(KeptQuarantine, nil)
	return nil
}

// Reject hands a request over to be written later, or drops it where its app
// or its source has left too many. It never waits.
func (k *Keeper) Reject(kept events.Kept) {
	kept.Source = strings.Clone(kept.Source) // it may be a part of the request, and is remembered
	// The source first: what it has too much of must not use up its app's share.
	if !k.allow(k.sources, kept.Source) || !k.allow(k.apps, kept.AppID) {
		k.observe(KeepLimited, nil)
		return
	}
	// Of a header only so much is written; the rest must not wait in memory.
	kept.ContentType, kept.PathApp = events.ClipKept(kept.ContentType), events.ClipKept(kept.PathApp)
	size := keptSize(kept)
	if k.waiting.Add(size) > rejectBytes {
		k.waiting.Add(-size)
		k.observe(KeepOverflow, nil)
		return
	}
	kept.Body = strings.Clone(kept.Body) // it may be one text with the head of its request
	select {
	case k.queue <- kept:
	default:
		k.waiting.Add(-size)
		k.observe(KeepOverflow, nil)
	}
}

// keptSize is what a request holds in memory while it waits.
func keptSize(kept events.Kept) int64 {
	return int64(len(kept.Body) + len(kept.ContentType) + len(kept.PathApp) + 512)
}

// Run writes rejects until ctx ends, and then what still waits, within a second.
func (k *Keeper) Run(ctx context.Context) {
	for {
		select {
		case kept := <-k.queue:
			k.write(context.WithoutCancel(ctx), kept)
		case <-ctx.Done():
			k.drain(context.WithoutCancel(ctx))
			return
		}
	}
}

func (k *Keeper) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quarantineTimeout)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case kept := <-k.queue:
			k.write(ctx, kept)
		default:
			return
		}
	}
}

func (k *Keeper) write(ctx context.Context, kept events.Kept) {
	defer k.waiting.Add(-keptSize(kept))
	ctx, cancel := context.WithTimeout(ctx, quarantineTimeout)
	defer cancel()
	if err := k.put(ctx, kept); err != nil {
		k.observe(KeepUnavailable, err)
		return
	}
	k.observe(KeptReject, nil)
}

var errDisconnected = errors.New("not connected to NATS")

func (k *Keeper) put(ctx context.Context, kept events.Kept) error {
	if !k.client.Connected() {
		return errDisconnected
	}
	msg := &nats.Msg{Subject: kept.Subject(), Data: []byte(kept.Body), Header: make(nats.Header)}
	for name, value := range kept.Header() {
		msg.Header[name] = []string{value}
	}
	if _, err := k.client.js.PublishMsg(ctx, msg); err != nil {
		return classify(err)
	}
	return nil
}

// bucket is a token bucket.
type bucket struct {
	tokens float64
	last   time.Time
}

func (k *Keeper) allow(buckets map[string]*bucket, name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	b, known := buckets[name]
	if !known {
		if len(buckets) >= maxLimited {
			forget(buckets, now)
		}
		if len(buckets) >= maxLimited {
			name = "others"
			b = buckets[name]
		}
		if b == nil {
			b = &bucket{tokens: rejectBurst, last: now}
			buckets[name] = b
		}
	}
	b.tokens = min(rejectBurst, b.tokens+now.Sub(b.last).Seconds()*rejectPerSec)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// forget drops the buckets that are full again: they say nothing.
func forget(buckets map[string]*bucket, now time.Time) {
	for name, b := range buckets {
		if b.tokens+now.Sub(b.last).Seconds()*rejectPerSec >= rejectBurst {
			delete(buckets, name)
		}
	}
}
