// Package server is the thin HTTP layer over ingest: routes, limits, the reply
// table, the wide log line, metrics and health. Echo lives here alone, so that
// its successor is one room's work. Listening belongs to the command.
package server

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/plainhttp"
)

const (
	// headerTimeout is how long a client may take over its request line and headers.
	headerTimeout = 5 * time.Second
	// bodyTimeout is how long it may take over the body.
	bodyTimeout = 5 * time.Second
	// requestTimeout bounds both where no handler reads the body, and answers
	// are small enough for any reader.
	requestTimeout = headerTimeout + bodyTimeout
	writeTimeout   = 30 * time.Second
	// slowAfter is when a body that is still not there counts as slow: slow
	// ones are few per source, so that they cannot keep genuine ones out.
	slowAfter = 250 * time.Millisecond

	slowPerSource = 64
	slowTotal     = 1024

	// idleTimeout is longer than nginx and the balancers of the clouds keep a silent
	// connection (60 s): who of the two ends first would else be a matter of luck, and
	// the POST that was just being sent be lost.
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 16 << 10

	// retryAfter goes with `overloaded`. Alipay keeps to its own schedule; a
	// balancer or a test may read it.
	retryAfter = 5 * time.Second
)

// Ingester decides on one request. ingest.Pipeline is the real one.
type Ingester interface {
	Ingest(ctx context.Context, req ingest.Request) ingest.Result
	// Refuse keeps a request that HTTP already says is no notification.
	Refuse(ctx context.Context, req ingest.Request, why error) ingest.Result
}

// Options are the limits and the surroundings of the endpoint.
type Options struct {
	Path           string       // where Alipay posts; <Path>/<app_id> is taken too
	MaxBody        int          // bytes
	MaxInFlight    int          // requests at work at once, their body read
	TrustedProxies []*net.IPNet // whose X-Forwarded-For is believed
	Log            zerolog.Logger
	Metrics        *Metrics
	Now            func() time.Time // nil: time.Now
}

// Server is the notification endpoint. It is safe for concurrent use.
type Server struct {
	ingester Ingester
	options  Options
	echo     *echo.Echo
	slots    *slots
	slow     *slowReaders
}

// New makes the endpoint.
func New(i Ingester, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		ingester: i, options: o,
		slots: newSlots(o.MaxInFlight),
		slow:  newSlowReaders(slowPerSource, slowTotal),
	}
	s.echo = newEcho()
	s.echo.IPExtractor = extractor(o.TrustedProxies)
	// The URL is typed by hand into Alipay's console: a slash at its end must not
	// cost notifications.
	base := strings.TrimSuffix(o.Path, "/")
	for _, path := range []string{base, base + "/", base + "/:app"} {
		s.echo.Any(path, s.handle)
		s.echo.RouteNotFound(path, s.handle) // methods that Echo has no name for
	}
	answer := s.echo.HTTPErrorHandler
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		// Only counted: what strangers look for belongs into no log, and a URL that was
		// registered wrong shows all the same.
		if errors.Is(err, echo.ErrNotFound) {
			s.options.Metrics.unknownPaths.Inc()
		}
		answer(err, c)
	}
	return s
}

// newEcho makes an Echo that says nothing by itself and gives nothing away.
func newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		status := http.StatusInternalServerError
		if he, ok := err.(*echo.HTTPError); ok { //nolint:errorlint // echo hands its own error over unwrapped
			status = he.Code
		}
		writeText(c, status, "fail")
	}
	return e
}

// extractor finds the source address: the connection's, or behind proxies that
// we are told to trust the first address that is not one of them. Nothing is
// trusted by default, or anybody could write what the log says.
func extractor(trusted []*net.IPNet) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, n := range trusted {
		options = append(options, echo.TrustIPRange(n))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// Handler serves the endpoint.
func (s *Server) Handler() http.Handler { return s.echo }

// HTTP is a server of the endpoint, for a command to listen with. Requests that come
// whole it answers by itself.
func (s *Server) HTTP() *plainhttp.Server { return plainhttp.New(HTTP(s.Handler())) }

// HTTP is a server with our limits, for a command to listen with.
func HTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout, // what a handler leaves of a body, net/http reads
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// net/http reports every client that hangs up or scans the port.
		ErrorLog: stdlog.New(io.Discard, "", 0),
	}
}

func (s *Server) handle(c echo.Context) error {
	started, source := s.options.Now(), c.RealIP()
	body, result := s.take(c, source, started)
	took := s.options.Now().Sub(started)
	reply := replyTo(result.Outcome, c.Request().Method)
	if result.Outcome == ingest.Outcome(fault.Overloaded) {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	s.options.Metrics.observe(result, took)
	s.log(source, result, reply, body, took)
	if x := result.Reply; x != nil && reply.status == http.StatusOK {
		return c.Blob(reply.status, x.ContentType, x.Body)
	}
	writeText(c, reply.status, reply.body)
	return nil
}

// take gets the request as far as an outcome. bytes is the size of its body.
func (s *Server) take(c echo.Context, source string, received time.Time) (bytes int, result ingest.Result) {
	r := c.Request()
	if r.Method != http.MethodPost {
		return 0, ingest.Failed(fault.Errorf(fault.Malformed, "method", "the method is not POST"))
	}
	body, bytes, err := s.readBody(c.Response(), r, source)
	if err != nil {
		return bytes, ingest.Failed(err)
	}
	// The slot is taken once the body is here: a slow sender holds none.
	if taken, room := s.slots.take(r.Context(), bytes); !taken {
		if !room {
			s.slots.pause(r.Context()) // without the body, which nobody needs any more
		}
		return bytes, ingest.Failed(fault.Errorf(fault.Overloaded, "max_in_flight", "more than http.max_in_flight requests are at work"))
	}
	defer s.slots.giveBack()
	s.options.Metrics.inFlight.Inc()
	defer s.options.Metrics.inFlight.Dec()
	req := ingest.Request{
		Body:       body,
		Arrival:    events.Arrival{PathApp: c.Param("app"), ContentType: r.Header.Get("Content-Type")},
		Source:     source,
		ReceivedAt: received,
	}
	if err := checkHeader(r.Header); err != nil {
		return bytes, s.ingester.Refuse(r.Context(), req, err)
	}
	return bytes, s.ingest(r.Context(), req)
}

// ingest decides on a request. A panic, or an outcome that is none, is a bug
// like any other: answered, counted and logged.
func (s *Server) ingest(ctx context.Context, req ingest.Request) (result ingest.Result) {
	defer func() {
		if r := recover(); r != nil {
			result = ingest.Failed(fault.Panicked(r))
		}
	}()
	result = s.ingester.Ingest(ctx, req)
	if _, known := replies[result.Outcome]; !known {
		return ingest.Failed(fault.Errorf(fault.Internal, "unknown_outcome", "the outcome %q is not in the set", result.Outcome))
	}
	return result
}

// checkHeader refuses what no notification looks like. A missing or another
// Content-Type is read as a form: Alipay's are not always right (PROTOCOL.md 3.5).
func checkHeader(h http.Header) error {
	if h.Get("Content-Encoding") != "" {
		return fault.Errorf(fault.Malformed, "content_encoding", "the request has a Content-Encoding")
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if strings.HasPrefix(kind, "multipart/") || kind == "application/json" {
		return fault.Errorf(fault.Malformed, "content_type", "the Content-Type is not a form's")
	}
	return nil
}
