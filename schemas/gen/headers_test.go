package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
)

// described gives the headers that a schema of the document has properties for.
func described(t *testing.T, doc any, path ...string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for name := range at(t, doc, append(path, "properties")...) {
		names[name] = true
	}
	return names
}

// The document describes every header that the code has a name for, and no other.
func TestHeadersAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for file, places := range map[string][][]string{
		"header.go": {{"components", "schemas", "eventHeaders"}, {"components", "messages", "inferred", "headers"}},
		"kept.go":   {{"components", "messages", "quarantined", "headers"}, {"components", "messages", "rejected", "headers"}},
	} {
		names, got := headerConstants(t, file), make(map[string]bool)
		for _, place := range places {
			maps.Copy(got, described(t, doc, place...))
		}
		for _, name := range names {
			if !got[name] {
				t.Errorf("%s names %s, which the document does not describe", file, name)
			}
		}
		if file == "kept.go" { // it has a few of an event's, too
			names = append(names, headerConstants(t, "header.go")...)
		}
		for name := range got {
			if !slices.Contains(names, name) {
				t.Errorf("the document describes %s, and the code has no such header", name)
			}
		}
	}
}

// headerConstants gives the values of the constants Header... in a file of
// internal/events.
func headerConstants(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), root+"/internal/events/"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Header") || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) < 8 {
		t.Fatalf("found %v in %s", values, file)
	}
	return values
}

// addedByReplays are the headers that an event gets when it is sent again.
var addedByReplays = []string{events.HeaderReplayJob, events.HeaderReplayOf, events.HeaderReplayReason}

// What the code really writes is what the document says: over events of every
// form, each header that is described is written, nothing else is, what is called
// required is always there, and every value is in its grammar.
func TestHeadersAreWritten(t *testing.T) {
	t.Parallel()
	doc := document(t)
	want, written := described(t, doc, "components", "schemas", "eventHeaders"), make(map[string]bool)
	schema := compile(t, doc, jsonschema.Draft2020, "/components/schemas/eventHeaders")
	for name, e := range everyForm(t) {
		header, err := e.Header()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		values := make(map[string]any)
		for header, value := range header {
			written[header], values[header] = true, value
			if !want[header] {
				t.Errorf("%s: the code writes %s, which the document does not describe", name, header)
			}
		}
		if err := schema.Validate(values); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range addedByReplays {
		written[name] = true
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("headers (-described +written):\n%s", diff)
	}
	required := at(t, doc, "components", "schemas", "eventHeaders")["required"].([]any)
	if len(required) != 11 {
		t.Errorf("%d required headers: a consumer may count on those of before", len(required))
	}
}

// everyForm makes events of every kind and in every form that headers have.
func everyForm(t *testing.T) map[string]events.Event {
	t.Helper()
	a, err := newAuthor()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]events.Event)
	add := func(name, typ string, edit func(*alipaytest.Notification)) events.Event {
		e, err := a.of(typ, edit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = e
		return e
	}
	for _, typ := range alipaytest.Types() {
		if typ.Event {
			add(typ.Type, typ.Type, nil)
		}
	}
	odd := add("hostile", "voucher.created", func(n *alipaytest.Notification) {
		n.SetPayload("activity_id", "券 \"50%\"\r\nNats-Msg-Id: 1\x00*.>")
		n.Set("auth_app_id", "2021000000000002")
		n.Set("msg_uid", "2088101122136241")
	})
	odd.Unasked = true
	all["conflict"] = odd.AsConflict()
	add("untyped", "voucher.created", func(n *alipaytest.Notification) { n.RemovePayload("activity_id") })
	add("no time", "account.event", func(n *alipaytest.Notification) { n.RemovePayload("CreateTime") })
	large := add("large", "voucher.created", func(n *alipaytest.Notification) { n.SetPayload("more", strings.Repeat("x", 100<<10)) })
	if h, err := large.Header(); err != nil || h[events.HeaderRawEncoding] == "" {
		t.Fatalf("the large one is not encoded: %v", err)
	}
	return all
}

// The examples have each header at least once, so that nobody has to guess.
func TestEveryHeaderHasAnExample(t *testing.T) {
	t.Parallel()
	for name, property := range at(t, document(t), "components", "schemas", "eventHeaders", "properties") {
		p := property.(map[string]any)
		if examples, _ := p["examples"].([]any); len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		if text, _ := p["description"].(string); text == "" {
			t.Errorf("%s has no description", name)
		}
		if p["pattern"] == nil && p["enum"] == nil {
			t.Errorf("%s: any text would be right", name)
		}
	}
}
