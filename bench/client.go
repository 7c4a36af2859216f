//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client posts over one connection. It knows as much of HTTP/1.1 as the
// contenders speak, so that the generator takes little of the machine that it
// shares with them.
type client struct {
	address string
	head    []byte // the request down to the value of Content-Length

	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func newClient(address, path string) *client {
	head := "POST " + path + " HTTP/1.1\r\nHost: " + address +
		"\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: "
	return &client{address: address, head: []byte(head)}
}

// post sends a body and gives the answer's status and whether it says success.
// After an error the connection is gone, and the next post makes a new one.
func (c *client) post(body []byte, deadline time.Time) (status int, success bool, err error) {
	if c.conn == nil {
		d := net.Dialer{Deadline: deadline}
		if c.conn, err = d.Dial("tcp", c.address); err != nil {
			c.conn = nil
			return 0, false, err
		}
		c.in = bufio.NewReaderSize(c.conn, 1024)
	}
	reuse := false
	defer func() {
		if err != nil || !reuse {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return 0, false, err
	}
	c.out = append(c.out[:0], c.head...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, false, err
	}
	status, success, reuse, err = readAnswer(c.in)
	return status, success, err
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close() //nolint:errcheck // it is not used again
		c.conn = nil
	}
}

var errAnswer = errors.New("the answer is not what a contender says")

// readAnswer reads one answer with a Content-Length.
func readAnswer(in *bufio.Reader) (status int, success, reuse bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, false, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, false, false, fmt.Errorf("%w: %q", errAnswer, line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, false, fmt.Errorf("%w: %q", errAnswer, line)
	}
	length, reuse := -1, true
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, false, false, err
		}
		name, value, found := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch {
		case len(name) == 0 && !found:
			var body [64]byte
			if length < 0 || length > len(body) {
				return 0, false, false, fmt.Errorf("%w: Content-Length %d", errAnswer, length)
			}
			if _, err := io.ReadFull(in, body[:length]); err != nil {
				return 0, false, false, err
			}
			return status, status == 200 && string(body[:length]) == "success", reuse, nil
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, false, fmt.Errorf("%w: Content-Length %q", errAnswer, value)
			}
		case bytes.EqualFold(name, []byte("Connection")):
			reuse = !bytes.EqualFold(value, []byte("close"))
		}
	}
}
