package alipaytest_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alipay-notify/internal/alipaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sentAt is when the notifications of these tests are sent first.
var sentAt = time.Date(2024, 3, 9, 1, 2, 3, 456e6, time.UTC)

// sharedKey spares every test but those about keys the making of one.
var sharedKey = sync.OnceValues(func() (*alipaytest.Key, error) { return alipaytest.GenerateKey(2048) })

func testKey(t *testing.T) *alipaytest.Key {
	t.Helper()
	key, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newNotification makes one that is the same in every run but for its key.
func newNotification(t *testing.T, typ string, opts alipaytest.Options) *alipaytest.Notification {
	t.Helper()
	opts.Key, opts.Time, opts.Rand = testKey(t), sentAt, rand.New(rand.NewPCG(1, 2))
	n, err := alipaytest.New(typ, opts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func signedForm(t *testing.T, n *alipaytest.Notification, at time.Time) alipaytest.Form {
	t.Helper()
	form, err := n.Form(at)
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func get(t *testing.T, f alipaytest.Form, name string) string {
	t.Helper()
	value, ok := f.Get(name)
	if !ok {
		t.Fatalf("the form has no %s: %v", name, f)
	}
	return value
}

// openssl runs the command line tool, whose word on signatures does not depend
// on any code of ours, nor on Go's.
func openssl(t *testing.T, stdin []byte, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		const text = "openssl is not on the PATH; it checks our signatures: install the package openssl"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// writeTemp puts content into a file of this test's.
func writeTemp(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// signedText rebuilds the signed string from a posted body with none of the
// package's code: net/url decodes, and the rule is spelled out again.
func signedText(t *testing.T, body []byte, signType string, rule alipaytest.Rule) string {
	t.Helper()
	values, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatal(err)
	}
	values.Del("sign")
	switch rule {
	case alipaytest.DropSignType:
		values.Del("sign_type")
	case alipaytest.InsertSignType:
		if values.Has("sign_type") {
			t.Error("sign_type is sent, although the rule is insert")
		}
		values.Set("sign_type", signType)
	}
	var pairs []string
	for name, all := range values {
		if len(all) != 1 {
			t.Errorf("%s is sent %d times", name, len(all))
		}
		pairs = append(pairs, name)
	}
	slices.Sort(pairs)
	for i, name := range pairs {
		pairs[i] = name + "=" + values.Get(name)
	}
	return strings.Join(pairs, "&")
}

// vectors reads a file with vectors of other people's making into to.
func vectors(t *testing.T, name string, to any) {
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
