package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
)

// fingerprint tells signed requests apart in the quarantine. One genuine
// signature fits many forms, fields merged and split; whoever holds one capture
// must not be able to fill the quarantine with them, so a form that breaks the
// rules counts as what its signature says: they all share the signed string.
func (pr proved) fingerprint() string {
	if pr.readable {
		return pr.notification.Fingerprint()
	}
	sum := sha256.Sum256([]byte(pr.form.SigningString(pr.match.Rule)))
	return hex.EncodeToString(sum[:])
}

// keep hands over what was not accepted and would not be the next time either:
// signed requests to the quarantine, others to the rejects. What failed because
// something was away is Alipay's to send again.
func (p *Pipeline) keep(ctx context.Context, pr proved, req Request, res *Result) {
	if p.keeper == nil {
		return
	}
	switch fault.Kind(res.Outcome) {
	case fault.Malformed, fault.Refused, fault.TooLarge:
	default:
		return
	}
	kept := events.Kept{
		AppID: res.AppID, Outcome: string(res.Outcome), Reason: res.Reason, Detail: res.Err.Error(),
		Source: req.Source, PathApp: req.Arrival.PathApp, ContentType: req.Arrival.ContentType,
		ReceivedAt: req.ReceivedAt, Body: req.Body,
	}
	if res.Match.KeyID == "" {
		p.keeper.Reject(kept)
		return
	}
	kept.NotifyID, kept.Type, kept.Proof = pr.notification.NotifyID, pr.notification.Type, pr.match.Proof()
	kept.Fingerprint = pr.fingerprint()
	// The answer is `fail` in any case, and Alipay comes again: a quarantine that
	// cannot be reached now has seven more chances. The observer counts it.
	res.Quarantined = p.keeper.Quarantine(context.WithoutCancel(ctx), kept) == nil
}
