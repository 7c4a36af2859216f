package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// story is what a scenario is told by, beside the verdict: what the sender saw,
// what the receivers logged, and how their metrics moved.
type story struct {
	lab    *lab
	before map[string]float64
	ready  []string // by the second: one letter a receiver
	done   chan struct{}
}

// grain is the time of one row.
const grain = 2 * time.Second

// beginStory notes the metrics and looks at readiness every second until ctx ends.
func (l *lab) beginStory(ctx context.Context) *story {
	s := &story{lab: l, before: l.metrics(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			row := ""
			for _, r := range l.receivers {
				row += map[bool]string{true: "+", false: "-"}[r.ready.Load()]
			}
			s.ready = append(s.ready, row)
			pass(ctx, time.Until(l.began.Add(time.Duration(len(s.ready))*time.Second)))
		}
	}()
	return s
}

// tell prints the story.
func (s *story) tell() {
	<-s.done
	after := s.lab.metrics()
	s.lab.mu.Lock()
	defer s.lab.mu.Unlock()
	w := tabwriter.NewWriter(s.lab.options.out, 0, 4, 2, ' ', 0)
	defer w.Flush() //nolint:errcheck // as with every print
	s.answers(w)
	s.logged(w)
	fmt.Fprintf(w, "\nMETRIC\tBY (both receivers)\n")
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if by := after[name] - s.before[name]; by != 0 {
			fmt.Fprintf(w, "%s\t%+g\n", name, by)
		}
	}
}

// answers is what the sender saw, in rows of two seconds.
func (s *story) answers(w *tabwriter.Writer) {
	const rest = "later"
	columns := []string{"200 success", "503 fail", "no answer"}
	rows := map[int]map[string]int{}
	longest := map[int]time.Duration{}
	for _, r := range s.lab.journal.all() {
		for _, a := range r.attempts {
			row := int(a.Begin.Sub(s.lab.began) / grain)
			if rows[row] == nil {
				rows[row] = map[string]int{}
			}
			rows[row][a.kind()]++
			longest[row] = max(longest[row], a.End.Sub(a.Begin))
		}
	}
	fmt.Fprintf(w, "\nFROM\t%s\tSLOWEST\tREADY\n", strings.Join(columns, "\t"))
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		ready := rest
		if second := row * int(grain/time.Second); second < len(s.ready) {
			ready = s.ready[second]
		}
		fmt.Fprintf(w, "%v", time.Duration(row)*grain)
		for _, c := range columns {
			fmt.Fprintf(w, "\t%d", rows[row][c])
		}
		fmt.Fprintf(w, "\t%v\t%s\n", longest[row].Round(time.Millisecond), ready)
	}
}

// said is one kind of line of the log.
type said struct {
	first time.Time
	count int
}

// logged are the receivers' warnings and errors, and the outcomes of what was not
// accepted, each kind once.
func (s *story) logged(w *tabwriter.Writer) {
	kinds := map[string]*said{}
	for _, r := range s.lab.receivers {
		s.lab.eachLine(r.name, func(line string) {
			var e struct {
				Level, Message, Op, Outcome, Reason, Why, Event, Error string
				Time                                                   time.Time
			}
			if json.Unmarshal([]byte(line), &e) != nil || e.Time.Before(s.lab.began.Truncate(time.Second)) {
				return
			}
			quiet := e.Level == "info" && e.Message != "ready" && e.Message != "nats"
			if quiet && (e.Outcome == "accepted" || e.Message != "notification") {
				return
			}
			if e.Message == "notification" {
				e.Error = "" // the reason says it
			}
			// What is not a name of a notification is the same from line to line.
			_, e.Error = cutName(e.Error)
			text := strings.Join(slices.DeleteFunc([]string{e.Level, e.Message, e.Op, e.Event, e.Outcome, e.Reason, e.Why, e.Error},
				func(s string) bool { return s == "" }), " | ")
			if kinds[text] == nil {
				kinds[text] = &said{first: e.Time}
			}
			kinds[text].count++
		})
	}
	fmt.Fprintf(w, "\nLOGGED\tTIMES\tLINE (both receivers)\n")
	for _, text := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		return cmp.Or(kinds[a].first.Compare(kinds[b].first), strings.Compare(a, b))
	}) {
		fmt.Fprintf(w, "%v\t%d\t%s\n", max(0, kinds[text].first.Sub(s.lab.began).Round(time.Second)), kinds[text].count, text)
	}
}

// cutName takes the key of a notification, and addresses, out of an error.
func cutName(text string) (name, rest string) {
	before, after, found := strings.Cut(text, "dedupe alipay:dedupe:{")
	if !found {
		return "", text
	}
	name, after, _ = strings.Cut(after, "}: ")
	return name, before + after
}

// metrics are the counters of both receivers, added up.
func (l *lab) metrics() map[string]float64 {
	client := &http.Client{Timeout: 2 * time.Second}
	sums := map[string]float64{}
	for _, r := range l.receivers {
		for line := range strings.Lines(get(l.life, client, r.ops+"/metrics")) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			base, _, _ := strings.Cut(name, "{")
			if !strings.HasPrefix(name, "alipay_notify_") || !strings.HasSuffix(base, "_total") {
				continue
			}
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				sums[strings.TrimPrefix(name, "alipay_notify_")] += v
			}
		}
	}
	return sums
}
