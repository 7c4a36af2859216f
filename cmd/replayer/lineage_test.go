package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// resentTo stores the event of a sequence again for one consumer, as a replay does.
func (s *site) resentTo(t *testing.T, consumer string, sequence uint64, job, reason string) {
	t.Helper()
	m, header := s.stored(t, sequence), map[string][]string{}
	for name, values := range m.Header {
		header[name] = values
	}
	events.NewReplayMark(job, reason).Put(header, sequence)
	flat := map[string]string{}
	for name, values := range header {
		flat[name] = values[0]
	}
	s.publish(t, events.ReplaySubject(consumer, m.Subject), string(m.Data), flat)
}

// infer stores what reconciliation would conclude.
func (s *site) infer(t *testing.T, id, key, outBizNo string) {
	t.Helper()
	data := fmt.Sprintf(`{"activity_id":%q,"out_biz_no":%q}`, key, outBizNo)
	s.publish(t, "alipay.inferred."+s.app.ID+".voucher.created."+key, data, map[string]string{
		events.HeaderID: id, events.HeaderSource: events.Source(s.app.ID) + "/inferred", events.HeaderSubject: key,
	})
}

// lineageOf is the lineage that show -o json prints, in short.
func lineageOf(t *testing.T, got ran) []string {
	t.Helper()
	var rows []showRow
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || len(rows) == 0 {
		t.Fatalf("exit %d, %v:\n%s%s", got.code, err, got.stdout, got.stderr)
	}
	var all []string
	for _, r := range rows[len(rows)-1].Lineage {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s %s %s %s", r.Stream, r.Sequence, r.Relation, r.To, r.ReplayOf, r.Reason)))
	}
	slices.Sort(all)
	return all
}

// TestLineage: whatever has become of a notification is found with it, and no
// stranger of the same key or with a like id.
func TestLineage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	voucher := func(id, outBizNo string) alipaytest.Options {
		return alipaytest.Options{NotifyID: id, Payload: []alipaytest.Field{
			{Name: "activity_id", Value: keyOne}, {Name: "out_biz_no", Value: outBizNo},
		}}
	}
	s.receive(t, "voucher.created", voucher("n-1", "biz-1")) // 1
	s.receive(t, "voucher.created", voucher("n-2", "biz-2")) // 2
	s.receive(t, "voucher.created", voucher("n-1", "biz-9")) // 3: the same id with other content
	s.replayed(t, 1, "job-all")                              // 4
	s.resentTo(t, "orders", 1, "job-one", "INC 42")
	s.resentTo(t, "orders", 2, "job-one", "INC 42")
	s.infer(t, "i-1", keyOne, "biz-1")
	s.infer(t, "i-2", keyOne, "biz-other")
	kept := events.Kept{AppID: s.app.ID, Reason: "stale", Outcome: "refused", NotifyID: "n-1", Proof: "p", ReceivedAt: receivedAt, Body: "a=b"}
	s.publish(t, kept.Subject(), "a=b", kept.Header())
	kept.NotifyID = "n-2"
	s.publish(t, kept.Subject(), "a=b", kept.Header())

	family := []string{
		"ALIPAY_EVENTS 1 delivery", "ALIPAY_EVENTS 3 conflict", "ALIPAY_EVENTS 4 replay  1",
		"ALIPAY_INFERRED 1 inferred", "ALIPAY_QUARANTINE 1 quarantined   stale", "ALIPAY_REPLAYS 1 replay orders 1 INC 42",
	}
	for _, args := range []string{"show n-1", "show --seq 1", "show --seq 4", "show n-1 --limit 1"} {
		got := s.run(t, append(strings.Fields(args), "-o", "json")...)
		if lines := lineageOf(t, got); !slices.Equal(lines, family) || got.stderr != "" {
			t.Errorf("%s: %q\nwant %q; stderr %q", args, lines, family, got.stderr)
		}
	}
	people := s.run(t, "show", "n-1").stdout
	if !strings.Contains(people, "\nlineage\n  ALIPAY_EVENTS     1 ") || !strings.Contains(people, "  replay of 1 to orders, job job-one: INC 42\n") {
		t.Errorf("people:\n%s", people)
	}
	if got := s.run(t, "show", "--seq", "1-4", "-o", "json"); strings.Contains(got.stdout, "lineage") {
		t.Error("a range has a lineage")
	}

	// What is not in the archive is looked for elsewhere.
	inferred := s.run(t, "show", "i-1", "-o", "json")
	if lines := lineageOf(t, inferred); !strings.Contains(inferred.stdout, `"stream":"ALIPAY_INFERRED"`) || !slices.Contains(lines, "ALIPAY_EVENTS 1 delivery") || slices.Contains(lines, "ALIPAY_EVENTS 2 delivery") {
		t.Errorf("the inferred event: %q", lines)
	}
	if err := s.js.DeleteStream(t.Context(), stream.Inferred); err != nil {
		t.Fatal(err)
	}
	got := s.run(t, "show", "n-1", "-o", "json")
	if lines := lineageOf(t, got); len(lines) != len(family)-1 || !strings.Contains(got.stderr, "lineage: ALIPAY_INFERRED was not looked into: ") || got.code != 0 {
		t.Errorf("without a stream: exit %d, %q, stderr %q", got.code, lines, got.stderr)
	}
}
