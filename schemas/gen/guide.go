package main

import (
	"bytes"
	_ "embed"
	"regexp"
	"strings"
	"text/template"

	"alipay-notify/internal/alipaytest"
)

//go:embed events.md.tmpl
var guideText string

// guide makes docs/EVENTS.md.
func guide(messages []message, key *alipaytest.Key) ([]byte, error) {
	t, err := template.New("events.md.tmpl").Funcs(template.FuncMap{
		"anchor": func(name string) string { return strings.ReplaceAll(name, ".", "") }, // as GitHub makes them
		"cell":   cell,
	}).Parse(guideText)
	if err != nil {
		return nil, err
	}
	data := struct {
		Regenerate, Consumer, KeyBase64 string
		Headers                         []guideHeader
		Kinds, Others                   []guideMessage
		Whole                           guideExample
	}{Regenerate: regenerate, Consumer: consumer, KeyBase64: key.PublicBase64()}
	for _, h := range eventHeaders {
		g := guideHeader{Name: h.name, Value: h.value, When: "always"}
		if h.when != "" {
			g.When = h.when
		}
		data.Headers = append(data.Headers, g)
	}
	for _, m := range messages {
		g, err := newGuideMessage(m)
		switch {
		case err != nil:
			return nil, err
		case m.key != "":
			data.Kinds = append(data.Kinds, g)
		case m.method != "":
			data.Others = append(data.Others, g)
		}
		if m.name == "voucher.created" {
			data.Whole = g.Examples[0]
		}
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}

// What the template is given.
type (
	guideHeader struct{ Name, Value, When string }

	guideMessage struct {
		Name, Title, Method, Subject, Key, Fact string
		When, Absence, Query                    string
		Fields                                  []field
		Examples                                []guideExample
	}

	guideExample struct {
		Name, Summary, Subject, Data string
		Headers                      []guideHeader
	}
)

func newGuideMessage(m message) (guideMessage, error) {
	g := guideMessage{
		Name: m.name, Title: m.title, Method: m.method, Key: m.key, Fact: m.fact,
		When: m.kind.When, Absence: m.kind.Absence, Query: m.kind.Query,
		Subject: "alipay.events.<app_id>." + m.name + "._",
	}
	if m.key != "" {
		g.Subject = "alipay.events.<app_id>." + m.name + ".<" + m.key + ">"
	}
	var err error
	if m.schema != nil {
		if g.Fields, err = m.fields(); err != nil {
			return g, err
		}
	}
	for _, x := range m.examples {
		text, err := pretty(x.payload)
		if err != nil {
			return g, err
		}
		e := guideExample{Name: x.name, Summary: x.summary, Subject: x.subject, Data: string(text)}
		for _, name := range x.headerNames() {
			e.Headers = append(e.Headers, guideHeader{Name: name, Value: x.header[name]})
		}
		g.Examples = append(g.Examples, e)
	}
	return g, nil
}

// fact finds the source behind a field's description: the heading has it.
var fact = regexp.MustCompile(` ?\(PROTOCOL\.md [^)]*\)`)

// cell makes text fit for a table.
func cell(text string) string {
	return strings.ReplaceAll(fact.ReplaceAllString(text, ""), "|", `\|`)
}
