package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"alipay-notify/internal/events"
)

const (
	// heartbeat is how often a running job gives a sign of life, at the least: well
	// below Lease.
	heartbeat = Lease / 3
	// saveEvery is how often progress is written when it comes slowly.
	saveEvery = time.Second
	// lookEvery is how often that is looked at, and an observer told.
	lookEvery = 250 * time.Millisecond
	// drainTimeout is how long an interrupted job waits for what is under way.
	drainTimeout = 5 * time.Second
)

// Message is one event on its way to a target.
type Message struct {
	Sequence uint64    // where the archive has it
	StoredAt time.Time // since when
	Subject  string    // the target's
	Header   map[string][]string
	Data     []byte
}

// Settlement is what became of one message.
type Settlement struct {
	Sequence uint64 // of the Message
	StoredAt uint64 // its sequence on the target; 0 where there is none
	Repeated bool   // the target had it from this job already: it is sent once
	Err      error  // the target will never take it, and why
	Position int64  // of a file: its length with this message
}

// Sender is an open target. One goroutine uses it.
type Sender interface {
	// Send hands a message over, which the Sender may keep, and returns before it
	// is settled. After an error nothing more can be sent.
	Send(ctx context.Context, m Message) error
	// Flush returns when everything sent is settled, or cannot be.
	Flush(ctx context.Context) error
	// Close ends it. Nothing is settled afterwards.
	Close()
}

// Replayer sends what jobs have planned. It may be used for several at once.
type Replayer struct {
	Archive Archive
	Jobs    Jobs // nil: no record is kept, and nobody can resume

	// Open opens the target of a job. The sender calls settled once for each
	// message, in the order of sending and one call at a time.
	Open func(ctx context.Context, j Job, settled func(Settlement)) (Sender, error)

	Observe func(Progress) // told now and then, from one goroutine; or nil
}

// ErrNotAll means that the job is over, and that some of its messages were not
// sent: they had left the archive, or the target will never take them.
var ErrNotAll = errors.New("not everything could be sent")

// Run works on a job until it is over or ctx ends, and gives it as it then is.
// revision is that of its record, which Claim or Save gave; 0 makes the record.
//
// The record is never further behind than Job.Window messages, because no more
// are sent beyond it: whoever resumes the job sends no more than these again, and
// loses none. A job that somebody else has claimed or cancelled ends with
// ErrTaken or ErrCancelled.
func (r *Replayer) Run(ctx context.Context, j Job, revision uint64) (Job, error) {
	if j.State == Done {
		return j, j.verdict()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &work{
		Replayer: r, stop: stop, job: j, revision: revision, step: max(1, j.Window/4),
		settled: make(chan struct{}, 1), room: make(chan struct{}, 1), over: make(chan struct{}),
		pace: pacer{rate: j.Rate},
	}
	if w.Jobs != nil && revision == 0 {
		var err error
		if w.revision, err = save(ctx, w.Jobs, &w.job, 0); err != nil {
			return w.job, err
		}
	}
	var saver sync.WaitGroup
	saver.Go(func() { w.save(ctx) })
	err := w.send(ctx)
	close(w.over)
	saver.Wait()
	return w.finish(ctx, err)
}

// work is one run of one job.
type work struct {
	*Replayer
	stop    context.CancelCauseFunc
	step    int           // so many settled messages are worth a checkpoint
	settled chan struct{} // has one when a checkpoint is worth it
	room    chan struct{} // has one when the checkpoint has come on
	over    chan struct{} // closed when nothing more will be settled
	pace    pacer

	mu    sync.Mutex
	job   Job
	count int // settled by this run
	saved int // of these, in the record

	revision uint64 // of the record; the saver's, and finish's
	sent     int    // by this run; the sending goroutine's
}

// send sends what is left, and waits until it is settled.
func (w *work) send(ctx context.Context) error {
	extent, err := w.Archive.Extent(ctx)
	if err != nil {
		return err
	}
	if !extent.Created.Equal(w.job.Life) {
		return errors.New("the archive was made anew since the job was planned: its sequences are of other events; plan a new replay")
	}
	sender, err := w.Open(ctx, w.job, w.take)
	if err != nil {
		return err
	}
	defer sender.Close()
	target, err := ParseTarget(w.job.Target)
	if err != nil {
		return err
	}
	s := w.job.Selection
	s.FirstSeq = max(s.FirstSeq, w.job.Cursor+1)
	if s.FirstSeq <= s.LastSeq {
		mark := events.NewReplayMark(w.job.ID, w.job.Reason)
		err = readSelected(ctx, w.Archive, s, func(m events.Stored) error {
			if err := w.await(ctx); err != nil {
				return err
			}
			if m.Header == nil {
				m.Header = make(map[string][]string)
			}
			mark.Put(m.Header, m.Sequence)
			w.sent++
			return sender.Send(ctx, Message{
				Sequence: m.Sequence, StoredAt: m.StoredAt, Subject: target.Subject(m.Subject), Header: m.Header, Data: m.Data,
			})
		})
	}
	if err == nil {
		if err = sender.Flush(ctx); err == nil {
			return nil
		}
	}
	// At this point some may be under way. What is settled soon need not be sent
	// again by whoever resumes the job.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	_ = sender.Flush(drain) // err says more
	return err
}

// await returns when the next message may be sent.
func (w *work) await(ctx context.Context) error {
	for {
		w.mu.Lock()
		free := w.sent-w.saved < w.job.Window
		w.mu.Unlock()
		if free {
			return w.pace.wait(ctx)
		}
		select {
		case <-w.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take counts what became of a message.
func (w *work) take(s Settlement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.job.Progress
	p.Cursor = s.Sequence
	if p.Position = max(p.Position, s.Position); s.Err == nil {
		p.Sent++
		p.Stored.First, p.Stored.Last = widen(p.Stored.First, p.Stored.Last, s.StoredAt)
	} else if p.Failed++; len(p.Failures) < maxFailures {
		p.Failures = append(p.Failures, Failure{s.Sequence, s.Err.Error()})
	}
	if s.Repeated {
		p.Repeated++
	}
	if w.count++; w.count%w.step == 0 {
		wake(w.settled)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// snapshot is the job as it is now, and how many messages are settled.
func (w *work) snapshot() (j Job, count, saved int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j = w.job
	j.Failures = slices.Clone(j.Failures)
	return j, w.count, w.saved
}

// save writes checkpoints and signs of life until the work is over.
func (w *work) save(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-w.over:
			return
		case <-w.settled:
		case <-tick.C:
		}
		j, count, saved := w.snapshot()
		if w.Observe != nil {
			w.Observe(j.Progress)
		}
		age := time.Since(last)
		if count-saved < w.step && (count == saved || age < saveEvery) && age < heartbeat {
			continue
		}
		if err := w.checkpoint(ctx, &j); err == nil {
			last = time.Now()
			w.mu.Lock()
			w.saved = count
			w.mu.Unlock()
			wake(w.room)
		}
	}
}

// checkpoint writes the record. A store that is away is tried again with the
// next one; meanwhile the window fills, and nothing more is sent.
func (w *work) checkpoint(ctx context.Context, j *Job) error {
	if w.Jobs == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // an interrupted job most of all says how far it came
	revision, err := save(ctx, w.Jobs, j, w.revision)
	var stopped error
	if errors.Is(err, ErrTaken) {
		if stopped = w.whose(ctx, j); errors.Is(stopped, ErrTaken) {
			return stopped
		}
		revision, err = save(ctx, w.Jobs, j, w.revision)
	}
	if err != nil {
		return err
	}
	w.revision = revision
	return stopped
}

// whose finds out who has written the record: we, and the answer was lost; or
// somebody who has claimed the job or cancelled it, which both stop the work.
func (w *work) whose(ctx context.Context, j *Job) error {
	kept, err := w.Jobs.Load(ctx, j.ID)
	if err != nil {
		return err
	}
	now, err := ParseJob(kept.Record)
	switch {
	case err != nil:
		return err
	case now.Runner.Run != j.Runner.Run: // from now on every write of ours is stale
		err = fmt.Errorf("%w: %s", ErrTaken, now.Runner)
		w.stop(err)
		return err
	case now.State == Cancelled:
		err = ErrCancelled
		j.State = Cancelled
		w.mu.Lock()
		w.job.State = Cancelled
		w.mu.Unlock()
		w.stop(err)
	}
	w.revision = kept.Revision
	return err
}

// finish says how the work ended, in the record too.
func (w *work) finish(ctx context.Context, err error) (Job, error) {
	j, count, saved := w.snapshot()
	if w.Observe != nil {
		w.Observe(j.Progress)
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrTaken) || errors.Is(cause, ErrCancelled) {
		err = cause
	} else if err == nil {
		err = w.conclude(ctx, &j)
	}
	switch {
	case errors.Is(err, ErrTaken):
		j.Problem = Problem(err)
		return j, err // the record is another's
	case err == nil:
		j.State = Done
	default:
		j.Problem = Problem(err)
		if j.State == Running {
			j.State = Stopped
		}
	}
	// At this point the target has all that the record will say. If we die here,
	// the job is found running; who resumes it sends its last window again, which
	// the target knows by the message ids.
	switch saveErr := w.checkpoint(ctx, &j); {
	case errors.Is(saveErr, ErrTaken), errors.Is(saveErr, ErrCancelled): // in the last moment
		return j, saveErr
	case saveErr != nil:
		saveErr = fmt.Errorf("the record of the job is not stored, so that resuming it sends %d events once more: %w", count-saved, saveErr)
		if err != nil {
			saveErr = fmt.Errorf("%w; %w", err, saveErr)
		}
		return j, saveErr
	case err == nil:
		return j, j.verdict()
	}
	return j, err
}

// conclude counts what was planned and never met: it had left the archive.
func (w *work) conclude(ctx context.Context, j *Job) error {
	missing := max(0, j.Items-j.Sent-j.Failed)
	if missing == 0 {
		return nil
	}
	extent, err := w.Archive.Extent(ctx)
	if err != nil {
		return err
	}
	j.Missing, j.Gone = missing, Span{j.First, j.Last}
	if extent.First > j.First { // the archive loses its oldest alone
		j.Gone.Last = min(j.Last, extent.First-1)
	}
	return nil
}
