// Package audit is the guard in front of every writing verb. A verb brings a
// Plan, which says what it would do, and an act, which does it; the guard
// decides whether the operator has consented, stores a record, acts, and stores
// a second record. Nothing is done that no stored record announces.
//
// It knows nothing of streams, commands or terminals: records leave through a
// Recorder, and what the operator is to see is returned, never printed.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The time that one try to store a record may take, and the tries. The second
// try carries the same message id, so a record whose ack was lost is stored
// once and found. Together they stay well under the half minute that service
// managers give a process which was asked to stop.
const (
	recordTimeout = 5 * time.Second
	recordTries   = 2
)

var errNoAck = errors.New("not stored within " + recordTimeout.String())

// Recorder stores audit records.
//
// Record returns nil only when the record is durably stored; after an error it
// may or may not be. The same messageID twice within a minute stores once and
// is no error. It returns when ctx ends, does not keep record, and may be
// called from several goroutines.
type Recorder interface {
	Record(ctx context.Context, subject, messageID string, record []byte) error
}

// Act does what the plan said. job names the work: it is the same when the
// work is resumed, and belongs in the headers and checkpoints of what is
// written. Act returns soon after ctx ends, with what it has done until then:
// the Outcome counts whether or not there is an error.
//
// A panic in the goroutine that Act was called on is recorded; one in a
// goroutine of its own ends the process and leaves the "before" record alone.
type Act func(ctx context.Context, job string) (Outcome, error)

// Options are the parts of a Guard that tests replace; a nil one is the real one.
type Options struct {
	Now      func() time.Time // the clock
	NewID    func() string    // names jobs and runs: 1-64 of A-Z a-z 0-9 _ -, never twice the same
	Operator func() Person    // who the operating system says is at work
}

// Guard stands in front of the writing verbs. It holds no state of its own and
// may be used from several goroutines; it does not keep two processes from
// resuming the same job at once.
type Guard struct {
	recorder Recorder
	now      func() time.Time
	newID    func() string
	operator func() Person
}

// New makes a guard. Without a recorder (nil) it still does dry runs, and
// refuses to execute.
func New(recorder Recorder, options Options) *Guard {
	g := &Guard{recorder: recorder, now: options.Now, newID: options.NewID, operator: options.Operator}
	if g.now == nil {
		g.now = time.Now
	}
	if g.newID == nil {
		g.newID = func() string { return NewJobID(g.now()) }
	}
	if g.operator == nil {
		g.operator = Operator
	}
	return g
}

// Run takes a plan through the guard.
//
// Without consent.Execute it is a dry run: act is not called, nothing is
// recorded. With it, a consent that is incomplete is a Usage error, and one
// that does not fit the count is Declined. A plan of no items is done at once,
// without records, since nothing changes that they could prove; a resumed job
// goes the whole way even so, because it may be its "after" record that the
// process died before writing.
//
// The error is nil exactly for StatusDone (with the trail complete) and
// StatusDryRun, else an *Error. The Report is true beside an error, too. A
// panic of act is recorded as failed and goes on its way.
func (g *Guard) Run(ctx context.Context, plan Plan, consent Consent, act Act) (Report, error) {
	plan = plan.clone()
	report := Report{Status: StatusRefused, Plan: plan, Digest: plan.Digest()}
	if err := plan.check(); err != nil {
		return report, &Error{Kind: Failed, Err: err}
	}
	if !consent.Execute {
		report.Status = StatusDryRun
		return report, nil
	}
	if err := consent.check(plan); err != nil {
		return report, err
	}
	if plan.Items == 0 && consent.Job == "" {
		report.Status = StatusDone
		return report, nil
	}
	if g.recorder == nil || act == nil {
		return report, errorf(Failed, "%s: nothing was done: the guard has no recorder or nothing to call", plan.Verb)
	}
	return g.newRun(report, consent).execute(ctx, act)
}

// run is one pass of one job. It belongs to one goroutine.
type run struct {
	recorder Recorder
	now      func() time.Time
	began    time.Time
	subject  string
	record   Record // what both records say alike
	report   Report
}

func (g *Guard) newRun(report Report, consent Consent) *run {
	// The run is named apart from the job. Were the records of a resumed job
	// named by the job alone, the store would take them for the first run's.
	id := g.newID()
	report.Job, report.Run, report.Resumed = consent.Job, id, consent.Job != ""
	if report.Job == "" {
		report.Job = id
	}
	return &run{
		recorder: g.recorder,
		now:      g.now,
		began:    g.now(),
		subject:  subject(report.Plan, report.Job),
		record:   newRecord(report, consent, g.operator()),
		report:   report,
	}
}

func (r *run) execute(ctx context.Context, act Act) (Report, error) {
	plan := r.report.Plan
	if ctx.Err() != nil {
		r.report.Status, r.report.Interrupted = StatusInterrupted, true
		return r.report, errorf(Failed, "%s: nothing was done: %w", plan.Verb, context.Cause(ctx))
	}
	// At this point nothing is done and nothing is recorded.
	if err := r.store(ctx, PhaseBefore, nil); err != nil {
		// At this point the record may be stored all the same, its ack lost
		// twice: the trail then announces a run that did nothing and has no
		// end, which is the safe side. The reverse cannot happen.
		r.report.Status = StatusFailed
		return r.report, errorf(Failed, "%s: nothing was done: the record before it is not stored: %w", plan.Verb, err)
	}
	// At this point the trail announces the run and nothing is done. From here
	// until the "after" record is stored, a process that dies leaves a "before"
	// alone: any part of the plan may be done, and resuming the job finds out.
	outcome, err := r.call(ctx, act)
	// At this point the work is over, and only this process knows its result.
	r.report.Duration = max(0, r.now().Sub(r.began))
	r.report.Outcome = outcome.tidy()
	r.report.Interrupted = ctx.Err() != nil
	r.report.Status = settle(plan, r.report.Outcome, err, r.report.Interrupted)
	cause := r.report.failure(err)

	trail := r.storeAfter(ctx, r.report.result(err))
	// At this point, if that went well, the trail is whole and nothing is owed.
	r.report.TrailComplete = trail == nil
	if trail == nil {
		return r.report, cause
	}
	trail = fmt.Errorf("%s job %s: %w: %w", plan.Verb, r.report.Job, ErrTrailIncomplete, trail)
	if e, ok := errors.AsType[*Error](cause); ok {
		return r.report, errorf(e.Kind, "%w; %w", e.Err, trail)
	}
	// Everything is done but for the record: not Failed, which would invite
	// the operator to do it all again.
	return r.report, &Error{Kind: Partial, Err: trail}
}

// call runs act. There is no recover here: the deferred record is written while
// the panic passes, so that it keeps its own stack, and runtime.Goexit is
// covered as well.
func (r *run) call(ctx context.Context, act Act) (outcome Outcome, err error) {
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx) // cancelled while the first record was stored
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		// What was done is not known, so no outcome is given, rather than one
		// of zeroes. The panic's text stays out: it can quote anything. That
		// this record too may fail is left to the panic, which says more.
		elapsed := max(0, r.now().Sub(r.began))
		_ = r.storeAfter(ctx, Result{
			Status:      StatusFailed,
			Interrupted: ctx.Err() != nil,
			Error:       "the command ended in a panic; how much was done is not known",
			DurationMS:  elapsed.Milliseconds(),
		})
	}()
	outcome, err = act(ctx, r.report.Job)
	returned = true
	return outcome, err
}

// storeAfter stores the record of what happened. A cancelled ctx does not stop
// it: the operator who interrupts a run must find in the trail how far it came.
func (r *run) storeAfter(ctx context.Context, result Result) error {
	return r.store(context.WithoutCancel(ctx), PhaseAfter, &result)
}

func (r *run) store(ctx context.Context, phase Phase, result *Result) error {
	record := r.record
	record.Phase, record.Result, record.At = phase, result, stamp(r.now())
	body, err := record.encode()
	if err != nil {
		return err
	}
	id := "audit:" + r.report.Job + ":" + r.report.Run + ":" + string(phase)
	for range recordTries {
		if err = r.try(ctx, id, body); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (r *run) try(ctx context.Context, id string, body []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, recordTimeout, errNoAck)
	defer cancel()
	err := r.recorder.Record(ctx, r.subject, id, body)
	if err != nil && errors.Is(context.Cause(ctx), errNoAck) {
		return fmt.Errorf("%w: %w", errNoAck, err)
	}
	return err
}
