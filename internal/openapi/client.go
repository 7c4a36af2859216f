package openapi

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// Client asks Alipay for one app. It is safe for concurrent use; all its calls
// share one rate.
type Client struct {
	cfg   *Config // behind a pointer, which fmt does not follow where it cannot call Format
	http  *http.Client
	aes   []cipher.Block
	limit limiter
	nonce func() string
}

// New makes a client, or names everything that is wrong with the configuration.
// It asks nothing of the network.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	problems := []error{cfg.validate()}
	c := &Client{nonce: nonce}
	for _, key := range cfg.AESKeys {
		block, err := parseAES(key)
		problems = append(problems, err)
		c.aes = append(c.aes, block)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	cfg.AESKeys = nil // what is needed of them is made
	c.cfg = &cfg
	c.limit = limiter{rate: cfg.Rate, burst: float64(cfg.Burst), tokens: float64(cfg.Burst), last: cfg.Now()}
	c.http = &http.Client{Transport: transport(cfg.HTTP), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the signature is for one URL, and the token for one host
	}}
	return c, nil
}

// transport is that of the given client, or one of our own that keeps
// connections: a handshake costs more than everything else here.
func transport(given *http.Client) http.RoundTripper {
	if given != nil && given.Transport != nil {
		return given.Transport
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := base.Clone()
	t.MaxIdleConnsPerHost = 32
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	return t
}

// Format keeps the client's secrets from every verb of fmt.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "openapi client of app "+c.cfg.AppID)
}

// Close closes connections that are idle. Calls still work afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// Call sends one request and gives the proved answer, or an *Error. It retries by
// the policy in retry.go, and returns early when the context ends.
func (c *Client) Call(ctx context.Context, r Request) (Response, error) {
	p, e := c.prepare(r)
	if e != nil {
		return Response{}, e
	}
	earlier := false
	for n := 1; ; n++ {
		resp, e := c.attempt(ctx, p, n)
		if e == nil {
			return resp, nil
		}
		e.Earlier, earlier = earlier, earlier || e.MayHaveHappened()
		pause := backoff(n, e)
		if e.Kind == Throttled {
			c.limit.pause(c.cfg.Now(), pause)
		}
		again := n < c.cfg.Attempts && p.mayRepeat(e)
		if !again || pauseFor(ctx, pause, c.cfg.Now, c.cfg.Sleep) != nil {
			e.settle()
			return Response{}, e
		}
	}
}

// attempt waits for its turn, sends once, and tells the hooks.
func (c *Client) attempt(ctx context.Context, p *call, n int) (Response, *Error) {
	waited, err := c.limit.wait(ctx, c.cfg.Now, c.cfg.Sleep)
	if err != nil {
		e := p.fail(Unavailable, fmt.Errorf("while waiting for the rate limit: %w", err))
		e.Attempts, e.final, e.Hint = n-1, true, "allow more time, or ask less often"
		return Response{}, e
	}
	a := Attempt{Method: p.op.Method, Gateway: p.gateway, Number: n, Waited: waited}
	ctx = c.cfg.Hooks.start(ctx, a)
	begin, id := c.cfg.Now(), c.nonce()
	resp, e := c.send(ctx, p, id)
	out := Outcome{Duration: c.cfg.Now().Sub(begin)}
	if p.gateway == V2 {
		id = "" // it is not sent
	}
	if e != nil {
		e.Attempts, e.RequestID = n, id
		out.Kind, out.Reason, out.Status, out.TraceID, out.Skew = e.Kind, label(e.Reason()), e.Status, e.TraceID, e.Skew
	} else {
		resp.Attempts, resp.RequestID = n, id
		out.Status, out.TraceID, out.RotatedSN = resp.Status, resp.TraceID, resp.RotatedSN
	}
	c.cfg.Hooks.finish(ctx, a, out)
	return resp, e
}

var errTimeout = errors.New("no answer in time")

// send signs, sends, reads and opens.
func (c *Client) send(ctx context.Context, p *call, id string) (Response, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("%w (%s): %w", errTimeout, c.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	var reached atomic.Bool // from here on Alipay may have the request
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }})

	var req *http.Request
	var err error
	if p.gateway == V2 {
		req, err = c.signedV2(ctx, p)
	} else {
		req, err = c.signedV3(ctx, p, id)
	}
	if err != nil {
		return Response{}, p.invalid(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return Response{}, p.lost(ctx, reached.Load(), err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	a := answer{status: res.StatusCode, header: res.Header}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		a.skew = c.cfg.Now().Sub(date).Round(time.Second)
	}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, c.cfg.MaxBody+1)); err != nil {
		return Response{}, p.broken(ctx, a, err)
	}
	if int64(len(a.body)) > c.cfg.MaxBody {
		e := a.fail(p, byStatus(a.status), fmt.Errorf("the answer is larger than %d bytes", c.cfg.MaxBody))
		e.final = true
		return Response{}, e
	}
	if p.gateway == V2 {
		return c.openV2(p, a)
	}
	return c.openV3(p, a)
}

// lost says what it means that no answer came. The connection alone decides
// whether Alipay may have the request: before there is one, nothing was sent.
func (p *call) lost(ctx context.Context, reached bool, err error) *Error {
	kind := Unavailable
	if reached {
		kind = Uncertain
	}
	return p.fail(kind, cause(ctx, err))
}

// broken says what it means that an answer ended early.
func (p *call) broken(ctx context.Context, a answer, err error) *Error {
	kind := byStatus(a.status)
	if ctx.Err() != nil {
		kind = Uncertain
	} else {
		err = fmt.Errorf("%w after %d bytes: %w", errCutOff, len(a.body), err)
	}
	return a.fail(p, kind, cause(ctx, err))
}

// cause takes the URL out of an error, because it holds parameters and tokens,
// and says which deadline passed.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
