package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// TestCheckpoints: a record is written only over the one that was read, so that
// of two hosts one has the job.
func TestCheckpoints(t *testing.T) {
	f := newFixture(t)
	c := f.client
	if _, err := c.LoadCheckpoint(t.Context(), "replay.a"); !errors.Is(err, stream.ErrNoCheckpoint) {
		t.Errorf("nothing: %v", err)
	}
	first, err := c.SaveCheckpoint(t.Context(), "replay.a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []uint64{0, first + 1} {
		if _, err := c.SaveCheckpoint(t.Context(), "replay.a", []byte("x"), revision); !errors.Is(err, stream.ErrStale) {
			t.Errorf("over %d: %v", revision, err)
		}
	}
	second, err := c.SaveCheckpoint(t.Context(), "replay.a", []byte("2"), first)
	if err != nil || second <= first {
		t.Errorf("%d, %v", second, err)
	}
	got, err := c.LoadCheckpoint(t.Context(), "replay.a")
	if err != nil || string(got.Value) != "2" || got.Revision != second || got.Name != "replay.a" || got.Age < 0 || got.Age > limit {
		t.Errorf("%+v, %v", got, err)
	}
	eventually(t, "it grows old", func() bool {
		later, err := c.LoadCheckpoint(t.Context(), "replay.a")
		return err == nil && later.Age > got.Age
	})
}

// TestCheckpointsOfManyAtOnce: whatever is tried at once, one succeeds each time.
func TestCheckpointsOfManyAtOnce(t *testing.T) {
	f := newFixture(t)
	revision, err := f.client.SaveCheckpoint(t.Context(), "replay.a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := f.client.SaveCheckpoint(t.Context(), "replay.a", nil, revision); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, stream.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d have written it", won)
	}
}

func TestCheckpointsListed(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		name := fmt.Sprintf("replay.%d", i%10)
		if i%10 == 9 {
			name = "reconcile." + name
		}
		at, err := f.client.LoadCheckpoint(t.Context(), name)
		if err != nil && !errors.Is(err, stream.ErrNoCheckpoint) {
			t.Fatal(err)
		}
		if _, err := f.client.SaveCheckpoint(t.Context(), name, fmt.Append(nil, i), at.Revision); err != nil {
			t.Fatal(err)
		}
	}
	list := func(match string) (all []string) {
		if err := f.client.Checkpoints(t.Context(), match, func(c stream.Checkpoint) error {
			all = append(all, c.Name+" "+string(c.Value))
			return nil
		}); err != nil {
			t.Error(err)
		}
		slices.Sort(all)
		return all
	}
	if got := list("replay.*"); len(got) != 9 || got[0] != "replay.0 10" || got[8] != "replay.8 18" {
		t.Errorf("%q", got)
	}
	if got := list("nothing.*"); got != nil {
		t.Errorf("%q", got)
	}
	enough := errors.New("enough")
	if err := f.client.Checkpoints(t.Context(), "replay.*", func(stream.Checkpoint) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	if err := f.js.DeleteKeyValue(t.Context(), stream.JobsBucket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := f.client.Checkpoints(ctx, "replay.*", nil); err == nil || ctx.Err() != nil {
		t.Errorf("without the bucket: %v", err)
	}
}

// TestExtentOf: a stream that was made anew has another life.
func TestExtentOf(t *testing.T) {
	f := newFixture(t)
	fill(t, f.js, "alipay.rejects.1.%d", 10, nil)
	was, err := f.client.ExtentOf(t.Context(), stream.Rejects)
	if err != nil || was.First != 1 || was.Last != 10 || time.Since(was.Created) > time.Hour {
		t.Errorf("%+v, %v", was, err)
	}
	if err := f.js.DeleteStream(t.Context(), stream.Rejects); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.ExtentOf(t.Context(), stream.Rejects); err == nil {
		t.Error("a stream that is gone has an extent")
	}
	provision(t, f.client, f.layout)
	if now, err := f.client.ExtentOf(t.Context(), stream.Rejects); err != nil || now.Created.Equal(was.Created) || now.Last != 0 {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestPermissionsReplay: the user replayer may do all that a replay does.
func TestPermissionsReplay(t *testing.T) {
	d := startDeployed(t)
	publish(t, d.client(t, "receiver").NewPublisher(), event(1))
	c := d.client(t, "replayer")
	if e, err := c.ExtentOf(t.Context(), stream.Events); err != nil || e.Last != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	read := 0
	if err := c.Read(t.Context(), stream.ReadOptions{Stream: stream.Events, Light: true}, func(m events.Stored) error {
		read++
		if m.ID != event(1).ID || m.Key != event(1).Key || m.AppID != appID || m.Kind != "voucher.created" || len(m.Raw) != 0 || m.Header[events.HeaderRaw] == nil {
			t.Errorf("%+v", m)
		}
		return nil
	}); err != nil || read != 1 {
		t.Errorf("%d read, %v", read, err)
	}
	for name, subject := range map[string]string{stream.Events: event(1).Subject, stream.Replays: "alipay.replays.orders.x"} {
		r := newResending(t, c, name, 10)
		if err := r.Send(t.Context(), 1, subject, map[string][]string{"Nats-Msg-Id": {"replay:a:1"}}, nil); err != nil {
			t.Error(err)
		}
		if err := r.Flush(t.Context()); err != nil || len(r.settled()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	revision, err := c.SaveCheckpoint(t.Context(), "replay.a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.LoadCheckpoint(t.Context(), "replay.a"); err != nil || got.Revision != revision {
		t.Errorf("%+v, %v", got, err)
	}
	listed := 0
	if err := c.Checkpoints(t.Context(), "replay.*", func(stream.Checkpoint) error { listed++; return nil }); err != nil || listed != 1 {
		t.Errorf("%d listed, %v", listed, err)
	}
	// Another stream's user may not, and hears it.
	r := newResending(t, connect(t, stream.ConnectOptions{URL: d.url("receiver")}), stream.Replays, 10)
	if err := r.Send(t.Context(), 1, "alipay.replays.orders.x", nil, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal is known", func() bool {
		r.Overdue(time.Now().Add(stream.ResendAfter + time.Second))
		return r.Send(t.Context(), 2, "alipay.replays.orders.x", nil, nil) != nil
	})
	if err := r.Flush(t.Context()); !errors.Is(err, stream.ErrDenied) {
		t.Errorf("got %v", err)
	}
}
