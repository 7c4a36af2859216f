package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// Masked is the configuration as it may be shown: whatever could be a
// password, user or token in a URL is ***. All other secrets are in files, of
// which only the names are here.
func (c Config) Masked() Config {
	c.Redis.URL = maskURLs(c.Redis.URL)
	c.NATS.URL = maskURLs(c.NATS.URL)
	c.OpenAPI.BaseURL = maskURLs(c.OpenAPI.BaseURL)
	c.Apps = slices.Clone(c.Apps)
	for i := range c.Apps {
		c.Apps[i].BindingURL = maskURLs(c.Apps[i].BindingURL)
	}
	return c
}

// plain is Config without its methods, for the encoders.
type plain Config

// MarshalYAML masks for whoever encodes a Config without asking for YAML.
func (c Config) MarshalYAML() (any, error) { return plain(c.Masked()), nil }

// YAML is the configuration as a file: masked, every key written out, in the
// order of the documentation. Load reads it back.
func (c Config) YAML() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(c), encoder.Close()); err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// String is the YAML, so that a Config that ends up in a message is masked too.
func (c Config) String() string {
	out, err := c.YAML()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// GoString is String: %#v would otherwise show what %v masks.
func (c Config) GoString() string { return c.String() }

// MarshalJSON is the same as YAML, with the same names and the durations as
// text. JSON is YAML, so Load reads this too.
func (c Config) MarshalJSON() ([]byte, error) {
	var node yaml.Node
	if err := node.Encode(c); err != nil {
		return nil, fmt.Errorf("write the configuration as JSON: %w", err)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, &node); err != nil {
		return nil, fmt.Errorf("write the configuration as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON has written, as strictly as Load reads
// a file, but validates nothing.
func (c *Config) UnmarshalJSON(data []byte) error {
	var parsed parser
	k := koanf.New(".")
	if err := k.Load(document(data), &parsed); err != nil {
		return fmt.Errorf("the configuration %w", err)
	}
	cfg, err := fill(k)
	if err != nil {
		return fmt.Errorf("read the configuration from JSON: %w", err)
	}
	*c = cfg
	return parsed.problems.err()
}

// document is a file that is in memory already, as a koanf provider.
type document []byte

// ReadBytes gives the document.
func (d document) ReadBytes() ([]byte, error) { return d, nil }

// Read is there because koanf's interface asks for it.
func (d document) Read() (map[string]any, error) {
	return nil, errors.New("config: this provider gives bytes")
}

// writeJSON writes a YAML tree as JSON and keeps the order of keys, which a
// map would lose.
func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		return writeObject(out, node.Content)
	case yaml.SequenceNode:
		return writeArray(out, node.Content)
	}
	if tag := node.ShortTag(); tag == "!!bool" || tag == "!!int" {
		out.WriteString(node.Value)
		return nil
	}
	text, err := json.Marshal(node.Value)
	out.Write(text)
	return err
}

func writeObject(out *bytes.Buffer, pairs []*yaml.Node) error {
	out.WriteByte('{')
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeJSON(out, pairs[i]); err != nil {
			return err
		}
		out.WriteByte(':')
		if err := writeJSON(out, pairs[i+1]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeArray(out *bytes.Buffer, elements []*yaml.Node) error {
	out.WriteByte('[')
	for i, element := range elements {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeJSON(out, element); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}
