//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a process that we started. Its output goes to a file, as a service's
// does: a pipe would make us pay for reading it.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// startChild starts a process in a group of its own, so that Ctrl-C reaches us
// alone and we end it in order; the kernel ends it when we are killed. dir is
// where it runs and logs.
func startChild(name, dir, path string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(path, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // the child has its own
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Dir = out, out, dir
	c.cmd.SysProcAttr = childAttributes()
	c.cmd.Env = environ()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.cmd.Wait() //nolint:errcheck // the state tells how it ended
	}()
	return c, nil
}

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// environ is ours without what would change the receiver's configuration.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ALIPAY_NOTIFY_") {
			env = append(env, e)
		}
	}
	return env
}

// stop asks the process to end, and after a while no longer asks. It may be
// repeated.
func (c *child) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it has ended already
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		c.cmd.Process.Kill() //nolint:errcheck // it has ended already
		<-c.done
	}
}

func (c *child) usage() (usage, error) { return usageOf(c.cmd.Process.Pid) }

// failure is the error of a process that does not do what it should, with the
// end of what it said.
func (c *child) failure(what string) error {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return fmt.Errorf("%s %s: %w", c.name, what, err)
	}
	const most = 2000
	return fmt.Errorf("%s %s; it said:\n%s", c.name, what, text[max(len(text)-most, 0):])
}

// await looks until ok, the process's end, ctx's end, or half a minute.
func (c *child) await(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-c.done:
			return c.failure("ended before it " + what)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return c.failure("has not " + what + " within 30 s")
			}
			return ctx.Err()
		}
	}
	return nil
}

// listening is the line in which a contender says where it is.
type listening struct {
	Message string `json:"message"`
	Listen  string `json:"listen"`
	Ops     string `json:"ops"`
	NATS    string `json:"nats"`
}

// awaitListening waits for that line.
func (c *child) awaitListening(ctx context.Context) (listening, error) {
	var said listening
	err := c.await(ctx, "listened", func() bool {
		text, err := os.ReadFile(c.log)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			if json.Unmarshal([]byte(line), &said) == nil && said.Message == "listening" {
				return true
			}
		}
		return false
	})
	return said, err
}

// runTool runs a command to its end.
func runTool(ctx context.Context, dir, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr, cmd.Env, cmd.Dir = childAttributes(), environ(), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return nil
}

// freePort is a port that the kernel has just given away and got back.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
