package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is what the sentinels call the pair.
const sentinelMaster = "chaos"

// downAfter is how long a Redis may be silent before the sentinels promote the
// other one.
const downAfter = 2 * time.Second

// redisNode is a redis-server that keeps nothing on the disk: a new life of it
// remembers nothing. Everybody comes to it through its proxy, the sentinels and
// the other node too, so that a line that is cut is cut for all.
type redisNode struct {
	*unit
	port   string
	proxy  *proxy
	client *redis.Client // the harness's own, past the proxy
}

// redisPair is a primary, a replica, and three sentinels.
type redisPair struct {
	nodes     [2]*redisNode
	sentinels [3]*unit
	ports     [3]string
	fixed     *proxy // where a receiver finds "the Redis" that knows no sentinels
}

// startRedis starts the pair. Its first primary is nodes[0].
func startRedis(ctx context.Context, crew *crew, server string) (*redisPair, error) {
	pair := &redisPair{}
	for i := range pair.nodes {
		port, err := crew.next()
		if err != nil {
			return nil, err
		}
		p, err := crew.proxy(address(port))
		if err != nil {
			return nil, err
		}
		_, announced, _ := strings.Cut(p.addr(), ":")
		argv := []string{server, "--bind", "127.0.0.1", "--port", port, "--dir", crew.dir, "--save", "", "--appendonly", "no",
			"--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", "--repl-timeout", "5",
			// Else a replica leaves a file, and a Redis that comes back finds it.
			"--repl-diskless-sync", "yes", "--repl-diskless-load", "swapdb",
			"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", announced}
		u, err := crew.unit(fmt.Sprint("redis-", i+1), argv...)
		if err != nil {
			return nil, err
		}
		pair.nodes[i] = &redisNode{unit: u, port: port, proxy: p, client: redis.NewClient(&redis.Options{
			Addr: address(port), MaxRetries: -1, ReadTimeout: time.Second, DialTimeout: time.Second,
		})}
		if err := u.start(); err != nil {
			return nil, err
		}
	}
	first, second := pair.nodes[0], pair.nodes[1]
	err := await(ctx, patience, "Redis answers", func(ctx context.Context) bool {
		return first.client.Ping(ctx).Err() == nil && second.client.Ping(ctx).Err() == nil
	})
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(first.proxy.addr(), ":")
	if err := second.client.ReplicaOf(ctx, host, port).Err(); err != nil {
		return nil, err
	}
	if pair.fixed, err = crew.proxy(address(first.port)); err != nil {
		return nil, err
	}
	return pair, pair.startSentinels(crew, server, port)
}

func (r *redisPair) startSentinels(crew *crew, server, primary string) error {
	for i := range r.sentinels {
		port, err := crew.next()
		if err != nil {
			return err
		}
		name := fmt.Sprint("sentinel-", i+1)
		conf := filepath.Join(crew.dir, name+".conf") // it rewrites the file
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %q\nsentinel monitor %s 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds %[3]s %[5]d\nsentinel failover-timeout %[3]s 6000\nsentinel parallel-syncs %[3]s 1\n",
			port, crew.dir, sentinelMaster, primary, downAfter.Milliseconds())
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return err
		}
		u, err := crew.unit(name, server, conf, "--sentinel")
		if err != nil {
			return err
		}
		r.sentinels[i], r.ports[i] = u, port
		if err := u.start(); err != nil {
			return err
		}
	}
	return nil
}

// url is the pair as a receiver is told of it.
func (r *redisPair) url() string {
	var hosts []string
	for _, port := range r.ports {
		hosts = append(hosts, address(port))
	}
	return "redis+sentinel://" + strings.Join(hosts, ",") + "/" + sentinelMaster
}

// primary is the node that most sentinels send everybody to.
func (r *redisPair) primary(ctx context.Context) (*redisNode, error) {
	votes := map[*redisNode]int{}
	for _, port := range r.ports {
		c := redis.NewSentinelClient(&redis.Options{Addr: address(port), MaxRetries: -1, ReadTimeout: time.Second})
		addr, err := c.GetMasterAddrByName(ctx, sentinelMaster).Result()
		_ = c.Close() // it was asked all it is asked
		if err != nil || len(addr) != 2 {
			continue
		}
		for _, n := range r.nodes {
			if n.proxy.addr() == addr[0]+":"+addr[1] {
				votes[n]++
			}
		}
	}
	for n, v := range votes {
		if v >= 2 {
			return n, nil
		}
	}
	return nil, errors.New("the sentinels do not agree on a primary")
}

// other is the node that n is not.
func (r *redisPair) other(n *redisNode) *redisNode {
	if n == r.nodes[0] {
		return r.nodes[1]
	}
	return r.nodes[0]
}

// promoted waits until the sentinels send everybody to the other node.
func (r *redisPair) promoted(ctx context.Context, from *redisNode) error {
	return await(ctx, 20*time.Second, "the replica is promoted", func(ctx context.Context) bool {
		n, err := r.primary(ctx)
		return err == nil && n != from
	})
}

// healthy waits until there is one primary, and its replica follows it.
func (r *redisPair) healthy(ctx context.Context) error {
	return await(ctx, 2*patience, "Redis has a primary and a replica that follows", func(ctx context.Context) bool {
		n, err := r.primary(ctx)
		if err != nil {
			return false
		}
		info, err := n.client.Info(ctx, "replication").Result()
		if err != nil || !strings.Contains(info, "role:master") || n.client.Set(ctx, "chaos", 1, time.Minute).Err() != nil {
			return false
		}
		info, err = r.other(n).client.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
	})
}

// mend undoes whatever was done to the pair.
func (r *redisPair) mend() error {
	var errs []error
	for _, n := range r.nodes {
		n.proxy.mend()
		n.resume()
		errs = append(errs, n.start())
	}
	for _, s := range r.sentinels {
		s.resume()
		errs = append(errs, s.start())
	}
	return errors.Join(errs...)
}

func (r *redisPair) close() {
	for _, n := range r.nodes {
		_ = n.client.Close() // at the end
	}
}
