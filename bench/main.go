//go:build linux

// Command bench-e2e measures the built receiver against what others would
// write, side by side: real redis-server, real nats-server, and the same signed
// bodies from a load generator in a process of its own. `make bench-e2e` runs it.
//
//	bench-e2e run      the comparison (flags: bench-e2e run -h)
//	bench-e2e size     memory and disk per notification, for docs/SIZING.md
//	bench-e2e soak     memory over ten minutes at a constant rate
//
// The other verbs are the processes that it starts: load is the generator,
// afternoon and floor are the two peers.
//
// It is a module of its own, so that the peers' libraries stay out of the
// product's, and it imports nothing of the product: it knows it as its users
// do, by its binary, its configuration and its streams. It runs on Linux only,
// since it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-e2e:", err)
		stop()
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	verbs := map[string]func(context.Context, []string) error{
		"run": runCommand, "size": sizeCommand, "soak": soakCommand,
		"load": loadCommand, "afternoon": afternoonCommand, "floor": floorCommand,
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		return errors.New("want a verb: run, size, soak, load, afternoon or floor")
	}
	return verbs[args[0]](ctx, args[1:])
}
