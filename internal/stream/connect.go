package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dialTimeout   = 2 * time.Second
	reconnectWait = 500 * time.Millisecond
	// A dead peer is noticed within about ten seconds; until then publishes end
	// in fault.Uncertain, which is honest.
	pingInterval = 5 * time.Second
	maxPings     = 2
	drainTimeout = 5 * time.Second
	// writeTimeout bounds a write to a peer that has stopped reading. The library
	// holds the connection's lock meanwhile, so everybody waits with it, whatever
	// their own time limits say.
	writeTimeout = time.Second
)

// ConnectOptions says where the server is and who we are.
type ConnectOptions struct {
	URL   string // one or more, separated by commas; may hold user and password
	Name  string // how the server's operator sees us
	Creds string // credentials file, or empty
	CA    string // PEM bundle for TLS, or empty for the system's
	Token string // for the embedded server
	Embed *Embedded
	Wait  bool // wait for the first connection instead of failing; the client then connects in the background
	// Observe is told of connected, reconnected, disconnected, closed, of each
	// attempt_failed, and of what else the server complains of (error).
	Observe func(event string, err error)
}

// Client is a connection to JetStream. It is safe for concurrent use.
type Client struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	acks   *inbox
	closed chan struct{} // closed when the connection is, for whatever reason
	denied denials
}

// Connect opens a connection that reconnects for ever, also where a server refuses
// our login: whoever rotates a password does not do it everywhere at once. (What
// the library cannot make sense of ends it all the same; see Closed.) Nothing is ever
// kept in a reconnect buffer: what could not be sent is an error at once, so that
// nothing is published after we have told Alipay to come again.
func Connect(o ConnectOptions) (*Client, error) {
	c := &Client{closed: make(chan struct{}), acks: newInbox()}
	observe := o.Observe
	if observe == nil {
		observe = func(string, error) {}
	}
	opts := append(c.handlers(observe),
		nats.Name(o.Name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // or the second refusal in a row of our login would be the end
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.FlusherTimeout(writeTimeout),
		nats.DrainTimeout(drainTimeout),
		nats.RetryOnFailedConnect(o.Wait),
	)
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	if o.CA != "" {
		roots, err := readRoots(o.CA)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	}
	if o.Embed != nil {
		opts = append(opts, nats.InProcessServer(o.Embed.server))
	}
	var err error
	if c.nc, err = nats.Connect(o.URL, opts...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.acks.conn = c.nc
	if c.js, err = jetstream.New(c.nc); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return c, nil
}

// handlers tell observe, and whoever waits, what becomes of the connection.
func (c *Client) handlers(observe func(event string, err error)) []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(*nats.Conn) { observe("connected", nil) }),
		nats.ReconnectHandler(func(*nats.Conn) { observe("reconnected", nil) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { observe("attempt_failed", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.acks.fail(nats.ErrDisconnected)
			observe("disconnected", err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.denied.hear(err)
			observe("error", err)
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			c.acks.fail(nats.ErrConnectionClosed)
			if err := nc.LastError(); err != nil {
				observe("closed", err)
			}
			close(c.closed)
		}),
	}
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read nats.ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("nats.ca holds no PEM certificate")
	}
	return roots, nil
}

// Connected tells whether the server can be reached right now.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// Closed is closed when the connection is and will not come back: Drain or Close
// was called, or the server said what the library does not know.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Server names the server that we are connected to, without credentials.
func (c *Client) Server() string { return c.nc.ConnectedUrlRedacted() }

// Drain ends what is under way and closes the connection. It returns when the
// connection is closed, or with ctx.
func (c *Client) Drain(ctx context.Context) error {
	if c.nc.IsClosed() {
		return nil
	}
	if err := c.nc.Drain(); err != nil {
		c.nc.Close() // not connected: there is nothing to drain
	}
	select {
	case <-c.closed:
		return nil
	case <-ctx.Done():
		c.nc.Close()
		return fmt.Errorf("drain NATS: %w", context.Cause(ctx))
	}
}

// Close drops the connection at once.
func (c *Client) Close() { c.nc.Close() }
