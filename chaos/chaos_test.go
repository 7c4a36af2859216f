//go:build chaos

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A harness that has never found anything proves nothing. These receivers are
// built with a mistake that others made, and have to be found out:
//
//	go test -tags chaos -count=1 -v ./chaos
func TestBrokenReceiversAreFound(t *testing.T) {
	t.Parallel()
	for mistake, tt := range map[string]struct {
		want  string // how the violations begin that have to be found
		lasts time.Duration
	}{
		"commit-before-publish": {"LOST: ", 20 * time.Second},
		"ack-before-publish":    {"LOST: ", 20 * time.Second},
		// Chance excuses these: something that was broken nearby explains each copy.
		// They have to be found by the exam, when nothing is.
		"redis-never-asked":    {"TWICE: ", time.Second},
		"never-committed":      {"TWICE: ", time.Second},
		"redis-alone-believed": {"LOST: ", time.Second},
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			v, err := run(t.Context(), options{
				seed: 5, duration: tt.lasts, rate: 40, only: []string{trackNATS, trackLines}, breaks: mistake, out: &out,
			})
			t.Logf("%s", out.String())
			if err != nil {
				t.Fatal(err)
			}
			removeArtefacts(t, out.String())
			found := 0
			for _, text := range v.violations {
				if strings.HasPrefix(text, tt.want) {
					found++
				}
			}
			if found == 0 {
				t.Errorf("%d violations, none of them %q", len(v.violations), tt.want)
			}
			t.Logf("%d times %q, as it had to be", found, tt.want)
		})
	}
}

// removeArtefacts removes what a failed run leaves for people.
func removeArtefacts(t *testing.T, out string) {
	t.Helper()
	if _, dir, found := strings.Cut(out, "journal, streams and logs are in "); found {
		if err := os.RemoveAll(strings.TrimSpace(dir)); err != nil {
			t.Error(err)
		}
	}
}

// A run that is broken off, as by Ctrl-C, leaves no folder and no process behind,
// not even one that is stopped.
func TestBrokenOffLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	_, err := run(ctx, options{seed: 2, duration: time.Hour, rate: 40, out: &bytes.Buffer{}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that it was broken off", err)
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Skip("no /proc: processes cannot be listed here")
	}
	for _, file := range lines {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(os.Getenv("TMPDIR"))) {
			t.Errorf("left behind: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
