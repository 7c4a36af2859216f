package openapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/openapi"
)

// realClock gives a configuration the clock of a synctest bubble.
func realClock(cfg *openapi.Config) { cfg.Now, cfg.Sleep = nil, nil }

// After an outage comes an answer: the repeat is the same request with the same
// number, and a time, a nonce and a request id of its own.
func TestRepeatCarriesTheSameNumber(t *testing.T) {
	t.Parallel()
	var bodies, auths, ids []string
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies, auths, ids = append(bodies, string(body)), append(auths, r.Header.Get("Authorization")), append(ids, r.Header.Get("alipay-request-id"))
		if len(bodies) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answerV3(t, w, http.StatusOK, "{}")
	})
	r, err := c.VoucherStop(t.Context(), params(stop).(openapi.ActivityChange))
	if err != nil || r.Attempts != 3 || len(bodies) != 3 || r.RequestID != ids[2] {
		t.Fatalf("%+v, %v", r, err)
	}
	if bodies[0] != bodies[1] || bodies[1] != bodies[2] || !strings.Contains(bodies[0], `"out_biz_no":"b1"`) {
		t.Errorf("the repeats differ: %q", bodies)
	}
	if auths[0] == auths[1] || auths[1] == auths[2] || ids[0] == ids[1] || len(ids[0]) != 32 {
		t.Errorf("nonces or ids are the same: %q, %q", auths, ids)
	}
}

// A refusal after an attempt whose outcome is unknown may be about that attempt.
func TestRefusedAfterAnUncertainAttempt(t *testing.T) {
	t.Parallel()
	n := 0
	c := against(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(http.StatusGatewayTimeout)
			return
		}
		answerV3(t, w, http.StatusBadRequest, `{"code":"CARD_IS_DELETED_ALREADY","message":"x"}`)
	})
	_, err := c.CardDelete(t.Context(), openapi.CardDelete{OutSerialNo: "s", TargetCardNo: "1", TargetCardNoType: "BIZ_CARD", ReasonCode: openapi.Cancelled})
	if e := fails(t, err, openapi.Refused); !e.Authenticated || e.Attempts != 2 || !strings.Contains(err.Error(), "an earlier attempt of this call may have done it") {
		t.Error(err)
	}
}

// What the first attempt may have done, a second that does not even reach Alipay
// cannot undo: the call said "nothing was sent" then.
func TestEarlierAttemptIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func() (*http.Response, error){
		"not reached": func() (*http.Response, error) { return nil, errSeen },
		"throttled": func() (*http.Response, error) {
			return canned(http.StatusTooManyRequests, nil, []byte(`{"code":"app-call-limited"}`)), nil
		},
	} {
		n := 0
		c := client(t, func(cfg *openapi.Config) {
			cfg.Attempts = 2
			via(func(*http.Request) (*http.Response, error) {
				if n++; n == 2 {
					return second()
				}
				return canned(http.StatusBadGateway, nil, nil), nil
			})(cfg)
		})
		_, err := c.VoucherStop(t.Context(), params(stop).(openapi.ActivityChange))
		if e := fails(t, err, openapi.Uncertain); !e.MayHaveHappened() || e.Attempts != 2 || !strings.Contains(err.Error(), "the same out_biz_no") {
			t.Errorf("%s: %v", name, err)
		}
		n = 0
		_, err = c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
		if e := openapi.As(err); e == nil || e.Kind == openapi.Uncertain || e.MayHaveHappened() {
			t.Errorf("%s, of a query: %v", name, err)
		}
	}
}

// hang answers nothing until the request is given up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestTimeouts: each attempt has its own deadline, and the caller's ends them all.
// That Alipay may have the request is known by the connection; without one (as
// with this transport) it is not.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client(t, func(cfg *openapi.Config) { realClock(cfg); via(hang)(cfg) })
		begin := time.Now()
		_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
		e := fails(t, err, openapi.Unavailable)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer in time (15s)") || e.Attempts != 3 {
			t.Error(err)
		}
		// Two pauses: half of 200 ms and of 400 ms at least, and less than the whole.
		if d := time.Since(begin) - 45*time.Second; d < 300*time.Millisecond || d >= 600*time.Millisecond {
			t.Errorf("the pauses took %s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begin = time.Now()
		_, err = c.Call(ctx, openapi.Request{Method: query, Params: card()})
		if e := openapi.As(err); e == nil || e.Attempts != 2 || time.Since(begin) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// TestThrottled: Alipay's Retry-After is kept, by everybody who shares the client,
// and nobody waits who would wait in vain.
func TestThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var times []time.Duration
		begin := time.Now()
		var mu sync.Mutex
		c := client(t, func(cfg *openapi.Config) {
			realClock(cfg)
			cfg.Rate, cfg.Burst = 10, 1
			via(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Since(begin))
				if len(times) == 1 {
					<-time.After(50 * time.Millisecond) // the others queue meanwhile
					return canned(http.StatusTooManyRequests, http.Header{"Retry-After": {"7"}}, []byte(`{"code":"app-call-limited"}`)), nil
				}
				return canned(http.StatusBadRequest, nil, []byte(`{"code":"CARD_NOT_EXIT"}`)), nil
			})(cfg)
		})
		call := func(ctx context.Context) error {
			_, err := c.Call(ctx, openapi.Request{Method: query, Params: card()})
			return err
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if e := openapi.As(call(t.Context())); e == nil || e.Kind != openapi.Refused {
					t.Error(e)
				}
			})
		}
		wg.Wait()
		if len(times) != 5 || times[1] < 7*time.Second {
			t.Errorf("requests at %s: not before 7s", times)
		}
		for i := 2; i < len(times); i++ { // at the rate, and without a burst
			if d := times[i] - times[i-1]; d < 99*time.Millisecond || d > 250*time.Millisecond {
				t.Errorf("requests at %s: want one in 100ms", times)
			}
		}

		times = nil
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin = time.Now()
		if e := openapi.As(call(ctx)); e.Kind != openapi.Throttled || time.Since(begin) > time.Second {
			t.Errorf("%v after %s: there was no time for 7s", e, time.Since(begin))
		}
		if e := openapi.As(call(ctx)); e.Kind != openapi.Unavailable || !errors.Is(e, context.DeadlineExceeded) || e.Attempts != 0 || !strings.Contains(e.Error(), "rate limit") {
			t.Errorf("%v: the pause outlasts the caller", e)
		}
	})
}

// Retry-After may be a date, of the server's clock; nobody is kept longer than a minute.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := now.Add(time.Hour) // their clock, not ours
	for value, want := range map[string]time.Duration{
		"9": 9 * time.Second, "86400": time.Minute, "99999999999999999999": 0, "-1": 0, "soon": 0,
		date.Add(20 * time.Second).UTC().Format(http.TimeFormat): 20 * time.Second, date.Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		moved := &clock{}
		c := client(t, func(cfg *openapi.Config) {
			cfg.Now, cfg.Sleep, cfg.Attempts = moved.Now, moved.Sleep, 2
			via(func(*http.Request) (*http.Response, error) {
				h := http.Header{"Retry-After": {value}, "Date": {date.UTC().Format(http.TimeFormat)}}
				return canned(http.StatusServiceUnavailable, h, []byte(`{"code":"unknow-error"}`)), nil
			})(cfg)
		})
		_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
		fails(t, err, openapi.Uncertain)
		if d := moved.Now().Sub(now); want > 0 && d != want || want == 0 && (d < 100*time.Millisecond || d > 200*time.Millisecond) {
			t.Errorf("Retry-After %q: waited %s, want %s", value, d, want)
		}
	}
}

// TestRate: a burst, and then the rate, whoever calls.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waited time.Duration
		var mu sync.Mutex
		c := client(t, func(cfg *openapi.Config) {
			realClock(cfg)
			cfg.Rate, cfg.Burst = 20, 5
			cfg.Hooks.Start = func(ctx context.Context, a openapi.Attempt) context.Context {
				mu.Lock()
				defer mu.Unlock()
				waited = max(waited, a.Waited)
				return ctx
			}
			via(func(*http.Request) (*http.Response, error) {
				return canned(http.StatusBadRequest, nil, []byte(`{"code":"CARD_NOT_EXIT"}`)), nil
			})(cfg)
		})
		// 100 requests less the burst; then nothing is left of it; after an hour it is whole, and not more.
		for i, want := range []time.Duration{19 * time.Second / 4, 5 * time.Second, 19 * time.Second / 4} {
			if i == 2 {
				<-time.After(time.Hour)
			}
			begin := time.Now()
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
					if e := openapi.As(err); e == nil || e.Kind != openapi.Refused {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if d := time.Since(begin); d < want-time.Millisecond || d > want+time.Millisecond {
				t.Errorf("100 requests took %s, want %s", d, want)
			}
		}
		if waited < 4*time.Second {
			t.Errorf("the hooks saw a wait of %s", waited)
		}
	})
}

// TestHooks: one pair for each attempt, the span's context reaches the transport,
// and nothing personal is told.
func TestHooks(t *testing.T) {
	t.Parallel()
	type spanKey struct{}
	var seen []string
	n := 0
	c := client(t, func(cfg *openapi.Config) {
		cfg.Hooks = openapi.Hooks{
			Start: func(ctx context.Context, a openapi.Attempt) context.Context {
				return context.WithValue(ctx, spanKey{}, a.Number)
			},
			Finish: func(ctx context.Context, a openapi.Attempt, o openapi.Outcome) {
				text, err := json.Marshal([]any{ctx.Value(spanKey{}), a, o})
				if err != nil {
					t.Error(err)
				}
				seen = append(seen, string(text))
			},
		}
		via(func(r *http.Request) (*http.Response, error) {
			if n++; r.Context().Value(spanKey{}) != n {
				t.Error("the transport does not see the span")
			}
			if n == 1 {
				return canned(http.StatusBadGateway, nil, []byte(`{"code":"unknow-error","message":"`+user+`"}`)), nil
			}
			h := http.Header{"Alipay-Trace-Id": {"t1"}, "Date": {now.UTC().Format(http.TimeFormat)}}
			return canned(http.StatusBadRequest, h, []byte(`{"code":"`+user+` evil\n","message":"`+user+`"}`)), nil
		})(cfg)
	})
	_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: openapi.CardQuery{TargetCardNo: user, TargetCardNoType: "BIZ_CARD"}})
	fails(t, err, openapi.Refused)
	if len(seen) != 2 || !strings.Contains(seen[0], `"Kind":"uncertain"`) || !strings.Contains(seen[0], "unknow-error") || !strings.Contains(seen[1], `"Kind":"refused"`) ||
		!strings.Contains(seen[1], `"TraceID":"t1"`) || !strings.Contains(seen[1], `"Number":2`) {
		t.Errorf("%q", seen)
	}
	if strings.Contains(strings.Join(seen, ""), user) {
		t.Errorf("the hooks were told of a user: %q", seen)
	}
}

// pipes is a network in memory, which time in a synctest bubble can pass over.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// A server takes the request and never answers: whether it happened is unknown.
// What has a number is repeated with it, a write without one never.
func TestServerNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &pipes{conns: make(chan net.Conn)}
		var requests atomic.Int32
		s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			requests.Add(1)
			<-r.Context().Done()
		})}
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(network) }()
		transport := &http.Transport{DialContext: network.dial}
		c := client(t, func(cfg *openapi.Config) {
			realClock(cfg)
			cfg.BaseURL, cfg.HTTP, cfg.Timeout = "http://alipay.test", &http.Client{Transport: transport}, 4*time.Second
		})
		for method, want := range map[string]int{query: 3, stop: 3, update: 1} {
			requests.Store(0)
			_, err := c.Call(t.Context(), openapi.Request{Method: method, Params: params(method)})
			e := fails(t, err, openapi.Uncertain)
			if int(requests.Load()) != want || e.Attempts != want || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "(4s)") || e.MayHaveHappened() != (method != query) {
				t.Errorf("%s: %d requests, want %d: %v", method, requests.Load(), want, err)
			}
		}
		c.Close()
		_ = s.Close()
		<-done
	})
}
