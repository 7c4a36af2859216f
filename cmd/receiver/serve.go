package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/ingest"
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
	redis     redis.UniversalClient // nil without
	metrics   *server.Metrics
	health    *health

	notify, ops *http.Server
	listeners   []net.Listener
	failed      chan error // a listener ended by itself
}

// serve runs the receiver until ctx ends, and stops it gracefully.
func serve(ctx context.Context, cfg config.Config, apps []ingest.App, stderr io.Writer) error {
	log, err := newLogger(cfg, stderr)
	if err != nil {
		return err
	}
	r := &receiver{cfg: cfg, log: log, failed: make(chan error, 2)}
	if err := r.start(ctx, apps); err != nil {
		r.stop()
		return err
	}
	r.announce(stderr)
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(watching)
	}()

	err = r.wait(ctx)
	stopWatching()
	<-watched
	return errors.Join(err, r.stop())
}

// newLogger makes the log of the process. Lines for people in development,
// JSON for everything else.
func newLogger(cfg config.Config, w io.Writer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(cfg.Log.Level)
	if err != nil {
		return zerolog.Nop(), cli.Usagef("log.level: info", "log.level: %w", err)
	}
	if cfg.Log.Format == "console" || cfg.Dev {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: true}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}

func (r *receiver) start(ctx context.Context, apps []ingest.App) error {
	r.health = &health{}
	r.health.set("starting", errors.New("the receiver is starting"))
	r.metrics = server.NewMetrics(wire.Version, func() bool { return len(r.health.reasons()) == 0 })
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
	pipeline := ingest.New(ingest.Options{
		Once: once, Key: dedupe.Key, Publisher: r.publisher, MaxSignedAge: r.cfg.HTTP.MaxSignedAge,
	}, apps...)
	endpoint := server.New(pipeline, server.Options{
		Path:           r.cfg.HTTP.Path,
		MaxBody:        int(r.cfg.HTTP.MaxBody),
		MaxInFlight:    r.cfg.HTTP.MaxInFlight,
		TrustedProxies: proxies,
		Log:            r.log,
		Metrics:        r.metrics,
	})
	r.notify, r.ops = server.HTTP(endpoint.Handler()), server.HTTP(server.NewOps(r.metrics, r.health.reasons))
	for _, l := range []struct {
		key, address string
		server       *http.Server
	}{{"http.listen", r.cfg.HTTP.Listen, r.notify}, {"ops.listen", r.cfg.Ops.Listen, r.ops}} {
		if err := r.listen(l.key, l.address, l.server); err != nil {
			return err
		}
	}
	r.health.set("starting", nil)
	return nil
}

// listen binds before it serves, so that the address is known and taken when
// the process says that it is ready.
func (r *receiver) listen(key, address string, s *http.Server) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return cli.Failedf("set "+key+" to a free address", "%s: %w", key, err)
	}
	r.listeners = append(r.listeners, listener)
	go func() {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
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
		r.embedded, err = stream.StartEmbedded(stream.EmbeddedOptions{
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
	r.client, r.publisher = client, client.NewPublisher()
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
	client, err := wire.OpenRedis(r.cfg)
	if err != nil {
		return nil, cli.Usagef("receiver check", "redis: %w", err)
	}
	if client == nil {
		return dedupe.Stream{}, nil
	}
	r.redis = client
	once, err := dedupe.New(client, dedupe.Options{
		Lease:         r.cfg.Redis.Lease,
		Retention:     r.cfg.Redis.Retention,
		OnUnavailable: dedupe.Policy(r.cfg.Redis.OnUnavailable),
		Holds:         r.publisher.Holds,
		Observe: func(op string, err error) {
			r.metrics.DedupeError(op)
			r.log.Warn().Str("op", op).Err(err).Msg("dedupe")
		},
	})
	if err != nil {
		return nil, err
	}
	return once, nil
}

// announce says that the receiver takes notifications, and where.
func (r *receiver) announce(stderr io.Writer) {
	line := r.log.Info().Str("version", wire.Version).
		Str("listen", r.listeners[0].Addr().String()).Str("path", r.cfg.HTTP.Path).
		Str("ops", r.listeners[1].Addr().String())
	if r.embedded != nil {
		line = line.Str("nats", r.embedded.URL()).Bool("embedded", true)
	} else {
		line = line.Str("nats", r.client.Server())
	}
	line.Bool("redis", r.redis != nil).Strs("not_ready", r.health.reasons()).Msg("listening")
	if r.cfg.Dev {
		fmt.Fprintf(stderr, "\nReady. In a second terminal, try:\n  bin/alipaysim send voucher.created\n  bin/replayer events\n\n")
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
	case err := <-r.failed:
		return err
	}
}

// How long each step of a stop may take. Together they stay below the 30 s
// that supervisors wait before they kill.
const (
	stopHTTP  = 15 * time.Second
	stopNATS  = 6 * time.Second
	stopStore = 6 * time.Second
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
	if r.client != nil {
		step("nats", stopNATS, r.client.Drain)
	}
	if r.redis != nil {
		step("redis", stopNATS, func(context.Context) error { return r.redis.Close() })
	}
	if r.embedded != nil {
		step("embedded nats", stopStore, r.embedded.Stop)
	}
	if r.ops != nil {
		step("ops", time.Second, r.ops.Shutdown)
	}
	for _, l := range r.listeners {
		l.Close() //nolint:errcheck,gosec // closed already where its server was shut down
	}
	err := errors.Join(errs...)
	r.log.Info().Err(err).Msg("stopped")
	return err
}
