package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"alipay-notify/internal/audit"
)

// State is how a job stands. The set is closed.
type State string

// The states. A running job whose process has died stays so until somebody
// resumes it.
const (
	Running   State = "running"
	Stopped   State = "stopped"   // interrupted, or failed; it can be resumed
	Done      State = "done"      // everything that can be sent is
	Cancelled State = "cancelled" // it will never be resumed
)

// Job is one replay: what was consented to, and how far it has come. It is kept
// as JSON; the names are a contract between versions.
type Job struct {
	ID        string            `json:"job"`
	State     State             `json:"state"`
	Target    string            `json:"target"`
	Reason    string            `json:"reason"`
	By        string            `json:"by"` // who began it
	App       string            `json:"app"`
	Items     int               `json:"items"`
	Bytes     int64             `json:"bytes"`
	First     uint64            `json:"first"`
	Last      uint64            `json:"last"`
	Params    map[string]string `json:"parameters"`
	Digest    string            `json:"digest"`
	Life      time.Time         `json:"archive_created"`
	Selection Selection         `json:"selection"` // frozen
	Rate      int               `json:"rate"`      // events a second; 0: no limit
	Window    int               `json:"window"`    // how many may be sent beyond the checkpoint

	Begun   time.Time `json:"begun"`
	Updated time.Time `json:"updated"`
	Runner  Runner    `json:"runner"` // who works on it, or did last
	Runs    int       `json:"runs"`
	Progress
	Problem string `json:"problem,omitempty"` // why it stopped
}

// Progress is how far a job has come.
type Progress struct {
	Cursor   uint64    `json:"cursor"`   // of the plan, all up to this sequence is settled
	Sent     int       `json:"sent"`     // stored, by whichever run
	Repeated int       `json:"repeated"` // of these, what the target had from this job already
	Failed   int       `json:"failed"`   // what the target will never take
	Failures []Failure `json:"failures"` // of these, the first
	Missing  int       `json:"missing"`  // what had left the archive before it was sent; known at the end
	Gone     Span      `json:"gone"`     // the sequences among which these were
	Stored   Span      `json:"stored"`   // sequences on the target
	Position int64     `json:"position"` // of a file, in bytes
}

// Failure is a message that the target will never take.
type Failure struct {
	Sequence uint64 `json:"sequence"`
	Reason   string `json:"reason"`
}

// Span is a range of sequences, both included; both are 0 where there are none.
type Span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Runner is the process that works on a job.
type Runner struct {
	Name string `json:"name"` // the user
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Run  string `json:"run"` // no two processes have the same
}

func (r Runner) String() string { return fmt.Sprintf("%s@%s, process %d", r.Name, r.Host, r.PID) }

// maxFailures bounds the failures that a job tells one by one.
const maxFailures = 20

// NewJob begins the record of a job. what is the plan as the guard took it.
func NewJob(id string, p *Plan, what audit.Plan) Job {
	return Job{
		ID: id, State: Running, Target: p.Target.String(), App: what.App,
		Items: what.Items, Bytes: what.Bytes, First: what.First, Last: what.Last,
		Params: what.Parameters, Digest: what.Digest(), Life: p.Life, Selection: p.Selection,
	}
}

// Plan is the plan of the job, as every run of it takes it to the guard. It is
// an error when the record is not the one that was consented to.
func (j *Job) Plan() (audit.Plan, error) {
	p := audit.Plan{
		Verb: Verb, App: j.App, Items: j.Items, Bytes: j.Bytes, First: j.First, Last: j.Last,
		Target: j.Target, Parameters: j.Params,
	}
	if d := p.Digest(); d != j.Digest {
		return p, fmt.Errorf("the record of job %s was changed: its plan has the digest %.12s, and %.12s was consented to", j.ID, d, j.Digest)
	}
	if s := j.Selection; s.FirstSeq != j.First || s.LastSeq != j.Last || s.Limit != 0 {
		return p, fmt.Errorf("the record of job %s was changed: its selection has another range than its plan", j.ID)
	}
	return p, nil
}

// Left is how many messages of the plan are neither sent nor given up.
func (j *Job) Left() int { return max(0, j.Items-j.Sent-j.Failed-j.Missing) }

// ParseJob reads the record of a job.
func ParseJob(record []byte) (Job, error) {
	var j Job
	if err := json.Unmarshal(record, &j); err != nil {
		return j, fmt.Errorf("the record of the job cannot be read: %w", err)
	}
	return j, nil
}

// Jobs keeps the records of jobs. Both methods return soon after ctx ends.
type Jobs interface {
	// Load gives a record, or ErrNoJob.
	Load(ctx context.Context, id string) (Kept, error)
	// Save writes a record if it still has the revision (0: if there is none), and
	// gives the new one, or ErrTaken. After any other error it may be written.
	Save(ctx context.Context, id string, record []byte, revision uint64) (uint64, error)
}

// Kept is the record of a job as it is kept.
type Kept struct {
	Record   []byte
	Revision uint64
	Age      time.Duration // since it was written, as the store's own clock says
}

// The ways in which a job cannot go on.
var (
	ErrNoJob     = errors.New("no such job")
	ErrTaken     = errors.New("another process works on the job")
	ErrCancelled = errors.New("the job was cancelled")
)

// Lease is how long a job belongs to a process that gives no sign of life.
const Lease = 6 * time.Second

// claimEvery is how often a job that is to be claimed is looked at.
const claimEvery = time.Second

// Claim takes a job over for a process. It waits for as long as the process that
// had it may still be alive, and fails with ErrTaken when it is; told says so
// before it waits. Two that claim a job at once do not both get it.
func Claim(ctx context.Context, jobs Jobs, id string, who Runner, told func(Runner, time.Duration)) (Job, uint64, error) {
	was := uint64(0)
	for {
		kept, err := jobs.Load(ctx, id)
		if err != nil {
			return Job{}, 0, err
		}
		j, err := ParseJob(kept.Record)
		switch {
		case err != nil:
			return j, 0, err
		case j.State == Cancelled:
			return j, 0, ErrCancelled
		case j.State != Running || kept.Age >= Lease:
			return take(ctx, jobs, j, who, kept.Revision)
		case was != 0 && was != kept.Revision:
			return j, 0, fmt.Errorf("%w: %s", ErrTaken, j.Runner)
		}
		if was == 0 {
			told(j.Runner, Lease-kept.Age)
		}
		was = kept.Revision
		select {
		case <-ctx.Done():
			return j, 0, context.Cause(ctx)
		case <-time.After(min(Lease-kept.Age, claimEvery)):
		}
	}
}

func take(ctx context.Context, jobs Jobs, j Job, who Runner, revision uint64) (Job, uint64, error) {
	if j.State != Done {
		j.State, j.Problem = Running, ""
	}
	j.Runner = who
	j.Runs++
	revision, err := save(ctx, jobs, &j, revision)
	return j, revision, err
}

func save(ctx context.Context, jobs Jobs, j *Job, revision uint64) (uint64, error) {
	j.Updated = time.Now().UTC()
	record, err := json.Marshal(j)
	if err != nil {
		return 0, fmt.Errorf("write the record of job %s: %w", j.ID, err)
	}
	return jobs.Save(ctx, j.ID, record, revision)
}

// cancelTries is how often a record that is being written all the time is tried.
const cancelTries = 100

// Cancel ends a job for good. A process that works on it notices with its next
// sign of life. A job that is over is left as it is, with ErrOver.
func Cancel(ctx context.Context, jobs Jobs, id string) (Job, error) {
	for range cancelTries {
		kept, err := jobs.Load(ctx, id)
		if err != nil {
			return Job{}, err
		}
		j, err := ParseJob(kept.Record)
		switch {
		case err != nil:
			return j, err
		case j.State == Cancelled, j.State == Done:
			return j, fmt.Errorf("%w: %s", ErrOver, j.State)
		}
		j.State = Cancelled
		if _, err := save(ctx, jobs, &j, kept.Revision); !errors.Is(err, ErrTaken) {
			return j, err
		}
	}
	return Job{}, ErrTaken
}

// ErrOver means that there is nothing to cancel.
var ErrOver = errors.New("the job is over")
