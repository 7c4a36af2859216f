package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// read gives the sequences that a reading hands on. It must leave no consumer behind.
func read(tb testing.TB, f fixture, o stream.ReadOptions) []uint64 {
	tb.Helper()
	if o.Stream == "" {
		o.Stream = stream.Events
	}
	var got []uint64
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	if err := f.client.Read(ctx, o, func(s events.Stored) error {
		got = append(got, s.Sequence)
		return nil
	}); err != nil {
		tb.Errorf("%+v: %v", o, err)
	}
	f.noConsumers(tb, o.Stream)
	return got
}

func (f fixture) noConsumers(tb testing.TB, name string) {
	tb.Helper()
	if n := f.consumers(tb, name); n != 0 {
		tb.Errorf("%d consumers are left on %s", n, name)
	}
}

func (f fixture) consumers(tb testing.TB, name string) int {
	tb.Helper()
	s, err := f.js.Stream(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

// fill stores messages that need be no events, fast.
func fill(tb testing.TB, js jetstream.JetStream, subject string, n int, data []byte) {
	tb.Helper()
	for i := range n {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: fmt.Sprintf(subject, i), Data: data}, jetstream.WithStallWait(limit)); err != nil {
			tb.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(limit):
		tb.Fatal("filling takes too long")
	}
}

func upTo(first, last uint64) []uint64 {
	var all []uint64
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

func TestReadBounded(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	if got := read(t, f, stream.ReadOptions{}); got != nil {
		t.Errorf("an empty stream: %v", got)
	}
	var noon time.Time
	for n := 1; n <= 10; n++ {
		e := event(n)
		if n%2 == 0 {
			e.Subject = events.Subject("2021000000000002", "order.refunded", "o1")
		}
		publish(t, p, e)
		if n == 6 {
			s, err := f.client.Get(t.Context(), stream.Events, 6)
			if err != nil {
				t.Fatal(err)
			}
			noon = s.StoredAt
		}
	}
	odd, even := "alipay.events."+appID+".>", "alipay.events.2021000000000002.>"
	for name, tt := range map[string]struct {
		options stream.ReadOptions
		want    []uint64
	}{
		"all":                           {stream.ReadOptions{}, upTo(1, 10)},
		"some":                          {stream.ReadOptions{Subjects: []string{even}}, []uint64{2, 4, 6, 8, 10}},
		"the last does not match":       {stream.ReadOptions{Subjects: []string{odd}}, []uint64{1, 3, 5, 7, 9}},
		"several filters":               {stream.ReadOptions{Subjects: []string{odd, even}}, upTo(1, 10)},
		"one kind of all apps":          {stream.ReadOptions{Subjects: []string{"alipay.events.*.order.refunded.*"}}, []uint64{2, 4, 6, 8, 10}},
		"one key":                       {stream.ReadOptions{Subjects: []string{"alipay.events.*.*.*.act7"}}, []uint64{7}},
		"none matches":                  {stream.ReadOptions{Subjects: []string{"alipay.events.9.>"}}, nil},
		"from a sequence":               {stream.ReadOptions{FromSeq: 8}, upTo(8, 10)},
		"from the last":                 {stream.ReadOptions{FromSeq: 10}, upTo(10, 10)},
		"from behind the last":          {stream.ReadOptions{FromSeq: 11}, nil},
		"from a sequence, some":         {stream.ReadOptions{FromSeq: 5, Subjects: []string{odd}}, []uint64{5, 7, 9}},
		"from a time":                   {stream.ReadOptions{FromTime: noon}, upTo(6, 10)},
		"from a time to come":           {stream.ReadOptions{FromTime: time.Now().Add(time.Hour)}, nil},
		"a sequence wins over the time": {stream.ReadOptions{FromSeq: 9, FromTime: noon}, upTo(9, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, read(t, f, tt.options)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadGivesTheEvent(t *testing.T) {
	f := newFixture(t)
	e := event(1)
	publish(t, f.client.NewPublisher(), e)
	got, err := f.client.Get(t.Context(), stream.Events, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got.Event); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
	if got.Problem != "" || got.Sequence != 1 || time.Since(got.StoredAt) > time.Minute || got.StoredAt.Location() != time.UTC {
		t.Errorf("Get: %+v", got)
	}
	header, err := e.Header()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if !slices.Equal(got.Header[name], []string{value}) {
			t.Errorf("%s: %q, want %q", name, got.Header[name], value)
		}
	}
	if err := f.client.Read(t.Context(), stream.ReadOptions{Stream: stream.Events}, func(s events.Stored) error {
		if diff := cmp.Diff(got, s); diff != "" {
			t.Errorf("Read and Get differ (-get +read):\n%s", diff)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestGetNotFound(t *testing.T) {
	f := newFixture(t)
	for _, n := range []uint64{0, 1, 1 << 60} {
		if got, err := f.client.Get(t.Context(), stream.Events, n); err == nil || n > 0 && !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("%d: got %+v, %v", n, got, err)
		}
	}
	if _, err := f.client.Get(t.Context(), "NO_SUCH_STREAM", 1); err == nil || errors.Is(err, stream.ErrNotFound) {
		t.Errorf("no such stream: %v", err)
	}
	if err := f.client.Read(t.Context(), stream.ReadOptions{Stream: "NO_SUCH_STREAM"}, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no such stream: %v", err)
	}
}

// An operator must be able to look at whatever somebody put there.
func TestReadForeignMessages(t *testing.T) {
	f := newFixture(t)
	put := func(subject string, header nats.Header, data string) {
		t.Helper()
		if _, err := f.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: header, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	put("alipay.events.1.voucher.created.k", nil, "no JSON")
	put("alipay.events.short", nats.Header{"ce-id": {"i"}, "ce-time": {"yesterday"}}, "")
	put("alipay.events.1.voucher.created.k", nats.Header{"ce-id": {"i"}, "Alipay-Raw": {"?"}, "Alipay-Raw-Encoding": {"base64"}}, "{}")
	put("alipay.events.1.voucher.created.k", nats.Header{"Ce-Id": {"other case"}}, "{}")
	put("alipay.rejects._unknown.bad_form", nil, "a=b")
	var got []events.Stored
	for _, name := range []string{stream.Events, stream.Rejects} {
		if err := f.client.Read(t.Context(), stream.ReadOptions{Stream: name}, func(s events.Stored) error {
			got = append(got, s)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 5 {
		t.Fatalf("got %d messages", len(got))
	}
	if s := got[0]; s.Problem == "" || string(s.Data) != "no JSON" || s.Kind != "voucher.created" {
		t.Errorf("without headers: %+v", s)
	}
	if s := got[1]; s.Problem == "" || s.ID != "i" {
		t.Errorf("a bad time: %+v", s)
	}
	if s := got[2]; s.Problem == "" || s.ID != "i" {
		t.Errorf("a bad request: %+v", s)
	}
	if s := got[3]; s.Problem != "" || s.ID != "other case" {
		t.Errorf("headers in another case: %+v", s)
	}
	if s := got[4]; s.Problem != "" || string(s.Data) != "a=b" {
		t.Errorf("what is no event and should be none: %+v", s)
	}
}

func TestReadErrorOfTheReader(t *testing.T) {
	f := newFixture(t)
	fill(t, f.js, "alipay.events.1.%d", 50, nil)
	stop := errors.New("enough")
	n := 0
	err := f.client.Read(t.Context(), stream.ReadOptions{Stream: stream.Events}, func(events.Stored) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 { //nolint:errorlint // as it is
		t.Errorf("got %v after %d", err, n)
	}
	f.noConsumers(t, stream.Events)
}

func TestReadFollow(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	publish(t, p, event(1))
	for name, tt := range map[string]struct {
		onlyNew bool
		want    func(first uint64) uint64
	}{
		"all":      {false, func(uint64) uint64 { return 1 }},
		"only new": {true, func(first uint64) uint64 { return first }},
	} {
		t.Run(name, func(t *testing.T) {
			cause := errors.New("the operator has seen enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			began, got, ended := make(chan struct{}), make(chan uint64, 100), make(chan error, 1)
			go func() {
				ended <- f.client.Read(ctx, stream.ReadOptions{
					Stream: stream.Events, Follow: true, OnlyNew: tt.onlyNew, Began: func() { close(began) },
				}, func(s events.Stored) error {
					got <- s.Sequence
					return nil
				})
			}()
			closed(t, "Began", began)
			next := f.messages(t) + 1
			publish(t, p, event(int(next))) //nolint:gosec // small
			for want := tt.want(next); want <= next; want++ {
				if n := <-got; n != want {
					t.Fatalf("got %d, want %d", n, want)
				}
			}
			cancel(cause)
			if err := <-ended; !errors.Is(err, cause) {
				t.Errorf("ended with %v", err)
			}
			f.noConsumers(t, stream.Events)
		})
	}
}

func TestReadEndOfContext(t *testing.T) {
	f := newFixture(t)
	fill(t, f.js, "alipay.events.1.%d", 50, nil)
	cause := errors.New("no more")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := f.client.Read(ctx, stream.ReadOptions{Stream: stream.Events}, func(events.Stored) error {
		cancel(cause)
		return nil
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	f.noConsumers(t, stream.Events)
}

func TestRecord(t *testing.T) {
	f := newFixture(t)
	const subject = "alipay.audit._.replay.job1"
	record := []byte(`{"phase":"before"}`)
	for range 2 {
		if err := f.client.Record(t.Context(), subject, "audit:job1:run1:before", record); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.client.Record(t.Context(), subject, "audit:job1:run1:after", record); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, f.js, stream.Audit); n != 2 {
		t.Errorf("%d records are stored, want 2", n)
	}
	got, err := f.client.Get(t.Context(), stream.Audit, 1)
	if err != nil || got.Subject != subject || !bytes.Equal(got.Data, record) || got.Problem != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := f.client.Record(t.Context(), "alipay.rejects._.x", "id", record); err == nil {
		t.Error("a record that went to another stream is taken for stored")
	}
	if err := f.js.DeleteStream(t.Context(), stream.Audit); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Record(t.Context(), subject, "x", record); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a stream: %v", err)
	}
}

func TestRemove(t *testing.T) {
	f := newFixture(t)
	fill(t, f.js, "alipay.rejects.1.%d", 2, nil)
	if err := f.client.Remove(t.Context(), stream.Rejects, 1); err != nil {
		t.Error(err)
	}
	if err := f.client.Remove(t.Context(), stream.Rejects, 1); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
	if diff := cmp.Diff(upTo(2, 2), read(t, f, stream.ReadOptions{Stream: stream.Rejects})); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	publish(t, f.client.NewPublisher(), event(1))
	if err := f.client.Remove(t.Context(), stream.Events, 1); err == nil || errors.Is(err, stream.ErrNotFound) {
		t.Errorf("from the archive: %v", err)
	}
	if n := f.messages(t); n != 1 {
		t.Errorf("the archive holds %d messages", n)
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	publish(t, p, event(1))
	publish(t, p, event(2))
	u, err := f.client.Usage(t.Context())
	if err != nil || u.Messages != 2 || u.Bytes == 0 || u.MaxBytes != 1<<30 || u.First.IsZero() || u.Last.Before(u.First) {
		t.Errorf("got %+v, %v", u, err)
	}
}
