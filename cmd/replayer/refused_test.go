package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

// refusing is a receiver that refuses what it gets: its key is not Alipay's, or
// its rules are the strict ones.
type refusing struct {
	*site
	pipeline *ingest.Pipeline
	kept     chan string // what the keeper says of each
}

// newRefusing makes a receiver beside the site's own, with the given key.
func newRefusing(t *testing.T, s *site, publicPEM []byte) *refusing {
	t.Helper()
	key, err := verify.ParsePublicKey(publicPEM)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		t.Fatal(err)
	}
	r := &refusing{site: s, kept: make(chan string, 2000)}
	keeper := s.client.NewKeeper(func(event string, err error) {
		if err != nil {
			event += ": " + err.Error()
		}
		r.kept <- event
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { keeper.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	r.pipeline = ingest.New(ingest.Options{
		Once: dedupe.Stream{}, Publisher: s.client.NewPublisher(), Keeper: keeper, MaxSignedAge: 72 * time.Hour,
	}, ingest.App{ID: s.app.ID, Verifier: verifier})
	return r
}

// wrongKey is a key that Alipay has not.
func wrongKey(t *testing.T) []byte {
	t.Helper()
	key, err := alipaytest.GenerateKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicPEM()
}

// receivedAt is when refuse pretends that everything came.
var receivedAt = time.Date(2026, 8, 1, 1, 2, 3, 4e6, time.UTC)

// refuse sends a notification, signed at a time, and waits until it is kept.
func (r *refusing) refuse(t *testing.T, n *alipaytest.Notification, signed time.Time) []byte {
	t.Helper()
	body, err := n.Body(signed)
	if err != nil {
		t.Fatal(err)
	}
	return r.refuseBody(t, body, n.ContentType())
}

func (r *refusing) refuseBody(t *testing.T, body []byte, contentType string) []byte {
	t.Helper()
	res := r.pipeline.Ingest(t.Context(), ingest.Request{
		Body: string(body), Arrival: events.Arrival{ContentType: contentType}, Source: "192.0.2.7", ReceivedAt: receivedAt,
	})
	if res.Outcome.Acknowledged() {
		t.Fatalf("it was %s", res.Outcome)
	}
	select {
	case got := <-r.kept:
		if got != stream.KeptReject && got != stream.KeptQuarantine {
			t.Fatalf("not kept: %s (%s)", got, res.Reason)
		}
	case <-time.After(patience):
		t.Fatal("it is kept nowhere")
	}
	return body
}

// messages is how many a stream holds.
func (s *site) messages(t *testing.T, name string) uint64 {
	t.Helper()
	u, err := s.client.UsageOf(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u.Messages
}

// rowsOf reads an NDJSON output.
func rowsOf[R any](t *testing.T, ndjson string) []R {
	t.Helper()
	var rows []R
	for line := range strings.Lines(ndjson) {
		var row R
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows = append(rows, row)
	}
	return rows
}

// trail is the audit trail.
func (s *site) trail(t *testing.T) []audit.Record {
	t.Helper()
	var records []audit.Record
	err := s.client.Read(t.Context(), stream.ReadOptions{Stream: stream.Audit}, func(m events.Stored) error {
		var r audit.Record
		records = append(records, r)
		return json.Unmarshal(m.Data, &records[len(records)-1])
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// keep stores a request as refused, past the pipeline; many at once.
func (s *site) keep(t *testing.T, count int, body []byte) {
	t.Helper()
	kept := events.Kept{AppID: s.app.ID, Outcome: "refused", Reason: "bad_signature", Detail: "x", ReceivedAt: receivedAt, Body: string(body)}
	var acks []jetstream.PubAckFuture
	for range count {
		m := &nats.Msg{Subject: kept.Subject(), Data: body, Header: nats.Header{}}
		for name, value := range kept.Header() {
			m.Header[name] = []string{value}
		}
		ack, err := s.js.PublishMsgAsync(m)
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			t.Fatal(err)
		}
	}
}

func (s *site) body(t *testing.T, id string) []byte {
	t.Helper()
	body, err := s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: id}).Body(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestRefusedShow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newRefusing(t, s, s.app.PublicPEM)
	body := r.refuse(t, s.app.Notification(t, "voucher.created", alipaytest.Options{NotifyID: "n-stale"}), time.Now().Add(-100*time.Hour))
	gbk := r.refuseBody(t, []byte("notify_id=n-forged&app_id=1&x=\xff\x1b"), "text/plain")

	got := s.run(t, "quarantine", "show", "n-stale", "--reveal").want(t, "show", 0)
	for _, want := range []string{"outcome      refused stale\n", "detail       signed 100h0m", "notify_id    n-stale\n", "headers\n  Alipay-", "\nbody\n  " + string(body) + "\n"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in:\n%s", want, got.stdout)
		}
	}
	if raw := s.run(t, "quarantine", "show", "--seq", "1", "--raw", "--reveal").want(t, "raw", 0); raw.stdout != string(body) {
		t.Errorf("raw: %q", raw.stdout)
	}
	if raw := s.run(t, "rejects", "show", "n-forged", "--raw", "--reveal").want(t, "raw", 0); raw.stdout != string(gbk) {
		t.Errorf("raw: %q", raw.stdout)
	}
	people := s.run(t, "rejects", "show", "n-forged").want(t, "people", 0)
	if strings.Contains(people.stdout, "\x1b") || !strings.Contains(people.stdout, "claims       to be n-forged, which nothing proves\n") || !strings.Contains(people.stdout, "app          _unknown\n") {
		t.Errorf("people:\n%s", people.stdout)
	}
	var rows []refusedShowRow
	if err := json.Unmarshal([]byte(s.run(t, "rejects", "show", "--seq", "1", "-o", "json", "--reveal").stdout), &rows); err != nil || len(rows) != 1 ||
		rows[0].Body != "" || rows[0].Base64 == "" || rows[0].Headers[events.HeaderKeptContentType] != "text/plain" {
		t.Errorf("%v: %+v", err, rows)
	}
	masked := s.run(t, "quarantine", "show", "n-stale", "-o", "json").want(t, "masked", 0)
	if err := json.Unmarshal([]byte(masked.stdout), &rows); err != nil || rows[0].Body != events.Hidden || !rows[0].Masked || strings.Contains(masked.stdout, "biz_content") {
		t.Errorf("masked: %v: %+v", err, rows)
	}
	s.run(t, "rejects", "show", "nowhere").want(t, "nowhere", 1, "replayer: no such request on ALIPAY_REJECTS\nTry: replayer rejects list\n")
	s.run(t, "rejects", "list", "--why", "stale").want(t, "nothing", 0, "nothing matched; ALIPAY_REJECTS holds 1 requests")
}

// TestRefusedSelection: the flags mean here what they mean everywhere.
func TestRefusedSelection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, kept := range []events.Kept{
		{AppID: s.app.ID, Reason: "bad_signature", Body: "notify_id=a"},
		{AppID: otherApp, Reason: "bad_signature", Body: "notify_id=b"},
		{Reason: "unknown_app", Body: "notify_id=a"},
		{AppID: s.app.ID, Reason: "algorithm", Body: "%"},
	} {
		kept.Outcome, kept.ReceivedAt = "refused", receivedAt
		s.publish(t, kept.Subject(), kept.Body, kept.Header())
	}
	for args, want := range map[string][]uint64{
		"":                                      {1, 2, 3, 4},
		"--app " + s.app.ID:                     {1, 4},
		"--app _unknown":                        {3},
		"--why bad_signature":                   {1, 2},
		"--why bad_signature --app " + otherApp: {2},
		"--id a":                                {1, 3},
		"--seq 2-3":                             {2, 3},
		"--limit 1":                             {1},
		"--why algorithm --limit 1":             {4},
		"--since 1h --include-replays":          {1, 2, 3, 4},
		"--until 1h":                            nil,
	} {
		got := s.run(t, append([]string{"rejects", "list", "-o", "ndjson"}, strings.Fields(args)...)...)
		var list []uint64
		for _, row := range rowsOf[refusedRow](t, got.stdout) {
			list = append(list, row.Sequence)
		}
		if !slices.Equal(list, want) || got.code != 0 {
			t.Errorf("%q: %v, want %v; stderr %q", args, list, want, got.stderr)
		}
	}
}
