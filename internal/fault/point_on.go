//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// PointVariable names the point at which this process ends, the passage that
// does it (from 1), and how: "before-commit:3" is killed, as by kill -9, when it
// comes to that point for the third time; "before-commit:3:hang" stays there
// until somebody else kills it.
const PointVariable = "ALIPAY_NOTIFY_FAULT_POINT"

var (
	point    = readPoint(os.Getenv(PointVariable))
	passages atomic.Int64
)

type chosen struct {
	name string
	nth  int64
	hang bool
}

func readPoint(text string) chosen {
	parts := strings.Split(text, ":")
	c := chosen{name: parts[0], nth: 1, hang: len(parts) > 2 && parts[2] == "hang"}
	if len(parts) > 1 {
		var err error
		if c.nth, err = strconv.ParseInt(parts[1], 10, 64); err != nil || c.nth < 1 {
			panic(fmt.Sprintf("%s=%q: want name, name:n or name:n:hang", PointVariable, text))
		}
	}
	return c
}

// Point ends the process, or stops the caller for good, where the environment
// says so. What was written by then is with the kernel; nothing is cleaned up.
func Point(name string) {
	if name != point.name || passages.Add(1) != point.nth {
		return
	}
	fmt.Fprintln(os.Stderr, "fault point:", name)
	if point.hang {
		select {}
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck,gosec // a process may end itself
	select {}                                  // the signal may take a moment, and nothing may happen in it
}
