package stream_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"alipay-notify/internal/stream"
)

func TestHolds(t *testing.T) {
	f := newFixture(t)
	p := f.client.NewPublisher()
	publish(t, p, event(1))
	place := publish(t, p, event(2)).Place
	created, _, _ := strings.Cut(place, "/")
	mark := "/" + event(1).Fingerprint[:16]
	holds := func(place string, want bool) {
		t.Helper()
		if got, err := p.Holds(t.Context(), place); got != want || err != nil {
			t.Errorf("%q: got %v, %v", place, got, err)
		}
	}
	holds(place, true)
	holds(created+"/1"+mark, true)
	// The stream was restored to an earlier state and has grown past what it
	// lost: another event stands at the sequence that Redis remembers. Only the
	// sequence was compared once, and the lost event was called a duplicate.
	holds(created+"/1/"+strings.Repeat("f", 16), false)
	// The stream is at 2: whoever was at 3 saw another one, before a restore.
	holds(created+"/3"+mark, false)
	for _, garbage := range []string{"", "/", "2", created, created + "/", "/2", created + "/-1", created + "/2", created + "/2/3/4", created + "/x", "x/2", " " + place, place + "\n",
		created + "/" + strings.Repeat("9", 30)} {
		holds(garbage, false)
	}

	config := golden()[0]
	if err := f.js.DeleteStream(t.Context(), stream.Events); err != nil {
		t.Fatal(err)
	}
	holds(place, false)
	if _, err := f.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		publish(t, p, event(n))
	}
	holds(place, false)
	if got := publish(t, p, event(3)); !got.Duplicate {
		t.Errorf("%+v", got)
	} else if at := strings.Split(got.Place, "/")[1]; at != strconv.Itoa(3) {
		t.Errorf("place %q", got.Place)
	} else {
		holds(got.Place, true) // the publisher has learnt of the new stream
	}
}

func TestFingerprintOfNoMessage(t *testing.T) {
	f := newFixture(t)
	if got, err := f.client.NewPublisher().Fingerprint(t.Context(), 7); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("got %q, %v", got, err)
	}
}
