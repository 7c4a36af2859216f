package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/fault"
)

// shortfall names what of a job was not sent and will not be, or is empty.
func (j *Job) shortfall() string {
	var parts []string
	if j.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%d had left the archive, among the sequences %d to %d", j.Missing, j.Gone.First, j.Gone.Last))
	}
	if len(j.Failures) > 0 {
		parts = append(parts, fmt.Sprintf("%d will never be taken, the first at sequence %d: %s", j.Failed, j.Failures[0].Sequence, j.Failures[0].Reason))
	}
	return strings.Join(parts, "; ")
}

// verdict is the error of a job that is done.
func (j *Job) verdict() error {
	if text := j.shortfall(); text != "" {
		return fmt.Errorf("%w: %s", ErrNotAll, text)
	}
	return nil
}

// Problem is what a record says of an error: errors quote what they stumbled
// over, such as a subject with a key, and records are kept.
func Problem(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, ErrTaken):
		return "taken"
	case errors.Is(err, ErrCancelled):
		return "cancelled"
	}
	return cmp.Or(fault.ReasonOf(err), "error")
}

// Outcome is what the audit record says of a run that found the job as before
// and left it as j. What earlier runs have settled was skipped by this one.
func (j *Job) Outcome(before Job) audit.Outcome {
	repeated := j.Repeated - before.Repeated
	return audit.Outcome{
		Done: j.Sent - before.Sent - repeated, Failed: j.Failed - before.Failed,
		Skipped: before.Sent + before.Failed + repeated + j.Missing, First: j.Stored.First, Last: j.Stored.Last,
		Problem: cmp.Or(j.Problem, j.shortfall()),
	}
}
