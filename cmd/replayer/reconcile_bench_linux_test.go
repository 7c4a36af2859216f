package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// BenchmarkReconcile reconciles activities of which everything has arrived, as
// an operator would: receiver, stand-in and replayer are the built commands, each
// a process of its own on this machine.
//
//	items/s     activities a second, from the start of the process to its end
//	requests/s  what the stand-in was asked, by its journal
//	cpu-ms/item of the replayer's own process
//	own-%       that CPU by the time in which its workers could have worked: the
//	            share that is not spent in waiting for Alipay or NATS
//	peak-MiB    the most memory that the process had; it must not grow with items
func BenchmarkReconcile(b *testing.B) {
	s := newBenchShop(b, 10_000)
	for _, tt := range []struct{ items, workers int }{{1_000, 8}, {10_000, 8}, {10_000, 1}} {
		b.Run(fmt.Sprintf("items=%d/workers=%d", tt.items, tt.workers), func(b *testing.B) {
			for b.Loop() {
				s.reconcile(b, tt.items, tt.workers)
			}
		})
	}
}

// benchShop is a receiver and the open platform, with activities.
type benchShop struct {
	dir, base string
	ids       []string
}

func newBenchShop(b *testing.B, n int) *benchShop {
	b.Helper()
	s := &benchShop{dir: b.TempDir()}
	if out, err := exec.Command("go", "build", "-o", s.dir, "../receiver", "../alipaysim", ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	if out, err := exec.Command(s.path("alipaysim"), "keys", "--dir", s.path("dev")).CombinedOutput(); err != nil {
		b.Fatalf("keys: %v\n%s", err, out)
	}
	const config = `dev: true
http: { listen: "127.0.0.1:0" }
ops: { listen: "127.0.0.1:0" }
log: { format: json }
openapi: { base_url: %q }
nats: { embedded: { listen: "127.0.0.1:0", dir: nats } }
apps:
  - { app_id: %q, alipay_public_keys: [dev/alipay-public.pem], private_key: dev/app-private.pem }
`
	s.configure(b, fmt.Sprintf(config, "http://127.0.0.1:1", alipaytest.DefaultAppID))
	receiver := s.start(b, regexp.MustCompile(`"listen":"([^"]+)"`), "receiver")
	s.base = s.start(b, regexp.MustCompile(`the open platform is at (http://[^,]+),`), "alipaysim", "serve", "--listen", "127.0.0.1:0",
		"--url", "http://"+receiver+"/alipay/notify", "--key", s.path("dev/alipay-private.pem"), "--app-key", s.path("dev/app-public.pem"),
		"--time-scale", "1000", "--journal", s.path("journal.ndjson"))
	s.configure(b, fmt.Sprintf(config, s.base, alipaytest.DefaultAppID))
	for status, count := range map[string]int{"ACTIVE": n / 2, "FINISHED": n * 3 / 10, "INIT": n * 2 / 10} {
		s.make(b, count, status)
	}
	want := n/2 + 2*n*3/10
	for end := time.Now().Add(5 * time.Minute); s.journal(b, "acknowledged") < want; {
		if time.Now().After(end) {
			b.Fatalf("%d of %d notifications have arrived", s.journal(b, "acknowledged"), want)
		}
	}
	return s
}

func (s *benchShop) path(name string) string { return filepath.Join(s.dir, name) }

func (s *benchShop) configure(b *testing.B, text string) {
	b.Helper()
	if err := os.WriteFile(s.path("alipay-notify.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// start begins a command, and gives what its output says about its address.
func (s *benchShop) start(b *testing.B, address *regexp.Regexp, name string, args ...string) string {
	b.Helper()
	cmd := exec.Command(s.path(name), args...)
	cmd.Dir = s.dir
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ends is not what is measured
	})
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
	}()
	select {
	case a := <-found:
		return a
	case <-time.After(time.Minute):
		b.Fatalf("%s does not say where it is", name)
		return ""
	}
}

// make has the stand-in make activities.
func (s *benchShop) make(b *testing.B, count int, status string) {
	b.Helper()
	resp, err := http.Post(s.base+"/_sim/activities", "application/json", strings.NewReader(fmt.Sprintf(`{"count":%d,"activity_status":%q}`, count, status)))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		IDs []string `json:"activity_ids"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || len(made.IDs) != count {
		b.Fatalf("%d of %d activities, %v", len(made.IDs), count, err)
	}
	s.ids = append(s.ids, made.IDs...)
}

// journal counts entries of one kind.
func (s *benchShop) journal(b *testing.B, what string) int {
	b.Helper()
	resp, err := http.Get(s.base + "/_sim/journal?what=" + what)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	n := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		n++
	}
	return n
}

func (s *benchShop) reconcile(b *testing.B, items, workers int) {
	b.Helper()
	list := s.path("list.csv")
	if err := os.WriteFile(list, []byte("activity_id\n"+strings.Join(s.ids[:items], "\n")+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	before := s.journal(b, "call")
	cmd := exec.Command(s.path("replayer"), "reconcile", "--file", list, "--rate", "1000000", "--concurrency", fmt.Sprint(workers), "-o", "ndjson")
	cmd.Dir = s.dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	began := time.Now()
	err := cmd.Start()
	peak := 0.0
	if err == nil {
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		peak, err = watchPeak(cmd.Process.Pid, ended)
	}
	took := time.Since(began).Seconds()
	if err != nil || !strings.Contains(stderr.String(), fmt.Sprintf(" %d items in", items)) { // which exit 0 calls in step
		b.Fatalf("%v:\n%s", err, stderr.String())
	}
	cpu := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	b.ReportMetric(float64(items)/took, "items/s")
	b.ReportMetric(float64(s.journal(b, "call")-before)/took, "requests/s")
	b.ReportMetric(1000*cpu/float64(items), "cpu-ms/item")
	b.ReportMetric(100*cpu/(took*float64(workers)), "own-%")
	b.ReportMetric(peak, "peak-MiB")
	b.ReportMetric(0, "ns/op")
}

// watchPeak looks at a process until it ends, and gives the most memory that it had
// resident, in MiB. What the kernel says of a child at its end is no use: it counts
// from before exec, when the child shares our own memory.
func watchPeak(pid int, ended <-chan error) (peak float64, err error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it is gone, perhaps
			if m := highWater.FindSubmatch(status); m != nil {
				kib, _ := strconv.ParseFloat(string(m[1]), 64) // digits
				peak = max(peak, kib/1024)
			}
		case err := <-ended:
			return peak, err
		}
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
