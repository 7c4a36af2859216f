package main

import (
	"context"
	"fmt"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// emitPlan takes what is missing through the guard, and ends the verb: what could
// be made up for is no longer a reason to fail.
func (r *reconciling) emitPlan(plan *reconcile.EmitPlan, count *tally) error {
	what := plan.Audit(stream.Inferred, r.parameters())
	r.announce(plan, what)
	report, err := r.emitAll(plan, what)
	switch {
	case report.Status == audit.StatusDryRun:
		return count.outcome()
	case err != nil:
		return guardError(r.cmd, what, err)
	}
	count.verdicts[reconcile.Inferred] += count.verdicts[reconcile.Missing]
	count.verdicts[reconcile.Missing] = 0
	return count.outcome()
}

func (r *reconciling) announce(plan *reconcile.EmitPlan, what audit.Plan) {
	r.say("%s", what)
	if what.Items > 0 {
		r.say("inferred events: %s", plan.Kinds())
	}
	if r.consent.execute {
		return
	}
	line := "dry run: nothing was published"
	if what.Items > 0 {
		line += "; --execute --reason TEXT does it"
	}
	if what.NeedsExpect() {
		line += fmt.Sprintf(", with --expect %d", what.Items)
	}
	r.say("%s", line)
}

// emitAll publishes, and says what became of it.
func (r *reconciling) emitAll(plan *reconcile.EmitPlan, what audit.Plan) (audit.Report, error) {
	guard := audit.New(r.client, audit.Options{})
	emitter := reconcile.Emitter{Archive: r.stored, Publisher: r.stored}
	report, err := guard.Run(r.cmd.Context(), what, r.consent.consent(r.cmd), func(ctx context.Context, job string) (audit.Outcome, error) {
		r.say("job %s begins", job)
		return emitter.Execute(ctx, plan.Conclusions, func(e reconcile.Emitted) error {
			if e.Err != nil {
				r.say("%s of %s was not published: %v", e.Kind, e.Key, e.Err)
			}
			return nil
		})
	})
	switch report.Status {
	case audit.StatusDryRun, audit.StatusRefused:
	default:
		o := report.Outcome
		r.say("job %s: %s: %d published, %d there already, %d failed", orDash(report.Job), report.Status, o.Done, o.Skipped, o.Failed)
	}
	return report, err
}

// parameters are the flags that chose, for the audit trail.
func (r *reconciling) parameters() map[string]string {
	return said(r.cmd.Flags(), "app", "file", "cards", "from-alipay", "merchant-id", "status", "since", "until", "recorded-since", "expectations", "watch", "resume")
}
