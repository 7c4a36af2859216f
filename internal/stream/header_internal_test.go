package stream

import (
	"maps"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

// What one message has is never found on another, whatever came before.
func TestHeaderIsOfOneMessage(t *testing.T) {
	t.Parallel()
	var h header
	for i, names := range []string{"abc", "abc", "ab", "abd", "dba", "", "a", "a", "abcdefgh", "bcdefgh", "abc", "ab", "abc"} {
		want := make(nats.Header)
		h.begin()
		for _, name := range names {
			value := string(name) + string(rune('0'+i))
			want[string(name)] = []string{value}
			h.add(string(name), value)
		}
		if got := h.all(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("message %d, %q: got %v, want %v", i, names, got, want)
		}
	}
}
