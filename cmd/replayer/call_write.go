package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// write sends what changes something, between its two records.
func (c *calling) write(r openapi.Request, plan openapi.Plan) error {
	stream, err := c.archive.connect(callVerb)
	if err != nil {
		return err
	}
	defer stream.Close()
	var resp openapi.Response
	var failure, expecting error
	what := c.plan(plan)
	report, err := audit.New(stream, audit.Options{}).Run(c.cmd.Context(), what, c.consent.consent(c.cmd), func(ctx context.Context, job string) (audit.Outcome, error) {
		c.say("job %s begins", job)
		resp, failure = c.client.Call(ctx, r)
		if failure != nil {
			return audit.Outcome{Failed: 1, Problem: problemOf(failure)}, failure
		}
		// At this point Alipay has accepted it. If we die here, nothing expects the
		// event, and the record of before is all there is.
		expecting = c.expect(detached(ctx), stream, plan, resp)
		return audit.Outcome{Done: 1}, nil
	})
	if report.Status != audit.StatusRefused {
		c.say("job %s: %s", orDash(report.Job), report.Status)
	}
	switch {
	case failure != nil:
		return c.failed(failure)
	case err != nil && resp.Data == nil:
		return guardError(c.cmd, what, err)
	}
	if printErr := c.printAnswer(resp); err == nil && printErr != nil {
		return cli.Partlyf("", "it is done; its answer could not be printed: %w", printErr)
	}
	if err == nil && expecting != nil {
		return cli.Partlyf("replayer reconcile "+c.keyOf(plan, resp)+"    # when its event should be there", "it is done; the expectation is not kept: %w", expecting)
	}
	return guardError(c.cmd, what, err)
}

// failed ends a call that Alipay has not accepted. Where it may have happened
// all the same, the next thing to do is to repeat it, exactly.
func (c *calling) failed(failure error) error {
	e := openapi.As(failure)
	if e == nil || !e.MayHaveHappened() {
		return askError(failure)
	}
	plain := *e
	plain.Hint = ""
	if c.field == "" || e.Repeat == "" {
		return cli.Failedf("query first: a repeat could do it twice", "%w: %w", errUncertain, &plain)
	}
	return cli.Failedf(c.repeatCommand(e.Method), "%w: %w", errUncertain, &plain)
}

// problemOf is what the audit record says of a failure: Alipay's words may quote
// parameters, and stay out of it.
func problemOf(failure error) string {
	e := openapi.As(failure)
	if e == nil {
		return "interrupted, or not sent"
	}
	return fmt.Sprintf("%s %s HTTP %d, trace %s, after %d attempts", e.Kind, orDash(e.Reason()), e.Status, orDash(e.TraceID), e.Attempts)
}

// The parameters of a call's audit record that reconciliation reads.
const (
	paramMethod    = "method"
	paramKey       = "key"
	paramNumber    = "number"
	paramRequested = "requested"
	paramCauses    = "causes"
)

// plan is the call as the guard takes it. The record must not hold personal data:
// of the parameters it has those that a comparison with the state needs, and
// which are about the activity alone, and a digest of all.
func (c *calling) plan(p openapi.Plan) audit.Plan {
	sum := sha256.Sum256([]byte(p.Body))
	parameters := map[string]string{
		paramMethod: p.Method, "gateway": string(p.Gateway), paramCauses: p.Causes, "body-sha256": hex.EncodeToString(sum[:]),
	}
	if c.field != "" {
		parameters["number-field"], parameters[paramNumber] = c.field, c.number
	}
	if key := c.activityID(); key != "" {
		parameters[paramKey] = key
	}
	if values := requestedValues(p.Causes, c.params); values != nil {
		parameters[paramRequested] = string(values)
	}
	host := p.URL
	if u, err := url.Parse(p.URL); err == nil {
		host = u.Host
	}
	return audit.Plan{
		Verb: callVerb, App: c.app, Items: 1, Bytes: int64(len(p.Body)), Target: p.Method + " at " + host, Parameters: parameters,
	}
}

// activityID is the activity that the parameters name.
func (c *calling) activityID() string {
	var p struct {
		ActivityID string `json:"activity_id"`
		Base       struct {
			ActivityID string `json:"activity_id"`
		} `json:"activity_base_info"`
	}
	_ = json.Unmarshal(c.params, &p) // what is no text is no id
	return cmp.Or(p.ActivityID, p.Base.ActivityID)
}

// keyOf is the key of the event that confirms the call: of what it names, or of
// what came into being.
func (c *calling) keyOf(p openapi.Plan, resp openapi.Response) string {
	var answer struct {
		ActivityID string `json:"activity_id"`
		Card       struct {
			BizCardNo string `json:"biz_card_no"`
		} `json:"card_info"`
	}
	_ = json.Unmarshal(resp.Data, &answer) // what is no text is no id
	if p.Causes == reconcile.Opened {
		return answer.Card.BizCardNo
	}
	return cmp.Or(c.activityID(), answer.ActivityID)
}

// requestedValues are the parameters by which the state can prove a change.
func requestedValues(causes string, params json.RawMessage) json.RawMessage {
	if causes != reconcile.Modified && causes != reconcile.Appended {
		return nil
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(params, &all) != nil {
		return nil
	}
	for _, name := range append([]string{"activity_id", "merchant_access_mode"}, numbers...) {
		delete(all, name)
	}
	return asJSON(all)
}

// expect leaves an expectation of the event that confirms the call, where there
// is to be one.
func (c *calling) expect(ctx context.Context, client *stream.Client, p openapi.Plan, resp openapi.Response) error {
	if c.silent || p.Causes == "" {
		return nil
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	x := reconcile.Expectation{
		Schema: reconcile.ExpectationSchema, AppID: c.app, Type: p.Causes, Key: c.keyOf(p, resp), OutBizNo: c.number,
		Requested: requestedValues(p.Causes, c.params), RequestedAt: now, Due: now.Add(c.due), By: "replayer call",
	}
	if err := x.Check(); err != nil {
		return err
	}
	if err := client.Expect(ctx, x.Name(), asJSON(x)); err != nil {
		return err
	}
	c.say("%s of %s is expected by %s", x.Type, x.Key, formatTime(x.Due))
	return nil
}
