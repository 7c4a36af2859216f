package ingest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// The set is a contract: replies, metrics and alerts know these words.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	want := []ingest.Outcome{
		"accepted", "duplicate", "checked",
		"malformed", "too_large", "refused", "in_flight", "overloaded", "unavailable", "uncertain", "internal",
	}
	if got := ingest.Outcomes(); !slices.Equal(got, want) {
		t.Errorf("Outcomes() = %q, want %q", got, want)
	}
	for _, o := range ingest.Outcomes() {
		stored := o == ingest.Accepted || o == ingest.Duplicate
		if o.Acknowledged() != stored {
			t.Errorf("%s: Acknowledged() = %v", o, o.Acknowledged())
		}
	}
	if ingest.Outcome("").Acknowledged() || ingest.Outcome("success").Acknowledged() {
		t.Error("what is not in the set is acknowledged")
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	err := fault.Errorf(fault.Overloaded, "max_in_flight", "too much")
	if r := ingest.Failed(err); r.Outcome != "overloaded" || r.Reason != "max_in_flight" || !errors.Is(r.Err, err) {
		t.Errorf("Failed = %+v", r)
	}
	if r := ingest.Failed(errors.New("x")); r.Outcome != internal || r.Reason != "" {
		t.Errorf("Failed without a tag = %+v", r)
	}
}

// Every notification that Alipay is known to send becomes one event of its kind,
// and is a duplicate when it comes again, stamped and signed anew.
func TestIngestEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range alipaytest.Types() {
		if !typ.Event || typ.Type == "account.event" { // the latter has tests of its own
			continue
		}
		t.Run(typ.Type, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			n := h.notification(typ.Type, alipaytest.Options{})
			if _, has := h.form(n).Get("timestamp"); has {
				// Whether a retry has another timestamp, as it has another
				// notify_time, is not known; the fingerprint counts it as content.
				n.Set("timestamp", "2024-03-09 09:02:03")
			}
			body := h.form(n).Encode()
			res := h.ingest(body)
			h.want(res, ingest.Accepted, "")
			if res.EventID != n.ID() || res.Type != typ.Wire || res.Kind != typ.Type || res.AppID != n.AppID() ||
				res.Sequence != 1 || res.Match.KeyID == "" || res.DecodeError != "" || res.Conflict || res.Unasked {
				t.Errorf("result %+v", res)
			}
			e := h.stream.events()[0]
			if e.ID != n.ID() || e.Kind != typ.Type || e.Type != typ.Wire || e.Raw != string(body) || !e.ReceivedAt.Equal(h.now) {
				t.Errorf("event %+v", e)
			}
			h.now = h.now.Add(2 * time.Minute)
			h.want(h.ingest(h.form(n).Encode()), ingest.Duplicate, "")
		})
	}
}

// Many at once with the same notification: one event, and nobody is told a lie.
func TestIngestConcurrently(t *testing.T) {
	t.Parallel()
	for name, newOnce := range map[string]func(*harness) once{
		"a fake store": func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) },
		"Redis":        newRedisOnce,
		"no store":     func(*harness) once { return streamOnce{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarnessOn(t, newOnce)
			body := h.form(h.notification("order.received", alipaytest.Options{})).Encode()
			const many = 64
			results := make([]ingest.Result, many)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() {
					<-start
					results[i] = h.pipeline.Ingest(context.Background(), ingest.Request{Body: string(body), ReceivedAt: h.now})
				})
			}
			close(start)
			wg.Wait()
			counts := make(map[ingest.Outcome]int)
			for _, r := range results {
				counts[r.Outcome]++
			}
			if counts[ingest.Accepted] != 1 || counts[ingest.Accepted]+counts[ingest.Duplicate]+counts[inFlight] != many {
				t.Errorf("outcomes %v", counts)
			}
			if n := len(h.stream.events()); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// Keys are reloaded while requests run: each request sees the apps of before or
// of after, whole.
func TestSetApps(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	forms := make([][]byte, 32)
	for i := range forms {
		forms[i] = h.form(h.notification("card.open_result", alipaytest.Options{NotifyID: "n" + string(rune('A'+i))})).Encode()
	}
	stop := make(chan struct{})
	var reload, requests sync.WaitGroup
	reload.Go(func() {
		for {
			select {
			case <-stop:
				h.pipeline.SetApps(h.app)
				return
			default:
				h.pipeline.SetApps()
				h.pipeline.SetApps(h.app)
			}
		}
	})
	for _, body := range forms {
		requests.Go(func() {
			res := h.pipeline.Ingest(context.Background(), ingest.Request{Body: string(body), ReceivedAt: h.now})
			if res.Outcome != ingest.Accepted && (res.Outcome != refused || res.Reason != "unknown_app") {
				t.Errorf("outcome %s %q (%v)", res.Outcome, res.Reason, res.Err)
			}
		})
	}
	requests.Wait()
	close(stop)
	reload.Wait()

	if res := h.ingest(forms[0]); !res.Outcome.Acknowledged() {
		t.Errorf("outcome %s (%v)", res.Outcome, res.Err)
	}
	h.pipeline.SetApps()
	h.untouched(func() { h.want(h.ingest(forms[0]), refused, "unknown_app") })
}

// With a new key beside the old one, as while keys rotate, both prove.
func TestIngestKeyRotation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	next := testKey(t, strangerKey)
	body := h.form(h.notification("voucher.used", alipaytest.Options{Key: next})).Encode()
	h.untouched(func() { h.want(h.ingest(body), refused, "bad_signature") })

	h.app.Verifier = newVerifier(t, testKey(t, alipayKey).PublicPEM(), next.PublicPEM())
	h.stream.verifier = h.app.Verifier
	h.pipeline.SetApps(h.app)
	h.want(h.ingest(body), ingest.Accepted, "")
	h.want(h.ingest(h.form(h.notification("voucher.stopped", alipaytest.Options{NotifyID: "old"})).Encode()), ingest.Accepted, "")
}
