package explain

import (
	"encoding/hex"
	"errors"
	"iter"
	"slices"

	"alipay-notify/internal/verify"
)

// The bounds of one search, whatever is searched.
const (
	// MaxRSAOperations bounds public-key operations: reading the signature in
	// nine spellings with 48 keys, and confirming what was found.
	MaxRSAOperations = maxSpellings*maxKnownKeys + confirmations
	// MaxTrials bounds the repaired forms that are compared.
	MaxTrials = 12_000
	// MaxBytes bounds what repairs read and trials hash.
	MaxBytes = 512 << 20

	// maxKept bounds the text of what is kept to be repaired further: readings of
	// the body, and first repairs.
	maxKept = 64 << 20
	// confirmations are the operations that are kept back for confirming.
	confirmations = 8
)

// search looks for the repairs that make a signature fit.
type search struct {
	in      *Input
	appID   string
	keys    []knownKey
	targets map[string]*target // sign -> what opened it, or nil
	target  *target            // the first that was opened
	work    Work
	text    []byte // reused by trials
}

func newSearch(in *Input, appID string) *search {
	return &search{in: in, appID: appID, keys: knownKeys(in, appID), targets: make(map[string]*target)}
}

// learn opens a signature with the known keys. Nearly always it is a single
// operation: the app's key, and sign as it came.
func (s *search) learn(sign string) *target {
	if t, done := s.targets[sign]; done {
		return t
	}
	s.targets[sign] = nil
	for _, r := range readings(sign) {
		for _, k := range s.keys {
			if k.Key.Size() != len(r.sig) {
				continue
			}
			if s.work.RSAOperations >= MaxRSAOperations-confirmations {
				s.work.Exhausted = true
				return nil
			}
			s.work.RSAOperations++
			if t, ok := open(k, r.sig); ok {
				t.spelling, t.sign = r.spelling, r.sign
				s.targets[sign] = t
				if s.target == nil {
					s.target = t
				}
				return t
			}
		}
	}
	return nil
}

// step is one repair on the way to a form.
type step struct {
	cause *hypothesis
	field string
}

// hit is a form that the signature fits.
type hit struct {
	form   verify.Form
	rule   verify.Rule
	target *target
	steps  []step
}

// repairs tells whether anything but the keys had to be changed.
func (h *hit) repairs() bool { return len(h.steps) > 0 || h.target.spelling != nil }

// attempt is a form to be tried, and how it came about.
type attempt struct {
	fields []verify.Field
	steps  []step
	wide   bool // about the whole form, or the only field that it can be about
	size   int
}

// run tries the form as it came, then one repair, then two. The order of the
// hypotheses decides between repairs that lead to the same form.
func (s *search) run(fields []verify.Field) *hit {
	starts := s.starts(fields)
	var wide, narrow []attempt // first repairs, for the second round
	kept := 0
	for i := range starts {
		if h := s.try(&starts[i]); h != nil {
			return h
		}
	}
	if s.target == nil {
		for a := range s.renewed(starts) {
			if h := s.try(&a); h != nil {
				return h
			}
			starts = append(starts, a)
		}
	}
	// Without a key that made the signature there is nothing to compare with.
	if s.target == nil {
		return nil
	}
	for _, start := range starts {
		for a := range s.repaired(start, true) {
			if h := s.try(&a); h != nil {
				return h
			}
			switch kept += a.size; {
			case kept > maxKept:
			case a.wide:
				wide = append(wide, a)
			default:
				narrow = append(narrow, a)
			}
		}
	}
	for _, first := range append(wide, narrow...) {
		for a := range s.repaired(first, first.wide) {
			if h := s.try(&a); h != nil {
				return h
			}
		}
	}
	return nil
}

// starts are the ways of reading the body.
func (s *search) starts(fields []verify.Field) []attempt {
	starts := []attempt{{fields: fields, size: sizeOf(fields)}}
	kept := 0
	if _, err := verify.ParseForm(string(s.in.Body)); errors.Is(err, verify.ErrEncoding) {
		starts[0].steps = []step{{cause: &barePercent}}
	}
	for i := range bodyHypotheses {
		h := &bodyHypotheses[i]
		if !s.spend(len(s.in.Body)) {
			break
		}
		for variant := range h.read(s.in.Body, s.in.ContentType) {
			if len(variant) == 0 || len(variant) > verify.MaxFields || slices.Equal(variant, fields) {
				continue
			}
			a := attempt{fields: variant, size: sizeOf(variant), steps: []step{{cause: &h.hypothesis}}}
			if kept += a.size; kept > maxKept {
				s.work.Exhausted = true
				return starts
			}
			starts = append(starts, a)
		}
	}
	return starts
}

// renewed gives forms in which sign may be another: under its right name, or
// the other of two.
func (s *search) renewed(starts []attempt) iter.Seq[attempt] {
	return func(yield func(attempt) bool) {
		for _, start := range slices.Clone(starts) {
			for a := range s.repaired(start, true) {
				if a.steps[len(a.steps)-1].cause.renews() && !yield(a) {
					return
				}
			}
		}
	}
}

// repaired gives every form that one repair makes of another; with narrow also
// those that repair one field of several.
func (s *search) repaired(from attempt, narrow bool) iter.Seq[attempt] {
	return func(yield func(attempt) bool) {
		for i := range hypotheses {
			h := &hypotheses[i]
			if slices.ContainsFunc(from.steps, func(st step) bool { return st.cause == h }) {
				continue
			}
			if !s.spend(from.size) {
				return
			}
			for v := range h.repair(repairable{fields: from.fields, in: s.in, appID: s.appID}) {
				if !narrow && !v.wide {
					continue
				}
				a := attempt{fields: v.fields, size: sizeOf(v.fields), wide: v.wide}
				a.steps = append(slices.Clone(from.steps), step{h, v.field})
				if !yield(a) {
					return
				}
			}
		}
	}
}

// spend pays for work on n bytes, unless the bounds are reached.
func (s *search) spend(n int) bool {
	if s.work.Exhausted = s.work.Exhausted || s.work.Trials >= MaxTrials || s.work.Bytes >= MaxBytes; s.work.Exhausted {
		return false
	}
	s.work.Bytes += int64(n)
	return true
}

// bothTypes lets a rule insert what the configuration does not allow: that is a
// cause to be found, too.
var bothTypes = []verify.SignType{verify.RSA2, verify.RSA}

// try compares one form with its signature.
func (s *search) try(a *attempt) *hit {
	form, err := verify.NewForm(a.fields...)
	if err != nil || a.size > 3*MaxBody {
		return nil
	}
	t := s.learn(form.Get("sign"))
	if t == nil || !s.spend(0) {
		return nil
	}
	s.work.Trials++
	for _, rule := range form.Rules(bothTypes) {
		if !s.spend(a.size) {
			return nil
		}
		s.text = append(s.text[:0], form.SigningString(rule)...)
		if !t.fits(s.text) {
			continue
		}
		if s.work.RSAOperations++; !t.confirm(s.text) {
			continue // not reached: the two computations agree
		}
		if t.spelling != nil {
			form = withSign(a.fields, t.sign)
		}
		return &hit{form: form, rule: rule, target: t, steps: a.steps}
	}
	return nil
}

// withSign is the form with sign as it was read. Its names have been checked.
func withSign(fields []verify.Field, sign string) verify.Form {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].Name == "sign" {
			fields[i].Value = sign
		}
	}
	form, err := verify.NewForm(fields...)
	if err != nil {
		return verify.Form{} // not reached: the same names made a form before
	}
	return form
}

func sizeOf(fields []verify.Field) int {
	n := 0
	for _, f := range fields {
		n += len(f.Name) + len(f.Value) + 2
	}
	return n
}

// signature tells what is known of the signature of the form as it came.
func (s *search) signature(fields []verify.Field) Signature {
	out := Signature{}
	for _, f := range fields {
		if f.Name == "sign" {
			out.Characters = len(f.Value)
			break
		}
	}
	if t := s.target; t != nil {
		out.MadeBy, out.Role, out.App = t.key.ID, string(t.key.role), t.key.app
		out.SignType, out.Digest = string(t.signType), hex.EncodeToString(t.digest)
	}
	return out
}

// candidates are the signing strings of the form as it came.
func (s *search) candidates(form verify.Form, app *App) []Candidate {
	var out []Candidate
	for _, rule := range form.Rules(app.signTypes()) {
		out = append(out, s.candidate(form, rule))
	}
	return out
}

func (s *search) candidate(form verify.Form, rule verify.Rule) Candidate {
	text := []byte(form.SigningString(rule))
	sum, _ := hash(verify.RSA2, text)
	c := Candidate{
		Rule: rule.String(), Inserted: string(rule.Inserted),
		Bytes: len(text), SHA256: hex.EncodeToString(sum),
	}
	// The copy lets go of the whole string; one byte more says that it was cut.
	c.SigningString, c.Base64, c.Cut = show(string(text[:min(len(text), maxShown+1)]))
	t := s.targets[form.Get("sign")]
	if t == nil {
		t = s.target
	}
	if t != nil && t.fits(text) {
		c.FitsKey = t.key.ID
	}
	return c
}
