// Package dedupe makes one notification one event: it runs a function for a
// key unless that function already ran to success within the retention window,
// and remembers success only after it happened.
//
// It promises that a success of the function is never turned into an error,
// that nobody's claim is ever removed or overwritten by anyone but its holder
// (it can only run out), and that it never answers "already done" from Redis's
// memory alone: the place named by a commit is shown to Options.Holds first.
// It refuses to know what a notification, an event or a stream is. It does not
// promise exactly once: when a lease runs out under a slow holder, or Redis
// loses its keys, the function runs again, and what the function publishes to
// must recognize the repetition itself.
//
// # What is stored
//
// One string per key, always with an expiry:
//
//	1L:<token>:<fingerprint>   a lease: somebody is at work; expires after Lease
//	1C:<fingerprint>:<place>   a commit: done, stored at place; expires after Retention
//
// "1" is the version of the format. The token is random, new for every call of
// Do, and is never seen outside of it: a lease value is equal to ours only when
// it is ours. The scripts therefore compare whole values and parse nothing.
//
// A value of another type, version or shape is not ours to judge or to replace.
// Such a key is treated as one that Redis was not asked about: the function
// runs with asked=false, whatever the policy, the value stays, and Observe is
// told. Refusing instead would refuse the same notification until its retries
// end, and taking the value for a commit would swallow it.
package dedupe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/fault"
)

// Policy says what to do when Redis does not answer a claim.
type Policy string

// The policies; the zero value is Publish.
const (
	Publish Policy = "publish" // run the function with asked=false: what it publishes to decides
	Refuse  Policy = "refuse"  // do not run it: fault.Unavailable
)

// The operations that Options.Observe is told about.
const (
	OpClaim   = "claim"   // no answer, or a value that is not ours (ErrUnreadable)
	OpCommit  = "commit"  // the success could not be remembered
	OpRelease = "release" // the claim stays until its lease ends
)

// Errors that Observe may find in the chain of what it is told, beside those of
// the Redis client.
var (
	// ErrUnreadable says that what is stored under the key is not of our making.
	ErrUnreadable = errors.New("the key holds a value that is not ours")
	// ErrOverrun says that the lease ended before the function did, and that
	// another holder has come since. Seen often, the lease is too short.
	ErrOverrun = errors.New("the lease ran out and another holder took the key")
)

// DefaultTimeout bounds one call to Redis when Options.Timeout is zero. A healthy
// Redis answers in about a millisecond; half a second is long enough for a short
// stall and short enough that a notification whose claim and commit both hang is
// still answered well before Alipay gives up.
const DefaultTimeout = 500 * time.Millisecond

// maxLooks bounds how often one call looks at a key whose value changes under
// it. Each further look means that another holder has just moved, so that "in
// flight" is true of it; three is two more than a lone contender ever needs.
const maxLooks = 3

// Options are the settings of a Redis.
type Options struct {
	// Lease is how long a claim holds unless it is committed or released. It must
	// outlast the function (that is what keeps a second holder out) and end
	// before the sender's first retry (that is what lets a crash heal).
	Lease time.Duration
	// Retention is how long a commit is remembered. It must outlast the sender's
	// last retry.
	Retention time.Duration
	// Timeout bounds each single call to Redis, or 50 ms more: those of one moment
	// share it. 0 means DefaultTimeout.
	Timeout time.Duration
	// OnUnavailable says what to do when Redis does not answer a claim.
	OnUnavailable Policy
	// Behind lets Do return as soon as the function has succeeded, and commit
	// behind it. A crash before the commit leaves the lease, as it does without.
	Behind bool

	// Holds says whether what was committed under a place is still there. It is
	// asked before anything is called a duplicate: a store that was restored or
	// made anew has lost events that Redis still remembers. An error means that
	// nobody can tell.
	Holds func(ctx context.Context, place string) (bool, error)
	// Observe is told what went wrong with Redis: failed claims (whatever the
	// policy made of them), and failed commits and releases, which Do cannot
	// return. op is one of the Op constants, err is never nil and names the key.
	// It may be nil; it is called from many goroutines.
	Observe func(op string, err error)
}

func (o Options) validate() error {
	var errs []error
	if o.Timeout <= 0 {
		errs = append(errs, errors.New("timeout must be positive"))
	}
	// A lease shorter than one call could be over before its holder learns of it.
	// Redis counts in milliseconds, so this also keeps it from being 0 there.
	if o.Lease <= o.Timeout || o.Lease < time.Millisecond {
		errs = append(errs, fmt.Errorf("lease %s must be longer than the timeout %s", o.Lease, o.Timeout))
	}
	if o.Retention <= o.Lease {
		errs = append(errs, fmt.Errorf("retention %s must be longer than the lease %s", o.Retention, o.Lease))
	}
	if o.OnUnavailable != Publish && o.OnUnavailable != Refuse {
		errs = append(errs, fmt.Errorf("policy %q must be %q or %q", o.OnUnavailable, Publish, Refuse))
	}
	if o.Holds == nil {
		errs = append(errs, errors.New("holds must be set"))
	}
	return errors.Join(errs...)
}

// Redis dedupes through claims and commits in Redis. It is safe for concurrent
// use. Before the client is closed, which stays its maker's, Settle waits for the
// commits that are under way.
type Redis struct {
	opts     Options
	eval     evaluator
	settling settling

	claims, commits, releases operation
}

// New makes a Redis that uses client, which should come from Open.
func New(client redis.UniversalClient, o Options) (*Redis, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.OnUnavailable == "" {
		o.OnUnavailable = Publish
	}
	if o.Observe == nil {
		o.Observe = func(string, error) {}
	}
	err := o.validate()
	if client == nil {
		err = errors.Join(errors.New("client must be set"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("dedupe: %w", err)
	}
	return &Redis{
		opts: o, eval: newEvaluator(client, o.Timeout),
		claims:   operation{claimScript, millis(o.Lease), o.Lease},
		commits:  operation{commitScript, millis(o.Retention), o.Retention},
		releases: operation{releaseScript, "0", 0},
	}, nil
}

// Key is the key of one event.
//
// On a cluster the braces make app and id the hash tag, which is the part that
// picks the slot: it reaches from the first '{' to the first '}' after it. The
// id may hold both bytes. A '{' in it changes nothing, since ours comes first. A
// '}' ends the tag early, so that ids alike up to there share a slot; that is
// only a matter of balance, because every call touches one key, and the key
// itself stays whole. The tag is never empty (the ':' is in it), and as an app
// id has no ':', no two events share a key.
func Key(appID, eventID string) string {
	return "alipay:dedupe:{" + appID + ":" + eventID + "}"
}

// attempt is one call of Do: what it would store, and what it owes the key.
type attempt struct {
	key         string
	fingerprint string
	lease       string // the lease value: nobody else can have made it
	ahead       Ahead

	asked   bool // Redis answered and the claim is ours
	begun   bool // and ahead has begun
	commit  bool // after success, remember it
	release bool // after failure, remove our claim: it is, or may be, there
}

// Do runs fn for key unless it already ran to success within the retention
// window. fingerprint, 1-128 bytes of '!' to '~' without ':', identifies the
// content that comes under the key. place is an opaque token that says where
// the event is stored; fn returns it and the commit keeps it. prior is the
// fingerprint of what was already there under this key; empty means that fn
// ran, or that err says why it did not:
//
//   - prior and no error: committed before, and Holds confirmed it; place says
//     where.
//   - prior and fault.InFlight: another holder has the lease right now. Do does
//     not wait for it. Here and above the caller compares prior with its own
//     fingerprint to see a conflict.
//   - fault.Unavailable: fn did not run, because Redis did not answer and the
//     policy is Refuse, because Holds could not be answered, or because ctx
//     ended first.
//   - any other error is fn's own, unchanged.
//
// asked tells fn whether Redis was asked and the claim is held. ahead, which may
// be nil, may have begun then, and only then; fn is run for certain once it has,
// also when ctx has ended, and deals with one that has not. If fn fails or panics
// the claim is released even when ctx has ended. If fn succeeds Do never returns
// an error: the event is stored, and saying otherwise would only make the sender
// repeat it.
func (r *Redis) Do(ctx context.Context, key, fingerprint string, ahead Ahead, fn func(ctx context.Context, asked bool) (place string, err error)) (place, prior string, err error) {
	if !isWord(fingerprint) {
		return "", "", fault.Errorf(fault.Internal, "fingerprint", "dedupe %s: fingerprint %q is not 1-128 printable bytes without ':'", key, fingerprint)
	}
	// Who comes right behind a success meets its commit, not its lease.
	if err := r.settling.wait(ctx, key); err != nil {
		return "", "", cancelled(key, err)
	}
	a := &attempt{key: key, fingerprint: fingerprint, lease: leaseValue(rand.Text(), fingerprint), ahead: ahead}
	place, prior, err = r.claim(ctx, a)
	if prior != "" || err != nil {
		return place, prior, err
	}
	if !a.begun {
		afterClaim()
		if err := ctx.Err(); err != nil {
			r.release(ctx, a)
			return "", "", cancelled(key, err)
		}
	}
	place, err = r.run(ctx, a, fn)
	return place, "", err
}

// run calls fn and settles the claim. The release is deferred, and nothing is
// recovered, so that a panic in fn leaves with its own stack and yet without
// the claim. That fn may have published before it failed does not matter: the
// next attempt meets the duplicates window of what it publishes to.
func (r *Redis) run(ctx context.Context, a *attempt, fn func(ctx context.Context, asked bool) (string, error)) (string, error) {
	stored := false
	defer func() {
		if !stored {
			r.release(ctx, a)
		}
	}()
	place, err := fn(ctx, a.asked)
	if err != nil {
		return "", err
	}
	// At this point the event is stored: a crash leaves event and lease. From here
	// on nothing may fail, and the claim must not be released any more.
	fault.Point("before-commit")
	stored = true
	if a.commit {
		r.commit(ctx, a, place)
	}
	return place, nil
}

// claim takes the key for a, or finds out why not. Without prior and error the
// function is to run, and a says what is owed afterwards.
func (r *Redis) claim(ctx context.Context, a *attempt) (place, prior string, err error) {
	gone := "" // a commit whose place is gone; our claim may replace exactly this
	for range maxLooks {
		found, err := r.call(ctx, call{&r.claims, a.key, a.lease, gone, a.ahead})
		if err != nil {
			return "", "", r.unanswered(ctx, a, err)
		}
		v := found.value
		switch {
		case found.done:
			a.asked, a.commit, a.release, a.begun = true, true, true, found.begun
			return "", "", nil
		case v.kind == unreadable:
			r.observe(OpClaim, a.key, ErrUnreadable)
			return "", "", nil
		case v.kind == lease:
			return "", v.fingerprint, inFlight(a.key)
		}
		prior = v.fingerprint
		held, err := r.opts.Holds(ctx, v.place)
		if err != nil {
			// Neither answer can be claimed to be right. "Duplicate" would rest on
			// Redis's memory alone, and running fn would publish, behind the
			// back of a commit that may well be true, to a stream that has just
			// shown that it does not answer.
			return "", "", fault.Errorf(fault.Unavailable, "holds", "dedupe %s: ask whether %q is still stored: %w", a.key, v.place, err)
		}
		if held {
			return v.place, prior, nil
		}
		gone = found.raw
	}
	return "", prior, inFlight(a.key)
}

// unanswered decides what becomes of a claim that failed. When its answer was
// lost the claim may still be there, with our token: whoever ends the attempt
// then tries to take it back, so that it does not keep the next one waiting for
// the lease. (Should the claim reach Redis later still than its release, it does
// keep it waiting, and ends with the lease.)
func (r *Redis) unanswered(ctx context.Context, a *attempt, err error) error {
	a.release = mayHaveHappened(err)
	if cause := ctx.Err(); cause != nil {
		// The caller went away; that says nothing about Redis, and fn must not run.
		r.release(ctx, a)
		return cancelled(a.key, cause)
	}
	r.observe(OpClaim, a.key, err)
	if r.opts.OnUnavailable == Refuse {
		r.release(ctx, a)
		return fault.Errorf(fault.Unavailable, "redis", "dedupe %s: claim: %w", a.key, err)
	}
	// fn runs without a claim. Its success is remembered all the same: a commit is
	// true whoever held the lease, and Redis may be back by then.
	a.commit = true
	return nil
}

// Settle waits for the commits under way: some round trips at the most, each of
// Options.Timeout. Without it a process that stops leaves their leases, which run
// out by themselves.
func (r *Redis) Settle(ctx context.Context) error {
	if err := r.settling.wait(ctx, ""); err != nil {
		return fmt.Errorf("dedupe: commits are still under way: %w", err)
	}
	return nil
}

// commit remembers a success, behind the answer if there is room for that. It
// runs when ctx has ended, too: the sender hanging up is the very case in which
// the same notification comes again.
func (r *Redis) commit(ctx context.Context, a *attempt, place string) {
	c := call{&r.commits, a.key, a.lease, commitValue(a.fingerprint, place), nil}
	if !r.opts.Behind || !r.settling.add(a.key) {
		found, err := r.call(context.WithoutCancel(ctx), c)
		r.settled(OpCommit, a, found, err)
		return
	}
	r.eval.send(c, func(reply any, err error) {
		defer r.settling.remove(a.key)
		found, err := newAnswer(reply, err)
		r.settled(OpCommit, a, found, err)
	})
}

// release removes our claim, if it is there, even when ctx has ended.
func (r *Redis) release(ctx context.Context, a *attempt) {
	if !a.release {
		return
	}
	found, err := r.call(context.WithoutCancel(ctx), call{&r.releases, a.key, a.lease, "", nil})
	r.settled(OpRelease, a, found, err)
}

// settled reports what went wrong with a commit or a release; there is nobody
// to return it to. Without a claim of ours another's is nothing remarkable.
func (r *Redis) settled(op string, a *attempt, found answer, err error) {
	switch {
	case err != nil:
		r.observe(op, a.key, err)
	case found.done || !a.asked:
	case found.value.kind == unreadable:
		r.observe(op, a.key, ErrUnreadable)
	default:
		r.observe(op, a.key, ErrOverrun)
	}
}

func (r *Redis) observe(op, key string, err error) {
	r.opts.Observe(op, fmt.Errorf("dedupe %s: %s: %w", key, op, err))
}

func inFlight(key string) error {
	return fault.Errorf(fault.InFlight, "lease", "dedupe %s: another holder has the lease", key)
}

func cancelled(key string, cause error) error {
	return fault.Errorf(fault.Unavailable, "cancelled", "dedupe %s: %w", key, cause)
}

// Stream dedupes without Redis: it asks nobody and runs the function every
// time, so that the duplicates window of what the function publishes to decides
// alone.
type Stream struct{}

// Do runs fn with asked=false; see Redis.Do. It never finds anything prior.
func (Stream) Do(ctx context.Context, _, _ string, _ Ahead, fn func(ctx context.Context, asked bool) (place string, err error)) (place, prior string, err error) {
	place, err = fn(ctx, false)
	return place, "", err
}
