//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// TestRunbook runs what docs/RUNBOOK.md has its reader run, in its order and as it
// stands there, on a receiver with something of everything: stored events, refused
// ones, dead letters, a stand-in for Alipay to ask. What is the machine's
// (systemctl, journalctl, the ports) is replaced by the like of it; what is
// somebody else's tool (nats, iostat) is left out.
func TestRunbook(t *testing.T) {
	t.Parallel()
	n := newNight(t)
	done := map[string]int{}
	for _, c := range runbookCommands(t) {
		if !n.owns(c.line) {
			continue
		}
		n.prepare(t, c)
		got := n.shell(t, c.line)
		if want := n.codes(c.line); !slices.Contains(want, got.code) || strings.Contains(got.stderr, "command not found") || strings.Contains(got.stderr, "jq: error") {
			t.Errorf("%s: %s\nexit code %d, want one of %d\nstdout:\n%s\nstderr:\n%s", c.section, c.line, got.code, want, tail(got.stdout), got.stderr)
		}
		done[strings.Fields(c.line)[0]]++
	}
	t.Logf("run: %v", done)
	for tool, least := range map[string]int{"replayer": 60, "receiver": 12, "notes": 5, "curl": 3, "systemctl": 3, "journalctl": 2} {
		if done[tool] < least {
			t.Errorf("%d commands with %s were run, want %d: the patterns no longer find them", done[tool], tool, least)
		}
	}
	// What was executed has done something.
	trail := n.replayer(t, "audit", "-o", "ndjson")
	for _, verb := range []string{"rejects release", "dlq redrive", "dlq discard", "replay"} {
		if !regexp.MustCompile(`"verb":"` + verb + `".*"status":"done".*"done":[1-9]`).MatchString(trail.stdout) {
			t.Errorf("no %s was done:\n%s", verb, trail.stdout)
		}
	}
}

// runbookCommand is a command line with the part of the runbook where it stands.
type runbookCommand struct{ section, line string }

var inlineCode = regexp.MustCompile("`([^`\n]+)`")

// runbookCommands are all lines of code of the runbook: of its blocks, and between
// its words.
func runbookCommands(t *testing.T) []runbookCommand {
	t.Helper()
	text, err := os.ReadFile("../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []runbookCommand
	section, block := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			block = !block
		case block:
			all = append(all, runbookCommand{section, line})
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		default:
			for _, m := range inlineCode.FindAllStringSubmatch(line, -1) {
				all = append(all, runbookCommand{section, m[1]})
			}
		}
	}
	return all
}

// night is whoever is on call, with a shell and everything that the commands need.
type night struct {
	*openPlatform
	dir      string
	notes    string // the function of the first shell
	js       jetstream.JetStream
	stranger *alipaytest.App // whose key the receiver does not have, at first
	key, id  string          // of an activity, and of its first notification
	section  string          // of the runbook
	given    int             // the event that the consumer gave up last
}

func newNight(t *testing.T) *night {
	t.Helper()
	for _, tool := range []string{"bash", "jq", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not in PATH; the runbook needs it: %v", tool, err)
		}
	}
	n := &night{dir: t.TempDir(), stranger: alipaytest.NewApp(t, "")}
	n.openPlatform = startPlatform(t)
	text, err := os.ReadFile("../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	if n.notes = regexp.MustCompile(`(?m)^notes\(\) .*$`).FindString(string(text)); n.notes == "" {
		t.Fatal("the runbook no longer has the function notes")
	}
	config := n.receiver.config
	n.js = jetStream(t, n.receiver.nats, config.token())
	n.candidate(t)
	n.tools(t)
	durables(t, n.js, "orders")

	n.key = n.activities(t, 1, "ACTIVE")[0]
	for _, typ := range []string{"voucher.created", "voucher.stopped"} {
		n.send(t, typ, "--field", "activity_id="+n.key)
	}
	for _, typ := range []string{"order.refunded", "trade.status_changed", "card.open_result"} {
		n.send(t, typ)
	}
	var first struct{ ID string }
	listed := n.replayer(t, "events", "--key", n.key, "--limit", "1", "-o", "ndjson")
	if err := json.Unmarshal([]byte(listed.stdout), &first); err != nil || first.ID == "" {
		t.Fatalf("no event of the activity: %v: %s%s", err, listed.stdout, listed.stderr)
	}
	n.id = first.ID
	for range 3 {
		n.receiver.send(t, voucher(t, n.stranger)).want(t, http.StatusUnauthorized, "fail")
	}
	eventually(t, "they are kept", func() bool { return storedIn(t, n.js, "ALIPAY_REJECTS").Msgs == 3 })
	return n
}

// send has the stand-in send notifications.
func (n *night) send(t *testing.T, what string, flags ...string) {
	t.Helper()
	keys := filepath.Join(n.receiver.config.dir, "dev")
	run(t, tools.alipaysim, append([]string{"send", what, "--url", n.receiver.url,
		"--key", filepath.Join(keys, "alipay-private.pem"), "--aes-key", filepath.Join(keys, "aes.key")}, flags...)...).want(t, 0)
}

// candidate writes the configuration that names the stranger's key as well.
func (n *night) candidate(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	const key = `"dev/alipay-public.pem"`
	more := strings.Replace(string(text), key, key+`, "candidate.pem"`, 1)
	if more == string(text) {
		t.Fatalf("the configuration names no %s:\n%s", key, text)
	}
	config := n.receiver.config
	config.file(t, "candidate.pem", n.stranger.PublicPEM)
	config.file(t, "candidate.yaml", []byte(more))
}

// tools writes what stands in for the machine.
func (n *night) tools(t *testing.T) {
	t.Helper()
	log := filepath.Join(n.dir, "log")
	config := n.receiver.config
	for name, script := range map[string]string{
		"journalctl": "cat " + log,
		// In the recipe somebody has put the real configuration right by now.
		"systemctl": fmt.Sprintf(`case "$1" in reload) cat %s >%s; kill -HUP %d;; esac`, filepath.Join(config.dir, "candidate.yaml"), n.config, n.receiver.cmd.Process.Pid),
		"receiver":  "exec " + tools.receiver + ` "$@"`,
		"replayer":  "exec " + tools.replayer + ` "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// owns tells whether a line of code is a command of ours, or one that tools has.
func (n *night) owns(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 || strings.Contains(line, "() {") {
		return false // a name, or the function itself
	}
	switch words[0] {
	case "receiver", "replayer", "journalctl", "curl":
		return true
	case "systemctl":
		return words[1] != "start"
	case "notes":
		return words[1] != "-"
	}
	return false
}

// prepare sees to it that there is a dead letter when a part of the runbook begins,
// and one more to strike off, and that the log is what the receiver wrote.
func (n *night) prepare(t *testing.T, c runbookCommand) {
	t.Helper()
	if n.section == c.section && !strings.Contains(c.line, "discard") {
		return
	}
	n.section = c.section
	n.given = n.given%5 + 1
	pointer := fmt.Sprintf(`{"stream_seq":%d,"deliveries":3,"reason":"no such shop"}`, n.given)
	if _, err := n.js.Publish(t.Context(), "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.orders", []byte(pointer)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "log"), []byte(n.receiver.out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

var sequenceWord = regexp.MustCompile(`--seq (?:N|7)\b`)

// shell runs a line with its blanks filled in. What goes on for ever is stopped as
// one does it, with Ctrl-C.
func (n *night) shell(t *testing.T, line string) result {
	t.Helper()
	in := "ALIPAY_EVENTS"
	for word, name := range map[string]string{"dlq": "ALIPAY_DLQ", "rejects": "ALIPAY_REJECTS"} {
		if strings.Contains(line, " "+word) {
			in = name
		}
	}
	line = sequenceWord.ReplaceAllString(line, fmt.Sprintf("--seq %d", max(1, storedIn(t, n.js, in).FirstSeq)))
	line = strings.NewReplacer("NOTIFY_ID", n.id, "KEY", n.key, "APP_ID", alipaytest.DefaultAppID, "2021000000000001", alipaytest.DefaultAppID,
		"consumer:NAME", "consumer:orders", "--consumer NAME", "--consumer orders",
		"localhost:9090", strings.TrimPrefix(n.receiver.ops, "http://"),
		"/etc/alipay-notify/candidate.yaml", filepath.Join(n.receiver.config.dir, "candidate.yaml")).Replace(line)
	cmd := command("bash", "-o", "pipefail", "-c", n.notes+"\n"+line)
	cmd.Env = append(cmd.Env, "ALIPAY_NOTIFY_CONFIG="+n.config, "PATH="+n.dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var stdout, stderr output
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(line, "replayer tail") {
		eventually(t, "tail waits", func() bool { return strings.Contains(stderr.String(), "waiting for events") })
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	_ = cmd.Wait() // the code says it
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// codes are the exit codes that a command may have here.
func (n *night) codes(line string) []int {
	switch {
	case strings.HasPrefix(line, "notes"), strings.HasPrefix(line, "journalctl"), strings.Contains(line, "grep"):
		return []int{0, 1} // nothing was found
	case strings.HasPrefix(line, "replayer explain"), strings.HasPrefix(line, "replayer reconcile"):
		return []int{0, 1} // it would not be taken; something is missing
	}
	return []int{0}
}
