// Command consumer shows how to consume the events of alipay-notify: a durable
// pull consumer with explicit acknowledgements, whose effect happens once however
// often an event comes and in whatever order. ../README.md says what to copy and
// what to change.
//
// Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"alipay-notify-consumer/state"
)

const usage = `Usage:
  consumer run --nats URL --name NAME --state FILE [--token-file F | --user U --password-file F | --creds F]
               [--ca F] [--api-prefix P] [--alipay-key PEM]... [--create]
  consumer dump --state FILE

run consumes until SIGTERM or SIGINT; dump prints what it has counted, as JSON.
`

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command runs one command and gives the exit code.
func command(args []string, stdout, stderr io.Writer) int {
	err := errUsage
	if len(args) > 0 {
		switch args[0] {
		case "run":
			err = runCommand(args[1:], stderr)
		case "dump":
			err = dumpCommand(args[1:], stdout)
		case "help", "-h", "--help":
			err = flag.ErrHelp
		}
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "consumer: %v\n%s", err, usage)
		return 2
	case errors.Is(err, errLogged):
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "consumer: %v\n", err)
		return 1
	}
	return 0
}

func runCommand(args []string, stderr io.Writer) error {
	o, err := parseRun(args)
	if err != nil {
		return err
	}
	// The first signal stops cleanly; after it a second one has its usual effect.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	if err := run(ctx, o, log); err != nil {
		log.Error("failed", "error", err)
		return errLogged
	}
	log.Info("stopped")
	return nil
}

// errLogged is an error of which the log has said everything.
var errLogged = errors.New("see the log")

func dumpCommand(args []string, stdout io.Writer) error {
	path, err := parseDump(args)
	if err != nil {
		return err
	}
	store, err := state.OpenReadOnly(path)
	if err != nil {
		return err
	}
	all, err := store.Dump()
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(all)
}
