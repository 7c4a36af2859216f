package wire

import (
	"context"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/ingest"
)

// Once is the dedupe that the configuration asks for: Redis, or without it the
// stream's own window alone. holds is what dedupe.Options.Holds is, observe may
// be nil. The client is the caller's to close; it is nil without Redis.
func Once(cfg config.Config, holds func(ctx context.Context, place string) (bool, error), observe func(op string, err error)) (ingest.Once, redis.UniversalClient, error) {
	client, err := OpenRedis(cfg)
	if err != nil {
		return nil, nil, cli.Usagef("receiver check", "redis: %w", err)
	}
	if client == nil {
		return dedupe.Stream{}, nil, nil
	}
	once, err := dedupe.New(client, dedupe.Options{
		Lease:         cfg.Redis.Lease,
		Retention:     cfg.Redis.Retention,
		OnUnavailable: dedupe.Policy(cfg.Redis.OnUnavailable),
		Holds:         holds,
		Observe:       observe,
	})
	if err != nil {
		client.Close() //nolint:errcheck,gosec // nothing was sent
		return nil, nil, err
	}
	return once, client, nil
}
