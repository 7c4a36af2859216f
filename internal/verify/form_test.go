package verify_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

func TestParseForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       []string // names and values in turn, sorted by name
	}{
		{"nothing", "", nil},
		{"one field", "a=b", []string{"a", "b"}},
		{"sorted by name", "b=2&a=1&B=3", []string{"B", "3", "a", "1", "b", "2"}},
		{"plus is a space", "a+b=c+d", []string{"a b", "c d"}},
		{"an encoded plus stays one", "a=c%2Bd%2bd", []string{"a", "c+d+d"}},
		{"escapes in both cases", "a=%e4%b8%AD", []string{"a", "中"}},
		{"names are decoded too", "%61=1", []string{"a", "1"}},
		{"decoded once only", "a=%2525&b=%252B&c=%26amp%3B", []string{"a", "%25", "b", "%2B", "c", "&amp;"}},
		{"empty pairs are passed over", "&&a=1&&&b=2&&", []string{"a", "1", "b", "2"}},
		{"nothing but empty pairs", "&&&", nil},
		{"no equals sign", "a&b=1", []string{"a", "", "b", "1"}},
		{"no value", "a=", []string{"a", ""}},
		{"no name", "=v", []string{"", "v"}},
		{"neither", "=", []string{"", ""}},
		{"equals signs in the value", "a=b=c==", []string{"a", "b=c=="}},
		{"encoded separators in the value", "a=b%26c%3Dd", []string{"a", "b&c=d"}},
		{"a semicolon separates nothing", "a=1;b=2", []string{"a", "1;b=2"}},
		{"NUL", "a%00b=%00\x00", []string{"a\x00b", "\x00\x00"}},
		{"line breaks", "a=1\r\n2%0D%0A", []string{"a", "1\r\n2\r\n"}},
		{"GBK, escaped and raw", "a=%D0%A1&b=\xd0\xa1", []string{"a", "\xd0\xa1", "b", "\xd0\xa1"}},
		{"nothing is trimmed", "+a+=+b%20\t", []string{" a ", " b \t"}},
		{"names differ in case", "Sign=1&sign=2", []string{"Sign", "1", "sign", "2"}},
		{"names differ in a space", "a=1&a+=2", []string{"a", "1", "a ", "2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form := parse(t, []byte(tt.body))
			var got []string
			for name, value := range form.All() {
				got = append(got, name, value)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if form.Len() != len(tt.want)/2 {
				t.Errorf("Len is %d, want %d", form.Len(), len(tt.want)/2)
			}
		})
	}
}

func TestParseFormRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"a lone percent sign", "a=%", verify.ErrEncoding},
		{"half an escape", "a=%4", verify.ErrEncoding},
		{"half an escape before a separator", "a=%4&b=1", verify.ErrEncoding},
		{"an escape over a separator", "a=%&41=1", verify.ErrEncoding},
		{"no hexadecimal digits", "a=%zz", verify.ErrEncoding},
		{"one hexadecimal digit", "a=%4g", verify.ErrEncoding},
		{"a sign for a digit", "a=%+4", verify.ErrEncoding},
		{"the letter after f", "a=%0G", verify.ErrEncoding},
		{"a broken escape in a name", "%=1", verify.ErrEncoding},
		{"the escapes of JavaScript", "a=%u4E2D", verify.ErrEncoding},

		{"a name twice", "a=1&b=2&a=3", verify.ErrRepeatedField},
		{"a name and value twice", "a=1&a=1", verify.ErrRepeatedField},
		{"a name twice, once without a value", "a=1&a", verify.ErrRepeatedField},
		{"a name twice, spelled differently", "a=1&%61=2", verify.ErrRepeatedField},
		{"a name twice, escaped in two cases", "%2f=1&%2F=2", verify.ErrRepeatedField},
		{"a name twice, with both spaces", "a+b=1&a%20b=2", verify.ErrRepeatedField},
		{"no name, twice", "=1&=2", verify.ErrRepeatedField},
		{"sign twice", "sign=1&sign=2", verify.ErrRepeatedField},

		{"a field in a name", "app_id%3D1%26biz_content=2", verify.ErrFieldName},
		{"an ampersand in a name", "a%26b=1", verify.ErrFieldName},
		{"an equals sign in a name", "a%3db=1", verify.ErrFieldName},
		{"an equals sign in a name without value", "a%3D", verify.ErrFieldName},

		{"257 fields", body(257), verify.ErrTooManyFields},
		{"257 fields with empty pairs between", strings.ReplaceAll(body(257), "&", "&&"), verify.ErrTooManyFields},
		{"257 times one field", strings.Repeat("a&", 257), verify.ErrTooManyFields},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := verify.ParseForm(tt.body); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// body has n fields.
func body(n int) string {
	pairs := make([]string, n)
	for i := range pairs {
		pairs[i] = fmt.Sprintf("f%03d=%d", n-i, i)
	}
	return strings.Join(pairs, "&")
}

func TestParseFormTakes256Fields(t *testing.T) {
	t.Parallel()
	for _, text := range []string{body(verify.MaxFields), strings.ReplaceAll(body(verify.MaxFields), "&", "&&&")} {
		if form := parse(t, []byte(text)); form.Len() != verify.MaxFields {
			t.Errorf("%d fields came back", form.Len())
		}
	}
}

// A field name with '&' or '=' was accepted once. The genuine form
// "charset=GBK&encrypt_type=AES" can be posted as one field whose name is
// "charset=GBK&encrypt_type": the signing string is the same, the signature
// holds, and both fields are gone from every check and from the event. With a
// trade notification it hid refund_fee. The grammars of events look at values
// of names that they know, so they could not see it.
func TestParseFormRefusesFieldsMergedIntoAName(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	genuine := signed(t, key, alipaytest.Signing{}, alipaytest.Field{Name: "encrypt_type", Value: "AES"})
	v := newVerifier(t, rsa2, key)

	merged := genuine.Without("charset", "encrypt_type").With("charset=UTF-8&encrypt_type", "AES")
	var fields []verify.Field
	for _, f := range merged {
		fields = append(fields, verify.Field(f))
	}
	decoded, err := verify.NewForm(fields...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(decoded, ""); err != nil {
		t.Fatalf("the attack does not work any more, so this test shows nothing: %v", err)
	}
	if _, err := verify.ParseForm(string(merged.Encode())); !errors.Is(err, verify.ErrFieldName) {
		t.Errorf("got %v, want %v", err, verify.ErrFieldName)
	}
}

func TestNewFormRefuses(t *testing.T) {
	t.Parallel()
	if _, err := verify.NewForm(verify.Field{Name: "a"}, verify.Field{Name: "b"}, verify.Field{Name: "a", Value: "1"}); !errors.Is(err, verify.ErrRepeatedField) {
		t.Errorf("repeated: %v", err)
	}
	many := make([]verify.Field, verify.MaxFields+1)
	for i := range many {
		many[i].Name = fmt.Sprint(i)
	}
	if _, err := verify.NewForm(many...); !errors.Is(err, verify.ErrTooManyFields) {
		t.Errorf("too many: %v", err)
	}
	// What the caller does with its slice afterwards is no matter of the form.
	fields := []verify.Field{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}
	form, err := verify.NewForm(fields...)
	if err != nil {
		t.Fatal(err)
	}
	fields[0].Value = "changed"
	if form.Get("b") != "2" || fields[1].Name != "a" {
		t.Error("form and slice share memory")
	}
}

func TestFormLookup(t *testing.T) {
	t.Parallel()
	form := parse(t, []byte("b=2&empty=&a=1&none"))
	for _, tt := range []struct {
		name, want string
		there      bool
	}{
		{"a", "1", true}, {"b", "2", true}, {"empty", "", true}, {"none", "", true},
		{"absent", "", false}, {"", "", false}, {"A", "", false},
	} {
		got, there := form.Lookup(tt.name)
		if got != tt.want || there != tt.there || form.Get(tt.name) != tt.want {
			t.Errorf("%q: got %q, %v, want %q, %v", tt.name, got, there, tt.want, tt.there)
		}
	}
	if _, there := (verify.Form{}).Lookup("a"); there {
		t.Error("the zero form has a field")
	}
	n := 0
	for range form.All() {
		if n++; n == 2 {
			break // All must stop when its reader does
		}
	}
}

// The body belongs to the request and may be used again once the form is made.
func TestParseFormKeepsNothingOfTheBody(t *testing.T) {
	t.Parallel()
	data := []byte("name=value")
	form := parse(t, data)
	for i := range data {
		data[i] = 'x'
	}
	if got := form.Get("name"); got != "value" {
		t.Errorf("got %q", got)
	}
}

// drawBody makes a body out of pieces that are awkward together.
func drawBody(r *rand.Rand) string {
	pieces := []string{"a", "b", "sign", "sign_type", "=", "=", "&", "&", "+", "%2B", "%26", "%61", "%C3", "%00", "%", "%4", ";", " ", "中", "\xff", "~", "*"}
	var out strings.Builder
	for range r.IntN(14) {
		out.WriteString(pieces[r.IntN(len(pieces))])
	}
	return out.String()
}

// TestParseFormProperties draws bodies and holds against each what is true of
// all: names come sorted and once each, the order on the wire does not matter,
// encoding and parsing again changes nothing, and net/url reads the same.
func TestParseFormProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 50_000 {
		text := drawBody(r)
		form, err := verify.ParseForm(text)
		checkAgainstURL(t, text, form, err)
		pairs := strings.Split(text, "&")
		r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		shuffled, shuffledErr := verify.ParseForm(strings.Join(pairs, "&"))
		if (err == nil) != (shuffledErr == nil) || err == nil && !slices.Equal(fieldsOf(shuffled), fieldsOf(form)) {
			t.Fatalf("%q and %q differ: %v, %v", text, strings.Join(pairs, "&"), err, shuffledErr)
		}
		if err == nil {
			accepted++
			checkParsed(t, form)
		}
	}
	if accepted < 10_000 {
		t.Errorf("%d of the drawn bodies are forms: too few to show anything", accepted)
	}
}

// checkParsed holds the properties of every form that was parsed.
func checkParsed(t *testing.T, form verify.Form) {
	t.Helper()
	fields := fieldsOf(form)
	for i, f := range fields {
		if i > 0 && fields[i-1].Name >= f.Name {
			t.Fatalf("not sorted, or not unique: %q before %q", fields[i-1].Name, f.Name)
		}
		if strings.ContainsAny(f.Name, "&=") {
			t.Fatalf("a name with a separator: %q", f.Name)
		}
		if got, ok := form.Lookup(f.Name); !ok || got != f.Value {
			t.Fatalf("Lookup(%q) is %q, %v, want %q", f.Name, got, ok, f.Value)
		}
	}
	var encoded alipaytest.Form // encoding is written a second time there
	for _, f := range fields {
		encoded = append(encoded, alipaytest.Field(f))
	}
	again, err := verify.ParseForm(string(encoded.Encode()))
	if err != nil || !slices.Equal(fieldsOf(again), fields) {
		t.Fatalf("encoded %q\nand parsed again: %q, %v\nwant %q", encoded.Encode(), fieldsOf(again), err, fields)
	}
}

// checkAgainstURL compares with net/url, which is more lenient with names and
// stricter with semicolons.
func checkAgainstURL(t *testing.T, text string, form verify.Form, err error) {
	t.Helper()
	if strings.Contains(text, ";") {
		return
	}
	values, urlErr := url.ParseQuery(text)
	if err != nil {
		if errors.Is(err, verify.ErrEncoding) && urlErr == nil {
			t.Fatalf("%q: broken for us alone", text)
		}
		return
	}
	if urlErr != nil {
		t.Fatalf("%q: refused by net/url alone: %v", text, urlErr)
	}
	if len(values) != form.Len() {
		t.Fatalf("%q: %d fields, net/url has %d", text, form.Len(), len(values))
	}
	for name, all := range values {
		if got, ok := form.Lookup(name); !ok || len(all) != 1 || all[0] != got {
			t.Fatalf("%q: %q is %q, %v; net/url has %q", text, name, got, ok, all)
		}
	}
}
