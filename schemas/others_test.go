package schemas_test

import (
	"testing"

	"alipay-notify/internal/events"
)

// An untyped message's schema asks for nothing, and has the fields that its
// events are held to before they name it: one that is no text loses the name.
func TestSchemasFitTheOthers(t *testing.T) {
	t.Parallel()
	key := signingKey(t)
	for _, o := range events.Others() {
		if !o.HasSchema {
			continue
		}
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			s := loadAll(t)[o.Name]
			if _, asks := s.tree["required"]; asks || s.tree["type"] != "object" || s.tree["additionalProperties"] != true {
				t.Error("not an object of any fields")
			}
			properties, _ := s.tree["properties"].(map[string]any)
			for name, node := range properties {
				p, _ := node.(map[string]any)
				if text, _ := p["description"].(string); text == "" {
					t.Errorf("%s has no description", name)
				}
				if examples, _ := p["examples"].([]any); len(examples) > 0 {
					checkExamples(t, name, p, examples)
				}
			}
			for seed := range uint64(5) {
				n := made(t, key, o.Name, seed)
				e := stored(t, n)
				if e.DataSchema != o.Schema() {
					t.Fatalf("the stand-in's does not fit: schema %q\n%s", e.DataSchema, e.Data)
				}
				validate(t, s, e.Data)
				for name := range properties {
					n := made(t, key, o.Name, seed)
					for _, odd := range []string{`7`, `null`, `true`, `{"a":1}`, `[]`, `"x"`, `""`} {
						n.SetPayloadJSON(name, odd)
						if isEnvelope(name) {
							continue
						}
						e := stored(t, n)
						if fits := s.compiled.Validate(decoded(t, e.Data)) == nil; fits != (e.DataSchema != "") {
							t.Errorf("%s of %s: fits %v, schema %q", odd, name, fits, e.DataSchema)
						}
					}
				}
			}
		})
	}
}
