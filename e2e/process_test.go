//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a condition may take on a busy machine. Nothing waits
	// for it in vain unless it fails.
	patience = 30 * time.Second
	// glance is how often a condition is looked at.
	glance = 10 * time.Millisecond
)

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// output keeps what a process writes. It is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is one child under way. It ends with its test at the latest, and what
// it wrote is shown when the test fails.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output // stdout and stderr
	done chan struct{}
}

func start(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: command(path, args...), out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the state tells how it ended
	}()
	t.Cleanup(func() {
		p.kill()
		if strings.Contains(p.out.String(), "WARNING: DATA RACE") {
			t.Errorf("%s: the race detector found something", name)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, tail(p.out.String()))
		}
	})
	return p
}

// command is a child with our environment, but for what would change the
// configuration behind the test's back.
func command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = childAttributes()
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ALIPAY_NOTIFY_") })
	return cmd
}

// tail is the end of a long output.
func tail(s string) string {
	const most = 16 << 10
	if len(s) > most {
		return "[...]" + s[len(s)-most:]
	}
	return s
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %s: %v", p.name, err)
	}
}

// kill is kill -9. It returns when the process is gone, and may be repeated.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it has ended already
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait gives the exit code, or -1 when a signal ended the process.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	eventually(t, p.name+" ends", p.ended)
	return p.cmd.ProcessState.ExitCode()
}

// result is a command that has run to its end.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func run(t testing.TB, path string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := command(path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("run %s %v: %v", path, args, err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// want checks the exit code, and that stderr says each of the words.
func (r result) want(t testing.TB, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.code, code, r.stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("stderr does not say %q:\n%s", word, r.stderr)
		}
	}
}
