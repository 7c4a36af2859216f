package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/verify"
)

// keptFake is a stream of refused requests. It watches that nothing is removed
// whose event is not stored.
type keptFake struct {
	*testing.T
	messages map[uint64]events.Stored
	archive  *archiveFake
	get      error
	remove   error
}

func (f *keptFake) Get(ctx context.Context, sequence uint64) (events.Stored, bool, error) {
	if f.get != nil || ctx.Err() != nil {
		return events.Stored{}, false, errors.Join(f.get, ctx.Err())
	}
	m, there := f.messages[sequence]
	return m, !there, nil
}

func (f *keptFake) Remove(ctx context.Context, sequence uint64) error {
	if ctx.Err() != nil {
		f.Error("an interruption keeps what is stored from being removed")
	}
	if f.remove != nil {
		return f.remove
	}
	form, err := verify.ParseForm(string(f.messages[sequence].Data))
	if err != nil || f.archive.stored[form.Get("notify_id")] == 0 {
		f.Errorf("%d is removed, and its event is not stored", sequence)
	}
	delete(f.messages, sequence)
	return nil
}

// archiveFake stores events, each id once.
type archiveFake struct {
	stored map[string]uint64
	err    error
	lost   bool // it stores, and then fails
	after  func()
}

func (f *archiveFake) Publish(_ context.Context, e events.Event) (events.Receipt, error) {
	if f.after != nil {
		defer f.after()
	}
	if f.err != nil && !f.lost {
		return events.Receipt{}, f.err
	}
	at, before := f.stored[e.ID]
	if !before {
		at = uint64(len(f.stored)) + 1
		f.stored[e.ID] = at
	}
	return events.Receipt{Sequence: at, Duplicate: before, Place: "p"}, f.err
}

func (f *archiveFake) Fingerprint(context.Context, uint64) (string, error) { return "", nil }

// fingerprints is an archiveFake that also knows what it has stored.
type fingerprints struct {
	*archiveFake
	of map[uint64]string
}

func (f fingerprints) Publish(ctx context.Context, e events.Event) (events.Receipt, error) {
	r, err := f.archiveFake.Publish(ctx, e)
	if !r.Duplicate {
		f.of[r.Sequence] = e.Fingerprint
	}
	return r, err
}

func (f fingerprints) Fingerprint(_ context.Context, sequence uint64) (string, error) {
	return f.of[sequence], nil
}

// releasing is a Releaser over fakes, with requests 1 to n of which each would pass.
type releasing struct {
	*replay.Releaser
	kept      *keptFake
	archive   *archiveFake
	sequences []uint64
}

func newReleasing(t *testing.T, n int) *releasing {
	t.Helper()
	app := alipaytest.NewApp(t, "")
	key, err := verify.ParsePublicKey(app.PublicPEM)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		t.Fatal(err)
	}
	r := &releasing{archive: &archiveFake{stored: map[string]uint64{}}}
	r.kept = &keptFake{T: t, messages: map[uint64]events.Stored{}, archive: r.archive}
	for i := range n {
		body, err := app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1)}).Body(now)
		if err != nil {
			t.Fatal(err)
		}
		r.add(uint64(i)+1, events.Kept{AppID: app.ID, Outcome: "refused", Reason: "bad_signature", ReceivedAt: now, Body: string(body)})
	}
	r.Releaser = &replay.Releaser{Stream: r.kept, Pipeline: ingest.New(ingest.Options{
		Once: dedupe.Stream{}, Publisher: fingerprints{r.archive, map[uint64]string{}},
	}, ingest.App{ID: app.ID, Verifier: verifier})}
	return r
}

func (r *releasing) add(sequence uint64, k events.Kept) {
	m := events.Stored{Sequence: sequence, Header: map[string][]string{}}
	m.Subject, m.Data = k.Subject(), []byte(k.Body)
	for name, value := range k.Header() {
		m.Header[name] = []string{value}
	}
	r.kept.messages[sequence] = m
	r.sequences = append(r.sequences, sequence)
}

func (r *releasing) execute(ctx context.Context) (audit.Outcome, []replay.Released, error) {
	var rows []replay.Released
	o, err := r.Execute(ctx, r.sequences, func(d replay.Released) error {
		rows = append(rows, d)
		return nil
	})
	return o, rows, err
}

func said(rows []replay.Released) string {
	var list []string
	for _, r := range rows {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Sequence, r.Outcome, r.Reason)))
	}
	return strings.Join(list, ", ")
}

// TestExecuteFaults: whatever fails, a request is only removed once its event is
// stored, and the next release does what is left, each event once.
func TestExecuteFaults(t *testing.T) {
	t.Parallel()
	away := fault.Errorf(fault.Unavailable, "no_stream", "away")
	for name, c := range map[string]struct {
		change  func(*releasing)
		n       int
		rows    string
		outcome audit.Outcome
		err     string
	}{
		"all well": {func(*releasing) {}, 2, "1 accepted, 2 accepted", audit.Outcome{Done: 2, First: 1, Last: 2}, ""},
		"the stream is away": {
			func(r *releasing) { r.archive.err = away }, 9,
			"1 unavailable no_stream, 2 unavailable no_stream, 3 unavailable no_stream, 4 unavailable no_stream, 5 unavailable no_stream",
			audit.Outcome{Failed: 5, Problem: "failed: no_stream 5; given up: a store is away"}, "5 in a row found a store away: away",
		},
		"the answer is lost": {
			func(r *releasing) { r.archive.err, r.archive.lost = fault.Errorf(fault.Uncertain, "no_ack", "?"), true }, 2,
			"1 uncertain no_ack, 2 uncertain no_ack", audit.Outcome{Failed: 2, Problem: "failed: no_ack 2"}, "",
		},
		"refused by the stream for ever": {
			func(r *releasing) { r.archive.err = fault.Errorf(fault.TooLarge, "message_too_large", "?") }, 7,
			"1 too_large message_too_large, 2 too_large message_too_large, 3 too_large message_too_large, 4 too_large message_too_large, " +
				"5 too_large message_too_large, 6 too_large message_too_large, 7 too_large message_too_large",
			audit.Outcome{Failed: 7, Problem: "failed: message_too_large 7"}, "",
		},
		"it cannot be read": {
			func(r *releasing) { r.kept.get = away }, 2, "1 unavailable not_read, 2 unavailable not_read",
			audit.Outcome{Failed: 2, Problem: "failed: not_read 2"}, "",
		},
		"it cannot be removed": {
			func(r *releasing) { r.kept.remove = away }, 2, "1 accepted, 2 accepted",
			audit.Outcome{Done: 2, First: 1, Last: 2, Problem: "stored and not removed: 2"}, "2 are stored as events, and could not be taken out",
		},
		"one is gone": {
			func(r *releasing) { delete(r.kept.messages, 1) }, 2, "1 gone, 2 accepted", audit.Outcome{Done: 1, Skipped: 1, First: 1, Last: 1}, "",
		},
		"one cannot be read any more": {
			func(r *releasing) { r.kept.messages[2].Header[events.HeaderReceivedTime] = []string{"noon"} }, 2,
			"1 accepted, 2 unreadable unreadable", audit.Outcome{Done: 1, Failed: 1, First: 1, Last: 1, Problem: "failed: unreadable 1"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReleasing(t, c.n)
			c.change(r)
			o, rows, err := r.execute(t.Context())
			if diff := cmp.Diff(c.rows, said(rows)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.outcome, o); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			// All is well again: the rest is done, and nothing twice.
			r.kept.get, r.kept.remove, r.archive.err = nil, nil, nil
			if _, _, err := r.execute(t.Context()); err != nil {
				t.Error(err)
			}
			left := len(r.kept.messages)
			if name == "one cannot be read any more" {
				left--
			}
			if want := c.n - o.Skipped; left != 0 || len(r.archive.stored) > want {
				t.Errorf("%d are left, %d events, want %d", left, len(r.archive.stored), want)
			}
		})
	}
}

// TestExecuteInterrupted: it ends between two, with the one at hand finished.
func TestExecuteInterrupted(t *testing.T) {
	t.Parallel()
	r := newReleasing(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	r.archive.after = cancel // in the midst of the first
	o, rows, err := r.execute(ctx)
	if !errors.Is(err, context.Canceled) || said(rows) != "1 accepted" || !rows[0].Removed || o.Done != 1 || o.Failed != 0 {
		t.Errorf("%s, %+v, %v", said(rows), o, err)
	}
	if o, rows, err := r.execute(ctx); !errors.Is(err, context.Canceled) || len(rows) != 0 || o != (audit.Outcome{}) {
		t.Errorf("again: %s, %+v, %v", said(rows), o, err)
	}
}

// TestDecideTouchesNothing, and tells what would come of it.
func TestDecideTouchesNothing(t *testing.T) {
	t.Parallel()
	r := newReleasing(t, 1)
	r.add(2, events.Kept{Reason: "bad_form", ReceivedAt: now, Body: "%"})
	r.add(3, events.Kept{Reason: "bad_form", ReceivedAt: now, Body: "x=1"})
	r.kept.messages[3].Header[events.HeaderReceivedTime] = nil
	var plan replay.ReleasePlan
	var rows []replay.Released
	for _, sequence := range r.sequences {
		x := replay.NewRefused(r.kept.messages[sequence])
		d := r.Decide(x)
		plan.Add(x, d)
		rows = append(rows, d)
	}
	if got := said(rows); got != "1 would_pass, 2 malformed bad_encoding, 3 unreadable unreadable" || rows[0].EventID != "n-1" || rows[1].Detail == "" {
		t.Errorf("%s: %+v", got, rows)
	}
	if len(r.archive.stored) != 0 || len(r.kept.messages) != 3 {
		t.Error("a decision has touched something")
	}
	got := plan.Audit("rejects release", "X", map[string]string{"why": "y"})
	want := audit.Plan{
		Verb: "rejects release", App: alipaytest.DefaultAppID, Items: 1, Bytes: int64(len(r.kept.messages[1].Data)), First: 1, Last: 1, Target: "X",
		Parameters: map[string]string{"why": "y", "selected": "3", "kept-as": "bad_signature 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" || !plan.Oldest.Equal(now) {
		t.Errorf("oldest %v, plan (-want +got):\n%s", plan.Oldest, diff)
	}
	if c := replay.Counts(map[string]int{"b": 2, "a": 2, "c": 9}); c != "c 9, a 2, b 2" || replay.Counts(nil) != "" {
		t.Errorf("counts %q", c)
	}
}

// TestReleasePlanOfSeveralApps names none of them.
func TestReleasePlanOfSeveralApps(t *testing.T) {
	t.Parallel()
	pass := func(app string, sequence uint64) replay.Released {
		return replay.Released{App: app, Sequence: sequence, Outcome: replay.WouldPass}
	}
	for want, apps := range map[string][]string{"1": {"1", "1"}, "": {"1", "2", "1"}, " ": {events.UnknownApp}} {
		var plan replay.ReleasePlan
		for i, app := range apps {
			plan.Add(replay.Refused{}, pass(app, uint64(i)+1))
		}
		if got := plan.Audit("v", "t", nil); got.App != strings.TrimSpace(want) || got.Last != uint64(len(apps)) {
			t.Errorf("%v: %+v", apps, got)
		}
	}
}

func TestParseRefusedSelection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw   replay.RawSelection
		why   string
		field string
	}{
		"type":      {replay.RawSelection{Type: "voucher.created"}, "", "type"},
		"key":       {replay.RawSelection{Key: "1"}, "", "key"},
		"wildcard":  {replay.RawSelection{}, "*", "why"},
		"capitals":  {replay.RawSelection{}, "Stale", "why"},
		"the times": {replay.RawSelection{Since: "x"}, "", "since"},
	} {
		_, err := replay.ParseRefusedSelection(c.raw, c.why, time.Now())
		if wrong, ok := errors.AsType[*replay.FieldError](err); !ok || wrong.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := replay.ParseRefusedSelection(replay.RawSelection{App: "1"}, "stale", time.Now())
	if err != nil || !slices.Equal(s.Filters("alipay.rejects"), []string{"alipay.rejects.1.stale"}) {
		t.Errorf("%v, %v", s.Filters("alipay.rejects"), err)
	}
}
