package main

import (
	"fmt"
	"time"
)

// catalogue is everything that can be broken. docs/CHAOS.md explains it to
// people, and a test compares the two.
func catalogue() []fault {
	const s = time.Second
	return []fault{
		{name: "receiver killed", track: trackReceivers, least: s / 2, most: 4 * s, run: killReceiver},
		{name: "both receivers killed", track: trackReceivers, least: s / 2, most: 3 * s, run: killReceivers},
		{name: "receiver stopped", track: trackReceivers, least: s, most: 9 * s, run: stopReceiver},
		{name: "receiver stutters", track: trackReceivers, least: 2 * s, most: 5 * s, run: stutterReceiver},
		{name: "receiver restarted in order", track: trackReceivers, least: 0, most: s, run: restartReceiver},

		{name: "Redis back empty", track: trackRedis, forgets: true, run: emptyRedis},
		{name: "both Redis back empty", track: trackRedis, forgets: true, run: emptyBothRedis},
		{name: "Redis emptied", track: trackRedis, forgets: true, run: flushRedis},
		{name: "Redis dead, replica promoted", track: trackRedis, forgets: true, run: promoteOverDead},
		{name: "Redis stopped, replica promoted", track: trackRedis, forgets: true, run: promoteOverStopped},
		{name: "Redis stutters", track: trackRedis, least: 2 * s, most: 5 * s, run: stutterRedis},
		{name: "Redis out of memory", track: trackRedis, least: s, most: 6 * s, run: exhaustRedis},
		{name: "Redis refuses writes", track: trackRedis, least: s, most: 6 * s, run: readOnlyRedis},
		{name: "Redis connections cut", track: trackRedis, least: s, most: 4 * s, run: cutRedis},
		{name: "Redis slow", track: trackRedis, least: 2 * s, most: 6 * s, run: slowRedis},
		{name: "answers of Redis lost", track: trackRedis, least: s, most: 5 * s, run: swallowRedis},

		{name: "NATS node killed", track: trackNATS, least: s, most: 6 * s, run: killNode},
		{name: "stream leader killed", track: trackNATS, least: s, most: 8 * s, run: killLeader},
		{name: "two NATS nodes killed", track: trackNATS, least: s, most: 8 * s, run: killTwo},
		{name: "all NATS nodes killed", track: trackNATS, least: s / 2, most: 3 * s, run: killAll},
		{name: "stream leader stopped", track: trackNATS, least: 2 * s, most: 12 * s, run: stopLeader},
		{name: "two NATS nodes stopped", track: trackNATS, least: s, most: 8 * s, run: stopTwo},
		{name: "NATS node stutters", track: trackNATS, least: 2 * s, most: 6 * s, run: stutterNode},
		{name: "routes between NATS nodes cut", track: trackNATS, least: s, most: 4 * s, run: cutRoutes},
		{name: "routes between NATS nodes slow", track: trackNATS, least: 2 * s, most: 8 * s, run: slowRoutes},
		{name: "NATS nodes split", track: trackNATS, least: s, most: 9 * s, run: splitNodes},
		{name: "stream leader steps down", track: trackNATS, run: stepDown},
		{name: "stream at its limit", track: trackNATS, least: s, most: 6 * s, run: fillStream},
		{name: "disk full under a NATS node", track: trackNATS, least: 2 * s, most: 6 * s, run: fillDisk},
		{name: "stream recreated", track: trackNATS, least: s / 2, most: 3 * s, run: recreateStream},
		{name: "stream restored from a backup", track: trackNATS, least: s, most: 4 * s, run: restoreStream},
		{name: "window passes", track: trackNATS, window: true, run: passWindow},
		{name: "window passes, Redis emptied", track: trackNATS, window: true, forgets: true, run: passWindowAndFlush},

		{name: "NATS connections cut", track: trackLines, least: s, most: 4 * s, run: cutNATS},
		{name: "NATS slow", track: trackLines, least: 2 * s, most: 6 * s, run: slowNATS},
		{name: "answers of NATS lost", track: trackLines, least: s, most: 5 * s, run: swallowNATS},
		{name: "receiver cut off from NATS", track: trackLines, least: s, most: 6 * s, run: isolate},
		{name: "answers to the sender lost", track: trackLines, least: s, most: 4 * s, run: loseAnswers},
		{name: "sender's clock jumps", track: trackLines, least: 2 * s, most: 6 * s, run: jumpClock},
		{name: "sender repeats itself", track: trackLines, run: repeatAll},
	}
}

// anyReceiver is one of the two: the seed's at first, then by turns, so that
// what happened to one happens to the other as well.
func (b *breaking) anyReceiver() *receiver {
	r := b.lab.receivers[(int(b.lab.options.seed%2)+b.nth)%len(b.lab.receivers)]
	b.hit(r.unit)
	return r
}

func killReceiver(b *breaking) error {
	r := b.anyReceiver()
	r.kill()
	b.wait()
	return r.start()
}

func killReceivers(b *breaking) error {
	for _, r := range b.lab.receivers {
		b.hit(r.unit)
		r.kill()
	}
	b.wait()
	return b.lab.mendReceivers()
}

func stopReceiver(b *breaking) error {
	r := b.anyReceiver()
	r.pause()
	b.wait()
	r.resume()
	return nil
}

func stutterReceiver(b *breaking) error { return b.stutter(b.anyReceiver().unit) }

// stutter stops and continues a process in bursts.
func (b *breaking) stutter(u *unit) error {
	for end := time.Now().Add(b.hold); time.Now().Before(end) && b.ctx.Err() == nil; {
		u.pause()
		pass(b.ctx, between(b.random, 20*time.Millisecond, 600*time.Millisecond))
		u.resume()
		pass(b.ctx, between(b.random, 5*time.Millisecond, 200*time.Millisecond))
	}
	return nil
}

func restartReceiver(b *breaking) error {
	r := b.anyReceiver()
	r.stop()
	b.wait()
	return r.start()
}

func cutNATS(b *breaking) error {
	for end := time.Now().Add(b.hold); time.Now().Before(end) && b.ctx.Err() == nil; {
		for _, r := range b.lab.receivers {
			for _, line := range r.lines {
				line.cut()
			}
		}
		pass(b.ctx, between(b.random, 100*time.Millisecond, time.Second))
	}
	return nil
}

func slowNATS(b *breaking) error {
	delay := between(b.random, 20*time.Millisecond, 1500*time.Millisecond)
	b.tell("by %v each way", delay.Round(time.Millisecond))
	b.lines(func(p *proxy) { p.slow(delay) })
	b.wait()
	return nil
}

// lines does something to all lines of one receiver or of both.
func (b *breaking) lines(do func(*proxy)) {
	receivers := b.lab.receivers[:]
	if b.random.IntN(2) == 0 {
		receivers = []*receiver{b.anyReceiver()}
	}
	for _, r := range receivers {
		for _, line := range r.lines {
			do(line)
		}
	}
}

func swallowNATS(b *breaking) error {
	b.lines(func(p *proxy) { p.swallow(true) })
	b.wait()
	return nil
}

func isolate(b *breaking) error {
	r := b.anyReceiver()
	for _, line := range r.lines {
		line.refuse(true)
	}
	b.wait()
	return nil
}

func loseAnswers(b *breaking) error {
	b.lab.balancer.losing.Store(true)
	b.wait()
	return nil
}

// jumpClock shifts the sender's stamps, as far as they are still taken.
func jumpClock(b *breaking) error {
	by := between(b.random, -70*time.Hour, 12*time.Hour).Round(time.Minute)
	b.tell("by %v", by)
	b.lab.sender.ahead.Store(int64(by))
	b.wait()
	b.lab.sender.ahead.Store(0)
	return nil
}

func repeatAll(b *breaking) error {
	b.tell("%d times", b.lab.sender.repeat(200, b.random))
	return nil
}

func passWindow(b *breaking) error {
	if err := b.lab.nats.endWindow(b.life); err != nil {
		return err
	}
	b.tell("%d repeats after it", b.lab.sender.repeat(100, b.random))
	return nil
}

func passWindowAndFlush(b *breaking) error {
	if err := b.lab.nats.endWindow(b.life); err != nil {
		return err
	}
	if err := b.flush(); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	b.tell("%d repeats after it", b.lab.sender.repeat(20, b.random))
	return nil
}
