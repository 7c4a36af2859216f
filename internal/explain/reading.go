package explain

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/verify"
)

// reading is what the receiver's checks say of one form.
type reading struct {
	in      *Input
	form    verify.Form
	formErr error
	note    events.Notification
	noteErr error
	appID   string
	app     *App // nil when it is not configured
	match   verify.Match
	signErr error
	proved  bool
	content string

	steps  []Step
	causes []Cause // facts other than those about the signature
}

// read checks a body as it came.
func read(in *Input, body []byte) *reading {
	r := &reading{in: in}
	r.form, r.formErr = verify.ParseForm(string(body))
	r.checkTransport()
	r.checkForm(wireFields(body))
	r.checkEnvelope()
	r.checkApp()
	r.checkSignature()
	r.checkRest()
	return r
}

// readForm checks the envelope of a form that was mended.
func readForm(in *Input, form verify.Form) *reading {
	r := &reading{in: in, form: form}
	r.checkTransport()
	r.checkEnvelope()
	r.checkApp()
	return r
}

// prove takes the word of the search for the signature, and goes on.
func (r *reading) prove(h *hit) {
	r.proved = true
	r.match = verify.Match{KeyID: h.target.key.ID, Rule: h.rule, SignType: h.target.signType}
	r.checkRest()
}

// accepted tells whether every check passed that decides. Typing does not: an
// event that cannot be typed is stored as it is.
func (r *reading) accepted() bool {
	for _, s := range r.steps {
		if s.State == Fail && s.Check != "typing" {
			return false
		}
	}
	return r.proved
}

func (r *reading) step(check string, state State, format string, args ...any) {
	r.steps = append(r.steps, Step{Check: check, State: state, Detail: fmt.Sprintf(format, args...)})
}

func (r *reading) cause(code string, fault int, what, try string) {
	r.causes = append(r.causes, Cause{Code: code, Fault: fault, Proved: true, What: what, Try: try})
}

// checkTransport looks at the Content-Type. A missing or odd one is read as a
// form; these two never are.
func (r *reading) checkTransport() {
	media, _, _ := mime.ParseMediaType(r.in.ContentType)
	switch {
	case r.in.ContentType == "":
		r.step("transport", OK, "no Content-Type: read as a form")
	case media == "application/json", strings.HasPrefix(media, "multipart/"):
		r.step("transport", Fail, "Content-Type %s is never a notification", media)
		r.cause("content_type", 15, "the Content-Type is "+media+"; Alipay posts application/x-www-form-urlencoded",
			"look for the proxy, function gateway or test client that rebuilds the request")
	default:
		r.step("transport", OK, "Content-Type %s", clip(r.in.ContentType))
	}
}

func (r *reading) checkForm(fields []verify.Field) {
	if r.formErr == nil && r.form.Len() == 0 {
		r.step("form", Fail, "the body is empty")
		r.cause("empty_body", 18, "the body is empty",
			"look for a middleware that reads the body before the receiver does, a redirect, or a health check that posts here")
		return
	}
	if r.formErr == nil {
		r.step("form", OK, "%d fields", r.form.Len())
		return
	}
	r.step("form", Fail, "%v", r.formErr)
	switch {
	case errors.Is(r.formErr, verify.ErrRepeatedField):
		name := repeated(fields)
		r.causes = append(r.causes, Cause{
			Code: "repeated_field", Fault: 7, Proved: true, Field: name, What: "a field stands twice in the body",
			Try: "find what adds parameters: query parameters of the URL that a framework copies into the form, or a proxy",
		})
	case errors.Is(r.formErr, verify.ErrEncoding):
		r.cause("bad_encoding", 6, "the body has a '%' that begins no escape",
			"look for what decodes the body before the receiver, or cuts it off")
	case errors.Is(r.formErr, verify.ErrFieldName):
		r.cause("bad_field_name", 6, "a field name holds '&' or '=': two fields in one",
			"treat it as an attempt to deceive unless a proxy of yours re-encodes bodies")
	default:
		r.cause("too_many_fields", 7, fmt.Sprintf("the body has more than %d fields", verify.MaxFields),
			"look at what posts there: the longest notification has about fifty")
	}
}

func repeated(fields []verify.Field) string {
	for i, f := range fields {
		if slices.ContainsFunc(fields[:i], func(o verify.Field) bool { return o.Name == f.Name }) {
			return clip(f.Name)
		}
	}
	return ""
}

// checkEnvelope asks the grammar, which also keeps merged forms out.
func (r *reading) checkEnvelope() {
	if r.formErr != nil || r.form.Len() == 0 {
		r.step("grammar", Skip, "there is no form")
		return
	}
	r.note, r.noteErr = events.ParseNotification(r.form, events.Arrival{PathApp: r.in.PathApp, ContentType: r.in.ContentType})
	if r.noteErr != nil {
		r.step("grammar", Fail, "%v", r.noteErr)
		r.explainGrammar()
		return
	}
	if err := r.note.CheckFlat(); err != nil {
		r.step("grammar", Fail, "%v", err)
		r.cause("merged_field", 0, err.Error(), "treat it as an attempt to deceive: no genuine id, amount, time or enum holds '&'")
		return
	}
	r.step("grammar", OK, "%s %s", shapeName(r.note.Shape), r.note.Type)
}

func shapeName(s events.Shape) string {
	switch s {
	case events.Message:
		return "message"
	case events.Flat:
		return "flat notification"
	}
	return "gateway request"
}

func (r *reading) explainGrammar() {
	appID := r.form.Get("app_id")
	kinds := r.form.Get("msg_method") + r.form.Get("notify_type") + r.form.Get("service")
	switch {
	case r.form.Get("sign") == "":
		r.cause("no_sign", 0, "the field sign is missing or empty",
			"look whether the body was cut off, or was posted by something other than Alipay")
	case kinds == "" && (strings.HasSuffix(r.form.Get("method"), ".return") || r.form.Get("out_trade_no") != ""):
		r.cause("return_url", 0, "these are parameters of a return URL (the buyer's browser), not a notification",
			"give return_url and notify_url of the payment request different addresses")
	case r.in.PathApp != "" && appID != "" && appID != r.in.PathApp:
		r.cause("app_mismatch", 0, "the URL names app "+clip(r.in.PathApp)+", the form app "+clip(appID),
			"correct the 应用网关 or notify_url of app "+clip(appID)+": each app has an address of its own")
	default:
		r.cause("malformed", 0, r.noteErr.Error(),
			"compare the form with the sender's log: no genuine notification is like this")
	}
}

// checkApp finds the app even in a form that has no grammar.
func (r *reading) checkApp() {
	if r.appID = r.note.AppID; r.appID == "" {
		if r.appID = r.form.Get("app_id"); r.appID == "" {
			r.appID = r.in.PathApp
		}
	}
	r.app = appOf(r.in, r.appID)
	switch {
	case r.app != nil:
		r.step("app", OK, "%s, keys: %d", clip(r.appID), len(r.app.Keys))
	case r.appID == "":
		r.step("app", Skip, "the request names no app")
	default:
		r.step("app", Fail, "no app %s is configured", clip(r.appID))
		try := "add the app to the configuration, or correct the address in the console of the app that sends here"
		if near := nearApps(r.in, r.appID); len(near) > 0 {
			try = "compare the id with " + strings.Join(near, ", ") + ", which are configured and nearly the same; else " + try
		}
		r.cause("unknown_app", 0, "app "+clip(r.appID)+" is not configured", try)
	}
}

// checkSignature asks the receiver's own verifier.
func (r *reading) checkSignature() {
	checks := []string{"algorithm", "signature_format", "signature"}
	if r.formErr != nil || r.app == nil || r.form.Get("sign") == "" {
		for _, c := range checks {
			r.step(c, Skip, "there is no form with a signature, or no app to ask")
		}
		return
	}
	v, err := r.app.verifier()
	if err != nil {
		r.signErr = err
		r.step("signature", Fail, "the app's configuration cannot be used: %v", err)
		r.cause("configuration", 0, "the app's configuration cannot be used: "+err.Error(), "correct the app's keys and sign_types")
		return
	}
	r.match, r.signErr = v.Verify(r.form, r.note.Type)
	r.proved = r.signErr == nil
	failed := ""
	if !r.proved {
		failed = signatureClass(r.signErr)
	}
	for _, c := range checks {
		if c == failed {
			r.step(c, Fail, "%v", r.signErr)
			break
		}
		r.step(c, OK, "")
	}
	if r.proved {
		r.steps[len(r.steps)-1].Detail = r.match.Proof()
	}
}

// checkRest is what comes after the signature. Nothing unproved gets this far:
// what a damaged form decrypts to says nothing.
func (r *reading) checkRest() {
	if !r.proved || r.noteErr != nil || r.formErr != nil {
		for _, c := range []string{"age", "ambiguity", "decryption", "content", "typing"} {
			r.step(c, Skip, "the checks before it come first")
		}
		return
	}
	r.checkAge()
	if field, yes := r.note.Ambiguous(); yes {
		r.step("ambiguity", Fail, "%s could be two fields under the same signature", field)
		r.cause("ambiguous", 0, field+" could be two fields under the same signature",
			"look at the value, ask Alipay for the state of the trade, and release the request from the quarantine by hand")
	} else {
		r.step("ambiguity", OK, "")
	}
	if r.checkDecryption() {
		r.checkContent()
	}
}

func (r *reading) checkAge() {
	age := r.in.At.Sub(r.note.SentAt)
	switch {
	case r.note.SentAt.IsZero():
		r.step("age", Skip, "the request does not say when it was sent")
	case r.in.At.IsZero() || r.in.MaxSignedAge <= 0:
		r.step("age", Skip, "not judged: sent %s", r.note.SentAt.UTC().Format(time.RFC3339))
	case age > r.in.MaxSignedAge:
		r.step("age", Fail, "sent %v before it came; %v are allowed", age.Round(time.Second), r.in.MaxSignedAge)
		r.cause("stale", 0, "it was sent more than http.max_signed_age before it came: an old capture, or a clock that is wrong",
			"check the clock of this host; genuine retries end after 25 h, so release it from the quarantine only if you know why it is late")
	default:
		r.step("age", OK, "sent %v before it came", age.Round(time.Second))
	}
}
