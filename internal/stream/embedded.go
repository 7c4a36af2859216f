package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The files in the embedded server's folder.
const (
	tokenFile   = "token"   // who may connect; mode 0600
	addressFile = "address" // where the running server listens
	lockFile    = "lock"    // held by the process that uses the folder
)

// EmbeddedOptions says where the embedded server keeps its data and listens.
type EmbeddedOptions struct {
	Dir        string
	Listen     string // loopback host:port; port 0 lets the kernel choose
	MaxPayload int    // bytes; at least what the layout needs
	Log        func(level, message string)
}

// Embedded is a real NATS server with JetStream in our own process: file store,
// synced to the disk before every acknowledgement, so that neither kill -9 nor a
// power failure loses what was acknowledged.
type Embedded struct {
	server *server.Server
	token  string
	dir    string
	lock   *os.File
	fatal  chan string // why the server gave up while it started
	done   chan struct{}
}

// ErrStopped means that the embedded server stopped by itself, or only its
// JetStream did, which happens when the disk is full.
var ErrStopped = errors.New("the embedded JetStream stopped: the disk may be full")

// StartEmbedded starts the server and returns when it takes connections: at once, or
// after a power failure when it has read its store, which takes minutes where that is
// large and the disk slow. It ends with ctx only until then.
func StartEmbedded(ctx context.Context, o EmbeddedOptions) (*Embedded, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded.listen: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded.listen: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the embedded server: %w", err)
	}
	e := &Embedded{dir: o.Dir, fatal: make(chan string, 1), done: make(chan struct{})}
	if e.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	if e.token, err = loadToken(o.Dir); err != nil {
		e.unlock()
		return nil, err
	}
	e.server, err = server.NewServer(&server.Options{
		ServerName: "alipay-notify-embedded",
		Host:       host, Port: port,
		Authorization: e.token,
		JetStream:     true, StoreDir: o.Dir, SyncAlways: true,
		// Each stream has its own limit; the sum of them may be more than a
		// small disk has, and must not keep the server from starting.
		JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 64 * mib,
		MaxPayload: int32(max(o.MaxPayload, server.MAX_PAYLOAD_SIZE)), //nolint:gosec // configuration bounds the body at 16 MiB
		NoSigs:     true,
	})
	if err != nil {
		e.unlock()
		return nil, fmt.Errorf("make the embedded server: %w", err)
	}
	e.server.SetLoggerV2(serverLog{o.Log, e.fatal}, false, false, false)
	go e.server.Start()
	if err := e.waitReady(ctx, o.Log); err != nil {
		if ctx.Err() != nil {
			go e.server.Shutdown() // which waits for the recovery; who asked us to stop does not
			return nil, err
		}
		e.server.Shutdown()
		e.server.WaitForShutdown()
		e.unlock()
		return nil, err
	}
	go e.watch()
	return e, nil
}

const (
	startPoll = 50 * time.Millisecond
	// startTimeout bounds a start of which nothing is to be seen.
	startTimeout = 60 * time.Second
	// sayRecovering is how often a start that takes long says so.
	sayRecovering = 10 * time.Second
)

// waitReady waits for as long as the recovery of the store takes: after a power
// failure all of it is read, and a start that is given up begins anew.
func (e *Embedded) waitReady(ctx context.Context, log func(level, message string)) error {
	began, said := time.Now(), time.Now()
	for !e.server.ReadyForConnections(startPoll) {
		// A server that cannot listen or open its store only logs it, and would be
		// waited for in vain.
		select {
		case why := <-e.fatal:
			return fmt.Errorf("the embedded server (nats.embedded.listen, nats.embedded.dir) did not start: %s", why)
		case <-ctx.Done():
			return fmt.Errorf("the embedded server was still reading its store after %v: %w", time.Since(began).Round(time.Second), context.Cause(ctx))
		default:
		}
		if time.Since(began) > startTimeout && !e.server.Running() {
			return fmt.Errorf("the embedded server did not start within %v; its log lines say why", startTimeout)
		}
		if time.Since(said) >= sayRecovering && log != nil {
			said = time.Now()
			log("warn", fmt.Sprintf("still reading the store in nats.embedded.dir, since %v", time.Since(began).Round(time.Second)))
		}
	}
	if !e.server.JetStreamEnabled() {
		return ErrStopped
	}
	address := filepath.Join(e.dir, addressFile)
	if err := os.WriteFile(address, []byte(e.server.Addr().String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", address, err)
	}
	return nil
}

// watch notices that JetStream stopped, or that the archive takes nothing any
// more, both of which the server only logs. After a write that failed, on a full
// disk say, a stream stays as it is until the server is started again.
func (e *Embedded) watch() {
	defer close(e.done)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for broken := 0; e.server.Running() && e.server.JetStreamEnabled() && broken < brokenLooks; <-tick.C {
		if e.archiveBroken() {
			broken++
		} else {
			broken = 0
		}
	}
}

// brokenLooks is how often in a row the archive must be found broken: while a
// stream is made or deleted it can look so for a moment.
const brokenLooks = 5

// archiveBroken tells whether ALIPAY_EVENTS is on the disk and unusable. One
// that is not there at all is for the check of the layout to find.
func (e *Embedded) archiveBroken() bool {
	health := e.server.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: Events})
	return health.StatusCode == http.StatusServiceUnavailable
}

// Done is closed when the server, or only its JetStream, has stopped.
func (e *Embedded) Done() <-chan struct{} { return e.done }

// Token is what a client must show.
func (e *Embedded) Token() string { return e.token }

// URL is where clients in other processes connect.
func (e *Embedded) URL() string { return "nats://" + e.server.Addr().String() }

// FreeDisk is the free space of the disk that holds the data, in bytes.
func (e *Embedded) FreeDisk() (int64, error) { return FreeDisk(e.dir) }

// FreeDisk is the free space of the disk that holds a folder, in bytes.
func FreeDisk(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert,gosec // the types differ between systems
}

// Stop ends the server and waits until its files are closed, or for ctx.
func (e *Embedded) Stop(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		e.server.Shutdown() // closes the stores, which a slow disk can make long
		e.server.WaitForShutdown()
		<-e.done
		e.unlock()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the embedded server: %w", context.Cause(ctx))
	}
}

// EmbeddedAddress finds the embedded server of another process: where it
// listens and the token that lets us in. listen is the configured address; it
// counts where it names a port, and else the running server has left its own.
func EmbeddedAddress(dir, listen string) (url, token string, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, tokenFile))
	if err != nil {
		return "", "", fmt.Errorf("read the token of the embedded server: %w", err)
	}
	if strings.HasSuffix(listen, ":0") {
		address, err := os.ReadFile(filepath.Join(dir, addressFile))
		if err != nil {
			return "", "", fmt.Errorf("read the address of the embedded server: %w", err)
		}
		listen = strings.TrimSpace(string(address))
	}
	return "nats://" + listen, strings.TrimSpace(string(raw)), nil
}

// loadToken reads the token, or makes it on the first start.
func loadToken(dir string) (string, error) {
	path := filepath.Join(dir, tokenFile)
	raw, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(raw))) >= 32 {
		// A copy or a backup may have opened it to others.
		if err := os.Chmod(path, 0o600); err != nil {
			return "", fmt.Errorf("close the token to others: %w", err)
		}
		return strings.TrimSpace(string(raw)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	token := hex.EncodeToString(b[:])
	// Renamed into place, so that a crash leaves the whole token or none.
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	return token, nil
}

// lockDir keeps two processes from one store, which would destroy it. The
// kernel drops the lock with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the embedded server: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() //nolint:errcheck,gosec // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		return nil, fmt.Errorf("%s is used by another process: stop it, or give this one its own nats.embedded.dir", dir)
	}
	return f, nil
}

func (e *Embedded) unlock() { e.lock.Close() } //nolint:errcheck,gosec // nothing was written

// serverLog hands the server's log lines on. Notices are its chatter at start;
// what is fatal ends the start as well.
type serverLog struct {
	log   func(level, message string)
	fatal chan<- string
}

func (l serverLog) put(level, format string, v []any) {
	if l.log != nil {
		l.log(level, fmt.Sprintf(format, v...))
	}
}

func (l serverLog) Noticef(format string, v ...any) { l.put("debug", format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.put("warn", format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.put("error", format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.put("trace", format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.put("trace", format, v) }
func (l serverLog) Fatalf(format string, v ...any) {
	l.put("error", format, v)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default: // only the first is the reason
	}
}
