package reconcile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/reconcile"
)

// due is an expectation that was due an hour ago.
func due(kind, key, number string) reconcile.Expectation {
	return reconcile.Expectation{
		AppID: app, Type: kind, Key: key, OutBizNo: number, RequestedAt: now.Add(-2 * time.Hour), Due: now.Add(-time.Hour), By: "test",
	}
}

// pass goes through the expectations once, and gives what it says, by name.
func pass(t *testing.T, w *world, o reconcile.Options) map[string]reconcile.Answer {
	t.Helper()
	answers := make(map[string]reconcile.Answer)
	if err := w.engine(o).Pass(t.Context(), w, 30*24*time.Hour, func(a reconcile.Answer) error {
		if _, twice := answers[a.Record.Name]; twice {
			t.Errorf("%s is answered twice", a.Record.Name)
		}
		answers[a.Record.Name] = a
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return answers
}

// Each expectation as it stands, in the words that an operator reads.
func TestPass(t *testing.T) {
	t.Parallel()
	total := func(s *reconcile.State) { s.Total = 2000 }
	to2000 := json.RawMessage(`{"voucher_quantity":2000}`)
	pending := due(reconcile.Stopped, key, "s")
	pending.Due = now.Add(time.Minute)
	forgotten := due(reconcile.Stopped, key, "s")
	forgotten.Due = now.AddDate(0, 0, -31)
	append2 := due(reconcile.Appended, key, "a")
	append2.Requested = to2000
	for _, tt := range []struct {
		name   string
		expect reconcile.Expectation
		state  reconcile.State
		events string
		want   string
		open   bool
	}{
		{"not due", pending, of("ACTIVE"), "", "pending", true},
		{"come before it is due", pending, of("FINISHED"), "stopped/s", "fulfilled", false},
		{"come", due(reconcile.Stopped, key, "s"), of("FINISHED"), "stopped/s", "fulfilled", false},
		{"come, with another number: an activity stops once", due(reconcile.Stopped, key, "s"), of("FINISHED"), "stopped/t", "fulfilled", false},
		{"lost", due(reconcile.Stopped, key, "s"), of("FINISHED"), "created/c", "overdue missing: activity_status is FINISHED, before its time is over at 2026-09-20T12:00:00Z, and no event says so", true},
		{"not done", due(reconcile.Stopped, key, "s"), of("ACTIVE"), "created/c", "overdue state_unexplained: it was asked for, and activity_status is ACTIVE: not done", true},
		{"at work", due(reconcile.Stopped, key, "s"), with(of("ACTIVE"), func(s *reconcile.State) { s.Operation = "FINISHEING" }), "created/c", "overdue cannot_tell: Alipay is at work on it: FINISHEING", true},
		{"unknown", due(reconcile.Stopped, key, "s"), reconcile.State{Unknown: true, Why: "INVALID_PARAMETER"}, "", "overdue unknown_to_alipay: INVALID_PARAMETER", true},
		{"append come", append2, with(of("ACTIVE"), total), "created/c appended/a", "fulfilled", false},
		{"append lost, another one come", append2, with(of("ACTIVE"), total), "created/c appended/b", "overdue missing: the total is 2000, as it was asked for, and no event says so", true},
		{"append superseded", append2, with(of("ACTIVE"), func(s *reconcile.State) { s.Total = 3000 }), "created/c", "overdue cannot_tell: the total is 3000 by now, 2000 was asked for: more was appended since", true},
		{"nobody can ask", due("voucher.used", key, ""), of("ACTIVE"), "", "overdue cannot_tell: no query proves it", true},
		{"so old that nothing can be said", forgotten, of("FINISHED"), "", "forgotten", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.states[key] = tt.state
			w.expect(t, tt.expect)
			for _, name := range strings.Fields(tt.events) {
				action, number, _ := strings.Cut(name, "/")
				w.store(t, "voucher."+action, key, number, now.Add(-100*time.Minute))
			}
			a := pass(t, w, reconcile.Options{})[tt.expect.Name()]
			got := string(a.Standing)
			if a.Finding.Why != "" {
				got += fmt.Sprintf(" %s: %s", a.Finding.Verdict, a.Finding.Why)
			}
			if got != tt.want || (len(w.expected) == 1) != tt.open {
				t.Errorf("got  %s\nwant %s; %d open", got, tt.want, len(w.expected))
			}
		})
	}
}

// Several expectations about one activity are one question to Alipay, and each
// gets its own answer.
func TestPassAsksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = with(of("FINISHED"), func(s *reconcile.State) { s.Total = 2000 })
	w.store(t, reconcile.Created, key, "c", now.Add(-100*time.Minute))
	one, two := due(reconcile.Appended, key, "a1"), due(reconcile.Appended, key, "a2")
	one.Requested, two.Requested = json.RawMessage(`{"voucher_quantity":1500}`), json.RawMessage(`{"voucher_quantity":2000}`)
	three := due(reconcile.Stopped, key, "s")
	for _, x := range []reconcile.Expectation{one, two, three} {
		w.expect(t, x)
	}
	answers := pass(t, w, reconcile.Options{Concurrency: 3})
	for x, want := range map[*reconcile.Expectation]reconcile.Verdict{&one: reconcile.CannotTell, &two: reconcile.Missing, &three: reconcile.Missing} {
		if a := answers[x.Name()]; a.Finding.Verdict != want || a.Standing != reconcile.Overdue {
			t.Errorf("%s: %s %s, want %s", x.Name(), a.Standing, a.Finding.Verdict, want)
		}
	}
	if len(w.asked) != 1 {
		t.Errorf("asked %v", w.asked)
	}
}

// What is not worth asking about stays overdue without a finding, and is closed as
// any other once its event is there.
func TestPassThatDoesNotAsk(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = of("ACTIVE")
	x := due(reconcile.Stopped, key, "s")
	w.expect(t, x)
	o := reconcile.Options{Worth: func(record reconcile.Expected, over time.Duration) bool {
		if record.Name != x.Name() || over != time.Hour {
			t.Errorf("%s is overdue by %v", record.Name, over)
		}
		return false
	}}
	if a := pass(t, w, o)[x.Name()]; a.Standing != reconcile.Overdue || a.Finding.Verdict != "" || len(w.asked) > 0 {
		t.Errorf("%+v, asked %v", a, w.asked)
	}
	w.store(t, reconcile.Stopped, key, "s", now)
	if a := pass(t, w, o)[x.Name()]; a.Standing != reconcile.Fulfilled || len(w.expected) > 0 {
		t.Errorf("%s, %d open", a.Standing, len(w.expected))
	}
}

// What was inferred closes the expectation, the next time.
func TestPassAfterEmission(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = of("FINISHED")
	x := due(reconcile.Stopped, key, "s")
	w.expect(t, x)
	plan := &reconcile.EmitPlan{}
	a := pass(t, w, reconcile.Options{})[x.Name()]
	plan.AddFinding(a.Item, a.Finding, now)
	if len(plan.Conclusions) != 1 || plan.Conclusions[0].OutBizNo != "s" {
		t.Fatalf("%+v", plan.Conclusions)
	}
	e := reconcile.Emitter{Archive: w, Publisher: w}
	if _, err := e.Execute(t.Context(), plan.Conclusions, func(reconcile.Emitted) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if a := pass(t, w, reconcile.Options{})[x.Name()]; a.Standing != reconcile.Concluded || len(w.expected) > 0 {
		t.Errorf("%s, %d open", a.Standing, len(w.expected))
	}
}

// 500 expectations, of which 25 are never fulfilled: those are reported with the
// query's reason, and none of the others.
func TestPassOfManyExpectations(t *testing.T) {
	t.Parallel()
	w := newWorld()
	unfulfilled := 0
	for i, key := range numbered(500) {
		x := due(reconcile.Stopped, key, fmt.Sprint("n", i))
		w.expect(t, x)
		w.store(t, reconcile.Created, key, "c", now.Add(-3*time.Hour))
		switch {
		case i%40 == 0: // stopped, and the notification is lost
			w.states[key] = of("FINISHED")
			unfulfilled++
		case i%40 == 1 && i < 480: // taken, and never done
			w.states[key] = of("ACTIVE")
			unfulfilled++
		default:
			w.states[key] = of("FINISHED")
			w.store(t, reconcile.Stopped, key, x.OutBizNo, now.Add(-100*time.Minute))
		}
	}
	if unfulfilled != 25 {
		t.Fatalf("%d are unfulfilled", unfulfilled)
	}
	reasons := make(map[reconcile.Verdict]int)
	for name, a := range pass(t, w, reconcile.Options{Concurrency: 4}) {
		if a.Standing == reconcile.Overdue {
			reasons[a.Finding.Verdict]++
		} else if a.Standing != reconcile.Fulfilled {
			t.Errorf("%s: %s", name, a.Standing)
		}
	}
	if len(w.expected) != 25 || reasons[reconcile.Missing] != 13 || reasons[reconcile.Unexplained] != 12 || len(w.asked) != 25+12 {
		t.Errorf("%d open, %v, %d questions", len(w.expected), reasons, len(w.asked)) // what contradicts itself is asked about twice
	}
}

// A record is data of strangers: any NATS client may write one.
func TestBrokenExpectations(t *testing.T) {
	t.Parallel()
	good := marshal(t, func() reconcile.Expectation {
		x := due(reconcile.Stopped, key, "s")
		x.Schema = reconcile.ExpectationSchema
		return x
	}())
	if _, err := reconcile.ParseExpectation([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"no JSON":        "stop it",
		"another schema": strings.Replace(good, ":v1", ":v2", 1),
		"no app":         strings.Replace(good, app, "", 1),
		"a wild app":     strings.Replace(good, app, "*", 1),
		"no kind":        strings.Replace(good, "voucher.stopped", "voucher.>", 1),
		"no key":         strings.Replace(good, key, "", 1),
		"a long key":     strings.Replace(good, key, strings.Repeat("9", 129), 1),
		"no due":         strings.Replace(good, `"due"`, `"dew"`, 1),
		"due at lunch":   strings.Replace(good, `"due":"2026`, `"due":"noon`, 1),
		"a list asked":   strings.Replace(good, `"by"`, `"requested":[1],"by"`, 1),
	} {
		if value == good {
			t.Fatalf("%s: the test changes nothing", name)
		}
		w := newWorld()
		w.write("x", value)
		if a := pass(t, w, reconcile.Options{})["x"]; a.Standing != reconcile.Broken || a.Finding.Why == "" || len(w.asked) > 0 || len(w.expected) != 1 {
			t.Errorf("%s: %s %q", name, a.Standing, a.Finding.Why)
		}
	}
}

// A pass that cannot ask says so of each, and closes none.
func TestPassWhenAlipayIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.onAsk = func(string) error { return errors.New("no answer in time") }
	x := due(reconcile.Stopped, key, "s")
	w.expect(t, x)
	if a := pass(t, w, reconcile.Options{})[x.Name()]; a.Standing != reconcile.Overdue || a.Finding.Verdict != reconcile.NotAsked || len(w.expected) != 1 {
		t.Errorf("%s %s, %d open", a.Standing, a.Finding.Verdict, len(w.expected))
	}
}
