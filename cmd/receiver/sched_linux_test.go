package main

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// ownThread runs arrange on a thread that nobody else uses and that ends with the
// test, and gives the thread's id.
func ownThread(t *testing.T, arrange func(id int) error) int {
	t.Helper()
	id, failed, done := make(chan int), make(chan error, 1), make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		failed <- arrange(unix.Gettid())
		id <- unix.Gettid()
		<-done
	})
	t.Cleanup(func() {
		close(done)
		ended.Wait()
	})
	got := <-id
	if err := <-failed; err != nil {
		t.Fatalf("arrange a thread: %v", err)
	}
	return got
}

// scheduling is the policy and the niceness of each thread of the process.
func scheduling(t *testing.T) map[int]unix.SchedAttr {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[int]unix.SchedAttr)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if is, err := unix.SchedGetAttr(id, 0); err == nil { // else it has ended
			found[id] = unix.SchedAttr{Policy: is.Policy, Nice: is.Nice, Flags: is.Flags}
		}
	}
	return found
}

// A system that says yes and does nothing kept the receiver from starting: it asked
// again and again.
func TestScheduleBatchGivesUp(t *testing.T) {
	t.Parallel()
	passes := 0
	if err := untilUnchanged(func() (bool, error) { passes++; return true, nil }); err == nil || passes > 100 {
		t.Errorf("%v after %d passes", err, passes)
	}
	passes = 0
	if err := untilUnchanged(func() (bool, error) { passes++; return passes < 3, nil }); err != nil || passes != 3 {
		t.Errorf("%v after %d passes, want 3", err, passes)
	}
	refused := errors.New("refused")
	if err := untilUnchanged(func() (bool, error) { return true, refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it is about all threads of the process.
func TestScheduleBatch(t *testing.T) {
	ownThread(t, func(id int) error { return unix.Setpriority(unix.PRIO_PROCESS, id, 5) })
	ownThread(t, func(id int) error {
		return unix.SchedSetAttr(id, &unix.SchedAttr{Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	})
	decided := ownThread(t, func(id int) error {
		return unix.SchedSetAttr(id, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0)
	})
	before := scheduling(t)
	if err := scheduleBatch(); err != nil {
		t.Fatal(err)
	}
	var later []int
	for range 4 {
		later = append(later, ownThread(t, func(int) error { return nil }))
	}
	after := scheduling(t)
	for id, is := range after {
		want := uint32(unix.SCHED_BATCH)
		if id == decided {
			want = unix.SCHED_IDLE
		}
		if is.Policy != want {
			t.Errorf("thread %d has the policy %d, want %d", id, is.Policy, want)
		}
		if was, ok := before[id]; ok && (was.Nice != is.Nice || was.Flags != is.Flags) {
			t.Errorf("thread %d was nice by %d with flags %#x, and is by %d with %#x", id, was.Nice, was.Flags, is.Nice, is.Flags)
		}
	}
	for _, id := range later {
		if _, ok := after[id]; !ok {
			t.Errorf("thread %d was not seen", id)
		}
	}
}
