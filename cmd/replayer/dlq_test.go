package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// limit bounds every wait of these tests; none comes near it.
const limit = 30 * time.Second

// consumer makes a durable consumer as deploy/README.md says, but impatient.
func (s *site) consumer(t *testing.T, name, on string) jetstream.Consumer {
	t.Helper()
	filter := "alipay.events.>"
	if on == stream.Replays {
		filter = "alipay.replays." + name + ".>"
	}
	c, err := s.js.CreateConsumer(t.Context(), on, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2, AckWait: limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answers reads as many messages as there are letters: a acknowledges, x gives
// up by the last delivery, t terminates with a reason. It returns when the
// pointers are on ALIPAY_DLQ.
func (s *site) answers(t *testing.T, c jetstream.Consumer, letters string) {
	t.Helper()
	want, open := s.pointers(t)+len(letters)-strings.Count(letters, "a"), len(letters)
	which := map[uint64]byte{} // by sequence, which is the order of the first deliveries
	for open > 0 {
		m, err := c.Next(jetstream.FetchMaxWait(limit))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		sequence := meta.Sequence.Stream
		if which[sequence] == 0 {
			which[sequence] = letters[len(which)]
		}
		open--
		switch which[sequence] {
		case 'a':
			err = m.DoubleAck(t.Context())
		case 'x':
			if err = m.Nak(); meta.NumDelivered == 1 {
				open++ // it comes once more
			}
		case 't':
			err = m.TermWithReason("no such shop")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(limit)
	for s.pointers(t) < want {
		if _, err := c.FetchNoWait(1); err != nil { // the server looks at what is overdue when somebody pulls
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d pointers, want %d", s.pointers(t), want)
		}
	}
}

func (s *site) pointers(t *testing.T) int {
	t.Helper()
	u, err := s.client.UsageOf(t.Context(), stream.DLQ)
	if err != nil {
		t.Fatal(err)
	}
	return int(u.Messages)
}

// objects reads what -o json or ndjson printed.
func objects[T any](t *testing.T, got ran) []T {
	t.Helper()
	var all []T
	if strings.HasPrefix(got.stdout, "[") {
		if err := json.Unmarshal([]byte(got.stdout), &all); err != nil {
			t.Fatalf("%v: %s", err, got.stdout)
		}
		return all
	}
	for line := range strings.Lines(got.stdout) {
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// TestDLQ is one night: messages are given up, found, sent again, given up again
// by the same consumer, and in the end struck off.
func TestDLQ(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 4 {
		s.receive(t, "voucher.received", alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1), Payload: []alipaytest.Field{
			{Name: "activity_id", Value: fmt.Sprintf("k-%d", i+1)}, {Name: "receive_user_id", Value: somebody},
		}})
	}
	orders, again := s.consumer(t, "orders", stream.Events), s.consumer(t, "orders", stream.Replays)
	stock := s.consumer(t, "stock", stream.Events)
	s.answers(t, orders, "xatx")
	s.answers(t, stock, "taaa")

	t.Run("list", func(t *testing.T) { testLettersList(t, s) })
	t.Run("show", func(t *testing.T) { testLettersShow(t, s) })
	t.Run("dry run", func(t *testing.T) { testRedriveDry(t, s) })
	t.Run("redrive", func(t *testing.T) { testRedrive(t, s, again) })
	t.Run("three times", func(t *testing.T) { testRedriveHeld(t, s, again) })
	t.Run("discard", func(t *testing.T) { testDiscard(t, s) })
	t.Run("compare", func(t *testing.T) { testCompare(t, s) })
}

func testLettersList(t *testing.T, s *site) {
	got := s.run(t, "dlq", "list", "-o", "json")
	rows := objects[letterRow](t, got)
	if got.code != 0 || len(rows) != 4 || strings.Contains(got.stdout, somebody) {
		t.Fatalf("exit %d, %d rows: %s%s", got.code, len(rows), got.stdout, got.stderr)
	}
	by := map[string]letterRow{}
	for _, r := range rows {
		by[fmt.Sprintf("%s %d", r.Consumer, r.EventSeq)] = r
	}
	if r := by["orders 1"]; r.Causes[0] != "max_deliveries" || r.Deliveries != 2 || r.Event.ID != "n-1" || !r.Event.Masked || r.Stream != stream.Events || r.Gone {
		t.Errorf("%+v", r)
	}
	if r := by["stock 1"]; r.Causes[0] != "terminated" || r.Reason != "no such shop" {
		t.Errorf("%+v", r)
	}
	for args, want := range map[string]int{
		"--consumer orders": 3, "--consumer nobody": 0, "--why terminated": 2, "--why max_deliveries --consumer stock": 0,
		"--id n-3": 1, "--key k-1": 2, "--type voucher.received": 4, "--type voucher.used": 0, "--since 1h --limit 2": 2, "--until 1h": 0, "--seq 1": 1,
	} {
		got := s.run(t, append([]string{"dlq", "list", "-o", "ndjson"}, strings.Fields(args)...)...)
		if rows := objects[letterRow](t, got); got.code != 0 || len(rows) != want {
			t.Errorf("%s: exit %d, %d rows, want %d; stderr %q", args, got.code, len(rows), want, got.stderr)
		}
	}
	table := s.run(t, "dlq", "list")
	if !strings.HasPrefix(table.stdout, "SEQ ") || strings.Count(table.stdout, "\n") != 5 || !strings.Contains(table.stdout, "no such shop") {
		t.Errorf("table:\n%s", table.stdout)
	}
}

func testLettersShow(t *testing.T, s *site) {
	got := s.run(t, "dlq", "show", "n-3")
	for _, want := range []string{
		"consumer    orders\n", "cause       terminated, after 1 deliveries\n", "reason      no such shop\n", "\nsequence    3\n", "2088****8832", "\nlineage\n  ALIPAY_EVENTS     3 ",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in:\n%s%s", want, got.stdout, got.stderr)
		}
	}
	if got := s.run(t, "dlq", "show", "n-3", "--reveal", "-o", "json"); !strings.Contains(got.stdout, somebody) || !strings.Contains(got.stdout, `"lineage":[{`) {
		t.Errorf("exit %d, %s%s", got.code, got.stdout, got.stderr)
	}
	if got := s.run(t, "dlq", "show", "n-2"); got.code != 1 || got.stdout != "" || got.stderr != "replayer: no such dead letter on ALIPAY_DLQ\nTry: replayer dlq list\n" {
		t.Errorf("exit %d, %q", got.code, got.stderr)
	}
}

func testRedriveDry(t *testing.T, s *site) {
	got := s.run(t, "dlq", "redrive", "--consumer", "orders", "-o", "ndjson")
	rows := objects[settledRow](t, got)
	if got.code != 0 || len(rows) != 3 || rows[0].Outcome != "would_redrive" || rows[0].Subject != "alipay.replays.orders."+s.app.ID+".voucher.received.k-"+fmt.Sprint(rows[0].EventSeq) {
		t.Fatalf("exit %d, %+v\n%s", got.code, rows, got.stderr)
	}
	for _, want := range []string{"dlq redrive: 3 items (", "to alipay.replays.orders.>\n", "of: orders 3\n", "dry run: nothing was done; --execute --reason TEXT does it\n"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%q is not in %q", want, got.stderr)
		}
	}
	if got := s.run(t, "dlq", "redrive", "--consumer", "stock"); !strings.Contains(got.stderr, "note: no consumer of ALIPAY_REPLAYS reads alipay.replays.stock.>") {
		t.Errorf("stderr %q", got.stderr)
	}
	if s.pointers(t) != 4 {
		t.Errorf("%d pointers", s.pointers(t))
	}
}

func testRedrive(t *testing.T, s *site, again jetstream.Consumer) {
	got := s.run(t, "dlq", "redrive", "--consumer", "orders", "--execute", "--reason", "INC 42", "-o", "json")
	rows := objects[settledRow](t, got)
	if got.code != 0 || len(rows) != 3 || rows[0].Outcome != "redriven" || !rows[0].Removed || rows[0].StoredAt != 1 {
		t.Fatalf("exit %d, %+v\n%s", got.code, rows, got.stderr)
	}
	if s.pointers(t) != 1 {
		t.Errorf("%d pointers are left, want that of stock", s.pointers(t))
	}
	sent, err := s.client.Get(t.Context(), stream.Replays, 1)
	if err != nil {
		t.Fatal(err)
	}
	original := s.stored(t, rows[0].EventSeq)
	if sent.ID != original.ID || string(sent.Data) != string(original.Data) || sent.Raw != original.Raw || sent.Proof != original.Proof ||
		sent.ReplayReason() != "INC 42" || sent.Header[events.HeaderReplayOf][0] != fmt.Sprint(original.Sequence) ||
		sent.Header[events.HeaderMessageID][0] != fmt.Sprintf("replay:%s:%d", sent.ReplayJob(), rows[0].Sequence) {
		t.Errorf("%+v", sent)
	}
	trail := objects[auditRow](t, s.run(t, "audit", "-o", "json", "--verb", "dlq"))
	if len(trail) != 1 || trail[0].Job != sent.ReplayJob() || trail[0].Verb != "dlq redrive" || trail[0].Done != 3 || trail[0].Parameters["given-up"] != "ALIPAY_EVENTS/orders 2" {
		t.Errorf("%+v", trail)
	}
	s.answers(t, again, "aax") // the third fails again
}

// testRedriveHeld: what fails after three redrives is held back, because of the
// event and its consumer, whichever stream it was given up on.
func testRedriveHeld(t *testing.T, s *site, again jetstream.Consumer) {
	for range 2 {
		if got := s.run(t, "dlq", "redrive", "--consumer", "orders", "--execute", "--reason", "once more"); got.code != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		s.answers(t, again, "x")
	}
	dry := s.run(t, "dlq", "redrive", "--consumer", "orders", "-o", "ndjson")
	rows := objects[settledRow](t, dry)
	if len(rows) != 1 || rows[0].Outcome != "held" || rows[0].Redrives != 3 || rows[0].Stream != stream.Replays || !strings.Contains(dry.stderr, "1 were sent to their consumer 3 times already and are held back; --force sends them") {
		t.Fatalf("%+v: %s", rows, dry.stderr)
	}
	before := s.pointers(t)
	got := s.run(t, "dlq", "redrive", "--consumer", "orders", "--execute", "--reason", "once more")
	if got.code != 3 || got.stdout != "" || s.pointers(t) != before || !strings.Contains(got.stderr, "all of it was sent to its consumer 3 times already\nTry: replayer dlq show") {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	if got := s.run(t, "dlq", "redrive", "--consumer", "orders", "--force", "--execute", "--reason", "fixed"); got.code != 0 || s.pointers(t) != before-1 {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
	last, err := s.client.Get(t.Context(), stream.Replays, 6)
	if err != nil || !strings.HasPrefix(last.Subject, "alipay.replays.orders."+s.app.ID+".voucher.received.k-") || last.Header[events.HeaderReplayOf][0] != strings.TrimPrefix(last.Key, "k-") {
		t.Errorf("a replay of a replay: %+v, %v", last, err)
	}
	s.answers(t, again, "a")
}

func testDiscard(t *testing.T, s *site) {
	dry := s.run(t, "dlq", "discard", "-o", "json")
	if rows := objects[settledRow](t, dry); len(rows) != 1 || rows[0].Outcome != "would_discard" || rows[0].Consumer != "stock" {
		t.Fatalf("%+v: %s", rows, dry.stderr)
	}
	for line, want := range map[string]int{"dlq discard --execute": 2, "dlq discard --execute --reason x --expect 7": 3} {
		if got := s.run(t, strings.Fields(line)...); got.code != want || s.pointers(t) != 1 {
			t.Errorf("%s: exit %d, want %d: %s", line, got.code, want, got.stderr)
		}
	}
	got := s.run(t, "dlq", "discard", "--execute", "--reason", "test data", "-o", "json")
	if rows := objects[settledRow](t, got); got.code != 0 || len(rows) != 1 || rows[0].Outcome != "discarded" || s.pointers(t) != 0 {
		t.Errorf("exit %d, %+v: %s", got.code, rows, got.stderr)
	}
	nothing := s.run(t, "dlq", "discard", "--execute", "--reason", "test data")
	if nothing.code != 0 || nothing.stdout != "" || !strings.Contains(nothing.stderr, "nothing matched; ALIPAY_DLQ is empty\n") {
		t.Errorf("exit %d, %q, %q", nothing.code, nothing.stdout, nothing.stderr)
	}
}

// testCompare: all of this night is accounted for; a pointer that was lost is not.
func testCompare(t *testing.T, s *site) {
	got := s.run(t, "dlq", "compare", "-o", "json")
	rows := objects[compareRow](t, got)
	if got.code != 0 || len(rows) != 3 {
		t.Fatalf("exit %d, %+v: %s", got.code, rows, got.stderr)
	}
	if r := rows[0]; r.Consumer != "orders" || r.GivenUp != 2 || r.Settled != 2 || r.Pointers != 0 || r.Gap != 0 {
		t.Errorf("%+v", r)
	}
	if r := rows[2]; r.Stream != stream.Replays || r.GivenUp != 3 || r.Settled != 3 || r.Gap != 0 {
		t.Errorf("%+v", r)
	}
	s.receive(t, "voucher.received", alipaytest.Options{NotifyID: "n-5"})
	stock, err := s.js.Consumer(t.Context(), stream.Events, "stock")
	if err != nil {
		t.Fatal(err)
	}
	s.answers(t, stock, "x")
	last, err := s.client.UsageOf(t.Context(), stream.DLQ)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Remove(t.Context(), stream.DLQ, last.LastSeq); err != nil { // as if it had never been stored
		t.Fatal(err)
	}
	got = s.run(t, "dlq", "compare")
	if got.code != 4 || !strings.HasSuffix(got.stderr, "replayer: 1 messages were given up and nothing points to them\nTry: replayer replay --seq 1-5 --to consumer:stock    # they are among these; it knows the others by their ids\n") {
		t.Errorf("exit %d, %s%s", got.code, got.stdout, got.stderr)
	}
}

// TestDLQOwnPointer: a consumer that leaves its own pointer beside the server's
// gives one dead letter, and redriving it takes both away. What is no pointer,
// and what points to nothing, harms nobody.
func TestDLQOwnPointer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"})
	const own = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.orders"
	for _, data := range []string{
		`{"stream":"ALIPAY_EVENTS","consumer":"orders","stream_seq":1,"deliveries":3,"reason":"no such shop"}`,
		`{"stream":"ALIPAY_AUDIT","consumer":"stock","stream_seq":1,"deliveries":4}`, // whose it is says the subject
		`{"stream_seq":99,"deliveries":1}`, `no JSON`, `{"stream_seq":0}`, `{}`,
	} {
		if _, err := s.js.PublishMsg(t.Context(), &nats.Msg{Subject: own, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	got := s.run(t, "dlq", "list", "-o", "json")
	rows := objects[letterRow](t, got)
	if len(rows) != 2 || fmt.Sprint(rows[0].Pointers) != "[1 2]" || rows[0].Deliveries != 4 || rows[0].Reason != "no such shop" || !rows[1].Gone || rows[1].Event != nil ||
		!strings.Contains(got.stderr, "3 messages on ALIPAY_DLQ are no pointers and are left out") {
		t.Fatalf("%+v: %s", rows, got.stderr)
	}
	got = s.run(t, "dlq", "redrive", "--execute", "--reason", "r", "-o", "json")
	if done := objects[settledRow](t, got); got.code != 0 || len(done) != 1 || done[0].Outcome != "redriven" || !strings.Contains(got.stderr, "the events of 1 are no longer stored") {
		t.Fatalf("exit %d, %+v: %s", got.code, done, got.stderr)
	}
	if rows := objects[letterRow](t, s.run(t, "dlq", "list", "-o", "json")); len(rows) != 1 || rows[0].EventSeq != 99 {
		t.Errorf("%+v", rows)
	}
	if got := s.run(t, "dlq", "show", "--seq", "3"); got.code != 0 || !strings.Contains(got.stdout, "event       99 is no longer on ALIPAY_EVENTS\n") {
		t.Errorf("exit %d, %s", got.code, got.stdout)
	}
}

// TestDLQMany: more dead letters than are looked up together come in their order,
// each with its own event, and those of consumers that are gone are not forgotten.
func TestDLQMany(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 3 {
		s.receive(t, "voucher.created", alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1)})
	}
	const letters = 2*letterPage + 7
	for i := range letters {
		s.publish(t, fmt.Sprintf("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.c%d", i/4), fmt.Sprintf(`{"stream_seq":%d,"deliveries":1}`, i%4+1), nil)
	}
	rows := objects[letterRow](t, s.run(t, "dlq", "list", "-o", "ndjson"))
	if len(rows) != letters {
		t.Fatalf("%d rows, want %d", len(rows), letters)
	}
	for i, r := range rows {
		gone := i%4 == 3 // there are only three
		if r.Sequence != uint64(i+1) || r.Consumer != fmt.Sprintf("c%d", i/4) || r.Gone != gone || !gone && r.Event.ID != fmt.Sprintf("n-%d", i%4+1) {
			t.Fatalf("row %d: %+v", i, r)
		}
	}
	for args, want := range map[string]int{"--id n-2": (letters + 2) / 4, "--seq 500-": letters - 499, "--seq 300 --limit 1": 1, "--limit 260": 260} {
		got := s.run(t, append([]string{"dlq", "list", "-o", "ndjson"}, strings.Fields(args)...)...)
		if rows := objects[letterRow](t, got); len(rows) != want {
			t.Errorf("%s: %d rows, want %d: %s", args, len(rows), want, got.stderr)
		}
	}
	// None of these consumers exists any more.
	compared := objects[compareRow](t, s.run(t, "dlq", "compare", "-o", "json"))
	terminated := 0
	for _, r := range compared {
		terminated += r.Terminated
	}
	if terminated != letters || compared[0].Consumer != "c0" || compared[0].Gap != 0 {
		t.Errorf("compare counts %d, want %d: %+v", terminated, letters, compared[0])
	}
	if got := s.run(t, "doctor"); !strings.Contains(got.stdout, fmt.Sprintf("dead_letters   %d wait for somebody\n", letters)) {
		t.Errorf("doctor: %s", got.stdout)
	}
}
