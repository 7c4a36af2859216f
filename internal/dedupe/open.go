package dedupe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Settings of the client, for everything that the URL leaves open.
const (
	// A dial is not bounded by the call that caused it: it goes on, and its
	// connection serves a later call. So it may take longer than a call, and two
	// seconds are enough for a name, a connection and TLS to another zone.
	dialTimeout = 2 * time.Second
	// Once per call; the pool's own background dial takes over after repeated failures.
	dialAttempts = 1
	// Every call brings its own, shorter deadline; this ends one that does not.
	ioTimeout = 3 * time.Second
	// One connection serves one round trip at a time. On a single server at most
	// eight shared ones are under way; on a cluster calls go alone, and so many
	// a node answer some thousands a second each.
	poolSize = 32
	// Shorter than the idle limits of common load balancers (350 s), so that it
	// is us who close a connection that has fallen silent.
	idleTime = 5 * time.Minute
	// Repeating is safe (see the scripts) and is what makes a connection that
	// died in the pool harmless. It all happens within the deadline of the call.
	retries    = 2
	minBackoff = 5 * time.Millisecond
	maxBackoff = 50 * time.Millisecond
)

// Open makes a client for any topology out of one URL. It does not connect yet.
//
//	redis://[user:password@]host:6379/[db]                one server
//	unix://[user:password@]/path/to/socket?db=0           one server, on a socket
//	redis+sentinel://[user:password@]h1:26379,h2:26379/master[/db]
//	redis+cluster://[user:password@]h1:6379,h2:6379
//
// rediss://, rediss+sentinel:// and rediss+cluster:// are the same with TLS; ca
// is then the PEM bundle of authorities to trust, nil for those of the system.
// User and password are those of the data servers. Sentinels with a login of
// their own get it through ?sentinel_username= and ?sentinel_password=. The
// other parameters are those of redis.ParseURL, without skip_verify. User,
// password and parameters are percent-encoded. No error holds any of them.
func Open(rawURL string, ca []byte) (redis.UniversalClient, error) {
	t, err := parseTarget(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	if err := t.trust(ca); err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	t.complete()
	switch t.topology {
	case "sentinel":
		u := t.universal()
		u.MasterName, u.SentinelUsername, u.SentinelPassword = t.master, t.sentinelUser, t.sentinelPassword
		return redis.NewFailoverClient(u.Failover()), nil
	case "cluster":
		return redis.NewClusterClient(t.universal().Cluster()), nil
	default:
		return redis.NewClient(t.options), nil
	}
}

// target is what a URL says.
type target struct {
	topology string // "", "sentinel" or "cluster"
	hosts    []string
	options  *redis.Options

	master, sentinelUser, sentinelPassword string
}

// parts are the pieces of a URL. net/url cannot be asked: it knows one host.
type parts struct {
	scheme, user, hosts, path, query string
	hasUser                          bool
}

var errEncoding = errors.New("it has an '@' after the host; percent-encode special characters of user and password")

func splitURL(rawURL string) (parts, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return parts{}, errors.New("no scheme")
	}
	var p parts
	switch scheme {
	case "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		p.scheme = scheme
	default:
		return parts{}, errors.New("unknown scheme; want redis, rediss, unix, redis(s)+sentinel or redis(s)+cluster")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	// A password with a bare '/' would otherwise be taken for host and path, and
	// be shown as such.
	if strings.Contains(tail, "@") {
		return parts{}, errEncoding
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		p.user, p.hasUser, authority = authority[:at], true, authority[at+1:]
	}
	p.hosts = authority
	p.path, p.query, _ = strings.Cut(tail, "?")
	return p, nil
}

func parseTarget(rawURL string) (*target, error) {
	p, err := splitURL(rawURL)
	if err != nil {
		return nil, err
	}
	base, topology, _ := strings.Cut(p.scheme, "+")
	t := &target{topology: topology}
	if topology == "" {
		t.options, err = parseOptions(rawURL, p.hasUser)
		return t, err
	}
	port := "6379"
	path := strings.Trim(p.path, "/")
	if topology == "sentinel" {
		port = "26379"
		master, db, _ := strings.Cut(path, "/")
		if t.master, err = url.PathUnescape(master); err != nil || master == "" {
			return nil, errors.New("no master name after the sentinels: want .../<master>[/<db>]")
		}
		path = db
	} else if path != "" {
		return nil, errors.New("a cluster has no databases: nothing may follow the hosts")
	}
	if t.hosts, err = splitHosts(p.hosts, port); err != nil {
		return nil, err
	}
	query, err := t.takeSentinelLogin(p.query)
	if err != nil {
		return nil, err
	}
	// The rest means the same as for one server.
	single := base + "://"
	if p.hasUser {
		single += p.user + "@"
	}
	t.options, err = parseOptions(single+t.hosts[0]+"/"+path+"?"+query, p.hasUser)
	if err == nil && topology == "cluster" && t.options.DB != 0 {
		return nil, errors.New("a cluster has no databases: db must be 0")
	}
	return t, err
}

// takeSentinelLogin takes the sentinels' own login out of the parameters.
func (t *target) takeSentinelLogin(query string) (rest string, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("the parameters are not percent-encoded")
	}
	if t.topology == "sentinel" {
		t.sentinelUser, t.sentinelPassword = q.Get("sentinel_username"), q.Get("sentinel_password")
		q.Del("sentinel_username")
		q.Del("sentinel_password")
	}
	return q.Encode(), nil
}

// parseOptions lets the client's library parse. What it says of a URL that it
// does not understand repeats parts of it: with a login in the URL that could be
// the password, and nothing of it is passed on.
func parseOptions(rawURL string, hasUser bool) (*redis.Options, error) {
	o, err := redis.ParseURL(rawURL)
	if err != nil && hasUser {
		return nil, errors.New("it cannot be parsed (details are withheld, they could show the password); percent-encode special characters of user and password, and check port, database and parameters")
	}
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, err
	}
	if o.TLSConfig != nil && o.TLSConfig.InsecureSkipVerify {
		return nil, errors.New("skip_verify is not supported: give the authority's certificate as ca")
	}
	return o, nil
}

func splitHosts(hosts, defaultPort string) ([]string, error) {
	var out []string
	for h := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			host, port = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"), defaultPort
			if strings.Contains(host, ":") && !strings.HasPrefix(h, "[") {
				return nil, errors.New("an IPv6 address must be in brackets")
			}
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return nil, errors.New("every host must be host or host:port")
		}
		out = append(out, net.JoinHostPort(host, port))
	}
	return out, nil
}

// trust sets up TLS, where the URL asks for it.
func (t *target) trust(ca []byte) error {
	cfg := t.options.TLSConfig
	switch {
	case cfg == nil && ca != nil:
		return errors.New("a ca is given, but the scheme is without TLS: use rediss")
	case cfg == nil:
		return nil
	}
	if len(t.hosts) > 0 {
		cfg.ServerName = "" // several hosts: each is checked for its own name
	}
	cfg.MinVersion = tls.VersionTLS12
	if ca != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return errors.New("the ca holds no certificate in PEM form")
		}
	}
	return nil
}

// complete sets what the URL left open.
func (t *target) complete() {
	o := t.options
	setDefault(&o.DialTimeout, dialTimeout)
	setDefault(&o.ReadTimeout, ioTimeout)
	setDefault(&o.WriteTimeout, ioTimeout)
	setDefault(&o.PoolSize, poolSize)
	setDefault(&o.ConnMaxIdleTime, idleTime)
	setDefault(&o.MaxRetries, retries)
	setDefault(&o.MinRetryBackoff, minBackoff)
	setDefault(&o.MaxRetryBackoff, maxBackoff)
	// RESP2 does all we need, and spares the look for pushed messages before every
	// call; a pool of its own for pipelines would only hide load from PoolSize.
	setDefault(&o.Protocol, 2)
	setDefault(&o.PipelinePoolSize, -1)
	o.DialerRetries = dialAttempts
	o.ContextTimeoutEnabled = true // without it the client ignores our deadlines
	// Two more commands on every connection, refused by tight ACLs, to tell the
	// server names that nobody reads; and push messages for upgrades of one
	// vendor's service.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func setDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// universal carries the options over to the clients of several servers.
func (t *target) universal() *redis.UniversalOptions {
	o := t.options
	return &redis.UniversalOptions{
		Addrs: t.hosts, ClientName: o.ClientName, DB: o.DB, Protocol: o.Protocol,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		// A cluster client repeats through its redirects instead.
		MaxRetries: o.MaxRetries, MaxRedirects: 3,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		PipelinePoolSize: o.PipelinePoolSize, PipelineReadBufferSize: o.PipelineReadBufferSize, PipelineWriteBufferSize: o.PipelineWriteBufferSize,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		DisableIdentity: o.DisableIdentity, MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
}

// Redact is the URL as it may be shown: without user, password and the values
// of parameters. What it does not understand it does not show at all.
func Redact(rawURL string) string {
	p, err := splitURL(rawURL)
	if err != nil {
		return "***"
	}
	out := p.scheme + "://"
	if p.hasUser {
		out += "***@"
	}
	out += p.hosts + p.path
	if p.query != "" {
		out += "?***"
	}
	return out
}
