package server

import "net"

// Unwatched makes a listener whose connections are not watched while a handler is
// at work. net/http reads one byte ahead then, to cancel the request of a client
// that hangs up. Nothing here waits for that: a notification is worth finishing,
// and a body that ends early is seen by whoever reads it. Finding nothing to read
// costs a system call, a goroutine that parks and wakes, and two deadlines for
// each notification: one part in forty of its CPU.
//
// It knows the watch by its buffer of one byte, as net/http has it; whatever asks
// again, or for more, reads. Should net/http come to do it differently, the watch
// is back, and nothing else changes.
func Unwatched(l net.Listener) net.Listener { return unwatchedListener{l} }

type unwatchedListener struct{ net.Listener }

func (l unwatchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &unwatchedConn{Conn: c}, nil
}

// unwatchedConn is read by one goroutine at a time, as net/http does.
type unwatchedConn struct {
	net.Conn

	looked bool // the last read was a look that was answered with nothing
}

func (c *unwatchedConn) Read(p []byte) (int, error) {
	if len(p) == 1 && !c.looked {
		c.looked = true
		return 0, nil // nothing yet, and no error: the watch ends
	}
	c.looked = false
	return c.Conn.Read(p)
}
