package explain

import (
	"errors"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/verify"
)

// MaxBody is the largest body that is looked at.
const MaxBody = 16 << 20

// App is one configured app.
type App struct {
	ID        string
	Keys      []verify.PublicKey // Alipay's
	SignTypes []verify.SignType  // allowed; empty is RSA2 alone
	AESKeys   []verify.AESKey
	// OwnKeys are the app's own public keys, as far as they are known: with them
	// the commonest mistake can be told, the app's key in the place of Alipay's.
	OwnKeys []verify.PublicKey
	// AnswersChecks tells that the app's private key is configured, without which
	// the gateway check stays unanswered.
	AnswersChecks bool
}

// Input is one captured request and what to judge it by. Nothing in it is
// changed or kept.
type Input struct {
	Body        []byte
	ContentType string
	PathApp     string // app_id from the URL, or empty
	Apps        []App
	// At is when the request came, or now for what would happen now. Without it
	// or MaxSignedAge the age is not judged.
	At           time.Time
	MaxSignedAge time.Duration
}

// Explain says whether and by which key and rule a request's signature fits,
// and what is likely wrong when none does or the request is refused all the
// same. It never fails: what cannot be read is part of the report.
func Explain(in Input) Report {
	if len(in.Body) > MaxBody {
		return tooLarge(in)
	}
	r := read(&in, in.Body)
	s := newSearch(&in, r.appID)
	fields := wireFields(in.Body)
	var found *hit
	if r.proved {
		s.learn(r.form.Get("sign"))
	} else {
		found = s.run(fields)
	}
	report := Report{
		AppID: r.appID, NotifyID: r.note.NotifyID, Type: r.note.Type,
		Accepted:   r.accepted(),
		Steps:      r.steps,
		Signature:  s.signature(fields),
		Candidates: []Candidate{},
		Fields:     showFields(fields),
	}
	if r.proved {
		report.Match = &Match{KeyID: r.match.KeyID, Rule: r.match.Rule.String(), SignType: string(r.match.SignType)}
	}
	if r.formErr == nil {
		report.Candidates = s.candidates(r.form, r.app)
	}
	if found != nil && found.repairs() {
		report.Repaired = new(s.candidate(found.form, found.rule))
	}
	report.Causes = causes(r, s, found, fields)
	report.Work = s.work
	return report
}

func tooLarge(in Input) Report {
	const what = "the body has more than 16 MiB"
	return Report{
		AppID: in.PathApp, Candidates: []Candidate{}, Fields: []Field{},
		Steps: []Step{{Check: "form", State: Fail, Detail: what}},
		Causes: []Cause{{
			Code: "too_large", Proved: true, What: what + ", and no notification has",
			Try: "look at what posts there: Alipay's notifications have a few KiB",
		}},
	}
}

// causes puts together what was proved, and guesses where nothing was.
func causes(r *reading, s *search, found *hit, fields []verify.Field) []Cause {
	out := configured(r)
	switch {
	case r.proved:
		return unique(append(out, r.causes...))
	case found != nil:
		out = append(out, s.explainHit(r, found)...)
		// What the damage itself made the checks say is of no interest: the
		// checks of the mended form tell what else is wrong.
		mended := readForm(r.in, found.form)
		mended.prove(found)
		return unique(append(out, mended.causes...))
	}
	out = append(out, r.causes...)
	if s.target != nil {
		out = append(out, s.explainTarget(r.appID)...)
	}
	if s.target != nil && s.target.signType != "" {
		out = append(out, s.explainChanged())
	}
	out = unique(out)
	guesses := guess(&clues{r: r, s: s, fields: fields, text: texts(fields)})
	guesses = slices.DeleteFunc(guesses, func(c Cause) bool {
		return slices.ContainsFunc(out, func(o Cause) bool { return o.Code == c.Code })
	})
	return append(out, guesses[:min(len(guesses), maxGuesses)]...)
}

// unique leaves out a cause that was named before.
func unique(causes []Cause) []Cause {
	out := []Cause{} // tools read a list, not null
	for _, c := range causes {
		if !slices.ContainsFunc(out, func(o Cause) bool { return o.Code == c.Code && o.Field == c.Field }) {
			out = append(out, c)
		}
	}
	return out
}

func showFields(fields []verify.Field) []Field {
	out := []Field{}
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, func(a, b verify.Field) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range fields {
		name, _, _ := show(f.Name)
		value, b64, cut := show(f.Value)
		out = append(out, Field{Name: name, Value: value, Base64: b64, Cut: cut, Bytes: len(f.Value), Documented: documented(f.Name)})
	}
	return out
}

// configured names mistakes of the configuration that show without a request.
func configured(r *reading) []Cause {
	var out []Cause
	if r.app == nil {
		return nil
	}
	for _, own := range r.app.OwnKeys {
		if slices.ContainsFunc(r.app.Keys, func(k verify.PublicKey) bool { return k.ID == own.ID }) {
			out = append(out, Cause{
				Code: "own_key_configured", Fault: 12, Proved: true,
				What: "key " + own.ID + " is configured as Alipay's and is the app's own public key",
				Try:  "copy 支付宝公钥 (not 应用公钥) of this app from the console into its configuration",
			})
		}
	}
	return out
}

// appOf finds a configured app.
func appOf(in *Input, id string) *App {
	for i := range in.Apps {
		if in.Apps[i].ID == id && id != "" {
			return &in.Apps[i]
		}
	}
	return nil
}

// signTypes are the algorithms that an app allows.
func (a *App) signTypes() []verify.SignType {
	if a == nil || len(a.SignTypes) == 0 {
		return []verify.SignType{verify.RSA2}
	}
	return a.SignTypes
}

// verifier makes the receiver's own verifier for the app.
func (a *App) verifier() (*verify.Verifier, error) {
	return verify.New(a.Keys, a.signTypes())
}

// decrypt does what the receiver does: content that is an object already is
// taken as it is (PROTOCOL.md 1.2).
func decrypt(n events.Notification, keys []verify.AESKey) (string, error) {
	if !n.Encrypted || n.Content == "" || n.IsObject(n.Content) {
		return n.Content, nil
	}
	plain, err := verify.Decrypt(keys, n.Content, func(b []byte) bool { return n.IsObject(string(b)) })
	return string(plain), err
}

// signatureClass tells which of the three signature checks an error belongs to.
func signatureClass(err error) string {
	switch {
	case errors.Is(err, verify.ErrAlgorithm):
		return "algorithm"
	case errors.Is(err, verify.ErrSignatureFormat):
		return "signature_format"
	}
	return "signature"
}
