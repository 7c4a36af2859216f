package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// tally counts what a keeper's observer hears.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) observe(event string, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[event]++
}

func (c *tally) of(event string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[event]
}

func reject(source string, body []byte) events.Kept {
	return events.Kept{AppID: appID, Outcome: "refused", Reason: "bad_signature", Source: source, ReceivedAt: time.Now(), Body: string(body)}
}

func signed(id string) events.Kept {
	k := reject("192.0.2.1", []byte("notify_id="+id))
	k.NotifyID, k.Fingerprint, k.Proof, k.Reason = id, "f", "key=k1; rule=keep-sign-type,keep-empty", "stale"
	return k
}

func TestQuarantineKeepsOnce(t *testing.T) {
	f := newFixture(t)
	var heard tally
	k := f.client.NewKeeper(heard.observe)
	for _, id := range []string{"1", "1", "2"} { // Alipay repeats what we refuse
		if err := k.Quarantine(t.Context(), signed(id)); err != nil {
			t.Fatal(err)
		}
	}
	if n := messages(t, f.js, stream.Quarantine); n != 2 || heard.of(stream.KeptQuarantine) != 3 {
		t.Errorf("%d are kept, %d were reported", n, heard.of(stream.KeptQuarantine))
	}
	got, err := f.client.Get(t.Context(), stream.Quarantine, 1)
	if err != nil || got.Subject != "alipay.quarantine."+appID+".stale" || !bytes.Equal(got.Data, []byte("notify_id=1")) || got.Problem != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestKeeperWithoutAServer(t *testing.T) {
	f := newFixture(t)
	var heard tally
	k := f.client.NewKeeper(heard.observe)
	stopServer(f.server)
	eventually(t, "the client notices", func() bool { return !f.client.Connected() })
	if err := k.Quarantine(t.Context(), signed("1")); err == nil {
		t.Error("quarantined nowhere")
	}
	k.Reject(reject("192.0.2.1", nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.Run(ctx) // writes what waits, and ends
	if n := heard.of(stream.KeepUnavailable); n != 2 {
		t.Errorf("%d of 2 were reported", n)
	}
}

func TestRejectsAreBounded(t *testing.T) {
	f := newFixture(t)
	for name, tt := range map[string]struct {
		n       int
		request func(int) events.Kept
		event   string
		want    int
	}{
		"of one source": {2100, func(int) events.Kept { k := reject("192.0.2.1", nil); k.AppID = ""; return k }, stream.KeepLimited, 100},
		"of one app":    {2100, func(i int) events.Kept { return reject(fmt.Sprint(i), nil) }, stream.KeepLimited, 100},
		"in memory":     {20, func(int) events.Kept { return reject("192.0.2.1", make([]byte, 1<<20)) }, stream.KeepOverflow, 5}, // a request counts with what is kept beside its body
	} {
		t.Run(name, func(t *testing.T) {
			var heard tally
			k := f.client.NewKeeper(heard.observe)
			began := time.Now()
			for i := range tt.n {
				k.Reject(tt.request(i))
			}
			// Each second gives one back.
			if got, slack := heard.of(tt.event), int(time.Since(began).Seconds())+1; got > tt.want || got < tt.want-slack {
				t.Errorf("%d were dropped, want %d", got, tt.want)
			}
		})
	}
}

func TestRejectsAreWritten(t *testing.T) {
	f := newFixture(t)
	var heard tally
	k := f.client.NewKeeper(heard.observe)
	const all = 100
	for i := range all {
		k.Reject(reject(fmt.Sprint(i), []byte("a=b")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a receiver that is told to stop at once still writes them
	k.Run(ctx)
	if n := messages(t, f.js, stream.Rejects); n != all || heard.of(stream.KeptReject) != all {
		t.Errorf("%d are kept, %d were reported", n, heard.of(stream.KeptReject))
	}
}

func TestRememberKey(t *testing.T) {
	f := newFixture(t)
	if got, err := f.client.RememberedKey(t.Context(), "k1"); !errors.Is(err, stream.ErrUnknownKey) {
		t.Errorf("before: %q, %v", got, err)
	}
	for _, record := range []string{"first", "second"} {
		if err := f.client.RememberKey(t.Context(), "k1", []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.client.RememberedKey(t.Context(), "k1"); err != nil || string(got) != "first" {
		t.Errorf("after: %q, %v", got, err)
	}
	if err := f.js.DeleteStream(t.Context(), "KV_ALIPAY_KEYS"); err != nil {
		t.Fatal(err)
	}
	if err := f.client.RememberKey(t.Context(), "k2", nil); err == nil {
		t.Error("remembered nowhere")
	}
	if _, err := f.client.RememberedKey(t.Context(), "k1"); err == nil || errors.Is(err, stream.ErrUnknownKey) {
		t.Errorf("without a bucket: %v", err)
	}
}
