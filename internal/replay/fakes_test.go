package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// life is when the archive of the tests was made.
var life = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// archiveOf is an archive with messages at the sequences 1 to its length.
type archiveOf struct {
	mu      sync.Mutex
	life    time.Time
	first   uint64 // what is before it has expired
	last    uint64
	message func(sequence uint64) events.Stored
	at      map[uint64]func() // called before a message is handed on
	broken  error             // what a reading ends with, after the last message
}

func newArchive(last uint64) *archiveOf {
	return &archiveOf{life: life, first: 1, last: last, message: voucherAt, at: map[uint64]func(){}}
}

// voucherAt is a stored event of one of three kinds.
func voucherAt(sequence uint64) events.Stored {
	kind := []string{"voucher.created", "voucher.stopped", "order.refunded"}[sequence%3]
	key := "k" + strconv.FormatUint(sequence%10, 10)
	m := events.Stored{
		Event: events.Event{
			ID: fmt.Sprintf("n-%d", sequence), AppID: "2021000000000001", Kind: kind, Key: key,
			Subject: events.Subject("2021000000000001", kind, key), Data: []byte(`{"n":` + strconv.FormatUint(sequence, 10) + `}`),
		},
		Sequence: sequence, StoredAt: life.Add(time.Duration(sequence) * time.Second),
	}
	m.Header = map[string][]string{
		events.HeaderID: {m.ID}, events.HeaderMessageID: {"2021000000000001:" + m.ID}, events.HeaderProof: {"p"},
	}
	return m
}

func (a *archiveOf) Extent(context.Context) (replay.Extent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return replay.Extent{Created: a.life, First: a.first, Last: a.last}, nil
}

func (a *archiveOf) expire(first uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.first = first
}

func (a *archiveOf) add(n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last += n
}

// Read ignores the subjects: the selection decides on every message anyway.
func (a *archiveOf) Read(ctx context.Context, _ []string, from uint64, _ time.Time, fn func(events.Stored) error) error {
	end, _ := a.Extent(ctx)
	for sequence := max(1, from); sequence <= end.Last; sequence++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f := a.at[sequence]; f != nil {
			f()
		}
		if now, _ := a.Extent(ctx); sequence < now.First {
			continue
		}
		if err := fn(a.message(sequence)); err != nil {
			return err
		}
	}
	return a.broken
}

// jobsFake keeps records. It watches that no revision is written over.
type jobsFake struct {
	mu      sync.Mutex
	records map[string]replay.Kept
	written time.Time
	saves   int

	fail   func(n int) error // of the n-th save: it does not happen
	lose   func(n int) bool  // it happens, and its answer is lost
	before func(n int)       // called before the n-th save
	dead   bool              // the process has been killed
}

func newJobs() *jobsFake { return &jobsFake{records: map[string]replay.Kept{}} }

var (
	errDead = errors.New("the process has been killed")
	errLost = errors.New("the answer was lost")
)

func (f *jobsFake) Load(_ context.Context, id string) (replay.Kept, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept, ok := f.records[id]
	if !ok {
		return kept, replay.ErrNoJob
	}
	kept.Age = time.Since(f.written)
	return kept, nil
}

func (f *jobsFake) Save(_ context.Context, id string, record []byte, revision uint64) (uint64, error) {
	f.mu.Lock()
	f.saves++
	n := f.saves
	before := f.before
	f.mu.Unlock()
	if before != nil {
		before(n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return 0, errDead
	}
	if f.fail != nil {
		if err := f.fail(n); err != nil {
			return 0, err
		}
	}
	if f.records[id].Revision != revision {
		return 0, replay.ErrTaken
	}
	f.records[id] = replay.Kept{Record: record, Revision: revision + 1}
	f.written = time.Now()
	if f.lose != nil && f.lose(n) {
		return 0, errLost
	}
	return revision + 1, nil
}

// job is the record as it is kept.
func (f *jobsFake) job(t testing.TB, id string) replay.Job {
	t.Helper()
	kept, err := f.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	j, err := replay.ParseJob(kept.Record)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// put keeps a record as it is.
func (f *jobsFake) put(t testing.TB, j replay.Job) uint64 {
	t.Helper()
	record, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	revision := f.records[j.ID].Revision + 1
	f.records[j.ID] = replay.Kept{Record: record, Revision: revision}
	f.written = time.Now()
	return revision
}

// targetFake stores messages some time after they were sent. It watches that
// they come in order, marked, and never further ahead of the record than the
// window.
type targetFake struct {
	testing.TB
	jobs      *jobsFake
	knows     bool // it remembers message ids
	ids       map[string]uint64
	deliver   map[uint64]int // by the archive's sequence
	fail      map[uint64]error
	killAt    int // dies when this many were sent; 0: never
	stopAt    int // stores nothing from then on, and fails; 0: never
	delay     int // how many are under way before the first is settled
	onSend    func(n int)
	sent      int
	furthest  int // how far ahead of the record it got
	stored    uint64
	queue     []replay.Message
	settled   func(replay.Settlement)
	cursor    uint64
	startSent int
	window    int
}

func newTarget(t testing.TB, jobs *jobsFake) *targetFake {
	t.Helper()
	return &targetFake{TB: t, jobs: jobs, ids: map[string]uint64{}, deliver: map[uint64]int{}, fail: map[uint64]error{}, knows: true}
}

func (f *targetFake) open(_ context.Context, j replay.Job, settled func(replay.Settlement)) (replay.Sender, error) {
	f.settled, f.queue, f.sent, f.cursor, f.window = settled, nil, 0, j.Cursor, j.Window
	f.startSent, f.delay = j.Sent+j.Failed, min(5, j.Window-1)
	return f, nil
}

var errFull = errors.New("maximum bytes exceeded")

func (f *targetFake) Send(_ context.Context, m replay.Message) error {
	if m.Sequence <= f.cursor {
		f.Errorf("%d comes after %d", m.Sequence, f.cursor)
	}
	f.cursor = m.Sequence
	f.sent++
	if f.onSend != nil {
		f.onSend(f.sent)
	}
	if f.jobs != nil {
		j := f.jobs.job(f.TB, "job-1")
		ahead := f.startSent + f.sent - j.Sent - j.Failed
		f.furthest = max(f.furthest, ahead)
		if ahead > f.window {
			f.Errorf("%d messages are beyond the record, the window is %d", ahead, f.window)
		}
	}
	f.queue = append(f.queue, m)
	if f.killAt > 0 && f.sent >= f.killAt {
		// What was sent arrives; nobody hears of it.
		f.settled = func(replay.Settlement) {}
		f.jobs.mu.Lock()
		f.jobs.dead = true
		f.jobs.mu.Unlock()
		f.drain(0)
		return errDead
	}
	if f.stopAt > 0 && f.sent >= f.stopAt {
		f.queue = nil
		return errFull
	}
	f.drain(f.delay)
	return nil
}

// drain stores all but the last few.
func (f *targetFake) drain(leave int) {
	for len(f.queue) > leave {
		m := f.queue[0]
		f.queue = f.queue[1:]
		f.store(m)
	}
}

func (f *targetFake) store(m replay.Message) {
	id := m.Header[events.HeaderMessageID][0]
	if want := fmt.Sprintf("replay:job-1:%d", m.Sequence); id != want || m.Header[events.HeaderReplayOf][0] != strconv.FormatUint(m.Sequence, 10) {
		f.Errorf("message id %q, want %q; headers %v", id, want, m.Header)
	}
	if err := f.fail[m.Sequence]; err != nil {
		f.settled(replay.Settlement{Sequence: m.Sequence, Err: err})
		return
	}
	if at, again := f.ids[id]; again && f.knows {
		f.settled(replay.Settlement{Sequence: m.Sequence, StoredAt: at, Repeated: true})
		return
	}
	f.stored++
	f.ids[id] = f.stored
	f.deliver[m.Sequence]++
	f.settled(replay.Settlement{Sequence: m.Sequence, StoredAt: f.stored})
}

func (f *targetFake) Flush(context.Context) error {
	f.drain(0)
	return nil
}

func (f *targetFake) Close() { f.settled = func(replay.Settlement) { f.Error("settled after Close") } }
