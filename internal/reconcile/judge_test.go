package reconcile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/reconcile"
)

// Where the tests live: the archive is a month old, the activity a week.
var (
	now   = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
	began = now.AddDate(0, -1, 0)
)

const key = "2026081300826004508401111111"

// of is the state of an activity whose time is not over.
func of(status string) reconcile.State {
	return reconcile.State{Status: status, Ends: now.AddDate(0, 1, 0), Total: 1000, Data: json.RawMessage(`{"activity_status":"` + status + `"}`)}
}

func with(s reconcile.State, change func(*reconcile.State)) reconcile.State {
	change(&s)
	return s
}

// summary is what a report says, in a line: verdict, and each finding as
// action=verdict, with the out_biz_no where there is one.
func summary(r reconcile.Report) string {
	parts := []string{string(r.Verdict)}
	for _, f := range r.Findings {
		name := strings.TrimPrefix(f.Kind, "voucher.")
		if f.OutBizNo != "" {
			name += "/" + f.OutBizNo
		}
		parts = append(parts, name+"="+string(f.Verdict))
	}
	for _, kind := range r.Unproved {
		parts = append(parts, strings.TrimPrefix(kind, "voucher.")+"?")
	}
	return strings.Join(parts, " ")
}

// The evidence table of PROTOCOL.md 5.2, and what follows from it.
func TestEvidence(t *testing.T) {
	t.Parallel()
	append2 := reconcile.Request{Kind: reconcile.Appended, OutBizNo: "a2", Values: json.RawMessage(`{"voucher_quantity":2000}`)}
	rename := reconcile.Request{Kind: reconcile.Modified, OutBizNo: "m1", Values: json.RawMessage(`{"activity_id":"x","activity_base_info":{"activity_id":"x","activity_name":"new"}}`)}
	named := func(name string) func(*reconcile.State) {
		return func(s *reconcile.State) {
			s.Data = json.RawMessage(`{"activity_base_info":{"activity_name":"` + name + `"}}`)
		}
	}
	total := func(n int64) func(*reconcile.State) { return func(s *reconcile.State) { s.Total = n } }
	working := func(op string) func(*reconcile.State) { return func(s *reconcile.State) { s.Operation = op } }
	over := func(s *reconcile.State) { s.Ends = now.Add(-time.Hour) }
	asked := func(kind string) reconcile.Request { return reconcile.Request{Kind: kind, OutBizNo: "r"} }
	doubtful := func(r reconcile.Request) reconcile.Request { r.Doubtful = true; return r }
	type requests = []reconcile.Request
	for _, tt := range []struct {
		name     string
		state    reconcile.State
		events   string // "created stopped/number"
		requests requests
		want     string
	}{
		// created and stopped: state proves them by itself.
		{"active, told", of("ACTIVE"), "created", nil, "in_step modified? appended?"},
		{"active, not told", of("ACTIVE"), "", nil, "missing created=missing modified? appended?"},
		{"paused, not told", of("PAUSE"), "", nil, "missing created=missing modified? appended?"},
		{"finished before its time, told", of("FINISHED"), "created stopped", nil, "in_step modified? appended?"},
		{"finished before its time, not told", of("FINISHED"), "created", nil, "missing stopped=missing modified? appended?"},
		{"finished, nothing told", of("FINISHED"), "", nil, "missing created=missing stopped=missing modified? appended?"},
		{"over by its date", with(of("FINISHED"), over), "created", nil, "cannot_tell stopped=cannot_tell modified? appended?"},
		{"over by its date, and stopped before", with(of("FINISHED"), over), "created stopped", nil, "in_step modified? appended?"},
		{"over within minutes: clocks differ", with(of("FINISHED"), func(s *reconcile.State) { s.Ends = now.Add(5 * time.Minute) }), "created", nil, "cannot_tell stopped=cannot_tell modified? appended?"},
		{"over by its date, and nothing shows that it was published", with(of("FINISHED"), over), "", nil, "cannot_tell created=cannot_tell stopped=cannot_tell modified? appended?"},
		{"over by its date, and users have vouchers", with(with(of("FINISHED"), over), func(s *reconcile.State) { s.Given = 1 }), "", nil, "missing created=missing stopped=cannot_tell modified? appended?"},
		{"finished, and its end is not told", with(of("FINISHED"), func(s *reconcile.State) { s.Ends = time.Time{} }), "created", nil, "cannot_tell stopped=cannot_tell modified? appended?"},
		{"stop was asked for, over by its date", with(of("FINISHED"), over), "created", requests{asked(reconcile.Stopped)}, "cannot_tell stopped/r=cannot_tell modified? appended?"},

		// What is not done yet, and what contradicts itself.
		{"not published", of("INIT"), "", nil, "in_step"},
		{"not created yet", of(""), "", nil, "in_step"},
		{"being published", with(of("INIT"), working("CREATING")), "", requests{asked(reconcile.Created)}, "cannot_tell created/r=cannot_tell"},
		{"published, says the event alone", of("INIT"), "created", nil, "state_unexplained created=state_unexplained"},
		{"stopped, says the event alone", of("ACTIVE"), "created stopped", nil, "state_unexplained stopped=state_unexplained modified? appended?"},
		{"being stopped", with(of("ACTIVE"), working("FINISHEING")), "created stopped", nil, "cannot_tell stopped=cannot_tell modified? appended?"},
		{"publish was asked for, and not done", of("INIT"), "", requests{asked(reconcile.Created)}, "state_unexplained created/r=state_unexplained"},
		{"the same, and nobody knows whether it was taken", of("INIT"), "", requests{doubtful(asked(reconcile.Created))}, "cannot_tell created/r=cannot_tell"},
		{"stop was asked for, and not done", of("ACTIVE"), "created", requests{asked(reconcile.Stopped)}, "state_unexplained stopped/r=state_unexplained modified? appended?"},
		{"a state of tomorrow", of("AUDITING"), "", nil, "state_unexplained created=state_unexplained"},

		// appended: only where the request is known.
		{"append, told", with(of("ACTIVE"), total(2000)), "created appended/a2", requests{append2}, "in_step appended/a2=in_step modified?"},
		{"append, not told", with(of("ACTIVE"), total(2000)), "created", requests{append2}, "missing appended/a2=missing modified?"},
		{"append, another one told", with(of("ACTIVE"), total(2000)), "created appended/a1", requests{append2}, "missing appended/a2=missing modified?"},
		{"append, one without a number told", with(of("ACTIVE"), total(2000)), "created appended/", requests{append2}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, more since", with(of("ACTIVE"), total(3000)), "created", requests{append2}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, not done", of("ACTIVE"), "created", requests{append2}, "state_unexplained appended/a2=state_unexplained modified?"},
		{"append, at work", with(of("ACTIVE"), working("APPENDING")), "created", requests{append2}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, done, and the next is at work", with(with(of("ACTIVE"), total(2000)), working("MODIFYING")), "created", requests{append2}, "missing appended/a2=missing modified?"},
		{"append, total not told", with(of("ACTIVE"), total(0)), "created", requests{append2}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, quantity not known", of("ACTIVE"), "created", requests{{Kind: reconcile.Appended, OutBizNo: "a2"}}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, not done, and doubtful", of("ACTIVE"), "created", requests{doubtful(append2)}, "cannot_tell appended/a2=cannot_tell modified?"},
		{"append, done though doubtful", with(of("ACTIVE"), total(2000)), "created", requests{doubtful(append2)}, "missing appended/a2=missing modified?"},
		{"append without a number, none told", with(of("ACTIVE"), total(2000)), "created", requests{{Kind: reconcile.Appended, Values: append2.Values}}, "missing appended=missing modified?"},
		{"append without a number, one told", with(of("ACTIVE"), total(2000)), "created appended/a1", requests{{Kind: reconcile.Appended, Values: append2.Values}}, "cannot_tell appended=cannot_tell modified?"},

		// modified: by the values themselves.
		{"modify, told", with(of("ACTIVE"), named("new")), "created modified/m1", requests{rename}, "in_step modified/m1=in_step appended?"},
		{"modify, not told", with(of("ACTIVE"), named("new")), "created", requests{rename}, "missing modified/m1=missing appended?"},
		{"modify, other values", with(of("ACTIVE"), named("newer")), "created", requests{rename}, "cannot_tell modified/m1=cannot_tell appended?"},
		{"modify, value not told", of("ACTIVE"), "created", requests{rename}, "cannot_tell modified/m1=cannot_tell appended?"},
		{"modify, values not known", of("ACTIVE"), "created", requests{{Kind: reconcile.Modified, OutBizNo: "m1"}}, "cannot_tell modified/m1=cannot_tell appended?"},
		{"modify, nothing but ids", of("ACTIVE"), "created", requests{{Kind: reconcile.Modified, OutBizNo: "m1", Values: json.RawMessage(`{"activity_id":"x"}`)}}, "cannot_tell modified/m1=cannot_tell appended?"},
		{"modify before it was published", of("INIT"), "", requests{rename}, "state_unexplained modified/m1=state_unexplained"},

		{"nobody knows it", reconcile.State{Unknown: true, Why: "INVALID_PARAMETER"}, "created", nil, "unknown_to_alipay =unknown_to_alipay"},
		{"nobody knows it, but it was asked for", reconcile.State{Unknown: true, Why: "x"}, "", requests{asked(reconcile.Stopped)}, "unknown_to_alipay stopped/r=unknown_to_alipay"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			item := reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key, Requests: tt.requests}
			w.states[key] = tt.state
			for _, name := range strings.Fields(tt.events) {
				action, number, _ := strings.Cut(name, "/")
				w.store(t, "voucher."+action, key, number, now.Add(-time.Hour))
			}
			if got := summary(w.engine(reconcile.Options{}).One(t.Context(), item)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEvidenceOfCards(t *testing.T) {
	t.Parallel()
	opened := reconcile.State{Status: "EXISTS", Born: now.AddDate(0, 0, -3), Data: json.RawMessage(`{"card_info":{"template_id":"T","external_card_no":"E"}}`)}
	gone := reconcile.State{Unknown: true, Why: "CARD_NOT_EXIT"}
	for _, tt := range []struct {
		name  string
		state reconcile.State
		event string // success of the stored event; empty: none
		want  string
	}{
		{"open, told", opened, "true", "in_step"},
		{"open, told without success", opened, "null", "in_step"},
		{"open, not told", opened, "", "missing card.open_result=missing"},
		{"open, told that it failed", opened, "false", "state_unexplained card.open_result=state_unexplained"},
		{"not there", gone, "", "unknown_to_alipay =unknown_to_alipay"},
		{"deleted since", gone, "true", "cannot_tell card.open_result=cannot_tell"},
		{"never opened", gone, "false", "unknown_to_alipay =unknown_to_alipay"},
		{"older than the archive", with(opened, func(s *reconcile.State) { s.Born = began.Add(-time.Hour) }), "", "cannot_tell card.open_result=cannot_tell"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.states["0012"] = tt.state
			if tt.event != "" {
				w.put(reconcile.Opened, "0012", fmt.Sprintf(`{"biz_card_no":"0012","success":%s}`, tt.event), now, false)
			}
			r := w.engine(reconcile.Options{}).One(t.Context(), reconcile.Item{App: app, Entity: reconcile.Card, Key: "0012"})
			if got := summary(r); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if r.Verdict == reconcile.Missing && string(r.Findings[0].Data) != `{"template_id":"T","biz_card_no":"0012","external_card_no":"E","success":true}` {
				t.Errorf("data of the inferred event: %s", r.Findings[0].Data)
			}
		})
	}
}

// An event that has left the archive is not missing. Reconciling for the first
// time would else call everything missing that is older than the installation.
func TestOlderThanTheArchive(t *testing.T) {
	t.Parallel()
	const old = "2026050100826004508401111111" // of May: the archive begins in July
	for _, tt := range []struct {
		name    string
		item    reconcile.Item
		state   reconcile.State
		events  string
		verdict reconcile.Verdict
	}{
		{"its id is older", reconcile.Item{Key: old}, of("ACTIVE"), "", reconcile.CannotTell},
		{"its id is younger", reconcile.Item{Key: key}, of("ACTIVE"), "", reconcile.Missing},
		{"its id is no date", reconcile.Item{Key: "4711"}, of("ACTIVE"), "", reconcile.Missing},
		{"Alipay says that it is older", reconcile.Item{Key: key, Born: began.Add(-time.Hour)}, of("ACTIVE"), "", reconcile.CannotTell},
		{"Alipay says that it is younger", reconcile.Item{Key: old, Born: began.Add(time.Minute)}, of("ACTIVE"), "", reconcile.Missing},
		{"the request is younger", reconcile.Item{Key: old, Requests: []reconcile.Request{{Kind: reconcile.Created, At: began.Add(time.Hour)}}}, of("ACTIVE"), "", reconcile.Missing},
		{"the request is older", reconcile.Item{Key: key, Requests: []reconcile.Request{{Kind: reconcile.Created, At: began.Add(-time.Hour)}}}, of("ACTIVE"), "", reconcile.CannotTell},
		{"stopped, who knows when", reconcile.Item{Key: old}, of("FINISHED"), "", reconcile.CannotTell},
		{"stopped, and it was alive in the archive", reconcile.Item{Key: old}, of("FINISHED"), "modified", reconcile.Missing},
		{"stopped, and users got vouchers in the archive", reconcile.Item{Key: old}, of("FINISHED"), "received", reconcile.Missing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			tt.item.App, tt.item.Entity = app, reconcile.Voucher
			w.states[tt.item.Key] = tt.state
			if tt.events != "" {
				w.store(t, "voucher."+tt.events, tt.item.Key, "n", now.Add(-time.Hour))
			}
			if r := w.engine(reconcile.Options{}).One(t.Context(), tt.item); r.Verdict != tt.verdict {
				t.Errorf("%s, want %s: %+v", r.Verdict, tt.verdict, r.Findings)
			}
		})
	}
}

func TestLateAndOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.states[key] = of("FINISHED")
	at := now.Add(-3 * time.Hour)
	w.store(t, reconcile.Stopped, key, "s", at.Add(time.Minute))
	w.store(t, reconcile.Created, key, "c", at) // happened before, came after
	w.stored[len(w.stored)-1].ReceivedAt = at.Add(2 * time.Hour)
	r := w.engine(reconcile.Options{Limits: reconcile.Limits{Late: time.Hour}}).One(t.Context(), reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key})
	if got, want := summary(r), "out_of_order created/c=out_of_order created/c=late modified? appended?"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A second finding would be worse than the first one's verdict says.
func TestVerdictIsTheWorst(t *testing.T) {
	t.Parallel()
	all := reconcile.Verdicts()
	if len(all) != 9 || all[0] != reconcile.NotAsked || all[8] != reconcile.InStep {
		t.Fatalf("verdicts %v", all)
	}
	var alarming []reconcile.Verdict
	for _, v := range all {
		if v.Alarming() {
			alarming = append(alarming, v)
		}
	}
	if !slices.Equal(alarming, []reconcile.Verdict{reconcile.Unknown, reconcile.Missing, reconcile.Unexplained}) {
		t.Errorf("alarming: %v", alarming)
	}
}

// Values are compared by what they mean: a number and its text are one, ranges
// have no order, ids are no numbers.
func TestValuesAreCompared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ want, state, verdict string }{
		{`{"a":"10.00"}`, `{"a":10}`, "missing"},
		{`{"a":true}`, `{"a":"true"}`, "missing"},
		{`{"a":["x","y"]}`, `{"a":["y","x"]}`, "missing"},
		{`{"a":{"b":[{"c":1},{"c":2}]}}`, `{"a":{"b":[{"c":"2"},{"c":"1"}],"d":0}}`, "missing"},
		{`{"a":"0012"}`, `{"a":"12"}`, "cannot_tell"},
		{`{"a":["x"]}`, `{"a":["x","y"]}`, "cannot_tell"},
		{`{"a":"x","b":"y"}`, `{"a":"x"}`, "cannot_tell"},
		{`{"a":{"b":1}}`, `{"a":"x"}`, "cannot_tell"},
		{`{"a":null}`, `{"a":"x"}`, "cannot_tell"},
		{`{"a":"x"}`, `no JSON`, "cannot_tell"},
		{`[1]`, `{}`, "cannot_tell"},
	} {
		w := newWorld()
		w.states[key] = with(of("ACTIVE"), func(s *reconcile.State) { s.Data = json.RawMessage(tt.state) })
		w.store(t, reconcile.Created, key, "c", now)
		r := w.engine(reconcile.Options{}).One(t.Context(), reconcile.Item{App: app, Entity: reconcile.Voucher, Key: key,
			Requests: []reconcile.Request{{Kind: reconcile.Modified, OutBizNo: "m", Values: json.RawMessage(tt.want)}}})
		if string(r.Verdict) != tt.verdict {
			t.Errorf("%s against %s: %s, want %s (%s)", tt.want, tt.state, r.Verdict, tt.verdict, r.Findings[0].Why)
		}
	}
}
