//go:build e2e && !linux

package e2e

import (
	"net"
	"testing"
)

// heldPort is a port of 127.0.0.1 that the kernel has just given away and got
// back. Elsewhere than on Linux nothing keeps it: another process may take it
// while no server of the test's listens there.
func heldPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
