package replay_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/replay"
)

const advisoryTest = "$JS.EVENT.ADVISORY.CONSUMER."

func pointerOf(t *testing.T, sequence uint64, subject, body string) replay.Pointer {
	t.Helper()
	p, err := replay.NewPointer(events.Stored{Event: events.Event{Subject: subject, Data: []byte(body)}, Sequence: sequence, StoredAt: time.Unix(int64(sequence), 0)})
	if err != nil {
		t.Fatalf("%s %s: %v", subject, body, err)
	}
	return p
}

func TestPointer(t *testing.T) {
	t.Parallel()
	p := pointerOf(t, 7, advisoryTest+"MAX_DELIVERIES.ALIPAY_EVENTS.orders", `{"stream":"ALIPAY_AUDIT","consumer":"stock","stream_seq":42,"deliveries":10}`)
	if p.Stream != "ALIPAY_EVENTS" || p.Consumer != "orders" || p.Event != 42 || p.Deliveries != 10 || p.Cause != replay.MaxDeliveries || p.Sequence != 7 {
		t.Errorf("the subject says whose it is, and the body what: %+v", p)
	}
	for _, bad := range [][2]string{
		{advisoryTest + "MSG_NAKED.ALIPAY_EVENTS.orders", `{"stream_seq":1}`},
		{advisoryTest + "MAX_DELIVERIES.ALIPAY_EVENTS", `{"stream_seq":1}`},
		{advisoryTest + "MAX_DELIVERIES.ALIPAY_EVENTS.a.b", `{"stream_seq":1}`},
		{"alipay.events.1.voucher", `{"stream_seq":1}`},
		{advisoryTest + "MSG_TERMINATED.ALIPAY_EVENTS.orders", `{"stream_seq":"1"}`},
		{advisoryTest + "MSG_TERMINATED.ALIPAY_EVENTS.orders", `{"stream_seq":-1}`},
		{advisoryTest + "MSG_TERMINATED.ALIPAY_EVENTS.orders", `{}`},
		{advisoryTest + "MSG_TERMINATED.ALIPAY_EVENTS.orders", ``},
	} {
		if p, err := replay.NewPointer(events.Stored{Event: events.Event{Subject: bad[0], Data: []byte(bad[1])}}); err == nil {
			t.Errorf("%q is taken for %+v", bad, p)
		}
	}
}

func TestDeadLettersAreOneForAllPointers(t *testing.T) {
	t.Parallel()
	var letters replay.DeadLetters
	letters.Add(pointerOf(t, 1, advisoryTest+"MSG_TERMINATED.ALIPAY_EVENTS.orders", `{"stream_seq":5,"deliveries":1}`))
	letters.Add(pointerOf(t, 2, advisoryTest+"MSG_TERMINATED.ALIPAY_EVENTS.stock", `{"stream_seq":5}`))
	letters.Add(pointerOf(t, 3, advisoryTest+"MSG_TERMINATED.ALIPAY_REPLAYS.orders", `{"stream_seq":5}`))
	letters.Add(pointerOf(t, 4, advisoryTest+"MAX_DELIVERIES.ALIPAY_EVENTS.orders", `{"stream_seq":5,"deliveries":3,"reason":"no such shop"}`))
	all := letters.All()
	if len(all) != 3 || fmt.Sprint(all[0].Pointers, all[0].Causes) != "[1 4] [terminated max_deliveries]" || all[0].Deliveries != 3 || all[0].Reason != "no such shop" || all[0].Sequence != 1 {
		t.Errorf("%+v", all[0])
	}
	counts := make(replay.LetterCounts)
	for _, d := range all {
		counts.Count(d)
	}
	if counts.String() != "ALIPAY_EVENTS/orders 1" {
		t.Errorf("the consumers' own counts know %s", counts)
	}
}

func TestLetterCountsComeBack(t *testing.T) {
	t.Parallel()
	counts := replay.LetterCounts{"ALIPAY_EVENTS/orders": 3, "ALIPAY_REPLAYS/a-b": 12}
	if got := replay.ParseLetterCounts(counts.String()); !maps.Equal(got, counts) {
		t.Errorf("%v became %v", counts, got)
	}
	if got := replay.ParseLetterCounts("ALIPAY_EVENTS/orders 3, ALIPAY_EV…, x 4, /y -1, "); !maps.Equal(got, replay.LetterCounts{"ALIPAY_EVENTS/orders": 3}) {
		t.Errorf("a record that was cut gives %v", got)
	}
}

// letterStore is ALIPAY_DLQ and ALIPAY_REPLAYS, with faults.
type letterStore struct {
	pointers map[uint64]bool
	sent     []string // message ids
	headers  []map[string][]string
	log      []string // what happened, in order

	away       bool
	sendErr    map[uint64]error // by ce-replayof
	keepFirst  bool             // Remove fails
	cancelAt   string           // what happens when ctx ends
	cancelFunc context.CancelFunc
}

func (s *letterStore) note(what string) {
	s.log = append(s.log, what)
	if what == s.cancelAt {
		s.cancelFunc()
	}
}

func (s *letterStore) Pointed(_ context.Context, sequence uint64) (bool, error) {
	if s.away {
		return false, fault.Errorf(fault.Unavailable, "no_stream", "away")
	}
	return s.pointers[sequence], nil
}

func (s *letterStore) Resend(ctx context.Context, subject string, header map[string][]string, _ []byte) (uint64, error) {
	of := header[events.HeaderReplayOf][0]
	s.note("send " + of)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	for sequence, err := range s.sendErr {
		if fmt.Sprint(sequence) == of {
			return 0, err
		}
	}
	if !strings.HasPrefix(subject, "alipay.replays.orders.") {
		return 0, errors.New("wrong subject")
	}
	id := header[events.HeaderMessageID][0]
	if slices.Contains(s.sent, id) {
		return 0, errors.New("a message id twice")
	}
	s.sent, s.headers = append(s.sent, id), append(s.headers, header)
	return uint64(len(s.sent)), nil
}

func (s *letterStore) Remove(ctx context.Context, sequence uint64) error {
	if s.keepFirst || ctx.Err() != nil {
		return errors.New("not removed")
	}
	s.note(fmt.Sprintf("remove %d", sequence))
	delete(s.pointers, sequence)
	return nil
}

// letter is the dead letter of the event at a sequence, pointed to from 100 on.
func deadLetter(event uint64) *replay.DeadLetter {
	subject := fmt.Sprintf("alipay.events.2021.voucher.created.k%d", event)
	d := &replay.DeadLetter{
		Pointer:  replay.Pointer{Sequence: 100 + event, Stream: "ALIPAY_EVENTS", Consumer: "orders", Event: event, Cause: replay.MaxDeliveries},
		Pointers: []uint64{100 + event}, Causes: []replay.Cause{replay.MaxDeliveries},
	}
	d.Message = events.Stored{
		Event:    events.Event{ID: fmt.Sprint(event), AppID: "2021", Subject: subject, Data: []byte("{}")},
		Sequence: event, Header: map[string][]string{events.HeaderID: {fmt.Sprint(event)}, "Nats-Expected-Stream": {"ALIPAY_EVENTS"}},
	}
	return d
}

func planOf(letters ...*replay.DeadLetter) (*replay.LetterPlan, *letterStore) {
	p, store := &replay.LetterPlan{}, &letterStore{pointers: map[uint64]bool{}}
	for _, d := range letters {
		p.Add(d)
		for _, sequence := range d.Pointers {
			store.pointers[sequence] = true
		}
	}
	return p, store
}

func settleLetters(ctx context.Context, p *replay.LetterPlan, store *letterStore) (audit.Outcome, []string, error) {
	var outcomes []string
	o, err := p.Execute(ctx, store, "job-1", "INC 42", func(s replay.SettledLetter) error {
		outcomes = append(outcomes, s.Outcome)
		return nil
	})
	return o, outcomes, err
}

// TestRedrive sends each before it forgets it, and does not touch the original.
func TestRedrive(t *testing.T) {
	t.Parallel()
	again := deadLetter(2) // given up as a replay of 1, at the number of another event
	again.Stream, again.Event, again.Message.Subject = "ALIPAY_REPLAYS", 2, "alipay.replays.orders.2021.voucher.created.k1"
	again.Message.Header = map[string][]string{events.HeaderReplayJob: {"old"}, events.HeaderReplayOf: {"1"}, events.HeaderMessageID: {"replay:old:1"}}
	first := deadLetter(1)
	first.Pointers = []uint64{101, 150}
	p, store := planOf(first, again, deadLetter(3))
	delete(store.pointers, 103) // somebody else was quicker
	o, outcomes, err := settleLetters(t.Context(), p, store)
	if err != nil || o.Done != 2 || o.Skipped != 1 || o.First != 1 || o.Last != 2 || fmt.Sprint(outcomes) != "[redriven redriven gone]" {
		t.Errorf("%+v, %v, %v", o, outcomes, err)
	}
	if got := fmt.Sprint(store.log); got != "[send 1 remove 101 remove 150 send 1 remove 102]" {
		t.Errorf("in this order: %s", got)
	}
	if got := fmt.Sprint(store.sent); got != "[replay:job-1:101 replay:job-1:102]" {
		t.Errorf("message ids %s", got)
	}
	h := store.headers[0]
	if h[events.HeaderReplayJob][0] != "job-1" || h[events.HeaderReplayReason][0] != "INC%2042" || h[events.HeaderID][0] != "1" || h["Nats-Expected-Stream"] != nil {
		t.Errorf("headers %v", h)
	}
	if first.Message.Header[events.HeaderReplayJob] != nil || first.Message.Header["Nats-Expected-Stream"] == nil {
		t.Error("the headers of the stored message were changed")
	}
}

func TestLetterPlan(t *testing.T) {
	t.Parallel()
	often, gone := deadLetter(1), deadLetter(2)
	often.Redrives, gone.Gone = replay.MaxRedrives, true
	for _, c := range []struct {
		plan replay.LetterPlan
		want string
	}{
		{replay.LetterPlan{}, "held expired would_redrive"},
		{replay.LetterPlan{Force: true}, "would_redrive expired would_redrive"},
		{replay.LetterPlan{Discard: true}, "would_discard would_discard would_discard"},
	} {
		var got []string
		for _, d := range []*replay.DeadLetter{often, gone, deadLetter(3)} {
			got = append(got, c.plan.Add(d).Outcome)
		}
		what := c.plan.Audit("dlq x", map[string]string{"seq": "1"})
		if items := strings.Count(c.want, "would_"); strings.Join(got, " ") != c.want || what.Items != items || len(c.plan.Letters) != items || what.Last != 103 || what.Parameters["seq"] != "1" {
			t.Errorf("%v, want %s: %+v", got, c.want, what)
		}
	}
	var nothing replay.LetterPlan
	nothing.Add(gone)
	if what := nothing.Audit("dlq redrive", nil); what.Items != 0 || what.First != 0 || what.Target == "" {
		t.Errorf("%+v", what)
	}
}

func TestDiscardSendsNothing(t *testing.T) {
	t.Parallel()
	p, store := planOf(deadLetter(1), deadLetter(2))
	p.Discard = true
	o, outcomes, err := settleLetters(t.Context(), p, store)
	if err != nil || o.Done != 2 || fmt.Sprint(outcomes) != "[discarded discarded]" || fmt.Sprint(store.log) != "[remove 101 remove 102]" {
		t.Errorf("%+v, %v, %v: %v", o, outcomes, err, store.log)
	}
}

// TestRedriveFaults: what is not sent stays pointed to, what is sent and stays
// pointed to is said, and a store that is away is not tried a thousand times.
func TestRedriveFaults(t *testing.T) {
	t.Parallel()
	p, store := planOf(deadLetter(1), deadLetter(2), deadLetter(3))
	store.sendErr = map[uint64]error{2: fault.Errorf(fault.TooLarge, "message_too_large", "quotes the message")}
	o, outcomes, err := settleLetters(t.Context(), p, store)
	if err != nil || o.Done != 2 || o.Failed != 1 || fmt.Sprint(outcomes) != "[redriven failed redriven]" || !store.pointers[102] || o.Problem != "failed: message_too_large 1" {
		t.Errorf("one does not fit: %+v, %v, %v", o, outcomes, err)
	}

	p, store = planOf(deadLetter(1))
	store.keepFirst = true
	o, outcomes, err = settleLetters(t.Context(), p, store)
	if err == nil || o.Done != 1 || fmt.Sprint(outcomes) != "[redriven]" || o.Problem != "sent and still pointed to: 1" {
		t.Errorf("not removed: %+v, %v, %v", o, outcomes, err)
	}

	var many []*replay.DeadLetter
	for i := range uint64(20) {
		many = append(many, deadLetter(i+1))
	}
	p, store = planOf(many...)
	store.away = true
	if o, outcomes, err = settleLetters(t.Context(), p, store); err == nil || o.Failed != 5 || len(outcomes) != 5 || !strings.Contains(o.Problem, "a store is away") {
		t.Errorf("away: %+v, %v, %v", o, outcomes, err)
	}
}

// TestRedriveInterrupted: between two nothing is half done; in the middle of one,
// it is finished, or its pointer is there.
func TestRedriveInterrupted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at       string
		done     int
		pointers int
	}{{"remove 101", 1, 2}, {"send 2", 1, 2}} {
		p, store := planOf(deadLetter(1), deadLetter(2), deadLetter(3))
		ctx, cancel := context.WithCancel(t.Context())
		store.cancelAt, store.cancelFunc = c.at, cancel
		o, _, err := settleLetters(ctx, p, store)
		if !errors.Is(err, context.Canceled) || o.Done != c.done || len(store.pointers) != c.pointers || o.Failed != 0 {
			t.Errorf("%s: %+v, %v, %d pointers", c.at, o, err, len(store.pointers))
		}
		cancel()
	}
}
