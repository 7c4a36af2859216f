package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// The calls of the two collaborators.
const (
	opClaim   = "claim"
	opPublish = "publish"
	opCompare = "compare"
	opCommit  = "commit"
	opRelease = "release"
	opHolds   = "holds"
)

// mishap is how one call goes wrong.
type mishap int

const (
	fine     mishap = iota
	failed          // an error, and it did not happen
	lost            // an error, but it happened
	hung            // no answer until the time is over, and it did not happen
	late            // no answer until the time is over, but it happened
	untagged        // an error that nobody thought of, and it did not happen
	panicked        // a bug
)

var errMishap = errors.New("a mishap of the test")

// mishaps holds what is to go wrong; each goes wrong once.
type mishaps struct {
	mu    sync.Mutex
	armed map[string]mishap
}

func (m *mishaps) arm(armed map[string]mishap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed = make(map[string]mishap, len(armed))
	for op, how := range armed {
		m.armed[op] = how
	}
}

func (m *mishaps) take(op string) mishap {
	m.mu.Lock()
	defer m.mu.Unlock()
	how := m.armed[op]
	delete(m.armed, op)
	if how == panicked {
		panic("a bug in " + op)
	}
	return how
}

// fakeStream is a stream: it keeps events, knows their message ids inside a
// window, and watches that the publisher's contract is kept by its caller.
type fakeStream struct {
	testing.TB
	mishaps  *mishaps
	verifier *verify.Verifier // of the only app

	mu     sync.Mutex
	life   int // a stream that is made anew has another
	stored []events.Event
	window map[string]uint64 // message id -> sequence
	calls  int
}

func newStream(tb testing.TB, m *mishaps, v *verify.Verifier) *fakeStream {
	return &fakeStream{TB: tb, mishaps: m, verifier: v, window: make(map[string]uint64)}
}

func (s *fakeStream) Publish(ctx context.Context, e events.Event) (events.Receipt, error) {
	s.police(ctx, e)
	if err := ctx.Err(); err != nil {
		return events.Receipt{}, fault.Errorf(fault.Unavailable, "cancelled", "publish: %w", err)
	}
	switch s.mishaps.take(opPublish) {
	case failed:
		return events.Receipt{}, fault.Errorf(fault.Unavailable, "disconnected", "publish: %w", errMishap)
	case lost:
		s.store(e)
		return events.Receipt{}, fault.Errorf(fault.Uncertain, "no_ack", "publish: %w", errMishap)
	case late:
		s.store(e)
		fallthrough
	case hung:
		<-ctx.Done()
		return events.Receipt{}, fault.Errorf(fault.Uncertain, "no_ack", "publish: %w", context.Cause(ctx))
	case untagged:
		return events.Receipt{}, errMishap
	}
	return s.store(e), nil
}

// inSteps is the stream for who begins to publish before he waits for it.
type inSteps struct{ *fakeStream }

func (s inSteps) Prepare(ctx context.Context, e *events.Event) (ingest.Sending, error) {
	return &step{publish: func() (events.Receipt, error) { return s.Publish(ctx, *e) }, done: make(chan struct{})}, nil
}

type step struct {
	publish func() (events.Receipt, error)
	once    sync.Once
	done    chan struct{}
	receipt events.Receipt
	err     error
}

func (s *step) Begin(done chan struct{}) {
	s.once.Do(func() {
		go func() {
			s.receipt, s.err = s.publish()
			close(s.done)
			done <- struct{}{}
		}()
	})
}

func (s *step) Wait(context.Context) (events.Receipt, error) {
	s.Begin(make(chan struct{}, 1))
	<-s.done
	return s.receipt, s.err
}

func (s *fakeStream) Fingerprint(ctx context.Context, sequence uint64) (string, error) {
	s.mu.Lock()
	s.calls++
	if sequence == 0 || sequence > uint64(len(s.stored)) {
		s.mu.Unlock()
		s.Errorf("asked for the fingerprint of %d; the stream has %d events", sequence, len(s.stored))
		return "", errMishap
	}
	fingerprint := s.stored[sequence-1].Fingerprint
	s.mu.Unlock()
	switch s.mishaps.take(opCompare) {
	case failed, lost, untagged:
		return "", errMishap
	case hung:
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	return fingerprint, nil
}

func (s *fakeStream) store(e events.Event) events.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence, known := s.window[e.MessageID()]; known {
		return events.Receipt{Sequence: sequence, Duplicate: true, Place: s.place(sequence)}
	}
	for _, old := range s.stored {
		if old.MessageID() == e.MessageID() && old.Fingerprint != e.Fingerprint {
			s.Errorf("two different events under the id %s", e.ID)
		}
	}
	s.stored = append(s.stored, e)
	sequence := uint64(len(s.stored))
	s.window[e.MessageID()] = sequence
	return events.Receipt{Sequence: sequence, Place: s.place(sequence)}
}

func (s *fakeStream) place(sequence uint64) string {
	return strconv.Itoa(s.life) + "/" + strconv.FormatUint(sequence, 10)
}

// holds tells whether a place still stands.
func (s *fakeStream) holds(ctx context.Context, place string) (bool, error) {
	switch s.mishaps.take(opHolds) {
	case failed, lost, untagged:
		return false, errMishap
	case hung:
		<-ctx.Done()
		return false, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	life, number, _ := strings.Cut(place, "/")
	sequence, err := strconv.ParseUint(number, 10, 64)
	return err == nil && life == strconv.Itoa(s.life) && sequence <= uint64(len(s.stored)), nil
}

// recreate makes the stream anew: nothing is left of it.
func (s *fakeStream) recreate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life++
	s.stored = nil
	clear(s.window)
}

// closeWindow lets the duplicates window pass.
func (s *fakeStream) closeWindow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.window)
}

func (s *fakeStream) events() []events.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]events.Event(nil), s.stored...)
}

func (s *fakeStream) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// police looks at what is published: every event can be proved again from what
// is stored with it, fits into a message, and is published in bounded time.
func (s *fakeStream) police(ctx context.Context, e events.Event) {
	s.Helper()
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	if _, bounded := ctx.Deadline(); !bounded {
		s.Error("Publish without a deadline")
	}
	if e.ID == "" || e.Type == "" || e.Kind == "" || e.Time.IsZero() || e.ReceivedAt.IsZero() || len(e.Fingerprint) != 64 {
		s.Errorf("an event without id, type, kind, times or fingerprint: %+v", e)
	}
	if (e.Conflict != "") != strings.Contains(e.ID, "~") || e.Conflict != "" && e.ID != e.Conflict+"~"+e.Fingerprint[:8] {
		s.Errorf("event %q has the conflict %q", e.ID, e.Conflict)
	}
	if !strings.HasPrefix(e.Subject, "alipay.events."+e.AppID+".") || !json.Valid(e.Data) {
		s.Errorf("event on %q with the data %q", e.Subject, e.Data)
	}
	if _, err := e.Header(); err != nil {
		s.Errorf("the headers of event %s: %v", e.ID, err)
	}
	form, err := verify.ParseForm(e.Raw)
	if err != nil {
		s.Errorf("the stored request of event %s: %v", e.ID, err)
	}
	match, err := s.verifier.Verify(form, e.Type)
	if err != nil || match.Proof() != e.Proof {
		s.Errorf("the stored request of event %s proves %q, %v; its proof says %q", e.ID, match.Proof(), err, e.Proof)
	}
}

// fakeOnce is dedupe.Redis without Redis, after the contract of dedupe.Do.
type fakeOnce struct {
	mishaps *mishaps
	holds   func(ctx context.Context, place string) (bool, error)

	mu     sync.Mutex
	last   int // token
	keys   map[string]entry
	called int
}

type entry struct {
	token       int // of a lease; 0 is a commit
	fingerprint string
	place       string
}

func newFakeOnce(m *mishaps, holds func(context.Context, string) (bool, error)) *fakeOnce {
	return &fakeOnce{mishaps: m, holds: holds, keys: make(map[string]entry)}
}

func (o *fakeOnce) Do(ctx context.Context, key, fingerprint string, ahead ingest.Ahead, fn func(context.Context, bool) (string, error)) (place, prior string, err error) {
	o.mu.Lock()
	o.called++
	o.last++
	token := o.last
	o.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", "", fault.Errorf(fault.Unavailable, "cancelled", "claim: %w", err)
	}
	found, asked, err := o.claim(ctx, key, entry{token: token, fingerprint: fingerprint})
	if err != nil {
		return "", found.fingerprint, err
	}
	if found.fingerprint != "" {
		return found.place, found.fingerprint, nil
	}
	if asked && ahead != nil {
		ahead.Begin(make(chan struct{}, 1))
	}
	stored := false
	defer func() {
		if !stored {
			o.release(key, token)
		}
	}()
	if place, err = fn(ctx, asked); err != nil {
		return "", "", err
	}
	stored = true
	o.commit(key, token, entry{fingerprint: fingerprint, place: place})
	return place, "", nil
}

// claim answers as the policy `publish` does: when nobody answers, fn runs
// without a claim.
func (o *fakeOnce) claim(ctx context.Context, key string, mine entry) (found entry, asked bool, err error) {
	switch o.mishaps.take(opClaim) {
	case failed:
		return entry{}, false, nil
	case lost:
		_, _, _ = o.look(ctx, key, mine) // it happened, and nobody hears of it
		return entry{}, false, nil
	case late:
		_, _, _ = o.look(ctx, key, mine)
		defer o.release(key, mine.token) // the claim may be there, and is taken back
		fallthrough
	case hung:
		<-ctx.Done()
		return entry{}, false, fault.Errorf(fault.Unavailable, "cancelled", "claim: %w", context.Cause(ctx))
	case untagged:
		return entry{}, false, errMishap
	}
	return o.look(ctx, key, mine)
}

func (o *fakeOnce) look(ctx context.Context, key string, mine entry) (found entry, asked bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old, there := o.keys[key]
	switch {
	case there && old.token != 0:
		return old, false, fault.Errorf(fault.InFlight, "lease", "another holder has the lease")
	case there:
		held, err := o.holds(ctx, old.place)
		if err != nil {
			return entry{}, false, fault.Errorf(fault.Unavailable, "holds", "claim: %w", err)
		}
		if held {
			return old, false, nil
		}
	}
	o.keys[key] = mine
	return entry{}, true, nil
}

// opTimeout bounds a commit and a release, which no context ends.
const opTimeout = 500 * time.Millisecond

func (o *fakeOnce) commit(key string, token int, mine entry) {
	switch o.mishaps.take(opCommit) {
	case failed, untagged:
		return
	case hung:
		<-time.After(opTimeout)
		return
	case late:
		defer func() { <-time.After(opTimeout) }()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if old, there := o.keys[key]; !there || old.token == token {
		o.keys[key] = mine
	}
}

func (o *fakeOnce) release(key string, token int) {
	switch o.mishaps.take(opRelease) {
	case failed, untagged:
		return
	case hung:
		<-time.After(opTimeout)
		return
	case late:
		defer func() { <-time.After(opTimeout) }()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys[key].token == token {
		delete(o.keys, key)
	}
}

// expire lets the leases run out.
func (o *fakeOnce) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, e := range o.keys {
		if e.token != 0 {
			delete(o.keys, key)
		}
	}
}

// forget loses every key.
func (o *fakeOnce) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.keys)
}

func (o *fakeOnce) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.called
}
