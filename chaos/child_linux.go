package main

import "syscall"

// childAttributes has the kernel end our children when we are killed: no server
// outlives a run, however that ends. A group of its own keeps Ctrl-C from them;
// they are ended in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
