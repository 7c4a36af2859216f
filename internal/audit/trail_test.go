package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"alipay-notify/internal/audit"
)

// recorded keeps what a guard records, as a stream would.
type recorded struct{ records [][]byte }

func (r *recorded) Record(_ context.Context, _, _ string, record []byte) error {
	r.records = append(r.records, record)
	return nil
}

// TestTrail: two jobs at once, one of them resumed, one that dies: each run is
// found with both of its records, and the one without its second is told apart.
func TestTrail(t *testing.T) {
	t.Parallel()
	var store recorded
	n := 0
	guard := audit.New(&store, audit.Options{
		NewID:    func() string { n++; return fmt.Sprintf("job-%d", n) },
		Operator: func() audit.Person { return audit.Person{Name: "root", Host: "ops-1"} },
	})
	plan := audit.Plan{Verb: "dlq redrive", App: "2021", Items: 2, Target: "orders"}
	consent := audit.Consent{Execute: true, Reason: "INC-42", As: "wang"}
	done := func(context.Context, string) (audit.Outcome, error) { return audit.Outcome{Done: 2}, nil }
	inner := func(context.Context, string) (audit.Outcome, error) {
		other := plan
		other.Verb = "replay"
		if _, err := guard.Run(t.Context(), other, audit.Consent{Execute: true, Reason: "meanwhile"}, done); err != nil {
			t.Error(err)
		}
		return audit.Outcome{Done: 1, Failed: 1}, errors.New("half")
	}
	if _, err := guard.Run(t.Context(), plan, consent, inner); err == nil {
		t.Fatal("half of it is not done, and there is no error")
	}
	consent.Job = "job-1"
	if _, err := guard.Run(t.Context(), plan, consent, done); err != nil {
		t.Fatal(err)
	}
	var trail audit.Trail
	for i, record := range store.records[:len(store.records)-1] { // the last run dies before its second record
		if err := trail.Add(uint64(i+1), record); err != nil {
			t.Fatal(err)
		}
	}
	for _, noise := range []string{"", "{}", `{"stream":"ALIPAY_EVENTS","seq":1}`, `{"schema":"` + audit.SchemaID + `","job":"x","run":"x","phase":"during"}`} {
		if trail.Add(99, []byte(noise)) == nil {
			t.Errorf("%q is taken for a record", noise)
		}
	}
	var got []string
	for _, p := range trail.Passes() {
		got = append(got, fmt.Sprintf("%d %s %s %s %t %t", p.Sequence, p.Job, p.Run, p.Status(), p.Of("dlq"), p.By("wang")))
		if p.Began == "" || (p.Ended == "") != (p.Status() == audit.StatusUnfinished) {
			t.Errorf("%s: began %q, ended %q", p.Run, p.Began, p.Ended)
		}
	}
	want := []string{
		"1 job-1 job-1 partial true true",
		"2 job-2 job-2 done false false",
		"5 job-1 job-3 unfinished true true",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if p := trail.Passes()[1]; !p.By("root") || !p.By("root@ops-1") || p.By("ops-1") || p.Of("repla") {
		t.Errorf("who and what: %+v", p)
	}
}

// TestTrailWithoutItsBeginning: the first records age out; what remains is said
// to have begun at no known time, and not to be unfinished.
func TestTrailWithoutItsBeginning(t *testing.T) {
	t.Parallel()
	var store recorded
	_, err := audit.New(&store, audit.Options{}).Run(t.Context(), audit.Plan{Verb: "replay", Items: 1, Target: "x"},
		audit.Consent{Execute: true, Reason: "r"}, func(context.Context, string) (audit.Outcome, error) { return audit.Outcome{Done: 1}, nil })
	if err != nil {
		t.Fatal(err)
	}
	var trail audit.Trail
	if err := trail.Add(7, store.records[1]); err != nil {
		t.Fatal(err)
	}
	if p := trail.Passes()[0]; p.Began != "" || p.Ended == "" || p.Status() != audit.StatusDone {
		t.Errorf("%+v", p)
	}
}
