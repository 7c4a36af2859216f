package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"alipay-notify/internal/alipaytest"
)

const (
	// patience is how long servers may take for something on a busy machine.
	patience = 30 * time.Second
	// lease is the shortest that a receiver takes. In the compressed time of a run
	// it is long: the first retries still meet it.
	lease = 5 * time.Second
	// maxBytes is the limit of ALIPAY_EVENTS.
	maxBytes = int64(4) << 30
)

// options are what a run is asked for.
type options struct {
	seed     uint64
	duration time.Duration
	rate     int      // notifications a second
	only     []string // tracks; empty: all
	breaks   string   // the mistake of a receiver that is built wrong
	race     bool     // receivers with the race detector
	receiver string   // a receiver that was built before; empty: it is built
	refuse   bool     // nothing is taken without Redis
	keep     bool     // the folder, whatever came of it
	scenario string
	out      io.Writer
}

// tools are the programs of a run.
type tools struct{ receiver, redis, nats string }

// lab is one run: the servers, what stands between them, and the sender.
type lab struct {
	options options
	tools   tools
	app     *alipaytest.App
	crew
	life context.Context // ends when the run is broken off, or over

	redis     *redisPair
	nats      *cluster
	noDisk    error // why there are no small disks
	receivers [2]*receiver
	balancer  *balancer
	sender    *sender
	journal   *journal
	driver    *driver
	story     *story // of a scenario, or nil
	began     time.Time
	lag       lag
	exam      exam

	mu    sync.Mutex // of what is printed, and of lives
	lives []life     // of the stream, that ended
}

// say writes one line of the run's log.
func (l *lab) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.options.out, format+"\n", args...)
}

// ended notes a stream that was taken away.
func (l *lab) ended(old life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives = append(l.lives, old)
}

// openLab builds the programs and starts everything. What it has started is the
// caller's to close, even when it fails.
func openLab(ctx context.Context, o options) (*lab, error) {
	l := &lab{options: o, life: ctx}
	l.driver = &driver{lab: l}
	dir, err := os.MkdirTemp("", "alipay-notify-chaos-")
	if err != nil {
		return l, err
	}
	l.dir = dir
	if err := l.findTools(ctx); err != nil {
		return l, err
	}
	l.app = &alipaytest.App{ID: alipaytest.DefaultAppID}
	if l.app.Key, err = alipaytest.GenerateKey(2048); err != nil {
		return l, err
	}
	l.app.PublicPEM = l.app.Key.PublicPEM()
	if l.journal, err = newJournal(filepath.Join(dir, "journal.ndjson")); err != nil {
		return l, err
	}
	if l.redis, err = startRedis(ctx, &l.crew, l.tools.redis); err != nil {
		return l, err
	}
	// A notification takes some 4 KiB in the stream and, for a while, in its log.
	disk := int64(96<<20) + int64(o.duration.Seconds())*int64(o.rate)*8<<10
	if l.nats, l.noDisk, err = startCluster(ctx, &l.crew, l.tools.nats, disk); err != nil {
		return l, err
	}
	if err := l.redis.healthy(ctx); err != nil {
		return l, err
	}
	url := l.redis.url()
	if o.scenario != "" {
		url = "redis://" + l.redis.fixed.addr()
	}
	l.balancer = &balancer{journal: l.journal, receivers: l.receivers[:]}
	l.balancer.transport.MaxIdleConnsPerHost = 128
	if err := l.startReceivers(ctx, url); err != nil {
		return l, err
	}
	l.balancer.receivers = l.receivers[:]
	if err := l.nats.healthy(ctx); err != nil {
		return l, err
	}
	l.sender = newSender(l, o.duration)
	return l, nil
}

// findTools builds what is ours and finds the servers.
func (l *lab) findTools(ctx context.Context) error {
	var err error
	if l.tools.redis, err = exec.LookPath("redis-server"); err != nil {
		return fmt.Errorf("redis-server is not in PATH: install it (apt-get install redis-server, brew install redis): %w", err)
	}
	args := []string{}
	if l.options.race {
		args = append(args, "-race")
	}
	if l.options.breaks != "" {
		args = append(args, "-tags", "faultpoints")
	}
	if l.options.receiver != "" {
		l.tools.receiver, err = l.copy("receiver", l.options.receiver)
	} else {
		l.tools.receiver, err = l.build(ctx, "receiver", "alipay-notify/cmd/receiver", args...)
	}
	if err != nil {
		return err
	}
	nats := os.Getenv("ALIPAY_NOTIFY_NATS_SERVER")
	if nats == "" {
		if nats, err = exec.LookPath("nats-server"); err != nil {
			l.tools.nats, err = l.build(ctx, "nats-server", "github.com/nats-io/nats-server/v2")
			return err
		}
	}
	l.tools.nats, err = l.copy("nats-server", nats)
	return err
}

// copy takes a program along: a run starts it again and again, and meanwhile
// others build theirs anew.
func (l *lab) copy(name, from string) (string, error) {
	path := filepath.Join(l.dir, name)
	program, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, program, 0o700)
}

func (l *lab) build(ctx context.Context, name, pkg string, args ...string) (string, error) {
	path := filepath.Join(l.dir, name)
	out, err := command(ctx, "go", slices.Concat([]string{"build"}, args, []string{"-o", path, pkg})...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// command is a program that runs to its end, or to that of ctx.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = childAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ALIPAY_NOTIFY_") })
	return cmd
}

// heal undoes everything and waits until the receivers are ready.
func (l *lab) heal() error {
	var errs []error
	for _, track := range tracks {
		errs = append(errs, l.mend(track))
	}
	return errors.Join(append(errs, l.receiversReady(l.life))...)
}

// close ends everything that the run started.
func (l *lab) close() {
	l.crew.close()
	if l.redis != nil {
		l.redis.close()
	}
	if l.nats != nil {
		l.nats.close()
	}
	if l.journal != nil {
		_ = l.journal.close() // it is a copy of what was checked
	}
}
