package main

import (
	"os"
	"strings"
	"testing"
)

// TestCheat: what the command prints stands in the runbook, word for word, and
// fits on a screen. That its commands exist is runbook_test.go's business.
func TestCheat(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	got := runLine(t.Context(), nil, "cheat")
	_, part, _ := strings.Cut(string(runbook), "\n## On one screen\n")
	part, _, _ = strings.Cut(part, "\n## ")
	if got.code != 0 || got.stderr != "" || !strings.Contains(part, "\n```\n"+got.stdout+"```\n") {
		t.Errorf("exit %d, stderr %q, stdout:\n%s", got.code, got.stderr, got.stdout)
	}
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	if len(lines) < 20 || len(lines) > 45 {
		t.Errorf("%d lines are no screen", len(lines))
	}
	for _, line := range lines {
		if len(line) > 110 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
