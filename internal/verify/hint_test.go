package verify_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// TestHintsChangeNothing: a verifier that has just seen every other way of
// signing under the same method says of a form what a new verifier says.
func TestHintsChangeNothing(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	used := newVerifier(t, both, keys...)
	var all []variant
	for _, key := range keys {
		all = append(all, variants(t, key)...)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, v := range all {
			form := parse(t, v.form.Encode())
			if got, err := used.Verify(form, "m"); err != nil || got != v.want {
				t.Fatalf("%s: got %+v, %v\nwant %+v", v.name, got, err, v.want)
			}
			tampered := parse(t, v.form.With("version", "9.9").Encode())
			if got, err := used.Verify(tampered, "m"); !errors.Is(err, verify.ErrSignature) {
				t.Fatalf("%s, tampered: got %+v, %v", v.name, got, err)
			}
		}
	}
}

// A hint says what to try first, never what is enough: the rule must be one of
// this form's, and the signature must fit it.
func TestHintLetsNothingPass(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	kept := signed(t, key, alipaytest.Signing{})
	for _, tt := range []struct {
		name  string
		first alipaytest.Signing // what the method was seen with
		form  alipaytest.Form
	}{
		{"insert, and the form has a sign_type of its own", alipaytest.Signing{Rule: alipaytest.InsertSignType}, kept.With("sign_type", "RSA")},
		{"drop, and the signed sign_type was changed", alipaytest.Signing{Rule: alipaytest.DropSignType}, kept.With("sign_type", "RSA")},
		{"drop empty, and a value was emptied", alipaytest.Signing{DropEmpty: true}, kept.With("version", "")},
		{"keep, and a field was added", alipaytest.Signing{}, kept.With("msg_uid", "2088")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, both, key)
			first := signed(t, key, tt.first, alipaytest.Field{Name: "msg_app_id"})
			if _, err := v.Verify(parse(t, first.Encode()), "m"); err != nil {
				t.Fatal(err)
			}
			if got, err := v.Verify(parse(t, tt.form.Encode()), "m"); !errors.Is(err, verify.ErrSignature) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestHintRemembersRuleAndKey(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	v := newVerifier(t, rsa2, keys[0], keys[1])
	for _, step := range []struct {
		method string
		key    int
		how    alipaytest.Signing
		rule   verify.Rule
	}{
		{"a", 1, alipaytest.Signing{Rule: alipaytest.DropSignType}, dropEmpty},
		{"b", 0, alipaytest.Signing{}, keepEmpty},
		{"a", 1, alipaytest.Signing{Rule: alipaytest.InsertSignType}, insertEmpty}, // the rule changed
		{"a", 0, alipaytest.Signing{Rule: alipaytest.InsertSignType}, insertEmpty}, // the key changed
		{"", 0, alipaytest.Signing{}, keepEmpty},
	} {
		if _, err := v.Verify(parse(t, signed(t, keys[step.key], step.how).Encode()), step.method); err != nil {
			t.Fatal(err)
		}
		if rule, key, ok := v.Hinted(step.method); !ok || rule != step.rule || key != step.key {
			t.Errorf("%+v: remembered %v, %d, %v", step, rule, key, ok)
		}
	}
	if got := slices.Sorted(v.Hints()); !slices.Equal(got, []string{"", "a", "b"}) {
		t.Errorf("methods %q", got)
	}
}

// The memory is bounded, and when it is full everything still verifies, and
// what was remembered can still change.
func TestHintBound(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	v := newVerifier(t, rsa2, key)
	kept := parse(t, signed(t, key, alipaytest.Signing{}).Encode())
	dropped := parse(t, signed(t, key, alipaytest.Signing{Rule: alipaytest.DropSignType}).Encode())
	for i := range verify.MaxHints + 10 {
		if _, err := v.Verify(kept, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(slices.Collect(v.Hints())); n != verify.MaxHints {
		t.Errorf("%d methods are remembered, want %d", n, verify.MaxHints)
	}
	if _, _, ok := v.Hinted(fmt.Sprint(verify.MaxHints)); ok {
		t.Error("a method beyond the bound is remembered")
	}
	for _, method := range []string{"0", fmt.Sprint(verify.MaxHints)} {
		if got, err := v.Verify(dropped, method); err != nil || got.Rule != dropEmpty {
			t.Errorf("method %s: %+v, %v", method, got, err)
		}
	}
	if rule, _, _ := v.Hinted("0"); rule != dropEmpty {
		t.Errorf("what is remembered did not change: %v", rule)
	}
}

// Requests that meet a method at the same time all find no hint, and each of
// them used to count as a method. A burst after the start could fill the bound
// with one name, and the others were never remembered.
func TestHintCountsMethodOnce(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, rsa2, testKeys(t)[0])
	for range verify.MaxHints {
		v.RememberAsFirst("burst", keepEmpty)
	}
	v.RememberAsFirst("another", keepEmpty)
	if _, _, ok := v.Hinted("another"); !ok {
		t.Error("one method filled the memory of all")
	}
}

// The name of a method is a part of the decoded body. It used to be stored as
// it came, so that each remembered method kept a body of up to 256 KiB alive.
func TestHintKeepsNothingOfTheBody(t *testing.T) {
	t.Parallel()
	key := testKeys(t)[0]
	v := newVerifier(t, rsa2, key)
	form := parse(t, signed(t, key, alipaytest.Signing{}).Encode())
	method := form.Get("msg_method")
	if _, err := v.Verify(form, method); err != nil {
		t.Fatal(err)
	}
	for remembered := range v.Hints() {
		if remembered == method && unsafe.StringData(remembered) == unsafe.StringData(method) {
			t.Error("the remembered method is a piece of the body")
		}
	}
}

func TestVerifyConcurrently(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	v := newVerifier(t, both, keys[:2]...)
	all := append(variants(t, keys[0]), variants(t, keys[1])...)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 60 {
				want := all[r.IntN(len(all))]
				form := parse(t, want.form.Encode())
				method := strings.Repeat("m", r.IntN(3))
				if got, err := v.Verify(form, method); err != nil || got != want.want {
					t.Errorf("%s: got %+v, %v\nwant %+v", want.name, got, err, want.want)
				}
				forged := parse(t, want.form.With("version", "9").Encode())
				if _, err := v.Verify(forged, method); err == nil {
					t.Errorf("%s: a forged form passed", want.name)
				}
			}
		})
	}
	wg.Wait()
}
