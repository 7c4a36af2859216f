package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
)

// queryRow is one thing that was asked for, as -o json and ndjson print it. The
// names are a contract.
type queryRow struct {
	Kind    string          `json:"kind"` // the verb: voucher, card, ...
	AppID   string          `json:"app_id"`
	Key     string          `json:"key"`               // as it was asked for
	Found   bool            `json:"found"`             // Alipay knows it
	Status  string          `json:"status"`            // Alipay's own word, where it has one
	Detail  string          `json:"detail"`            // what matters besides
	Meaning string          `json:"meaning"`           // for people
	Problem string          `json:"problem,omitempty"` // why it could not be asked
	TraceID string          `json:"trace_id"`          // what Alipay's support asks for
	Masked  bool            `json:"masked"`            // personal data is hidden in data
	Data    json.RawMessage `json:"data"`              // the whole answer, null without one

	found bool
}

const queryRowHelp = `

-o json prints an array, -o ndjson one object a line, of: kind, app_id, key, found,
status, detail, meaning, problem (may be absent), trace_id, masked, and data, the
whole answer of Alipay.`

var queryHead = []string{"KEY", "STATUS", "DETAIL", "MEANING"}

func newQueryRow(r openapi.Response, status, detail, meaning string) queryRow {
	return queryRow{Status: status, Detail: detail, Meaning: meaning, TraceID: r.TraceID, Data: r.Data, found: true}
}

// complete fills in what is the same for all rows of an answer.
func (r *queryRow) complete(app, kind, key string, mask bool) {
	r.AppID, r.Kind, r.Key, r.Found, r.Masked = app, kind, key, r.found, mask
	switch {
	case len(r.Data) == 0:
		r.Data = json.RawMessage("null")
	case mask:
		r.Data = events.Mask(r.Data)
	}
	if mask {
		r.Key = events.MaskText(r.Key)
	}
}

func (r queryRow) cells() []string {
	meaning := r.Meaning
	if r.Problem != "" {
		meaning += ": " + r.Problem
	}
	return []string{fmt.Sprintf("%-28s", r.Key), fmt.Sprintf("%-8s", orDash(r.Status)), fmt.Sprintf("%-40s", orDash(r.Detail)), meaning}
}

// activityRow says what the state of an activity means.
func activityRow(r openapi.Result[openapi.Activity]) queryRow {
	s := newActivityState(r)
	var details []string
	if !s.Ends.IsZero() {
		details = append(details, "ends "+s.Ends.UTC().Format(time.RFC3339))
	}
	if s.Total > 0 {
		details = append(details, fmt.Sprintf("%d of %d given out", s.Given, s.Total))
	}
	if s.Operation != "" {
		details = append(details, "at work: "+s.Operation)
	}
	row := newQueryRow(r.Response, s.Status, strings.Join(details, ", "), activityMeaning(s.Status, s.Operation, s.Ends, time.Now()))
	if r.Unread != "" {
		row.Meaning += "; the field " + r.Unread + " is not as documented"
	}
	return row
}

// activityMeaning puts activity_status and activity_operation_status into words
// (PROTOCOL.md 5.2).
func activityMeaning(status, operation string, ends, now time.Time) string {
	over := !ends.IsZero() && now.After(ends)
	meaning := map[string]string{
		"":                       "accepted, and not created yet",
		openapi.ActivityInit:     "created and not published: nobody can get a voucher",
		openapi.ActivityActive:   "published: vouchers are given out",
		openapi.ActivityPaused:   "published, and paused: no voucher is given out",
		openapi.ActivityFinished: "stopped: its time is not over yet",
	}[status]
	if status == openapi.ActivityFinished && (over || ends.IsZero()) {
		meaning = "over: its time has run out; whether it was stopped before, nobody can tell"
	}
	meaning = cmp.Or(meaning, "a state that Alipay's documents do not name")
	if operation == "" {
		return meaning
	}
	return meaning + "; " + cmp.Or(map[string]string{
		openapi.OperationCreating:  "Alipay is still publishing it",
		openapi.OperationModifying: "Alipay is still modifying it",
		openapi.OperationAppending: "Alipay is still raising its total",
		openapi.OperationFinishing: "Alipay is still stopping it",
	}[operation], "Alipay is still at work on it")
}

// cardRow says what is known of a card.
func cardRow(r openapi.Result[openapi.Card]) queryRow {
	row := newQueryRow(r.Response, "EXISTS", "", "the card is opened, and was not deleted")
	if c := r.Value.CardInfo; c != nil {
		var details []string
		for _, d := range []struct{ name, value string }{
			{"opened", c.OpenDate}, {"valid until", c.ValidDate}, {"level", c.Level}, {"points", c.Point},
		} {
			if d.value != "" {
				details = append(details, d.name+" "+d.value)
			}
		}
		row.Detail = strings.Join(details, ", ")
	}
	return row
}

// userVoucherRow says how a user's voucher stands.
func userVoucherRow(v openapi.UserVoucherInfo) queryRow {
	status := v.VoucherStatus
	if status == "" && v.UserVoucherBaseInfo != nil {
		status = v.UserVoucherBaseInfo.VoucherStatus
	}
	return queryRow{
		Status: status, Detail: "voucher " + v.ID(), Data: asJSON(v), found: true,
		Meaning: cmp.Or(map[string]string{
			"SENDED": "the user has it, and has not used it", "USED": "used", "EXPIRED": "expired unused",
		}[status], "a state that Alipay's documents do not name"),
	}
}

// clock reads a time as Alipay writes it: Beijing's.
func clock(s string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, s, beijing)
	if err != nil {
		return time.Time{}
	}
	return t
}

var beijing = time.FixedZone("UTC+8", 8*60*60)
