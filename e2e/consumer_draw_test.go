//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// fact is what one notification says, as the test made it.
type fact struct {
	app, kind, key string
	id             string // ce-id; of a conflict it is not known, and decides nothing
	business       string // data.id
	at             time.Time
	opened         bool
}

// expect computes the state that the facts lead to, in whatever order they come.
// It is written apart from the examples: by what is latest, not by what comes next.
func expect(facts []fact) consumerState {
	want := consumerState{Activities: map[string]activityState{}, Cards: map[string]cardState{}}
	counted := map[[4]string]bool{}
	latest := map[string]fact{} // by app, entity and key
	for _, f := range facts {
		entity, action, _ := strings.Cut(f.kind, ".")
		key := f.app + "/" + f.key
		first := true
		if f.business != "" {
			mark := [4]string{f.app, f.kind, f.business}
			first, counted[mark] = !counted[mark], true
		}
		if first {
			want.Events++
		}
		if entity == "voucher" {
			a := want.Activities[key]
			if a.Counts == nil {
				a = activityState{Status: "active", Counts: map[string]int{}}
			}
			if first {
				a.Counts[action]++
			}
			want.Activities[key] = a
			if action == "received" || action == "used" || action == "expired" {
				continue
			}
		}
		last, there := latest[entity+"/"+key]
		if order := f.at.Compare(last.at); !there || order > 0 || order == 0 && f.id > last.id {
			latest[entity+"/"+key] = f
		}
	}
	for at, f := range latest {
		_, key, _ := strings.Cut(at, "/")
		text := f.at.UTC().Format(time.RFC3339Nano)
		if f.kind == "card.open_result" {
			want.Cards[key] = cardState{Opened: f.opened, LastTime: text, LastID: f.id}
			continue
		}
		a := want.Activities[key]
		a.LastType, a.LastTime, a.LastID = f.kind, text, f.id
		if f.kind == "voucher.stopped" {
			a.Status = "stopped"
		}
		want.Activities[key] = a
	}
	return want
}

// draw makes up n events, the order in which they are sent, and what follows of
// them. All chance comes from the seed.
func (s *scene) draw(t *testing.T, n int) {
	t.Helper()
	var keys []string
	for i := range max(8, n/250) {
		keys = append(keys, fmt.Sprintf("20260101008260%014d", i))
	}
	keys[0] = "活动 1%/x&y=<z>" // nothing of it may be a token of a subject, all of it is the key
	for _, app := range []string{appOne, appTwo} {
		for _, key := range keys {
			s.drawLast(t, app, key)
		}
	}
	for len(s.facts)-len(s.conflicts) < n {
		s.drawOne(t, keys)
	}
	for _, i := range s.random.Perm(n)[:n/20] {
		s.sends = append(s.sends, s.sends[i]) // delivered twice, as after an answer that Alipay did not get
	}
	s.random.Shuffle(len(s.sends), func(i, j int) { s.sends[i], s.sends[j] = s.sends[j], s.sends[i] })
}

// drawLast makes the last two changes of an activity, which decide its state: a
// pair of which a consumer takes the wrong one when it compares times as texts, or
// by the order of arrival, or does not look at the time of what it does not count.
func (s *scene) drawLast(t *testing.T, app, key string) {
	t.Helper()
	first := fact{app: app, key: key, kind: "voucher.stopped", business: "LAST_1_" + key, at: time.UnixMilli(1772323200000).UTC()}
	second := first
	switch s.random.IntN(3) {
	case 0: // ...:00.5Z is after ...:00Z
		second.kind, second.business, second.at = "voucher.modified", "LAST_2_"+key, first.at.Add(500*time.Millisecond)
	case 1: // at one instant: the ids decide
		second.kind, second.business = "voucher.modified", "LAST_2_"+key
	case 2: // one business event told twice, the second time of a later hour
		second.at = first.at.Add(time.Hour)
	}
	s.add(t, first)
	s.add(t, second)
}

// drawOne makes any event.
func (s *scene) drawOne(t *testing.T, keys []string) {
	t.Helper()
	actions := []string{"created", "modified", "appended", "stopped", "received", "used", "expired"}
	other := s.facts[s.random.IntN(len(s.facts))]
	f := fact{
		app: other.app, key: keys[s.random.IntN(len(keys))], kind: "voucher." + actions[s.random.IntN(len(actions))],
		business: fmt.Sprintf("BUSINESS_%d", len(s.facts)), at: time.UnixMilli(1767225600000 + s.random.Int64N(30*24*3600)*500).UTC(),
	}
	switch chance := s.random.IntN(100); {
	case chance < 10: // has neither id nor time of its own: the time of sending counts
		f.kind, f.business, f.opened = "card.open_result", "", s.random.IntN(2) == 0
		f.key, f.at = "00"+f.key[len(f.key)-4:], time.Now().Add(-time.Duration(s.random.IntN(72000))*time.Second).UTC().Truncate(time.Second)
	case chance < 15 && other.business != "": // a second notification of one business event
		f = other
	case chance < 20: // an id that comes again with other content
		f.kind = "voucher.received"
		s.conflicts = append(s.conflicts, s.notification(t, &f, other.id))
		s.facts = append(s.facts, f)
		return
	}
	s.add(t, f)
}

// add has a fact told by a notification.
func (s *scene) add(t *testing.T, f fact) {
	t.Helper()
	s.sends = append(s.sends, s.notification(t, &f, ""))
	s.facts = append(s.facts, f)
}

// notification makes the notification of a fact, and fills in its id. Some are
// encrypted, some signed under the other rule, some say their time as a number.
func (s *scene) notification(t *testing.T, f *fact, id string) *alipaytest.Notification {
	t.Helper()
	opts := alipaytest.Options{NotifyID: id, Rand: s.random}
	switch s.random.IntN(20) {
	case 0:
		opts.AESKey = s.apps[f.app].AESKey
	case 1:
		opts.Signing.Rule = alipaytest.DropSignType
	}
	n := s.apps[f.app].Notification(t, f.kind, opts)
	f.id = n.ID()
	if f.kind == "card.open_result" {
		n.SetPayload("biz_card_no", f.key)
		n.SetPayload("success", strconv.FormatBool(f.opened))
		n.Set("utc_timestamp", strconv.FormatInt(f.at.UnixMilli(), 10))
		return n
	}
	n.SetPayload("activity_id", f.key)
	n.SetPayload("id", f.business)
	n.SetPayload("event_time", strconv.FormatInt(f.at.UnixMilli(), 10))
	if s.random.IntN(10) == 0 {
		n.SetPayloadJSON("event_time", strconv.FormatInt(f.at.UnixMilli(), 10))
	}
	for _, name := range []string{"user_id", "receive_user_id", "voucher_code"} {
		if v := n.Payload(name); v != "" && len(s.secrets) < 500 {
			s.secrets = append(s.secrets, v)
		}
	}
	return n
}
