package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/plainhttp"
	"alipay-notify/internal/server"
	"alipay-notify/internal/stream"
)

// receiver is the running daemon. Its parts are set in the order of start and
// stopped in the reverse order.
type receiver struct {
	cfg config.Config
	log zerolog.Logger

	embedded  *stream.Embedded // nil with external servers
	client    *stream.Client
	publisher *stream.Publisher
	keeper    *stream.Keeper
	redis     redis.UniversalClient // nil without
	settle    func(context.Context) error
	pipeline  *ingest.Pipeline
	metrics   *server.Metrics
	health    *health

	notify    *plainhttp.Server
	ops       *http.Server
	listeners []net.Listener
	failed    chan error // a listener ended by itself

	complaints  seldom // of NATS
	looks       struct{ stream, redis damper }
	keeping     sync.WaitGroup // the writer of rejects
	stopKeeping func()
}

// serve runs the receiver until ctx ends, and stops it gracefully.
func serve(ctx context.Context, file string, environ []string, stderr io.Writer) error {
	// Before anything else: an unhandled SIGHUP ends a process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	path := wire.ConfigPath(file, environ)
	seen := wire.Look(path, environ)
	cfg, keys, err := wire.ReceiverConfig(file, environ)
	if err != nil {
		return err
	}
	lines := newLineBuffer(stderr)
	defer lines.Flush()
	log, err := newLogger(cfg, lines)
	if err != nil {
		return err
	}
	if err := scheduleBatch(); err != nil {
		log.Info().Err(err).Msg("the kernel schedules the receiver as it does by default; a notification costs somewhat more")
	}
	r := &receiver{cfg: cfg, log: log, failed: make(chan error, 2)}
	if err := r.start(ctx, keys); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) { // we were asked to stop: nothing has failed
			log.Info().Err(err).Msg("stopped while starting")
			err = nil
		}
		return errors.Join(err, r.stop())
	}
	r.announce(lines)

	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { r.watch(watching) })
	watchers.Go(func() { tuneGC(watching) })
	watchers.Go(func() {
		newReloader(r, path, environ, keys, seen).run(watching, hup)
	})
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	r.keeping.Go(func() { r.keeper.Run(keeping) })
	r.stopKeeping = stopKeeping
	err = r.wait(ctx)
	stopWatching()
	watchers.Wait()
	return errors.Join(err, r.stop())
}

// newLogger makes the log of the process.
func newLogger(cfg config.Config, lines *lineBuffer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		return zerolog.Nop(), cli.Usagef("log.level: info", "log.level: %w", err)
	}
	var w io.Writer = lines
	if cfg.Log.Format == "console" {
		// Somebody looks at it: each line at once.
		w = zerolog.ConsoleWriter{Out: lines, TimeFormat: time.TimeOnly, NoColor: true}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}

func (r *receiver) start(ctx context.Context, keys wire.Keys) error {
	r.health = &health{}
	r.health.set("starting", errors.New("the receiver is starting"))
	r.metrics = server.NewMetrics(wire.Version, func() bool { return len(r.health.reasons()) == 0 })
	r.metrics.Foresee([]string{dedupe.OpClaim, dedupe.OpCommit, dedupe.OpRelease}, stream.KeeperEvents())
	if err := r.connect(ctx); err != nil {
		return err
	}
	once, err := r.dedupe()
	if err != nil {
		return err
	}
	proxies, err := wire.Proxies(r.cfg)
	if err != nil {
		return err
	}
	r.pipeline = ingest.New(broken(r.redis, ingest.Options{
		Once: once, Key: dedupe.Key, Publisher: r.publisher, Keeper: r.keeper, MaxSignedAge: r.cfg.HTTP.MaxSignedAge,
	}), keys.Apps...)
	r.useCerts(keys)
	endpoint := server.New(r.pipeline, server.Options{
		Path:           r.cfg.HTTP.Path,
		MaxBody:        int(r.cfg.HTTP.MaxBody),
		MaxInFlight:    r.atWork(),
		TrustedProxies: proxies,
		Log:            r.log,
		Metrics:        r.metrics,
	})
	r.notify, r.ops = endpoint.HTTP(), server.HTTP(server.NewOps(r.metrics, r.health.reasons))
	for _, l := range []struct {
		key, address string
		serve        func(net.Listener) error
	}{{"http.listen", r.cfg.HTTP.Listen, r.notify.Serve}, {"ops.listen", r.cfg.Ops.Listen, r.ops.Serve}} {
		if err := r.listen(l.key, l.address, l.serve); err != nil {
			return err
		}
	}
	r.firstLook(ctx)
	r.health.set("starting", nil)
	return nil
}

// embeddedAtWork is how many requests the embedded server is given at once. It
// syncs one event after the other and confirms them in crowds: with more, each
// would only wait longer there, in waves behind which nobody could tell an overload
// from its end. Throughput is the same from 16 on.
const embeddedAtWork = 128

// atWork is how many requests may be at work at once; more wait for a slot.
func (r *receiver) atWork() int {
	if r.embedded != nil {
		return min(r.cfg.HTTP.MaxInFlight, embeddedAtWork)
	}
	return r.cfg.HTTP.MaxInFlight
}

// listen binds before it serves, so that the address is known and taken when
// the process says that it is ready.
func (r *receiver) listen(key, address string, serve func(net.Listener) error) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return cli.Failedf("set "+key+" to a free address", "%s: %w", key, err)
	}
	r.listeners = append(r.listeners, listener)
	go func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.failed <- fmt.Errorf("%s: %w", key, err)
		}
	}()
	return nil
}

// connect starts the embedded server or connects to the configured ones, and
// checks the layout. A server that cannot be reached does not end the process:
// it runs, not ready, until the server is there.
func (r *receiver) connect(ctx context.Context) error {
	o := stream.ConnectOptions{
		URL: r.cfg.NATS.URL, Creds: r.cfg.NATS.Creds, CA: r.cfg.NATS.CA,
		Name: "alipay-notify receiver", Wait: true, Observe: r.observeConnection,
	}
	if wire.Embedded(r.cfg) {
		var err error
		r.embedded, err = stream.StartEmbedded(ctx, stream.EmbeddedOptions{
			Dir:        r.cfg.NATS.Embedded.Dir,
			Listen:     r.cfg.NATS.Embedded.Listen,
			MaxPayload: wire.LayoutOptions(r.cfg).MessageSize(),
			Log:        r.logServer,
		})
		if err != nil {
			return cli.Failedf("receiver check", "%w", err)
		}
		o.Embed, o.URL, o.Token = r.embedded, r.embedded.URL(), r.embedded.Token()
	}
	client, err := stream.Connect(o)
	if err != nil {
		return cli.Failedf("receiver check", "%w", err)
	}
	r.client, r.publisher, r.keeper = client, client.NewPublisher(), client.NewKeeper(r.observeKept)
	if r.embedded != nil {
		if err := r.provisionEmbedded(ctx); err != nil {
			return err
		}
	}
	return r.firstCheck(ctx)
}

func (r *receiver) provisionEmbedded(ctx context.Context) error {
	free, err := r.embedded.FreeDisk()
	if err != nil {
		return err
	}
	changes, err := r.client.Plan(ctx, wire.Layout(r.cfg), free)
	if err != nil {
		return cli.Failedf("receiver check", "provision the embedded server: %w", err)
	}
	for _, c := range changes {
		if len(c.Shrinks) > 0 {
			return cli.Declinedf("receiver provision --shrink, or take the change of the configuration back",
				"%s would drop stored events (%s)", c.Stream, strings.Join(c.Shrinks, ", "))
		}
	}
	if err := r.client.Apply(ctx, changes); err != nil {
		return cli.Failedf("receiver check", "provision the embedded server: %w", err)
	}
	return nil
}

func (r *receiver) dedupe() (ingest.Once, error) {
	once, client, settle, err := wire.Once(r.cfg, dedupe.Options{
		Holds:  r.publisher.Holds,
		Behind: true,
		Observe: func(op string, err error) {
			r.metrics.DedupeError(op)
			r.log.Warn().Str("op", op).Err(err).Msg("dedupe")
		},
	})
	r.redis, r.settle = client, settle
	return once, err
}

// announce says that the receiver takes notifications, and where.
func (r *receiver) announce(lines io.Writer) {
	line := r.log.Info().Str("version", wire.Version).
		Str("listen", r.listeners[0].Addr().String()).Str("path", r.cfg.HTTP.Path).
		Str("ops", r.listeners[1].Addr().String())
	if r.embedded != nil {
		line = line.Str("nats", r.embedded.URL())
	} else {
		line = line.Str("nats", r.client.Server())
	}
	line.Bool("embedded", r.embedded != nil).Bool("redis", r.redis != nil).Strs("not_ready", r.health.reasons()).Msg("listening")
	if r.cfg.Dev {
		fmt.Fprintf(lines, "\nReady. In a second terminal, try:\n  bin/alipaysim send voucher.created\n  bin/replayer events\n\n")
	}
}

// wait returns when the receiver is to stop: nil when it was asked to.
func (r *receiver) wait(ctx context.Context) error {
	var stopped <-chan struct{}
	if r.embedded != nil {
		stopped = r.embedded.Done()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-stopped:
		return cli.Failedf("free some disk, then start again: everything acknowledged is stored", "%w", stream.ErrStopped)
	case <-r.client.Closed():
		return cli.Failedf("receiver check", "the connection to NATS is closed and does not come back by itself")
	case err := <-r.failed:
		return err
	}
}

// How long each step of a stop may take. Together they stay below the 30 s
// that supervisors wait before they kill.
const (
	stopHTTP  = 12 * time.Second
	stopNATS  = 6 * time.Second
	stopStore = 6 * time.Second
	stopSmall = time.Second
)

// stop ends what was started, in the reverse order: not ready, no new requests,
// finish those in flight, drain NATS, close Redis, stop the embedded server. A
// step that fails does not keep the next from being done.
func (r *receiver) stop() error {
	r.health.set("stopping", errors.New("the receiver is stopping"))
	r.log.Info().Msg("stopping")
	var errs []error
	step := func(name string, limit time.Duration, do func(context.Context) error) {
		ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("not done within %v", limit))
		defer cancel()
		if err := do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", name, err))
		}
	}
	if r.notify != nil {
		step("http", stopHTTP, r.notify.Shutdown)
	}
	if r.stopKeeping != nil {
		r.stopKeeping()
		r.keeping.Wait()
	}
	if r.client != nil {
		step("nats", stopNATS, r.client.Drain)
	}
	if r.redis != nil {
		step("commits", stopSmall, r.settle)
		step("redis", stopSmall, func(context.Context) error { return r.redis.Close() })
	}
	if r.embedded != nil {
		step("embedded nats", stopStore, r.embedded.Stop)
	}
	if r.ops != nil {
		step("ops", stopSmall, r.ops.Shutdown)
	}
	for _, l := range r.listeners {
		l.Close() //nolint:errcheck,gosec // closed already where its server was shut down
	}
	err := errors.Join(errs...)
	r.log.Info().Err(err).Msg("stopped")
	return err
}
