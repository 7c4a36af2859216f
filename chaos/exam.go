package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"alipay-notify/internal/alipaytest"
)

// examined is how many notifications the exam takes.
const examined = 100

// exam is what is asked at the end, when nothing is broken, and therefore without
// any excuse: while things break, something nearby explains nearly every copy, and a
// receiver that never asked Redis went through as one that kept every promise.
type exam struct {
	began   time.Time // zero: there was none
	records []*record
}

func (x exam) holds(r *record) bool { return r != nil && slices.Contains(x.records, r) }

// examine delivers new notifications, and each again when the stream has forgotten
// it: Redis has to know it. Then it takes the stream away, and delivers each once
// more: Redis must not be believed. What came of it the checker sees.
func (l *lab) examine(ctx context.Context) error {
	pass(ctx, time.Second)
	l.exam.began = time.Now()
	var made []*alipaytest.Notification
	for n := range examined {
		m, err := alipaytest.New(kinds[n%len(kinds)], alipaytest.Options{
			AppID: l.app.ID, Key: l.app.Key, Rand: rand.New(rand.NewPCG(l.options.seed, 1<<40+uint64(n))),
		})
		if err != nil {
			return err
		}
		made = append(made, m)
		l.exam.records = append(l.exam.records, l.journal.open(m.ID(), m.Type()))
	}
	if err := l.deliverAll(ctx, made); err != nil {
		return err
	}
	pass(ctx, lease+time.Second) // what is only claimed is free again
	if err := l.nats.endWindow(ctx); err != nil {
		return err
	}
	if err := l.deliverAll(ctx, made); err != nil {
		return err
	}
	old, err := l.nats.endLife(ctx)
	if err != nil {
		return err
	}
	l.ended(old)
	if err := errors.Join(l.provision(ctx), l.nats.healthy(ctx)); err != nil {
		return err
	}
	if err := l.deliverAll(ctx, made); err != nil {
		return err
	}
	pass(ctx, time.Second) // commits come behind the answers
	return nil
}

// deliverAll delivers each until it is acknowledged, one after the other.
func (l *lab) deliverAll(ctx context.Context, made []*alipaytest.Notification) error {
	for i, m := range made {
		r := l.exam.records[i]
		err := await(ctx, patience, fmt.Sprintf("%s is acknowledged", m.ID()), func(context.Context) bool {
			l.sender.once(m, r)
			r.mu.Lock()
			defer r.mu.Unlock()
			n := len(r.attempts) // none where the run is broken off
			return n > 0 && r.attempts[n-1].success()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
