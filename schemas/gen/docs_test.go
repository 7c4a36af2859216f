package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/events"
	"alipay-notify/schemas"
)

// jsonBlock is a block of JSON in a document: the heading that it stands under,
// and its text.
type jsonBlock struct{ heading, text string }

var blockPattern = regexp.MustCompile("(?ms)^(#+ [^\n]*)$|^```json[^\n]*\n(.*?)^```")

func jsonBlocks(text string) []jsonBlock {
	var all []jsonBlock
	heading := ""
	for _, m := range blockPattern.FindAllStringSubmatch(text, -1) {
		if m[1] != "" {
			heading = strings.Trim(strings.TrimLeft(m[1], "#"), " `")
			continue
		}
		all = append(all, jsonBlock{heading, m[2]})
	}
	return all
}

// checkBlock tells whether a block is an event's data, and what is wrong with it:
// under a heading that is a kind's name it is that kind's; elsewhere an object with
// the key of some kinds is the data of one of them.
func checkBlock(b jsonBlock, compiled map[string]*jsonschema.Schema) (isData bool, err error) {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(b.text))
	if err != nil {
		return false, fmt.Errorf("no JSON: %w", err)
	}
	if schema := compiled[b.heading]; schema != nil {
		return true, schema.Validate(value)
	}
	object, _ := value.(map[string]any)
	for _, k := range events.Kinds() {
		if object[k.Key] == nil {
			continue
		}
		isData = true
		if err = compiled[k.Name].Validate(value); err == nil {
			return true, nil
		}
	}
	return isData, err
}

func compileKinds(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	compiled := make(map[string]*jsonschema.Schema)
	for _, k := range events.Kinds() {
		text, err := schemas.FS.ReadFile(k.Name + ".v1.json")
		if err != nil {
			t.Fatal(err)
		}
		tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		compiled[k.Name] = compile(t, tree, jsonschema.Draft2020, "")
	}
	return compiled
}

// Examples of data in the documents are data as the schemas have it: what people
// copy must work.
func TestExamplesInDocumentsFitTheSchemas(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	compiled, data := compileKinds(t), make(map[string]int)
	for _, path := range append(paths, root+"/README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range jsonBlocks(string(text)) {
			isData, err := checkBlock(b, compiled)
			if err != nil {
				t.Errorf("%s, under %q: %v\n%s", path, b.heading, err, b.text)
			}
			if isData {
				data[filepath.Base(path)]++
			}
		}
	}
	if n := len(events.Kinds()); data["EVENTS.md"] < n {
		t.Errorf("found %d examples of data in EVENTS.md, want one for each of %d kinds", data["EVENTS.md"], n)
	}
}

func TestCheckBlock(t *testing.T) {
	t.Parallel()
	compiled := compileKinds(t)
	for name, tt := range map[string]struct {
		text         string
		isData, fits bool
	}{
		"good, by its heading":     {"## voucher.used\n\n```json\n{\"activity_id\": \"1\"}\n```\n", true, true},
		"no key":                   {"## voucher.used\n\n```json\n{\"id\": \"1\"}\n```\n", true, false},
		"good, by its key":         {"# Upgrades\n\n```json\n{\"activity_id\": \"1\", \"new\": 7}\n```\n", true, true},
		"a type that we never say": {"# Upgrades\n\n```json\n{\"activity_id\": 1}\n```\n", true, false},
		"something else":           {"# Output\n\n```json\n{\"sequence\": 1}\n```\n", false, true},
		"no JSON":                  {"# Output\n\n```json\n{\"sequence\": ...}\n```\n", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks := jsonBlocks(tt.text)
			if len(blocks) != 1 {
				t.Fatalf("found %v", blocks)
			}
			isData, err := checkBlock(blocks[0], compiled)
			if isData != tt.isData || (err == nil) != tt.fits {
				t.Errorf("data %v, %v", isData, err)
			}
		})
	}
}

// Links inside the page lead to headings that are there.
func TestAnchorsExist(t *testing.T) {
	t.Parallel()
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["docs/EVENTS.md"])
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		headings[strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(m[1]), ".", ""), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < len(events.Kinds()) {
		t.Errorf("found %d links", len(links))
	}
	for _, m := range links {
		if !headings[m[1]] {
			t.Errorf("no heading for #%s", m[1])
		}
	}
}
