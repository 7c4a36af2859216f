//go:build e2e && !linux

package e2e

import "syscall"

// childAttributes is nothing special here: only the tests' own cleanup ends
// their children.
func childAttributes() *syscall.SysProcAttr { return nil }
