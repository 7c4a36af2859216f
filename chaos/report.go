package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// mostViolations is how many are printed; all of them are counted.
const mostViolations = 20

// report prints what was broken, what was seen, and the verdict.
func (l *lab) report(e evidence, v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := tabwriter.NewWriter(l.options.out, 0, 4, 2, ' ', 0)
	defer w.Flush() //nolint:errcheck // as with every print
	row := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

	row("\nFAULT\tTIMES\tSECONDS\tHIT\tNOTE")
	for _, f := range tally(e.incidents) {
		if f.times == 0 && f.note == "" && l.story != nil {
			continue
		}
		row("%s\t%d\t%.1f\t%s\t%s", f.name, f.times, f.lasted.Seconds(), f.whom(), f.note)
	}
	answers := map[string]int{}
	attempts, notifications := 0, len(e.records)
	for _, r := range e.records {
		for _, a := range r.attempts {
			answers[a.kind()]++
			attempts++
		}
	}
	row("\nNOTIFICATIONS\t%d\t\tunique, each delivered until it was acknowledged", notifications)
	row("DELIVERIES\t%d", attempts)
	for _, kind := range slices.Sorted(maps.Keys(answers)) {
		row("  %s\t%d", kind, answers[kind])
	}
	row("EVENTS\t%d\t\tof %d notifications in %s", v.stored, v.distinct, eventStream)
	row("  taken away\t%d\t\tacknowledged, then lost with a stream that the driver deleted; the harness had read them before", v.onlyCopy)
	row("COPIES\t\t\tbeyond one, where they are allowed")
	for _, class := range []string{classUnasked, classForgotten, classCrash, classRecreated} {
		row("  %s\t%d", class, v.classes[class])
	}
	for _, r := range l.receivers {
		if n := r.endings(); n > 0 {
			row("%s ended by itself\t%d\t\tand was started again; it said: %s", r.name, n, l.lastWords(r.name))
		}
	}
	all, healed := l.lag.text()
	row("HARNESS LATE\t%v\t\tat the most, proxies included; %v after the healing", all, healed)
	row("VIOLATIONS\t%d", len(v.violations))
	for _, text := range v.violations[:min(len(v.violations), mostViolations)] {
		row("  %s", text)
	}
	row("\nseed %d: %s", l.options.seed, map[bool]string{true: "kept every promise", false: "FAILED"}[len(v.violations) == 0])
}

// lastWords are what the ends of a receiver were explained by.
func (l *lab) lastWords(name string) string {
	var all []string
	l.eachLine(name, func(line string) {
		if why, ok := strings.CutPrefix(line, "receiver: "); ok && !slices.Contains(all, why) {
			all = append(all, why)
		}
	})
	return strings.Join(all, " | ")
}

// kind is how an attempt ended, in a word or two.
func (a attempt) kind() string {
	switch {
	case a.Status == 0:
		return "no answer"
	case a.Lost:
		return fmt.Sprintf("%d %s, lost on the way", a.Status, a.Answer)
	}
	return fmt.Sprintf("%d %s", a.Status, a.Answer)
}

// counted is one kind of fault in the table.
type counted struct {
	name   string
	times  int
	lasted time.Duration
	hits   map[string]int // by process
	note   string
}

// whom is which processes a fault hit how often.
func (c counted) whom() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.hits)) {
		all = append(all, fmt.Sprintf("%s: %d", name, c.hits[name]))
	}
	return strings.Join(all, ", ")
}

// tally counts the faults, in the order of the catalogue; those that did not
// come up have their line, too.
func tally(incidents []incident) []counted {
	rows := map[string]*counted{}
	var order []string
	line := func(name string) *counted {
		if rows[name] == nil {
			rows[name] = &counted{name: name, hits: map[string]int{}}
			order = append(order, name)
		}
		return rows[name]
	}
	for _, f := range catalogue() {
		line(f.name)
	}
	for _, i := range incidents {
		c := line(i.name)
		if i.skipped != "" {
			c.note = i.skipped
			continue
		}
		c.times++
		for _, name := range i.whom {
			c.hits[name]++
		}
		c.lasted += i.end.Sub(i.begin)
		c.note = cmp.Or(strings.Join(strings.Fields(i.trouble), " "), c.note)
	}
	var all []counted
	for _, name := range order {
		all = append(all, *rows[name])
	}
	return all
}
