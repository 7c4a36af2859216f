package dedupe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Clock compares the server's clock with ours, or that of every master of a
// cluster. ahead is how far the server is before us (negative: behind), of the
// worst of them; it is known to within half of the time that the question took.
// known is false where an ACL forbids the question.
func Clock(ctx context.Context, client redis.UniversalClient) (ahead, within time.Duration, known bool, err error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return serverClock(ctx, client)
	}
	var mu sync.Mutex
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		a, w, k, err := serverClock(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		if k && a.Abs() >= ahead.Abs() {
			ahead, within, known = a, w, true
		}
		return err
	})
	return ahead, within, known, err
}

func serverClock(ctx context.Context, client redis.UniversalClient) (ahead, within time.Duration, known bool, err error) {
	// The first question may have to connect.
	if err := client.Ping(ctx).Err(); err != nil && !forbidden(err) {
		return 0, 0, false, fmt.Errorf("ping: %w", err)
	}
	asked := time.Now()
	theirs, err := client.Time(ctx).Result()
	if err != nil {
		if isRefusal(err) {
			return 0, 0, false, nil
		}
		return 0, 0, false, fmt.Errorf("time: %w", err)
	}
	within = time.Since(asked) / 2
	return theirs.Sub(asked.Add(within)), within, true, nil
}
