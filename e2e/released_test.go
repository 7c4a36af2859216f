//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"testing"
)

// TestReleasedHasNoFaultPoints: whoever can set an environment variable must not
// be able to end a receiver of production at its worst moment, or make it lie.
func TestReleasedHasNoFaultPoints(t *testing.T) {
	t.Parallel()
	broken, err := pointed()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{tools.receiver: false, tools.replayer: false, broken: true} {
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ALIPAY_NOTIFY_FAULT_POINT", "ALIPAY_NOTIFY_BREAK"} {
			if got := bytes.Contains(binary, []byte(name)); got != want {
				t.Errorf("%s: knows of %s: %t, want %t", path, name, got, want)
			}
		}
	}
}
