// Package ingest is the use case: the bytes of one request become one typed
// event, stored before it is acknowledged. It decides; it neither listens nor
// connects. HTTP is a thin layer over it, and tools that release a quarantined
// request call the same function.
//
// The order is the point: nothing that has memory (dedupe keys, streams) is
// touched before the signature is proved, and `success` is only ever said after
// the stream has acknowledged.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"alipay-notify/internal/batch"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

// Once runs fn for a key unless it already ran to success within the retention.
type Once interface {
	// Do returns the place that fn returned, now or then. prior is the
	// fingerprint of what was there already, empty when fn ran:
	//   prior, no error: done before, place says where;
	//   prior, fault.InFlight: another holder is at work;
	//   no prior, fault.Unavailable: the store did not answer and fn did not run.
	// asked tells fn whether the store holds the claim. If fn fails the claim is
	// released even when ctx has ended; if fn succeeds Do returns no error. ahead,
	// which may be nil, may be begun once the claim is held, and then fn is run for
	// certain.
	Do(ctx context.Context, key, fingerprint string, ahead Ahead, fn func(ctx context.Context, asked bool) (place string, err error)) (place, prior string, err error)
}

// Ahead is work that can begin before whoever wants it runs again.
type Ahead = interface {
	// Begin begins, once, and does not block. done, which has room for it, is sent one
	// value when there is nothing left to wait for.
	Begin(done chan struct{})
}

// Sending is a publish in steps. Wait, which is called once, begins where that was
// not done yet, and ends as Publisher.Publish does, or with ctx.
type Sending = interface {
	Begin(done chan struct{})
	Wait(ctx context.Context) (events.Receipt, error)
}

// Preparer is a Publisher that can publish in steps. Prepare sends nothing; its
// error is Publish's, of an event that is not stored. The event is not changed once
// its sending has begun.
type Preparer interface {
	Prepare(ctx context.Context, e *events.Event) (Sending, error)
}

// Publisher stores events.
type Publisher interface {
	// Publish returns only when the event is stored durably, or was before.
	// fault.Unavailable: it certainly is not stored. fault.Uncertain: it may be.
	Publish(ctx context.Context, e events.Event) (events.Receipt, error)
	// Fingerprint gives the fingerprint of the event stored at a sequence.
	Fingerprint(ctx context.Context, sequence uint64) (string, error)
}

// Keeper stores what was not accepted.
type Keeper interface {
	// Quarantine stores a signed request and returns when it is stored.
	Quarantine(ctx context.Context, k events.Kept) error
	// Reject takes any other request over. It never waits, and may drop it.
	Reject(k events.Kept)
}

// App is one app whose notifications are taken. It is immutable.
type App struct {
	ID       string
	Verifier *verify.Verifier
	AESKeys  []verify.AESKey
	Gateway  *Gateway // nil without the app's private key
}

// Options are the collaborators and limits of a pipeline.
type Options struct {
	Once         Once
	Key          func(appID, eventID string) string // names an event to Once; nil where Once needs no name
	Publisher    Publisher
	Keeper       Keeper           // nil: what is not accepted is not kept
	MaxSignedAge time.Duration    // older signed send times are refused; 0 switches it off
	Now          func() time.Time // nil: time.Now

	// AllowAmbiguous takes what could be two forms under one signature. It is
	// for a person who has looked at the request and decided which one is meant;
	// a receiver never sets it.
	AllowAmbiguous bool
}

// Pipeline takes notifications. It is safe for concurrent use.
type Pipeline struct {
	once         Once
	key          func(appID, eventID string) string
	publisher    Publisher
	keeper       Keeper
	maxSignedAge time.Duration
	ambiguous    bool // taken
	now          func() time.Time
	storeBy      *batch.Deadline
	apps         atomic.Pointer[map[string]App]
}

// New makes a pipeline for some apps.
func New(o Options, apps ...App) *Pipeline {
	p := &Pipeline{
		once: o.Once, key: o.Key, publisher: o.Publisher, keeper: o.Keeper,
		maxSignedAge: o.MaxSignedAge, ambiguous: o.AllowAmbiguous, now: o.Now,
		storeBy: batch.NewDeadline(storeTimeout-batch.Together, errStoreTimeout),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.key == nil {
		p.key = func(string, string) string { return "" }
	}
	p.SetApps(apps...)
	return p
}

// SetApps replaces the apps at once; requests in flight keep what they had.
func (p *Pipeline) SetApps(apps ...App) {
	m := make(map[string]App, len(apps))
	for _, a := range apps {
		m[a.ID] = a
	}
	p.apps.Store(&m)
}

// Request is what came in.
type Request struct {
	Body       string
	Arrival    events.Arrival
	Source     string // address that it came from, for the record
	ReceivedAt time.Time
}

// Result is everything that one wide log line needs. It holds no payload, no
// key of an event and no signature. AppID is only ever one that is configured,
// and EventID and Type are empty until the signature is proved: a stranger's
// words do not reach logs or labels.
type Result struct {
	Outcome     Outcome
	Reason      string // short constant; empty for what went well
	Err         error  // detail of a failure; holds nothing of what was sent
	AppID       string
	EventID     string
	Type        string
	Quarantined bool // kept in ALIPAY_QUARANTINE
	Kind        string
	Match       verify.Match
	Conflict    bool
	Unasked     bool
	DecodeError string
	Sequence    uint64
	Reply       *Reply        // what to answer instead of the protocol's word, or nil
	Decide      time.Duration // form, signature, decryption, typing
	Store       time.Duration // claim, publish, commit
}

// storeTimeout bounds claim and publish together; a commit to a Redis that hangs adds
// the time of one call (0.55 s). Alipay's own timeout is not documented; its
// sibling protocol has 3 s (PROTOCOL.md 1.3), so an answer later than that may
// find nobody.
const storeTimeout = 2300 * time.Millisecond

var errStoreTimeout = fmt.Errorf("not stored within %v", storeTimeout)

// Ingest handles one request to its end. It never panics, and an outcome that
// is not a success leaves the notification for Alipay to send again.
func (p *Pipeline) Ingest(ctx context.Context, req Request) (res Result) {
	s := &storing{pipeline: p}
	defer func() {
		if r := recover(); r != nil {
			s.result.fail(fault.Panicked(r))
		}
		res = s.result
	}()
	p.ingest(ctx, req, s)
	return
}

// ingest is Ingest, but for panics.
func (p *Pipeline) ingest(ctx context.Context, req Request, s *storing) {
	started, res := time.Now(), &s.result
	pr, err := p.prove(req, res)
	if pr.app.ID != "" && pr.notification.IsGatewayCheck() {
		p.answerCheck(pr, err, res)
		return
	}
	if err == nil {
		s.event, err = p.typed(&pr, req, res)
	}
	decided := time.Now()
	res.Decide = decided.Sub(started)
	if err != nil {
		res.fail(err)
		p.keep(ctx, pr, req, res)
		return
	}
	// From here on the work is worth finishing even when the sender hangs up:
	// what is stored need not be sent again.
	s.store(p.storeBy.Context(decided))
	if res.Outcome == Outcome(fault.TooLarge) {
		p.keep(ctx, pr, req, res) // the stream will never take it
	}
	p.acknowledge(pr, res)
	res.Store = time.Since(started) - res.Decide
}

// Refuse keeps a request that its receiver already knows to be no notification,
// like every other reject, and does not look into it.
func (p *Pipeline) Refuse(ctx context.Context, req Request, why error) Result {
	res := Failed(why)
	if app, known := (*p.apps.Load())[req.Arrival.PathApp]; known {
		res.AppID = app.ID
	}
	p.keep(ctx, proved{}, req, &res)
	return res
}

// Failed is the result of a request that did not get as far as Ingest.
func Failed(err error) Result {
	var r Result
	r.fail(err)
	return r
}

func (r *Result) fail(err error) {
	r.Outcome, r.Reason, r.Err = Outcome(fault.KindOf(err)), fault.ReasonOf(err), err
}

// Decide proves and types a request without touching anything that has memory.
// What it learns goes into res as soon as it is proved.
func (p *Pipeline) Decide(req Request, res *Result) (events.Event, error) {
	pr, err := p.prove(req, res)
	if err != nil {
		return events.Event{}, err
	}
	return p.typed(&pr, req, res)
}

// proved is a request of a configured app; without an error beside it, one that
// Alipay signed.
type proved struct {
	app          App
	form         verify.Form
	notification events.Notification
	readable     bool // notification is whole and within its grammar
	match        verify.Match
}

// prove finds out whose keys decide, and whether they say yes.
func (p *Pipeline) prove(req Request, res *Result) (pr proved, err error) {
	if pr.form, err = verify.ParseForm(req.Body); err != nil {
		return pr, fault.Errorf(fault.Malformed, formReason(err), "form: %w", err)
	}
	if pr.notification, err = events.ParseNotification(pr.form, req.Arrival); err == nil {
		err = pr.notification.CheckFlat()
	}
	if err != nil {
		p.proveMalformed(&pr, req, res)
		return pr, err
	}
	n := &pr.notification
	pr.readable = true
	app, known := (*p.apps.Load())[n.AppID]
	if !known {
		return pr, fault.Errorf(fault.Refused, "unknown_app", "no such app is configured")
	}
	pr.app, res.AppID = app, app.ID
	if pr.match, err = app.Verifier.Verify(pr.form, n.Type); err != nil {
		return pr, fault.Errorf(fault.Refused, signatureReason(err), "%w", err)
	}
	// At this point the sender is Alipay, and what it says may be logged.
	res.EventID, res.Type, res.Match = n.NotifyID, n.Type, pr.match
	return pr, nil
}

// proveMalformed finds out whether a request that is no notification is signed
// all the same: what Alipay signed is evidence, and no stranger's rubbish may
// push it out. Its values are outside their grammar and go nowhere else.
func (p *Pipeline) proveMalformed(pr *proved, req Request, res *Result) {
	id := pr.form.Get("app_id")
	if id == "" {
		id = req.Arrival.PathApp
	}
	app, known := (*p.apps.Load())[id]
	if !known {
		return
	}
	res.AppID = app.ID
	if match, err := app.Verifier.Verify(pr.form, ""); err == nil {
		pr.match, res.Match = match, match
	}
}

// typed makes the event of a proved request, or says why it must not become one.
func (p *Pipeline) typed(pr *proved, req Request, res *Result) (events.Event, error) {
	n := &pr.notification
	if err := p.admit(n); err != nil {
		return events.Event{}, err
	}
	content, err := decrypt(n, pr.app.AESKeys)
	if err != nil {
		return events.Event{}, err
	}
	signed := ""
	if n.NotifyID == "" {
		signed = pr.form.SigningString(pr.match.Rule)
	}
	event, err := events.NewEvent(*n, events.Facts{
		Content: content, Signed: signed, Proof: pr.match.Proof(), Raw: req.Body, ReceivedAt: req.ReceivedAt,
	})
	if err != nil {
		return events.Event{}, err
	}
	res.EventID, res.Kind, res.DecodeError = event.ID, event.Kind, event.DecodeError
	return event, event.CheckSize()
}

// admit refuses what is signed but must not become an event.
func (p *Pipeline) admit(n *events.Notification) error {
	if n.IsGatewayCheck() {
		return fault.Errorf(fault.Malformed, "gateway_check", "a gateway check is answered and never becomes an event")
	}
	if age := p.now().Sub(n.SentAt); p.maxSignedAge > 0 && !n.SentAt.IsZero() && age > p.maxSignedAge {
		return fault.Errorf(fault.Refused, "stale", "signed %v ago; http.max_signed_age is %v", age.Round(time.Second), p.maxSignedAge)
	}
	if field, yes := n.Ambiguous(); yes && !p.ambiguous {
		return fault.Errorf(fault.Refused, "ambiguous", "%s could be two fields under the same signature", field)
	}
	return nil
}

// decrypt gives the plain content. Some documented samples say encrypt_type=AES
// beside a plain biz_content (PROTOCOL.md 1.2), and during the change in the
// console both kinds arrive, so what is an object already is taken as it is: it
// is signed, and base64 never begins with a brace.
func decrypt(n *events.Notification, keys []verify.AESKey) (string, error) {
	if !n.Encrypted || n.Content == "" || n.IsObject(n.Content) {
		return n.Content, nil
	}
	plain, err := verify.Decrypt(keys, n.Content, func(b []byte) bool { return n.IsObject(string(b)) })
	if err != nil {
		return "", fault.Errorf(fault.Refused, "undecryptable", "%w", err)
	}
	return string(plain), nil
}

func formReason(err error) string {
	switch {
	case errors.Is(err, verify.ErrEncoding):
		return "bad_encoding"
	case errors.Is(err, verify.ErrRepeatedField):
		return "repeated_field"
	case errors.Is(err, verify.ErrFieldName):
		return "bad_field_name"
	case errors.Is(err, verify.ErrTooManyFields):
		return "too_many_fields"
	}
	return "bad_form"
}

func signatureReason(err error) string {
	switch {
	case errors.Is(err, verify.ErrAlgorithm):
		return "algorithm"
	case errors.Is(err, verify.ErrSignatureFormat):
		return "signature_format"
	}
	return "bad_signature"
}
