package openapi_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
)

// model is one operation of models.json, Alipay's own description of v3.
type model struct {
	V3     string `json:"v3"`
	Params []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"params"`
	Request  map[string]typed `json:"request_model"`
	Response map[string]typed `json:"response_model"`
	Errors   []string         `json:"error_codes"`
}

type typed struct {
	Type   string           `json:"type"`
	Fields map[string]typed `json:"fields"`
}

func models(t *testing.T) map[string]model {
	t.Helper()
	var raw map[string]json.RawMessage
	shared(t, "models.json", &raw)
	delete(raw, "_origin")
	out := make(map[string]model)
	for name, text := range raw {
		var m model
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = m
	}
	return out
}

// TestTableIsWhatAlipayDescribes compares each row, written by hand, with
// Alipay's description: no operation, parameter or code more or less.
func TestTableIsWhatAlipayDescribes(t *testing.T) {
	t.Parallel()
	all := models(t)
	if len(all) < 36 || len(openapi.Operations()) != len(all) {
		t.Errorf("%d operations described, %d in the table", len(all), len(openapi.Operations()))
	}
	for name, m := range all {
		op, ok := openapi.Lookup(name)
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := op.Verb + " " + op.Path; got != m.V3 {
			t.Errorf("%s is %s, want %s", name, got, m.V3)
		}
		want := slices.Collect(maps.Keys(m.Request))
		for _, p := range m.Params {
			want = append(want, p.Name)
			if inPath := strings.Contains(op.Path, "{"+p.Name+"}"); inPath != (p.In == "path") {
				t.Errorf("%s: %s is said to be in the %s", name, p.Name, p.In)
			}
			if len(m.Request) > 0 && p.In == "query" && p.Name != "auth_token" {
				t.Errorf("%s: %s is in the query beside a body", name, p.Name)
			}
		}
		var got []string
		for _, f := range op.Fields {
			if !strings.Contains(f.Name, ".") {
				got = append(got, f.Name)
			}
		}
		compare(t, name+" takes", got, want)
		compare(t, name+" may answer", op.Errors, m.Errors)
	}
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%s\nwant\n%s", what, got, want)
	}
}

// typedOperations are the types of the typed calls: parameters and answer.
var typedOperations = map[string][2]any{
	"alipay.marketing.activity.voucher.create":         {openapi.VoucherCreate{}, openapi.ActivityCreated{}},
	"alipay.marketing.activity.voucher.publish":        {openapi.ActivityChange{}, openapi.Recharge{}},
	"alipay.marketing.activity.voucher.modify":         {openapi.VoucherModify{}, openapi.Nothing{}},
	"alipay.marketing.activity.voucher.append":         {openapi.VoucherAppend{}, openapi.Recharge{}},
	"alipay.marketing.activity.voucher.stop":           {openapi.ActivityChange{}, openapi.Nothing{}},
	"alipay.marketing.activity.voucher.send":           {openapi.VoucherSend{}, openapi.VoucherSent{}},
	"alipay.marketing.activity.voucher.query":          {openapi.ActivityQuery{}, openapi.Activity{}},
	"alipay.marketing.activity.query":                  {openapi.ActivityQuery{}, openapi.Activity{}},
	"alipay.marketing.activity.batchquery":             {openapi.ActivityList{}, openapi.ActivityPage{}},
	"alipay.marketing.activity.ordervoucher.query":     {openapi.ActivityQuery{}, openapi.Activity{}},
	"alipay.marketing.activity.user.batchqueryvoucher": {openapi.UserVoucherList{}, openapi.UserVoucherPage{}},
	"alipay.marketing.activity.user.queryvoucher":      {openapi.UserVoucherQuery{}, openapi.UserVoucher{}},
	"alipay.marketing.card.open":                       {openapi.CardOpen{}, openapi.CardOpened{}},
	"alipay.marketing.card.query":                      {openapi.CardQuery{}, openapi.Card{}},
	"alipay.marketing.card.update":                     {openapi.CardUpdate{}, openapi.CardUpdated{}},
	"alipay.marketing.card.delete":                     {openapi.CardDelete{}, openapi.CardDeleted{}},
	"alipay.marketing.card.template.query":             {openapi.TemplateQuery{}, openapi.Template{}},
	"alipay.marketing.card.template.modify":            {openapi.TemplateModify{}, openapi.TemplateModified{}},
	"alipay.open.public.account.create":                {openapi.AccountBind{}, openapi.AccountBound{}},
	"alipay.open.public.account.reset":                 {openapi.AccountBind{}, openapi.AccountBound{}},
	"alipay.open.public.account.delete":                {openapi.AccountDelete{}, openapi.Nothing{}},
	"alipay.open.public.account.query":                 {openapi.AccountQuery{}, openapi.Accounts{}},
}

// TestTypesHoldEveryField walks Alipay's models to their leaves: each has a field
// here, of its type.
func TestTypesHoldEveryField(t *testing.T) {
	t.Parallel()
	all := models(t)
	for name, types := range typedOperations {
		m := all[name]
		request := maps.Clone(m.Request)
		if request == nil {
			request = make(map[string]typed)
		}
		for _, p := range m.Params {
			request[p.Name] = typed{Type: "string"}
			if strings.HasPrefix(p.Name, "page_") {
				request[p.Name] = typed{Type: "int"}
			}
		}
		holds(t, name+" takes", reflect.TypeOf(types[0]), request)
		holds(t, name+" answers", reflect.TypeOf(types[1]), m.Response)
	}
}

// kinds are the types of scalars.
var kinds = map[string]reflect.Kind{"string": reflect.String, "int": reflect.Int64, "bool": reflect.Bool}

func holds(t *testing.T, where string, in reflect.Type, fields map[string]typed) {
	t.Helper()
	if in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	for name, want := range fields {
		f, ok := in.FieldByNameFunc(func(n string) bool {
			f, _ := in.FieldByName(n)
			tag, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
			return tag == name && omit == "omitempty"
		})
		if !ok {
			t.Errorf("%s %s, which %s lacks", where, name, in)
			continue
		}
		got, scalar := f.Type, want.Type
		if inner, isList := strings.CutPrefix(want.Type, "List<"); isList {
			if got.Kind() != reflect.Slice {
				t.Errorf("%s %s as a list, %s has %s", where, name, in, got)
				continue
			}
			got, scalar = got.Elem(), strings.TrimSuffix(inner, ">")
		}
		if want.Fields != nil {
			holds(t, where+" "+name+" with", got, want.Fields)
			continue
		}
		if got.Kind() == reflect.Pointer {
			got = got.Elem()
		}
		if got.Kind() != kinds[scalar] {
			t.Errorf("%s %s as %s, %s has %s", where, name, scalar, in, f.Type)
		}
	}
}

// TestTable is what can be said of the rows without Alipay's description.
func TestTable(t *testing.T) {
	t.Parallel()
	for method, types := range typedOperations {
		op, ok := openapi.Lookup(method)
		if !ok {
			t.Fatalf("%s is missing", method)
		}
		for _, f := range op.Fields { // what the table checks, the type can hold
			in := reflect.TypeOf(types[0])
			for part := range strings.SplitSeq(f.Name, ".") {
				if in = fieldType(in, part); in == nil {
					t.Errorf("%s: no field for %s", method, f.Name)
					break
				}
			}
		}
	}
	for _, op := range openapi.Operations() {
		if op.Effect != openapi.Read && op.Effect != openapi.Write || op.Title == "" || len(op.Errors) == 0 || !strings.HasPrefix(op.Path, "/v3/") {
			t.Errorf("%+v", op)
		}
		asks := strings.Contains(last(op.Method), "query") || last(op.Method) == "consult" || last(op.Method) == "codecount"
		if (op.Effect == openapi.Read) != asks || op.Effect == openapi.Read && (op.Repeat != "" || op.Causes != "") {
			t.Errorf("%s is a %s, repeated by %q, and causes %q", op.Method, op.Effect, op.Repeat, op.Causes)
		}
		if op.Repeat != "" && !slices.ContainsFunc(op.Fields, func(f openapi.Field) bool { return f.Name == op.Repeat && f.Required }) {
			t.Errorf("%s: the number %s is not required", op.Method, op.Repeat)
		}
		if _, known := events.KindByName(op.Causes); op.Causes != "" && !known {
			t.Errorf("%s causes %s, which the catalogue does not have", op.Method, op.Causes)
		}
	}
}

func last(method string) string { return method[strings.LastIndexByte(method, '.')+1:] }

// fieldType is the type of the field with this JSON name.
func fieldType(in reflect.Type, name string) reflect.Type {
	for in.Kind() == reflect.Pointer || in.Kind() == reflect.Slice {
		in = in.Elem()
	}
	for _, f := range reflect.VisibleFields(in) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type
		}
	}
	return nil
}

// TestDocumentedCodes keeps the doc comments of the calls, the table and the
// advice in step: each code stands in the comment, and says what to do next.
func TestDocumentedCodes(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, file := range []string{"voucher.go", "activity.go", "card.go", "account.go"} {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	text := strings.ReplaceAll(source.String(), "\n// ", " ")
	for method := range typedOperations {
		op, _ := openapi.Lookup(method)
		_, comment, found := strings.Cut(text, " is "+method+" ("+op.Title+")")
		if comment, _, _ = strings.Cut(comment, "\nfunc "); !found {
			_, comment, found = strings.Cut(text, " is "+method+"\n// ("+op.Title+")")
		}
		if !found {
			t.Errorf("no comment begins with %s (%s)", method, op.Title)
			continue
		}
		for _, code := range op.Errors {
			if strings.Contains(comment, "those of AccountCreate") && !strings.Contains(comment, code) {
				create, _ := openapi.Lookup("alipay.open.public.account.create")
				if slices.Contains(create.Errors, code) {
					continue
				}
			}
			if !strings.Contains(comment, code) {
				t.Errorf("the comment on %s lacks %s", method, code)
			}
		}
	}
}

// Names that nobody could tell apart are not suggested, and those that differ by
// a slip are.
func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"ab", "ba", 2}, {"", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := openapi.Distance(tt.a, tt.b); got != tt.want || openapi.Distance(tt.b, tt.a) != tt.want {
			t.Errorf("%q, %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
