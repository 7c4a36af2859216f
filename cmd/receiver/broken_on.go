//go:build faultpoints

package main

import (
	"context"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
)

// broken makes, of a receiver that is built for it, one with a mistake that
// others made. The fault harness must find it out; a harness that has never
// found anything proves nothing.
func broken(client redis.UniversalClient, o ingest.Options) ingest.Options {
	switch os.Getenv("ALIPAY_NOTIFY_BREAK") {
	case "commit-before-publish":
		o.Once = markFirst{client}
	case "ack-before-publish":
		o.Publisher = answerFirst{o.Publisher}
	}
	return o
}

// markFirst remembers a notification before it is stored, and believes what it
// remembers.
type markFirst struct{ client redis.UniversalClient }

func (m markFirst) Do(ctx context.Context, key, fingerprint string, _ ingest.Ahead, fn func(context.Context, bool) (string, error)) (place, prior string, err error) {
	first, err := m.client.SetNX(ctx, key, fingerprint, 72*time.Hour).Result()
	if err == nil && !first {
		return "", fingerprint, nil
	}
	place, err = fn(ctx, err == nil)
	return place, "", err
}

// answerFirst says "stored" of what it has only begun to send.
type answerFirst struct{ ingest.Publisher }

func (a answerFirst) Publish(ctx context.Context, e events.Event) (events.Receipt, error) {
	go a.Publisher.Publish(context.WithoutCancel(ctx), e) //nolint:errcheck // that is the mistake
	return events.Receipt{Place: "somewhere"}, nil
}
