package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify-consumer/event"
)

// message is one delivery. It writes what becomes of it into a diary that it
// shares with the store.
type message struct {
	jetstream.Msg // panics on whatever is not below
	header        nats.Header
	data          string
	deliveries    uint64
	diary         *[]string
}

func (m message) Subject() string      { return "alipay.events.1.voucher.used.a" }
func (m message) Headers() nats.Header { return m.header }
func (m message) Data() []byte         { return []byte(m.data) }
func (m message) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: m.deliveries}, nil
}
func (m message) write(what string) error {
	*m.diary = append(*m.diary, what+" "+m.header.Get("ce-id"))
	return nil
}
func (m message) Ack() error                         { return m.write("ack") }
func (m message) TermWithReason(reason string) error { return m.write("term " + reason + ":") }
func (m message) NakWithDelay(d time.Duration) error { return m.write(fmt.Sprint("nak ", d)) }

// store applies nothing, and may fail.
type store struct {
	diary *[]string
	err   error
}

func (s store) Apply(events []event.Event) (int, error) {
	for _, e := range events {
		*s.diary = append(*s.diary, "apply "+e.ID)
	}
	return len(events), s.err
}

func used(diary *[]string, id, data string, deliveries uint64) message {
	return message{diary: diary, data: data, deliveries: deliveries, header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/alipay/1"}, "ce-time": {"2026-01-01T00:00:00Z"},
		"ce-type": {"alipay.marketing.activity.message.used"},
	}}
}

// point writes down that a pointer was left; it cannot be of what has the id "lost".
func point(_ context.Context, m jetstream.Msg, _ string) error {
	if m.Headers().Get("ce-id") == "lost" {
		return errors.New("no answer")
	}
	return m.(message).write("point")
}

func handle(t *testing.T, failure error, batch func(diary *[]string) []jetstream.Msg) (diary []string, log string) {
	t.Helper()
	var out bytes.Buffer
	w := worker{store: store{&diary, failure}, log: slog.New(slog.NewJSONHandler(&out, nil)), point: point}
	w.handle(batch(&diary))
	return diary, out.String()
}

// TestHandle: nothing is acknowledged before all of it is kept, and what can never
// be read is given up with the reason and does not hold up the rest.
func TestHandle(t *testing.T) {
	t.Parallel()
	diary, log := handle(t, nil, func(d *[]string) []jetstream.Msg {
		return []jetstream.Msg{used(d, "1", `{"activity_id":"a"}`, 1), used(d, "2", `{"user_id":"2088123"}`, 1), used(d, "3", `{"activity_id":"a"}`, 2)}
	})
	want := []string{
		"apply 1", "apply 3", "ack 1", "ack 3", "point 2",
		"term data is not what the schema of voucher.used says: a required field is missing, or a value is outside its format: 2",
	}
	if !slices.Equal(diary, want) {
		t.Errorf("got %q\nwant %q", diary, want)
	}
	if !strings.Contains(log, `"ce_id":"2"`) || strings.Contains(log, "2088123") {
		t.Errorf("the log has to name the message, and to quote nothing of it:\n%s", log)
	}
}

// TestHandlePointsFirst: what nothing points to is not terminated. It comes again.
func TestHandlePointsFirst(t *testing.T) {
	t.Parallel()
	diary, log := handle(t, nil, func(d *[]string) []jetstream.Msg {
		return []jetstream.Msg{used(d, "lost", `{"user_id":"2088123"}`, 2), used(d, "3", `{"activity_id":"a"}`, 1)}
	})
	if want := []string{"apply 3", "ack 3", "nak 1m0s lost"}; !slices.Equal(diary, want) {
		t.Errorf("got %q\nwant %q", diary, want)
	}
	if !strings.Contains(log, "ALIPAY_DLQ") || strings.Contains(log, "2088123") {
		t.Errorf("the log has to say why, and to quote nothing of it:\n%s", log)
	}
}

// TestPointerRoot: in an account of its own a consumer points by another name.
func TestPointerRoot(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"": advised, "ALIPAY.API": "ALIPAY.DLQ", "SHOP": "SHOP.DLQ"} {
		if got := (options{apiPrefix: prefix}).pointerRoot(); got != want {
			t.Errorf("%q: %s, want %s", prefix, got, want)
		}
	}
}

// TestHandlePutsOff: a store that fails is no fault of the messages. They come
// again, later and later.
func TestHandlePutsOff(t *testing.T) {
	t.Parallel()
	diary, _ := handle(t, errors.New("disk full"), func(d *[]string) []jetstream.Msg {
		return []jetstream.Msg{used(d, "1", `{"activity_id":"a"}`, 1), used(d, "2", `{"activity_id":"a"}`, 3), used(d, "3", `{"activity_id":"a"}`, 12)}
	})
	want := []string{"apply 1", "apply 2", "apply 3", "nak 30s 1", "nak 2m0s 2", "nak 2h0m0s 3"}
	if !slices.Equal(diary, want) {
		t.Errorf("got %q\nwant %q", diary, want)
	}
}

// TestWorkEndsEmptyHanded: a clean stop leaves nothing of what was handed over.
func TestWorkEndsEmptyHanded(t *testing.T) {
	t.Parallel()
	var diary []string
	w := worker{store: store{&diary, nil}, log: slog.New(slog.DiscardHandler)}
	messages, drained := make(chan jetstream.Msg, 600), make(chan struct{})
	for i := range 600 {
		messages <- used(&diary, fmt.Sprint(i), `{"activity_id":"a"}`, 1)
	}
	close(drained)
	w.work(messages, drained)
	if len(diary) != 1200 {
		t.Errorf("%d steps, want 600 events applied and acknowledged", len(diary))
	}
}
