package dedupe

import (
	"crypto/rand"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	token := rand.Text()
	tests := []struct {
		in   string
		want value
	}{
		{leaseValue(token, "fp"), value{kind: lease, token: token, fingerprint: "fp"}},
		{commitValue("fp", "1700000000:42"), value{kind: commit, fingerprint: "fp", place: "1700000000:42"}},
		{commitValue("fp", ""), value{kind: commit, fingerprint: "fp"}},
		{commitValue("fp", "\x00:\xff"), value{kind: commit, fingerprint: "fp", place: "\x00:\xff"}},
		{"", value{}},
		{"1", value{}},
		{"1L:", value{}},
		{"1L:token", value{}},
		{"1L::fp", value{}},
		{"1L:token:", value{}},
		{"1L:token:f:p", value{}},
		{"1L:to ken:fp", value{}},
		{"1C:fp", value{}},
		{"1C::place", value{}},
		{"1C:f p:place", value{}},
		{"1C:" + strings.Repeat("f", maxWord+1) + ":place", value{}},
		{"2C:fp:place", value{}},
		{"1c:fp:place", value{}},
		{" 1C:fp:place", value{}},
	}
	for _, tt := range tests {
		if got := decodeValue(tt.in); got != tt.want {
			t.Errorf("decodeValue(%q) = %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

// FuzzDecodeValue: what is readable is exactly what we would have written.
func FuzzDecodeValue(f *testing.F) {
	f.Add("1L:token:fp")
	f.Add("1C:fp:place:with:colons")
	f.Add("1C:fp:")
	f.Add("2L:token:fp")
	f.Fuzz(func(t *testing.T, s string) {
		v := decodeValue(s)
		again := ""
		switch v.kind {
		case unreadable:
			if v != (value{}) {
				t.Errorf("unreadable, and yet %+v", v)
			}
			return
		case lease:
			again = leaseValue(v.token, v.fingerprint)
		case commit:
			again = commitValue(v.fingerprint, v.place)
		}
		if again != s || v.fingerprint == "" {
			t.Errorf("%q reads as %+v, which writes %q", s, v, again)
		}
	})
}
