package openapi_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time of these tests: that of vectors.json.
var now = time.UnixMilli(1709946123456)

// Two keys, made once: the app's and Alipay's.
var keys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
	app, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return [2]*rsa.PrivateKey{}, err
	}
	alipay, err := rsa.GenerateKey(rand.Reader, 2048)
	return [2]*rsa.PrivateKey{app, alipay}, err
})

func appKey(tb testing.TB) *rsa.PrivateKey    { return pair(tb)[0] }
func alipayKey(tb testing.TB) *rsa.PrivateKey { return pair(tb)[1] }

func pair(tb testing.TB) [2]*rsa.PrivateKey {
	tb.Helper()
	both, err := keys()
	if err != nil {
		tb.Fatal(err)
	}
	return both
}

const (
	appID = "2021000000000001"
	token = "201510BBaabdb44d8fd04607abf8d5931ec75D84" // of Alipay's documents
	user  = "2088302463082075"
)

// clock is a clock that moves when somebody sleeps, and only then.
type clock struct {
	mu    sync.Mutex
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := now
	for _, d := range c.slept {
		at = at.Add(d)
	}
	return at
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept = append(c.slept, d)
	return context.Cause(ctx)
}

// config is one that works but for where to ask. Nobody waits for time to pass.
func config(tb testing.TB) openapi.Config {
	tb.Helper()
	c := &clock{}
	return openapi.Config{
		AppID: appID, PrivateKey: appKey(tb), AlipayKeys: []openapi.AlipayKey{{ID: "alipay-1", Key: &alipayKey(tb).PublicKey}},
		Now: c.Now, Sleep: c.Sleep,
		FromGBK: simplifiedchinese.GBK.NewDecoder().Bytes, Rate: 1e9,
	}
}

// client makes a client of that configuration, changed by edit.
func client(tb testing.TB, edit func(*openapi.Config)) *openapi.Client {
	tb.Helper()
	cfg := config(tb)
	edit(&cfg)
	c, err := openapi.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// against makes a client of a server that answers by handler.
func against(tb testing.TB, handler http.HandlerFunc, edits ...func(*openapi.Config)) *openapi.Client {
	tb.Helper()
	s := httptest.NewServer(handler)
	tb.Cleanup(s.Close)
	return client(tb, func(cfg *openapi.Config) {
		cfg.BaseURL = s.URL
		for _, edit := range edits {
			edit(cfg)
		}
	})
}

// sign is RSA2, by the standard library.
func sign(tb testing.TB, key *rsa.PrivateKey, text string) string {
	tb.Helper()
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		tb.Error(err) // handlers run beside the test: no Fatal
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// answerV3 signs a body as Alipay does, and sends it.
func answerV3(tb testing.TB, w http.ResponseWriter, status int, body string) {
	tb.Helper()
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	w.Header().Set("alipay-timestamp", stamp)
	w.Header().Set("alipay-nonce", "n")
	w.Header().Set("alipay-trace-id", "trace-1")
	w.Header().Set("alipay-signature", sign(tb, alipayKey(tb), stamp+"\nn\n"+body+"\n"))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// answerV2 signs a node as Alipay does, and sends it.
func answerV2(tb testing.TB, w http.ResponseWriter, name, node string) {
	tb.Helper()
	w.Header().Set("Content-Type", "text/html;charset=UTF-8") // so does Alipay
	w.Header().Set("trace_id", "trace-2")
	fmt.Fprintf(w, `{"%s":%s,"sign":"%s"}`, name, node, sign(tb, alipayKey(tb), node))
}

// fails wants an *Error of a kind.
func fails(tb testing.TB, err error, kind openapi.Kind) *openapi.Error {
	tb.Helper()
	e := openapi.As(err)
	if e == nil || e.Kind != kind {
		tb.Fatalf("got %v, want an error of the kind %s", err, kind)
	}
	return e
}

// roundTripper answers without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// via makes requests go to f.
func via(f roundTripper) func(*openapi.Config) {
	return func(cfg *openapi.Config) { cfg.HTTP = &http.Client{Transport: f} }
}

// canned is an answer without a network.
func canned(status int, header http.Header, body []byte) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(&reader{b: body}), ContentLength: int64(len(body))}
}

type reader struct{ b []byte }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// testdata reads a JSON file of testdata.
func testdata(tb testing.TB, name string, to any) {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// shared reads a JSON file of the team's material beside the repository.
func shared(tb testing.TB, name string, to any) {
	tb.Helper()
	const variable = "ALIPAY_NOTIFY_SHARED"
	dir, set := os.LookupEnv(variable)
	if !set {
		tb.Skipf("%s is not set: it names the folder that holds %s", variable, name)
	}
	if dir == "" {
		tb.Fatalf("%s is set and empty", variable)
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
