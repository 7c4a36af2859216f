// Package wire turns the configuration into connected things, for the commands
// alone. It holds what the receiver and the replayer would otherwise each have:
// reading the file, loading keys, finding the NATS server. It knows no verb.
package wire

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/stream"
)

// Config reads the configuration that flag, environment or working directory
// name. A configuration that cannot work is a usage error that names every
// problem; what could be read is returned beside it.
func Config(flag string, environ []string) (config.Config, error) {
	path := ConfigPath(flag, environ)
	cfg, err := config.Load(path, environ)
	if err != nil {
		return cfg, cli.Usagef("receiver config --config "+path+"    # shows what is in effect", "the configuration cannot work:\n  %s",
			strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return cfg, nil
}

// ConfigPath is the configuration file that flag, environment or working directory name.
func ConfigPath(flag string, environ []string) string {
	return config.Path(flag, func(name string) string { return lookup(environ, name) })
}

// lookup finds a variable in an environment as os.Environ gives it; the last one wins.
func lookup(environ []string, name string) string {
	value := ""
	for _, e := range environ {
		if k, v, ok := strings.Cut(e, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// Layout gives the stream layout that the configuration asks for.
func Layout(cfg config.Config) stream.Layout {
	return stream.NewLayout(LayoutOptions(cfg))
}

// LayoutOptions is what the configuration says about the streams.
func LayoutOptions(cfg config.Config) stream.LayoutOptions {
	return stream.LayoutOptions{
		Replicas: cfg.NATS.Replicas,
		MaxAge:   cfg.NATS.MaxAge,
		MaxBytes: cfg.NATS.MaxBytes,
		MaxBody:  int(cfg.HTTP.MaxBody),
		Redis:    cfg.Redis.URL != "",
	}
}

// Embedded tells whether the receiver runs its own NATS server.
func Embedded(cfg config.Config) bool { return cfg.NATS.URL == "" }

// ConnectTool connects a tool to wherever the events are: the configured
// servers, or the embedded server of a receiver on this machine.
func ConnectTool(cfg config.Config, name string) (*stream.Client, error) {
	o := stream.ConnectOptions{URL: cfg.NATS.URL, Creds: cfg.NATS.Creds, CA: cfg.NATS.CA, Name: name}
	if Embedded(cfg) {
		var err error
		if o.URL, o.Token, err = stream.EmbeddedAddress(cfg.NATS.Embedded.Dir, cfg.NATS.Embedded.Listen); err != nil {
			return nil, cli.Failedf("start the receiver first (make run); it holds the embedded NATS server", "%w", err)
		}
	}
	client, err := stream.Connect(o)
	if err != nil && Embedded(cfg) {
		return nil, cli.Failedf("start the receiver first (make run); it holds the embedded NATS server", "%w", err)
	}
	if err != nil {
		return nil, cli.Failedf("receiver check    # says which connection fails and why", "%w", err)
	}
	return client, nil
}

// OpenRedis opens the configured Redis, or gives nil where none is.
func OpenRedis(cfg config.Config) (redis.UniversalClient, error) {
	if cfg.Redis.URL == "" {
		return nil, nil
	}
	var ca []byte
	if cfg.Redis.CA != "" {
		var err error
		if ca, err = os.ReadFile(cfg.Redis.CA); err != nil {
			return nil, fmt.Errorf("redis.ca: %w", err)
		}
	}
	logging.Disable() // its failures reach us as errors; its own lines would go around our log
	return dedupe.Open(cfg.Redis.URL, ca)
}

// Proxies reads http.trusted_proxies; the configuration has checked them.
func Proxies(cfg config.Config) ([]*net.IPNet, error) {
	var nets []*net.IPNet
	for _, s := range cfg.HTTP.TrustedProxies {
		if addr, err := netip.ParseAddr(s); err == nil {
			s = netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			return nil, fmt.Errorf("http.trusted_proxies: %w", err)
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// Version is what our binaries call themselves; the build sets it.
var Version = "dev"

// ReceiverConfig checks the file and the keys together, for commands that need both.
func ReceiverConfig(flag string, environ []string) (config.Config, Keys, error) {
	cfg, err := Config(flag, environ)
	if err != nil {
		return cfg, Keys{}, err
	}
	keys, err := LoadKeys(cfg)
	if err != nil {
		return cfg, keys, cli.Usagef("receiver check", "the keys cannot be used:\n  %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return cfg, keys, nil
}
