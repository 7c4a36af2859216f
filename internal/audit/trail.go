package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// StatusUnfinished is the status of a run without an "after" record: it is still
// at work, or its process died, or could not store it. Any part of its plan may
// be done. It is in no record.
const StatusUnfinished Status = "unfinished"

// Pass is one run of a job as the trail tells it: both of its records together.
type Pass struct {
	Record          // of before the work; of after it where that alone is there
	Sequence uint64 // of that record
	Began    string // when the first record was made; empty when it is not there
	Ended    string // when the second was; empty without
}

// Status is how the run ended, as far as the trail knows.
func (p Pass) Status() Status {
	if p.Result == nil {
		return StatusUnfinished
	}
	return p.Result.Status
}

// Of tells whether the run is of a verb: that very one, or one that begins with
// its words, as "dlq redrive" does with "dlq".
func (p Pass) Of(verb string) bool {
	return p.Verb == verb || strings.HasPrefix(p.Verb, verb+" ")
}

// By tells whether somebody was at work: who is a name that was claimed, the
// user of the machine, or that with its host, as user@host.
func (p Pass) By(who string) bool {
	o := p.Operator
	return who == o.Name || who == o.OSUser || who == Person{Name: o.OSUser, Host: o.Host}.String()
}

// Trail puts records together that belong together. The zero Trail is empty.
// What it holds grows with the number of runs, not with what they did.
type Trail struct {
	passes []*Pass
	open   map[string]*Pass // by job and run
}

var errNoRecord = errors.New("no audit record of ours")

// Add takes a stored record in; records come in the order in which they were
// stored. An error says that it is none: something else can land among them.
func (t *Trail) Add(sequence uint64, record []byte) error {
	var r Record
	if err := json.Unmarshal(record, &r); err != nil {
		return fmt.Errorf("%w: %w", errNoRecord, err)
	}
	if r.Schema != SchemaID || r.Job == "" || r.Run == "" || (r.Phase == PhaseAfter) != (r.Result != nil) {
		return errNoRecord
	}
	name := r.Job + " " + r.Run
	p := t.open[name]
	switch {
	case r.Phase == PhaseBefore && p != nil:
		return nil // stored twice, which the store should have noticed
	case r.Phase == PhaseBefore:
		p = &Pass{Record: r, Sequence: sequence, Began: r.At}
	case r.Phase == PhaseAfter && p != nil:
		p.Result, p.Ended = r.Result, r.At
		return nil
	case r.Phase == PhaseAfter:
		p = &Pass{Record: r, Sequence: sequence, Ended: r.At}
	default:
		return errNoRecord
	}
	if t.open == nil {
		t.open = make(map[string]*Pass)
	}
	t.open[name] = p
	t.passes = append(t.passes, p)
	return nil
}

// Passes gives the runs in the order of their first records.
func (t *Trail) Passes() []Pass {
	all := make([]Pass, len(t.passes))
	for i, p := range t.passes {
		all[i] = *p
	}
	return all
}
