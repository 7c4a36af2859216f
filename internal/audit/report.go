package audit

import (
	"errors"
	"fmt"
	"time"
)

// Status says how a run ended.
type Status string

// The statuses. The first four are recorded; the others leave no record.
const (
	StatusDone        Status = "done"        // every item of the plan is done or skipped
	StatusPartial     Status = "partial"     // some items are done and some are not
	StatusInterrupted Status = "interrupted" // stopped from outside before any item was done
	StatusFailed      Status = "failed"      // no item is done, or after a panic nobody knows
	StatusDryRun      Status = "dry_run"     // nothing was to be done
	StatusRefused     Status = "refused"     // the guard said no; nothing is done
)

// Statuses is the whole set, for tests and tables that walk it.
func Statuses() []Status {
	return []Status{StatusDone, StatusPartial, StatusInterrupted, StatusFailed, StatusDryRun, StatusRefused}
}

// Outcome is what an act has done in this run. Every item of the plan is to be
// found in one of the three counts: a run that accounts for more or for fewer
// items is not done.
type Outcome struct {
	Done    int    `json:"done"`    // written now
	Failed  int    `json:"failed"`  // tried, and not written
	Skipped int    `json:"skipped"` // needed no writing: an earlier run did it, or it is gone
	First   uint64 `json:"first"`   // the stream sequences written; both 0 without any
	Last    uint64 `json:"last"`

	// Problem is what the record says of an error. It is a text of its own, and
	// not the error's, because errors quote what they stumbled over, and a
	// record is kept for a year: no personal data, no payload. At most 500
	// bytes of it are kept.
	Problem string `json:"-"`
}

// tidy makes an outcome that a record may hold, whatever a verb has counted.
func (o Outcome) tidy() Outcome {
	o.Done, o.Failed, o.Skipped = max(0, o.Done), max(0, o.Failed), max(0, o.Skipped)
	o.Problem = clip(clean(o.Problem), maxText)
	return o
}

func (o Outcome) accounted() int { return o.Done + o.Failed + o.Skipped }

// settle gives the status of a run that returned. One that was interrupted
// after its last item is done.
func settle(p Plan, o Outcome, err error, interrupted bool) Status {
	switch {
	case err == nil && o.Failed == 0 && o.accounted() == p.Items:
		return StatusDone
	case o.Done > 0:
		return StatusPartial
	case interrupted:
		return StatusInterrupted
	}
	return StatusFailed
}

// Report is what came of a Run.
type Report struct {
	Status        Status
	Plan          Plan
	Digest        string        // of the plan
	Job           string        // empty when nothing was recorded or tried; resumes the work
	Run           string        // this pass of the job
	Resumed       bool          // the job was begun by an earlier run
	Outcome       Outcome       // zero when act was not called
	Interrupted   bool          // the context had ended when the work did
	Duration      time.Duration // from before the first record until the work was over
	TrailComplete bool          // both records are stored
}

// failure is the error of a run that returned, nil for one that is done.
func (r Report) failure(err error) error {
	if r.Status == StatusDone {
		return nil
	}
	kind := Failed
	if r.Status == StatusPartial {
		kind = Partial
	}
	text := fmt.Sprintf("%s job %s: %s: %d done, %d failed, %d skipped of %d", r.Plan.Verb, r.Job, r.Status,
		r.Outcome.Done, r.Outcome.Failed, r.Outcome.Skipped, r.Plan.Items)
	if err == nil {
		return &Error{Kind: kind, Err: errors.New(text)}
	}
	return errorf(kind, "%s: %w", text, err)
}

// result is what the "after" record says.
func (r Report) result(err error) Result {
	text := r.Outcome.Problem
	switch {
	case text != "" || r.Status == StatusDone:
	case r.Interrupted:
		text = "interrupted"
	case err != nil:
		text = "the command returned an error without a text for the record"
	case r.Outcome.accounted() != r.Plan.Items:
		text = fmt.Sprintf("the command accounts for %d items, the plan has %d", r.Outcome.accounted(), r.Plan.Items)
	}
	outcome := r.Outcome
	return Result{
		Status:      r.Status,
		Outcome:     &outcome,
		Interrupted: r.Interrupted,
		Error:       text,
		DurationMS:  r.Duration.Milliseconds(),
	}
}

// Kind is the class of an error of Run. Each has an exit code of its own.
type Kind string

// The kinds.
const (
	Usage    Kind = "usage"    // the consent is incomplete; nothing is done
	Declined Kind = "declined" // the consent does not fit the plan; nothing is done
	Failed   Kind = "failed"   // no item is known to be done; trying again, or resuming, may help
	Partial  Kind = "partial"  // some of it is done, or all of it but the record
)

// Kinds is the whole set, for tests and tables that walk it.
func Kinds() []Kind { return []Kind{Usage, Declined, Failed, Partial} }

// ErrTrailIncomplete is in the chain when the work was begun and its "after"
// record could not be stored: the Report is then the only one who knows.
var ErrTrailIncomplete = errors.New("the record after the work is not stored, the audit trail is incomplete")

// Error is an error of Run.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause, so that errors.Is and errors.As see through.
func (e *Error) Unwrap() error { return e.Err }

func errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}
