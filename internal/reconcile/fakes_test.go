package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = "2021000000000001"

// world is Alipay, the streams and the bucket of expectations, as a test sets
// them. It does what their contracts say.
type world struct {
	mu       sync.Mutex
	clock    func() time.Time
	states   map[string]reconcile.State
	onAsk    func(key string) error
	asked    []string
	stored   []events.Stored // of ALIPAY_EVENTS, in their order
	inferred []events.Stored
	lose     int // so many publications fail, and happen all the same
	expected map[string]reconcile.Expected
	revision uint64
}

func newWorld() *world {
	return &world{
		clock:  func() time.Time { return now },
		states: make(map[string]reconcile.State), expected: make(map[string]reconcile.Expected),
	}
}

func (w *world) engine(o reconcile.Options) *reconcile.Engine {
	o.Asker, o.Archive, o.Now = w, w, w.clock
	if o.Began.IsZero() {
		o.Began = began
	}
	return reconcile.New(o)
}

func (w *world) Ask(_ context.Context, item reconcile.Item) (reconcile.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, item.Key)
	if w.onAsk != nil {
		if err := w.onAsk(item.Key); err != nil {
			return reconcile.State{}, err
		}
	}
	s, known := w.states[item.Key]
	if !known {
		s = reconcile.State{Unknown: true, Why: "nobody knows it"}
	}
	return s, nil
}

// put stores an event.
func (w *world) put(kind, key, data string, at time.Time, ownTime bool) {
	e := events.Event{AppID: app, Kind: kind, Key: key, Subject: events.Subject(app, kind, key), Time: at, ReceivedAt: at, Data: []byte(data)}
	if !ownTime {
		e.TimeSource = "utc_timestamp"
	}
	w.stored = append(w.stored, events.Stored{Event: e, Sequence: uint64(len(w.stored)) + 1, StoredAt: at})
}

func (w *world) store(t *testing.T, kind, key, number string, at time.Time) {
	t.Helper()
	if _, known := events.KindByName(kind); !known {
		t.Fatalf("no kind %s", kind)
	}
	w.put(kind, key, fmt.Sprintf(`{"activity_id":%q,"out_biz_no":%q}`, key, number), at, true)
}

func under(list []events.Stored, subject string, fn func(events.Stored) error) error {
	for _, m := range list {
		if m.Subject == subject {
			if err := fn(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) Events(_ context.Context, app, kind, key string, fn func(events.Stored) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return under(w.stored, events.Subject(app, kind, key), fn)
}

func (w *world) Inferred(_ context.Context, app, kind, key string, fn func(events.Stored) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return under(w.inferred, events.InferredSubject(app, kind, key), fn)
}

// PublishInferred stores once what has one message id, as the stream's window does.
func (w *world) PublishInferred(_ context.Context, i events.Inferred) (events.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, err := i.Header()
	if err != nil {
		return events.Receipt{}, err
	}
	for _, m := range w.inferred {
		if m.ID == i.ID() {
			return events.Receipt{Sequence: m.Sequence, Duplicate: true}, nil
		}
	}
	e, err := events.ParseHeader(func(name string) string { return h[name] }, i.Subject(), i.Data)
	if err != nil {
		return events.Receipt{}, err
	}
	w.inferred = append(w.inferred, events.Stored{Event: e, Sequence: uint64(len(w.inferred)) + 1})
	if w.lose > 0 {
		w.lose--
		return events.Receipt{}, fault.Errorf(fault.Uncertain, "no_ack", "no answer")
	}
	return events.Receipt{Sequence: uint64(len(w.inferred))}, nil
}

// expect writes an expectation.
func (w *world) expect(t *testing.T, x reconcile.Expectation) {
	t.Helper()
	if x.Schema == "" {
		x.Schema = reconcile.ExpectationSchema
	}
	w.write(x.Name(), marshal(t, x))
}

func (w *world) write(name, value string) {
	w.revision++
	w.expected[name] = reconcile.Expected{Name: name, Value: []byte(value), Revision: w.revision}
}

func (w *world) Open(context.Context) ([]reconcile.Expected, error) {
	var all []reconcile.Expected
	for _, x := range w.expected {
		all = append(all, x)
	}
	return all, nil
}

func (w *world) Close(_ context.Context, x reconcile.Expected) error {
	if w.expected[x.Name].Revision != x.Revision {
		return errors.New("closed twice, or written anew")
	}
	delete(w.expected, x.Name)
	return nil
}

// numbered are n keys of activities of this month.
func numbered(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("20260813008260045%011d", i)
	}
	return keys
}

func source(keys ...string) func(func(reconcile.Item, error) bool) {
	return func(yield func(reconcile.Item, error) bool) {
		for i, key := range keys {
			entity := reconcile.Voucher
			if strings.HasPrefix(key, "00") {
				entity = reconcile.Card
			}
			if !yield(reconcile.Item{App: app, Entity: entity, Key: key, Cursor: uint64(i) + 1}, nil) {
				return
			}
		}
	}
}
