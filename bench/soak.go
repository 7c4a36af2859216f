//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// soakParts is how often memory is looked at in a soak.
const soakParts = 10

// soakCommand holds a small constant rate for long (DURATION, 10 minutes) and
// shows how the memory of the receiver goes, with servers outside and embedded.
func soakCommand(ctx context.Context, args []string) error {
	o, err := parseOptions("soak", args)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.remove()
	if err := signAll(ctx, b.bodyFile, b.keyFile, int(o.rate*o.duration.Seconds())+1); err != nil {
		return err
	}
	for _, letter := range []string{"a", "b"} {
		if err := b.soak(ctx, letter, phase{o.rate, o.duration / soakParts}); err != nil {
			return fmt.Errorf("%s: %w", letter, err)
		}
	}
	return nil
}

func (b *bench) soak(ctx context.Context, letter string, part phase) error {
	a, err := b.tools.open(ctx, letter, b.keyFile, b.options)
	defer a.close()
	if err != nil {
		return err
	}
	outcomes := filepath.Join(a.dir, "outcomes")
	r, marks, err := b.load(ctx, a, b.mostConns, slices.Repeat([]phase{part}, soakParts), outcomes)
	if err != nil {
		return err
	}
	found, err := a.check(ctx, outcomes)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %.0f a second, %d accepted, of them stored once: all; resident MiB every %s:", names[letter], part.Rate, found.Success, part.Last)
	for _, m := range marks {
		fmt.Printf(" %.1f", mib(m["handler"].Resident))
	}
	last := r.Phases[len(r.Phases)-1]
	fmt.Printf("; p99 in the last part %.1f ms\n", last.Latency.P99/1000)
	return nil
}
