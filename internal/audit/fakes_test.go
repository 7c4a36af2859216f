package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/audit"
)

var errStore = errors.New("no space left")

// fault says what a store does with one call: whether the record is kept, and
// what is returned.
type fault struct {
	keep bool
	err  error
}

var (
	lost  = fault{keep: false, err: errStore} // failed and did not happen
	noAck = fault{keep: true, err: errStore}  // failed but happened
)

type entry struct {
	subject, id string
	record      audit.Record
}

// trail is a Recorder that stores, deduplicates by message id, and polices what
// it is given: the schema, the subject and the order of the records.
type trail struct {
	t  *testing.T
	on func(ctx context.Context, call int, phase audit.Phase) fault // nil stores

	mu      sync.Mutex
	calls   int
	entries []entry
	seen    map[string]string // message id -> bytes
}

func newTrail(t *testing.T) *trail {
	t.Helper()
	return &trail{t: t, seen: map[string]string{}}
}

func (r *trail) Record(ctx context.Context, subject, id string, body []byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := ctx.Deadline(); !ok {
		r.t.Error("the recorder was called without a deadline")
	}
	validate(r.t, body)
	var record audit.Record
	if err := json.Unmarshal(body, &record); err != nil {
		r.t.Errorf("record: %v", err)
	}
	if tokens := strings.Split(subject, "."); len(tokens) != 5 || strings.ContainsAny(subject, "*> \x00") ||
		tokens[0] != "alipay" || tokens[1] != "audit" || tokens[4] != record.Job {
		r.t.Errorf("subject %q", subject)
	}
	if want := fmt.Sprintf("audit:%s:%s:%s", record.Job, record.Run, record.Phase); id != want {
		r.t.Errorf("message id %q, want %q", id, want)
	}

	r.mu.Lock()
	call := r.calls
	r.calls++
	r.mu.Unlock()
	f := fault{keep: true}
	if r.on != nil {
		f = r.on(ctx, call, record.Phase)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.seen[id]; f.keep && !ok {
		r.seen[id] = string(body)
		r.entries = append(r.entries, entry{subject: subject, id: id, record: record})
	} else if ok && before != string(body) {
		r.t.Errorf("message id %q has two contents:\n%s\n%s", id, before, body)
	}
	return f.err
}

func (r *trail) stored() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]entry(nil), r.entries...)
}

// phases is the trail in one word: "before after".
func (r *trail) phases() string {
	var phases []string
	for _, e := range r.stored() {
		phases = append(phases, string(e.record.Phase))
	}
	return strings.Join(phases, " ")
}

// options give a clock that ticks 250 ms at each look, and counted ids.
func options() audit.Options {
	var mu sync.Mutex
	now := time.Date(2026, 1, 2, 23, 4, 5, 6e6, time.FixedZone("CST", 8*3600))
	ids := 0
	return audit.Options{
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(250 * time.Millisecond)
			return now
		},
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			ids++
			return fmt.Sprintf("id-%d", ids)
		},
		Operator: func() audit.Person { return audit.Person{Name: "oncall", Host: "ops-1"} },
	}
}

func plan(items int) audit.Plan {
	return audit.Plan{
		Verb: "dlq redrive", App: "2021000000000001", Items: items, Bytes: 4096, First: 17, Last: 90210,
		Target: "alipay.replays.billing.>", Parameters: map[string]string{"since": "2h", "type": "voucher.created"},
	}
}

func yes() audit.Consent { return audit.Consent{Execute: true, Reason: "INC-7"} }

func expect(n int) audit.Consent {
	c := yes()
	c.Expect = &n
	return c
}

// does is an act that returns what it is told, and counts its calls.
func does(calls *int, outcome audit.Outcome, err error) audit.Act {
	return func(context.Context, string) (audit.Outcome, error) {
		*calls++
		return outcome, err
	}
}

func kindOf(err error) audit.Kind {
	if e, ok := errors.AsType[*audit.Error](err); ok {
		return e.Kind
	}
	return ""
}
