//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// bench is a run under way.
type bench struct {
	options
	tools             tools
	keyFile, bodyFile string
	cells             []cell // closed loops
	overloads         []cell
}

// newBench finds the programs and makes the temporary folder, which the caller
// removes.
func newBench(o options) (*bench, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	t := tools{receiver: filepath.Join(bin, "receiver"), nats: filepath.Join(bin, "nats-server")}
	if t.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, path := range []string{t.receiver, t.nats} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: build it with `make build` and `make bench-e2e`", err)
		}
	}
	if t.redis, err = exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("there is no redis-server in PATH: install it (Debian: apt-get install redis-server)")
	}
	if o.temp, err = os.MkdirTemp("", "alipay-notify-bench-"); err != nil {
		return nil, err
	}
	b := &bench{options: o, tools: t}
	b.keyFile, b.bodyFile = filepath.Join(o.temp, "alipay.pem"), filepath.Join(o.temp, "bodies")
	return b, nil
}

func (b *bench) remove() { os.RemoveAll(b.temp) } //nolint:errcheck // the system cleans its temporary folder up

// runCommand is the comparison.
func runCommand(ctx context.Context, args []string) error {
	o, err := parseOptions("run", args)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.remove()
	if err := b.sign(ctx); err != nil {
		return err
	}
	for round := range b.rounds {
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	b.print(os.Stdout)
	return b.write()
}

// freshFor is how long kept bodies are used; the receiver refuses what was signed
// three days ago.
const freshFor = 24 * time.Hour

// sign makes the bodies, unless an earlier run has kept as many.
func (b *bench) sign(ctx context.Context) error {
	if b.signed == "" {
		return signAll(ctx, b.bodyFile, b.keyFile, b.bodies)
	}
	if err := os.MkdirAll(b.signed, 0o700); err != nil {
		return err
	}
	kept := filepath.Join(b.signed, strconv.Itoa(b.bodies))
	b.keyFile, b.bodyFile = filepath.Join(kept, "alipay.pem"), filepath.Join(kept, "bodies")
	if info, err := os.Stat(b.bodyFile); err == nil && time.Since(info.ModTime()) < freshFor {
		progress("using %d bodies of %s; remove %s when bodies have changed", b.bodies, info.ModTime().Format(time.DateTime), kept)
		return nil
	}
	unfinished, err := os.MkdirTemp(b.signed, "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished) //nolint:errcheck // it is renamed, or of no use
	if err := signAll(ctx, filepath.Join(unfinished, "bodies"), filepath.Join(unfinished, "alipay.pem"), b.bodies); err != nil {
		return err
	}
	if err := os.RemoveAll(kept); err != nil {
		return err
	}
	return os.Rename(unfinished, kept)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench-e2e: "+format+"\n", args...) }

// rotated is the order of a round: each contender begins one.
func (b *bench) rotated(round int) []string {
	first := round % len(b.contenders)
	return slices.Concat(b.contenders[first:], b.contenders[:first])
}

// round measures every contender at every number of connections, one after the
// other at each, and then at twice what it took.
func (b *bench) round(ctx context.Context, round int) error {
	for _, conns := range b.conns {
		for _, letter := range b.rotated(round) {
			c, err := b.fill(ctx, cell{Contender: letter, Round: round, Conns: conns}, []phase{{0, b.warmup}, {0, b.duration}})
			if err != nil {
				return fmt.Errorf("%s at %d connections: %w", letter, conns, err)
			}
			b.cells = append(b.cells, c)
			progress("round %d, %3d connections, %s: %.0f/s", round+1, conns, letter, c.Rate)
		}
	}
	if b.overload == 0 {
		return nil
	}
	for _, letter := range b.rotated(round) {
		if letter == "d" {
			continue // it stores nothing that could be lost
		}
		c, err := b.overloadCell(ctx, letter, round)
		if err != nil {
			return fmt.Errorf("%s at twice its capacity: %w", letter, err)
		}
		b.overloads = append(b.overloads, c)
		progress("round %d, twice the capacity, %s: %.0f/s of %.0f/s", round+1, letter, c.Rate, c.Offered)
	}
	return nil
}

// overloadCell offers half the capacity, twice of it, and half again.
func (b *bench) overloadCell(ctx context.Context, letter string, round int) (cell, error) {
	capacity := b.capacity(letter)
	phases := []phase{{capacity / 2, b.calm()}, {2 * capacity, b.overload}, {capacity / 2, b.calm()}}
	return b.fill(ctx, cell{Contender: letter, Round: round, Conns: b.mostConns, Offered: 2 * capacity}, phases)
}

// capacity is the largest median rate of a contender so far.
func (b *bench) capacity(letter string) float64 {
	most := 0.0
	for _, conns := range b.conns {
		most = max(most, median(b.pick(b.cells, letter, conns), func(c cell) float64 { return c.Rate }))
	}
	return most
}

// pick gives the cells of one contender at one number of connections.
func (b *bench) pick(cells []cell, letter string, conns int) []cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.Contender != letter || c.Conns != conns })
}

// median of some cells; NaN of none.
func median(cells []cell, of func(cell) float64) float64 {
	if len(cells) == 0 {
		return math.NaN()
	}
	values := make([]float64, len(cells))
	for i, c := range cells {
		values[i] = of(c)
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
