//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"alipay-notify/internal/alipaytest"
)

// TestScheduling: no thread of a receiver at work puts those of others aside.
func TestScheduling(t *testing.T) {
	t.Parallel()
	r := ready(t, newConfig(t, alipaytest.NewApp(t, "")))
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		is, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			continue // it has ended
		}
		if seen++; is.Policy != unix.SCHED_BATCH {
			t.Errorf("thread %d has the policy %d, want SCHED_BATCH, %d", id, is.Policy, unix.SCHED_BATCH)
		}
	}
	if seen < 2 {
		t.Errorf("saw %d threads only", seen)
	}
}
