package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/events"
	"alipay-notify/schemas"
)

// releasedDir holds what the last release promised: the schema files as they
// were, and the names that subjects are made of. It is no part of any binary.
const releasedDir = "released/v1"

const releasedCatalogue = "catalogue.json"

var update = flag.Bool("update", false, "with -run TestReleased: make today's schemas the released ones, if they keep the promise")

// row is what a consumer builds on beside the schemas: under which subject a
// message of Alipay's comes, and by which key. A key is only there for kinds.
type row struct {
	Name   string `json:"name"`
	Method string `json:"method"`
	Key    string `json:"key,omitempty"`
}

func catalogue() []row {
	var rows []row
	for _, k := range events.Kinds() {
		rows = append(rows, row{k.Name, k.Method, k.Key})
	}
	for _, o := range events.Others() {
		rows = append(rows, row{Name: o.Name, Method: o.Method})
	}
	return rows
}

// Nothing that was released is taken back within v1 (docs/COMPATIBILITY.md).
func TestReleased(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(releasedDir, "*.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && !*update {
		t.Fatalf("%s is empty: nothing would be compared", releasedDir)
	}
	all := loadAll(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".v1.json")
		is, ok := all[name]
		if !ok {
			t.Errorf("the released schema %s is gone", name)
			continue
		}
		for _, breach := range incompatible(readTree(t, file), is) {
			t.Errorf("%s%s", name, breach)
		}
	}
	for _, breach := range lostRows(readRows(t), catalogue()) {
		t.Error(breach)
	}
	if *update && !t.Failed() {
		release(t)
	}
}

// incompatible compares a schema with what it was: by its words, and by what it
// says of the examples that it had.
func incompatible(was map[string]any, is schema) []string {
	found := breaches(was, is.tree)
	for i, example := range list(was["examples"]) {
		if err := is.compiled.Validate(example); err != nil {
			found = append(found, fmt.Sprintf(": released example %d is refused: %v", i, err))
		}
	}
	return found
}

// lostRows finds messages that have another subject or key than they had.
func lostRows(was, is []row) []string {
	var lost []string
	for _, r := range was {
		if !slices.Contains(is, r) {
			lost = append(lost, fmt.Sprintf("%s no longer comes as %s with the key %q", r.Method, r.Name, r.Key))
		}
	}
	return lost
}

func readTree(t *testing.T, file string) map[string]any {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := decoded(t, body).(map[string]any)
	if tree == nil {
		t.Fatalf("%s is no object", file)
	}
	return tree
}

func readRows(t *testing.T) []row {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(releasedDir, releasedCatalogue))
	if errors.Is(err, fs.ErrNotExist) && *update {
		return nil
	}
	var rows []row
	if err == nil {
		err = json.Unmarshal(body, &rows)
	}
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d rows, %v", releasedCatalogue, len(rows), err)
	}
	return rows
}

// release makes today's schemas and names the released ones.
func release(t *testing.T) {
	t.Helper()
	write := func(name string, body []byte) {
		if err := os.WriteFile(filepath.Join(releasedDir, name), body, 0o644); err != nil { //nolint:gosec // part of the sources
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(releasedDir, 0o755); err != nil { //nolint:gosec // part of the sources
		t.Fatal(err)
	}
	for name := range loadAll(t) {
		body, err := schemas.FS.ReadFile(name + ".v1.json")
		if err != nil {
			t.Fatal(err)
		}
		write(name+".v1.json", body)
	}
	var rows bytes.Buffer
	for i, r := range catalogue() {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		rows.WriteString([]string{"[\n  ", ",\n  "}[min(i, 1)])
		rows.Write(line)
	}
	rows.WriteString("\n]\n")
	write(releasedCatalogue, rows.Bytes())
}

// compile makes a schema of a tree, under a name that nothing else has.
func compile(t *testing.T, tree map[string]any) schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("urn:changed", tree); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("urn:changed")
	if err != nil {
		t.Fatal(err)
	}
	return schema{tree: tree, compiled: compiled}
}
