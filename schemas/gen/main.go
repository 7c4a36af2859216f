// Gen writes the documents about events that are made from the code: the
// AsyncAPI document beside the schemas, and docs/EVENTS.md. It takes the
// catalogue, the schemas and the header table (headers.go), and fills in examples
// by sending notifications through the product: signed by the stand-in, proved,
// typed, and written as they would be stored.
//
// Run it as `go generate ./schemas`. The same tree gives the same bytes, and a
// test fails when the files are not what it gives.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// regenerate is the command to name when the files are not up to date.
const regenerate = "go generate ./schemas"

func main() {
	// go generate runs in the folder of the file that names the command.
	if err := write(".."); err != nil {
		fmt.Fprintf(os.Stderr, "gen: %v\nTry: %s\n", err, regenerate)
		os.Exit(1)
	}
}

// write writes all documents below the root of the repository.
func write(root string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate makes every generated file, by its path from the root.
func generate() (map[string][]byte, error) {
	a, err := newAuthor()
	if err != nil {
		return nil, err
	}
	messages, err := a.messages()
	if err != nil {
		return nil, err
	}
	refused, err := a.refused()
	if err != nil {
		return nil, err
	}
	api, err := asyncapi(messages, refused)
	if err != nil {
		return nil, err
	}
	guide, err := guide(messages, a.key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"schemas/asyncapi.v1.json": api, "docs/EVENTS.md": guide}, nil
}
