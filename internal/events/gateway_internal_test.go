package events

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzParseXML: no document makes the reader panic, nest without bound or
// resolve an entity, and what it reads becomes JSON.
func FuzzParseXML(f *testing.F) {
	for _, seed := range []string{
		`<XML><AppId><![CDATA[2021]]></AppId><MsgType><![CDATA[event]]></MsgType></XML>`,
		`<?xml version="1.0" encoding="gbk"?><XML><Text><Content>a &amp; b</Content></Text></XML>`,
		`<XML><A>1</A><A>2</A></XML>`, `<XML/>`, `<XML></XML><XML></XML>`, `<XML>`, `text`, `<XML>a</XML> b`, `<a:b xmlns:a="c"/>`,
		`<!DOCTYPE x [<!ENTITY e "boom">]><XML>&e;</XML>`, `<XML>&e;</XML>`, `<XML><![CDATA[]]]]><![CDATA[>]]></XML>`,
		strings.Repeat("<a>", 20), strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20), `<!-- -->`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parseXML(text)
		if err != nil {
			return
		}
		if strings.Contains(text, "<!ENTITY") && !strings.Contains(text, "CDATA") && !strings.Contains(text, "<!--") && !strings.Contains(text, "<?") {
			t.Fatalf("%q: a document type was read", text)
		}
		if object := root.object(); !json.Valid([]byte(object)) {
			t.Fatalf("%q became %q, which is not JSON", text, object)
		}
	})
}

func TestParseXMLRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":             "",
		"a document type":     `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><XML>&e;</XML>`,
		"an unknown entity":   `<XML>&e;</XML>`,
		"two roots":           `<XML/><XML/>`,
		"text before":         `a<XML/>`,
		"text behind":         `<XML/>a`,
		"an end that misses":  `<XML><A></A>`,
		"ends in wrong order": `<XML><A></XML></A>`,
		"many elements":       "<XML>" + strings.Repeat("<a/>", xmlElements) + "</XML>",
		"length":              "<XML>" + strings.Repeat("a", xmlBytes) + "</XML>",
		"nesting":             strings.Repeat("<a>", xmlDepth+1) + strings.Repeat("</a>", xmlDepth+1),
	} {
		if root, err := parseXML(text); err == nil {
			t.Errorf("%s: %+v", name, root)
		}
	}
}
