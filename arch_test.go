// Package alipaynotify_test checks what no compiler does: that rooms import
// each other in one direction, that commands begin small, and that the
// documents speak of things that exist.
package alipaynotify_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// module is what our own import paths begin with.
const module = "alipay-notify"

// rule is one depguard rule of .golangci.yml: which files it is about, and what
// they may not import, with the reason.
type rule struct {
	Files []string `yaml:"files"`
	Mode  string   `yaml:"list-mode"`
	Allow []string `yaml:"allow"`
	Deny  []struct {
		Pkg  string `yaml:"pkg"`
		Desc string `yaml:"desc"`
	} `yaml:"deny"`
}

// readRules reads the table that the linter reads.
func readRules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]rule `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Linters.Settings.Depguard.Rules
}

// covers tells whether the rule is about a file, by the rules of depguard: one
// pattern must match, and no pattern with "!" before it.
func (r rule) covers(file string) bool {
	matched := false
	for _, pattern := range r.Files {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !matches(pattern, file) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// matches knows the forms of pattern that .golangci.yml names.
func matches(pattern, file string) bool {
	if pattern == "$test" {
		return strings.HasSuffix(file, "_test.go")
	}
	dir := strings.TrimPrefix(strings.TrimSuffix(pattern, "/*.go"), "**/")
	if pattern == "**/*.go" {
		return true
	}
	if above, deep := strings.CutSuffix(dir, "/**"); deep {
		return strings.HasPrefix(file, above+"/")
	}
	return filepath.ToSlash(filepath.Dir(file)) == dir
}

// denies gives the reason why the rule forbids an import, or nothing.
func (r rule) denies(path string) string {
	longest, why := 0, ""
	for _, d := range r.Deny {
		if strings.HasPrefix(path, d.Pkg) && len(d.Pkg) > longest {
			longest, why = len(d.Pkg), d.Desc
		}
	}
	for _, a := range r.Allow {
		if a == "$gostd" && isStandard(path) || strings.HasPrefix(path, a) && len(a) > longest {
			return ""
		}
	}
	if why == "" && r.Mode == "strict" {
		why = "it is not on the list of what may be imported"
	}
	return why
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != module
}

// goFiles gives every Go file of the repository, and what it imports.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || path == "bin" || path == "data"):
			return filepath.SkipDir
		case d.IsDir() && path != "." && isModule(path): // its imports are its own affair, as ./... has it
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports := []string{}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, p)
		}
		files[filepath.ToSlash(path)] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func TestImportDirection(t *testing.T) {
	t.Parallel()
	rules, files := readRules(t), goFiles(t)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for name, r := range rules {
			if !r.covers(file) {
				continue
			}
			for _, path := range files[file] {
				if why := r.denies(path); why != "" {
					t.Errorf("%s imports %s: %s (rule %s of .golangci.yml)", file, path, why, name)
				}
			}
		}
	}
}

// TestEveryRoomHasItsRule finds a new room that nobody has placed yet.
func TestEveryRoomHasItsRule(t *testing.T) {
	t.Parallel()
	rules, placed := readRules(t), make(map[string]bool)
	for _, r := range rules {
		if dir, ok := strings.CutPrefix(r.Files[0], "**/"); ok {
			placed[strings.TrimSuffix(dir, "/*.go")] = true
		}
	}
	for file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if !strings.HasSuffix(file, "_test.go") && !placed[dir] {
			t.Errorf("%s: the room %s has no rule in .golangci.yml: say there what it may import, and in docs/ARCHITECTURE.md what it is for", file, dir)
			placed[dir] = true // once is enough
		}
	}
}

// TestRulesBite keeps the table from being emptied by a slip in a pattern: each
// of these would be wrong, and each of the others is how it is done.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	for _, c := range []struct {
		file, path string
		forbidden  bool
	}{
		{"internal/fault/x.go", module + "/internal/events", true},
		{"internal/verify/x.go", module + "/internal/fault", true},
		{"internal/verify/x.go", "github.com/any/thing", true},
		{"internal/verify/x.go", "crypto/rsa", false},
		{"internal/events/x.go", module + "/internal/stream", true},
		{"internal/events/x.go", module + "/internal/fault", false},
		{"internal/ingest/x.go", module + "/internal/stream", true},
		{"internal/ingest/x.go", module + "/internal/dedupe", true},
		{"internal/ingest/x.go", module + "/internal/verify", false},
		{"internal/stream/x.go", module + "/internal/dedupe", true},
		{"internal/stream/x.go", module + "/internal/server", true},
		{"internal/dedupe/x.go", module + "/internal/stream", true},
		{"internal/dedupe/x.go", module + "/internal/events", true},
		{"internal/server/x.go", module + "/internal/stream", true},
		{"internal/server/x.go", module + "/internal/config", true},
		{"internal/server/x.go", "github.com/labstack/echo/v4", false},
		{"internal/ingest/x.go", "github.com/labstack/echo/v4", true},
		{"cmd/receiver/x.go", "github.com/labstack/echo/v4", true},
		{"cmd/receiver/x.go", module + "/internal/config", false},
		{"cmd/receiver/x.go", module + "/internal/alipaytest", true},
		{"cmd/receiver/x_test.go", module + "/internal/alipaytest", false},
		{"cmd/alipaysim/x.go", module + "/internal/alipaytest", false},
		{"cmd/alipaysim/x.go", module + "/internal/verify", true},
		{"internal/alipaytest/x.go", module + "/internal/verify", true},
		{"internal/alipaytest/platform/x.go", module + "/internal/openapi", true},
		{"internal/alipaytest/platform/x.go", module + "/internal/alipaytest", false},
		{"internal/openapi/x.go", module + "/internal/alipaytest/platform", true},
		{"internal/audit/x.go", module + "/internal/stream", true},
		{"internal/replay/x.go", module + "/internal/stream", true},
		{"internal/stream/x.go", "math/rand/v2", true},
		{"internal/alipaytest/x.go", "math/rand/v2", false},
	} {
		why := ""
		for _, r := range rules {
			if r.covers(c.file) {
				why += r.denies(c.path)
			}
		}
		if (why != "") != c.forbidden {
			t.Errorf("%s imports %s: forbidden %v, want %v", c.file, c.path, !c.forbidden, c.forbidden)
		}
	}
}

// TestMainIsSmall: main chooses, run wires, packages work. A main that grows
// can only be executed, and not be tested.
func TestMainIsSmall(t *testing.T) {
	t.Parallel()
	const limit = 60
	found := 0
	for file := range goFiles(t) {
		if !strings.HasPrefix(file, "cmd/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || fn.Name.Name != "main" {
				continue
			}
			found++
			if lines := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; lines > limit {
				t.Errorf("%s: main has %d lines, want at most %d", file, lines, limit)
			}
		}
	}
	if found < 3 {
		t.Errorf("found %d main functions, want those of three commands", found)
	}
}
