package events_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

func quoteJSON(t testing.TB, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// noise makes bodies that do not compress: of form bytes, or of any bytes.
func noise(r *rand.Rand, n int, printable bool) []byte {
	b := make([]byte, n)
	for i := range b {
		if printable {
			b[i] = byte(0x21 + r.IntN(0x7e-0x21+1))
		} else {
			b[i] = byte(r.IntN(256))
		}
	}
	if n > 0 && !printable {
		b[0] = 0
	}
	return b
}

func TestRawEncodings(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	every := make([]byte, 0x7e-0x21+1)
	for i := range every {
		every[i] = byte(0x21 + i)
	}
	tests := map[string]struct {
		raw      []byte
		encoding string
	}{
		"nothing":                       {nil, ""},
		"a form":                        {message(created, `{"activity_id":"1 中"}`).Encode(), ""},
		"every byte that stays":         {every, ""},
		"a space":                       {[]byte("a=b c"), "base64"},
		"a line break":                  {[]byte("a=b\r\n"), "base64"},
		"DEL":                           {[]byte("a\x7f"), "base64"},
		"every byte":                    {noise(r, 4096, false), "base64"},
		"large, of form bytes":          {noise(r, 50<<10, true), ""},
		"large, of any bytes":           {noise(r, 40<<10, false), "base64"},
		"larger, compressible form":     {[]byte(strings.Repeat("biz_content=%7B%22a%22", 8<<10)), "gzip+base64"},
		"larger, compressible bytes":    {[]byte(strings.Repeat("biz_content={\"a\" ", 8<<10)), "gzip+base64"},
		"the largest body, all letters": {[]byte(strings.Repeat("a", 256<<10)), "gzip+base64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, message(created, `{"activity_id":"1"}`))
			e.Raw = string(tt.raw)
			h, err := e.Header()
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := h[events.HeaderRawEncoding]; got != tt.encoding || ok != (tt.encoding != "") {
				t.Errorf("encoding %q, want %q", got, tt.encoding)
			}
			switch tt.encoding {
			case "":
				if h[events.HeaderRaw] != string(tt.raw) {
					t.Error("not verbatim")
				}
			case "base64":
				if h[events.HeaderRaw] != base64.StdEncoding.EncodeToString(tt.raw) {
					t.Error("not the base64 of it")
				}
			}
			checkReadsBack(t, e)
		})
	}
}

func TestRawTooLarge(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	for _, printable := range []bool{true, false} {
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.Raw = string(noise(r, 256<<10, printable))
		wantFault(t, e.CheckSize(), fault.TooLarge, "raw_too_large")
		if _, err := e.Header(); err == nil {
			t.Error("Header took it")
		}
	}
	e := event(t, message(created, `{"activity_id":`+quoteJSON(t, strings.Repeat("k", 70<<10))+`}`))
	e.Raw = ""
	wantFault(t, e.CheckSize(), fault.TooLarge, "raw_too_large")
}

// CheckSize is asked before the claim, Header answers after it. Around the
// limit the two agree to the byte, for the event as it was and for all that a
// claim can make of it.
//
// Header once counted what a conflict adds a second time when the event was in
// conflict already: a request within 27 bytes of the limit passed CheckSize and
// then could be neither stored nor refused for good.
func TestCheckSizeAgreesWithHeader(t *testing.T) {
	t.Parallel()
	for name, printable := range map[string]bool{"form bytes": true, "any bytes": false} {
		for what, key := range map[string]string{"a short key": `"1"`, "a key that grows": `"` + strings.Repeat("券", 900) + `"`} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				base := event(t, message(created, `{"activity_id":`+key+`}`))
				body := noise(rand.New(rand.NewPCG(9, 9)), 64<<10, printable)
				fits := func(n int) bool {
					e := base
					e.Raw = string(body[:n])
					return e.CheckSize() == nil
				}
				low, high := 1, len(body)
				for low+1 < high {
					if mid := (low + high) / 2; fits(mid) {
						low = mid
					} else {
						high = mid
					}
				}
				if low < 30<<10 || low > 60<<10 {
					t.Errorf("the limit is at %d", low)
				}
				// 27 bytes are what a conflict adds, 19 the dedupe header.
				for _, off := range []int{-60, -46, -28, -27, -26, -19, -2, -1, 0, 1, 2, 19, 26, 27, 28, 46} {
					base.Raw = string(body[:low+off])
					checkAgreement(t, base)
				}
			})
		}
	}
}

func checkAgreement(t *testing.T, e events.Event) {
	t.Helper()
	unasked := e
	unasked.Unasked = true
	fits := e.CheckSize() == nil
	for name, v := range map[string]events.Event{
		"as it is": e, "unasked": unasked, "conflict": e.AsConflict(), "both": unasked.AsConflict(),
	} {
		h, err := v.Header()
		if (err == nil) != fits {
			t.Errorf("%d bytes, %s: CheckSize says %v, Header %v", len(e.Raw), name, fits, err)
		}
		if err == nil {
			checkHeader(t, h)
		}
		if (v.CheckSize() == nil) != fits {
			t.Errorf("%d bytes, %s: CheckSize differs", len(e.Raw), name)
		}
	}
}

// Where CheckSize does not look closely, Header takes everything.
func TestCheckSizeShortcut(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(10, 10))
	for range 100 {
		e := event(t, message(created, `{"activity_id":"1"}`))
		e.Raw = string(noise(r, r.IntN(50<<10), r.IntN(2) == 0))
		e.Key = strings.Repeat("券", 1+r.IntN(1500))
		e.DecodeError = strings.Repeat(" ", r.IntN(500))
		checkAgreement(t, e)
	}
}

// A stored request that unpacks to more than can be meant was cut silently, and
// the first part of it passed for the whole.
func TestRawBomb(t *testing.T) {
	t.Parallel()
	unpack := func(n int) (string, error) {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		for chunk := make([]byte, 1<<20); n > 0; n -= len(chunk) {
			if _, err := zip.Write(chunk[:min(n, len(chunk))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		h := map[string]string{events.HeaderRaw: base64.StdEncoding.EncodeToString(b.Bytes()), events.HeaderRawEncoding: "gzip+base64"}
		e, err := events.ParseHeader(func(name string) string { return h[name] }, "", nil)
		return e.Raw, err
	}
	if raw, err := unpack(64 << 20); err != nil || len(raw) != 64<<20 {
		t.Errorf("the largest: %d bytes, %v", len(raw), err)
	}
	if raw, err := unpack(64<<20 + 1); err == nil || raw != "" {
		t.Errorf("one byte more: %d bytes, %v", len(raw), err)
	}
}

// A request is kept as it is where every byte of it may stand in a header. They are
// looked at eight at a time, so each value is tried at each place, beside neighbours
// of both ends of the range.
func TestEveryByteOfTheRequestIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, neighbour := range []byte{0x21, 0x7e} {
		for size := 1; size <= 17; size++ {
			raw := bytes.Repeat([]byte{neighbour}, size)
			for at := range raw {
				for c := range 256 {
					raw[at] = byte(c)
					verbatim := c >= 0x21 && c <= 0x7e
					e := events.Event{AppID: "1", ID: "a", Fingerprint: "f", Raw: string(raw)}
					h, err := e.Header()
					if err != nil {
						t.Fatal(err)
					}
					if (h[events.HeaderRawEncoding] == "") != verbatim {
						t.Fatalf("%#x at %d of %d: encoding %q", c, at, size, h[events.HeaderRawEncoding])
					}
				}
				raw[at] = neighbour
			}
		}
	}
}
