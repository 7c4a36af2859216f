//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// options are the flags of run, size and soak. Each has an environment variable
// of the same name in capitals, and BENCH=short makes other defaults.
type options struct {
	duration, warmup, timeout time.Duration
	overload                  time.Duration // how long twice the capacity lasts; 0 leaves it out
	rounds, bodies, copies    int
	rate                      float64 // of a soak
	conns                     []int
	mostConns                 int // of an open loop
	contenders                []string
	others                    map[string]string // binaries of other builds, by letter
	sync, level               string
	bin, out, signed          string

	temp    string // the folder of everything that is written
	profile string // NATS's profiling port, or nothing
}

// otherLetters name other builds of the receiver.
const otherLetters = "xyz"

func parseOptions(verb string, args []string) (o options, err error) {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	duration, warmup, overload, rounds, conns := 5*time.Second, time.Second, 5*time.Second, 3, "1,16,64,512"
	switch {
	case verb == "soak":
		duration = 10 * time.Minute
	case os.Getenv("BENCH") == "short":
		duration, warmup, overload, rounds, conns = 2*time.Second, 500*time.Millisecond, 2*time.Second, 1, "1,64"
	}
	flags.DurationVar(&o.duration, "duration", duration, "of each measurement, or of the soak")
	flags.DurationVar(&o.warmup, "warmup", warmup, "before each measurement")
	flags.DurationVar(&o.timeout, "timeout", 3*time.Second, "for an answer, from when its request was due")
	flags.DurationVar(&o.overload, "overload", overload, "how long twice the capacity lasts; 0s leaves it out")
	flags.IntVar(&o.rounds, "rounds", rounds, "of everything; the medians are printed")
	flags.IntVar(&o.bodies, "bodies", 0, "signed beforehand; 0: enough for 10,000 a second and processor, and for the overload of 8,000")
	flags.IntVar(&o.copies, "copies", 200_000, "events that size stores; enough for stable averages")
	flags.Float64Var(&o.rate, "rate", 100, "notifications a second, of the soak")
	flags.StringVar(&conns, "conns", conns, "connections, in turn")
	// Eight times what is at work in the receiver. Its room for those who wait, 16,384,
	// is not met: few machines let a process open as many files without being asked.
	flags.IntVar(&o.mostConns, "most-conns", 8192, "that an open loop may use; the generator and each contender need as many open files")
	contenders := flags.String("contenders", "a,b,c,d", "which take part")
	others := flags.String("others", "", "other builds of the receiver to compare with a: up to three binaries, named x, y and z")
	flags.StringVar(&o.sync, "nats-sync", "2m", `sync_interval of the nats-server: "2m" (its default) or "always"`)
	flags.StringVar(&o.level, "log-level", "info", "of a, b and c; info is one line a notification")
	flags.StringVar(&o.bin, "bin", "bin", "folder of the built receiver and nats-server")
	flags.StringVar(&o.signed, "signed", "", "folder that keeps the signed bodies for the next run for a day; empty: none")
	flags.StringVar(&o.out, "out", filepath.Join("bench", "out"), "folder for the results as JSON")
	if err := parseFlags(flags, args); err != nil {
		return o, err
	}
	if err := errors.Join(o.useConns(conns), o.useContenders(*contenders, *others)); err != nil {
		return o, err
	}
	if o.bodies == 0 {
		each := max(10_000*(o.duration+o.warmup).Seconds(), 8000*(o.calm()+2*o.overload).Seconds())
		o.bodies = runtime.NumCPU() * int(each)
	}
	return o, nil
}

// parseFlags takes the environment first, and the command line over it.
func parseFlags(flags *flag.FlagSet, args []string) error {
	var errs []error
	flags.VisitAll(func(f *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := os.Getenv(name); v != "" {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return flags.Parse(args)
}

func (o *options) useConns(list string) error {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("conns: %q is no number of connections", s)
		}
		o.conns = append(o.conns, n)
	}
	return nil
}

func (o *options) useContenders(list, others string) error {
	o.contenders = strings.Split(list, ",")
	for _, c := range o.contenders {
		if names[c] == "" {
			return fmt.Errorf("contenders: there is no %q", c)
		}
	}
	o.others = map[string]string{}
	for i, path := range strings.FieldsFunc(others, func(r rune) bool { return r == ',' }) {
		if i >= len(otherLetters) {
			return errors.New("others: three at the most")
		}
		letter := otherLetters[i : i+1]
		full, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		o.others[letter], names[letter] = full, path+", Redis and NATS outside"
		o.contenders = append(o.contenders, letter)
	}
	return nil
}

// calm is how long half the capacity lasts, before and after the overload.
func (o options) calm() time.Duration { return max(o.overload/2, 2*time.Second) }
