package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/events"
)

// storedKept is a refused request as a stream gives it back.
func storedKept(k events.Kept, subject string) events.Stored {
	s := events.Stored{Header: map[string][]string{}}
	for name, value := range k.Header() {
		s.Header[name] = []string{value}
	}
	s.Subject, s.Data = subject, []byte(k.Body)
	return s
}

// TestKeptReadsBack: everything comes back, and the app, which no header has,
// from the subject.
func TestKeptReadsBack(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 1, 1, 2, 3, 4e6, time.UTC)
	quarantined := events.Kept{
		AppID: "2021000000000001", Outcome: "refused", Reason: "stale", Detail: "signed 100h ago; 券 \"1%\"\r\n", Source: "::1",
		PathApp: "2021000000000001", ContentType: "text/plain; charset=GBK", ReceivedAt: at, Body: "a=\x00b c",
		NotifyID: "N !%", Type: "trade_status_sync", Fingerprint: "f0", Proof: "key=k1; rule=keep-sign-type,keep-empty",
	}
	for name, k := range map[string]events.Kept{
		"quarantined": quarantined,
		"rejected":    {AppID: "1", Outcome: "refused", Reason: "bad_signature", ReceivedAt: at},
		"unknown app": {Outcome: "refused", Reason: "unknown_app", ReceivedAt: at, Body: "x"},
	} {
		s := storedKept(k, k.Subject())
		got, err := s.Kept()
		if diff := cmp.Diff(k, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if want := map[string]string{"": events.UnknownApp}[k.AppID]; want != "" && s.KeptApp() != want || k.AppID != "" && s.KeptApp() != k.AppID {
			t.Errorf("%s: app %q", name, s.KeptApp())
		}
	}
}

func TestKeptReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	k := events.Kept{AppID: "1", Reason: "stale", ReceivedAt: time.Now(), Body: "x"}
	for _, subject := range []string{"", "alipay.rejects", "alipay.rejects.1", "alipay.rejects.1.", "alipay.rejects.1.a.b", "alipay.events.1.a", "alipay.rejectsx.1.a"} {
		got, err := storedKept(k, subject).Kept()
		if err == nil || got.Reason != "stale" || got.Body != "x" {
			t.Errorf("%q: %+v, %v", subject, got, err)
		}
	}
	s := storedKept(k, "alipay.rejects")
	s.Header[events.HeaderReceivedTime] = []string{"noon"}
	_, err := s.Kept()
	if err == nil || !strings.Contains(err.Error(), "ce-receivedtime") || !strings.Contains(err.Error(), "the subject is not") {
		t.Errorf("both: %v", err)
	}
}
