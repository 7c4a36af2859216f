package verify_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// sentAt is when the notifications of these tests are sent.
var sentAt = time.Date(2024, 3, 9, 1, 2, 3, 456e6, time.UTC)

// Keys are made once for all tests: four of 2048 bits and one of 4096.
var (
	makeKeys   = sync.OnceValues(func() ([]*alipaytest.Key, error) { return generate(2048, verify.MaxKeys) })
	makeBigKey = sync.OnceValues(func() ([]*alipaytest.Key, error) { return generate(4096, 1) })
)

func generate(bits, n int) (keys []*alipaytest.Key, err error) {
	for range n {
		key, err := alipaytest.GenerateKey(bits)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func testKeys(tb testing.TB) []*alipaytest.Key {
	tb.Helper()
	keys, err := makeKeys()
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func bigKey(tb testing.TB) *alipaytest.Key {
	tb.Helper()
	keys, err := makeBigKey()
	if err != nil {
		tb.Fatal(err)
	}
	return keys[0]
}

// publicKeys reads the public halves back from PEM, as the receiver does.
func publicKeys(tb testing.TB, keys ...*alipaytest.Key) (out []verify.PublicKey) {
	tb.Helper()
	for _, key := range keys {
		public, err := verify.ParsePublicKey(key.PublicPEM())
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, public)
	}
	return out
}

func newVerifier(tb testing.TB, types []verify.SignType, keys ...*alipaytest.Key) *verify.Verifier {
	tb.Helper()
	v, err := verify.New(publicKeys(tb, keys...), types)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

var (
	rsa2 = []verify.SignType{verify.RSA2}
	both = []verify.SignType{verify.RSA2, verify.RSA}
)

// parse reads a body that must be a form.
func parse(tb testing.TB, body []byte) verify.Form {
	tb.Helper()
	form, err := verify.ParseForm(string(body))
	if err != nil {
		tb.Fatalf("%v: %q", err, body)
	}
	return form
}

// newForm makes a form of names and values in turn.
func newForm(tb testing.TB, namesAndValues ...string) verify.Form {
	tb.Helper()
	var fields []verify.Field
	for i := 0; i < len(namesAndValues); i += 2 {
		fields = append(fields, verify.Field{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	form, err := verify.NewForm(fields...)
	if err != nil {
		tb.Fatal(err)
	}
	return form
}

// fieldsOf is the way back.
func fieldsOf(form verify.Form) (fields []verify.Field) {
	for name, value := range form.All() {
		fields = append(fields, verify.Field{Name: name, Value: value})
	}
	return fields
}

// signed is a notification of the stand-in as it is posted. What it contains
// is the same in every run.
func signed(tb testing.TB, key *alipaytest.Key, how alipaytest.Signing, more ...alipaytest.Field) alipaytest.Form {
	tb.Helper()
	n, err := alipaytest.New("voucher.created", alipaytest.Options{
		Key: key, Signing: how, Time: sentAt, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range more {
		n.Set(f.Name, f.Value)
	}
	form, err := n.Form(sentAt)
	if err != nil {
		tb.Fatal(err)
	}
	return form
}

// sharedVectors reads vectors of other people's making into to: notifications
// of the real Alipay, and the tests of its own SDK. They are not part of the
// repository.
func sharedVectors(t *testing.T, name string, to any) {
	t.Helper()
	const variable = "ALIPAY_NOTIFY_SHARED"
	dir, set := os.LookupEnv(variable)
	if !set {
		t.Skipf("%s is not set: it names the folder that holds vectors/%s", variable, name)
	}
	if dir == "" {
		t.Fatalf("%s is set and empty", variable)
	}
	data, err := os.ReadFile(filepath.Join(dir, "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// listed reads a file of testdata with a name and a value on each line.
func listed(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[strings.TrimSuffix(k, ":")] = strings.TrimSpace(v)
	}
	return out
}
