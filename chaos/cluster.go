package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// eventStream is where the promise is kept or broken.
const eventStream = "ALIPAY_EVENTS"

// natsNode is one nats-server of the cluster, with a disk of its own where
// mounting is allowed.
type natsNode struct {
	*unit
	port  string
	store string
	route *proxy // the way of the other nodes to this one
	disk  *disk  // nil: the disk of this machine
}

// cluster is three nats-servers, each stream on all three.
type cluster struct {
	nodes [3]*natsNode
	nc    *nats.Conn // the harness's own, past the proxies
	js    jetstream.JetStream
}

// startCluster starts the nodes. diskSize is that of each small disk; noDisk
// says why there is none.
func startCluster(ctx context.Context, crew *crew, server string, diskSize int64) (c *cluster, noDisk error, err error) {
	c = &cluster{}
	var routes, urls []string
	var own [3]string
	for i := range c.nodes {
		port, err1 := crew.next()
		route, err2 := crew.next()
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, err
		}
		n := &natsNode{port: port, store: filepath.Join(crew.dir, fmt.Sprint("store-", i+1))}
		if n.disk, noDisk = mountDisk(n.store, diskSize); n.disk != nil {
			n.store = n.disk.path
		}
		if n.route, err = crew.proxy(address(route)); err != nil {
			return nil, nil, err
		}
		c.nodes[i], own[i] = n, route
		routes, urls = append(routes, "nats://"+n.route.addr()), append(urls, "nats://"+address(port))
	}
	for i, n := range c.nodes {
		// The addresses of the servers themselves are not passed on: clients and
		// nodes that learn of them would go around the proxies.
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\njetstream { store_dir: %q, max_file_store: 1TB }\n"+
			"cluster { name: chaos, listen: %q, advertise: %q, no_advertise: true, routes: [%s] }\n",
			i+1, address(n.port), n.store, address(own[i]), n.route.addr(), strings.Join(routes, ", "))
		conf := filepath.Join(crew.dir, fmt.Sprintf("nats-%d.conf", i+1))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return nil, nil, err
		}
		if n.unit, err = crew.unit(fmt.Sprint("nats-", i+1), server, "-c", conf); err != nil {
			return nil, nil, err
		}
		if err := n.start(); err != nil {
			return nil, nil, err
		}
	}
	c.nc, err = nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Name("chaos"), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, nil, err
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		return nil, nil, err
	}
	err = await(ctx, 2*patience, "JetStream has a leader", func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.js.AccountInfo(ctx)
		return err == nil
	})
	return c, noDisk, err
}

// info asks the stream's leader how it is.
func (c *cluster) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, eventStream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// leader is the node that leads the stream.
func (c *cluster) leader(ctx context.Context) (*natsNode, error) {
	var found *natsNode
	err := await(ctx, patience, "the stream has a leader", func(ctx context.Context) bool {
		info, err := c.info(ctx)
		if err != nil || info.Cluster == nil {
			return false
		}
		for i, n := range c.nodes {
			if info.Cluster.Leader == fmt.Sprint("n", i+1) {
				found = n
			}
		}
		return found != nil
	})
	return found, err
}

// missing tells whether the stream is certainly gone.
func (c *cluster) missing(ctx context.Context) bool {
	gone := false
	_ = await(ctx, patience, "JetStream answers", func(ctx context.Context) bool { // then nobody knows
		_, err := c.info(ctx)
		gone = errors.Is(err, jetstream.ErrStreamNotFound)
		return err == nil || gone
	})
	return gone
}

// healthy waits until the stream has a leader and two followers that are as far
// as it is.
func (c *cluster) healthy(ctx context.Context) error {
	last := ""
	err := await(ctx, 4*patience, eventStream+" has a leader and two current followers", func(ctx context.Context) bool {
		info, err := c.info(ctx)
		if err != nil || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			last = fmt.Sprint(err)
			return false
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				last = fmt.Sprintf("%s: current %v, offline %v, %d behind", r.Name, r.Current, r.Offline, r.Lag)
				return false
			}
		}
		return true
	})
	if err != nil {
		err = fmt.Errorf("%w (%s)", err, last)
	}
	return err
}

// mend undoes whatever was done to the nodes.
func (c *cluster) mend() error {
	var errs []error
	for _, n := range c.nodes {
		if n.disk != nil {
			errs = append(errs, n.disk.empty())
		}
		n.route.mend()
		n.resume()
		errs = append(errs, n.start())
	}
	return errors.Join(errs...)
}

func (c *cluster) close() {
	c.nc.Close()
	for _, n := range c.nodes {
		if n.disk != nil {
			n.disk.close()
		}
	}
}
