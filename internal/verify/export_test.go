package verify

import "iter"

// MaxHints is the bound of the memory of rules.
const MaxHints = maxHints

// Hinted is what the verifier remembers of a method.
func (v *Verifier) Hinted(method string) (rule Rule, key int, ok bool) {
	h, ok := v.hint(method)
	return h.rule, h.key, ok
}

// Hints are the methods that the verifier remembers.
func (v *Verifier) Hints() iter.Seq[string] {
	return func(yield func(string) bool) {
		v.hints.Range(func(method, _ any) bool { return yield(method.(string)) })
	}
}

// RememberAsFirst is the end of a Verify that saw no hint when it began.
func (v *Verifier) RememberAsFirst(method string, rule Rule) {
	v.remember(method, hint{rule: rule}, hint{}, false)
}
