package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// stopped is a replay that was interrupted after some events.
func (s *site) stopped(t *testing.T, after uint64, args ...string) (jobRow, ran) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan ran)
	line := append([]string{"replay", "--execute", "--reason", "r", "-o", "json", "--config", s.config}, args...)
	go func() { done <- runLine(ctx, nil, line...) }()
	s.await(t, "some were sent", func() bool { return s.messages(t, stream.Replays) >= after })
	cancel()
	got := <-done
	return objectOf[jobRow](t, got.stdout), got
}

func (s *site) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it did not come to pass that %s", what)
		}
	}
}

// TestReplayInterruptedAndResumed: Ctrl-C leaves a job, and says how to go on.
func TestReplayInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 200)
	job, got := s.stopped(t, 20, "--to", "consumer:orders", "--rate", "200/s", "--window", "8")
	resume := "replayer jobs resume " + job.Job + " --execute"
	got.want(t, "interrupted", 4, ": partial: ", "\nTry: "+resume+"\n")
	if job.State != "stopped" || job.Problem != "interrupted" || job.Sent < 20 || job.Sent > 190 || job.Left != 200-job.Sent || job.Resume != resume || job.Rate != 200 || job.Window != 8 {
		t.Errorf("%+v", job)
	}
	sent := int(s.messages(t, stream.Replays))
	if sent != job.Sent {
		t.Errorf("%d were sent, the job says %d", sent, job.Sent)
	}
	listed := s.jobs(t)
	shown := objectOf[jobRow](t, s.run(t, "jobs", "show", job.Job, "-o", "json").want(t, "show", 0).stdout)
	if diff := cmp.Diff([]jobRow{shown}, listed); diff != "" || cmp.Diff(job, shown) != "" {
		t.Errorf("list and show (-show +list):\n%s, (-replay +show):\n%s", diff, cmp.Diff(job, shown))
	}
	if text := s.run(t, "jobs", "show", job.Job).stdout; !strings.Contains(text, "\nstate     stopped\n") || !strings.HasSuffix(text, "\nresume    "+resume+"\n") {
		t.Errorf("show:\n%s", text)
	}
	s.run(t, "jobs", "resume", job.Job).want(t, "dry run", 0, "200 items", fmt.Sprintf("stopped; %d sent, 0 failed, %d left\n", sent, 200-sent), "dry run: nothing was done; --execute does the rest\n")
	if int(s.messages(t, stream.Replays)) != sent || len(s.trail(t)) != 2 {
		t.Fatal("a dry run has done something")
	}
	rest := objectOf[jobRow](t, s.run(t, "jobs", "resume", job.Job, "--execute", "--as", "wang", "-o", "json").
		want(t, "resume", 0, fmt.Sprintf(": done: %d sent, 0 of them were there before, 0 failed, 0 missing, 0 left", 200-sent)).stdout)
	if rest.State != "done" || rest.Sent != 200 || rest.Runs != 2 || rest.Digest != job.Digest || rest.By != job.By {
		t.Errorf("%+v", rest)
	}
	for i, m := range s.on(t, stream.Replays) {
		if of := header(m, events.HeaderReplayOf); of != fmt.Sprint(i+1) || m.ReplayJob() != job.Job {
			t.Fatalf("%d is a replay of %s by %s", i+1, of, m.ReplayJob())
		}
	}
	records := s.trail(t)
	if len(records) != 4 || records[0].Plan.Digest != records[3].Plan.Digest || !records[2].Resumed || records[2].Run == records[0].Run || records[2].Operator.Name != "wang" ||
		records[1].Result.Status != audit.StatusPartial || !records[1].Result.Interrupted || records[1].Result.Outcome.Done != sent ||
		records[3].Result.Status != audit.StatusDone || *records[3].Result.Outcome != (audit.Outcome{Done: 200 - sent, Skipped: sent, First: 1, Last: 200}) {
		t.Errorf("trail: %+v", records)
	}
	// Whoever resumes what is done sends nothing, and hears that it is done.
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "again", 0, ": done: 0 sent, ", " 0 left")
	s.run(t, "jobs", "cancel", job.Job, "--execute", "--reason", "r").want(t, "cancel", 3, "is done already")
	if n := s.messages(t, stream.Replays); n != 200 {
		t.Errorf("%d were sent in all", n)
	}
}

// TestJobsCancel: from another process, while the job runs.
func TestJobsCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 500)
	done := make(chan ran)
	go func() {
		done <- runLine(t.Context(), nil, "replay", "--to", "consumer:orders", "--rate", "20/s", "--execute", "--reason", "r", "-o", "json", "--config", s.config)
	}()
	s.await(t, "some were sent", func() bool { return s.messages(t, stream.Replays) >= 5 })
	job := s.jobs(t)[0]
	if job.State != "running" || job.Resume != "" {
		t.Errorf("%+v", job)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "resume what runs", 3, "another process works on the job: ", "\nTry: replayer jobs show "+job.Job)
	s.run(t, "jobs", "cancel", job.Job, "--execute").want(t, "without a reason", 2, "a reason is needed")
	s.run(t, "jobs", "cancel", job.Job).want(t, "dry run", 0, "running; ", "dry run: nothing was done")
	s.run(t, "jobs", "cancel", job.Job, "--execute", "--reason", "the wrong consumer").want(t, "cancel", 0, "job "+job.Job+" is cancelled\n")
	got := (<-done).want(t, "the job", 4, "the job was cancelled", "\nTry: replayer jobs show "+job.Job)
	end := objectOf[jobRow](t, got.stdout)
	if end.State != "cancelled" || end.Sent != int(s.messages(t, stream.Replays)) || end.Sent >= 500 || cmp.Diff([]jobRow{end}, s.jobs(t)) != "" {
		t.Errorf("%+v", end)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "resume", 3, "was cancelled")
	s.run(t, "jobs", "cancel", job.Job, "--execute", "--reason", "r").want(t, "again", 3, "is cancelled already")
	var verbs []string
	for _, r := range s.trail(t) {
		if r.Job != job.Job {
			t.Errorf("a record of job %s", r.Job)
		}
		verbs = append(verbs, r.Verb+" "+string(r.Phase))
	}
	if text := strings.Join(verbs, ", "); !strings.Contains(text, "jobs cancel before, jobs cancel after") || len(verbs) != 6 {
		t.Errorf("trail: %s", text)
	}
}

// TestJobsUsage: wrong names and missing words.
func TestJobsUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"jobs":                         "replayer: list, show, resume or cancel?\nTry: replayer jobs --help\n",
		"jobs nonsense":                "replayer: unknown command \"nonsense\" for \"replayer jobs\"\nTry: replayer jobs --help\n",
		"jobs show":                    "replayer: which job?\nTry: replayer jobs show JOB; replayer jobs list has them\n",
		"jobs show a b":                "replayer: one job at a time: there are 2\nTry: replayer jobs show --help\n",
		"jobs resume a.b":              "replayer: \"a.b\" is not the name of a job\nTry: replayer jobs list\n",
		"jobs cancel > --execute":      "replayer: jobs cancel: a reason is needed to execute\nTry: the same with --reason 'why it is done'; replayer jobs cancel --help\n",
		"replay":                       "replayer: required flag(s) \"to\" not set\nTry: replayer replay --help\n",
		"replay --to everybody":        "replayer: --to \"everybody\": unknown target\nTry: --to with one of: all, consumer:NAME, file:PATH, stdout\n",
		"replay --to consumer:a.b":     "replayer: --to \"consumer:a.b\": a consumer's name is of A-Z a-z 0-9 _ -, at most 128 of them\nTry: replayer replay --help\n",
		"replay --to file:":            "replayer: --to \"file:\": which file?\nTry: --to file:PATH\n",
		"replay --to all --rate fast":  "replayer: --rate \"fast\": want N/s, such as 200/s\nTry: replayer replay --help\n",
		"replay --to all --rate 0/s":   "replayer: --rate \"0/s\": want N/s, such as 200/s\nTry: replayer replay --help\n",
		"replay --to all --window 0":   "replayer: --window 0: want 1 to 65536\nTry: replayer replay --help\n",
		"replay --to stdout -o json":   "replayer: --to stdout prints the events, one JSON object a line: -o does not apply\nTry: replayer replay --help\n",
		"replay --to all --execute":    "replayer: replay: a reason is needed to execute\nTry: the same with --reason 'why it is done'; replayer replay --help\n",
		"replay --to all --type a.b":   "", // only that it is one
		"replay --to all extra":        "",
		"replay --to all --concurrent": "",
	} {
		got := runLine(t.Context(), nil, strings.Fields(line)...)
		if got.code != 2 || got.stdout != "" || want != "" && got.stderr != want {
			t.Errorf("%s: exit %d, stdout %q, stderr:\n%s", line, got.code, got.stdout, got.stderr)
		}
	}
	s := newSite(t)
	for _, verb := range []string{"show", "resume", "cancel"} {
		line := []string{"jobs", verb, "nowhere"}
		if verb == "cancel" {
			line = append(line, "--execute", "--reason", "r")
		}
		s.run(t, line...).want(t, verb, 1, "replayer: there is no job nowhere\nTry: replayer jobs list\n")
	}
	if got := s.run(t, "jobs", "list", "-o", "json").want(t, "none", 0, "there are no replays"); got.stdout != "[]\n" {
		t.Errorf("none: %q", got.stdout)
	}
	s.run(t, "replay", "--to", "all", "--execute", "--reason", "r").want(t, "of nothing", 0, "replay: 0 items", "ALIPAY_EVENTS is empty", "nothing was to be done")
	s.run(t, "replay", "--to", "all", "--concurrency", "7").want(t, "another word for the window", 0)
}

// TestJobsOfAChangedRecord: what was not consented to is not done.
func TestJobsOfAChangedRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 30)
	job, _ := s.stopped(t, 5, "--to", "consumer:orders", "--rate", "50/s")
	c, err := s.client.LoadCheckpoint(t.Context(), "replay."+job.Job)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(c.Value, []byte(`"target":"consumer:orders"`), []byte(`"target":"all"`), 1)
	if _, err := s.client.SaveCheckpoint(t.Context(), c.Name, changed, c.Revision); err != nil {
		t.Fatal(err)
	}
	s.run(t, "jobs", "resume", job.Job, "--execute").want(t, "changed", 3, "the record of job "+job.Job+" was changed")
	c, err = s.client.LoadCheckpoint(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.SaveCheckpoint(t.Context(), c.Name, []byte("{"), c.Revision); err != nil {
		t.Fatal(err)
	}
	if rows := s.jobs(t); len(rows) != 1 || rows[0].Job != job.Job || !strings.Contains(rows[0].Problem, "cannot be read") {
		t.Errorf("%+v", rows)
	}
}

// TestReplayExpiredMeanwhile: what has left the archive before it was sent is
// counted and named, and the rest is sent.
func TestReplayExpiredMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fillEvents(t, 60)
	job, _ := s.stopped(t, 10, "--to", "consumer:orders", "--rate", "50/s", "--window", "4")
	window, age := 26*time.Hour, 30*24*time.Hour
	s.shorten(t, 100*time.Millisecond, 100*time.Millisecond)
	s.await(t, "all expire", func() bool { return s.messages(t, stream.Events) == 0 })
	s.shorten(t, window, age)
	got := s.run(t, "jobs", "resume", job.Job, "--execute", "-o", "json").
		want(t, "resume", 4, "not everything could be sent: ", "had left the archive, among the sequences 1 to 60\n", "\nTry: replayer jobs show "+job.Job)
	rest := objectOf[jobRow](t, got.stdout)
	if rest.State != "done" || rest.Sent != job.Sent || rest.Missing != 60-job.Sent || rest.MissingFrom != 1 || rest.MissingTo != 60 || rest.Left != 0 || rest.Resume != "" {
		t.Errorf("%+v", rest)
	}
	records := s.trail(t)
	if last := records[len(records)-1].Result; last.Outcome.Skipped != 60 || !strings.Contains(last.Error, "had left the archive") {
		t.Errorf("trail: %+v", last)
	}
}
