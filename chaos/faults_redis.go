package main

import (
	"context"
	"time"
)

// primaryNow is the node that everybody is sent to.
func (b *breaking) primaryNow() (*redisNode, error) {
	n, err := b.lab.redis.primary(b.life)
	if err == nil {
		b.hit(n.unit)
	}
	return n, err
}

// emptyRedis is back before the sentinels have missed it: the primary is empty,
// and its replica makes itself so.
func emptyRedis(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	n.kill()
	return n.start()
}

func emptyBothRedis(b *breaking) error {
	for _, n := range b.lab.redis.nodes {
		n.kill()
	}
	return b.lab.redis.mend()
}

func flushRedis(b *breaking) error { return b.flush() }

func (b *breaking) flush() error {
	return await(b.life, patience, "Redis is emptied", func(ctx context.Context) bool {
		n, err := b.lab.redis.primary(ctx)
		return err == nil && n.client.FlushAll(ctx).Err() == nil
	})
}

func promoteOverDead(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	n.kill()
	return b.lab.redis.promoted(b.life, n)
}

// promoteOverStopped lets two Redis believe that they are the primary for a
// moment, when the old one wakes up.
func promoteOverStopped(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	n.pause()
	err = b.lab.redis.promoted(b.life, n)
	n.resume()
	return err
}

func stutterRedis(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	return b.stutter(n.unit)
}

// setting changes a setting of the primary for a while.
func (b *breaking) setting(name, value, usual string) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	if err := n.client.ConfigSet(b.life, name, value).Err(); err != nil {
		return err
	}
	b.wait()
	return n.client.ConfigSet(b.life, name, usual).Err()
}

func exhaustRedis(b *breaking) error { return b.setting("maxmemory", "1", "0") }

func readOnlyRedis(b *breaking) error { return b.setting("min-replicas-to-write", "3", "0") }

func cutRedis(b *breaking) error {
	for end := time.Now().Add(b.hold); time.Now().Before(end) && b.ctx.Err() == nil; {
		for _, n := range b.lab.redis.nodes {
			n.proxy.cut()
		}
		pass(b.ctx, between(b.random, 100*time.Millisecond, time.Second))
	}
	return nil
}

func slowRedis(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	delay := between(b.random, 10*time.Millisecond, 700*time.Millisecond)
	b.tell("by %v each way", delay.Round(time.Millisecond))
	n.proxy.slow(delay)
	b.wait()
	return nil
}

func swallowRedis(b *breaking) error {
	n, err := b.primaryNow()
	if err != nil {
		return err
	}
	n.proxy.swallow(true)
	b.wait()
	return nil
}
