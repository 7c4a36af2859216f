package alipaytest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	message, trade := alipaytest.MessageSchedule(), alipaytest.TradeSchedule()
	if got, want := message.Total(), 24*time.Hour+22*time.Minute; got != want {
		t.Errorf("messages: %s in all, want %s", got, want)
	}
	if got, want := trade.Total(), 24*time.Hour+24*time.Minute; got != want {
		t.Errorf("trades: %s in all, want %s", got, want)
	}
	// A delivery comes before each gap, and one after the last.
	if len(message)+1 != 8 || len(trade)+1 != 8 {
		t.Errorf("%d and %d deliveries, want 8", len(message)+1, len(trade)+1)
	}
	if got, want := message.Scaled(1000)[0], 120*time.Millisecond; got != want {
		t.Errorf("a thousand times as fast: first gap %s, want %s", got, want)
	}
	if diff := cmp.Diff(message, message.Scaled(0)); diff != "" {
		t.Errorf("scale 0 changes the schedule:\n%s", diff)
	}
	for typ, want := range map[string]time.Duration{
		"voucher.created": 2 * time.Minute, "trade.status_changed": 4 * time.Minute, "account.event": 2 * time.Minute,
	} {
		if got := newNotification(t, typ, alipaytest.Options{}).Schedule()[0]; got != want {
			t.Errorf("%s: first gap %s, want %s", typ, got, want)
		}
	}
	if s := newNotification(t, "gateway.check", alipaytest.Options{}).Schedule(); len(s) != 0 {
		t.Errorf("the gateway check is repeated: %v", s)
	}
}

// receiver answers with the replies in order, the last one ever after, and
// keeps what was posted.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	replies []reply
	bodies  []string
}

type reply struct {
	status int
	body   string
}

func newReceiver(t *testing.T, replies ...reply) *receiver {
	t.Helper()
	r := &receiver{replies: replies}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || req.Method != http.MethodPost {
			t.Errorf("%s with a body that reads %v", req.Method, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies = append(r.bodies, string(body))
		answer := r.replies[min(len(r.bodies), len(r.replies))-1]
		w.Header().Set("Location", "/elsewhere") // heard by those who follow redirects
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	t.Cleanup(r.Close)
	return r
}

// client is one whose time passes by waiting alone.
func (r *receiver) client(waits *[]time.Duration) *alipaytest.Client {
	now := sentAt
	return &alipaytest.Client{
		URL:  r.URL,
		HTTP: r.Client(),
		Now:  func() time.Time { return now },
		Wait: func(ctx context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			now = now.Add(d)
			return ctx.Err()
		},
	}
}

func TestDeliverRetriesUntilSuccess(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, reply{503, "fail"}, reply{200, "success\n"}, reply{302, ""}, reply{200, "success"})
	var waits []time.Duration
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	result, err := r.client(&waits).Deliver(t.Context(), n, n.Schedule())
	if err != nil {
		t.Fatal(err)
	}
	var got []reply
	for _, a := range result.Attempts {
		if a.Err != nil || a.Latency <= 0 {
			t.Errorf("attempt %+v", a)
		}
		got = append(got, reply{a.Status, a.Body})
	}
	if diff := cmp.Diff(r.replies, got, cmp.AllowUnexported(reply{})); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if result.Outcome != alipaytest.Acknowledged {
		t.Errorf("outcome %s", result.Outcome)
	}
	if diff := cmp.Diff([]time.Duration(n.Schedule()[:3]), waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

func TestDeliverGivesUpAfterEight(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, reply{500, "fail"})
	var waits []time.Duration
	client := r.client(&waits)
	told := 0
	client.OnRetry = func(_ *alipaytest.Notification, failed alipaytest.Attempt, wait time.Duration) {
		if failed.Status != 500 || wait != alipaytest.MessageSchedule()[told] {
			t.Errorf("told of %+v, wait %s", failed, wait)
		}
		told++
	}
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	result, err := client.Deliver(t.Context(), n, n.Schedule())
	if err != nil || result.Outcome != alipaytest.GivenUp || len(result.Attempts) != 8 || told != 7 {
		t.Errorf("%s after %d attempts, told of %d, %v", result.Outcome, len(result.Attempts), told, err)
	}
	if got, want := result.Last().At.Sub(result.Attempts[0].At), 24*time.Hour+22*time.Minute; got != want {
		t.Errorf("gave up after %s, want %s", got, want)
	}
}

// TestDeliverStampsEachRetry looks at the bytes that were posted.
func TestDeliverStampsEachRetry(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, reply{503, "fail"}, reply{200, "success"})
	var waits []time.Duration
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	if _, err := r.client(&waits).Deliver(t.Context(), n, n.Schedule()); err != nil {
		t.Fatal(err)
	}
	first, second := parse(t, r.bodies[0]), parse(t, r.bodies[1])
	for name := range first {
		same := first.Get(name) == second.Get(name)
		if want := name != "utc_timestamp" && name != "sign"; same != want {
			t.Errorf("%s: same %v, want %v", name, same, want)
		}
	}

	r.bodies = nil
	frozen, err := n.SameBytes(sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client(&waits).Deliver(t.Context(), frozen, n.Schedule()); err != nil {
		t.Fatal(err)
	}
	if len(r.bodies) != 2 || r.bodies[0] != r.bodies[1] {
		t.Errorf("same bytes: %d bodies, or they differ", len(r.bodies))
	}
}

func parse(t *testing.T, body string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestWhatAcknowledges(t *testing.T) {
	t.Parallel()
	const ack = "<?xml version=\"1.0\" encoding=\"GBK\"?><alipay><response><XML><ToUserId><![CDATA[2088]]></ToUserId>" +
		"<MsgType><![CDATA[ack]]></MsgType></XML></response><sign>x</sign><sign_type>RSA2</sign_type></alipay>"
	const verified = "<alipay><response><success>true</success><biz_content>k</biz_content></response><sign>x</sign></alipay>"
	for _, tt := range []struct {
		name, typ string
		reply     reply
		want      alipaytest.Outcome
	}{
		{"success", "voucher.created", reply{200, "success"}, alipaytest.Acknowledged},
		{"in capitals", "voucher.created", reply{200, "SUCCESS"}, alipaytest.Acknowledged},
		{"the status does not matter", "trade.status_changed", reply{500, "success"}, alipaytest.Acknowledged},
		{"a newline does", "voucher.created", reply{200, "success\n"}, alipaytest.GivenUp},
		{"quotes do", "voucher.created", reply{200, `"success"`}, alipaytest.GivenUp},
		{"nothing", "voucher.created", reply{200, ""}, alipaytest.GivenUp},
		{"too much", "voucher.created", reply{200, "success" + strings.Repeat(" ", 1<<20)}, alipaytest.GivenUp},
		{"account: signed ack", "account.event", reply{200, ack}, alipaytest.Acknowledged},
		{"account: image-text", "account.event", reply{200, strings.Replace(ack, "[ack]", "[image-text]", 1)}, alipaytest.Acknowledged},
		{"account: success alone", "account.event", reply{200, "success"}, alipaytest.GivenUp},
		{"check: answered", "gateway.check", reply{200, verified}, alipaytest.Acknowledged},
		{"check: refused", "gateway.check", reply{200, strings.Replace(verified, "true", "false", 1)}, alipaytest.GivenUp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var waits []time.Duration
			client := newReceiver(t, tt.reply).client(&waits)
			n := newNotification(t, tt.typ, alipaytest.Options{})
			result, err := client.Deliver(t.Context(), n, nil)
			if err != nil || result.Outcome != tt.want || len(result.Attempts) != 1 {
				t.Errorf("%s after %d attempts, %v; want %s", result.Outcome, len(result.Attempts), err, tt.want)
			}
		})
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, reply{503, "fail"})
	ctx, cancel := context.WithCancel(t.Context())
	var waits []time.Duration
	client := r.client(&waits)
	client.Wait = nil // the real one: it must not be slept through
	client.OnRetry = func(*alipaytest.Notification, alipaytest.Attempt, time.Duration) { cancel() }
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	result, err := client.Deliver(ctx, n, n.Schedule())
	if err != nil || result.Outcome != alipaytest.Interrupted || len(result.Attempts) != 1 {
		t.Errorf("%s after %d attempts, %v", result.Outcome, len(result.Attempts), err)
	}

	result, err = client.Deliver(ctx, n, n.Schedule())
	if err != nil || result.Outcome != alipaytest.Interrupted || result.Last().Err == nil {
		t.Errorf("begun after the end: %s, %+v, %v", result.Outcome, result.Last(), err)
	}
}

func TestDeliverTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	client := &alipaytest.Client{URL: server.URL, HTTP: server.Client(), Timeout: time.Nanosecond}
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	result, err := client.Deliver(t.Context(), n, nil)
	if err != nil || result.Outcome != alipaytest.GivenUp || result.Last().Err == nil || result.Last().Status != 0 {
		t.Errorf("%s, %+v, %v", result.Outcome, result.Last(), err)
	}
}

func TestDeliverRefusesAURLThatIsNone(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "voucher.created", alipaytest.Options{})
	client := &alipaytest.Client{URL: "http://%zz"}
	if _, err := client.Deliver(t.Context(), n, nil); err == nil {
		t.Error("no error")
	}
}
