//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// names of the contenders, by their letter.
var names = map[string]string{
	"a": "receiver, Redis and NATS outside",
	"b": "receiver, embedded",
	"c": "afternoon handler, Redis and NATS outside",
	"d": "floor: HTTP and verification",
}

// arena is one contender with the servers that it needs, all of them fresh.
type arena struct {
	letter  string
	dir     string
	address string // where it takes notifications
	handler *child
	redis   *child // nil without
	nats    *child // nil without, and where it is embedded

	redisAddr, natsURL, token string
}

// open starts a contender. The caller closes the arena, also after an error.
func (t tools) open(ctx context.Context, letter, keyFile string, o options) (*arena, error) {
	dir, err := os.MkdirTemp(o.temp, "arena-"+letter+"-")
	a := &arena{letter: letter, dir: dir}
	if err != nil {
		return a, err
	}
	if letter == "d" {
		return a, a.start(ctx, t.self, "floor", "-key", keyFile)
	}
	if letter != "b" {
		if a.redis, a.redisAddr, err = t.startRedis(ctx, dir); err != nil {
			return a, err
		}
		if a.nats, a.natsURL, err = t.startNATS(ctx, dir, o.sync, o.profile); err != nil {
			return a, err
		}
	}
	config, err := writeConfig(dir, keyFile, a.redisAddr, a.natsURL, o.level)
	if err != nil {
		return a, err
	}
	if letter != "b" {
		// The product's streams for both: the same settings, and nobody makes
		// their own easier.
		if err := runTool(ctx, dir, t.receiver, "provision", "--config", config); err != nil {
			return a, err
		}
	}
	if letter == "c" {
		return a, a.start(ctx, t.self, "afternoon", "-key", keyFile, "-redis", a.redisAddr, "-nats", a.natsURL, "-log-level", o.level)
	}
	if other := o.others[letter]; other != "" {
		t.receiver = other
	}
	return a, a.startReceiver(ctx, t, config)
}

// start starts a handler of ours.
func (a *arena) start(ctx context.Context, path string, args ...string) (err error) {
	if a.handler, err = startChild(args[0], a.dir, path, args...); err != nil {
		return err
	}
	said, err := a.handler.awaitListening(ctx)
	a.address = said.Listen
	return err
}

func (a *arena) startReceiver(ctx context.Context, t tools, config string) error {
	c, said, err := t.startReceiver(ctx, a.dir, config)
	if err != nil {
		return err
	}
	a.handler, a.address = c, said.Listen
	if a.letter == "b" {
		token, err := os.ReadFile(filepath.Join(a.dir, "embedded", "token"))
		if err != nil {
			return err
		}
		a.natsURL, a.token = said.NATS, strings.TrimSpace(string(token))
	}
	return nil
}

// close stops what was started, in the reverse order, and removes its data.
func (a *arena) close() {
	for _, c := range []*child{a.handler, a.nats, a.redis} {
		if c != nil {
			c.stop()
		}
	}
	os.RemoveAll(a.dir) //nolint:errcheck // the whole temporary folder goes at the end
}

// usages looks at every process of the contender.
func (a *arena) usages() (map[string]usage, error) {
	all := map[string]usage{}
	for name, c := range map[string]*child{"handler": a.handler, "redis": a.redis, "nats": a.nats} {
		if c == nil {
			continue
		}
		u, err := c.usage()
		if err != nil {
			return nil, c.failure("has ended")
		}
		all[name] = u
	}
	return all, nil
}

// connect gives the stream's API.
func (a *arena) connect() (jetstream.JetStream, func(), error) {
	nc, err := nats.Connect(a.natsURL, nats.Token(a.token))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return js, nc.Close, err
}

// stored counts the events in the stream by the body that they came from.
func (a *arena) stored(ctx context.Context) (map[int]int, error) {
	js, closeConn, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer closeConn()
	stream, err := js.Stream(ctx, "ALIPAY_EVENTS")
	if err != nil {
		return nil, err
	}
	count := map[int]int{}
	left := stream.CachedInfo().State.Msgs
	if left == 0 {
		return count, nil
	}
	consumer, err := js.OrderedConsumer(ctx, "ALIPAY_EVENTS", jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for ; left > 0; left-- {
		m, err := messages.Next()
		if err != nil {
			return nil, err
		}
		i, err := indexOf(m.Headers().Get("ce-id"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Subject(), err)
		}
		count[i]++
	}
	return count, nil
}
