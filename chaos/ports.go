package main

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// ports gives away ports of 127.0.0.1 that servers keep over their restarts.
// They are below those that the kernel gives to connections: while a server is
// down, one of the many that come and go here could take its place.
type ports struct{ given map[int]bool }

func (p *ports) next() (string, error) {
	const first, end = 12000, 32000
	for range 1000 {
		port := first + rand.IntN(end-first)
		if p.given[port] {
			continue
		}
		l, err := net.Listen("tcp", address(strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		if p.given == nil {
			p.given = map[int]bool{}
		}
		p.given[port] = true
		return strconv.Itoa(port), l.Close()
	}
	return "", errors.New("no free port between 12000 and 32000")
}

func address(port string) string { return net.JoinHostPort("127.0.0.1", port) }
