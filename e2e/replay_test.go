//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

const (
	// replayEvents are replayed while the replayer is killed replayKills times; the
	// race detector has fewer. ALIPAY_NOTIFY_E2E_REPLAYS asks for another number.
	replayEvents = 200_000
	racedEvents  = 80_000
	replayKills  = 3
	replayWindow = 2048
)

// TestReplayKilled kills a replay with -9 at three points. Each time another
// process resumes it. The target forgets message ids at once, as it has the day
// after, so that it stores what is sent a second time, and that is seen.
func TestReplayKilled(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, _, server := external(t, app)
	file, js := config.save(t), jetStream(t, server.url(), "")
	total := replayCount(t)
	fillArchive(t, ready(t, config), app, js, total)
	forgetful(t, js)

	args := []string{"replay", "--to", "consumer:orders", "--window", strconv.Itoa(replayWindow), "--execute", "--reason", "TEST-ONLY: the store is lost",
		"--expect", strconv.Itoa(total)}
	job := ""
	for kill := range replayKills {
		p := start(t, "replayer", tools.replayer, append(args, "--config", file)...)
		at := uint64(total * (kill + 1) / (replayKills + 1))
		eventually(t, fmt.Sprintf("%d are sent", at), func() bool {
			if p.ended() {
				t.Fatalf("the replayer ended, code %d:\n%s", p.cmd.ProcessState.ExitCode(), p.out)
			}
			return storedIn(t, js, "ALIPAY_REPLAYS").Msgs >= at
		})
		p.kill()
		job = jobOf(t, p.out.String())
		row := jobRow(t, file, job)
		t.Logf("killed with %d sent; the job knows of %d", storedIn(t, js, "ALIPAY_REPLAYS").Msgs, row.Sent)
		if row.State != "running" && row.State != "abandoned" || row.Sent >= total {
			t.Errorf("after the kill the job is %+v", row)
		}
		args = []string{"jobs", "resume", job, "--execute"}
	}
	end := run(t, tools.replayer, append(args, "--config", file)...)
	end.want(t, 0, "0 failed, 0 missing, 0 left")
	t.Logf("the last run: %s", end.stderr)

	row := jobRow(t, file, job)
	if row.State != "done" || row.Sent != total || row.Runs != replayKills+1 {
		t.Errorf("in the end the job is %+v", row)
	}
	wantReplays(t, js, total)
	wantTrail(t, js, job, total)
}

func replayCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ALIPAY_NOTIFY_E2E_REPLAYS")
	if text == "" && raceEnabled {
		return racedEvents
	}
	if text == "" {
		return replayEvents
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10*replayWindow {
		t.Fatalf("ALIPAY_NOTIFY_E2E_REPLAYS=%s: want %d or more", text, 10*replayWindow)
	}
	return n
}

// fillArchive stores so many events.
func fillArchive(t testing.TB, r *receiver, app *alipaytest.App, js jetstream.JetStream, total int) {
	t.Helper()
	r.deliver(t, voucher(t, app))
	copyEvents(t, r, app, js, total)
}

// copyEvents stores copies of the first event, with ids of their own, until there
// are as many as wanted: to sign them all would take longer than everything else.
func copyEvents(t testing.TB, r *receiver, app *alipaytest.App, js jetstream.JetStream, total int) {
	t.Helper()
	stored := r.events(t)
	first := stored[0]
	for i := len(stored) + 1; i <= total; i++ {
		m := &nats.Msg{Subject: first.Subject, Header: maps.Clone(first.Header), Data: first.Data}
		id := fmt.Sprintf("%s-%d", header(first, "ce-id"), i)
		m.Header["ce-id"], m.Header["Nats-Msg-Id"] = []string{id}, []string{app.ID + ":" + id}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the archive is not filled")
	}
	if got := storedIn(t, js, "ALIPAY_EVENTS").Msgs; got != uint64(total) {
		t.Fatalf("%d events are stored, want %d", got, total)
	}
}

// forgetful makes the target forget message ids at once.
func forgetful(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	s, err := js.Stream(t.Context(), "ALIPAY_REPLAYS")
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

var jobPattern = regexp.MustCompile(`job (\d{8}t\d{6}-[a-z2-7]{16})`)

func jobOf(t testing.TB, text string) string {
	t.Helper()
	m := jobPattern.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no job is named:\n%s", text)
	}
	return m[1]
}

// shownJob is as much of a job as is looked at here.
type shownJob struct {
	State        string
	Sent, Runs   int
	Repeated     int
	Items        int
	StoredLast   uint64 `json:"stored_last"`
	Digest, Host string
}

func jobRow(t testing.TB, file, job string) shownJob {
	t.Helper()
	shown := run(t, tools.replayer, "jobs", "show", job, "-o", "json", "--config", file)
	shown.want(t, 0)
	var row shownJob
	if err := json.Unmarshal([]byte(shown.stdout), &row); err != nil {
		t.Fatalf("%v: %s", err, shown.stdout)
	}
	return row
}

// wantReplays checks that the target has every event, and that no kill has sent
// more than one window again.
func wantReplays(t *testing.T, js jetstream.JetStream, total int) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ALIPAY_REPLAYS")
	if err != nil {
		t.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	count := make([]uint8, total+1)
	for read := uint64(0); read < last; {
		msg, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		read = meta.Sequence.Stream
		of, err := strconv.Atoi(msg.Headers()["ce-replayof"][0])
		if err != nil || of < 1 || of > total || !strings.HasPrefix(msg.Subject(), "alipay.replays.orders.") {
			t.Fatalf("%s is a replay of %v", msg.Subject(), msg.Headers()["ce-replayof"])
		}
		count[of]++
	}
	again := 0
	for of, n := range count[1:] {
		if n < 1 || n > 2 {
			t.Errorf("event %d was sent %d times", of+1, n)
		}
		again += int(n) - 1
	}
	t.Logf("%d of %d were stored twice", again, total)
	if again > replayKills*replayWindow {
		t.Errorf("%d were sent again; %d kills of a window of %d", again, replayKills, replayWindow)
	}
}

// wantTrail checks that every run is announced with the one plan that was
// consented to, and that the last one says how it ended.
func wantTrail(t *testing.T, js jetstream.JetStream, job string, total int) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "ALIPAY_AUDIT")
	if err != nil {
		t.Fatal(err)
	}
	var phases, digests []string
	runs := map[string]bool{}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			Job, Run, Phase string
			Resumed         bool
			Plan            struct {
				Digest string
				Items  int
			}
			Result *struct {
				Status  string
				Outcome struct{ Done, Failed, Skipped int }
			}
		}
		if err := json.Unmarshal(msg.Data, &r); err != nil {
			t.Fatal(err)
		}
		if r.Job != job || r.Plan.Items != total || r.Resumed != (seq > 1) {
			t.Errorf("record %d: %s", seq, msg.Data)
		}
		phases, digests, runs[r.Run] = append(phases, r.Phase), append(digests, r.Plan.Digest), true
		if r.Result != nil && (r.Result.Status != "done" || r.Result.Outcome.Failed != 0 || r.Result.Outcome.Done+r.Result.Outcome.Skipped != total) {
			t.Errorf("the last record: %s", msg.Data)
		}
	}
	if got := strings.Join(phases, " "); got != "before before before before after" || len(runs) != replayKills+1 {
		t.Errorf("the trail has %q of %d runs", got, len(runs))
	}
	for _, d := range digests {
		if d != digests[0] {
			t.Errorf("the digests are %q", digests)
		}
	}
}
