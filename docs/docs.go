// Package docs holds what commands print of the documents. It knows nothing of
// what they speak about.
package docs

import (
	_ "embed" // the runbook is a part of the replayer
	"strings"
)

//go:embed RUNBOOK.md
var runbook string

// CheatSheet is the block of code under the runbook's heading "On one screen",
// so that what a command prints at night is what the document says.
func CheatSheet() string {
	_, text, _ := strings.Cut(runbook, "\n## On one screen\n")
	_, text, _ = strings.Cut(text, "\n```\n")
	text, _, _ = strings.Cut(text, "\n```\n")
	return text + "\n"
}
