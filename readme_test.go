package alipaynotify_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents gives the documents that people read first.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	adrs, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, path := range slices.Concat([]string{"README.md", "CHANGELOG.md", "deploy/README.md"}, paths, adrs) {
		texts[path] = readText(t, path)
	}
	return texts
}

// TestDocumentsAreShort: what is longer is not read, and not kept true.
func TestDocumentsAreShort(t *testing.T) {
	t.Parallel()
	for path, limit := range map[string]int{"README.md": 150, "docs/ARCHITECTURE.md": 250} {
		if lines := strings.Count(readText(t, path), "\n"); lines > limit {
			t.Errorf("%s has %d lines, want at most %d", path, lines, limit)
		}
	}
}

var linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for path, text := range documents(t) {
		for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}

var (
	// makePattern finds make in code: after a backquote, or at the start of a line.
	makePattern   = regexp.MustCompile("(?m)(?:`|^)make ([a-z0-9-]+)")
	targetPattern = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

func TestMakeTargetsExist(t *testing.T) {
	t.Parallel()
	var targets []string
	for _, m := range targetPattern.FindAllStringSubmatch(readText(t, "Makefile"), -1) {
		targets = append(targets, m[1])
	}
	for path, text := range documents(t) {
		for _, m := range makePattern.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s says make %s; the targets are %v", path, m[1], targets)
			}
		}
	}
}

// helpTexts builds the commands and gives the help text of each, and of each
// verb, under names such as "receiver check" and "replayer rejects list".
func helpTexts(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	// Built as the tests are, the commands share their compiled packages.
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./cmd/...")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	help := func(path string, args ...string) string {
		var stderr bytes.Buffer
		cmd := exec.Command(path, append(args, "--help")...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
		}
		return string(out)
	}
	verb := regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
	texts := make(map[string]string)
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".exe")
		path := filepath.Join(dir, e.Name())
		var walk func(name string, args ...string)
		walk = func(name string, args ...string) {
			texts[name] = help(path, args...)
			_, verbs, _ := strings.Cut(texts[name], "Available Commands:")
			for _, m := range verb.FindAllStringSubmatch(verbs, -1) {
				walk(name+" "+m[1], append(slices.Clone(args), m[1])...)
			}
		}
		walk(name)
	}
	return texts
}

var (
	// commandPattern finds command lines of ours in code.
	commandPattern = regexp.MustCompile("(?m)(?:`|^)(?:bin/)?((?:receiver|replayer|alipaysim)(?: [^`\n#]*)?)")
	flagPattern    = regexp.MustCompile(`--[a-z][a-z-]+`)
)

// TestCommandsExist checks every command line in the documents against the help
// of the commands as they are: the verb, and each of its flags.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	help := helpTexts(t)
	if help["receiver check"] == "" || help["replayer events"] == "" || help["alipaysim send"] == "" {
		t.Fatal("the verbs were not found in the help texts")
	}
	all := ""
	for _, text := range help {
		all += text
	}
	checked := 0
	for path, text := range documents(t) {
		for _, flag := range flagPattern.FindAllString(text, -1) {
			if path != "README.md" && path != "docs/CLI.md" {
				break // others speak of other people's commands, too
			}
			if !strings.Contains(all, flag+" ") && !strings.Contains(all, flag+"\n") {
				t.Errorf("%s names %s, which no command has", path, flag)
			}
		}
		for _, m := range commandPattern.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			name := words[0]
			if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
				name += " " + words[1]
			}
			own, ok := help[name]
			if len(words) > 2 && help[name+" "+words[2]] != "" { // a verb of a verb
				own = help[name+" "+words[2]]
			}
			if !ok {
				t.Errorf("%s: %q: there is no %q", path, m[1], name)
			}
			for _, flag := range flagPattern.FindAllString(m[1], -1) {
				if ok && !strings.Contains(own, flag) {
					t.Errorf("%s: %q: %s has no %s", path, m[1], name, flag)
				}
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("found %d command lines; the pattern no longer finds them", checked)
	}
}

// TestDecisionsAreIndexed compares docs/adr with its index, and each with its form.
func TestDecisionsAreIndexed(t *testing.T) {
	t.Parallel()
	index := readText(t, "docs/adr/README.md")
	files, err := filepath.Glob("docs/adr/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no decisions: %v", err)
	}
	for i, path := range files {
		text, file := readText(t, path), filepath.Base(path)
		head, _, _ := strings.Cut(text, "\n")
		title, ok := strings.CutPrefix(head, "# "+strconv.Itoa(i+1)+". ")
		if !ok {
			t.Errorf("%s begins with %q, want number %d", path, head, i+1)
		}
		if row := "| [" + file[:4] + "](" + file + ") | " + title + " | "; !strings.Contains(index, row) {
			t.Errorf("docs/adr/README.md has no row that begins %q", row)
		}
		for _, heading := range []string{"| status | date |", "## Context and problem", "## Decision", "## Consequences"} {
			if !strings.Contains(text, heading) {
				t.Errorf("%s has no %q", path, heading)
			}
		}
		if lines := strings.Count(text, "\n"); lines > 60 {
			t.Errorf("%s has %d lines: more than a page", path, lines)
		}
	}
	if rows := strings.Count(index, "\n| ["); rows != len(files) {
		t.Errorf("the index has %d rows for %d decisions", rows, len(files))
	}
}

// TestArchitectureIsWhole: every room and every dependency has its line.
func TestArchitectureIsWhole(t *testing.T) {
	t.Parallel()
	text := readText(t, "docs/ARCHITECTURE.md")
	for file := range goFiles(t) {
		if dir := filepath.ToSlash(filepath.Dir(file)); dir != "." && !strings.Contains(text, "`"+dir+"`") {
			t.Errorf("docs/ARCHITECTURE.md says nothing of the room `%s`", dir)
		}
	}
	_, dependencies, _ := strings.Cut(text, "## Dependencies")
	version := regexp.MustCompile(`/v[0-9]+$`)
	for line := range strings.Lines(readText(t, "go.mod")) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasPrefix(words[1], "v") || !strings.HasPrefix(line, "\t") {
			continue // not a direct requirement
		}
		name := strings.TrimPrefix(version.ReplaceAllString(words[0], ""), "github.com/")
		if parts := strings.Split(name, "/"); strings.HasPrefix(words[0], "github.com/") && len(parts) > 2 {
			name = strings.Join(parts[:2], "/")
		}
		if !strings.Contains(dependencies, name) {
			t.Errorf("docs/ARCHITECTURE.md gives no reason for %s", words[0])
		}
	}
}
