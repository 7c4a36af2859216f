package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// scheduleBatch asks the kernel to treat all threads of the process as SCHED_BATCH,
// and with them those that come later, which begin with the policy of the thread that
// makes them. An operator who has chosen another policy than the default has decided.
//
// A thread of the default policy may put another aside when it wakes, and ours wake
// all the time: those that carry a notification from step to step, and thousands of
// times a second Go's own monitor. Each time a thread that was at work has to wait, of
// the receiver or of a server beside it, and that alone was some 2 % of the CPU of all
// (docs/adr/0013-threads-in-a-batch.md). In a batch they wait their turn. Nobody sees a
// difference until other programs want all processors all the time: then an answer may
// take some milliseconds longer than it would.
func scheduleBatch() error { return untilUnchanged(scheduleListed) }

// untilUnchanged repeats a pass until nothing is left to change: a thread that was not
// changed yet may have made another one that was not listed yet. That is so once or
// twice; where it never ends, the system says yes and does not do it, as a sandbox may,
// and the receiver must start all the same.
func untilUnchanged(pass func() (changed bool, err error)) error {
	for range 10 {
		if changed, err := pass(); err != nil || !changed {
			return err
		}
	}
	return errors.New("schedule as batch: the system says that it does, and does not")
}

// scheduleListed changes the threads that there are, and tells whether any was to be
// changed.
func scheduleListed() (changed bool, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, fmt.Errorf("schedule as batch: %w", err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return false, fmt.Errorf("schedule as batch: %w", err)
		}
		is, err := unix.SchedGetAttr(id, 0)
		if err == nil && is.Policy == unix.SCHED_NORMAL {
			changed = true
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Flags: is.Flags, Nice: is.Nice}, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
			return false, fmt.Errorf("schedule thread %d as batch: %w", id, err)
		}
	}
	return changed, nil
}
