package ingest_test

import (
	"context"
	"strings"
	"testing"

	"alipay-notify/internal/ingest"
)

// The same id with other content is no repetition: both are stored, the second
// one under an id of its own, and both are then known.
func TestIngestConflict(t *testing.T) {
	t.Parallel()
	for name, newOnce := range map[string]func(*harness) once{
		"a fake store": func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) },
		"Redis":        newRedisOnce,
		"no store":     func(*harness) once { return streamOnce{} },
	} {
		t.Run("after the commit, "+name, func(t *testing.T) {
			t.Parallel()
			h := newHarnessOn(t, newOnce)
			h.want(h.deliver("a"), ingest.Accepted, "")
			h.wantConflict(h.deliver("b"), ingest.Accepted)
			h.wantConflict(h.deliver("b"), ingest.Duplicate)
			if res := h.deliver("a"); res.Outcome != ingest.Duplicate || res.Conflict || res.EventID != "same-id" {
				t.Errorf("the first content again: %s, conflict %v, %s", res.Outcome, res.Conflict, res.EventID)
			}
			// A third content has a third id.
			h.wantConflict(h.deliver("c"), ingest.Accepted)
			if n := len(h.stream.events()); n != 3 {
				t.Errorf("%d events, want 3", n)
			}
		})
	}
}

// wantConflict checks a result of conflicting content, and the last event.
func (h *harness) wantConflict(res ingest.Result, outcome ingest.Outcome) {
	h.Helper()
	suffix, ok := strings.CutPrefix(res.EventID, "same-id~")
	if res.Outcome != outcome || !res.Conflict || !ok || len(suffix) != 8 || strings.Trim(suffix, "0123456789abcdef") != "" {
		h.Errorf("%s (%v), conflict %v, event %q; want %s and a conflict under same-id~<8 hex>",
			res.Outcome, res.Err, res.Conflict, res.EventID, outcome)
	}
	stored := h.stream.events()
	if last := stored[len(stored)-1]; last.Conflict != "same-id" || last.ID != res.EventID || res.EventID != "same-id~"+last.Fingerprint[:8] {
		h.Errorf("stored as %q with the conflict %q; the result says %q", last.ID, last.Conflict, res.EventID)
	}
}

// While the first content is still at work the second one does not wait for it:
// it is stored at once, and what becomes of the first does not matter to it.
func TestIngestConflictInFlight(t *testing.T) {
	t.Parallel()
	for name, newOnce := range map[string]func(*harness) once{
		"a fake store": func(h *harness) once { return newFakeOnce(h.mishaps, h.stream.holds) },
		"Redis":        newRedisOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarnessOn(t, newOnce)
			h.mishaps.arm(map[string]mishap{opPublish: failed, opRelease: failed})
			h.want(h.deliver("a"), unavailable, "disconnected")
			h.wantConflict(h.deliver("b"), ingest.Accepted)
			h.want(h.deliver("a"), inFlight, "lease")
			h.wantConflict(h.deliver("b"), ingest.Duplicate)
			h.once.expire()
			h.want(h.deliver("a"), ingest.Accepted, "")
			h.wantAll("a", "b")
		})
	}
}

func (h *harness) wantAll(contents ...string) {
	h.Helper()
	stored := h.stored()
	for _, c := range contents {
		if stored[c] != 1 {
			h.Errorf("%s is stored %d times", c, stored[c])
		}
	}
}

// A conflict that cannot be stored is not acknowledged, whatever fails.
func TestIngestConflictFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		how     mishap
		outcome ingest.Outcome
	}{{failed, unavailable}, {lost, uncertain}, {untagged, internal}}
	for _, tt := range tests {
		h := newHarness(t)
		h.deliver("a")
		h.mishaps.arm(map[string]mishap{opPublish: tt.how})
		if res := h.deliver("b"); res.Outcome != tt.outcome || !res.Conflict {
			t.Errorf("outcome %s (%v), conflict %v; want %s and a conflict", res.Outcome, res.Err, res.Conflict, tt.outcome)
		}
		if res := h.deliver("b"); !res.Outcome.Acknowledged() {
			t.Errorf("afterwards: outcome %s (%v)", res.Outcome, res.Err)
		}
		h.wantAll("a", "b")
	}
}

// An event under a lease says nothing about dedupe; one that was stored without
// a claim says so, and so does the result.
func TestIngestUnasked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if res := h.deliver("a"); res.Unasked || h.stream.events()[0].Unasked {
		t.Error("under a claim, and yet unasked")
	}
	h = newHarness(t)
	h.mishaps.arm(map[string]mishap{opClaim: failed})
	if res := h.deliver("a"); !res.Unasked || !h.stream.events()[0].Unasked {
		t.Error("without a claim, and nothing says so")
	}
}

// stubborn is a store that knows every id with content that nobody sends.
type stubborn struct{}

func (stubborn) Do(context.Context, string, string, ingest.Ahead, func(context.Context, bool) (string, error)) (place, prior string, err error) {
	return "1/1", strings.Repeat("0", 64), nil
}

// Even the id of a conflict may be taken, by another content whose fingerprint
// begins alike. Nothing is made up then: it is a failure, and not acknowledged.
func TestIngestConflictOfConflict(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pipeline = ingest.New(ingest.Options{Once: stubborn{}, Publisher: h.stream}, h.app)
	h.want(h.deliver("a"), internal, "")
	if n := h.stream.called(); n != 0 {
		t.Errorf("%d calls of the stream", n)
	}
}
