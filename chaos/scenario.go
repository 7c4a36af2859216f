package main

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// scenario is one story, told in order; docs/CHAOS.md has what came of each.
// The receivers know one address of Redis and no sentinels, as behind a virtual
// address; the sentinels only do the failover.
type scenario struct {
	lasts time.Duration
	run   func(b *breaking) error
}

var scenarios = map[string]scenario{
	"redis-empty":      {lasts: 40 * time.Second, run: redisEmpty},
	"redis-read-only":  {lasts: 60 * time.Second, run: redisReadOnly},
	"nats-leader-gone": {lasts: 95 * time.Second, run: natsLeaderGone},
	"nats-quorum-gone": {lasts: 95 * time.Second, run: natsQuorumGone},
}

// at waits for a moment of the story and says what happens then.
func (b *breaking) at(moment time.Duration, what string) {
	pass(b.ctx, time.Until(b.lab.began.Add(moment)))
	b.lab.say("%6.1fs         %s", time.Since(b.lab.began).Seconds(), what)
}

// happened notes what was broken until now, for the checker.
func (b *breaking) happened(track, name string, from time.Duration, forgets bool) {
	b.lab.driver.note(incident{
		fault: fault{name: name, track: track, forgets: forgets},
		begin: b.lab.began.Add(from), end: time.Now(),
	})
}

// redisEmpty restarts Redis, which comes back with nothing. Nobody is promoted in
// its place.
func redisEmpty(b *breaking) error {
	n := b.lab.redis.nodes[0]
	for _, s := range b.lab.redis.sentinels {
		s.kill()
	}
	b.at(10*time.Second, "Redis is killed")
	n.kill()
	b.at(15*time.Second, "Redis is back, and empty")
	if err := n.start(); err != nil {
		return err
	}
	b.happened(trackRedis, "Redis back empty", 10*time.Second, true)
	b.at(25*time.Second, "the sender repeats 200 that were acknowledged")
	b.lab.sender.repeat(200, b.random)
	b.at(40*time.Second, "end")
	return nil
}

// redisReadOnly has the sentinels promote the replica, while the address that the
// receivers know still leads to the old primary.
func redisReadOnly(b *breaking) error {
	old, err := b.lab.redis.primary(b.life)
	if err != nil {
		return err
	}
	b.at(10*time.Second, "the other Redis is promoted; the address leads to the old one, which is read-only now")
	s := redis.NewSentinelClient(&redis.Options{Addr: address(b.lab.redis.ports[0])})
	defer s.Close() //nolint:errcheck // it was asked all it is asked
	if err := s.Failover(b.life, sentinelMaster).Err(); err != nil {
		return err
	}
	if err := b.lab.redis.promoted(b.life, old); err != nil {
		return err
	}
	b.at(25*time.Second, "the sender repeats 200 that were acknowledged")
	b.lab.sender.repeat(200, b.random)
	b.at(40*time.Second, "the address leads to the new primary")
	b.lab.redis.fixed.turn(address(b.lab.redis.other(old).port))
	b.happened(trackRedis, "Redis read-only", 10*time.Second, true)
	b.at(50*time.Second, "the sender repeats 200 that were acknowledged")
	b.lab.sender.repeat(200, b.random)
	b.at(60*time.Second, "end")
	return nil
}

// natsLeaderGone kills the server that leads the stream, for a minute.
func natsLeaderGone(b *breaking) error { return b.withoutNodes("stream leader killed", 1) }

// natsQuorumGone kills another one as well, so that nobody can lead.
func natsQuorumGone(b *breaking) error { return b.withoutNodes("two NATS nodes killed", 2) }

// withoutNodes kills the stream's leader, and more of the servers, for a minute.
func (b *breaking) withoutNodes(fault string, count int) error {
	leader, err := b.lab.nats.leader(b.life)
	if err != nil {
		return err
	}
	nodes := []*natsNode{leader}
	for _, n := range b.lab.nats.nodes {
		if n != leader && len(nodes) < count {
			nodes = append(nodes, n)
		}
	}
	b.at(10*time.Second, fmt.Sprintf("%s, which leads the stream, is killed; %d of %d are left", leader.name, len(b.lab.nats.nodes)-count, len(b.lab.nats.nodes)))
	for _, n := range nodes {
		n.kill()
	}
	b.at(70*time.Second, "all servers are back")
	for _, n := range nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	b.happened(trackNATS, fault, 10*time.Second, false)
	b.at(80*time.Second, "the sender repeats 200 that were acknowledged")
	b.lab.sender.repeat(200, b.random)
	b.at(95*time.Second, "end")
	return nil
}
