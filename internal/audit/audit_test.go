package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/audit"
)

func TestRunConsent(t *testing.T) {
	t.Parallel()
	edit := func(change func(*audit.Consent)) audit.Consent {
		c := yes()
		change(&c)
		return c
	}
	tests := map[string]struct {
		items   int
		consent audit.Consent
		status  audit.Status
		kind    audit.Kind
		acts    bool
	}{
		"zero consent is a dry run":         {3, audit.Consent{}, audit.StatusDryRun, "", false},
		"a reason alone does not execute":   {3, audit.Consent{Reason: "INC-7"}, audit.StatusDryRun, "", false},
		"a dry run of many items":           {5000, audit.Consent{}, audit.StatusDryRun, "", false},
		"a dry run of nothing":              {0, audit.Consent{}, audit.StatusDryRun, "", false},
		"no reason":                         {3, audit.Consent{Execute: true}, audit.StatusRefused, audit.Usage, false},
		"a blank reason":                    {3, edit(func(c *audit.Consent) { c.Reason = " \t\n\u3000" }), audit.StatusRefused, audit.Usage, false},
		"a reason nobody can see":           {3, edit(func(c *audit.Consent) { c.Reason = "\u200b\u202e\x00" }), audit.StatusRefused, audit.Usage, false},
		"the longest reason":                {3, edit(func(c *audit.Consent) { c.Reason = strings.Repeat("x", 500) }), audit.StatusDone, "", true},
		"a reason too long":                 {3, edit(func(c *audit.Consent) { c.Reason = strings.Repeat("x", 501) }), audit.StatusRefused, audit.Usage, false},
		"a blank name":                      {3, edit(func(c *audit.Consent) { c.As = "\u200b " }), audit.StatusRefused, audit.Usage, false},
		"a name too long":                   {3, edit(func(c *audit.Consent) { c.As = strings.Repeat("x", 129) }), audit.StatusRefused, audit.Usage, false},
		"a job with a wildcard":             {3, edit(func(c *audit.Consent) { c.Job = "a.>" }), audit.StatusRefused, audit.Usage, false},
		"a job too long":                    {3, edit(func(c *audit.Consent) { c.Job = strings.Repeat("j", 65) }), audit.StatusRefused, audit.Usage, false},
		"a job with a line end":             {3, edit(func(c *audit.Consent) { c.Job = "a\n" }), audit.StatusRefused, audit.Usage, false},
		"a negative expectation":            {3, expect(-1), audit.StatusRefused, audit.Usage, false},
		"an expectation that differs":       {3, expect(4), audit.StatusRefused, audit.Declined, false},
		"an expectation of none differs":    {3, expect(0), audit.StatusRefused, audit.Declined, false},
		"an expectation that fits":          {3, expect(3), audit.StatusDone, "", true},
		"1,000 items need no expectation":   {1000, yes(), audit.StatusDone, "", true},
		"1,001 items need one":              {1001, yes(), audit.StatusRefused, audit.Declined, false},
		"1,001 items, expected":             {1001, expect(1001), audit.StatusDone, "", true},
		"1,001 items, expected 1,000":       {1001, expect(1000), audit.StatusRefused, audit.Declined, false},
		"nothing to do":                     {0, yes(), audit.StatusDone, "", false},
		"nothing to do, as expected":        {0, expect(0), audit.StatusDone, "", false},
		"nothing to do, but 5 expected":     {0, expect(5), audit.StatusRefused, audit.Declined, false},
		"nothing to do still needs reasons": {0, audit.Consent{Execute: true}, audit.StatusRefused, audit.Usage, false},
		"nothing left of a resumed job":     {0, edit(func(c *audit.Consent) { c.Job = "old" }), audit.StatusDone, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, calls := newTrail(t), 0
			p := plan(tt.items)
			report, err := audit.New(records, options()).Run(t.Context(), p, tt.consent,
				does(&calls, audit.Outcome{Done: tt.items}, nil))
			if report.Status != tt.status || kindOf(err) != tt.kind || (err == nil) != (tt.kind == "") {
				t.Errorf("status %q, error %v; want %q, %q", report.Status, err, tt.status, tt.kind)
			}
			want, trail := 0, ""
			if tt.acts {
				want, trail = 1, "before after"
			}
			if calls != want || records.phases() != trail || report.TrailComplete != tt.acts {
				t.Errorf("act called %d times, trail %q (complete: %v)", calls, records.phases(), report.TrailComplete)
			}
			if report.Digest != p.Digest() || !cmp.Equal(report.Plan, p) {
				t.Errorf("report of another plan: %+v", report)
			}
		})
	}
}

func TestRunRefusesBrokenPlans(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*audit.Plan){
		"no verb":           func(p *audit.Plan) { p.Verb = " " },
		"no target":         func(p *audit.Plan) { p.Target = "" },
		"negative items":    func(p *audit.Plan) { p.Items = -1 },
		"negative bytes":    func(p *audit.Plan) { p.Bytes = -1 },
		"range backwards":   func(p *audit.Plan) { p.First, p.Last = 9, 8 },
		"range of one end":  func(p *audit.Plan) { p.First = 0 },
		"parameter name":    func(p *audit.Plan) { p.Parameters["Since\n"] = "x" },
		"no parameter name": func(p *audit.Plan) { p.Parameters[""] = "x" },
		"too many parameters": func(p *audit.Plan) {
			for i := range 51 {
				p.Parameters[fmt.Sprintf("p%d", i)] = "x"
			}
		},
	}
	for name, breaks := range tests {
		for _, execute := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, execute %v", name, execute), func(t *testing.T) {
				t.Parallel()
				records, calls := newTrail(t), 0
				p, consent := plan(3), yes()
				breaks(&p)
				consent.Execute = execute
				report, err := audit.New(records, options()).Run(t.Context(), p, consent, does(&calls, audit.Outcome{Done: 3}, nil))
				if report.Status != audit.StatusRefused || kindOf(err) != audit.Failed || calls != 0 || records.calls != 0 {
					t.Errorf("status %q, error %v, %d acts, %d records", report.Status, err, calls, records.calls)
				}
			})
		}
	}
}

func TestRunWithoutRecorderOrAct(t *testing.T) {
	t.Parallel()
	calls := 0
	blind := audit.New(nil, options())
	if report, err := blind.Run(t.Context(), plan(3), audit.Consent{}, nil); err != nil || report.Status != audit.StatusDryRun {
		t.Errorf("dry run: %q, %v", report.Status, err)
	}
	if _, err := blind.Run(t.Context(), plan(3), yes(), does(&calls, audit.Outcome{}, nil)); kindOf(err) != audit.Failed || calls != 0 {
		t.Errorf("without a recorder: %v, %d acts", err, calls)
	}
	records := newTrail(t)
	if _, err := audit.New(records, options()).Run(t.Context(), plan(3), yes(), nil); kindOf(err) != audit.Failed || records.calls != 0 {
		t.Errorf("without an act: %v, %d records", err, records.calls)
	}
}

func TestRunOutcomes(t *testing.T) {
	t.Parallel()
	boom := errors.New("publish voucher of 张三: no responders")
	const untold = "the command returned an error without a text for the record"
	tests := map[string]struct {
		outcome audit.Outcome
		err     error
		status  audit.Status
		kind    audit.Kind
		text    string // in the record
	}{
		"all done":                {audit.Outcome{Done: 10, First: 5, Last: 14}, nil, audit.StatusDone, "", ""},
		"done and skipped":        {audit.Outcome{Done: 4, Skipped: 6}, nil, audit.StatusDone, "", ""},
		"all skipped":             {audit.Outcome{Skipped: 10}, nil, audit.StatusDone, "", ""},
		"some failed":             {audit.Outcome{Done: 8, Failed: 2}, nil, audit.StatusPartial, audit.Partial, ""},
		"one of ten":              {audit.Outcome{Done: 1, Failed: 9}, nil, audit.StatusPartial, audit.Partial, ""},
		"all failed":              {audit.Outcome{Failed: 10}, nil, audit.StatusFailed, audit.Failed, ""},
		"stopped in the middle":   {audit.Outcome{Done: 3}, boom, audit.StatusPartial, audit.Partial, untold},
		"stopped at once":         {audit.Outcome{}, boom, audit.StatusFailed, audit.Failed, untold},
		"an error after all":      {audit.Outcome{Done: 10}, boom, audit.StatusPartial, audit.Partial, untold},
		"an error, told":          {audit.Outcome{Done: 3, Problem: " no\x1b[2J responders\n"}, boom, audit.StatusPartial, audit.Partial, "no [2J responders"},
		"an error, told at large": {audit.Outcome{Problem: strings.Repeat("字", 200)}, boom, audit.StatusFailed, audit.Failed, strings.Repeat("字", 165) + "…"},
		"a problem without error": {audit.Outcome{Done: 9, Failed: 1, Problem: "one too large"}, nil, audit.StatusPartial, audit.Partial, "one too large"},
		"fewer than planned":      {audit.Outcome{Done: 8}, nil, audit.StatusPartial, audit.Partial, "the command accounts for 8 items, the plan has 10"},
		"more than planned":       {audit.Outcome{Done: 12}, nil, audit.StatusPartial, audit.Partial, "the command accounts for 12 items, the plan has 10"},
		"nothing accounted":       {audit.Outcome{}, nil, audit.StatusFailed, audit.Failed, "the command accounts for 0 items, the plan has 10"},
		"negative counts":         {audit.Outcome{Done: 12, Failed: -1, Skipped: -1}, nil, audit.StatusPartial, audit.Partial, "the command accounts for 12 items, the plan has 10"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, calls := newTrail(t), 0
			report, err := audit.New(records, options()).Run(t.Context(), plan(10), yes(), does(&calls, tt.outcome, tt.err))
			if report.Status != tt.status || kindOf(err) != tt.kind || (err == nil) != (tt.kind == "") {
				t.Errorf("status %q, error %v; want %q, %q", report.Status, err, tt.status, tt.kind)
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("the cause is not in %v", err)
			}
			if calls != 1 || records.phases() != "before after" || !report.TrailComplete {
				t.Fatalf("act called %d times, trail %q", calls, records.phases())
			}
			got := records.stored()[1].record.Result
			if got.Status != tt.status || got.Error != tt.text || got.Outcome.Done != tt.outcome.Done {
				t.Errorf("recorded %+v, want %q and error %q", got, tt.status, tt.text)
			}
			if body, _ := json.Marshal(got); strings.Contains(string(body), "张三") {
				t.Errorf("the error's own text is in the record: %s", body)
			}
		})
	}
}

func TestRunRecords(t *testing.T) {
	t.Parallel()
	records := newTrail(t)
	guard := audit.New(records, options())
	p, consent := plan(3), yes()
	consent.As, consent.Reason = "li.wei", " INC-7:\nconsumer lost <its> store\u202e "
	p.Parameters["ids"] = strings.Repeat("9", 501)
	digest := p.Digest()

	report, err := guard.Run(t.Context(), p, consent, func(_ context.Context, job string) (audit.Outcome, error) {
		if job != "id-1" || records.phases() != "before" {
			t.Errorf("act sees job %q, trail %q", job, records.phases())
		}
		p.Parameters["since"] = "changed under way"
		return audit.Outcome{Done: 2, Skipped: 1, First: 41, Last: 42}, nil
	})
	if err != nil || report.Job != "id-1" || report.Run != "id-1" || report.Resumed {
		t.Fatalf("report %+v, error %v", report, err)
	}
	if report.Plan.Parameters["since"] != "2h" || report.Digest != report.Plan.Digest() {
		t.Errorf("the plan changed under way: %+v", report.Plan)
	}
	before := audit.Record{
		Schema: audit.SchemaID, Job: "id-1", Run: "id-1", Verb: "dlq redrive", App: "2021000000000001",
		Phase: audit.PhaseBefore, At: "2026-01-02T15:04:05.506Z",
		Operator: audit.Actor{Name: "li.wei", OSUser: "oncall", Host: "ops-1"},
		Reason:   "INC-7: consumer lost <its> store",
		Plan: audit.Planned{
			Items: 3, Bytes: 4096, First: 17, Last: 90210, Target: "alipay.replays.billing.>", Digest: digest,
			Parameters: map[string]string{"since": "2h", "type": "voucher.created", "ids": strings.Repeat("9", 497) + "…"},
		},
	}
	after := before
	after.Phase, after.At = audit.PhaseAfter, "2026-01-02T15:04:06.006Z"
	after.Result = &audit.Result{
		Status: audit.StatusDone, DurationMS: 500, Outcome: &audit.Outcome{Done: 2, Skipped: 1, First: 41, Last: 42},
	}
	got := records.stored()
	if diff := cmp.Diff([]audit.Record{before, after}, []audit.Record{got[0].record, got[1].record}); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if want := "alipay.audit.2021000000000001.dlq_redrive.id-1"; got[0].subject != want || got[1].subject != want {
		t.Errorf("subjects %q and %q, want %q", got[0].subject, got[1].subject, want)
	}
}

// A resumed job keeps its name and its subject, and its records are not taken
// for those of the first run.
func TestRunResumed(t *testing.T) {
	t.Parallel()
	records, calls := newTrail(t), 0
	guard := audit.New(records, options())
	first, err := guard.Run(t.Context(), plan(5), yes(), does(&calls, audit.Outcome{Done: 2}, errors.New("gone")))
	if kindOf(err) != audit.Partial {
		t.Fatal(err)
	}
	consent := yes()
	consent.Job = first.Job
	second, err := guard.Run(t.Context(), plan(5), consent, does(&calls, audit.Outcome{Done: 3, Skipped: 2}, nil))
	if err != nil || second.Job != first.Job || second.Run == first.Run || !second.Resumed {
		t.Errorf("second run %+v, error %v", second, err)
	}
	got := records.stored()
	if records.phases() != "before after before after" {
		t.Fatalf("trail %q", records.phases())
	}
	for i, e := range got {
		if e.record.Resumed != (i >= 2) || e.subject != got[0].subject {
			t.Errorf("record %d: resumed %v, subject %q", i, e.record.Resumed, e.subject)
		}
	}
}
