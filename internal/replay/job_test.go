package replay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

func silent(replay.Runner, time.Duration) {}

// TestClaim: a job belongs to a process for as long as that gives signs of life.
func TestClaim(t *testing.T) {
	t.Parallel()
	other := replay.Runner{Name: "wang", Host: "ops-2", PID: 7, Run: "run-2"}
	kept := func(t *testing.T, state replay.State) *jobsFake {
		t.Helper()
		jobs := newJobs()
		jobs.put(t, replay.Job{ID: "j", State: state, Runner: me, Runs: 1, Problem: "x"})
		return jobs
	}
	for state, want := range map[replay.State]struct {
		wait  time.Duration
		state replay.State
		err   error
	}{
		replay.Stopped:   {0, replay.Running, nil},
		replay.Done:      {0, replay.Done, nil},
		replay.Cancelled: {0, "", replay.ErrCancelled},
		replay.Running:   {replay.Lease, replay.Running, nil}, // it was killed
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				jobs, began := kept(t, state), time.Now()
				var told []string
				j, revision, err := replay.Claim(t.Context(), jobs, "j", other, func(r replay.Runner, d time.Duration) { told = append(told, fmt.Sprint(r, " ", d)) })
				if !errors.Is(err, want.err) || time.Since(began) != want.wait {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if err == nil && (j.State != want.state || j.Runs != 2 || j.Runner != other || revision != 2) {
					t.Errorf("revision %d, %+v", revision, j)
				}
				if got := strings.Join(told, ""); (got == "li@ops-1, process 1 6s") != (want.wait > 0) {
					t.Errorf("told %q", got)
				}
			})
		})
	}
	if _, _, err := replay.Claim(t.Context(), newJobs(), "j", me, silent); !errors.Is(err, replay.ErrNoJob) {
		t.Errorf("no job: %v", err)
	}
}

// TestClaimWhatIsAlive: a process that gives a sign of life keeps its job.
func TestClaimWhatIsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jobs := newJobs()
		j := replay.Job{ID: "j", State: replay.Running, Runner: me}
		jobs.put(t, j)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(replay.Lease / 3):
					jobs.put(t, j)
				}
			}
		}()
		_, _, err := replay.Claim(t.Context(), jobs, "j", replay.Runner{Run: "run-2"}, silent)
		if !errors.Is(err, replay.ErrTaken) || !strings.HasSuffix(err.Error(), ": li@ops-1, process 1") {
			t.Errorf("got %v", err)
		}
		cancel()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := replay.Claim(impatient, jobs, "j", me, silent); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestClaimAtOnce: of several that claim a dead process's job, one gets it.
func TestClaimAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jobs := newJobs()
		jobs.put(t, replay.Job{ID: "j", State: replay.Running, Runner: me})
		var mu sync.Mutex
		got, taken := 0, 0
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, _, err := replay.Claim(t.Context(), jobs, "j", replay.Runner{Run: fmt.Sprint("run-", i)}, silent)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got++
				} else if errors.Is(err, replay.ErrTaken) {
					taken++
				}
			})
		}
		wg.Wait()
		if got != 1 || taken != 7 {
			t.Errorf("%d have the job, %d were refused", got, taken)
		}
	})
}

// TestCancel: also a record that is being written all the time.
func TestCancel(t *testing.T) {
	t.Parallel()
	jobs := newJobs()
	j := replay.Job{ID: "j", State: replay.Running, Runner: me}
	jobs.put(t, j)
	jobs.before = func(n int) {
		if n < 5 {
			j.Sent = n
			jobs.put(t, j)
		}
	}
	if got, err := replay.Cancel(t.Context(), jobs, "j"); err != nil || got.Sent != 4 || jobs.job(t, "j").State != replay.Cancelled {
		t.Errorf("%+v, %v", got, err)
	}
	for id, want := range map[string]error{"j": replay.ErrOver, "nowhere": replay.ErrNoJob} {
		if _, err := replay.Cancel(t.Context(), jobs, id); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestJobPlan: every run takes the very plan to the guard that was consented to.
func TestJobPlan(t *testing.T) {
	t.Parallel()
	plan, err := replay.BuildPlan(t.Context(), newArchive(30), replay.Selection{}, replay.Target{Kind: replay.ToConsumer, Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	what := plan.Audit(map[string]string{"since": "2h"})
	j := replay.NewJob("j", plan, what)
	jobs := newJobs()
	jobs.put(t, j)
	kept := jobs.job(t, "j")
	if got, err := kept.Plan(); err != nil || got.Digest() != what.Digest() || cmp.Diff(what, got) != "" {
		t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(what, got))
	}
	if diff := cmp.Diff(plan.Selection, kept.Selection); diff != "" {
		t.Errorf("selection (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*replay.Job){
		"items":     func(j *replay.Job) { j.Items++ },
		"target":    func(j *replay.Job) { j.Target = "all" },
		"selection": func(j *replay.Job) { j.Selection.LastSeq++ },
		"limit":     func(j *replay.Job) { j.Selection.Limit++ },
	} {
		changed := kept
		change(&changed)
		if _, err := changed.Plan(); err == nil || !strings.Contains(err.Error(), "was changed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := replay.ParseJob([]byte("{")); err == nil {
		t.Error("half a record is one")
	}
}

func TestBuildPlan(t *testing.T) {
	t.Parallel()
	archive := newArchive(100)
	replayed := map[uint64]bool{10: true, 90: true}
	archive.message = func(sequence uint64) events.Stored {
		m := voucherAt(sequence)
		if replayed[sequence] {
			m.Header[events.HeaderReplayJob] = []string{"job-0"}
		}
		if sequence == 60 {
			m.AppID = "2021000000000002"
		}
		return m
	}
	all := replay.Target{Kind: replay.ToAll}
	for name, c := range map[string]struct {
		selection   replay.Selection
		items       int
		first, last uint64
		app         string
		types       string
	}{
		"all but replays":  {replay.Selection{}, 98, 1, 100, "", "order.refunded 33, voucher.stopped 33, voucher.created 32"},
		"with replays":     {replay.Selection{IncludeReplays: true}, 100, 1, 100, "", ""},
		"one type":         {replay.Selection{Type: "voucher.created", LastSeq: 50}, 16, 3, 48, "2021000000000001", "voucher.created 16"},
		"the first five":   {replay.Selection{FirstSeq: 9, Limit: 5}, 5, 9, 14, "2021000000000001", ""},
		"until a time":     {replay.Selection{Until: life.Add(6 * time.Second)}, 5, 1, 5, "2021000000000001", ""},
		"nothing":          {replay.Selection{ID: "nowhere"}, 0, 0, 0, "", ""},
		"one, by its id":   {replay.Selection{ID: "n-77"}, 1, 77, 77, "2021000000000001", "order.refunded 1"},
		"an unknown range": {replay.Selection{FirstSeq: 500}, 0, 0, 0, "", ""},
	} {
		p, err := replay.BuildPlan(t.Context(), archive, c.selection, all)
		if err != nil {
			t.Fatal(err)
		}
		var types []string
		for _, name := range p.Names() {
			types = append(types, fmt.Sprint(name, " ", p.Types[name].Items))
		}
		if p.Items != c.items || p.First != c.first || p.Last != c.last || p.App != c.app || c.types != "" && strings.Join(types, ", ") != c.types {
			t.Errorf("%s: %d items, %d to %d, app %q: %v", name, p.Items, p.First, p.Last, p.App, types)
		}
		// What is frozen selects the same, whatever comes later, and without a limit.
		s := p.Selection
		if p.Items > 0 && (s.FirstSeq != p.First || s.LastSeq != p.Last || s.Limit != 0) {
			t.Errorf("%s: %+v", name, s)
		}
		n := 0
		for sequence := uint64(1); sequence <= 200 && p.Items > 0; sequence++ {
			if s.Match(archive.message(sequence)) {
				n++
			}
		}
		if n != p.Items {
			t.Errorf("%s: the frozen selection has %d items, the plan %d", name, n, p.Items)
		}
		if p.Audit(nil).Bytes != p.Bytes || p.Items > 0 && p.Bytes < int64(p.Items)*100 {
			t.Errorf("%s: %d bytes", name, p.Bytes)
		}
	}
}

// TestPlanStaysSmall: however many types there are, a plan does not grow.
func TestPlanStaysSmall(t *testing.T) {
	t.Parallel()
	archive := newArchive(1000)
	archive.message = func(sequence uint64) events.Stored {
		m := voucherAt(sequence)
		m.Kind = fmt.Sprintf("other.method_%d", sequence)
		return m
	}
	p, err := replay.BuildPlan(t.Context(), archive, replay.Selection{}, replay.Target{Kind: replay.ToAll})
	if err != nil || len(p.Types) != 201 || p.Types["(more)"].Items != 800 || p.Items != 1000 {
		t.Errorf("%d types, %d more, %v", len(p.Types), p.Types["(more)"].Items, err)
	}
}

// TestPlanRoom: a replay leaves a fifth of its target free.
func TestPlanRoom(t *testing.T) {
	t.Parallel()
	p := replay.Plan{Share: replay.Share{Items: 10, Bytes: 100}}
	for _, c := range []struct {
		used  uint64
		limit int64
		fits  bool
	}{{0, 150, true}, {0, 149, false}, {1000, 0, true}, {30, 200, true}, {80, 200, false}, {41, 200, false}, {40, 200, true}} {
		err := p.CheckRoom("S", c.used, c.limit, 2)
		if (err == nil) != c.fits || err != nil && !errors.Is(err, replay.ErrTooFull) {
			t.Errorf("%d of %d: %v", c.used, c.limit, err)
		}
	}
	if err := (&replay.Plan{}).CheckRoom("S", 95, 100, 2); err != nil {
		t.Errorf("nothing does not fit: %v", err)
	}
	p.Reading = time.Second
	if d := p.Estimate(0); d != 3*time.Second {
		t.Errorf("without a rate: %v", d)
	}
	if d := p.Estimate(2); d != 5*time.Second {
		t.Errorf("at 2 a second: %v", d)
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]replay.Target{
		"all": {Kind: replay.ToAll}, "stdout": {Kind: replay.ToStdout},
		"consumer:orders": {Kind: replay.ToConsumer, Name: "orders"}, "file:a:b.ndjson": {Kind: replay.ToFile, Name: "a:b.ndjson"},
	} {
		got, err := replay.ParseTarget(text)
		if err != nil || got != want || got.String() != text || got.OnStream() != (text == "all" || strings.HasPrefix(text, "consumer")) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "everyone", "all:", "all:x", "stdout:x", "consumer", "consumer:", "consumer:a.b", "consumer:*", "consumer:a b", "file", "file:", "file:\x00"} {
		_, err := replay.ParseTarget(text)
		if wrong, ok := errors.AsType[*replay.FieldError](err); !ok || wrong.Field != "to" || wrong.Value != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestOutcomeAccountsForThePlan: whatever a run did, its record adds up.
func TestOutcomeAccountsForThePlan(t *testing.T) {
	t.Parallel()
	before := replay.Job{Items: 100, Progress: replay.Progress{Sent: 40, Repeated: 3, Failed: 2}}
	after := before
	after.Sent, after.Repeated, after.Failed, after.Missing = 90, 8, 4, 6
	want := audit.Outcome{Done: 45, Failed: 2, Skipped: 53, Problem: "6 had left the archive, among the sequences 0 to 0"}
	if diff := cmp.Diff(want, after.Outcome(before)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
