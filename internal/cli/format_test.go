package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"alipay-notify/internal/cli"
)

type item struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func TestPrinter(t *testing.T) {
	t.Parallel()
	items := []item{{"a", "https://x/?a=1&b=<2>"}, {"long name", "y"}}
	tests := []struct {
		name   string
		format cli.Format
		items  []item
		want   string
	}{
		{"table", cli.Table, items, "NAME       URL\na          https://x/?a=1&b=<2>\nlong name  y\n"},
		{"no format is a table", "", items[1:], "NAME       URL\nlong name  y\n"},
		{"table, empty", cli.Table, nil, "NAME  URL\n"},
		{"json", cli.JSON, items, "[\n  {\"name\":\"a\",\"url\":\"https://x/?a=1&b=<2>\"},\n  {\"name\":\"long name\",\"url\":\"y\"}\n]\n"},
		{"json, empty", cli.JSON, nil, "[]\n"},
		{"ndjson", cli.NDJSON, items, "{\"name\":\"a\",\"url\":\"https://x/?a=1&b=<2>\"}\n{\"name\":\"long name\",\"url\":\"y\"}\n"},
		{"ndjson, empty", cli.NDJSON, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := cli.NewPrinter(&out, tt.format, "NAME", "URL")
			for _, i := range tt.items {
				if err := p.Row(i, i.Name, i.URL); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if tt.format == cli.JSON && !json.Valid(out.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
}

// A command that waits shows what it has: ndjson at once, a table when flushed.
func TestPrinterFlush(t *testing.T) {
	t.Parallel()
	for _, format := range []cli.Format{cli.Table, cli.NDJSON} {
		var out bytes.Buffer
		p := cli.NewPrinter(&out, format)
		if err := p.Row(item{Name: "a"}, "a"); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.Len() == 0 {
			t.Errorf("%s: nothing to see after Flush", format)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPrinterReportsErrors(t *testing.T) {
	t.Parallel()
	for _, format := range []cli.Format{cli.Table, cli.JSON, cli.NDJSON} {
		p := cli.NewPrinter(broken{}, format, "NAME")
		if err := errors.Join(p.Row(item{}, "a"), p.Close()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: error %v, want that of the writer", format, err)
		}
	}
	if err := cli.NewPrinter(io.Discard, cli.JSON).Row(make(chan int)); err == nil {
		t.Error("a value that JSON cannot hold gives no error")
	}
}

// What a table shows may come from a stranger, who must not drive the terminal.
func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "小笼包 2 份 <&>", "小笼包 2 份 <&>"},
		{"escape sequence", "\x1b[2Jx", "�[2Jx"},
		{"line and column breaks", "a\nb\tc\rd", "a�b�c�d"},
		{"delete and C1", "a\x7fb\u009bc", "a�b�c"},
		{"reordering", "a\u202eb\u2066c\u2069d", "a�b�c�d"},
		{"no UTF-8", "a\xffb", "a\ufffdb"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cli.Clean(tt.in); got != tt.want {
				t.Errorf("Clean = %q, want %q", got, tt.want)
			}
		})
	}
	var out bytes.Buffer
	p := cli.NewPrinter(&out, cli.Table)
	cells := []string{"a\x1b", "b\nc"}
	if err := errors.Join(p.Row(nil, cells...), p.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "a�  b�c\n"; got != want {
		t.Errorf("table %q, want %q", got, want)
	}
}

func TestFormatFlag(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		initial cli.Format
		args    []string
		want    cli.Format
		fails   bool
	}{
		{"unset is a table", "", nil, cli.Table, false},
		{"a default stays", cli.NDJSON, nil, cli.NDJSON, false},
		{"short", "", []string{"-o", "json"}, cli.JSON, false},
		{"long", "", []string{"--output=ndjson"}, cli.NDJSON, false},
		{"unknown", "", []string{"-o", "yaml"}, cli.Table, true},
		{"another case", "", []string{"-o", "JSON"}, cli.Table, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := tt.initial
			flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
			cli.AddFormat(flags, &f)
			err := flags.Parse(tt.args)
			if f != tt.want || (err != nil) != tt.fails {
				t.Errorf("format %q, error %v", f, err)
			}
		})
	}
}

// JSON output passed DEL, C1 and the overrides of the writing direction through
// as they were: "-o json" of a stranger's words could drive a terminal.
func TestJSONDrivesNoTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b[2J\x7f\u0080\u009b31m\u202e\u2066\u2069\u061c\u200e\u200fb \u2028 小笼包 <&> \ufffd"
	for _, format := range []cli.Format{cli.JSON, cli.NDJSON} {
		var out bytes.Buffer
		p := cli.NewPrinter(&out, format)
		value := map[string]any{"text" + hostile: hostile, "raw": json.RawMessage(`{"in\u202ene\u009br": "\u007f"}`)}
		if err := errors.Join(p.Row(value), p.Close()); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && r != '\ufffd' && cli.Clean(string(r)) != string(r) {
				t.Errorf("%s: %U in the output %q", format, r, out.String())
			}
		}
		if !strings.Contains(out.String(), "小笼包 <&> \ufffd") {
			t.Errorf("%s: what is harmless was escaped too: %s", format, out.String())
		}
		var rows []map[string]any
		text := out.String()
		if format == cli.NDJSON {
			text = "[" + text + "]"
		}
		want := []map[string]any{{"text" + hostile: hostile, "raw": map[string]any{"in\u202ene\u009br": "\u007f"}}}
		if err := json.Unmarshal([]byte(text), &rows); err != nil || !cmp.Equal(want, rows) {
			t.Errorf("%s: %v (-want +got):\n%s", format, err, cmp.Diff(want, rows))
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                          "",
		"{\n  \"a\": 1\n}":          "{\n  \"a\": 1\n}",
		"\"\u009b\"":                `"\u009b"`,
		"\"a\x9bb\"":                "\"a\ufffdb\"", // a bare byte 0x9B is CSI to an old terminal
		"[\"\u202e\",\n\"\u007f\"]": "[\"\\u202e\",\n\"\\u007f\"]",
	} {
		if got := string(cli.EscapeJSON([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
