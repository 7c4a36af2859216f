package stream_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

func embeddedClient(tb testing.TB, e *stream.Embedded) *stream.Client {
	tb.Helper()
	return connect(tb, stream.ConnectOptions{URL: e.URL(), Token: e.Token(), Embed: e})
}

func TestEmbeddedToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "nats")
	e := startEmbedded(t, dir)
	file := filepath.Join(dir, "token")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) != 64 || token != e.Token() {
		t.Errorf("the file says %q, the server %q", token, e.Token())
	}
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if got := mode(file); got != 0o600 {
		t.Errorf("the token's mode is %o", got)
	}
	if got := mode(dir); got != 0o700 {
		t.Errorf("the folder's mode is %o", got)
	}
	stopEmbedded(t, e)

	// A restored backup is often readable by everybody.
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	again := startEmbedded(t, dir)
	if again.Token() != token {
		t.Error("a restart has changed the token: every consumer is locked out")
	}
	if got := mode(file); got != 0o600 {
		t.Errorf("after a restart the token's mode is %o", got)
	}
}

func TestEmbeddedNobodyWithoutTheToken(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	for name, options := range map[string][]nats.Option{
		"none":          nil,
		"wrong":         {nats.Token(strings.Repeat("0", 64))},
		"as a password": {nats.UserInfo("token", e.Token())},
		"empty":         {nats.Token("")},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := nats.Connect(e.URL(), append(options, nats.MaxReconnects(0))...)
			if err == nil {
				nc.Close()
			}
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := stream.Connect(stream.ConnectOptions{URL: e.URL(), Token: "x"}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("Connect: got %v", err)
	}
}

// Being in the same process is no way around the token. The server takes ten
// seconds to close the pipe of somebody it does not let in.
func TestEmbeddedInProcessNeedsTheToken(t *testing.T) {
	t.Parallel()
	e := startEmbedded(t, t.TempDir())
	if c, err := stream.Connect(stream.ConnectOptions{URL: e.URL(), Token: "x", Embed: e}); err == nil {
		c.Close()
		t.Error("a wrong token gets in")
	}
}

func TestEmbeddedAddress(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := stream.EmbeddedAddress(dir, "127.0.0.1:0"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("where none ever ran: %v", err)
	}
	e := startEmbedded(t, dir)
	url, token, err := stream.EmbeddedAddress(dir, "127.0.0.1:0")
	if err != nil || url != e.URL() || token != e.Token() {
		t.Errorf("got %q, %v, want %q", url, err, e.URL())
	}
	connect(t, stream.ConnectOptions{URL: url, Token: token})
	if url, _, err := stream.EmbeddedAddress(dir, "127.0.0.1:4333"); err != nil || url != "nats://127.0.0.1:4333" {
		t.Errorf("with a port in the configuration: %q, %v", url, err)
	}
}

func TestEmbeddedOneFolderOneProcess(t *testing.T) {
	dir := t.TempDir()
	e := startEmbedded(t, dir)
	_, err := stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: dir, Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), dir+" is used by another process") || !strings.Contains(err.Error(), "nats.embedded.dir") {
		t.Errorf("the second one: %v", err)
	}
	publish(t, provisioned(t, e).NewPublisher(), event(1)) // the first one has not noticed
	stopEmbedded(t, e)
	startEmbedded(t, dir)
}

func provisioned(tb testing.TB, e *stream.Embedded) *stream.Client {
	tb.Helper()
	c := embeddedClient(tb, e)
	provision(tb, c, stream.NewLayout(options()))
	return c
}

// A server that could not listen only said so in its log, and the receiver
// stood still for a minute before it gave up, without a reason.
func TestEmbeddedPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	dir := t.TempDir()
	began := time.Now()
	_, err = stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: dir, Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	startEmbedded(t, dir) // what failed has let go of the folder
}

func TestEmbeddedStoreThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), []byte("a file, where a folder must be"), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: dir, Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "did not start: ") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to say so", took)
	}
}

func TestEmbeddedBadListen(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1", "127.0.0.1:nats"} {
		if _, err := stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: t.TempDir(), Listen: listen}); err == nil ||
			!strings.Contains(err.Error(), "nats.embedded.listen") {
			t.Errorf("%q: %v", listen, err)
		}
	}
}

// Without it the server says "stored" up to two minutes before the disk has it.
func TestEmbeddedSyncsAlways(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	if c := e.Server().JetStreamConfig(); c == nil || !c.SyncAlways {
		t.Errorf("the server's JetStream: %+v", c)
	}
}

func TestEmbeddedDone(t *testing.T) {
	t.Parallel()
	t.Run("when only JetStream stops, as on a full disk", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		c := provisioned(t, e)
		select {
		case <-e.Done():
			t.Fatal("done while it runs")
		default:
		}
		p := c.NewPublisher()
		publish(t, p, event(1))
		if err := e.Server().DisableJetStream(); err != nil {
			t.Fatal(err)
		}
		closed(t, "Done", e.Done())
		if _, err := p.Publish(t.Context(), event(2)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a publish without JetStream: %v", err)
		}
	})
	t.Run("on Stop", func(t *testing.T) {
		e := startEmbedded(t, t.TempDir())
		stopEmbedded(t, e)
		closed(t, "Done", e.Done())
		stopEmbedded(t, e) // twice does no harm
	})
}

// Stop closed the stores before it looked at its context, so that a disk that
// hangs would have kept the process until it was killed; and one that ran out of
// time left the folder locked after the server had stopped.
func TestEmbeddedStopIsBounded(t *testing.T) {
	dir := t.TempDir()
	e := startEmbedded(t, dir)
	provisioned(t, e)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("no time left")
	cancel(cause)
	if err := e.Stop(ctx); err != nil && !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	closed(t, "Done", e.Done()) // it goes on behind our back
	eventually(t, "the folder is free again", func() bool {
		again, err := stream.StartEmbedded(t.Context(), stream.EmbeddedOptions{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			return false
		}
		stopEmbedded(t, again)
		return true
	})
}

// Places that Redis remembers must stand after a restart, and events be there.
func TestEmbeddedRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	e := startEmbedded(t, dir)
	c := provisioned(t, e)
	receipt := publish(t, c.NewPublisher(), event(1))
	c.Close()
	stopEmbedded(t, e)

	e = startEmbedded(t, dir)
	c = embeddedClient(t, e)
	p := c.NewPublisher()
	if ok, err := p.Holds(t.Context(), receipt.Place); !ok || err != nil {
		t.Errorf("the place no longer holds: %v, %v", ok, err)
	}
	if r := publish(t, p, event(1)); !r.Duplicate || r.Sequence != receipt.Sequence || r.Place != receipt.Place {
		t.Errorf("the stream has forgotten the message id: %+v, before %+v", r, receipt)
	}
	if diffs := check(t, c, stream.NewLayout(options())); len(diffs) != 0 {
		t.Errorf("the layout differs after a restart: %v", diffs)
	}
}

func TestEmbeddedFreeDisk(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	if n, err := e.FreeDisk(); err != nil || n <= 0 {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestEmbeddedLeaksNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("open files are counted in /proc")
	}
	dir := t.TempDir()
	round := func() {
		e := startEmbedded(t, dir)
		c := provisioned(t, e)
		publish(t, c.NewPublisher(), event(1))
		c.Close()
		stopEmbedded(t, e)
	}
	count := func() (files, routines int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries), runtime.NumGoroutine()
	}
	round() // what the libraries make once for the process
	files, routines := count()
	for range 5 {
		round()
	}
	eventually(t, "no file and no goroutine is left over", func() bool {
		f, r := count()
		return f <= files && r <= routines
	})
}
