package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// unsized hides the length of a body, so that it is sent in chunks.
type unsized struct{ io.Reader }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{})
	url := "http://" + f.listen() + path
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	tests := []struct {
		name    string
		size    int
		chunked bool
		status  int
		body    string
	}{
		{"at the limit", maxBody, false, 200, "success"},
		{"at the limit, in chunks", maxBody, true, 200, "success"},
		{"over the limit", maxBody + 1, false, 413, "fail"},
		{"over the limit, in chunks", maxBody + 1, true, 413, "fail"},
		{"empty", 0, false, 200, "success"},
		{"empty, in chunks", 0, true, 200, "success"},
	}
	for i, tt := range tests {
		var body io.Reader = strings.NewReader(strings.Repeat("x", tt.size))
		if tt.chunked {
			body = unsized{body}
		}
		resp, err := client.Post(url, "application/x-www-form-urlencoded", body)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close() //nolint:errcheck // read to its end
		if err != nil || resp.StatusCode != tt.status || string(answer) != tt.body {
			t.Errorf("%s: %d %q, %v; want %d %q", tt.name, resp.StatusCode, answer, err, tt.status, tt.body)
		}
		if resp.Close != (tt.status == 413) {
			t.Errorf("%s: the connection is closed: %v", tt.name, resp.Close)
		}
		if got := len(f.logged()); got != i+1 {
			t.Errorf("%s: %d lines logged, want %d", tt.name, got, i+1)
		}
	}
}

// counting counts what is read of a body.
type counting struct {
	io.Reader
	read atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		length int64
		most   int64
	}{
		{"with a length", 1 << 40, 0},
		{"without one", -1, maxBody + 1},
	}
	for _, tt := range tests {
		f := newFixture(t, &ingester{})
		body := &counting{Reader: endless{}}
		r := httptest.NewRequest("POST", path, body)
		r.ContentLength = tt.length
		f.want(f.do(r), 413, "fail")
		if n := body.read.Load(); n > tt.most {
			t.Errorf("%s: %d bytes were read, want at most %d", tt.name, n, tt.most)
		}
		f.lastLine(1, map[string]any{"outcome": "too_large", "reason": "body"})
		if len(f.ingester.requests()) > 0 {
			t.Errorf("%s: it reached the ingester", tt.name)
		}
	}
}

// A sender that never ends is cut off soon after the answer, and not read on.
func TestEndlessBodyIsCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{})
	conn := f.dial(f.listen())
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	written := make(chan int, 1)
	go func() {
		chunk := []byte("1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n")
		n := 0
		for {
			if _, err := conn.Write(chunk); err != nil {
				written <- n
				return
			}
			n += len(chunk)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // its status is enough
	if resp.StatusCode != 413 || !resp.Close {
		t.Errorf("status %d, closed: %v", resp.StatusCode, resp.Close)
	}
	// The kernel's buffers and the politeness of net/http take some of it.
	if n := <-written; n > 32<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

// dial opens a connection that is closed with the test.
func (f *fixture) dial(address string) net.Conn {
	f.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close() })                                         //nolint:errcheck // nothing can be done
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil { // a bug must not hang the test
		f.Fatal(err)
	}
	return conn
}

// failing is a body that breaks off.
type failing struct{ err error }

func (f failing) Read(p []byte) (int, error) { return copy(p, "a=b&c"), f.err }

func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	for _, err := range []error{io.ErrUnexpectedEOF, net.ErrClosed, errors.New("broken " + secret)} {
		f := newFixture(t, &ingester{})
		f.want(f.do(httptest.NewRequest("POST", path, failing{err})), 400, "fail")
		f.lastLine(1, map[string]any{"outcome": "malformed", "reason": "short_body"})
		f.wantUnsaid(secret)
		if len(f.ingester.requests()) > 0 {
			t.Error("half a body reached the ingester")
		}
	}
}

// A client that hangs up in its body leaves one line behind and nothing else.
func TestSenderHangsUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{})
	conn := f.dial(f.listen())
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na=b", path)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // its status is enough
	if resp.StatusCode != 400 {
		t.Errorf("status %d", resp.StatusCode)
	}
	f.lastLine(1, map[string]any{"reason": "short_body", "bytes": 3.0})
}

// Two requests stand one behind the other on a connection. The second is
// answered where the first was read to its end, and is never read out of the
// middle of the first.
func TestPipelined(t *testing.T) {
	t.Parallel()
	form := func(headers, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body
	}
	good := form("Content-Length: 3\r\n", "a=b")
	smuggled := form("Content-Length: 8\r\n", "smuggled")
	large := fmt.Sprintf("Content-Length: %d\r\n", maxBody+len(smuggled))
	tests := []struct {
		name, first string
		statuses    []int
	}{
		{"after a success", good, []int{200, 200}},
		{"after a wrong method", "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{405, 200}},
		{"after a wrong Content-Type", form("Content-Type: application/json\r\nContent-Length: 2\r\n", "{}"), []int{400, 200}},
		{"after an unknown path", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b", []int{404, 200}},
		{"after a body that is too large", form(large, strings.Repeat("x", maxBody)+smuggled), []int{413}},
		{"after a broken chunk", form("Transfer-Encoding: chunked\r\n", "zz\r\n"+smuggled), []int{400}},
		{"with both lengths", form("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), []int{200, 200}}, // the chunks decide
		{"with two lengths", form("Content-Length: 3\r\nContent-Length: 4\r\n", "a=b"), []int{400}},
		{"after HTTP/1.0", strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1), []int{200}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, &ingester{})
			conn := f.dial(f.listen())
			go io.WriteString(conn, tt.first+good) //nolint:errcheck // the answers tell
			r := bufio.NewReader(conn)
			for i, want := range tt.statuses {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("answer %d: %v", i, err)
				}
				io.Copy(io.Discard, resp.Body) //nolint:errcheck // two words
				if resp.StatusCode != want {
					t.Errorf("answer %d: status %d, want %d", i, resp.StatusCode, want)
				}
				if len(tt.statuses) == 2 {
					continue
				}
				if rest, _ := io.ReadAll(r); len(rest) > 0 {
					t.Errorf("the connection goes on: %q", rest)
				}
			}
			for _, req := range f.ingester.requests() {
				if req.Body == "smuggled" {
					t.Error("a request was read out of the middle of another")
				}
			}
		})
	}
}

// What is over the limit by its own word is refused before it is sent.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{})
	conn := f.dial(f.listen())
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", path, maxBody+1)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // its status is enough
	if resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &ingester{})
	conn := f.dial(f.listen())
	go fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", path, strings.Repeat("x", 64<<10)) //nolint:errcheck // the answer tells
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // its status is enough
	if resp.StatusCode != 431 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// An operator sees whether the proxy's requests come as they should.
func TestNotPlainIsCounted(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fixture, m *memory) {
		c := f.client(m, "192.0.2.7")
		for i, request := range []string{whole, strings.Replace(whole, "HTTP/1.1", "HTTP/1.1\r\nTe: trailers", 1), strings.Replace(whole, "Host", "Pragma: x\r\nHost", 1)} {
			c.write(request)
			if status, _, _ := c.answer(); status != 200 {
				t.Errorf("status %d", status)
			}
			if n := f.series()["alipay_notify_not_plain_requests_total"]; n != float64(max(0, i-1)) {
				t.Errorf("%v counted behind %q", n, request)
			}
		}
	})
}
