//go:build faultpoints

package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
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
	case "redis-never-asked":
		o.Once = dedupe.Stream{}
	case "never-committed":
		o.Once = forgetful{o.Once, client}
	case "redis-alone-believed":
		o.Once = credulous{o.Once, client}
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

// forgetful gives its claim back when the event is stored, instead of remembering it.
type forgetful struct {
	ingest.Once
	client redis.UniversalClient
}

func (f forgetful) Do(ctx context.Context, key, fingerprint string, ahead ingest.Ahead, fn func(context.Context, bool) (string, error)) (place, prior string, err error) {
	place, prior, err = f.Once.Do(ctx, key, fingerprint, ahead, fn)
	if prior == "" && err == nil {
		// The commit is made behind the answer.
		time.AfterFunc(time.Second, func() { f.client.Del(context.WithoutCancel(ctx), key) })
	}
	return place, prior, err
}

// credulous believes Redis alone: it does not ask whether the stream still has what
// was committed.
type credulous struct {
	ingest.Once
	client redis.UniversalClient
}

func (c credulous) Do(ctx context.Context, key, fingerprint string, ahead ingest.Ahead, fn func(context.Context, bool) (string, error)) (place, prior string, err error) {
	if v, err := c.client.Get(ctx, key).Result(); err == nil && strings.HasPrefix(v, "1C:") {
		return "", fingerprint, nil
	}
	return c.Once.Do(ctx, key, fingerprint, ahead, fn)
}

// answerFirst says "stored" of what it has only begun to send.
type answerFirst struct{ ingest.Publisher }

func (a answerFirst) Publish(ctx context.Context, e events.Event) (events.Receipt, error) {
	go a.Publisher.Publish(context.WithoutCancel(ctx), e) //nolint:errcheck // that is the mistake
	return events.Receipt{Place: "somewhere"}, nil
}
