//go:build e2e

package e2e

import "syscall"

// childAttributes has the kernel end our children when we are killed, so that
// no server outlives a test run, however that ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
