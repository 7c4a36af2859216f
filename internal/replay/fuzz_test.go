package replay_test

import (
	"strings"
	"testing"

	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
)

// FuzzSelection: whatever somebody writes, it is refused, or its filter has the
// shape of a subject, with a wildcard only where nothing was selected; and it
// lets through exactly the subject of an event that has what was selected.
func FuzzSelection(f *testing.F) {
	f.Add("2021000000000001", "voucher.created", "2026080100", "n-1", "2h", "1h", "1-9", 3)
	f.Add("*", "other.*", "a.> *", "n~1", "7d12h", "2026-08-01", "5-", 0)
	f.Add("", "", ">", "", "2026-08-01T00:00:00+08:00", "", "", -1)
	f.Fuzz(func(t *testing.T, app, typ, key, id, since, until, seq string, limit int) {
		raw := replay.RawSelection{App: app, Type: typ, Key: key, ID: id, Since: since, Until: until, Seq: seq, Limit: limit}
		s, err := replay.ParseSelection(raw, now)
		if err != nil {
			if s != (replay.Selection{}) || err.Error() == "" {
				t.Errorf("an error beside %+v", s)
			}
			return
		}
		if (since != "") == s.Since.IsZero() || (until != "") == s.Until.IsZero() || (seq != "") == (s.FirstSeq == 0) {
			t.Errorf("%+v selects more than %+v", s, raw)
		}
		checkFilter(t, s)
	})
}

func checkFilter(t *testing.T, s replay.Selection) {
	filter := s.Filters(events.SubjectRoot)[0]
	if filter == "alipay.events.>" {
		if s.App != "" || s.Type != "" || s.Key != "" {
			t.Errorf("%+v selects everything", s)
		}
		return
	}
	entity, action, _ := strings.Cut(s.Type, ".")
	if action == "*" {
		action = ""
	}
	subject := strings.Split(events.Subject(s.App, entity+"."+action, s.Key), ".")
	tokens := strings.Split(filter, ".")
	if len(tokens) != len(subject) {
		t.Fatalf("%q has %d tokens", filter, len(tokens))
	}
	for i, value := range []string{s.App, entity, action, s.Key} {
		want := subject[2+i]
		if value == "" {
			want = "*"
		}
		if tokens[2+i] != want {
			t.Errorf("%q: token %q, want %q", filter, tokens[2+i], want)
		}
	}
}
