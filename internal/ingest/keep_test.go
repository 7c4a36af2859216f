package ingest_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// fakeKeeper keeps what was not accepted, and watches that nothing unproved
// comes to the quarantine.
type fakeKeeper struct {
	testing.TB
	away bool

	mu          sync.Mutex
	quarantined []events.Kept
	rejected    []events.Kept
}

func (k *fakeKeeper) Quarantine(ctx context.Context, kept events.Kept) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		k.Error("the sender hung up, and the quarantine with it")
	}
	if kept.Proof == "" || kept.AppID == "" || len(kept.Fingerprint) != 64 {
		k.Errorf("quarantined without proof, app or fingerprint: %+v", kept)
	}
	if k.away {
		return errMishap
	}
	k.quarantined = append(k.quarantined, kept)
	return nil
}

func (k *fakeKeeper) Reject(kept events.Kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if kept.Proof != "" || kept.NotifyID != "" || kept.Type != "" || kept.Fingerprint != "" {
		k.Errorf("a rejected request with words of its sender: %+v", kept)
	}
	k.rejected = append(k.rejected, kept)
}

// oneRefused is a stream that takes nothing, for the reason of err.
type oneRefused struct{ err error }

func (s oneRefused) Publish(context.Context, events.Event) (events.Receipt, error) {
	return events.Receipt{}, s.err
}

func (oneRefused) Fingerprint(context.Context, uint64) (string, error) { return "", errMishap }

// What was signed and cannot be accepted is quarantined, what was not signed is
// rejected, and what may be accepted the next time is kept nowhere. A message
// that the stream will never take used to fall between: it was signed, answered
// with too_large eight times, and gone.
func TestIngestKeeps(t *testing.T) {
	t.Parallel()
	const quarantine, reject = "quarantine", "reject"
	tooLarge := fault.Errorf(fault.TooLarge, "message_too_large", "the stream will never take it")
	plain := func(h *harness) alipaytest.Form {
		return h.form(h.notification("voucher.created", alipaytest.Options{NotifyID: marker}))
	}
	tests := []struct {
		name    string
		form    func(*harness) alipaytest.Form
		publish error
		reason  string
		where   string
	}{
		{"accepted", plain, nil, "", ""},
		{"away", plain, fault.Errorf(fault.Unavailable, "away", "x"), "away", ""},
		{"uncertain", plain, fault.Errorf(fault.Uncertain, "no_ack", "x"), "no_ack", ""},
		{"in flight", plain, fault.Errorf(fault.InFlight, "in_process", "x"), "in_process", ""},
		{"a bug", plain, errors.New("x"), "", ""},
		{"the stream will never take it", plain, tooLarge, "message_too_large", quarantine},
		{"too large for any message", func(h *harness) alipaytest.Form {
			return h.signed(plain(h).With("biz_content", `{"activity_id":"1","x":"`+noise()+`"}`), alipaytest.Signing{})
		}, nil, "raw_too_large", quarantine},
		{"as large, but it compresses", func(h *harness) alipaytest.Form {
			return h.signed(plain(h).With("biz_content", `{"activity_id":"1","x":"`+strings.Repeat("x", len(noise()))+`"}`), alipaytest.Signing{})
		}, nil, "", ""},
		{"undecryptable", func(h *harness) alipaytest.Form {
			return h.form(h.notification("voucher.created", alipaytest.Options{AESKey: alipaytest.NewAESKey()}))
		}, nil, "undecryptable", quarantine},
		{"bad content", func(h *harness) alipaytest.Form {
			return h.signed(plain(h).With("biz_content", marker), alipaytest.Signing{})
		}, nil, "bad_biz_content", quarantine},
		{"signed, and no notification", func(h *harness) alipaytest.Form {
			return h.signed(plain(h).With("notify_id", marker+" "), alipaytest.Signing{})
		}, nil, "bad_notify_id", quarantine},
		{"forged", func(h *harness) alipaytest.Form { return plain(h).With("notify_id", marker+"x") }, nil, "bad_signature", reject},
		{"unknown app", func(h *harness) alipaytest.Form { return plain(h).With("app_id", "99999999") }, nil, "unknown_app", reject},
		{"no form", func(h *harness) alipaytest.Form { return plain(h).Without("sign") }, nil, "missing_sign", reject},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			keeper := &fakeKeeper{TB: t}
			o := ingest.Options{Once: h.once, Publisher: h.stream, Keeper: keeper}
			if tt.publish != nil {
				o.Publisher = oneRefused{tt.publish}
			}
			h.pipeline = ingest.New(o, h.app)
			body := tt.form(h).Encode()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			res := h.pipeline.Ingest(ctx, ingest.Request{
				Body: string(body), Source: "192.0.2.7", ReceivedAt: h.now, Arrival: events.Arrival{ContentType: "text/" + marker},
			})
			if res.Reason != tt.reason || res.Quarantined != (tt.where == quarantine) {
				t.Errorf("outcome %s %q (%v), quarantined %v", res.Outcome, res.Reason, res.Err, res.Quarantined)
			}
			kept := map[string][]events.Kept{quarantine: keeper.quarantined, reject: keeper.rejected}
			for where, k := range kept {
				if (len(k) == 1) != (where == tt.where) || len(k) > 1 {
					t.Errorf("%s: %d requests; it belongs to %q", where, len(k), tt.where)
				}
			}
			if tt.where == "" {
				return
			}
			k := kept[tt.where][0]
			if k.Body != string(body) || k.Source != "192.0.2.7" || k.Reason != tt.reason || k.Outcome != string(res.Outcome) ||
				k.AppID != res.AppID || !k.ReceivedAt.Equal(h.now) || strings.Contains(k.Detail, marker) {
				t.Errorf("kept %+v", k)
			}
		})
	}
}

// What HTTP refuses by its headers was answered and forgotten: a proxy that
// compresses, say, left nothing to find the reason with.
func TestRefuseKeeps(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keeper := &fakeKeeper{TB: t}
	h.pipeline = ingest.New(ingest.Options{Once: h.once, Publisher: h.stream, Keeper: keeper}, h.app)
	for path, appID := range map[string]string{"": "", h.app.ID: h.app.ID, "1": ""} {
		keeper.rejected = nil
		res := h.pipeline.Refuse(t.Context(), ingest.Request{Body: "{}", Arrival: events.Arrival{PathApp: path}},
			fault.Errorf(fault.Malformed, "content_type", "the Content-Type is not a form's"))
		h.want(res, malformed, "content_type")
		if len(keeper.rejected) != 1 || keeper.rejected[0].AppID != appID || res.AppID != appID || keeper.rejected[0].Body != "{}" {
			t.Errorf("%q: %+v, kept %+v", path, res, keeper.rejected)
		}
	}
}

// Signed values are not escaped, so whoever holds one genuine capture can make
// hundreds of forms that verify. Each broke the rules and each was quarantined,
// once a form: a stranger could fill what is kept for Alipay's own words. They
// share the signed string, and count as one.
func TestIngestMergedFormsAreKeptOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keeper := &fakeKeeper{TB: t}
	h.pipeline = ingest.New(ingest.Options{Once: h.once, Publisher: h.stream, Keeper: keeper}, h.app)
	genuine := h.form(h.notification("trade.status_changed", alipaytest.Options{}))
	merge := func(first, second string) []byte {
		a, _ := genuine.Get(first)
		b, _ := genuine.Get(second)
		return genuine.With(first, a+"&"+second+"="+b).Without(second).Encode()
	}
	for _, pair := range [][2]string{{"total_amount", "trade_no"}, {"trade_no", "trade_status"}, {"notify_type", "out_trade_no"}} {
		if res := h.ingest(merge(pair[0], pair[1])); res.Outcome != malformed || !res.Quarantined {
			t.Errorf("%v: outcome %s %q, quarantined %v", pair, res.Outcome, res.Reason, res.Quarantined)
		}
	}
	for _, k := range keeper.quarantined[1:] {
		if first := keeper.quarantined[0]; k.Fingerprint != first.Fingerprint || k.AppID != first.AppID {
			t.Errorf("%s/%s and %s/%s", first.AppID, first.Fingerprint, k.AppID, k.Fingerprint)
		}
	}
}

// noise is text that no compression makes fit into the headers of an event.
func noise() string {
	b := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{}).Read(b) //nolint:errcheck // it never fails
	return hex.EncodeToString(b)
}

// A quarantine that is away changes no answer, and hides nothing.
func TestIngestQuarantineAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keeper := &fakeKeeper{TB: t, away: true}
	h.pipeline = ingest.New(ingest.Options{
		Once: h.once, Publisher: h.stream, Keeper: keeper, MaxSignedAge: time.Hour, Now: func() time.Time { return sentAt.Add(2 * time.Hour) },
	}, h.app)
	body := h.form(h.notification("voucher.created", alipaytest.Options{})).Encode()
	for _, away := range []bool{true, false} {
		keeper.away = away
		res := h.ingest(body)
		h.want(res, refused, "stale")
		if res.Quarantined == away {
			t.Errorf("away: %v, quarantined: %v", away, res.Quarantined)
		}
	}
}
