package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
)

// serving is an alipaysim serve that runs.
type serving struct {
	base   string
	dir    string // with its keys
	stderr *announced
	stdout bytes.Buffer
	stop   func() int // ends it, and gives its exit code
}

// announced is a stderr that tells when the first lines are written.
type announced struct {
	mu   sync.Mutex
	text bytes.Buffer
	said chan struct{}
	once sync.Once
}

func (a *announced) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.once.Do(func() { close(a.said) })
	return a.text.Write(p)
}

func (a *announced) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// startServe runs serve on a port of the kernel's choice, with keys of its own.
func startServe(t *testing.T, args ...string) *serving {
	t.Helper()
	s := &serving{dir: keyDir(t), stderr: &announced{said: make(chan struct{})}}
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--time-scale", "1e6", "--key", filepath.Join(s.dir, alipayPrivateKey),
		"--app-key", filepath.Join(s.dir, appPublicKey)}, args...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, args, &s.stdout, s.stderr, nil)
	}()
	s.stop = sync.OnceValue(func() int { cancel(); return <-ended })
	t.Cleanup(func() { s.stop() })
	select {
	case <-s.stderr.said:
	case code := <-ended:
		t.Fatalf("exit %d: %s", code, s.stderr)
	}
	at := regexp.MustCompile(`at (http://[0-9.:]+),`).FindStringSubmatch(s.stderr.String())
	if at == nil {
		t.Fatalf("it does not say where it listens: %s", s.stderr)
	}
	s.base = at[1]
	return s
}

// call is a v3 call, signed as the default app.
func (s *serving) call(t *testing.T, method, uri, body string) (int, string) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, appPrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	key, err := alipaytest.ParsePrivatePEM(pem)
	if err != nil {
		t.Fatal(err)
	}
	auth := fmt.Sprintf("app_id=%s,nonce=%d,timestamp=%d", alipaytest.DefaultAppID, time.Now().UnixNano(), time.Now().UnixMilli())
	sign, err := key.SignBytes([]byte(auth+"\n"+method+"\n"+uri+"\n"+body+"\n"), alipaytest.RSA2)
	if err != nil {
		t.Fatal(err)
	}
	return s.ask(t, method, uri, body, "ALIPAY-SHA256withRSA "+auth+",sign="+sign)
}

func (s *serving) ask(t *testing.T, method, uri, body, auth string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.base+uri, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", auth)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

const openCard = `{"out_serial_no":"o1","card_template_id":"` + platform.DefaultTemplateID + `",` +
	`"card_user_info":{"user_uni_id_type":"UID","user_uni_id":"2088000000000001"},"card_ext_info":{"external_card_no":"E1"}}`

// journal reads what serve wrote.
func journal(t *testing.T, text string) (entries []platform.Entry, counts map[string]int) {
	t.Helper()
	counts = map[string]int{}
	for line := range strings.Lines(text) {
		var e platform.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		entries = append(entries, e)
		counts[e.What]++
	}
	return entries, counts
}

// TestServe opens a card; the receiver, which fails twice, is told of it.
func TestServe(t *testing.T) {
	t.Parallel()
	acknowledged := make(chan struct{})
	e := newEndpoint(t, func(form url.Values, nth int) (int, string) {
		status, body := failsTwice(form, nth)
		if body == "success" {
			close(acknowledged)
		}
		return status, body
	})
	s := startServe(t, "--url", e.URL, "--seed", "7")
	status, body := s.call(t, "POST", "/v3/alipay/marketing/card/open", openCard)
	if status != http.StatusOK || !strings.Contains(body, `"biz_card_no"`) {
		t.Fatalf("%d %s", status, body)
	}
	<-acknowledged
	if status, body := s.ask(t, "GET", "/_sim/journal?what=caused", "", ""); status != http.StatusOK || strings.Count(body, "\n") != 1 {
		t.Errorf("%d %s", status, body)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	entries, counts := journal(t, s.stdout.String())
	if counts["call"] != 1 || counts["caused"] != 1 || counts["attempt"] != 3 || counts["given_up"] != 0 {
		t.Errorf("journal %v", counts)
	}
	id := ""
	for _, line := range entries {
		if line.What == "caused" {
			id = line.NotifyID
		}
	}
	if len(e.bodies[id]) != 3 {
		t.Errorf("%s was delivered %d times", id, len(e.bodies[id]))
	}
	want := `^alipaysim: the open platform is at http://127\.0\.0\.1:\d+, with seed 7; notifications go to ` + regexp.QuoteMeta(e.URL) +
		`\nTry: openapi: \{ base_url: "http://127\.0\.0\.1:\d+" \} .*\nalipaysim: stopped; 1 calls; 1 notifications: [01] acknowledged, 0 dropped, 0 given up, [01] interrupted\n$`
	if !regexp.MustCompile(want).MatchString(s.stderr.String()) {
		t.Errorf("stderr:\n%s", s.stderr)
	}
}

// TestServeMisbehavesOnRequest: flags reach the platform, and the journal its file.
func TestServeMisbehavesOnRequest(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "journal.ndjson")
	s := startServe(t, "--journal", file, "--drop", "1", "--api-fault", "throttle=1")
	if status, body := s.call(t, "POST", "/v3/alipay/marketing/card/open", openCard); status != http.StatusTooManyRequests {
		t.Errorf("%d %s", status, body)
	}
	s.ask(t, "DELETE", "/_sim/faults", "", "")
	if status, body := s.call(t, "POST", "/v3/alipay/marketing/card/open", openCard); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if status, body := s.ask(t, "GET", "/v3/alipay/x", "", "none"); status != http.StatusBadRequest || !strings.Contains(body, "invalid-signature-type") {
		t.Errorf("%d %s", status, body)
	}
	dropped := func() bool {
		_, body := s.ask(t, "GET", "/_sim/journal?what=dropped", "", "")
		return body != ""
	}
	for !dropped() {
		if t.Context().Err() != nil {
			t.Fatal("nothing was dropped")
		}
	}
	if code := s.stop(); code != 0 || s.stdout.Len() != 0 {
		t.Errorf("exit %d, stdout %s", code, &s.stdout)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, counts := journal(t, string(text)); counts["call"] != 3 || counts["dropped"] != 1 || counts["attempt"] != 0 {
		t.Errorf("journal %v", counts)
	}
}

// TestServeCertificateMode: the three certificates are read, and what answers
// name is Alipay's.
func TestServeCertificateMode(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		const text = "openssl is not on the PATH; it makes the certificate: install the package openssl"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	dir := keyDir(t)
	cert := filepath.Join(dir, "app.crt")
	out, err := exec.Command("openssl", "req", "-x509", "-new", "-key", filepath.Join(dir, appPrivateKey), "-sha256", "-days", "30",
		"-subj", "/CN=x", "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := serveOptions{listen: defaultListen, url: defaultURL, key: filepath.Join(dir, alipayPrivateKey), appCerts: []string{"2021000000000009=" + cert},
		alipayCert: cert, rootCert: cert, aesKeys: []string{"2021000000000009=" + filepath.Join(dir, aesKeyFile)}, encrypt: true}
	c, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Apps[0]; len(c.Apps) != 1 || a.ID != "2021000000000009" || len(a.AESKey) != 16 || !a.Encrypt {
		t.Errorf("apps %+v", c.Apps)
	}
	p, err := platform.New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

func TestServeSeveralApps(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("token"), []byte("t1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := serveOptions{key: in(alipayPrivateKey), appKeys: []string{in(appPublicKey), "2021000000000002=" + in(alipayPublicKey)},
		authTokens: []string{"2021000000000002=" + in("token")}}
	c, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Apps) != 2 || c.Apps[0].ID != alipaytest.DefaultAppID || c.Apps[1].ID != "2021000000000002" || c.Apps[1].AuthToken != "t1" ||
		c.Apps[0].AuthToken != "" || c.Apps[0].Public.Equal(c.Apps[1].Public) {
		t.Errorf("apps %+v", c.Apps)
	}
}

// TestServeStaysOnThisMachine unless it is told otherwise.
func TestServeStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{":0", "0.0.0.0:0", "192.0.2.1:80", "[::]:0", "example.com:80"} {
		got := runLine(t.Context(), "serve", "--listen", listen)
		if got.code != 3 || got.stdout != "" || !strings.Contains(got.stderr, "other machines would reach it") {
			t.Errorf("%s: %+v", listen, got)
		}
	}
	for _, listen := range []string{"localhost:0", "[::1]:0", "127.0.0.2:0"} {
		o := serveOptions{listen: listen, url: defaultURL, timeScale: 1, operationDelay: 1}
		if err := o.check(serveCommand().Flags()); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	o := serveOptions{listen: "0.0.0.0:0", url: defaultURL, timeScale: 1, operationDelay: 1, allowRemote: true}
	if err := o.check(serveCommand().Flags()); err != nil {
		t.Error(err)
	}
}

func TestServePortInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := keyDir(t)
	got := runLine(t.Context(), "serve", "--listen", taken.Addr().String(), "--key", filepath.Join(dir, alipayPrivateKey),
		"--app-key", filepath.Join(dir, appPublicKey))
	if got.code != 1 || !strings.HasSuffix(got.stderr, "address already in use\nTry: alipaysim serve --listen 127.0.0.1:0\n") {
		t.Errorf("%+v", got)
	}
}
