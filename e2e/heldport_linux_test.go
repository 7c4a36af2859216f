//go:build e2e && linux

package e2e

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestHeldPort: a server that a test killed could not start again, because a
// connection of another test had been given its port meanwhile. A held port can
// be listened on, again and again, and goes to nobody else.
func TestHeldPort(t *testing.T) {
	t.Parallel()
	port := heldPort(t)
	address := net.JoinHostPort("127.0.0.1", port)
	for range 3 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a connection while no server is up: %v, want it refused", err)
		}
	}
	// A connection that asks for this very port does not get it.
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	local, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: local, Timeout: time.Second}
	if conn, err := dialer.Dial("tcp", other.Addr().String()); err == nil {
		conn.Close()
		t.Error("a connection was given the held port")
	}
}
