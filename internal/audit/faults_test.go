package audit_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"alipay-notify/internal/audit"
)

func TestRunRecorderFaults(t *testing.T) {
	t.Parallel()
	always := func(phase audit.Phase, f fault) func(context.Context, int, audit.Phase) fault {
		return func(_ context.Context, _ int, p audit.Phase) fault {
			if p == phase {
				return f
			}
			return fault{keep: true}
		}
	}
	once := func(call int, f fault) func(context.Context, int, audit.Phase) fault {
		return func(_ context.Context, n int, _ audit.Phase) fault {
			if n == call {
				return f
			}
			return fault{keep: true}
		}
	}
	all, half := audit.Outcome{Done: 4}, audit.Outcome{Done: 2, Failed: 2}
	tests := map[string]struct {
		on       func(context.Context, int, audit.Phase) fault
		outcome  audit.Outcome
		status   audit.Status
		kind     audit.Kind
		acts     int
		trail    string
		complete bool
	}{
		"before lost once":              {once(0, lost), all, audit.StatusDone, "", 1, "before after", true},
		"before stored, ack lost once":  {once(0, noAck), all, audit.StatusDone, "", 1, "before after", true},
		"after lost once":               {once(1, lost), all, audit.StatusDone, "", 1, "before after", true},
		"after stored, ack lost once":   {once(1, noAck), all, audit.StatusDone, "", 1, "before after", true},
		"before lost":                   {always("before", lost), all, audit.StatusFailed, audit.Failed, 0, "", false},
		"before stored, acks lost":      {always("before", noAck), all, audit.StatusFailed, audit.Failed, 0, "before", false},
		"after lost":                    {always("after", lost), all, audit.StatusDone, audit.Partial, 1, "before", false},
		"after stored, acks lost":       {always("after", noAck), all, audit.StatusDone, audit.Partial, 1, "before after", false},
		"after of a partial run lost":   {always("after", lost), half, audit.StatusPartial, audit.Partial, 1, "before", false},
		"after of a failed run lost":    {always("after", lost), audit.Outcome{Failed: 4}, audit.StatusFailed, audit.Failed, 1, "before", false},
		"neither is stored, act is not": {func(context.Context, int, audit.Phase) fault { return lost }, all, audit.StatusFailed, audit.Failed, 0, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, calls := newTrail(t), 0
			records.on = tt.on
			report, err := audit.New(records, options()).Run(t.Context(), plan(4), yes(), does(&calls, tt.outcome, nil))
			if report.Status != tt.status || kindOf(err) != tt.kind || report.TrailComplete != tt.complete {
				t.Errorf("report %+v, error %v; want %q, %q", report, err, tt.status, tt.kind)
			}
			if calls != tt.acts || records.phases() != tt.trail {
				t.Errorf("act called %d times, trail %q; want %d, %q", calls, records.phases(), tt.acts, tt.trail)
			}
			if tt.acts == 1 && report.Outcome != tt.outcome {
				t.Errorf("the report forgets what was done: %+v", report.Outcome)
			}
			if open := tt.acts == 1 && !tt.complete; errors.Is(err, audit.ErrTrailIncomplete) != open {
				t.Errorf("error %v; want an incomplete trail: %v", err, open)
			}
			if !tt.complete && !errors.Is(err, errStore) {
				t.Errorf("the recorder's error is not in %v", err)
			}
		})
	}
}

func TestRunRecorderHangs(t *testing.T) {
	t.Parallel()
	for _, phase := range []audit.Phase{audit.PhaseBefore, audit.PhaseAfter} {
		synctest.Test(t, func(t *testing.T) {
			records, calls := newTrail(t), 0
			records.on = func(ctx context.Context, _ int, p audit.Phase) fault {
				if p != phase {
					return fault{keep: true}
				}
				<-ctx.Done()
				return fault{err: ctx.Err()}
			}
			opts := options()
			opts.Now = nil
			start := time.Now()
			report, err := audit.New(records, opts).Run(t.Context(), plan(4), yes(), does(&calls, audit.Outcome{Done: 4}, nil))
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("%s: gave up after %v", phase, took)
			}
			if err == nil || !strings.Contains(err.Error(), "not stored within 5s") || report.TrailComplete {
				t.Errorf("%s: %v", phase, err)
			}
			if acted := phase == audit.PhaseAfter; (calls == 1) != acted || errors.Is(err, audit.ErrTrailIncomplete) != acted {
				t.Errorf("%s: act called %d times, error %v", phase, calls, err)
			}
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	stop := errors.New("signal: interrupt")
	tests := map[string]struct {
		outcome audit.Outcome
		silent  bool // act does not say that it was interrupted
		status  audit.Status
		kind    audit.Kind
		text    string
	}{
		"with some done":         {audit.Outcome{Done: 3}, false, audit.StatusPartial, audit.Partial, "interrupted"},
		"with none done":         {audit.Outcome{}, false, audit.StatusInterrupted, audit.Failed, "interrupted"},
		"with none done, silent": {audit.Outcome{}, true, audit.StatusInterrupted, audit.Failed, "interrupted"},
		"with some done, silent": {audit.Outcome{Done: 3}, true, audit.StatusPartial, audit.Partial, "interrupted"},
		"after the last item":    {audit.Outcome{Done: 8}, true, audit.StatusDone, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			records := newTrail(t)
			report, err := audit.New(records, options()).Run(ctx, plan(8), yes(), func(ctx context.Context, _ string) (audit.Outcome, error) {
				cancel(stop)
				<-ctx.Done()
				if tt.silent {
					return tt.outcome, nil
				}
				return tt.outcome, context.Cause(ctx)
			})
			if report.Status != tt.status || kindOf(err) != tt.kind || !report.Interrupted {
				t.Errorf("report %+v, error %v; want %q, %q", report, err, tt.status, tt.kind)
			}
			if records.phases() != "before after" || !report.TrailComplete {
				t.Fatalf("trail %q", records.phases())
			}
			got := records.stored()[1].record.Result
			if got.Status != tt.status || got.Error != tt.text || !got.Interrupted {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestRunInterruptedBeforeAct(t *testing.T) {
	t.Parallel()
	t.Run("before anything", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		records, calls := newTrail(t), 0
		report, err := audit.New(records, options()).Run(ctx, plan(8), yes(), does(&calls, audit.Outcome{Done: 8}, nil))
		if report.Status != audit.StatusInterrupted || kindOf(err) != audit.Failed || calls != 0 || records.calls != 0 {
			t.Errorf("report %+v, error %v, %d acts, %d records", report, err, calls, records.calls)
		}
	})
	t.Run("while the first record is stored", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		records, calls := newTrail(t), 0
		records.on = func(_ context.Context, _ int, _ audit.Phase) fault {
			cancel()
			return fault{keep: true}
		}
		report, err := audit.New(records, options()).Run(ctx, plan(8), yes(), does(&calls, audit.Outcome{Done: 8}, nil))
		if report.Status != audit.StatusInterrupted || kindOf(err) != audit.Failed || calls != 0 || records.phases() != "before after" {
			t.Errorf("report %+v, error %v, %d acts, trail %q", report, err, calls, records.phases())
		}
	})
	t.Run("while the first record is lost", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		records, calls := newTrail(t), 0
		records.on = func(_ context.Context, _ int, _ audit.Phase) fault {
			cancel()
			return lost
		}
		_, err := audit.New(records, options()).Run(ctx, plan(8), yes(), does(&calls, audit.Outcome{Done: 8}, nil))
		if kindOf(err) != audit.Failed || calls != 0 || records.calls != 1 {
			t.Errorf("error %v, %d acts, %d tries", err, calls, records.calls)
		}
	})
}

func TestRunPanic(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		records := newTrail(t)
		records.on = func(_ context.Context, _ int, p audit.Phase) fault {
			return fault{keep: stored || p == audit.PhaseBefore}
		}
		func() {
			defer func() {
				if v := recover(); v != "card of 张三" {
					t.Errorf("recovered %v", v)
				}
			}()
			_, err := audit.New(records, options()).Run(ctx, plan(8), yes(), func(context.Context, string) (audit.Outcome, error) {
				cancel()
				panic("card of 张三")
			})
			t.Errorf("returned %v", err)
		}()
		if !stored {
			if records.phases() != "before" {
				t.Errorf("trail %q", records.phases())
			}
			continue
		}
		if records.phases() != "before after" {
			t.Fatalf("trail %q", records.phases())
		}
		got := records.stored()[1].record.Result
		if got.Status != audit.StatusFailed || got.Outcome != nil || !strings.Contains(got.Error, "panic") || strings.Contains(got.Error, "张三") {
			t.Errorf("recorded %+v", got)
		}
	}
}

// runtime.Goexit, as a test's FailNow calls it, leaves an act without a result,
// too, and with nothing to recover.
func TestRunGoexit(t *testing.T) {
	t.Parallel()
	records := newTrail(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := audit.New(records, options()).Run(t.Context(), plan(8), yes(), func(context.Context, string) (audit.Outcome, error) {
			runtime.Goexit()
			return audit.Outcome{Done: 8}, nil
		})
		t.Errorf("returned %v", err)
	})
	wg.Wait()
	got := records.stored()
	if len(got) != 2 || got[1].record.Result.Status != audit.StatusFailed || got[1].record.Result.Outcome != nil {
		t.Errorf("trail %q", records.phases())
	}
}

func TestGuardConcurrently(t *testing.T) {
	t.Parallel()
	const runs = 32
	records := newTrail(t)
	guard, p := audit.New(records, audit.Options{}), plan(1)
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() {
			consent := yes()
			consent.Execute = i%4 != 0
			if _, err := guard.Run(t.Context(), p, consent, func(context.Context, string) (audit.Outcome, error) {
				return audit.Outcome{Done: 1}, nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	phases := map[string]string{}
	for _, e := range records.stored() {
		phases[e.record.Job] += string(e.record.Phase) + " "
	}
	if len(phases) != runs*3/4 {
		t.Errorf("%d jobs, want %d", len(phases), runs*3/4)
	}
	for job, got := range phases {
		if got != "before after " {
			t.Errorf("job %s: %q", job, got)
		}
	}
}
