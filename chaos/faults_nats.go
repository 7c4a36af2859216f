package main

import (
	"context"
	"fmt"
	"time"
)

// lead is the node that leads the stream.
func (b *breaking) lead() (*natsNode, error) {
	n, err := b.lab.nats.leader(b.life)
	if err == nil {
		b.hit(n.unit)
	}
	return n, err
}

// some are n nodes of chance.
func (b *breaking) some(count int) []*natsNode {
	var picked []*natsNode
	for _, i := range b.random.Perm(len(b.lab.nats.nodes))[:count] {
		n := b.lab.nats.nodes[i]
		b.hit(n.unit)
		picked = append(picked, n)
	}
	return picked
}

func (b *breaking) killNodes(nodes ...*natsNode) error {
	for _, n := range nodes {
		n.kill()
	}
	b.wait()
	return nil
}

func (b *breaking) stopNodes(nodes ...*natsNode) error {
	for _, n := range nodes {
		n.pause()
	}
	b.wait()
	return nil
}

func killNode(b *breaking) error { return b.killNodes(b.some(1)...) }

func killTwo(b *breaking) error { return b.killNodes(b.some(2)...) }

func killAll(b *breaking) error { return b.killNodes(b.some(3)...) }

func killLeader(b *breaking) error {
	n, err := b.lead()
	if err != nil {
		return err
	}
	return b.killNodes(n)
}

func stopLeader(b *breaking) error {
	n, err := b.lead()
	if err != nil {
		return err
	}
	return b.stopNodes(n)
}

func stopTwo(b *breaking) error { return b.stopNodes(b.some(2)...) }

func stutterNode(b *breaking) error { return b.stutter(b.some(1)[0].unit) }

// routes does something to the ways between the nodes.
func (b *breaking) routes(do func(*proxy)) {
	for _, n := range b.lab.nats.nodes {
		do(n.route)
	}
}

func cutRoutes(b *breaking) error {
	for end := time.Now().Add(b.hold); time.Now().Before(end) && b.ctx.Err() == nil; {
		b.routes((*proxy).cut)
		pass(b.ctx, between(b.random, 100*time.Millisecond, time.Second))
	}
	return nil
}

func slowRoutes(b *breaking) error {
	delay := between(b.random, 20*time.Millisecond, 800*time.Millisecond)
	b.tell("by %v each way", delay.Round(time.Millisecond))
	b.routes(func(p *proxy) { p.slow(delay) })
	b.wait()
	return nil
}

// splitNodes leaves each node alone: all run, and the leader still believes that
// it is one.
func splitNodes(b *breaking) error {
	b.routes(func(p *proxy) { p.refuse(true) })
	b.wait()
	return nil
}

func stepDown(b *breaking) error {
	ctx, cancel := context.WithTimeout(b.life, 5*time.Second)
	defer cancel()
	return b.lab.nats.api(ctx, "STREAM.LEADER.STEPDOWN."+eventStream, struct{}{}, nil)
}

func fillStream(b *breaking) error {
	if err := b.lab.nats.limit(b.life, 0); err != nil {
		return err
	}
	b.wait()
	return b.lab.nats.limit(b.life, maxBytes)
}

// fillDisk fills the small disk of one node, and starts the node again when
// there is room: its JetStream does not come back by itself.
func fillDisk(b *breaking) error {
	if b.lab.noDisk != nil {
		return fmt.Errorf("%w: %w", errSkipped, b.lab.noDisk)
	}
	n := b.some(1)[0]
	if err := n.disk.fill(); err != nil {
		return err
	}
	b.wait()
	n.kill()
	return n.disk.empty()
}

// recreateStream loses the archive, as an operator might, while Redis remembers
// what was in it.
func recreateStream(b *breaking) error {
	old, err := b.lab.nats.endLife(b.life)
	if err != nil {
		return err
	}
	b.lab.ended(old)
	b.tell("%d events lost", len(old.events))
	b.wait()
	if err := b.lab.provision(b.life); err != nil {
		return err
	}
	b.tell("%d repeats after it", b.lab.sender.repeat(100, b.random))
	return nil
}

// restoreStream goes back to a backup that is as old as the fault lasts.
func restoreStream(b *breaking) error {
	saved, err := b.lab.nats.save(b.life)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	b.wait()
	old, err := b.lab.nats.endLife(b.life)
	if err != nil {
		return err
	}
	b.lab.ended(old)
	if err := b.lab.nats.restore(b.life, saved); err != nil {
		// The server gives it up after five silent seconds. Of a stream that is made
		// before that, one replica never comes to be (nats-server 2.15).
		pass(b.life, 8*time.Second)
		return fmt.Errorf("restore: %w", err)
	}
	if err := b.lab.nats.limit(b.life, maxBytes); err != nil { // it may have been saved with another
		return err
	}
	b.tell("%d repeats after it", b.lab.sender.repeat(100, b.random))
	return nil
}
