package ingest_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// sentAt is when the notifications of these tests are sent first.
var sentAt = time.Date(2024, 3, 9, 1, 2, 3, 456e6, time.UTC)

// The keys that the tests share: one of Alipay's, one that is a stranger's.
var (
	alipayKey   = sync.OnceValues(func() (*alipaytest.Key, error) { return alipaytest.GenerateKey(2048) })
	strangerKey = sync.OnceValues(func() (*alipaytest.Key, error) { return alipaytest.GenerateKey(2048) })
)

func testKey(tb testing.TB, get func() (*alipaytest.Key, error)) *alipaytest.Key {
	tb.Helper()
	key, err := get()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func newVerifier(tb testing.TB, pem ...[]byte) *verify.Verifier {
	tb.Helper()
	var keys []verify.PublicKey
	for _, p := range pem {
		key, err := verify.ParsePublicKey(p)
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, key)
	}
	v, err := verify.New(keys, []verify.SignType{verify.RSA2})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// once is an ingest.Once that a test can do things to.
type once interface {
	ingest.Once
	expire() // the leases run out
	forget() // every key is lost
	calls() int
}

// harness is a pipeline of one app with a stream and a dedupe store.
type harness struct {
	testing.TB
	mishaps  *mishaps
	stream   *fakeStream
	once     once
	pipeline *ingest.Pipeline
	app      ingest.App

	now    time.Time
	acked  map[string]bool // contents that were acknowledged
	extras int             // how many events more than contents there may be
}

// newHarness makes one on a fakeOnce.
func newHarness(tb testing.TB) *harness {
	tb.Helper()
	return newHarnessOn(tb, func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) })
}

func newHarnessOn(tb testing.TB, newOnce func(*harness) once) *harness {
	tb.Helper()
	h := &harness{TB: tb, mishaps: &mishaps{}, now: sentAt, acked: make(map[string]bool)}
	h.app = ingest.App{ID: alipaytest.DefaultAppID, Verifier: newVerifier(tb, testKey(tb, alipayKey).PublicPEM())}
	h.stream = newStream(tb, h.mishaps, h.app.Verifier)
	h.once = newOnce(h)
	h.publishTo(h.stream)
	return h
}

// publishTo makes the pipeline, anew, with this publisher.
func (h *harness) publishTo(p ingest.Publisher) {
	h.pipeline = ingest.New(ingest.Options{
		Once: h.once, Key: dedupe.Key, Publisher: p, MaxSignedAge: 72 * time.Hour,
		Now: func() time.Time { return h.now },
	}, h.app)
}

// notification makes one that is the same in every run but for its signature.
func (h *harness) notification(typ string, opts alipaytest.Options) *alipaytest.Notification {
	h.Helper()
	if opts.Key == nil {
		opts.Key = testKey(h, alipayKey)
	}
	opts.Time, opts.Rand = sentAt, rand.New(rand.NewPCG(1, 2))
	n, err := alipaytest.New(typ, opts)
	if err != nil {
		h.Fatal(err)
	}
	return n
}

func (h *harness) form(n *alipaytest.Notification) alipaytest.Form {
	h.Helper()
	form, err := n.Form(h.now)
	if err != nil {
		h.Fatal(err)
	}
	return form
}

// signed is a form of anybody's making with a genuine signature.
func (h *harness) signed(f alipaytest.Form, how alipaytest.Signing) alipaytest.Form {
	h.Helper()
	form, err := testKey(h, alipayKey).SignForm(f, how)
	if err != nil {
		h.Fatal(err)
	}
	return form
}

func (h *harness) ingest(body []byte) ingest.Result {
	h.Helper()
	return h.ingestAt(body, events.Arrival{})
}

func (h *harness) ingestAt(body []byte, a events.Arrival) ingest.Result {
	h.Helper()
	res := h.pipeline.Ingest(context.Background(), ingest.Request{Body: string(body), Arrival: a, ReceivedAt: h.now})
	if !slices.Contains(ingest.Outcomes(), res.Outcome) {
		h.Errorf("the outcome %q is not in the set", res.Outcome)
	}
	return res
}

// want checks outcome and reason of a result.
func (h *harness) want(res ingest.Result, outcome ingest.Outcome, reason string) {
	h.Helper()
	if res.Outcome != outcome || res.Reason != reason {
		h.Errorf("outcome %s %q (%v), want %s %q", res.Outcome, res.Reason, res.Err, outcome, reason)
	}
}

// untouched runs f and checks that nothing with a memory was called.
func (h *harness) untouched(f func()) {
	h.Helper()
	before := h.once.calls() + h.stream.called()
	f()
	if now := h.once.calls() + h.stream.called(); now != before {
		h.Errorf("%d calls of what has a memory", now-before)
	}
}

// deliver sends the notification `same-id` with a content, stamped and signed
// anew as Alipay's retries are, and checks that all is well.
func (h *harness) deliver(content string) ingest.Result {
	h.Helper()
	n := h.notification("voucher.created", alipaytest.Options{
		NotifyID: "same-id", Payload: []alipaytest.Field{{Name: "out_biz_no", Value: content}},
	})
	h.now = h.now.Add(time.Minute)
	res := h.ingest(h.form(n).Encode())
	if res.Outcome.Acknowledged() {
		h.acked[content] = true
	}
	h.check(res, content)
	return res
}

// check is the invariant: what was acknowledged is stored, and nothing is
// stored twice but where DESIGN.md section 7 allows it.
func (h *harness) check(res ingest.Result, content string) {
	h.Helper()
	if res.Outcome.Acknowledged() != (res.Err == nil) || res.Err == nil && res.Reason != "" {
		h.Errorf("%s: outcome %s with the reason %q and the error %v", content, res.Outcome, res.Reason, res.Err)
	}
	stored := h.stored()
	for content := range h.acked {
		if stored[content] == 0 {
			h.Errorf("%s was acknowledged and is not stored", content)
		}
	}
	more := 0
	for _, n := range stored {
		more += n - 1
	}
	if more > h.extras {
		h.Errorf("%d events more than contents, want at most %d: %v", more, h.extras, stored)
	}
}

// stored counts the events by content.
func (h *harness) stored() map[string]int {
	counts := make(map[string]int)
	for _, e := range h.stream.events() {
		_, rest, _ := bytes.Cut(e.Data, []byte(`"out_biz_no":"`))
		content, _, _ := strings.Cut(string(rest), `"`)
		counts[content]++
	}
	return counts
}

// redisOnce is dedupe.Redis on a Redis of the test.
type redisOnce struct {
	*dedupe.Redis
	tb     testing.TB
	server *miniredis.Miniredis

	mu     sync.Mutex
	called int
}

// leaseTime and retention are those of the configuration's defaults.
const (
	leaseTime = 30 * time.Second
	retention = 72 * time.Hour
)

func newRedisOnce(h *harness) once {
	h.Helper()
	server := miniredis.RunT(h.TB)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	h.Cleanup(func() { client.Close() }) //nolint:errcheck // nothing can be done
	client.AddHook(hook{h.mishaps})
	r, err := dedupe.New(client, dedupe.Options{
		Lease: leaseTime, Retention: retention, Timeout: 10 * time.Second,
		Holds: h.stream.holds,
	})
	if err != nil {
		h.Fatal(err)
	}
	return &redisOnce{Redis: r, tb: h.TB, server: server}
}

func (o *redisOnce) Do(ctx context.Context, key, fingerprint string, ahead ingest.Ahead, fn func(context.Context, bool) (string, error)) (place, prior string, err error) {
	o.mu.Lock()
	o.called++
	o.mu.Unlock()
	return o.Redis.Do(ctx, key, fingerprint, ahead, fn)
}

func (o *redisOnce) expire() { o.server.FastForward(leaseTime + time.Second) }
func (o *redisOnce) forget() { o.server.FlushAll() }

func (o *redisOnce) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.called
}

// hook lets calls to Redis go wrong.
type hook struct{ mishaps *mishaps }

func (k hook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (k hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (k hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		how := k.mishaps.take(scriptOf(cmds[0].Args()))
		if how == fine {
			return next(ctx, cmds)
		}
		if how == lost {
			if err := next(ctx, cmds); err != nil {
				return err
			}
		}
		for _, c := range cmds {
			c.SetErr(errMishap)
		}
		return errMishap
	}
}

// scriptOf tells the scripts of dedupe apart by what they are given: only the
// call by digest counts, and only where no commit is taken over.
func scriptOf(args []any) string {
	switch {
	case args[0] == "set": // the simplest of claims
		return opClaim
	case args[0] != "evalsha":
		return ""
	case args[4] == "0": // it sets no expiry
		return opRelease
	case args[6] == "":
		return opClaim
	}
	return opCommit
}

// streamOnce is dedupe without Redis.
type streamOnce struct{ dedupe.Stream }

func (streamOnce) expire()    {}
func (streamOnce) forget()    {}
func (streamOnce) calls() int { return 0 }
