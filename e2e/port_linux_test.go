//go:build e2e

package e2e

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

// heldPort is a port of 127.0.0.1 that the kernel picked and that stays the
// caller's until its test ends, also while the server on it is down: a socket
// that is bound and never listens keeps it. A server that sets SO_REUSEADDR, as
// Go, Redis and nats-server do, can listen on it, as often as it likes;
// connections to it are refused meanwhile, and the kernel gives it neither to
// another server nor to one of the many connections that come and go in tests.
func heldPort(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return strconv.Itoa(address.(*syscall.SockaddrInet4).Port)
}
