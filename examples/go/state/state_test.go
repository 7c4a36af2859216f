package state_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"alipay-notify-consumer/event"
	"alipay-notify-consumer/state"
)

func open(t *testing.T) *state.Store {
	t.Helper()
	s, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func apply(t *testing.T, s *state.Store, events ...event.Event) (counted int) {
	t.Helper()
	counted, err := s.Apply(events)
	if err != nil {
		t.Fatal(err)
	}
	return counted
}

func dump(t *testing.T, s *state.Store) state.State {
	t.Helper()
	all, err := s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// of makes an event of activity a.
func of(kind, id, at, business string) event.Event {
	when, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		panic(err)
	}
	return event.Event{Source: "/alipay/1", AppID: "1", ID: id, Type: "t." + kind, Kind: kind, Key: "a", Time: when, TimeText: at, Business: business}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := of("voucher.used", "1", "2026-01-01T00:00:00Z", "b")
	again := first
	again.ReplayJob = "job" // a replay is the same notification
	twin := of("voucher.used", "2", "2026-01-01T00:00:00Z", "b")
	otherType := of("voucher.expired", "3", "2026-01-01T00:00:00Z", "b")
	otherApp := first
	otherApp.Source, otherApp.AppID = "/alipay/2", "2"
	nameless := of("voucher.used", "4", "2026-01-01T00:00:00Z", "")
	nameless2 := of("voucher.used", "5", "2026-01-01T00:00:00Z", "")
	if n := apply(t, s, first, again, twin); n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
	if n := apply(t, s, first, twin, otherType, otherApp, nameless, nameless2); n != 4 {
		t.Errorf("counted %d, want 4", n)
	}
	used := func(n int) map[string]int { return map[string]int{"used": n} }
	want := state.State{Events: 5, Cards: map[string]state.Card{}, Activities: map[string]state.Activity{
		"1/a": {Counts: map[string]int{"used": 3, "expired": 1}, Status: "active"},
		"2/a": {Counts: used(1), Status: "active"},
	}}
	if got := dump(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestOrderOfArrival applies the same events in many orders, with repetitions, and
// wants one result. The pairs are those that naive orders get wrong: times that
// sort otherwise as text, one instant written in two ways, a second notification
// of one happening that is the latest of all.
func TestOrderOfArrival(t *testing.T) {
	t.Parallel()
	events := []event.Event{
		of("voucher.created", "c", "2026-01-01T10:00:00Z", "b1"),
		of("voucher.modified", "m", "2026-01-01T10:00:00.5Z", "b2"),
		of("voucher.stopped", "s1", "2026-01-01T18:00:00.750+08:00", "b3"),
		of("voucher.appended", "s0", "2026-01-01T10:00:00.75Z", "b4"),
		of("voucher.stopped", "s2", "2026-01-01T10:00:00.75Z", "b3"),
		of("voucher.used", "u", "2027-01-01T10:00:00Z", "b5"),
	}
	card := of("card.open_result", "k1", "2026-01-01T10:00:00Z", "")
	card.Opened = true
	events = append(events, card, of("card.open_result", "k2", "2026-01-01T09:59:59.999Z", ""))
	want := state.State{
		Events: 7,
		Activities: map[string]state.Activity{"1/a": {
			Counts: map[string]int{"created": 1, "modified": 1, "appended": 1, "stopped": 1, "used": 1},
			LastID: "s2", LastTime: "2026-01-01T10:00:00.75Z", LastType: "voucher.stopped", Status: "stopped",
		}},
		Cards: map[string]state.Card{"1/a": {LastID: "k1", LastTime: "2026-01-01T10:00:00Z", Opened: true}},
	}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := open(t)
		var arriving []event.Event
		for _, i := range append(random.Perm(len(events)), random.Perm(len(events))...) {
			arriving = append(arriving, events[i])
		}
		for cut := 0; len(arriving) > 0; arriving = arriving[cut:] {
			cut = 1 + random.IntN(len(arriving))
			apply(t, s, arriving[:cut]...)
		}
		if got := dump(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v\nwant %+v", seed, got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoppedIsNotTheEnd(t *testing.T) {
	t.Parallel()
	s := open(t)
	apply(t, s, of("voucher.stopped", "1", "2026-01-01T00:00:00Z", "b1"), of("voucher.modified", "2", "2026-01-02T00:00:00Z", "b2"))
	if got := dump(t, s).Activities["1/a"]; got.Status != "active" || got.LastType != "voucher.modified" {
		t.Errorf("got %+v", got)
	}
}

func TestFileOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	e := of("voucher.used", "1", "2026-01-01T00:00:00Z", "b")
	for i, want := range []int{1, 0, 0} {
		s, err := state.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := apply(t, s, e); n != want {
			t.Errorf("start %d counted %d, want %d", i, n, want)
		}
		if i == 0 {
			if _, err := state.OpenReadOnly(path); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("a second process opened the file: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := state.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := dump(t, s); got.Events != 1 {
		t.Errorf("got %+v", got)
	}
	if _, err := s.Apply([]event.Event{e}); err == nil {
		t.Error("a file that is open for reading was written")
	}
}

// TestJSON fixes the form that dump prints: both examples print the same.
func TestJSON(t *testing.T) {
	t.Parallel()
	s := open(t)
	got := func() string {
		text, err := json.Marshal(dump(t, s))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if want := `{"activities":{},"cards":{},"events":0}`; got() != want {
		t.Errorf("got %s, want %s", got(), want)
	}
	apply(t, s, of("voucher.stopped", "1", "2026-01-01T00:00:00Z", "b"), of("card.open_result", "2", "2026-01-01T00:00:00Z", ""))
	want := `{"activities":{"1/a":{"counts":{"stopped":1},"last_id":"1","last_time":"2026-01-01T00:00:00Z","last_type":"voucher.stopped","status":"stopped"}},` +
		`"cards":{"1/a":{"last_id":"2","last_time":"2026-01-01T00:00:00Z","opened":false}},"events":2}`
	if got() != want {
		t.Errorf("got  %s\nwant %s", got(), want)
	}
}

func BenchmarkApply(b *testing.B) {
	s, err := state.Open(filepath.Join(b.TempDir(), "state"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const batch = 256
	for n := 0; b.Loop(); n++ {
		var events []event.Event
		for i := range batch {
			id := fmt.Sprint(n*batch + i)
			events = append(events, of("voucher.used", id, "2026-01-01T00:00:00Z", id))
		}
		if _, err := s.Apply(events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "events/s")
}
