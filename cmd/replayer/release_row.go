package main

import (
	"fmt"

	"alipay-notify/internal/replay"
)

// releaseRow is one refused request as release prints it. The names are a contract.
type releaseRow struct {
	Sequence       uint64 `json:"sequence"`        // where it was kept
	AppID          string `json:"app_id"`          // under which it was kept
	KeptAs         string `json:"kept_as"`         // the reason for which it was kept
	Outcome        string `json:"outcome"`         // would_pass, accepted, duplicate, gone, unreadable, or a failure
	Reason         string `json:"reason"`          // of a failure: a short constant
	Detail         string `json:"detail"`          // of a failure: for people
	EventID        string `json:"event_id"`        // once proved
	Type           string `json:"type"`            // Alipay's own name, once proved
	StoredSequence uint64 `json:"stored_sequence"` // on ALIPAY_EVENTS; 0 where it is not stored or not known
	Removed        bool   `json:"removed"`         // it is no longer kept
}

func newReleaseRow(d replay.Released) releaseRow {
	return releaseRow{
		Sequence: d.Sequence, AppID: d.App, KeptAs: d.Was, Outcome: d.Outcome, Reason: d.Reason, Detail: d.Detail,
		EventID: d.EventID, Type: d.Type, StoredSequence: d.StoredAt, Removed: d.Removed,
	}
}

// releaseRowHelp is releaseRow for the help texts.
const releaseRowHelp = `

-o json prints an array, -o ndjson one object a line, of: sequence, app_id, kept_as,
outcome, reason, detail, event_id, type, stored_sequence, removed. outcome is
would_pass in a dry run; accepted, duplicate (stored before) or gone (released by
somebody else) when it is done; else what keeps it where it is.`

var releaseHead = []string{"SEQ", "KEPT AS", "OUTCOME", "REASON", "EVENT", "TYPE", "STORED"}

func (r releaseRow) cells() []string {
	stored := "-"
	if r.StoredSequence > 0 {
		stored = fmt.Sprint(r.StoredSequence)
	}
	return []string{
		fmt.Sprintf("%-6d", r.Sequence), fmt.Sprintf("%-14s", orDash(r.KeptAs)), fmt.Sprintf("%-10s", r.Outcome),
		fmt.Sprintf("%-14s", orDash(r.Reason)), fmt.Sprintf("%-34s", orDash(r.EventID)), orDash(r.Type), stored,
	}
}
