package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// run breaks things for as long as it is asked to, and judges. The error says
// that the run itself did not come to its end; what the product did wrong is in
// the verdict.
func run(ctx context.Context, o options) (v verdict, err error) {
	outer := ctx // ends when the run is broken off: that is nobody's mistake
	ctx, cancel := context.WithCancel(outer)
	l, err := openLab(ctx, o)
	defer func() {
		cancel()
		l.close()
		l.keep(outer.Err() == nil && (err != nil || len(v.violations) > 0 || o.keep))
	}()
	if err != nil {
		return v, fmt.Errorf("start: %w", err)
	}
	l.began = time.Now()
	l.say("breaking for %v, %d notifications a second, seed %d", o.duration, o.rate, o.seed)
	if l.noDisk != nil {
		l.say("no small disks: %v", l.noDisk)
	}
	during, over := context.WithTimeout(ctx, o.duration)
	defer over()
	go l.lag.watch(ctx, l.sender.healed)
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		l.sender.run(during, o.rate)
	}()
	if o.scenario == "" {
		l.driver.run(during, l.plan())
	} else if err := l.play(during, scenarios[o.scenario]); err != nil {
		return v, err
	}
	<-sending
	return l.conclude()
}

// play tells a story instead.
func (l *lab) play(ctx context.Context, s scenario) error {
	l.story = l.beginStory(ctx)
	b := &breaking{ctx: ctx, life: l.life, lab: l, random: rand.New(rand.NewPCG(l.options.seed, 0))}
	return s.run(b)
}

// plan is the seed's, for the tracks that are asked for.
func (l *lab) plan() map[string][]step {
	all := plan(l.options.seed, l.options.duration)
	for _, track := range tracks {
		if len(l.options.only) > 0 && !slices.Contains(l.options.only, track) {
			delete(all, track)
		}
	}
	return all
}

// conclude heals everything, lets the sender come to its end, and judges.
func (l *lab) conclude() (v verdict, err error) {
	l.say("%6.1fs         healing", time.Since(l.began).Seconds())
	healed := l.heal()
	if l.life.Err() != nil {
		return v, context.Cause(l.life)
	}
	l.say("%6.1fs         healed; the sender finishes its retries", time.Since(l.began).Seconds())
	if err := l.sender.finish(l.life); err != nil {
		return v, err
	}
	if l.story == nil {
		l.say("%6.1fs         the exam, with nothing broken", time.Since(l.began).Seconds())
		if err := l.examine(l.life); err != nil {
			return v, fmt.Errorf("exam: %w", err)
		}
	}
	l.say("%6.1fs         checking", time.Since(l.began).Seconds())
	evidence, err := l.collect()
	if err != nil {
		return v, err
	}
	v = judge(evidence)
	if healed != nil { // with everything in order again there is no reason not to be
		v.violate("NOT HEALED: %v", healed)
	}
	for _, line := range l.confessions() {
		v.violate("LOG: %s", line)
	}
	if l.story != nil {
		l.story.tell()
	}
	l.report(evidence, v)
	err = l.save(evidence, v)
	if l.story == nil {
		err = errors.Join(err, enough(evidence, l.options))
	}
	return v, err
}

// enough wants a run to have been one: a sender for which the machine has no time
// loses its turns, and what was hardly tried says little.
func enough(e evidence, o options) error {
	sent, want := len(e.records)-len(e.exam.records), int(o.duration.Seconds())*o.rate/2
	if sent < want {
		return fmt.Errorf("only %d notifications were sent, want %d at least: the machine was too busy", sent, want)
	}
	return nil
}

// save writes what was judged, beside the journal, for whoever looks into it.
func (l *lab) save(e evidence, v verdict) error {
	write := func(name string, lines []string) error {
		return os.WriteFile(filepath.Join(l.dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	}
	var incidents []string
	for _, i := range e.incidents {
		incidents = append(incidents, fmt.Sprintf("%s %s %-9s %s", clock(i.begin), clock(i.end), i.track, i.text()))
	}
	errs := []error{write("violations.txt", v.violations), write("incidents.txt", incidents)}
	for n, life := range e.lives {
		lines := []string{fmt.Sprintf("# ended %s", clock(life.ended))}
		for _, event := range life.events {
			lines = append(lines, fmt.Sprintf("%d %s %s unasked=%v", event.Seq, clock(event.At), event.ID, event.Unasked))
		}
		errs = append(errs, write(fmt.Sprintf("stream-%d.txt", n+1), lines))
	}
	return errors.Join(errs...)
}

// collect reads what the checker judges by.
func (l *lab) collect() (evidence, error) {
	e := evidence{records: l.journal.all(), incidents: l.driver.incidents, refused: map[string]uint64{}, refuse: l.options.refuse, exam: l.exam}
	events, err := l.nats.readEvents(l.life)
	if err != nil {
		return e, fmt.Errorf("read the stream: %w", err)
	}
	e.lives = append(l.lives, life{events: events})
	for _, name := range []string{"ALIPAY_QUARANTINE", "ALIPAY_REJECTS"} {
		s, err := l.nats.js.Stream(l.life, name)
		if err != nil {
			return e, fmt.Errorf("read %s: %w", name, err)
		}
		e.refused[name] = s.CachedInfo().State.Msgs
	}
	if e.keys, err = l.redis.remembers(l.life); err != nil {
		return e, fmt.Errorf("read Redis: %w", err)
	}
	return e, nil
}

// confession is what no log of a receiver may hold.
var confession = regexp.MustCompile(`panic|DATA RACE|"outcome":"internal"|fatal error`)

// confessions are the lines of the receivers' logs that own up to a bug.
func (l *lab) confessions() []string {
	var all []string
	for _, r := range l.receivers {
		l.eachLine(r.name, func(line string) {
			if confession.MatchString(line) {
				all = append(all, r.name+": "+line)
			}
		})
	}
	return all
}

// eachLine reads the log of a unit.
func (l *lab) eachLine(name string, do func(string)) {
	f, err := os.Open(filepath.Join(l.dir, name+".log"))
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it was read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		do(lines.Text())
	}
}

// keep leaves what was written where somebody has to look at it, and nothing
// else behind: a run whose programs could not be built has written nothing.
func (l *lab) keep(worth bool) {
	if !worth || l.journal == nil {
		_ = os.RemoveAll(l.dir) // it is in the temporary folder
		return
	}
	for _, program := range []string{l.tools.receiver, l.tools.nats} {
		if strings.HasPrefix(program, l.dir) {
			_ = os.Remove(program) // it can be built again
		}
	}
	l.say("journal, streams and logs are in %s", l.dir)
}
