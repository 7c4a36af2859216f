//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// print writes the tables. Every number is the median of the rounds.
func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d processors, %s each, %d rounds in rotated order; nats-server sync_interval %s, embedded: sync before each ack; log level %s.\n",
		runtime.NumCPU(), b.duration, b.rounds, b.sync, b.level)
	for _, letter := range b.contenders {
		fmt.Fprintf(w, "  %s  %s\n", letter, names[letter])
	}
	for _, conns := range b.conns {
		fmt.Fprintf(w, "\n%d connections, closed loop\n", conns)
		b.table(w, conns)
	}
	if len(b.overloads) > 0 {
		fmt.Fprintf(w, "\nTwice the capacity, open loop, latency from when a request was due; recovery +Inf: not before the end\n")
		b.overloadTable(w)
	}
	b.ratios(w)
	b.verdict(w)
}

type column struct {
	head string
	of   func(cell) float64
	form string
}

func cpu(process string) func(cell) float64 {
	return func(c cell) float64 { return c.CPU[process] }
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// lost counts the answers that are not success.
func lost(c cell) float64 {
	n := 0
	for answer, count := range c.Load.Answers {
		if answer != accepted.String() {
			n += count
		}
	}
	return float64(n)
}

var columns = []column{
	{"req/s", func(c cell) float64 { return c.Rate }, "%.0f"},
	{"p50 ms", func(c cell) float64 { return c.Load.Latency.P50 / 1000 }, "%.2f"},
	{"p99 ms", func(c cell) float64 { return c.Load.Latency.P99 / 1000 }, "%.2f"},
	{"p99.9 ms", func(c cell) float64 { return c.Load.Latency.P999 / 1000 }, "%.2f"},
	{"CPU us", cpu("all"), "%.0f"},
	{"handler", cpu("handler"), "%.0f"},
	{"redis", cpu("redis"), "%.0f"},
	{"nats", cpu("nats"), "%.0f"},
	{"generator", func(c cell) float64 { return c.Load.OwnCPU * 1e6 / float64(max(c.Load.Accepted, 1)) }, "%.0f"},
	{"rest MiB", func(c cell) float64 { return mib(c.Rest["handler"].Resident) }, "%.0f"},
	{"end MiB", func(c cell) float64 { return mib(c.End["handler"].Resident) }, "%.0f"},
	{"peak MiB", func(c cell) float64 { return mib(c.End["handler"].Peak) }, "%.0f"},
	{"redis MiB", func(c cell) float64 { return mib(c.End["redis"].Resident) }, "%.0f"},
	{"nats MiB", func(c cell) float64 { return mib(c.End["nats"].Resident) }, "%.0f"},
	{"no success", lost, "%.0f"},
}

func (b *bench) table(w io.Writer, conns int) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, c := range columns {
		fmt.Fprint(t, c.head, "\t")
	}
	fmt.Fprintln(t)
	for _, letter := range b.contenders {
		cells := b.pick(b.cells, letter, conns)
		fmt.Fprint(t, letter, "\t")
		for _, c := range columns {
			fmt.Fprintf(t, c.form+"\t", median(cells, c.of))
		}
		fmt.Fprintln(t)
	}
	t.Flush() //nolint:errcheck // when the terminal has gone there is nobody left to tell
}

var overloadColumns = []column{
	{"offered/s", func(c cell) float64 { return c.Offered }, "%.0f"},
	{"sent/s", func(c cell) float64 { return float64(c.Load.Due-c.Load.Answers[unsent.String()]) / c.Load.Seconds }, "%.0f"},
	{"goodput/s", func(c cell) float64 { return c.Rate }, "%.0f"},
	{"p50 ms", columns[1].of, "%.1f"},
	{"p99 ms", columns[2].of, "%.1f"},
	{"CPU us", cpu("all"), "%.0f"},
	{"generator cores", func(c cell) float64 { return c.Load.OwnCPU / c.Load.Seconds }, "%.2f"},
	{"peak MiB", func(c cell) float64 { return mib(c.Calm["handler"].Peak) }, "%.0f"},
	{"after MiB", func(c cell) float64 { return mib(c.Calm["handler"].Resident) }, "%.0f"},
	{"redis MiB", func(c cell) float64 { return mib(c.Calm["redis"].Resident) }, "%.0f"},
	{"nats MiB", func(c cell) float64 { return mib(c.Calm["nats"].Resident) }, "%.0f"},
	{"recovery ms", func(c cell) float64 {
		if c.Recover < 0 {
			return math.Inf(1) // it counts as the worst in a median, not as the best
		}
		return c.Recover
	}, "%.0f"},
}

func (b *bench) overloadTable(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, c := range overloadColumns {
		fmt.Fprint(t, c.head, "\t")
	}
	fmt.Fprint(t, "of the maximum\t\n")
	answers := ""
	for _, letter := range b.contenders {
		cells := b.pick(b.overloads, letter, b.mostConns)
		if len(cells) == 0 {
			continue
		}
		fmt.Fprint(t, letter, "\t")
		for _, c := range overloadColumns {
			fmt.Fprintf(t, c.form+"\t", median(cells, c.of))
		}
		fmt.Fprintf(t, "%.2f\t\n", median(cells, func(c cell) float64 { return c.Rate })/b.capacity(letter))
		answers += fmt.Sprintf("  %s answers: %s\n", letter, sumAnswers(cells))
	}
	t.Flush() //nolint:errcheck // when the terminal has gone there is nobody left to tell
	fmt.Fprint(w, answers)
}

func sumAnswers(cells []cell) string {
	sum := map[string]int{}
	for _, c := range cells {
		for answer, n := range c.Load.Answers {
			sum[answer] += n
		}
	}
	var parts []string
	for _, answer := range slices.Sorted(maps.Keys(sum)) {
		parts = append(parts, fmt.Sprintf("%s %d", answer, sum[answer]))
	}
	return strings.Join(parts, ", ")
}

// ratio compares two contenders at the connections that the floors speak of.
type ratio struct {
	what         string
	over, under  string
	of           func(cell) float64
	floor, aim   float64
	lessIsBetter bool
}

var wanted = []ratio{
	{"throughput", "a", "c", columns[0].of, 1.3, 1.6, false},
	{"CPU, all processes", "a", "c", cpu("all"), 0.72, 0, true},
	{"p99", "a", "c", columns[2].of, 0.8, 0, true},
	{"throughput", "a", "d", columns[0].of, 0.55, 0.6, false},
}

// judged is where the ratios are taken: 64 connections, or the nearest to it.
func (b *bench) judged() int {
	return slices.MinFunc(b.conns, func(x, y int) int { return int(math.Abs(float64(x-64)) - math.Abs(float64(y-64))) })
}

// compare gives the ratio of the medians and the least and largest of the rounds.
func (b *bench) compare(r ratio) (middle, least, most float64) {
	over, under := b.pick(b.cells, r.over, b.judged()), b.pick(b.cells, r.under, b.judged())
	least, most = math.Inf(1), math.Inf(-1)
	for i := range min(len(over), len(under)) {
		x := r.of(over[i]) / r.of(under[i])
		least, most = min(least, x), max(most, x)
	}
	return median(over, r.of) / median(under, r.of), least, most
}

func (b *bench) ratios(w io.Writer) {
	fmt.Fprintf(w, "\nRatios at %d connections, of the medians (and of single rounds)\n", b.judged())
	for _, r := range wanted {
		if !slices.Contains(b.contenders, r.over) || !slices.Contains(b.contenders, r.under) {
			continue
		}
		middle, least, most := b.compare(r)
		word, met := "at least", middle >= r.floor
		if r.lessIsBetter {
			word, met = "at most", middle <= r.floor
		}
		aim := ""
		if r.aim > 0 {
			aim = fmt.Sprintf(", aim %.2f", r.aim)
		}
		fmt.Fprintf(w, "  (%s)/(%s) %-20s %.2f (%.2f to %.2f)  wanted %s %.2f%s: %s\n", r.over, r.under, r.what, middle, least, most, word, r.floor, aim,
			map[bool]string{true: "met", false: "NOT met"}[met])
	}
}

// verdict says what the checks of the streams found, and what spoils a number.
func (b *bench) verdict(w io.Writer) {
	var sum check
	checked := 0
	for _, c := range slices.Concat(b.cells, b.overloads) {
		if c.UsedUp {
			fmt.Fprintf(w, "\nThe bodies were used up in round %d, %s, %d connections: more with BODIES=.\n", c.Round+1, c.Contender, c.Conns)
		}
		if !c.Check.Done {
			continue
		}
		checked++
		sum.Success += c.Check.Success
		sum.Stored += c.Check.Stored
		sum.Refused += c.Check.Refused
		sum.Unknown += c.Check.Unknown
	}
	fmt.Fprintf(w, "\nStreams read after %d runs: %d answered success and are stored once; %d were stored though the answer was another, %d though we hung up first.\n",
		checked, sum.Success, sum.Refused, sum.Unknown)
}

// write keeps everything as JSON.
func (b *bench) write() error {
	if err := os.MkdirAll(b.out, 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "processors": runtime.NumCPU(), "go": runtime.Version(),
		"duration": b.duration.String(), "nats_sync": b.sync, "log_level": b.level,
		"cells": b.cells, "overloads": b.overloads,
	}, "", "\t")
	if err != nil {
		return err
	}
	file := filepath.Join(b.out, "bench-"+time.Now().UTC().Format("20060102-150405")+".json")
	if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // nothing secret
		return err
	}
	progress("written: %s", file)
	return nil
}
