package verify_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// variant is one way of signing, and the rule that must prove it.
type variant struct {
	name string
	form alipaytest.Form
	want verify.Match
}

// variants signs a notification in each way that there is: {keep, drop, insert}
// x {empty fields signed, left out} x {with an empty field, without} x {RSA2, RSA}.
func variants(tb testing.TB, key *alipaytest.Key) (out []variant) {
	tb.Helper()
	keyID := publicKeys(tb, key)[0].ID
	for _, signType := range []alipaytest.SignType{alipaytest.RSA2, alipaytest.RSA} {
		for _, rule := range []alipaytest.Rule{alipaytest.KeepSignType, alipaytest.DropSignType, alipaytest.InsertSignType} {
			for _, drop := range []bool{false, true} {
				for _, empty := range []bool{false, true} {
					how := alipaytest.Signing{SignType: signType, Rule: rule, DropEmpty: drop}
					var more []alipaytest.Field
					if empty {
						more = append(more, alipaytest.Field{Name: "msg_uid"})
					}
					want := verify.Rule{SignType: verify.SignTypeMode(rule), DropEmpty: drop && empty} // without an empty field both are one
					if rule == alipaytest.InsertSignType {
						want.Inserted = verify.SignType(signType)
					}
					out = append(out, variant{
						fmt.Sprintf("%s, %s, drop empty %v, empty field %v", signType, rule, drop, empty),
						signed(tb, key, how, more...),
						verify.Match{KeyID: keyID, Rule: want, SignType: verify.SignType(signType)},
					})
				}
			}
		}
	}
	return out
}

// TestVerify walks every way of signing with one to four keys, the right one
// last, and with each set of allowed types.
func TestVerify(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	for n := 1; n <= verify.MaxKeys; n++ {
		for _, v := range variants(t, keys[n-1]) {
			form := parse(t, v.form.Encode())
			for _, types := range [][]verify.SignType{{verify.RSA2}, {verify.RSA}, {verify.RSA2, verify.RSA}, {verify.RSA, verify.RSA2}} {
				t.Run(fmt.Sprintf("%d keys, %v, %s", n, types, v.name), func(t *testing.T) {
					t.Parallel()
					verifier := newVerifier(t, types, keys[:n]...)
					got, err := verifier.Verify(form, "m")
					if !slices.Contains(types, v.want.SignType) {
						if err == nil {
							t.Errorf("taken as %+v, although %s is not allowed", got, v.want.SignType)
						}
						return
					}
					if err != nil || got != v.want {
						t.Errorf("got  %+v, %v\nwant %+v", got, err, v.want)
					}
					// A proof names its rule; checking that one alone must agree.
					again, err := verifier.VerifyRule(form, got.Rule)
					if err != nil || again != got {
						t.Errorf("VerifyRule: %+v, %v", again, err)
					}
				})
			}
		}
	}
}

func TestVerifyReportsProof(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	got, err := newVerifier(t, rsa2, key).Verify(parse(t, signed(t, key, alipaytest.Signing{}).Encode()), "m")
	if err != nil {
		t.Fatal(err)
	}
	if want := "key=" + publicKeys(t, key)[0].ID + "; rule=keep-sign-type,keep-empty"; got.Proof() != want {
		t.Errorf("got %q, want %q", got.Proof(), want)
	}
}

// sign_type is unsigned under one of the rules, so it must not choose: neither
// an algorithm that the configuration does not allow, nor among those that it
// does.
func TestVerifySignTypeDecidesNothing(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	dropRSA := signed(t, key, alipaytest.Signing{SignType: alipaytest.RSA, Rule: alipaytest.DropSignType})
	dropRSA2 := signed(t, key, alipaytest.Signing{Rule: alipaytest.DropSignType})
	// keep-signed with SHA-1 over a string that says RSA2
	text, err := alipaytest.SigningString(dropRSA2, alipaytest.Signing{})
	if err != nil {
		t.Fatal(err)
	}
	sha1Sign, err := key.SignBytes(text, alipaytest.RSA)
	if err != nil {
		t.Fatal(err)
	}
	keepRSAcalledRSA2 := dropRSA2.With("sign", sha1Sign)
	for _, tt := range []struct {
		name  string
		form  alipaytest.Form
		types []verify.SignType
		want  error
	}{
		{"RSA2 says RSA, RSA2 allowed", dropRSA2.With("sign_type", "RSA"), rsa2, verify.ErrAlgorithm},
		{"RSA2 says RSA, both allowed", dropRSA2.With("sign_type", "RSA"), both, nil},
		{"RSA says RSA, RSA2 allowed", dropRSA, rsa2, verify.ErrAlgorithm},
		{"RSA says RSA2, RSA2 allowed", dropRSA.With("sign_type", "RSA2"), rsa2, verify.ErrSignature},
		{"RSA says RSA2, both allowed", dropRSA.With("sign_type", "RSA2"), both, nil},
		{"RSA says RSA2 and signs it, both allowed", keepRSAcalledRSA2, both, nil},
		{"RSA says RSA2 and signs it, RSA2 allowed", keepRSAcalledRSA2, rsa2, verify.ErrSignature},
		{"RSA says nothing, RSA2 allowed", dropRSA.Without("sign_type"), rsa2, verify.ErrSignature},
		{"RSA says nothing, both allowed", dropRSA.Without("sign_type"), both, nil},
		{"RSA says an empty type, RSA2 allowed", dropRSA.With("sign_type", ""), rsa2, verify.ErrSignature},
		{"RSA2 says an empty type", dropRSA2.With("sign_type", ""), rsa2, nil},
		{"SM2", dropRSA2.With("sign_type", "SM2"), both, verify.ErrAlgorithm},
		{"none", dropRSA2.With("sign_type", "none"), both, verify.ErrAlgorithm},
		{"small letters", dropRSA2.With("sign_type", "rsa2"), both, verify.ErrAlgorithm},
		{"a space behind", dropRSA2.With("sign_type", "RSA2 "), both, verify.ErrAlgorithm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := newVerifier(t, tt.types, key).Verify(parse(t, tt.form.Encode()), "m"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// VerifyRule used to look at neither sign_type nor whether the rule is one of
// the form's. So it took forms that Verify refuses: one that says SM2, and,
// under "insert", one whose own sign_type is anything at all.
func TestVerifyRuleAcceptsNothingThatVerifyRefuses(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	kept := signed(t, key, alipaytest.Signing{})
	dropped := signed(t, key, alipaytest.Signing{Rule: alipaytest.DropSignType})
	inserted := kept.Without("sign_type")
	insertedRSA := signed(t, key, alipaytest.Signing{SignType: alipaytest.RSA, Rule: alipaytest.InsertSignType})
	for _, tt := range []struct {
		name string
		form alipaytest.Form
		rule verify.Rule
		want error
	}{
		{"the rule that fits", kept, keepEmpty, nil},
		{"another rule of the form", kept, dropEmpty, verify.ErrSignature},
		{"a rule that coincides with the one that stands for it", kept, keepDropEmpty, verify.ErrSignature},
		{"insert into a form that has the field", kept, insertEmpty, verify.ErrSignature},
		{"insert into a form that says SM2", kept.With("sign_type", "SM2"), insertEmpty, verify.ErrAlgorithm},
		{"drop, in a form that says SM2", dropped.With("sign_type", "SM2"), dropEmpty, verify.ErrAlgorithm},
		{"insert", inserted, insertEmpty, nil},
		{"insert of a type that is not allowed", insertedRSA, insertRSA, verify.ErrSignature},
		{"no rule at all", kept, verify.Rule{}, verify.ErrSignature},
		{"broken signature", kept.With("sign", "x"), keepEmpty, verify.ErrSignatureFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := newVerifier(t, rsa2, key).VerifyRule(parse(t, tt.form.Encode()), tt.rule); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// disabled is a verifier whose key lost its modulus after it was taken, so that
// every RSA operation fails: ErrSignature then means that one was tried, and
// any other error that none was.
func disabled(t *testing.T, types ...verify.SignType) *verify.Verifier {
	t.Helper()
	key := publicKeys(t, testKeys(t)[0])
	v, err := verify.New(key, types)
	if err != nil {
		t.Fatal(err)
	}
	key[0].Key.N = nil // the verifier has a copy of the list, not of the key
	return v
}

// TestVerifyRefusesBeforeRSA: a signature has one spelling, and what is not in
// it costs no RSA operation. Alipay writes standard base64 with padding on one
// line; spaces are lost pluses and are not repaired.
func TestVerifyRefusesBeforeRSA(t *testing.T) {
	t.Parallel()
	form := signed(t, testKeys(t)[0], alipaytest.Signing{})
	sign, _ := form.Get("sign")
	if _, err := disabled(t, verify.RSA2).Verify(parse(t, form.Encode()), "m"); !errors.Is(err, verify.ErrSignature) {
		t.Fatalf("the genuine signature does not get as far as RSA, so this test shows nothing: %v", err)
	}
	for _, tt := range []struct {
		name, sign string
	}{
		{"none", ""},
		{"a byte short", sign[:343]},
		{"a group short", sign[:340]},
		{"a group more", "AAAA" + sign},
		{"a byte more", sign + "="},
		{"twice", sign + sign},
		{"without padding", strings.TrimRight(sign, "=")},
		{"of a key of 1024 bits", base64.StdEncoding.EncodeToString(make([]byte, 128))},
		{"of 257 bytes, which are as long in base64", base64.StdEncoding.EncodeToString(make([]byte, 257))},
		{"of 258 bytes, which are as long in base64", base64.StdEncoding.EncodeToString(make([]byte, 258))},
		{"a newline behind", sign + "\n"},
		{"a newline inside", sign[:64] + "\n" + sign[64:]},
		{"a newline for a character", sign[:64] + "\n" + sign[65:]},
		{"four newlines for a group", sign[:64] + "\n\n\n\n" + sign[68:]},
		{"lines as PEM has them", sign[:64] + "\r\n" + sign[66:]},
		{"a space for a character", sign[:7] + " " + sign[8:]},
		{"a space before", " " + sign[1:]},
		{"url-safe base64", sign[:7] + "-_" + sign[9:]},
		{"padding inside", sign[:8] + "====" + sign[12:]},
		{"trailing bits that mean nothing", trailingBits(t, sign)},
		{"hex", strings.Repeat("0", 344)[:343] + "."},
		{"not ASCII", "é" + sign[2:]},
		{"NUL", "\x00" + sign[1:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused := parse(t, form.With("sign", tt.sign).Encode())
			if _, err := disabled(t, verify.RSA2).Verify(refused, "m"); !errors.Is(err, verify.ErrSignatureFormat) {
				t.Errorf("Verify: got %v, want %v", err, verify.ErrSignatureFormat)
			}
			if _, err := disabled(t, verify.RSA2).VerifyRule(refused, keepEmpty); !errors.Is(err, verify.ErrSignatureFormat) {
				t.Errorf("VerifyRule: got %v, want %v", err, verify.ErrSignatureFormat)
			}
		})
	}
	t.Run("an algorithm that is not allowed", func(t *testing.T) {
		t.Parallel()
		refused := parse(t, form.With("sign_type", "RSA").Encode())
		if _, err := disabled(t, verify.RSA2).Verify(refused, "m"); !errors.Is(err, verify.ErrAlgorithm) {
			t.Errorf("got %v, want %v", err, verify.ErrAlgorithm)
		}
	})
	t.Run("no sign at all", func(t *testing.T) {
		t.Parallel()
		if _, err := disabled(t, verify.RSA2).Verify(parse(t, form.Without("sign").Encode()), "m"); !errors.Is(err, verify.ErrSignatureFormat) {
			t.Errorf("got %v, want %v", err, verify.ErrSignatureFormat)
		}
	})
}

// trailingBits spells the same 256 bytes in another way: the last character
// before "==" carries four bits that a lenient decoder throws away.
func trailingBits(t *testing.T, sign string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(alphabet, sign[341])
	other := sign[:341] + string(alphabet[last|1]) + "=="
	a, errA := base64.StdEncoding.DecodeString(sign)
	b, errB := base64.StdEncoding.DecodeString(other)
	if errA != nil || errB != nil || other == sign || !bytes.Equal(a, b) {
		t.Fatal("this is not another spelling of the same signature")
	}
	return other
}

// TestVerifyForged: what has the right shape, and nobody signed.
func TestVerifyForged(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	form := signed(t, keys[0], alipaytest.Signing{})
	other := signed(t, keys[0], alipaytest.Signing{}, alipaytest.Field{Name: "notify_id", Value: "1"})
	foreign := signed(t, keys[1], alipaytest.Signing{})
	otherSign, _ := other.Get("sign")
	for _, tt := range []struct {
		name string
		form alipaytest.Form
	}{
		{"a key that is not configured", foreign},
		{"the signature of another notification", form.With("sign", otherSign)},
		{"zeros", form.With("sign", base64.StdEncoding.EncodeToString(make([]byte, 256)))},
		{"more than the modulus", form.With("sign", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 256)))},
		{"another app", form.With("app_id", "2021000000000002")},
		{"a field more", form.With("msg_app_id", "1")},
		{"a field less", form.Without("version")},
		{"a value trimmed to nothing", form.With("version", "")},
		{"a value with a space behind", form.With("version", "1.1 ")},
		{"a name in capitals", form.Without("version").With("Version", "1.1")},
		{"two values exchanged", form.With("version", "UTF-8").With("charset", "1.1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, both, keys[0], keys[2])
			if got, err := v.Verify(parse(t, tt.form.Encode()), "m"); !errors.Is(err, verify.ErrSignature) {
				t.Errorf("got %+v, %v, want %v", got, err, verify.ErrSignature)
			}
			if n := len(slices.Collect(v.Hints())); n != 0 {
				t.Errorf("a forged form left %d hints", n)
			}
		})
	}
}

// Anybody can add an empty field to a genuine form, or take one out, and it
// still verifies under the other rule. It is the readers that must treat empty
// as absent, and Get is where they do.
func TestVerifyEmptyFieldsAreFree(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	v := newVerifier(t, rsa2, key)
	added := parse(t, signed(t, key, alipaytest.Signing{}).With("encrypt_type", "").Encode())
	got, err := v.Verify(added, "m")
	if err != nil || got.Rule != keepDropEmpty {
		t.Errorf("added: %+v, %v", got, err)
	}
	if added.Get("encrypt_type") != added.Get("never_there") {
		t.Error("Get tells an empty field from an absent one")
	}
}

func TestVerifyMixedKeySizes(t *testing.T) {
	t.Parallel()
	small, big := testKeys(t)[0], bigKey(t)
	for _, keys := range [][]*alipaytest.Key{{small, big}, {big, small}, {testKeys(t)[1], big, small}} {
		v := newVerifier(t, rsa2, keys...)
		for _, key := range []*alipaytest.Key{small, big} {
			got, err := v.Verify(parse(t, signed(t, key, alipaytest.Signing{}).Encode()), "m")
			if err != nil || got.KeyID != publicKeys(t, key)[0].ID {
				t.Errorf("key of %d bits: %+v, %v", key.Public().N.BitLen(), got, err)
			}
		}
	}
	form := parse(t, signed(t, big, alipaytest.Signing{}).Encode())
	if _, err := newVerifier(t, rsa2, small).Verify(form, "m"); !errors.Is(err, verify.ErrSignatureFormat) {
		t.Errorf("a signature of 512 bytes for a key of 256: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	keys := publicKeys(t, testKeys(t)...)
	fifth := append(slices.Clone(keys), publicKeys(t, bigKey(t))...)
	for _, tt := range []struct {
		name  string
		keys  []verify.PublicKey
		types []verify.SignType
		say   string
	}{
		{"no key", nil, rsa2, "no Alipay public key"},
		{"five keys", fifth, rsa2, "at most 4"},
		{"a key twice", []verify.PublicKey{keys[0], keys[1], keys[0]}, rsa2, "given twice"},
		{"no type", keys, nil, "no sign type"},
		{"an unknown type", keys, []verify.SignType{verify.RSA2, "SM2"}, `"SM2"`},
		{"an empty type", keys, []verify.SignType{""}, "unknown sign type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if v, err := verify.New(tt.keys, tt.types); err == nil || v != nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want an error that says %q", err, tt.say)
			}
		})
	}
}

func TestVerifierIsImmutable(t *testing.T) {
	t.Parallel()
	keys, types := publicKeys(t, testKeys(t)[:2]...), slices.Clone(both)
	v, err := verify.New(keys, types)
	if err != nil {
		t.Fatal(err)
	}
	first := keys[0].ID
	keys[0], types[0] = keys[1], verify.RSA
	v.Keys()[0], v.SignTypes()[0] = keys[1], verify.RSA
	if v.Keys()[0].ID != first || v.SignTypes()[0] != verify.RSA2 {
		t.Error("somebody else's slice changes the verifier")
	}
}
