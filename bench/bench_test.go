//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBodiesVerify: the peers must have real work to do, and what one contender
// takes the others must take, too.
func TestBodiesVerify(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := writePublicKey(file, &key.PublicKey); err != nil {
		t.Fatal(err)
	}
	a, err := newPeer(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := signedBody(key, 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(body) < 800 || len(body) > 1200 {
		t.Errorf("a body of %d bytes, want about 1 KB", len(body))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := indexOf(form.Get("notify_id")); i != 7 || err != nil {
		t.Errorf("indexOf = %d, %v", i, err)
	}
	check := func(want bool) {
		t.Helper()
		if err := verifyMessage(&key.PublicKey, form); (err == nil) != want {
			t.Errorf("floor: %v, want verified %v", err, want)
		}
		if err := a.verify(t.Context(), form); (err == nil) != want {
			t.Errorf("afternoon: %v, want verified %v", err, want)
		}
	}
	check(true)
	form.Set("utc_timestamp", "1")
	check(false)
}

// newPeer is an afternoon handler that is connected to nothing.
func newPeer(keyFile string) (*afternoon, error) {
	key, err := readPublicKey(keyFile)
	if err != nil {
		return nil, err
	}
	client, err := newAlipay(keyFile)
	return &afternoon{client: client, messages: messageSigner(key)}, err
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		status         int
		success, reuse bool
		ok             bool
	}{
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess":                                    {200, true, true, true},
		"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nConnection: close\r\n\r\nfail": {503, false, false, true},
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfail":                                       {200, false, true, true},
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n\r\nsuccess":                   {503, false, true, true},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nsuccess\r\n0\r\n\r\n":         {},
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsucc":                                       {},
		"SSH-2.0-OpenSSH\r\n": {},
	} {
		status, success, reuse, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if (err == nil) != want.ok || want.ok && (status != want.status || success != want.success || reuse != want.reuse) {
			t.Errorf("%q: %d, %v, %v, %v", text, status, success, reuse, err)
		}
	}
}

// TestRecovery: 10 requests in every window of 100 ms, half a second of trouble
// after the load has dropped at 3 s.
func TestRecovery(t *testing.T) {
	t.Parallel()
	g := &generator{phases: []phase{{100, time.Second}, {200, 2 * time.Second}, {100, 2 * time.Second}}}
	for due := time.Duration(0); due < 5*time.Second; due += 10 * time.Millisecond {
		s := shot{due: due, done: due + time.Millisecond, answer: accepted}
		switch {
		case due >= 3*time.Second && due < 3200*time.Millisecond:
			s.answer = 503
		case due >= 3200*time.Millisecond && due < 3500*time.Millisecond:
			s.done = due + time.Second
		}
		g.shots = append(g.shots, s)
	}
	if got := g.recovery(); got != 500 {
		t.Errorf("recovery after %v ms, want 500", got)
	}
	for i := range g.shots {
		if i%5 == 0 {
			g.shots[i].answer = timedOut
		}
	}
	if got := g.recovery(); got != -1 {
		t.Errorf("recovery after %v ms although requests are lost to the end, want -1", got)
	}
}

func TestPhaseResult(t *testing.T) {
	t.Parallel()
	g := &generator{phases: []phase{{0, time.Second}, {0, time.Second}}, cpu: make([]time.Duration, 3)}
	for i := range 100 {
		done := time.Second + time.Duration(i)*10*time.Millisecond
		g.shots = append(g.shots, shot{due: done - time.Duration(i+1)*time.Millisecond, done: done, answer: accepted})
	}
	g.shots = append(g.shots, shot{due: time.Second, done: 1500 * time.Millisecond, answer: 503}, shot{})
	p := g.result().Phases[measured]
	if p.Accepted != 100 || p.Answers["status 503"] != 1 || len(p.Answers) != 2 {
		t.Errorf("answers %v, accepted %d", p.Answers, p.Accepted)
	}
	if l := p.Latency; l.P50 != 50_000 || l.P99 != 99_000 || l.Max != 100_000 {
		t.Errorf("latency %+v", l)
	}
}

// TestTally: what must never be is found.
func TestTally(t *testing.T) {
	t.Parallel()
	c := tally("ssf?.s", map[int]int{0: 1, 2: 1, 3: 1, 5: 2})
	if c.Success != 3 || c.Lost != 1 || c.Twice != 1 || c.Refused != 1 || c.Unknown != 1 || c.Stored != 5 {
		t.Errorf("%+v", c)
	}
	if c.wrong() == nil {
		t.Error("a lost notification is not wrong")
	}
	if err := tally("sf", map[int]int{0: 1}).wrong(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Setenv("DURATION", "7s")
	t.Setenv("CONNS", "2,4")
	o, err := parseOptions("run", []string{"-conns", "8"})
	if err != nil || o.duration != 7*time.Second || len(o.conns) != 1 || o.conns[0] != 8 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-conns", "0"}, {"-contenders", "a,q"}, {"-others", "1,2,3,4"}} {
		if _, err := parseOptions("run", args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// TestPrint: a table with contenders left out, and with nothing measured yet,
// must not end in a panic after twelve minutes of work.
func TestPrint(t *testing.T) {
	t.Parallel()
	b := &bench{options: options{conns: []int{1, 64}, contenders: []string{"a", "d"}}}
	b.cells = []cell{{Contender: "a", Conns: 64, Rate: 50}, {Contender: "d", Conns: 64, Rate: 100}}
	var out bytes.Buffer
	b.print(&out)
	if text := out.String(); !strings.Contains(text, "(a)/(d) throughput           0.50 (0.50 to 0.50)") || strings.Contains(text, "(a)/(c)") {
		t.Error(text)
	}
}
