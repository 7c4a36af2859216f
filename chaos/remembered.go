package main

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// retention is the receiver's default.
const retention = 72 * time.Hour

// dedupeKeys begin all keys of the product; what follows is {app:id}.
const dedupeKeys = "alipay:dedupe:"

// remembered is a key of the product in Redis at the end.
type remembered struct {
	commit bool          // else a lease
	left   time.Duration // until it is forgotten; negative: never
}

// remembers reads what the primary holds, by the id of the notification.
func (r *redisPair) remembers(ctx context.Context) (map[string]remembered, error) {
	n, err := r.primary(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]remembered{}
	keys := n.client.Scan(ctx, 0, dedupeKeys+"*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var left *redis.DurationCmd
		var value *redis.StringCmd
		_, err := n.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			left, value = p.PTTL(ctx, key), p.GetRange(ctx, key, 0, 2)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if left.Val() == -2 { // it has just ended; -1 would be never, and the client leaves both as they are
			continue
		}
		_, id, _ := strings.Cut(strings.TrimPrefix(key, dedupeKeys), ":")
		all[strings.TrimSuffix(id, "}")] = remembered{commit: value.Val() == "1C:", left: left.Val()}
	}
	return all, keys.Err()
}

// remembered wants every key of the product to have an end, and a notification
// that was stored while nothing was broken to be remembered as stored: a commit that
// is never made costs nothing until the stream has forgotten the id.
func (v *verdict) remembered(e evidence) {
	for id, r := range e.keys {
		most := lease
		if r.commit {
			most = retention
		}
		if r.left < 0 || r.left > most {
			v.violate("KEPT: Redis forgets %s in %v, want %v at the most", id, r.left, most)
		}
	}
	for _, r := range e.exam.records {
		if !e.keys[r.id].commit {
			v.violate("NOT REMEMBERED: %s, which was stored while nothing was broken", r.id)
		}
	}
}
