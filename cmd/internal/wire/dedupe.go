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
// stream's own window alone. o.Holds is to be set, o.Observe and o.Behind may be.
// settle waits for the commits behind their answers. The client is the caller's
// to close, after that; it is nil without Redis.
func Once(cfg config.Config, o dedupe.Options) (once ingest.Once, client redis.UniversalClient, settle func(context.Context) error, err error) {
	client, err = OpenRedis(cfg)
	if err != nil {
		return nil, nil, nil, cli.Usagef("receiver check", "redis: %w", err)
	}
	if client == nil {
		return dedupe.Stream{}, nil, func(context.Context) error { return nil }, nil
	}
	o.Lease, o.Retention = cfg.Redis.Lease, cfg.Redis.Retention
	o.OnUnavailable = dedupe.Policy(cfg.Redis.OnUnavailable)
	r, err := dedupe.New(client, o)
	if err != nil {
		client.Close() //nolint:errcheck,gosec // nothing was sent
		return nil, nil, nil, err
	}
	return r, client, r.Settle, nil
}
