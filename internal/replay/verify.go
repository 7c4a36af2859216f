package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

// Verdict is what became of checking one stored event again. The set is closed.
type Verdict string

// The verdicts. Only the first two mean that all is well.
const (
	Proved      Verdict = "proved"         // the signature fits, by a key of today's configuration
	ProvedOld   Verdict = "proved_old_key" // it fits, by a key that is only remembered
	KeyUnknown  Verdict = "key_unknown"    // the key that the proof names is not to be had: nothing can be said
	NoLongerFit Verdict = "no_longer_fits" // request, proof and signature do not belong together: the archive was altered
	Disagrees   Verdict = "disagrees"      // the signature fits, but the stored event is not what the request says
	NoRaw       Verdict = "no_raw"         // the request is not there
)

// Verdicts is the whole set, for tables and tests that walk it.
func Verdicts() []Verdict {
	return []Verdict{Proved, ProvedOld, KeyUnknown, NoLongerFit, Disagrees, NoRaw}
}

// Fits tells whether the verdict means that all is well.
func (v Verdict) Fits() bool { return v == Proved || v == ProvedOld }

// Checked is the result of checking one event.
type Checked struct {
	Verdict Verdict
	KeyID   string // that the proof names, or empty
	Detail  string // why not; of what fits, what could not be looked at
	Sealed  bool   // the content is encrypted, and no AES key of today opens it
}

// VerifyApp is what the configuration says of an app.
type VerifyApp struct {
	Keys    []verify.PublicKey
	AESKeys []verify.AESKey
}

// ErrKeyUnknown means that nobody remembers a key.
var ErrKeyUnknown = errors.New("no such key is configured or remembered")

// Checker checks the signatures of stored events again. It is for one goroutine.
type Checker struct {
	apps       map[string]VerifyApp
	remembered func(ctx context.Context, id string) (verify.PublicKey, error)
	cache      map[string]remembered
}

type remembered struct {
	key verify.PublicKey
	err error // ErrKeyUnknown, or nil
}

// NewChecker makes a checker. old finds a key that is no longer configured; an
// error other than ErrKeyUnknown ends the work, since it says nothing.
func NewChecker(apps map[string]VerifyApp, old func(ctx context.Context, id string) (verify.PublicKey, error)) *Checker {
	return &Checker{apps: apps, remembered: old, cache: make(map[string]remembered)}
}

// bothTypes: the configuration of then is not recorded, and a signature that
// fits was made by Alipay whichever of the two it is.
var bothTypes = []verify.SignType{verify.RSA2, verify.RSA}

// Check checks one stored event. An error means that it could not be done.
func (c *Checker) Check(ctx context.Context, m events.Stored) (Checked, error) {
	if len(m.Header[events.HeaderRaw]) == 0 || len(m.Raw) == 0 && m.Problem == "" {
		return Checked{Verdict: NoRaw, Detail: "there is no " + events.HeaderRaw}, nil
	}
	altered := func(key, format string, args ...any) (Checked, error) {
		return Checked{Verdict: NoLongerFit, KeyID: key, Detail: fmt.Sprintf(format, args...)}, nil
	}
	if len(m.Raw) == 0 {
		return altered("", "%s", m.Problem)
	}
	id, rules, err := parseProof(m.Proof)
	if err != nil {
		return altered("", "%s: %v", events.HeaderProof, err)
	}
	form, err := verify.ParseForm(m.Raw)
	if err != nil {
		return altered(id, "the request is no form: %v", err)
	}
	key, today, err := c.key(ctx, m.AppID, id)
	if errors.Is(err, ErrKeyUnknown) {
		return Checked{Verdict: KeyUnknown, KeyID: id, Detail: err.Error()}, nil
	}
	if err != nil {
		return Checked{}, err
	}
	match, err := fit(form, key, rules)
	if err != nil {
		return altered(id, "the signature: %v", err)
	}
	out := Checked{Verdict: ProvedOld, KeyID: id}
	if today {
		out.Verdict = Proved
	}
	differs, sealed := c.differences(m, form, match)
	if out.Sealed = sealed; sealed {
		out.Detail = "the content is encrypted, and no AES key opens it: only id, app and type were compared"
	}
	if len(differs) > 0 {
		out.Verdict, out.Detail = Disagrees, "not as the request says: "+strings.Join(differs, ", ")
	}
	return out, nil
}

// fit tells whether the key made the form's signature under one of the rules.
func fit(form verify.Form, key verify.PublicKey, rules []verify.Rule) (verify.Match, error) {
	v, err := verify.New([]verify.PublicKey{key}, bothTypes)
	if err != nil {
		return verify.Match{}, err
	}
	for _, rule := range rules {
		var match verify.Match
		if match, err = v.VerifyRule(form, rule); err == nil {
			return match, nil
		}
	}
	return verify.Match{}, err
}

// key finds the key of an id: among those of the app, else among the
// remembered. A key that another app brings proves this app's events only if it
// is remembered.
func (c *Checker) key(ctx context.Context, app, id string) (key verify.PublicKey, today bool, err error) {
	for _, k := range c.apps[app].Keys {
		if k.ID == id {
			return k, true, nil
		}
	}
	r, known := c.cache[id]
	if !known {
		if r.key, r.err = c.remembered(ctx, id); r.err != nil && !errors.Is(r.err, ErrKeyUnknown) {
			return r.key, false, r.err
		}
		if r.err == nil && r.key.ID != id {
			r.err = fmt.Errorf("%w: what is remembered under %s is the key %s", ErrKeyUnknown, id, r.key.ID)
		}
		c.cache[id] = r
	}
	return r.key, false, r.err
}

var proofShape = regexp.MustCompile(`^key=([0-9a-f]{16}); rule=([a-z,-]+)$`)

// parseProof reads what verify.Match.Proof wrote.
func parseProof(proof string) (keyID string, rules []verify.Rule, err error) {
	parts := proofShape.FindStringSubmatch(proof)
	if parts == nil {
		return "", nil, errors.New("not a key and a rule")
	}
	rules, err = verify.ParseRules(parts[2], bothTypes)
	return parts[1], rules, err
}

// differences makes the event of the proved request once more, and names what
// is stored otherwise. A signature covers the request alone: whoever changed the
// data beside it would go unnoticed.
func (c *Checker) differences(m events.Stored, form verify.Form, match verify.Match) (names []string, sealed bool) {
	add := func(differs bool, name string) {
		if differs {
			names = append(names, name)
		}
	}
	if m.Problem != "" {
		names = append(names, "what cannot be read ("+m.Problem+")")
	}
	// The app of the URL is not stored. Where the request names one it must be
	// this one, and where it names none there is nothing to compare.
	n, err := events.ParseNotification(form, events.Arrival{PathApp: m.AppID})
	if fault.ReasonOf(err) == "app_mismatch" {
		return append(names, "app"), false
	}
	if err != nil {
		return append(names, "the request, which would be refused today ("+err.Error()+")"), false
	}
	content, opened := c.open(n, m.AppID)
	e, err := events.NewEvent(n, events.Facts{
		Content: content, Signed: form.SigningString(match.Rule), Proof: match.Proof(), Raw: m.Raw, ReceivedAt: m.ReceivedAt,
	})
	if err != nil && opened {
		return append(names, "the request, which would be refused today ("+err.Error()+")"), false
	}
	if !opened { // what is known without the content
		e.ID, e.AppID, e.Type, e.Fingerprint = n.NotifyID, n.AppID, n.Type, m.Fingerprint
	}
	if m.Conflict != "" {
		e = e.AsConflict()
	}
	add(m.ID != e.ID || m.Conflict != e.Conflict, "id")
	add(m.AppID != e.AppID, "app")
	add(m.Type != e.Type, "type")
	if !opened {
		return names, true
	}
	add(m.Fingerprint != e.Fingerprint, "fingerprint")
	add(!n.SentAt.IsZero() && (!m.Time.Equal(e.Time) || m.TimeSource != e.TimeSource), "time")
	if !sameCharset(form) {
		return names, false // the charset that the HTTP header declared is not stored
	}
	add(m.Subject != e.Subject || m.Key != e.Key, "key or subject")
	add(m.DecodeError != e.DecodeError, "decode error")
	add(m.DataSchema != e.DataSchema, "schema")
	add(!bytes.Equal(m.Data, e.Data), "data")
	return names, false
}

// open gives the plain content, where it is plain or a key of today opens it.
func (c *Checker) open(n events.Notification, app string) (content string, opened bool) {
	if !n.Encrypted || n.Content == "" || n.IsObject(n.Content) {
		return n.Content, true
	}
	plain, err := verify.Decrypt(c.apps[app].AESKeys, n.Content, func(b []byte) bool { return n.IsObject(string(b)) })
	return string(plain), err == nil
}

// sameCharset tells whether the text of a form is the same whatever was
// declared outside it.
func sameCharset(form verify.Form) bool {
	if form.Get("charset") != "" {
		return true
	}
	for name, value := range form.All() {
		if strings.ContainsFunc(name+value, func(r rune) bool { return r >= 0x80 }) {
			return false
		}
	}
	return true
}
