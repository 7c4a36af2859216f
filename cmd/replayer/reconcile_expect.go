package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/reconcile"
)

// expectRow is one expectation as reconcile prints it. The names are a contract.
type expectRow struct {
	Name     string             `json:"name"` // its key in ALIPAY_EXPECT
	AppID    string             `json:"app_id"`
	Type     string             `json:"type"`
	Key      string             `json:"key"`
	OutBizNo string             `json:"out_biz_no"`
	Due      string             `json:"due"`
	By       string             `json:"by"`
	Standing reconcile.Standing `json:"standing"`
	Verdict  reconcile.Verdict  `json:"verdict"` // of what is overdue
	Why      string             `json:"why"`     // the reason that the query gives
	Status   string             `json:"status"`  // what Alipay says of the item
}

func newExpectRow(a reconcile.Answer) expectRow {
	x := a.Expectation
	return expectRow{
		Name: a.Record.Name, AppID: x.AppID, Type: x.Type, Key: x.Key, OutBizNo: x.OutBizNo, Due: formatTime(x.Due), By: x.By,
		Standing: a.Standing, Verdict: a.Finding.Verdict, Why: a.Finding.Why, Status: a.State.Status,
	}
}

var (
	expectHead    = []string{"DUE", "TYPE", "KEY", "OUT BIZ NO", "STANDING", "VERDICT", "WHY"}
	expectCSVHead = []string{"name", "app_id", "type", "key", "out_biz_no", "due", "by", "standing", "verdict", "why", "status"}
)

func (r expectRow) cells() []string {
	return []string{
		orDash(r.Due), fmt.Sprintf("%-16s", orDash(r.Type)), fmt.Sprintf("%-28s", orDash(r.Key)), fmt.Sprintf("%-30s", orDash(r.OutBizNo)),
		fmt.Sprintf("%-9s", r.Standing), fmt.Sprintf("%-17s", orDash(string(r.Verdict))), orDash(r.Why),
	}
}

func (r expectRow) fields() []string {
	return []string{r.Name, r.AppID, r.Type, r.Key, r.OutBizNo, r.Due, r.By, string(r.Standing), string(r.Verdict), r.Why, r.Status}
}

// expectPass is one pass through the expectations.
type expectPass struct {
	standings map[reconcile.Standing]int
	unasked   int
	plan      reconcile.EmitPlan
}

// runExpectations is the verb with --expectations.
func (r *reconciling) runExpectations() error {
	if r.app != "" { // none is expected of an app that is misspelt
		if _, err := r.alipay.client(r.app); err != nil {
			return err
		}
	}
	out := newTableOut(r.cmd.OutOrStdout(), r.format, expectHead, expectCSVHead)
	if !r.watch {
		_, err := r.passOnce(out, func(reconcile.Answer) bool { return true })
		if closeErr := out.close(r.format); err == nil {
			err = closeErr
		}
		return err
	}
	return r.watchExpectations(out)
}

// passOnce goes once through the expectations, and tells whether it came to their
// end. news tells what has not been said.
func (r *reconciling) passOnce(out *tableOut, news func(reconcile.Answer) bool) (whole bool, err error) {
	ctx := r.cmd.Context()
	p := expectPass{standings: make(map[reconcile.Standing]int)}
	err = r.engine.Pass(ctx, ledger{r.client, r.app}, r.forget, func(a reconcile.Answer) error {
		p.standings[a.Standing]++
		if a.Standing == reconcile.Overdue && a.Finding.Verdict == reconcile.NotAsked {
			p.unasked++
		}
		if r.emit {
			p.plan.AddFinding(a.Item, a.Finding, time.Now())
		}
		quiet := a.Standing == reconcile.Pending || a.Standing == reconcile.Fulfilled
		if quiet && !r.all || !news(a) {
			return nil
		}
		row := newExpectRow(a)
		return out.put(row, row.cells(), row.fields())
	})
	if r.textfile != "" && err == nil { // half a pass would call an alert off
		err = writeTextfile(r.textfile, p.metrics())
	}
	switch {
	case ctx.Err() != nil:
		return false, cli.Partlyf("", "interrupted")
	case errors.Is(err, reconcile.ErrAway):
		return false, cli.Partlyf("", "%w", err)
	case err != nil:
		return false, err
	}
	return true, r.passed(&p)
}

// passed emits what is missing, if that is asked for, and says how the pass ends.
func (r *reconciling) passed(p *expectPass) error {
	overdue := p.standings[reconcile.Overdue] + p.standings[reconcile.Broken]
	if !r.watch {
		r.say("expectations: %s", p)
	}
	if r.emit && len(p.plan.Conclusions) > 0 || r.emit && !r.watch {
		what := p.plan.Audit("ALIPAY_INFERRED", r.parameters())
		r.announce(&p.plan, what)
		report, err := r.emitAll(&p.plan, what)
		if err != nil {
			return guardError(r.cmd, what, err)
		}
		if report.Status != audit.StatusDryRun {
			overdue -= what.Items
		}
	}
	switch {
	case overdue > p.unasked:
		return cli.Failedf("replayer reconcile --expectations --emit    # a dry run of publishing inferred events of what is proved", "%d expectations are overdue", overdue)
	case p.unasked > 0:
		return cli.Partlyf("", "%d overdue expectations could not be asked about", p.unasked)
	}
	return nil
}

func (p *expectPass) String() string {
	var parts []string
	for _, s := range reconcile.Standings() {
		if n := p.standings[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", s, n))
		}
	}
	return orDash(strings.Join(parts, ", "))
}

func (p *expectPass) metrics() string {
	var b strings.Builder
	head(&b, "alipay_notify_expectations", "Expectations of the last pass, by standing.")
	for _, s := range reconcile.Standings() {
		fmt.Fprintf(&b, "alipay_notify_expectations{standing=%q} %d\n", s, p.standings[s])
	}
	head(&b, "alipay_notify_expectations_timestamp_seconds", "When the pass ended.")
	fmt.Fprintf(&b, "alipay_notify_expectations_timestamp_seconds %d\n", time.Now().Unix())
	return b.String()
}

// restraint is by how much each expectation was overdue when Alipay last answered
// about it.
type restraint map[string]answered

type answered struct {
	revision uint64
	over     time.Duration
}

// worth lets an expectation be asked about again once it is overdue by a tenth
// more: one that nobody takes away costs some hundred requests in a month, and not
// one every pass.
func (p restraint) worth(x reconcile.Expected, over time.Duration) bool {
	last, known := p[x.Name]
	return !known || last.revision != x.Revision || over >= last.over+last.over/10
}

// watchExpectations goes through the expectations again and again, until it is
// told to stop. Each is reported when it becomes overdue, and again when what is
// known of it changes. A pass that fails is told, and the next one tries again.
func (r *reconciling) watchExpectations(out *tableOut) error {
	ctx := r.cmd.Context()
	r.say("watching expectations every %v; interrupt to stop", r.every)
	told, last := make(map[string]string), ""
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		seen, asked := make(map[string]string), make(restraint)
		whole, err := r.passOnce(out, func(a reconcile.Answer) bool {
			name := a.Record.Name
			now := fmt.Sprint(a.Standing, a.Finding.Verdict, a.Record.Revision)
			switch {
			case a.Standing == reconcile.Overdue && a.Finding.Verdict == "": // not asked again: as it was
				now, asked[name] = told[name], r.restraint[name]
			case a.Standing == reconcile.Overdue && a.Finding.Verdict != reconcile.NotAsked:
				asked[name] = answered{a.Record.Revision, time.Since(a.Expectation.Due)}
			}
			seen[name] = now
			return told[name] != now
		})
		if ctx.Err() != nil {
			return out.close(r.format)
		}
		if whole { // what is not in it is no longer expected
			clear(told)
			clear(r.restraint)
		}
		maps.Copy(told, seen)
		maps.Copy(r.restraint, asked)
		if out.csv != nil {
			out.csv.Flush()
		} else if flushErr := out.rows.Flush(); flushErr != nil {
			return flushErr
		}
		now := ""
		if err != nil {
			now = err.Error()
		}
		if now != last { // the same again tells nobody anything
			r.say("%s", cmp.Or(now, "nothing is overdue any more"))
		}
		last = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return out.close(r.format)
		}
	}
}
