package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/stream"
)

const somebody = "2088102122458832"

// TestMasked: no verb shows personal data unasked, in any format; asked, it
// does, and whoever looked stands in the audit trail.
func TestMasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.received", alipaytest.Options{NotifyID: "n-1", Payload: []alipaytest.Field{{Name: "receive_user_id", Value: somebody}}})
	s.receive(t, "account.event", alipaytest.Options{Payload: []alipaytest.Field{{Name: "FromAlipayUserId", Value: somebody}}})
	verbs := []string{
		"events", "events -o json", "events -o ndjson", "show n-1", "show n-1 -o json", "show n-1 -o ndjson", "show --seq 2", "show --seq 2 -o json",
		"tail --seq 1-2", "tail --seq 1-2 -o ndjson", "explain n-1", "explain n-1 --strings", "explain n-1 -o json", "explain --seq 2 --in events -o json",
	}
	for _, line := range verbs {
		got := s.run(t, strings.Fields(line)...)
		if got.code != 0 || got.stdout == "" || strings.Contains(got.stdout+got.stderr, somebody) {
			t.Errorf("%s: exit %d, stdout:\n%s\nstderr: %s", line, got.code, got.stdout, got.stderr)
		}
		if u, err := s.client.UsageOf(t.Context(), stream.Audit); err != nil || u.Messages != 0 {
			t.Fatalf("%s: %d audit records, %v", line, u.Messages, err)
		}
	}
	for i, line := range verbs {
		got := s.run(t, append(strings.Fields(line), "--reveal", "--reason", "INC-42", "--as", "wang")...)
		if got.code != 0 || !strings.Contains(got.stdout, somebody) && line != "events" {
			t.Errorf("%s --reveal: exit %d, stdout:\n%s\nstderr: %s", line, got.code, got.stdout, got.stderr)
		}
		if u, err := s.client.UsageOf(t.Context(), stream.Audit); err != nil || u.Messages != uint64(2*i+2) {
			t.Fatalf("%s: %d audit records, %v", line, u.Messages, err)
		}
	}
	s.run(t, "events", "--key", somebody, "--reveal")
	var rows []auditRow
	got := s.run(t, "audit", "-o", "json", "--verb", "reveal")
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || len(rows) != len(verbs)+1 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, got.stderr)
	}
	first, last := rows[1], rows[len(rows)-1]
	if first.Who != "wang" || first.Reason != "INC-42" || first.Parameters["verb"] != "replayer events" || first.Parameters["output"] != "json" || first.Status != "done" {
		t.Errorf("%+v", first)
	}
	// The trail is kept for a year, and holds no personal data.
	if last.Reason != noReason || last.Parameters["key"] != "2088****8832" || strings.Contains(got.stdout, somebody) {
		t.Errorf("%+v", last)
	}
}

// TestRevealNeedsTheRecord: without a place for the record nothing is shown.
func TestRevealNeedsTheRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.received", alipaytest.Options{NotifyID: "n-1"})
	if err := s.js.DeleteStream(t.Context(), stream.Audit); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"events --reveal", "show n-1 --reveal --raw", "tail --seq 1 --reveal", "explain n-1 --reveal"} {
		got := s.run(t, strings.Fields(line)...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "nothing is shown: ") || !strings.Contains(got.stderr, "\nTry: without --reveal; or receiver check") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, got.code, got.stdout, got.stderr)
		}
	}
}

// TestRevealKeepsTheExitCode: the record changes nothing of how a verb ends.
func TestRevealKeepsTheExitCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.run(t, "show", "nowhere", "--reveal")
	if got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "replayer: no event \"nowhere\" on ALIPAY_EVENTS\nTry: ") {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got = runLine(ctx, nil, "events", "--reveal", "--config", s.config)
	if got.code != 1 || got.stdout != "" {
		t.Errorf("interrupted: exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}
