package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// restartAfter is how long a unit that ended by itself stays down: what a
// service manager does, so that a process may give up.
const restartAfter = time.Second

// unit is one program that is kept running, except while the driver wants it
// down. It is safe for concurrent use.
type unit struct {
	name string
	argv []string
	env  []string // beside ours
	log  *os.File // stdout and stderr of every life

	mu      sync.Mutex
	wanted  bool
	stopped bool // by SIGSTOP
	cmd     *exec.Cmd
	gone    chan struct{} // closed when cmd has ended
	alone   int           // how often it ended by itself
}

// start starts the unit where it does not run.
func (u *unit) start() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted = true
	if u.running() {
		return nil
	}
	return u.begin()
}

// begin starts the process; the caller holds the lock.
func (u *unit) begin() error {
	cmd := exec.Command(u.argv[0], u.argv[1:]...)
	cmd.Stdout, cmd.Stderr = u.log, u.log
	cmd.SysProcAttr = childAttributes()
	// The caller's settings are for another receiver.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ALIPAY_NOTIFY_") })
	cmd.Env = append(cmd.Env, u.env...)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", u.name, err)
	}
	gone := make(chan struct{})
	u.cmd, u.gone, u.stopped = cmd, gone, false
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(gone)
		u.ended(cmd)
	}()
	return nil
}

// ended brings a process back that nobody wanted down.
func (u *unit) ended(cmd *exec.Cmd) {
	u.mu.Lock()
	if u.wanted && u.cmd == cmd {
		u.alone++
	}
	u.mu.Unlock()
	time.Sleep(restartAfter)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.wanted && u.cmd == cmd {
		if err := u.begin(); err != nil {
			fmt.Fprintln(u.log, "chaos:", err)
		}
	}
}

// running tells whether the process lives; the caller holds the lock.
func (u *unit) running() bool {
	if u.cmd == nil {
		return false
	}
	select {
	case <-u.gone:
		return false
	default:
		return true
	}
}

// kill is kill -9. It returns when the process is gone.
func (u *unit) kill() { u.end(syscall.SIGKILL) }

// stop asks the process to end, and kills it when it does not within ten seconds.
func (u *unit) stop() { u.end(syscall.SIGTERM) }

func (u *unit) end(s syscall.Signal) {
	u.mu.Lock()
	u.wanted = false
	gone, cmd := u.gone, u.cmd
	if !u.running() {
		u.mu.Unlock()
		return
	}
	u.signal(s)
	if u.stopped {
		u.signal(syscall.SIGCONT) // else it cannot hear us
	}
	u.mu.Unlock()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill() // it has ended meanwhile
		<-gone
	}
}

// pause is SIGSTOP, resume is SIGCONT.
func (u *unit) pause() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.signal(syscall.SIGSTOP)
}

func (u *unit) resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = false
	u.signal(syscall.SIGCONT)
}

func (u *unit) signal(s syscall.Signal) {
	if u.cmd == nil {
		return
	}
	if err := u.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintln(u.log, "chaos:", err)
	}
}

// endings is how often the unit ended by itself.
func (u *unit) endings() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.alone
}

// await looks every 50 ms whether something is so.
func await(ctx context.Context, most time.Duration, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %s", most, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// pass waits, and returns early when ctx ends.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
