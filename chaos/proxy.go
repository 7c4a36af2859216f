package main

import (
	"net"
	"sync"
	"time"
)

// proxy stands between a client and a server on this machine, so that the line
// between them can be cut, slowed and made to swallow. It is safe for concurrent
// use.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	delay   time.Duration // of each piece, each way
	deaf    bool          // what the server says is lost
	refused bool          // nobody gets through
}

func newProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	go p.serve()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.connect(client)
	}
}

func (p *proxy) connect(client net.Conn) {
	p.mu.Lock()
	refused, target := p.refused, p.target
	p.mu.Unlock()
	if refused {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", target, 2*time.Second)
	if err != nil {
		reset(client)
		return
	}
	p.mu.Lock()
	if refused = p.refused; !refused {
		p.conns[client], p.conns[server] = true, true
	}
	p.mu.Unlock()
	if refused { // meanwhile
		reset(client)
		reset(server)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, false) })
	both.Go(func() { p.copy(client, server, true) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// copy carries one direction until either side ends, and then ends both.
func (p *proxy) copy(to, from net.Conn, answers bool) {
	defer reset(to)
	defer reset(from)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		delay, lost := p.delay, p.deaf && answers
		p.mu.Unlock()
		time.Sleep(delay)
		if n > 0 && !lost {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// reset closes without a farewell: what is under way is lost.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed already
	}
	_ = c.Close() // the same
}

// cut ends every connection; new ones may come.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// slow delays each piece, each way; 0 ends it.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// swallow loses what the server says: what was asked happens, and nobody hears
// of it. Its end cuts the connections, in which a piece is missing.
func (p *proxy) swallow(on bool) {
	p.mu.Lock()
	p.deaf = on
	p.mu.Unlock()
	if !on {
		p.cut()
	}
}

// refuse lets nobody through.
func (p *proxy) refuse(on bool) {
	p.mu.Lock()
	p.refused = on
	p.mu.Unlock()
	if on {
		p.cut()
	}
}

// turn sends new connections elsewhere, as a virtual address that moves. The old
// ones stay where they are: that they are useless now, their client has to see.
func (p *proxy) turn(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// mend undoes all of that.
func (p *proxy) mend() {
	p.refuse(false)
	p.slow(0)
	p.mu.Lock()
	deaf := p.deaf
	p.mu.Unlock()
	if deaf {
		p.swallow(false)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close() // nothing is left to say
	p.cut()
}
