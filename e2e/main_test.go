//go:build e2e

// Package e2e runs the real binaries against real servers: redis-server,
// nats-server, and the NATS server inside the receiver. It sees what a user
// sees (replies, streams, keys, log lines, exit codes) and knows no internals;
// of our packages it uses the stand-in for Alipay, which shares no code with
// the receiver, and the conformance suite of the dedupe protocol.
//
//	go test -race -tags e2e -count=1 ./e2e/...
//
// It needs redis-server, node, npm, and for the runbook bash, jq and curl, in PATH. nats-server is the one that
// ALIPAY_NOTIFY_NATS_SERVER names, else that of PATH, else one built from the
// module that the product embeds. Everything listens on 127.0.0.1 on ports that
// the kernel chose. ALIPAY_NOTIFY_SHARED names the folder with
// vectors/message_service_captures.json, two real requests of Alipay's.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tools are the programs under test and those beside them. TestMain sets them
// before any test begins; nothing changes them afterwards.
var tools struct {
	receiver, replayer, alipaysim, redis, nats string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "alipay-notify-e2e-")
	if err == nil {
		err = prepare(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		for _, server := range []string{tools.redis, tools.nats} {
			fmt.Println("e2e: against", server, version(server))
		}
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// prepare builds the binaries, once, and finds the servers. A server that is
// missing is a failure: a suite that skips itself proves nothing.
func prepare(dir string) (err error) {
	if tools.redis, err = exec.LookPath("redis-server"); err != nil {
		return fmt.Errorf("redis-server is not in PATH: install it (apt-get install redis-server, brew install redis): %w", err)
	}
	for name, path := range map[string]*string{
		"receiver": &tools.receiver, "replayer": &tools.replayer, "alipaysim": &tools.alipaysim,
	} {
		if *path, err = build(dir, name, "./cmd/"+name, raceEnabled); err != nil {
			return err
		}
	}
	if tools.nats = os.Getenv("ALIPAY_NOTIFY_NATS_SERVER"); tools.nats != "" {
		if _, err := exec.LookPath(tools.nats); err != nil {
			return fmt.Errorf("ALIPAY_NOTIFY_NATS_SERVER: %w", err)
		}
		return nil
	}
	if tools.nats, err = exec.LookPath("nats-server"); err == nil {
		return nil
	}
	tools.nats, err = build(dir, "nats-server", "github.com/nats-io/nats-server/v2", false)
	return err
}

// version is what a server says of itself, so that the log of a run shows that
// real ones were there.
func version(server string) string {
	out, err := exec.Command(server, "--version").Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

// build compiles one command. Ours have the race detector when the tests have
// it: here they meet more concurrency than anywhere else.
func build(dir, name, pkg string, race bool) (string, error) {
	path := filepath.Join(dir, name)
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
