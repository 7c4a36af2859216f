package verify

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA (SHA-1) is only used where the configuration allows that legacy type
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// SignType names a signature algorithm as Alipay does.
type SignType string

// The algorithms of PROTOCOL.md 3.2, both PKCS #1 v1.5.
const (
	RSA2 SignType = "RSA2" // SHA-256; the only one that new apps can use
	RSA  SignType = "RSA"  // SHA-1; legacy, never on unless configured
)

// MaxKeys bounds the RSA operations that one forged request can cost.
const MaxKeys = 4

// Why a form was not proved genuine.
var (
	ErrAlgorithm       = errors.New("sign_type is not allowed by the configuration")
	ErrSignatureFormat = errors.New("the signature is not base64 of the length of a configured key")
	ErrSignature       = errors.New("no configured key made this signature")
)

// maxHints bounds the memory of rules that fitted. Only genuine messages add
// to it, so the bound is a belt beside braces.
const maxHints = 1024

// Verifier checks forms against the keys of one app. It is immutable but for
// the memory of which rule fitted last, and safe for concurrent use.
type Verifier struct {
	keys  []PublicKey
	types []SignType
	sizes []int // signature lengths in bytes, one a key

	hints     sync.Map // method -> hint
	hintCount atomic.Int64
}

type hint struct {
	rule Rule
	key  int
}

// Match says what proved a form genuine.
type Match struct {
	KeyID    string
	Rule     Rule
	SignType SignType
}

// Proof is the value of the Alipay-Proof header.
func (m Match) Proof() string { return "key=" + m.KeyID + "; rule=" + m.Rule.String() }

// New makes a verifier of one app's keys and allowed algorithms. It refuses no
// key, more than MaxKeys, a key given twice, and no or unknown algorithms.
func New(keys []PublicKey, types []SignType) (*Verifier, error) {
	if len(keys) == 0 {
		return nil, errors.New("no Alipay public key")
	}
	if len(keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys; at most %d, because each costs every forged request an RSA operation", len(keys), MaxKeys)
	}
	if len(types) == 0 {
		return nil, errors.New("no sign type is allowed")
	}
	v := &Verifier{keys: slices.Clone(keys), types: slices.Clone(types)}
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], func(o PublicKey) bool { return o.ID == k.ID }) {
			return nil, fmt.Errorf("key %s is given twice", k.ID)
		}
		v.sizes = append(v.sizes, k.Key.Size())
	}
	for _, t := range types {
		if t != RSA && t != RSA2 {
			return nil, fmt.Errorf("unknown sign type %q", t)
		}
	}
	return v, nil
}

// Keys gives the verifier's keys, in their configured order.
func (v *Verifier) Keys() []PublicKey { return slices.Clone(v.keys) }

// SignTypes gives the allowed algorithms.
func (v *Verifier) SignTypes() []SignType { return slices.Clone(v.types) }

// Verify tells which key and rule prove the form, or why none does
// (ErrAlgorithm, ErrSignatureFormat, ErrSignature). method is the message's
// name; it only decides which candidate is tried first. The field sign_type
// chooses nothing: it is unsigned under one of the rules, so the algorithms are
// those of the configuration, and a type outside them is refused.
func (v *Verifier) Verify(form Form, method string) (Match, error) {
	w := workspaces.Get().(*workspace) //nolint:forcetypeassert // nothing else is put there
	defer workspaces.Put(w)
	sig, err := v.admit(w, form)
	if err != nil {
		return Match{}, err
	}
	w.rules = form.appendRules(w.rules[:0], v.types)
	rules := w.rules
	known, hinted := v.hint(method)
	if i := slices.Index(rules, known.rule); hinted && i > 0 {
		rules[0], rules[i] = rules[i], rules[0]
	}
	for _, rule := range rules {
		w.signed = form.appendSigningString(w.signed[:0], rule)
		for _, t := range v.types {
			digest, hash := w.digest(t)
			if k, ok := v.match(hash, digest, sig, known.key); ok {
				v.remember(method, hint{rule: rule, key: k}, known, hinted)
				return Match{KeyID: v.keys[k].ID, Rule: rule, SignType: t}, nil
			}
		}
	}
	return Match{}, ErrSignature
}

// VerifyRule checks one rule only, for proofs that name theirs. It accepts
// nothing that Verify would not: a rule that is none of the form's is no proof.
func (v *Verifier) VerifyRule(form Form, rule Rule) (Match, error) {
	var w workspace
	sig, err := v.admit(&w, form)
	if err != nil {
		return Match{}, err
	}
	if !slices.Contains(form.Rules(v.types), rule) {
		return Match{}, ErrSignature
	}
	w.signed = form.appendSigningString(nil, rule)
	for _, t := range v.types {
		digest, hash := w.digest(t)
		if k, ok := v.match(hash, digest, sig, 0); ok {
			return Match{KeyID: v.keys[k].ID, Rule: rule, SignType: t}, nil
		}
	}
	return Match{}, ErrSignature
}

// workspace is what one verification needs, and nobody after it.
type workspace struct {
	rules  []Rule
	signed []byte // the signed string
	sig    []byte
	sum    [sha256.Size]byte
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// admit refuses what needs no RSA to be refused, and gives the signature.
func (v *Verifier) admit(w *workspace, form Form) ([]byte, error) {
	if t := form.Get("sign_type"); t != "" && !slices.Contains(v.types, SignType(t)) {
		return nil, ErrAlgorithm
	}
	return v.signature(w, form.Get("sign"))
}

var strict = base64.StdEncoding.Strict()

// signature decodes sign and refuses, before any RSA, what no key could have
// made. The decoder of the standard library passes over line breaks, so the
// length of the text is checked too: one signature has one spelling.
func (v *Verifier) signature(w *workspace, sign string) (_ []byte, err error) {
	for _, size := range v.sizes {
		if len(sign) != base64.StdEncoding.EncodedLen(size) {
			continue
		}
		if w.sig, err = strict.AppendDecode(w.sig[:0], []byte(sign)); err == nil && len(w.sig) == size {
			return w.sig, nil
		}
	}
	return nil, ErrSignatureFormat
}

// match tries the keys, beginning with the one that fitted last.
func (v *Verifier) match(hash crypto.Hash, digest, sig []byte, first int) (int, bool) {
	for n := range v.keys {
		i := (first + n) % len(v.keys)
		if v.sizes[i] == len(sig) && rsa.VerifyPKCS1v15(v.keys[i].Key, hash, digest, sig) == nil {
			return i, true
		}
	}
	return 0, false
}

func (v *Verifier) hint(method string) (hint, bool) {
	h, ok := v.hints.Load(method)
	if !ok {
		return hint{}, false
	}
	return h.(hint), true
}

func (v *Verifier) remember(method string, now, before hint, hinted bool) {
	if hinted {
		if now != before {
			v.hints.Store(strings.Clone(method), now)
		}
		return
	}
	if v.hintCount.Add(1) <= maxHints {
		// The clone lets go of the body that method is a part of. Another
		// request may have been first: one method counts once.
		if _, there := v.hints.LoadOrStore(strings.Clone(method), now); !there {
			return
		}
	}
	v.hintCount.Add(-1)
}

// digest is what the signed string comes to.
func (w *workspace) digest(t SignType) ([]byte, crypto.Hash) {
	if t == RSA {
		sum := sha1.Sum(w.signed) //nolint:gosec // see the import
		return w.sum[:copy(w.sum[:], sum[:])], crypto.SHA1
	}
	w.sum = sha256.Sum256(w.signed)
	return w.sum[:], crypto.SHA256
}
