package verify_test

import (
	"encoding/base64"
	"slices"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// mutants calls try with one changed copy of text after the other: every bit
// flipped, every byte lost, every byte doubled, and every byte replaced by
// those that mean something in a form or in base64. A change that changes
// nothing is passed over.
func mutants(text string, try func(string)) {
	for i := range len(text) {
		changed := []string{text[:i] + text[i+1:], text[:i] + text[i:i+1] + text[i:]}
		for bit := range 8 {
			changed = append(changed, text[:i]+string([]byte{text[i] ^ 1<<bit})+text[i+1:])
		}
		for _, c := range "&=+% \x00A" {
			changed = append(changed, text[:i]+string(c)+text[i+1:])
		}
		slices.Sort(changed)
		for _, m := range slices.Compact(changed) {
			if m != text {
				try(m)
			}
		}
	}
}

// refusesEveryChange verifies a form, and then every changed copy of it: values
// and names of the signed fields, and the signature, as text and as bytes.
// unsigned names the fields that the signature does not cover.
func refusesEveryChange(t *testing.T, v *verify.Verifier, form verify.Form, unsigned ...string) {
	t.Helper()
	if _, err := v.Verify(form, "m"); err != nil {
		t.Fatalf("the form as it is: %v", err)
	}
	fields := fieldsOf(form)
	tried := 0
	refused := func(where string, i int, f verify.Field) {
		changed := slices.Clone(fields)
		changed[i] = f
		form, err := verify.NewForm(changed...)
		if err != nil {
			return // two fields of one name
		}
		tried++
		if got, err := v.Verify(form, "m"); err == nil {
			t.Errorf("%s of %s: %q passed under %+v", where, fields[i].Name, f, got)
		}
	}
	for i, f := range fields {
		if slices.Contains(unsigned, f.Name) {
			continue
		}
		mutants(f.Value, func(value string) { refused("value", i, verify.Field{Name: f.Name, Value: value}) })
		if f.Name != "sign" {
			mutants(f.Name, func(name string) { refused("name", i, verify.Field{Name: name, Value: f.Value}) })
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(f.Value)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(raw) * 8 {
			raw[n/8] ^= 1 << (n % 8)
			refused("bytes", i, verify.Field{Name: "sign", Value: base64.StdEncoding.EncodeToString(raw)})
			raw[n/8] ^= 1 << (n % 8)
		}
	}
	if tried < 5000 {
		t.Errorf("%d changes were tried: too few to show anything", tried)
	}
}

func TestEveryChangeIsRefused(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	for _, tt := range []struct {
		name     string
		how      alipaytest.Signing
		unsigned []string
	}{
		{"keep", alipaytest.Signing{}, nil},
		{"drop", alipaytest.Signing{Rule: alipaytest.DropSignType}, []string{"sign_type"}},
		{"insert", alipaytest.Signing{Rule: alipaytest.InsertSignType}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form := parse(t, signed(t, key, tt.how).Encode())
			refusesEveryChange(t, newVerifier(t, rsa2, key), form, tt.unsigned...)
		})
	}
}
