//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

// tools are the programs that take part.
type tools struct{ self, receiver, redis, nats string }

// startRedis starts a redis-server that keeps nothing on the disk. Another
// process can take the port first, so it is tried again.
func (t tools) startRedis(ctx context.Context, dir string) (c *child, address string, err error) {
	for range 5 {
		var port string
		if port, err = freePort(); err != nil {
			return nil, "", err
		}
		c, err = startChild("redis", dir, t.redis, "--bind", "127.0.0.1", "--port", port, "--dir", dir,
			"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
		if err != nil {
			return nil, "", err
		}
		address = "127.0.0.1:" + port
		client := redis.NewClient(&redis.Options{Addr: address})
		err = c.await(ctx, "answered", func() bool { return client.Ping(ctx).Err() == nil })
		client.Close() //nolint:errcheck // it was for this question
		if err == nil || ctx.Err() != nil {
			return c, address, err
		}
		c.stop()
	}
	return nil, "", err
}

// startNATS starts a nats-server with a file store. sync is its sync_interval:
// "2m" is its default, "always" syncs before each acknowledgement. profile opens
// its own profiling port, on loopback, for the size of its heap.
func (t tools) startNATS(ctx context.Context, dir, sync, profile string) (*child, string, error) {
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\njetstream: { store_dir: %q, max_file_store: 1TB, sync_interval: %q }\n",
		dir, filepath.Join(dir, "js"), sync)
	if profile != "" {
		text += "prof_port: " + profile + "\n"
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	c, err := startChild("nats", dir, t.nats, "-c", file)
	if err != nil {
		return nil, "", err
	}
	var said struct {
		NATS []string `json:"nats"`
	}
	ports := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(t.nats), c.cmd.Process.Pid))
	err = c.await(ctx, "opened JetStream", func() bool {
		raw, err := os.ReadFile(ports)
		if err != nil || json.Unmarshal(raw, &said) != nil || len(said.NATS) == 0 {
			return false
		}
		nc, err := nats.Connect(said.NATS[0])
		if err != nil {
			return false
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return false
		}
		_, err = js.AccountInfo(ctx)
		return err == nil
	})
	if err != nil {
		c.stop()
		return nil, "", err
	}
	return c, said.NATS[0], nil
}

// writeConfig writes the receiver's configuration: with both addresses the
// servers outside, with none the embedded one.
func writeConfig(dir, keyFile, redisAddr, natsURL, level string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "http: { listen: \"127.0.0.1:0\" }\nops: { listen: \"127.0.0.1:0\" }\nlog: { level: %s }\n", level)
	fmt.Fprintf(&b, "apps: [{ app_id: %q, alipay_public_keys: [%q] }]\n", appID, keyFile)
	if redisAddr != "" {
		fmt.Fprintf(&b, "redis: { url: %q }\n", "redis://"+redisAddr)
	}
	// The limit of the stream is given, or it would depend on the disk.
	fmt.Fprintf(&b, "nats: { url: %q, max_bytes: %d, embedded: { listen: \"127.0.0.1:0\", dir: embedded } }\n", natsURL, int64(16)<<30)
	file := filepath.Join(dir, "alipay-notify.yaml")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// startReceiver starts the product and waits until it is ready.
func (t tools) startReceiver(ctx context.Context, dir, config string) (*child, listening, error) {
	c, err := startChild("receiver", dir, t.receiver, "--config", config)
	if err != nil {
		return nil, listening{}, err
	}
	said, err := c.awaitListening(ctx)
	if err == nil {
		err = c.await(ctx, "been ready", func() bool {
			answer, err := http.Get("http://" + said.Ops + "/readyz")
			if err != nil {
				return false
			}
			return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
		})
	}
	if err != nil {
		c.stop()
		return nil, said, err
	}
	return c, said, nil
}
