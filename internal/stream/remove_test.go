package stream_test

import (
	"errors"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/stream"
)

// TestRemoveKept: a quarantined request reads back whole, and is removed once; a
// stream or a connection that is not there is no "gone already".
func TestRemoveKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept := events.Kept{
		AppID: appID, Outcome: "refused", Reason: "stale", NotifyID: "N1", Type: "x", Fingerprint: "f", Proof: "p",
		ReceivedAt: time.Now(), Body: "a=b",
	}
	if err := f.client.NewKeeper(func(string, error) {}).Quarantine(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	m, err := f.client.Get(t.Context(), stream.Quarantine, 1)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := m.Kept(); err != nil || back.AppID != appID || back.NotifyID != "N1" || back.Body != "a=b" || m.Kind != "" {
		t.Errorf("%+v, %v", back, err)
	}
	if err := f.client.Remove(t.Context(), stream.Quarantine, 1); err != nil {
		t.Error(err)
	}
	if err := f.client.Remove(t.Context(), stream.Quarantine, 99); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("one that never was: %v", err)
	}
	if err := f.client.Remove(t.Context(), "NOWHERE", 1); err == nil || errors.Is(err, stream.ErrNotFound) {
		t.Errorf("no such stream: %v", err)
	}
	f.client.Close()
	if err := f.client.Remove(t.Context(), stream.Quarantine, 1); fault.KindOf(err) != fault.Uncertain {
		t.Errorf("without a connection: %v", err)
	}
}

func TestUsageOf(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := f.client.NewPublisher()
	for n := range 3 {
		publish(t, p, event(n))
	}
	u, err := f.client.UsageOf(t.Context(), stream.Events)
	if err != nil || u.Messages != 3 || u.FirstSeq != 1 || u.LastSeq != 3 || u.First.After(u.Last) {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := f.client.UsageOf(t.Context(), stream.Rejects); err != nil || u.Messages != 0 || u.LastSeq != 0 {
		t.Errorf("empty: %+v, %v", u, err)
	}
	if _, err := f.client.UsageOf(t.Context(), "NOWHERE"); err == nil {
		t.Error("a stream that is not there has a size")
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for redis, want := range map[bool]time.Duration{false: 26 * time.Hour, true: 30 * time.Minute} {
		o := options()
		o.Redis = redis
		if got := stream.NewLayout(o).Window(); got != want {
			t.Errorf("Redis %v: %v, want %v", redis, got, want)
		}
	}
}
