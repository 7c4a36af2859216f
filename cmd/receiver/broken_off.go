//go:build !faultpoints

package main

import (
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/ingest"
)

// broken changes nothing; with the tag faultpoints it is what chaos has to catch.
func broken(_ redis.UniversalClient, o ingest.Options) ingest.Options { return o }
