package alipaytest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxReply is how much of a reply is read. The longest right one, the signed
// XML of the gateway check, has some 1 KiB.
const maxReply = 16 << 10

// defaultTimeout bounds one delivery. What Alipay's bound is, no document says
// (PROTOCOL.md section 7).
const defaultTimeout = 10 * time.Second

// Schedule is the gaps between deliveries: after the first failure the first
// gap, and so on. An empty schedule delivers once.
type Schedule []time.Duration

// MessageSchedule is 8 deliveries over 24 h 22 min (PROTOCOL.md 1.4).
func MessageSchedule() Schedule {
	const m, h = time.Minute, time.Hour
	return Schedule{2 * m, 10 * m, 10 * m, 1 * h, 2 * h, 6 * h, 15 * h}
}

// TradeSchedule is that of the classic notify_url, whose first gap is longer
// (PROTOCOL.md 1.4).
func TradeSchedule() Schedule {
	s := MessageSchedule()
	s[0] = 4 * time.Minute
	return s
}

// Schedule is the one that Alipay keeps to for this type. The gateway check is
// asked once, when somebody saves the URL and waits for the answer.
func (n *Notification) Schedule() Schedule {
	switch {
	case n.kind.check:
		return nil
	case n.kind.wire == "trade_status_sync":
		return TradeSchedule()
	}
	return MessageSchedule()
}

// Scaled is the schedule in a time that runs scale times as fast. A scale of
// zero or less is a mistake of the caller's and leaves the schedule as it is.
func (s Schedule) Scaled(scale float64) Schedule {
	out := make(Schedule, len(s))
	for i, gap := range s {
		out[i] = gap
		if scale > 0 {
			out[i] = time.Duration(float64(gap) / scale)
		}
	}
	return out
}

// Total is the time from the first delivery to the last.
func (s Schedule) Total() time.Duration {
	var total time.Duration
	for _, gap := range s {
		total += gap
	}
	return total
}

// Outcome is how the delivery of a notification ended.
type Outcome string

// The outcomes.
const (
	Acknowledged Outcome = "acknowledged" // the receiver said success
	GivenUp      Outcome = "given up"     // it did not, as often as the schedule allows
	Interrupted  Outcome = "interrupted"  // the context ended first
)

// Attempt is one delivery.
type Attempt struct {
	At      time.Time
	Status  int    // 0 when no answer came
	Body    string // at most 16 KiB of it
	Err     error  // why no answer came, or why it could not be read
	Latency time.Duration
}

// Result is everything about the delivery of one notification.
type Result struct {
	Outcome  Outcome
	Attempts []Attempt // at least one
}

// Last is the attempt that decided.
func (r Result) Last() Attempt { return r.Attempts[len(r.Attempts)-1] }

// Client delivers notifications. The zero value of every field but URL is
// right for tests. It may be used by several goroutines.
type Client struct {
	URL     string
	HTTP    *http.Client  // nil is a plain one; redirects are never followed
	Timeout time.Duration // of one delivery; 0 is 10 s

	// Now and Wait are the clock: nil is the real one. Wait returns early, with
	// the context's error, when that ends.
	Now  func() time.Time
	Wait func(context.Context, time.Duration) error

	// OnRetry, if set, hears of each failed attempt that another will follow.
	OnRetry func(n *Notification, failed Attempt, wait time.Duration)
}

// Deliver posts the notification until the receiver acknowledges it, the
// schedule is at its end, or ctx is. Each delivery is stamped and signed anew
// (PROTOCOL.md 1.4); deliver n.SameBytes to have none of that. The body of the
// reply decides, not its status (PROTOCOL.md 1.3). The error says that the notification could not be
// made or the URL is none; a receiver that fails is a Result.
func (c *Client) Deliver(ctx context.Context, n *Notification, s Schedule) (Result, error) {
	var result Result
	for i := 0; ; i++ {
		at := c.now()
		body, err := n.Body(at)
		if err != nil {
			return result, err
		}
		request, err := http.NewRequest(http.MethodPost, c.URL, bytes.NewReader(body))
		if err != nil {
			return result, err
		}
		request.Header.Set("Content-Type", n.ContentType())
		request.Header.Set("User-Agent", "alipaytest")

		attempt := c.post(ctx, request, at)
		result.Attempts = append(result.Attempts, attempt)
		switch {
		case attempt.Err == nil && n.acknowledgedBy(attempt.Body):
			result.Outcome = Acknowledged
			return result, nil
		case ctx.Err() != nil:
			result.Outcome = Interrupted
			return result, nil
		case i == len(s):
			result.Outcome = GivenUp
			return result, nil
		}
		if c.OnRetry != nil {
			c.OnRetry(n, attempt, s[i])
		}
		if c.wait(ctx, s[i]) != nil {
			result.Outcome = Interrupted
			return result, nil
		}
	}
}

// post makes one delivery and reads the reply.
func (c *Client) post(ctx context.Context, request *http.Request, at time.Time) (attempt Attempt) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	// The page that is notified must not redirect (PROTOCOL.md 1.3), so the
	// redirect itself is the reply.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	attempt.At = at
	start := time.Now() // not c.Now: a latency is measured, never made up
	defer func() { attempt.Latency = time.Since(start) }()
	response, err := client.Do(request.WithContext(ctx))
	if err != nil {
		attempt.Err = err
		return attempt
	}
	defer response.Body.Close() //nolint:errcheck // the reply is read, or not worth more
	attempt.Status = response.StatusCode
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	if len(body) > maxReply {
		body = body[:maxReply] // too long to be an acknowledgement of any kind
	}
	attempt.Body, attempt.Err = string(body), err
	return attempt
}

// acknowledgedBy tells whether a reply stops the retries: success in any case
// and nothing around it (PROTOCOL.md 1.3). The 生活号 gateway wants signed XML
// instead (PROTOCOL.md 2.7); its signature is not looked at here.
func (n *Notification) acknowledgedBy(body string) bool {
	switch {
	case n.kind.shape != account:
		return strings.EqualFold(body, "success")
	case !strings.Contains(body, "<alipay>") || !strings.Contains(body, "<sign>"):
		return false
	case n.kind.check:
		return strings.Contains(body, "<success>true</success>")
	}
	return strings.Contains(body, "<MsgType><![CDATA[ack]]></MsgType>") ||
		strings.Contains(body, "<MsgType><![CDATA[image-text]]></MsgType>")
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Client) wait(ctx context.Context, d time.Duration) error {
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
