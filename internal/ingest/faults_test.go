package ingest_test

import (
	"context"
	"testing"
	"testing/synctest"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// The failures that these tests see.
const (
	refused     = ingest.Outcome(fault.Refused)
	malformed   = ingest.Outcome(fault.Malformed)
	inFlight    = ingest.Outcome(fault.InFlight)
	unavailable = ingest.Outcome(fault.Unavailable)
	uncertain   = ingest.Outcome(fault.Uncertain)
	internal    = ingest.Outcome(fault.Internal)
)

// faultTests is what can go wrong, and what the delivery that meets it and the
// same one at once after it are answered.
var faultTests = []struct {
	name         string
	armed        map[string]mishap
	first, again ingest.Outcome
}{
	{"nothing", nil, ingest.Accepted, ingest.Duplicate},

	{"claim fails", map[string]mishap{opClaim: failed}, ingest.Accepted, ingest.Duplicate},
	{"claim's answer is lost", map[string]mishap{opClaim: lost}, ingest.Accepted, ingest.Duplicate},
	{"claim hangs", map[string]mishap{opClaim: hung}, unavailable, ingest.Accepted},
	{"claim hangs, and happened", map[string]mishap{opClaim: late}, unavailable, ingest.Accepted},

	{"publish fails", map[string]mishap{opPublish: failed}, unavailable, ingest.Accepted},
	{"publish's ack is lost", map[string]mishap{opPublish: lost}, uncertain, ingest.Duplicate},
	{"publish hangs", map[string]mishap{opPublish: hung}, uncertain, ingest.Accepted},
	{"publish hangs, and happened", map[string]mishap{opPublish: late}, uncertain, ingest.Duplicate},
	{"publish fails as nobody thought", map[string]mishap{opPublish: untagged}, internal, ingest.Accepted},

	{"compare fails", map[string]mishap{opPublish: lost, opCompare: failed}, uncertain, uncertain},
	{"compare hangs", map[string]mishap{opPublish: lost, opCompare: hung}, uncertain, uncertain},

	// Redis remembers, and nobody can say whether it is still true.
	{"holds fails", map[string]mishap{opHolds: failed}, ingest.Accepted, unavailable},
	{"holds hangs", map[string]mishap{opHolds: hung}, ingest.Accepted, unavailable},

	{"commit fails", map[string]mishap{opCommit: failed}, ingest.Accepted, inFlight},
	{"commit's answer is lost", map[string]mishap{opCommit: lost}, ingest.Accepted, ingest.Duplicate},
	{"commit hangs", map[string]mishap{opCommit: hung}, ingest.Accepted, inFlight},
	{"commit hangs, and happened", map[string]mishap{opCommit: late}, ingest.Accepted, ingest.Duplicate},

	{"release fails", map[string]mishap{opPublish: failed, opRelease: failed}, unavailable, inFlight},
	{"release's answer is lost", map[string]mishap{opPublish: failed, opRelease: lost}, unavailable, ingest.Accepted},
	{"release hangs", map[string]mishap{opPublish: failed, opRelease: hung}, unavailable, inFlight},
	{"release hangs, and happened", map[string]mishap{opPublish: failed, opRelease: late}, unavailable, ingest.Accepted},

	// Redis is away for all of one delivery.
	{"claim and commit fail", map[string]mishap{opClaim: failed, opCommit: failed}, ingest.Accepted, ingest.Duplicate},
	{"claim is lost, and commit fails", map[string]mishap{opClaim: lost, opCommit: failed}, ingest.Accepted, inFlight},
	{"claim, ack and release are lost", map[string]mishap{opClaim: lost, opPublish: lost, opRelease: failed}, uncertain, inFlight},

	// The rows of DESIGN.md section 7. Who is dead neither commits nor releases.
	{"death after the claim", map[string]mishap{opPublish: failed, opRelease: failed}, unavailable, inFlight},
	{"death after publish", map[string]mishap{opPublish: lost, opRelease: failed}, uncertain, inFlight},
	{"death after the ack", map[string]mishap{opCommit: failed}, ingest.Accepted, inFlight},
}

// plans are the deliveries of a test: content a or b, and '|' where the leases
// run out. Each ends well.
var plans = map[string]string{
	"the same at once":         "aaa|a",
	"the same after the lease": "a|aa",
	"another content":          "aba|ab",
	"another content at first": "abb|ab",
}

// After every delivery that meets a fault, whatever follows it: what was
// acknowledged is stored, nothing is stored twice, and once the fault is over
// everything is acknowledged.
func TestIngestFaults(t *testing.T) {
	t.Parallel()
	variants := []struct {
		name    string
		newOnce func(*harness) once
		hangs   bool // the test has the time to wait for what hangs
		leases  bool
		steps   bool // publishing begins with the claim
	}{
		{"a fake store", func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) }, true, true, false},
		{"a fake store, in steps", func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) }, true, true, true},
		{"Redis", newRedisOnce, false, true, false},
		{"Redis, in steps", newRedisOnce, false, true, true},
		{"no store", func(*harness) once { return streamOnce{} }, true, false, false},
		{"no store, in steps", func(*harness) once { return streamOnce{} }, true, false, true},
	}
	for _, v := range variants {
		for _, tt := range faultTests {
			if !v.hangs && (contains(tt.armed, hung) || contains(tt.armed, late)) || !v.leases && !ofStream(tt.armed) {
				continue
			}
			for name, plan := range plans {
				t.Run(v.name+"/"+tt.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					run := func(t *testing.T) {
						h := newHarnessOn(t, v.newOnce)
						if v.steps {
							h.publishTo(inSteps{h.stream})
						}
						h.mishaps.arm(tt.armed)
						h.play(plan, tt.first, tt.again)
					}
					testKey(t, alipayKey)
					if !v.hangs {
						run(t)
						return
					}
					synctest.Test(t, run) // the time passes as soon as everybody waits for it
				})
			}
		}
	}
}

func contains(armed map[string]mishap, how mishap) bool {
	for _, m := range armed {
		if m == how {
			return true
		}
	}
	return false
}

// ofStream tells whether only calls of the stream go wrong.
func ofStream(armed map[string]mishap) bool {
	for op := range armed {
		if op != opPublish && op != opCompare {
			return false
		}
	}
	return true
}

// play delivers by a plan and checks the first outcomes and the end.
func (h *harness) play(plan string, first, again ingest.Outcome) {
	h.Helper()
	last := make(map[string]ingest.Result)
	for i, step := range plan {
		if step == '|' {
			h.once.expire()
			continue
		}
		res := h.deliver(string(step))
		last[string(step)] = res
		if i == 0 && res.Outcome != first {
			h.Errorf("the first delivery: outcome %s (%v), want %s", res.Outcome, res.Err, first)
		}
		if i == 1 && step == 'a' && res.Outcome != again {
			h.Errorf("the same at once: outcome %s (%v), want %s", res.Outcome, res.Err, again)
		}
	}
	for content, res := range last {
		if !res.Outcome.Acknowledged() {
			h.Errorf("the last delivery of %s: outcome %s (%v)", content, res.Outcome, res.Err)
		}
		if n := h.stored()[content]; n != 1 {
			h.Errorf("%s is stored %d times", content, n)
		}
	}
}

// A store that nobody can reach decides by its policy, and one that answers
// nonsense is a bug of ours: neither is ever acknowledged.
func TestIngestClaimRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.mishaps.arm(map[string]mishap{opClaim: untagged})
	h.want(h.deliver("a"), internal, "")
	if len(h.stream.events()) > 0 {
		t.Error("something is stored")
	}
	h.want(h.deliver("a"), ingest.Accepted, "")
}

// A stream that is known to be away is said to be away, and Redis hears nothing of
// it: what cannot be sent was claimed and given back, so that an outage of NATS was
// twice the usual load for Redis, and a delivery beside another was told that this
// one is at work.
func TestIngestUnsendableIsNotClaimed(t *testing.T) {
	h := newHarness(t)
	h.publishTo(away{h.stream})
	if res := h.deliver("a"); res.Outcome != unavailable || res.Reason != "disconnected" {
		t.Errorf("got %s, %s", res.Outcome, res.Reason)
	}
	if n := h.once.calls(); n != 0 {
		t.Errorf("%d calls of the store", n)
	}
	h.publishTo(inSteps{h.stream})
	if res := h.deliver("a"); res.Outcome != ingest.Accepted {
		t.Errorf("afterwards: %s, %s", res.Outcome, res.Reason)
	}
}

// away is a stream to which there is no connection.
type away struct{ *fakeStream }

func (away) Prepare(context.Context, *events.Event) (ingest.Sending, error) {
	return nil, fault.Errorf(fault.Unavailable, "disconnected", "not connected")
}

// The last rows of DESIGN.md section 7: what was remembered is gone.
func TestIngestMemoryLost(t *testing.T) {
	t.Parallel()
	for name, newOnce := range map[string]func(*harness) once{
		"a fake store": func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) },
		"Redis":        newRedisOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarnessOn(t, newOnce)
			h.want(h.deliver("a"), ingest.Accepted, "")

			h.once.forget()
			h.want(h.deliver("a"), ingest.Duplicate, "") // the window knows it

			h.once.forget()
			h.stream.closeWindow()
			h.extras = 1 // beyond the window: one more, with the same id
			h.want(h.deliver("a"), ingest.Accepted, "")
			if e := h.stream.events(); len(e) != 2 || e[0].ID != e[1].ID {
				t.Errorf("%d events", len(e))
			}

			h.stream.recreate()
			clear(h.acked) // gone with the stream; that is what the archive's backup is for
			h.want(h.deliver("a"), ingest.Accepted, "")
			h.want(h.deliver("a"), ingest.Duplicate, "")
			if n := h.stored()["a"]; n != 1 {
				t.Errorf("stored %d times on the new stream", n)
			}
		})
	}
}

// A bug in a collaborator is answered and not acknowledged, and the process and
// the claim survive it.
func TestIngestPanic(t *testing.T) {
	t.Parallel()
	for _, op := range []string{opClaim, opPublish, opCompare, opCommit, opRelease} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			armed := map[string]mishap{op: panicked}
			switch op {
			case opCompare:
				h.mishaps.arm(map[string]mishap{opPublish: lost})
				h.want(h.deliver("a"), uncertain, "no_ack")
			case opRelease:
				armed[opPublish] = failed
			}
			h.mishaps.arm(armed)
			res := h.deliver("a")
			h.want(res, internal, "panic")
			h.once.expire()
			if res := h.deliver("a"); !res.Outcome.Acknowledged() {
				t.Errorf("afterwards: outcome %s (%v)", res.Outcome, res.Err)
			}
			if n := h.stored()["a"]; n != 1 {
				t.Errorf("stored %d times", n)
			}
		})
	}
}

// A sender that hangs up once the notification is proved does not stop its being
// stored: what is stored need not be sent again.
func TestIngestSenderGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := h.form(h.notification("card.open_result", alipaytest.Options{})).Encode()
	res := h.pipeline.Ingest(ctx, ingest.Request{Body: string(body), ReceivedAt: h.now})
	h.want(res, ingest.Accepted, "")
	if len(h.stream.events()) != 1 {
		t.Errorf("%d events", len(h.stream.events()))
	}
}
