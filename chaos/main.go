// Chaos breaks everything around two receivers, by a plan that a seed makes,
// while a stand-in for Alipay sends them notifications, and then judges by the
// stream and the sender's journal alone whether the promise was kept: nothing
// acknowledged is lost, everything arrives, nothing is stored twice where it may
// not be. docs/CHAOS.md says what is broken and how to read the table.
//
//	go run ./chaos -seed 7 -duration 10m
//	go run ./chaos -scenario redis-empty
//
// Everything runs as real processes on this machine: two receivers, two
// redis-server with three sentinels, three nats-server. It needs redis-server in
// PATH; nats-server is the one that ALIPAY_NOTIFY_NATS_SERVER names, else that of
// PATH, else one built from the module that the product embeds. Exit code 0 is a
// kept promise, 1 a broken one or a run that did not come to its end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := chaos(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// chaos is the command.
func chaos(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{out: stdout}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var only string
	flags.Uint64Var(&o.seed, "seed", 0, "what is broken when; 0 is a new one, which is printed")
	flags.DurationVar(&o.duration, "duration", time.Minute, "how long things are broken")
	flags.IntVar(&o.rate, "rate", 60, "notifications a second")
	flags.StringVar(&only, "only", "", "tracks to break, comma-separated, of: "+strings.Join(tracks, ", "))
	flags.StringVar(&o.breaks, "break", "", "a mistake in the receivers that has to be found: commit-before-publish, ack-before-publish, redis-never-asked, never-committed or redis-alone-believed")
	flags.BoolVar(&o.race, "race", false, "build the receivers with the race detector")
	flags.StringVar(&o.receiver, "receiver", "", "a receiver that was built before, instead of one built now")
	flags.BoolVar(&o.refuse, "refuse", false, "receivers with redis.on_unavailable: refuse, that take nothing without Redis")
	flags.BoolVar(&o.keep, "keep", false, "keep journal, streams and logs of a run that found nothing, too")
	flags.StringVar(&o.scenario, "scenario", "", "one story instead of chance: "+strings.Join(slices.Sorted(maps.Keys(scenarios)), ", "))
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, track := range o.only {
		if !slices.Contains(tracks, track) {
			fmt.Fprintf(stderr, "chaos: -only %s: no such track; there are %s\n", track, strings.Join(tracks, ", "))
			return 2
		}
	}
	if _, ok := scenarios[o.scenario]; !ok && o.scenario != "" {
		fmt.Fprintf(stderr, "chaos: -scenario %s: no such scenario; there are %s\n", o.scenario, strings.Join(slices.Sorted(maps.Keys(scenarios)), ", "))
		return 2
	}
	if o.scenario != "" {
		o.duration = scenarios[o.scenario].lasts
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32()) + 1
	}
	v, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return 1
	}
	if len(v.violations) > 0 {
		fmt.Fprintf(stderr, "chaos: %d violations; again with -seed %d -duration %v -rate %d\n", len(v.violations), o.seed, o.duration, o.rate)
		return 1
	}
	return 0
}
