package plainhttp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var base = &http.Request{Method: "POST", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

const plain = "POST /alipay/notify HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: Mozilla/4.0\r\n" +
	"Content-Type: application/x-www-form-urlencoded; charset=GBK\r\nContent-Length: 7\r\nconnection: Keep-Alive\r\n" +
	"X-Forwarded-For:192.0.2.7, 198.51.100.2 \r\nX-Empty:\r\n\r\na=b&c=d"

func TestPlainIsWhole(t *testing.T) {
	t.Parallel()
	b := []byte(plain)
	r, is := parse(base, used(), b)
	if is != whole {
		t.Fatalf("it is %v", is)
	}
	clear(b) // which is read into again while the request is at work
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "a=b&c=d" {
		t.Errorf("body %q, %v", body, err)
	}
	sameAsNetHTTP(t, []byte(plain), r)
}

// What is added to one field is not in another.
func TestFieldsAreApart(t *testing.T) {
	t.Parallel()
	r, is := parse(base, used(), []byte(plain))
	if is != whole {
		t.Fatalf("it is %v", is)
	}
	want := r.Header.Clone()
	for name := range want {
		r.Header.Add(name, "more")
		want.Add(name, "more")
	}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Error(diff)
	}
}

// Every part of a plain request may become one, and no part of it is taken for one.
func TestPartIsPartial(t *testing.T) {
	t.Parallel()
	for n := range len(plain) {
		if _, is := parse(base, used(), []byte(plain[:n])); is != partial {
			t.Errorf("%q is %v", plain[:n], is)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	change := func(old, replacement string) string {
		if !strings.Contains(plain, old) {
			t.Fatalf("%q is not in it", old)
		}
		return strings.Replace(plain, old, replacement, 1)
	}
	for name, text := range map[string]string{
		"another method":           change("POST", "PUT"),
		"lower case":               change("POST", "post"),
		"HTTP/1.0":                 change("HTTP/1.1", "HTTP/1.0"),
		"no version":               change(" HTTP/1.1", ""),
		"two spaces":               change("POST ", "POST  "),
		"whole URL":                change("/alipay", "http://example.com/alipay"),
		"two slashes":              change("/alipay", "//alipay"),
		"escaped":                  change("/notify", "/noti%66y"),
		"empty query":              change("/notify", "/notify?"),
		"fragment":                 change("/notify", "/notify#a"),
		"no Host":                  change("Host:", "Hosts:"),
		"empty Host":               change("example.com:8080", ""),
		"two Hosts":                change("User-Agent:", "host:"),
		"odd Host":                 change("example.com", "user@example.com"),
		"no length":                change("Content-Length", "Length"),
		"no length, no body":       strings.TrimSuffix(change("Content-Length", "Length"), "a=b&c=d"),
		"two lengths":              change("X-Empty:", "Content-Length: 7"),
		"length with a sign":       change(": 7", ": +7"),
		"length with a zero":       change(": 7", ": 07"),
		"length in another system": change(": 7", ": 0x7"),
		"two lengths in one":       change(": 7", ": 7, 7"),
		"length that overflows":    change(": 7", ": 18446744073709551623"),
		"nothing":                  strings.TrimSuffix(change(": 7", ": 0"), "a=b&c=d"),
		"chunked":                  change("X-Empty:", "Transfer-Encoding: chunked"),
		"chunked in lower case":    change("X-Empty:", "transfer-encoding: chunked"),
		"expects":                  change("X-Empty:", "Expect: 100-continue"),
		"upgrades":                 change("X-Empty:", "Upgrade: h2c"),
		"trailer":                  change("X-Empty:", "Trailer: X"),
		"pragma":                   change("X-Empty:", "Pragma: no-cache"),
		"closes":                   change("Keep-Alive", "close"),
		"twice":                    change("X-Empty:", "user-agent: x"),
		"space before the colon":   change("X-Empty:", "X-Empty :"),
		"no name":                  change("X-Empty:", ":"),
		"no colon":                 change("X-Empty:", "X-Empty"),
		"continued":                change("X-Empty:\r\n", "X-Empty: a\r\n b\r\n"),
		"LF alone":                 change("Mozilla/4.0\r\n", "Mozilla/4.0\n"),
		"CR more":                  change("X-Empty:", "X-Empty: a\r"),
		"CR alone":                 change("X-Empty:", "X-Empty: a\rb"),
		"NUL":                      change("X-Empty:", "X-Empty: \x00"),
		"tab":                      change("X-Empty:", "X-Empty: a\tb"),
		"not ASCII":                change("X-Empty:", "X-Empty: \xe4"),
		"two requests":             plain + plain,
		"a byte behind":            plain + "\n",
		"a line before":            "\r\n" + plain,
		"too long":                 change(": 7", ": 8192"),
		"too many fields":          change("X-Empty:\r\n", manyFields(mostFields-5)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, is := parse(base, used(), []byte(text)); is != foreign {
				t.Errorf("it is %v", is)
			}
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: b\r\n", i)
	}
	return b.String()
}

// used are parts of which another request was made before, with everything that one
// may have: nothing of it may be found in the next.
func used() *parts {
	made := new(parts)
	text := strings.Replace(plain, "X-Empty:\r\n", "X-Empty:\r\nCookie: a=b\r\nTe: trailers\r\nContent-Encoding: gzip\r\n"+manyFields(mostFields-10), 1)
	text = strings.Replace(text, "/notify ", "/notify/before?c=d ", 1)
	if r, is := parse(base, made, []byte(text)); is != whole || len(r.Header) != mostFields-1 {
		panic(fmt.Sprintf("%v, %d fields", is, len(r.Header)))
	}
	io.ReadAll(made.Body) //nolint:errcheck,gosec // it cannot fail
	return made
}

// As many fields as there may be are read, more than most heads have.
func TestManyFields(t *testing.T) {
	t.Parallel()
	for n := range mostFields - 5 { // it has six more
		text := []byte(strings.Replace(plain, "X-Empty:\r\n", manyFields(n), 1))
		r, is := parse(base, used(), text)
		if is != whole {
			t.Fatalf("with %d more it is %v", n, is)
		}
		sameAsNetHTTP(t, text, r)
	}
}

// Whatever byte stands wherever, what is read here net/http reads the same.
func TestEachByte(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"otify HTTP", " HTTP/1.1", "ost:", "example", ":8080", "\r\nUser-Agent", "er-Agent", ": Mozilla", "ozilla", "\r\nContent-L", "7\r\n", "Keep-A", "\r\n\r\n", "a=b&"} {
		for c := range 256 {
			text := []byte(strings.Replace(plain, place, string([]byte{byte(c)})+place, 1))
			if r, is := parse(base, used(), text); is == whole {
				sameAsNetHTTP(t, text, r)
			}
		}
	}
}

// sameAsNetHTTP checks that net/http reads the same request from these bytes, and
// reads them to the last.
func sameAsNetHTTP(t *testing.T, b []byte, got *http.Request) {
	t.Helper()
	from := bufio.NewReader(bytes.NewReader(b))
	want, err := http.ReadRequest(from)
	if err != nil {
		t.Fatalf("net/http refuses it: %v", err)
	}
	body, err := io.ReadAll(want.Body)
	if err != nil {
		t.Fatalf("net/http refuses its body: %v", err)
	}
	if rest, _ := io.ReadAll(from); len(rest) > 0 {
		t.Errorf("net/http leaves %q", rest)
	}
	whole, ok := got.Body.(*Body)
	if !ok {
		t.Fatalf("body is a %T", got.Body)
	}
	if diff := cmp.Diff(string(body), whole.Whole()); diff != "" {
		t.Errorf("body (-net/http +here):\n%s", diff)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(http.Request{}, "Body"), cmpopts.IgnoreUnexported(http.Request{})); diff != "" {
		t.Errorf("request (-net/http +here):\n%s", diff)
	}
}

// A connection that is handed over keeps nothing of what was read of it before: it
// may live for hours, and one had 8 KiB each.
func TestNothingIsKeptOfWhatWasHandedOver(t *testing.T) {
	t.Parallel()
	b := &begun{read: []byte("abc")}
	for _, want := range []string{"ab", "c"} {
		p := make([]byte, 2)
		if n, err := b.Read(p); err != nil || string(p[:n]) != want {
			t.Errorf("%q, %v; want %q", p[:n], err, want)
		}
	}
	if b.read != nil {
		t.Errorf("%d bytes are kept", cap(b.read))
	}
}

// FuzzParse holds what makes it safe to read requests here at all: what is read here
// net/http reads the same, and each shorter part of it is no request yet.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(strings.Replace(plain, "/notify", "/notify/2021?a=b&c=d", 1)))
	f.Add([]byte(strings.Replace(plain, "Keep-Alive", "close", 1)))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 1\r\n\r\n\x00"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\ncookie: a=b\r\nTe: trailers\r\nVia: 1.1 x\r\nContent-Length: 1\r\n\r\na"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\r\nContent-Length: 1\r\n\r\na"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, is := parse(base, used(), b)
		if is != whole {
			return
		}
		sameAsNetHTTP(t, b, r)
		for _, n := range []int{len(b) - 1, len(b) / 2, 1} {
			if _, is := parse(base, used(), b[:n]); is == whole {
				t.Errorf("%q is a request before its end", b[:n])
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(strings.Replace(plain, ": 7\r\n", ": 907\r\n", 1) + strings.Repeat("x", 900))
	made := used()
	b.ReportAllocs()
	for b.Loop() {
		if _, is := parse(base, made, text); is != whole {
			b.Fatal(is)
		}
	}
}

func BenchmarkNetHTTP(b *testing.B) {
	text := []byte(strings.Replace(plain, ": 7\r\n", ": 907\r\n", 1) + strings.Repeat("x", 900))
	body := make([]byte, 907)
	from := bufio.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		from.Reset(bytes.NewReader(text))
		r, err := http.ReadRequest(from)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r.Body, body); err != nil {
			b.Fatal(err)
		}
	}
}
