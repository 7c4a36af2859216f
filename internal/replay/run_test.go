package replay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// replaying is a Replayer over fakes with a job planned.
type replaying struct {
	*replay.Replayer
	archive *archiveOf
	jobs    *jobsFake
	target  *targetFake
	job     replay.Job
}

var me = replay.Runner{Name: "li", Host: "ops-1", PID: 1, Run: "run-1"}

func newReplaying(t testing.TB, last uint64, window int) *replaying {
	t.Helper()
	r := &replaying{archive: newArchive(last), jobs: newJobs()}
	r.target = newTarget(t, r.jobs)
	r.Replayer = &replay.Replayer{Archive: r.archive, Jobs: r.jobs, Open: r.target.open}
	plan, err := replay.BuildPlan(t.Context(), r.archive, replay.Selection{}, replay.Target{Kind: replay.ToAll})
	if err != nil {
		t.Fatal(err)
	}
	r.job = replay.NewJob("job-1", plan, plan.Audit(nil))
	r.job.Window, r.job.Runner, r.job.Reason = window, me, "because"
	return r
}

// resume claims the job for another process, and works on it.
func (r *replaying) resume(t testing.TB) (replay.Job, error) {
	t.Helper()
	r.jobs.dead = false
	j, revision, err := replay.Claim(t.Context(), r.jobs, "job-1", replay.Runner{Name: "li", Host: "ops-2", Run: fmt.Sprint("run-", time.Now().UnixNano())}, func(replay.Runner, time.Duration) {})
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(t.Context(), j, revision)
}

// wantAll checks that every message was delivered, at least once, and gives how
// often one was delivered again.
func (r *replaying) wantAll(t testing.TB, last uint64) (again int) {
	t.Helper()
	for sequence := uint64(1); sequence <= last; sequence++ {
		n := r.target.deliver[sequence]
		if n < 1 || n > 2 {
			t.Errorf("%d was delivered %d times", sequence, n)
		}
		again += n - 1
	}
	if len(r.target.deliver) != int(last) {
		t.Errorf("%d messages were delivered, want %d", len(r.target.deliver), last)
	}
	return again
}

func TestRun(t *testing.T) {
	t.Parallel()
	r := newReplaying(t, 1000, 64)
	// What is stored meanwhile, as by the replay itself, belongs to no earlier plan.
	r.archive.at[500] = func() { r.archive.add(700) }
	var seen []replay.Progress
	r.Observe = func(p replay.Progress) { seen = append(seen, p) }
	j, err := r.Run(t.Context(), r.job, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again := r.wantAll(t, 1000); again != 0 {
		t.Errorf("%d were delivered twice", again)
	}
	want := replay.Progress{Cursor: 1000, Sent: 1000, Stored: replay.Span{First: 1, Last: 1000}}
	if diff := cmp.Diff(want, j.Progress); diff != "" || j.State != replay.Done {
		t.Errorf("%s (-want +got):\n%s", j.State, diff)
	}
	kept := r.jobs.job(t, "job-1")
	j.Updated, kept.Updated = time.Time{}, time.Time{}
	if diff := cmp.Diff(j, kept); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	if r.target.furthest < 16 || len(seen) < 5 || seen[len(seen)-1].Sent != 1000 {
		t.Errorf("it was %d ahead, and said so %d times", r.target.furthest, len(seen))
	}
	if diff := cmp.Diff(audit.Outcome{Done: 1000, First: 1, Last: 1000}, j.Outcome(replay.Job{})); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// TestRunTwiceDeliversTwice: a message id is of one job, so that no target takes
// a replay for what it already has.
func TestRunTwiceDeliversTwice(t *testing.T) {
	t.Parallel()
	header := voucherAt(7).Header
	first, second := replay.Target{Kind: replay.ToConsumer, Name: "orders"}, events.NewReplayMark("job-2", "why: not\n")
	second.Put(header, 7)
	want := map[string][]string{
		events.HeaderID: {"n-7"}, events.HeaderProof: {"p"}, events.HeaderMessageID: {"replay:job-2:7"},
		events.HeaderReplayJob: {"job-2"}, events.HeaderReplayOf: {"7"}, events.HeaderReplayReason: {"why:%20not%0A"},
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if s := first.Subject(voucherAt(7).Subject); s != "alipay.replays.orders.2021000000000001.voucher.stopped.k7" {
		t.Errorf("subject %s", s)
	}
}

// TestRunKilled: kill -9 at several points, each time resumed by another
// process. Nothing is lost, and no run repeats more than the window; where the
// target still knows the message ids, nothing is repeated at all.
func TestRunKilled(t *testing.T) {
	t.Parallel()
	for _, knows := range []bool{true, false} {
		for _, window := range []int{1, 7, 64} {
			t.Run(fmt.Sprintf("knows %v, window %d", knows, window), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newReplaying(t, 500, window)
					r.target.knows, r.target.killAt = knows, 100
					_, err := r.Run(t.Context(), r.job, 0)
					// More than two windows each time: with fewer, the windows that two
					// kills repeat may overlap, and what is in both is delivered thrice.
					for _, at := range []int{150, 150, 0} {
						if !errors.Is(err, errDead) {
							t.Fatalf("got %v", err)
						}
						r.target.killAt = at
						_, err = r.resume(t)
					}
					if err != nil {
						t.Fatal(err)
					}
					again := r.wantAll(t, 500)
					j := r.jobs.job(t, "job-1")
					if knows && (again != 0 || j.Repeated == 0) || again > 3*window || j.Repeated > 3*window {
						t.Errorf("%d were delivered twice, %d were known; the window is %d", again, j.Repeated, window)
					}
					if j.Sent != 500 || j.State != replay.Done || j.Runs != 3 || j.Digest != r.job.Digest {
						t.Errorf("%+v", j)
					}
				})
			})
		}
	}
}

// TestRunInterrupted: Ctrl-C leaves a checkpoint of everything that was settled,
// and the rest is sent by whoever resumes.
func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 500, 50)
		ctx, cancel := context.WithCancel(t.Context())
		r.target.onSend = func(n int) {
			if n == 123 {
				cancel()
			}
		}
		j, err := r.Run(ctx, r.job, 0)
		if !errors.Is(err, context.Canceled) || j.State != replay.Stopped || j.Sent != 123 || j.Problem != "interrupted" || j.Left() != 377 {
			t.Errorf("%v, %+v", err, j)
		}
		if o := j.Outcome(replay.Job{}); o.Done != 123 || o.Problem != "interrupted" {
			t.Errorf("outcome %+v", o)
		}
		before := r.jobs.job(t, "job-1")
		began := time.Now()
		j, err = r.resume(t)
		if err != nil || time.Since(began) > time.Second { // nobody has to be waited for
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if again := r.wantAll(t, 500); again != 0 || j.Repeated != 0 {
			t.Errorf("%d again, %d repeated", again, j.Repeated)
		}
		if o := j.Outcome(before); o.Done != 377 || o.Skipped != 123 {
			t.Errorf("outcome of the second run: %+v", o)
		}
	})
}

// TestRunTargetFails: a full stream stops the job, which goes on when there is room.
func TestRunTargetFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 300, 50)
		r.target.stopAt = 99
		j, err := r.Run(t.Context(), r.job, 0)
		if !errors.Is(err, errFull) || j.State != replay.Stopped || j.Sent >= 99 || j.Problem != "error" {
			t.Errorf("%v, %+v", err, j)
		}
		r.target.stopAt = 0
		if _, err := r.resume(t); err != nil {
			t.Error(err)
		}
		r.wantAll(t, 300)
	})
}

// TestRunNotAll: what has left the archive, and what the target will never take,
// is counted, named, and no reason to stop.
func TestRunNotAll(t *testing.T) {
	t.Parallel()
	r := newReplaying(t, 300, 50)
	r.target.fail[150] = errors.New("too large")
	r.archive.at[1] = func() { r.archive.expire(41) }
	j, err := r.Run(t.Context(), r.job, 0)
	want := replay.Progress{
		Cursor: 300, Sent: 259, Failed: 1, Failures: []replay.Failure{{150, "too large"}}, Missing: 40,
		Gone: replay.Span{First: 1, Last: 40}, Stored: replay.Span{First: 1, Last: 259},
	}
	if diff := cmp.Diff(want, j.Progress); diff != "" || j.State != replay.Done || j.Left() != 0 {
		t.Errorf("%s (-want +got):\n%s", j.State, diff)
	}
	const text = "not everything could be sent: 40 had left the archive, among the sequences 1 to 40; 1 will never be taken, the first at sequence 150: too large"
	if !errors.Is(err, replay.ErrNotAll) || err.Error() != text {
		t.Errorf("got %v", err)
	}
	if o := j.Outcome(replay.Job{}); o.Done+o.Failed+o.Skipped != 300 || o.Problem == "" {
		t.Errorf("outcome %+v", o)
	}
	// Whoever resumes what is over hears the same.
	if _, err := r.resume(t); err == nil || err.Error() != text {
		t.Errorf("resumed: %v", err)
	}
}

// TestRunArchiveMadeAnew: the sequences of a plan mean nothing in another archive.
func TestRunArchiveMadeAnew(t *testing.T) {
	t.Parallel()
	r := newReplaying(t, 10, 5)
	r.archive.life = life.Add(time.Hour)
	if _, err := r.Run(t.Context(), r.job, 0); err == nil || !strings.Contains(err.Error(), "made anew") || len(r.target.deliver) != 0 {
		t.Errorf("got %v, %d delivered", err, len(r.target.deliver))
	}
}

// TestRunLosesItsRecord: whoever claims a job stops the one that had it, and
// whoever cancels it stops it for good.
func TestRunLosesItsRecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steal func(t *testing.T, r *replaying)
		want  error
		state replay.State
	}{
		"claimed": {func(t *testing.T, r *replaying) {
			j := r.jobs.job(t, "job-1")
			j.Runner = replay.Runner{Name: "wang", Host: "ops-2", PID: 7, Run: "another"}
			r.jobs.put(t, j)
		}, replay.ErrTaken, replay.Running},
		"cancelled": {func(t *testing.T, r *replaying) {
			if _, err := replay.Cancel(t.Context(), r.jobs, "job-1"); err != nil {
				t.Error(err)
			}
		}, replay.ErrCancelled, replay.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplaying(t, 1000, 20)
			r.target.onSend = func(n int) {
				if n == 200 {
					c.steal(t, r)
				}
			}
			j, err := r.Run(t.Context(), r.job, 0)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			kept := r.jobs.job(t, "job-1")
			if kept.State != c.state || r.target.sent > 240 {
				t.Errorf("%s; %d were sent after all", kept.State, r.target.sent)
			}
			if c.state == replay.Cancelled && (j.State != replay.Cancelled || kept.Sent != j.Sent || kept.Sent < 200) {
				t.Errorf("the record of a cancelled job says %d, it was %d: %s", kept.Sent, j.Sent, j.State)
			}
			if c.state == replay.Running && (kept.Runner.Run != "another" || !strings.HasSuffix(err.Error(), ": wang@ops-2, process 7")) {
				t.Errorf("%v, %+v", err, kept.Runner)
			}
		})
	}
}

// TestRunLostAnswers: an answer of the store that is lost is no other process,
// and a store that is away is waited for.
func TestRunLostAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 400, 20)
		r.jobs.lose = func(n int) bool { return n > 1 && n%3 == 0 }
		r.jobs.fail = func(n int) error {
			if n%5 == 0 {
				return errors.New("away")
			}
			return nil
		}
		if _, err := r.Run(t.Context(), r.job, 0); err != nil {
			t.Logf("the last record may be lost: %v", err)
			r.jobs.lose, r.jobs.fail = nil, nil
			if _, err := r.resume(t); err != nil {
				t.Fatal(err)
			}
		}
		if again := r.wantAll(t, 400); again != 0 {
			t.Errorf("%d again", again)
		}
	})
}

// TestRunSilentStore: who cannot write the record sends no more than the window.
func TestRunSilentStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 400, 20)
		r.jobs.fail = func(n int) error {
			if n > 1 {
				return errors.New("away")
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		j, err := r.Run(ctx, r.job, 0)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "resuming it sends 20 events once more: away") || j.Sent != 20 {
			t.Errorf("%d sent, %v", j.Sent, err)
		}
	})
}

// TestRunWithoutRecord is a replay to standard output.
func TestRunWithoutRecord(t *testing.T) {
	t.Parallel()
	r := newReplaying(t, 400, 20)
	r.Jobs, r.target.jobs = nil, nil
	if j, err := r.Run(t.Context(), r.job, 0); err != nil || j.Sent != 400 {
		t.Errorf("%d sent, %v", j.Sent, err)
	}
	r.wantAll(t, 400)
}

// TestRunRate: a rate is kept, and a slow job still gives signs of life.
func TestRunRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 101, 50)
		r.job.Rate, r.target.jobs = 10, nil
		began := time.Now()
		var longest time.Duration
		last := began
		r.jobs.before = func(int) {
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
		if _, err := r.Run(t.Context(), r.job, 0); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("101 at 10 a second took %v", d)
		}
		if longest > replay.Lease/2 {
			t.Errorf("no sign of life for %v", longest)
		}
	})
}

// TestRunHeldUp: a job that was held up does not make up for it at once.
func TestRunHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplaying(t, 200, 500)
		r.job.Rate, r.target.jobs = 10, nil
		began := time.Now()
		r.archive.at[101] = func() { time.Sleep(time.Minute) } //nolint:forbidigo // the bubble's clock
		if _, err := r.Run(t.Context(), r.job, 0); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 79*time.Second {
			t.Errorf("200 at 10 a second, and a minute of nothing, took %v", d)
		}
	})
}
