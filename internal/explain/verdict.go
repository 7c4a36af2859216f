package explain

import (
	"fmt"
	"slices"

	"alipay-notify/internal/verify"
)

// explainHit names what had to be undone for the signature to fit: repairs of
// the form in their order, then the spelling of sign, then key and algorithm.
func (s *search) explainHit(r *reading, h *hit) []Cause {
	var out []Cause
	for _, st := range h.steps {
		out = append(out, st.cause.proved(st.field))
	}
	if sp := h.target.spelling; sp != nil {
		out = append(out, Cause{Code: sp.code, Fault: sp.fault, Proved: true, What: sp.what, Try: sp.try, Field: "sign"})
	}
	app := readForm(s.in, h.form).appID
	out = append(out, s.explainTarget(app)...)
	allowed := appOf(s.in, app).signTypes()
	said := verify.SignType(h.form.Get("sign_type"))
	if said != "" && said != h.target.signType && !slices.Contains(allowed, said) {
		out = append(out, Cause{
			Code: "sign_type_refused", Fault: 5, Proved: true, Field: "sign_type",
			What: "the field sign_type names an algorithm that the app does not allow, and the signature is of another",
			Try:  "look for what changes sign_type; Alipay writes the algorithm that it used",
		})
	}
	if len(out) > 0 {
		return out
	}
	return r.causes // the form as it came fits: then the configuration refused it
}

// explainTarget says what is wrong with the key or algorithm of a signature
// that a known key has opened.
func (s *search) explainTarget(appID string) []Cause {
	var out []Cause
	t := s.target
	app := appOf(s.in, appID)
	switch {
	case t.key.role == own:
		out = append(out, Cause{
			Code: "signed_by_own_key", Fault: 12, Proved: true,
			What: "app " + clip(t.key.app) + " signed this with its own key (" + t.key.ID + "); Alipay signs with Alipay's",
			Try:  "look for a test client or a service of yours that posts here; real notifications need nothing of it",
		})
	case app == nil || !app.trusts(t.key):
		out = append(out, Cause{
			Code: "other_app_key", Fault: 12, Proved: true,
			What: fmt.Sprintf("the signature was made by key %s, which is configured for app %s and not for %s", t.key.ID, clip(t.key.app), named(appID)),
			Try:  "the keys of the two apps were confused, or the body was changed to name another app: compare both with the console",
		})
	}
	switch {
	case t.signType == "":
		out = append(out, Cause{
			Code: "unknown_algorithm", Fault: 5, Proved: true,
			What: "the signature was made by key " + t.key.ID + " with a digest that is neither SHA-256 nor SHA-1",
			Try:  "let the sender sign with RSA2 (SHA256withRSA)",
		})
	case !slices.Contains(app.signTypes(), t.signType):
		out = append(out, Cause{
			Code: "algorithm", Fault: 5, Proved: true,
			What: fmt.Sprintf("the signature is of type %s, and the app allows %v alone", t.signType, app.signTypes()),
			Try:  "set 接口加签方式 of the app to RSA2 in the console; only where that cannot be, add RSA to sign_types",
		})
	}
	return out
}

// explainChanged is what can be said when the key is right and nothing mends
// the text.
func (s *search) explainChanged() Cause {
	t := s.target
	return Cause{
		Code: "signed_value_changed", Fault: 10, Proved: true,
		What: fmt.Sprintf("key %s did make this signature, but over another text, with the %s digest %x: a signed field was changed, added or lost",
			t.key.ID, t.signType, t.digest),
		Try: "compare the candidates, byte for byte, with the text in the sender's log; take the body before anything parses it",
	}
}

// trusts tells whether a key is configured as Alipay's for the app.
func (a *App) trusts(key knownKey) bool {
	return slices.ContainsFunc(a.Keys, func(k verify.PublicKey) bool { return k.ID == key.ID })
}

func named(appID string) string {
	if appID == "" {
		return "the app of this request"
	}
	return clip(appID)
}
