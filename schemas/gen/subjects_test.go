package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// address finds out whether a subject has the form of a channel's address.
func address(text string) *regexp.Regexp {
	pattern := regexp.MustCompile(`\\\{[A-Za-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(text), `[A-Za-z0-9_-]{1,128}`)
	return regexp.MustCompile("^" + pattern + "$")
}

// Every event that can be made is on a subject of a channel that has its message,
// whatever its ids are; and of the channels of kinds it is on its own alone.
func TestSubjectsAreDescribed(t *testing.T) {
	t.Parallel()
	channels := at(t, document(t), "channels")
	for name, e := range everyForm(t) {
		var on []string
		for id, c := range channels {
			if address(at(t, c)["address"].(string)).MatchString(e.Subject) {
				on = append(on, id)
			}
		}
		slices.Sort(on)
		_, known := events.OtherByMethod(e.Type)
		want := []string{e.Kind}
		if strings.HasPrefix(e.Kind, "other.") {
			want = []string{"other"}
			if known {
				want = append(want, e.Kind)
			}
		}
		if !slices.Equal(on, want) {
			t.Errorf("%s: %s is on the channels %v, want %v", name, e.Subject, on, want)
		}
		replay := address(at(t, channels, "replays")["address"].(string))
		if s := replaySubject(consumer, e.Subject); !replay.MatchString(s) {
			t.Errorf("%s: %s is not on the channel of replays", name, s)
		}
	}
}

// Channels and streams are those of the layout, in both directions.
func TestStreamsAreTheLayout(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range at(t, document(t), "channels") {
		got = append(got, at(t, c)["x-stream"].(string))
	}
	slices.Sort(got)
	got = slices.Compact(got)
	var want []string
	for _, name := range stream.NewLayout(stream.LayoutOptions{}).Names() {
		if !strings.HasPrefix(name, "KV_") { // nobody subscribes to a bucket
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document has %v, the layout %v", got, want)
	}
}

// The replays' channel and that of inferred events take every kind.
func TestReplaysTakeEveryMessage(t *testing.T) {
	t.Parallel()
	doc := document(t)
	replays := at(t, doc, "channels", "replays", "messages")
	for id, c := range at(t, doc, "channels") {
		if at(t, c)["x-stream"] == stream.Events && replays[id] == nil {
			t.Errorf("%s cannot be replayed", id)
		}
	}
	payload := at(t, doc, "components", "messages", "inferred", "payload")
	if n := len(payload["anyOf"].([]any)); n != len(events.Kinds()) {
		t.Errorf("inferred events have %d kinds, the catalogue %d", n, len(events.Kinds()))
	}
}

// NATS's advisories are the server's: its own types read the examples whole.
func TestAdvisoriesAreNATS(t *testing.T) {
	t.Parallel()
	messages := at(t, document(t), "components", "messages")
	for name, typed := range map[string]any{
		"dlq.max_deliveries": &server.JSConsumerDeliveryExceededAdvisory{},
		"dlq.terminated":     &server.JSConsumerDeliveryTerminatedAdvisory{},
	} {
		for _, x := range at(t, messages, name)["examples"].([]any) {
			text, err := json.Marshal(at(t, x, "payload"))
			if err != nil {
				t.Fatal(err)
			}
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(typed); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			again, err := json.Marshal(typed)
			if err != nil {
				t.Fatal(err)
			}
			var fields map[string]any
			if err := json.Unmarshal(again, &fields); err != nil {
				t.Fatal(err)
			}
			for field := range fields {
				if at(t, messages, name, "payload", "properties")[field] == nil {
					t.Errorf("%s: %s is not described", name, field)
				}
			}
		}
	}
}
