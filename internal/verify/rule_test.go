package verify_test

import (
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/verify"
)

// Short names of all rules that a verifier with both types can try.
var (
	keepEmpty       = verify.Rule{SignType: verify.KeepSignType}
	keepDropEmpty   = verify.Rule{SignType: verify.KeepSignType, DropEmpty: true}
	dropEmpty       = verify.Rule{SignType: verify.DropSignType}
	dropDropEmpty   = verify.Rule{SignType: verify.DropSignType, DropEmpty: true}
	insertEmpty     = verify.Rule{SignType: verify.InsertSignType, Inserted: verify.RSA2}
	insertDropEmpty = verify.Rule{SignType: verify.InsertSignType, Inserted: verify.RSA2, DropEmpty: true}
	insertRSA       = verify.Rule{SignType: verify.InsertSignType, Inserted: verify.RSA}
	insertRSADrop   = verify.Rule{SignType: verify.InsertSignType, Inserted: verify.RSA, DropEmpty: true}
)

// candidate is a rule and the signing string that it must give.
type candidate struct {
	rule verify.Rule
	text string
}

// TestRules writes out, by hand, every signing string that is tried for a form,
// and so which of {keep, drop, insert} x {keep empty, drop empty} coincide.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		allowed    []verify.SignType
		want       []candidate
	}{
		{"sign_type, nothing empty", "a=1&sign=s&sign_type=RSA2&z=2", rsa2, []candidate{
			{keepEmpty, "a=1&sign_type=RSA2&z=2"},
			{dropEmpty, "a=1&z=2"},
		}},
		{"sign_type, an empty field", "a=1&m=&sign=s&sign_type=RSA2", rsa2, []candidate{
			{keepEmpty, "a=1&m=&sign_type=RSA2"},
			{keepDropEmpty, "a=1&sign_type=RSA2"},
			{dropEmpty, "a=1&m="},
			{dropDropEmpty, "a=1"},
		}},
		{"no sign_type, nothing empty", "a=1&sign=s&z=2", rsa2, []candidate{
			{keepEmpty, "a=1&z=2"}, // keep and drop coincide, keep stands for both
			{insertEmpty, "a=1&sign_type=RSA2&z=2"},
		}},
		{"no sign_type, an empty field", "a=1&m&sign=s", rsa2, []candidate{
			{keepEmpty, "a=1&m="},
			{keepDropEmpty, "a=1"},
			{insertEmpty, "a=1&m=&sign_type=RSA2"},
			{insertDropEmpty, "a=1&sign_type=RSA2"},
		}},
		{"no sign_type, both types allowed", "a=1&m=&sign=s", both, []candidate{
			{keepEmpty, "a=1&m="},
			{keepDropEmpty, "a=1"},
			{insertEmpty, "a=1&m=&sign_type=RSA2"},
			{insertDropEmpty, "a=1&sign_type=RSA2"},
			{insertRSA, "a=1&m=&sign_type=RSA"},
			{insertRSADrop, "a=1&sign_type=RSA"},
		}},
		{"an empty sign_type alone", "a=1&sign=s&sign_type=", rsa2, []candidate{
			{keepEmpty, "a=1&sign_type="},
			{keepDropEmpty, "a=1"}, // dropping sign_type gives the same
		}},
		{"an empty sign_type and an empty field", "a=1&m=&sign=s&sign_type=", rsa2, []candidate{
			{keepEmpty, "a=1&m=&sign_type="},
			{keepDropEmpty, "a=1"}, // stands for dropping both, too
			{dropEmpty, "a=1&m="},
		}},
		{"an empty sign is no empty field", "a=1&sign=&sign_type=RSA2", rsa2, []candidate{
			{keepEmpty, "a=1&sign_type=RSA2"},
			{dropEmpty, "a=1"},
		}},
		{"sign alone", "sign=s", rsa2, []candidate{
			{keepEmpty, ""},
			{insertEmpty, "sign_type=RSA2"},
		}},
		{"sign_type alone", "sign=s&sign_type=RSA2", rsa2, []candidate{
			{keepEmpty, "sign_type=RSA2"},
			{dropEmpty, ""},
		}},
		{"nothing", "", rsa2, []candidate{{keepEmpty, ""}, {insertEmpty, "sign_type=RSA2"}}},
		{"all empty", "a=&b=&sign=s&sign_type=RSA2", rsa2, []candidate{
			{keepEmpty, "a=&b=&sign_type=RSA2"},
			{keepDropEmpty, "sign_type=RSA2"},
			{dropEmpty, "a=&b="},
			{dropDropEmpty, ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form := parse(t, []byte(tt.body))
			var got []candidate
			for _, rule := range form.Rules(tt.allowed) {
				got = append(got, candidate{rule, form.SigningString(rule)})
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestSigningString(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rule verify.Rule
		form []string // names and values in turn
		want string
	}{
		{"insert before all", insertEmpty, []string{"t", "1", "z", "2"}, "sign_type=RSA2&t=1&z=2"},
		{"insert between", insertEmpty, []string{"a", "1", "z", "2"}, "a=1&sign_type=RSA2&z=2"},
		{"insert after all", insertEmpty, []string{"a", "1", "b", "2"}, "a=1&b=2&sign_type=RSA2"},
		{"insert into nothing", insertEmpty, nil, "sign_type=RSA2"},
		{"insert beside sign", insertEmpty, []string{"sign", "s"}, "sign_type=RSA2"},
		{"insert after its own prefix", insertEmpty, []string{"sign_typ", "1", "sign_type1", "2", "sign_types", "3"}, "sign_typ=1&sign_type=RSA2&sign_type1=2&sign_types=3"},
		{"insert where all else is dropped", insertDropEmpty, []string{"a", "", "z", ""}, "sign_type=RSA2"},
		{"the inserted type is that of the rule", insertRSA, []string{"a", "1"}, "a=1&sign_type=RSA"},

		// The order is that of the names. Sorting pairs as text would put '='
		// into the comparison, and every byte below it on the wrong side.
		{"a prefix comes first, whatever follows", keepEmpty, []string{"ab", "3", "a-b", "2", "a", "1", "a_b", "4"}, "a=1&a-b=2&a_b=4&ab=3"},
		{"digits and dots sort before the equals sign", keepEmpty, []string{"a1", "2", "a", "9", "a.b", "1"}, "a=9&a.b=1&a1=2"},
		{"a name that ends in an equals sign", keepEmpty, []string{"a=", "2", "a", "1", "a<", "0"}, "a=1&a<=0&a==2"},
		{"capitals before underscore before small", keepEmpty, []string{"b", "4", "_", "3", "Z", "2", "A", "1"}, "A=1&Z=2&_=3&b=4"},
		{"bytes, not characters", keepEmpty, []string{"\xff", "3", "中", "2", "z", "1"}, "z=1&中=2&\xff=3"},
		{"no name sorts first", keepEmpty, []string{"a", "1", "", "0"}, "=0&a=1"},

		{"values stay as they are", keepEmpty, []string{"a", " +%2B&x=y\x00\n&quot;\\/ ", "b", "中\xd0\xa1"}, "a= +%2B&x=y\x00\n&quot;\\/ &b=中\xd0\xa1"},
		{"a space is a value", keepDropEmpty, []string{"a", " ", "b", ""}, "a= "},
		{"the first field is dropped", keepDropEmpty, []string{"a", "", "b", "1"}, "b=1"},
		{"the last field is dropped", keepDropEmpty, []string{"a", "1", "b", ""}, "a=1"},
		{"only sign itself is left out", keepEmpty, []string{"Sign", "1", "sign", "2", "sign_", "3", "signs", "4"}, "Sign=1&sign_=3&signs=4"},
		{"only sign_type itself is left out", dropEmpty, []string{"sign_type", "1", "Sign_type", "2", "sign_type_", "3"}, "Sign_type=2&sign_type_=3"},
		{"alipay_cert_sn is a field like any other", keepEmpty, []string{"alipay_cert_sn", "x", "app_id", "1"}, "alipay_cert_sn=x&app_id=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := newForm(t, tt.form...).SigningString(tt.rule); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestRuleRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules []verify.Rule
		text  string
	}{
		{[]verify.Rule{keepEmpty}, "keep-sign-type,keep-empty"},
		{[]verify.Rule{keepDropEmpty}, "keep-sign-type,drop-empty"},
		{[]verify.Rule{dropEmpty}, "drop-sign-type,keep-empty"},
		{[]verify.Rule{dropDropEmpty}, "drop-sign-type,drop-empty"},
		{[]verify.Rule{insertEmpty, insertRSA}, "insert-sign-type,keep-empty"},
		{[]verify.Rule{insertDropEmpty, insertRSADrop}, "insert-sign-type,drop-empty"},
	} {
		for _, rule := range tt.rules {
			if got := rule.String(); got != tt.text {
				t.Errorf("%+v is written %q, want %q", rule, got, tt.text)
			}
		}
		got, err := verify.ParseRules(tt.text, both)
		if err != nil || !slices.Equal(got, tt.rules) {
			t.Errorf("%q: got %v, %v, want %v", tt.text, got, err, tt.rules)
		}
	}
}

func TestParseRulesRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ",", "keep", "keep-sign-type", "keep-sign-type,", "keep-empty", "keep,keep-empty", "-sign-type,keep-empty",
		"other-sign-type,keep-empty", "keep-sign-type,other", "keep-sign-type,keep-empty,", "keep-sign-type, keep-empty",
		" keep-sign-type,keep-empty", "KEEP-sign-type,keep-empty", "keep-sign-type,keep-empty,drop-empty",
		"keep-sign-type-sign-type,keep-empty", "drop-empty,keep-sign-type",
	} {
		if rules, err := verify.ParseRules(text, both); err == nil {
			t.Errorf("%q was taken for %v", text, rules)
		} else if !strings.Contains(err.Error(), "unknown rule") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
