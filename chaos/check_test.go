package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A checker that nothing could displease would make every run a success. Each
// of these is one thing that it has to see, or to allow.

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// sent is a record with one attempt at each time; the answer is the last one's,
// those before had none.
func sent(id string, status int, answer string, times ...float64) *record {
	r := &record{id: id, kind: "voucher.created"}
	for i, t := range times {
		a := attempt{Begin: at(t), End: at(t + 0.01), Receiver: "receiver-1", Body: hashOf([]byte(id))}
		if i == len(times)-1 {
			a.Status, a.Answer = status, answer
		}
		r.attempts = append(r.attempts, a)
	}
	return r
}

func acked(id string, times ...float64) *record { return sent(id, 200, "success", times...) }

// always is a record of a whose attempts all got success.
func always(times ...float64) *record {
	r := acked("a", times...)
	for i := range r.attempts {
		r.attempts[i].Status, r.attempts[i].Answer = 200, "success"
	}
	return r
}

// stored are events with these ids, one a second from the first time on.
func stored(from float64, ids ...string) []event {
	var all []event
	for i, id := range ids {
		all = append(all, event{Seq: uint64(i + 1), At: at(from + float64(i)), ID: id, Body: hashOf([]byte(id))})
	}
	return all
}

func broken(name, track string, from, to float64, set func(*incident)) incident {
	i := incident{fault: fault{name: name, track: track}, begin: at(from), end: at(to)}
	if set != nil {
		set(&i)
	}
	return i
}

func window(from, to float64) incident {
	return broken("window passes", trackNATS, from, to, func(i *incident) { i.window = true })
}

func forgets(from, to float64) incident {
	return broken("Redis emptied", trackRedis, from, to, func(i *incident) { i.forgets = true })
}

func away(from, to float64) incident { return broken("Redis killed", trackRedis, from, to, nil) }

func TestJudge(t *testing.T) {
	t.Parallel()
	twice := stored(0, "a", "a")
	twice[1].At = at(100)
	unasked := slices.Clone(twice)
	unasked[1].Unasked = true
	other := stored(0, "a")
	other[0].Body = hashOf([]byte("something else"))
	lost := acked("a", 1)
	lost.attempts[0].Lost = true
	gone := sent("a", 503, "fail", 1, 2, 3)
	gone.given = 1
	both := sent("a", 200, "success", 1, 2, 3)
	both.given = 1
	examinee := always(0, 201)
	keys := func(commit bool, left time.Duration) map[string]remembered {
		return map[string]remembered{"a": {commit, left}}
	}
	now := func(events []event) []life { return []life{{events: events}} }

	for name, tt := range map[string]struct {
		evidence evidence
		want     string // the violation begins so; empty: none
		class    string // counted once
	}{
		"kept":                     {evidence: evidence{records: []*record{acked("a", 1, 2)}, lives: now(stored(1, "a"))}},
		"acknowledged, not stored": {evidence: evidence{records: []*record{acked("a", 1)}, lives: now(nil)}, want: "LOST: a"},
		"acknowledged, unheard":    {evidence: evidence{records: []*record{lost}, lives: now(nil)}, want: "LOST: a"},
		"never acknowledged":       {evidence: evidence{records: []*record{gone}, lives: now(stored(1, "a"))}, want: "GIVEN UP: a"},
		"one of two in time":       {evidence: evidence{records: []*record{both}, lives: now(stored(1, "a"))}},
		"nobody's":                 {evidence: evidence{lives: now(stored(1, "b"))}, want: "event 1 has the id b"},
		"other bytes":              {evidence: evidence{records: []*record{acked("a", 1)}, lives: now(other)}, want: "event 1 (a) is not of a request"},
		"refused":                  {evidence: evidence{records: []*record{sent("a", 401, "fail", 1)}, lives: now(nil)}, want: "a was answered 401"},
		"half a success":           {evidence: evidence{records: []*record{sent("a", 200, "succes", 1)}, lives: now(nil)}, want: "a was answered 200"},
		"kept as a reject":         {evidence: evidence{lives: now(nil), refused: map[string]uint64{"ALIPAY_REJECTS": 1}}, want: "1 messages on ALIPAY_REJECTS"},

		"twice inside the window": {
			evidence: evidence{records: []*record{acked("a", 0, 100)}, lives: now(unasked), incidents: []incident{forgets(50, 51)}},
			want:     "TWICE: a",
		},
		"twice though Redis remembered": {
			evidence: evidence{records: []*record{acked("a", 0), acked("b", 1)}, lives: now(twice), incidents: []incident{window(50, 51)}},
			want:     "TWICE: a",
		},
		"Redis forgot before": {
			evidence: evidence{records: []*record{acked("a", 20)}, lives: now(append(stored(20, "a"), event{Seq: 2, At: at(100), ID: "a", Body: hashOf([]byte("a"))})), incidents: []incident{forgets(1, 2), window(50, 51)}},
			want:     "TWICE: a",
		},
		"Redis forgot":     {evidence: evidence{records: []*record{acked("a", 0)}, lives: now(twice), incidents: []incident{window(50, 51), forgets(60, 61)}}, class: classForgotten},
		"Redis was away":   {evidence: evidence{records: []*record{acked("a", 0)}, lives: now(unasked), incidents: []incident{window(50, 51), away(90, 101)}}, class: classUnasked},
		"died at the time": {evidence: evidence{records: []*record{acked("a", 0)}, lives: now(twice), incidents: []incident{window(50, 51), broken("receiver killed", trackReceivers, 1, 2, nil)}}, class: classCrash},
		"no ack":           {evidence: evidence{records: []*record{sent("a", 503, "fail", 0)}, lives: now(twice), incidents: []incident{window(50, 51)}}, class: classCrash},

		"taken without Redis": {evidence: evidence{records: []*record{acked("a", 100)}, lives: now(unasked[1:]), refuse: true}, want: "event 2 (a) was taken without Redis"},

		"said to be without Redis":       {evidence: evidence{records: []*record{acked("a", 100)}, lives: now(unasked[1:]), incidents: []incident{window(99, 101)}}, want: "NOT ASKED: event 2 (a)"},
		"acknowledged, and then stored":  {evidence: evidence{records: []*record{acked("a", 1, 3)}, lives: now(stored(5, "a"))}, want: "EARLY: a"},
		"twice in the exam":              {evidence: evidence{records: []*record{examinee}, lives: []life{{twice, at(200)}, {events: stored(201, "a")}}, incidents: []incident{window(50, 51), forgets(60, 61)}, exam: exam{at(-1), []*record{examinee}}}, want: "TWICE: a"},
		"success by Redis in the exam":   {evidence: evidence{records: []*record{examinee}, lives: []life{{stored(0, "a"), at(200)}, {}}, exam: exam{at(-1), []*record{examinee}}}, want: "LOST: a"},
		"passed":                         {evidence: evidence{records: []*record{examinee, acked("b", 1)}, lives: []life{{stored(0, "a", "b"), at(200)}, {events: stored(201, "a")}}, exam: exam{at(-1), []*record{examinee}}, keys: keys(true, retention)}},
		"passed, and not remembered":     {evidence: evidence{records: []*record{examinee}, lives: []life{{stored(0, "a"), at(200)}, {events: stored(201, "a")}}, exam: exam{at(-1), []*record{examinee}}, keys: keys(false, lease)}, want: "NOT REMEMBERED: a"},
		"remembered for ever":            {evidence: evidence{records: []*record{acked("a", 1)}, lives: now(stored(1, "a")), keys: keys(true, -1)}, want: "KEPT: Redis forgets a"},
		"a lease that never ends":        {evidence: evidence{records: []*record{acked("a", 1)}, lives: now(stored(1, "a")), keys: keys(false, retention)}, want: "KEPT: Redis forgets a"},
		"lost with its stream":           {evidence: evidence{records: []*record{acked("a", 1)}, lives: []life{{stored(1, "a"), at(5)}, {}}}},
		"success before and after":       {evidence: evidence{records: []*record{always(1, 6)}, lives: []life{{stored(1, "a"), at(5)}, {}}}, want: "LOST: a"},
		"success after its stream":       {evidence: evidence{records: []*record{acked("a", 1, 6)}, lives: []life{{stored(1, "a"), at(5)}, {}}}, want: "LOST: a"},
		"published again":                {evidence: evidence{records: []*record{acked("a", 1, 6)}, lives: []life{{stored(1, "a"), at(5)}, {events: stored(6, "a")}}}, class: classRecreated},
		"restored":                       {evidence: evidence{records: []*record{acked("a", 1, 6)}, lives: []life{{stored(1, "a"), at(5)}, {events: stored(1, "a")}}}},
		"restored, and published again":  {evidence: evidence{records: []*record{acked("a", 0, 100)}, lives: []life{{stored(0, "a"), at(5)}, {events: twice}}}, class: classRecreated},
		"restored with both":             {evidence: evidence{records: []*record{acked("a", 0, 100)}, lives: []life{{ended: at(-5)}, {unasked, at(200)}, {events: unasked}}, incidents: []incident{window(50, 51), away(90, 101)}}, class: classUnasked},
		"published twice on the new one": {evidence: evidence{records: []*record{acked("a", 0, 100)}, lives: []life{{ended: at(-5)}, {events: twice}}}, want: "TWICE: a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judge(tt.evidence)
			if tt.want == "" && len(v.violations) > 0 {
				t.Errorf("violations %q, want none", v.violations)
			}
			if tt.want != "" && !slices.ContainsFunc(v.violations, func(s string) bool { return strings.HasPrefix(s, tt.want) }) {
				t.Errorf("violations %q, want %q", v.violations, tt.want)
			}
			for class, n := range v.classes {
				if class != tt.class || n != 1 {
					t.Errorf("%d of class %q, want one of %q", n, class, tt.class)
				}
			}
			if tt.class != "" && len(v.classes) == 0 {
				t.Errorf("nothing of class %q", tt.class)
			}
		})
	}
}

// The exam's notifications are sent however busy the machine is.
func TestEnough(t *testing.T) {
	t.Parallel()
	o := options{duration: 10 * time.Second, rate: 40}
	for sent, want := range map[int]bool{0: false, 199: false, 200: true, 400: true} {
		e := evidence{exam: exam{records: make([]*record, examined)}, records: make([]*record, sent+examined)}
		if err := enough(e, o); (err == nil) != want {
			t.Errorf("%d of 400 sent: %v", sent, err)
		}
	}
}
