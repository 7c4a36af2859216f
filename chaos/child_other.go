//go:build !linux

package main

import "syscall"

// childAttributes gives children a group of their own. Only Linux can end them
// when we are killed ourselves.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
