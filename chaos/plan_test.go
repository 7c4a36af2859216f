package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// steps is what a plan says, without the functions, which nothing compares.
func steps(seed uint64, lasts time.Duration) map[string][]step {
	all := plan(seed, lasts)
	for _, track := range all {
		for i := range track {
			track[i].fault.run = nil
		}
	}
	return all
}

// A seed is the plan: a run that failed can be made again.
func TestPlanIsItsSeeds(t *testing.T) {
	t.Parallel()
	one, again, other := steps(7, time.Minute), steps(7, time.Minute), steps(8, time.Minute)
	if !reflect.DeepEqual(one, again) {
		t.Error("one seed makes two plans")
	}
	if reflect.DeepEqual(one, other) {
		t.Error("two seeds make one plan")
	}
	longer := steps(7, 10*time.Minute)
	for _, track := range tracks {
		if n := len(one[track]); n < 4 || !reflect.DeepEqual(longer[track][:n], one[track]) {
			t.Errorf("%s: a longer run of the seed does not begin like the shorter one", track)
		}
	}
}

// Every fault of a track comes before one comes again.
func TestPlanDealsTheWholeDeck(t *testing.T) {
	t.Parallel()
	for track, all := range plan(3, 10*time.Minute) {
		seen := map[string]bool{}
		for _, s := range all[:len(faultsOf(track))] {
			if seen[s.fault.name] {
				t.Errorf("%s: %s comes again before the others", track, s.fault.name)
			}
			seen[s.fault.name] = true
			if s.hold < s.fault.least || s.hold > s.fault.most {
				t.Errorf("%s lasts %v, want %v to %v", s.fault.name, s.hold, s.fault.least, s.fault.most)
			}
		}
	}
}

// What is broken, why a copy is allowed, and the stories stand in the document.
func TestDocumentIsComplete(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/CHAOS.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, f := range catalogue() {
		if !strings.Contains(text, "| "+f.name+" |") {
			t.Errorf("CHAOS.md has no row of %q", f.name)
		}
	}
	for _, class := range []string{classUnasked, classForgotten, classCrash, classRecreated} {
		if !strings.Contains(text, "| "+class+" |") {
			t.Errorf("CHAOS.md has no row of %q", class)
		}
	}
	for name := range scenarios {
		if !strings.Contains(text, "SCENARIO="+name) {
			t.Errorf("CHAOS.md does not tell of %s", name)
		}
	}
}

// What is done to one receiver is done to the other the next time, whatever the
// seed: a run in which chance has spared one of them would say little of it.
func TestBothReceiversAreHit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		l := &lab{options: options{seed: seed}, receivers: [2]*receiver{{unit: &unit{name: "one"}}, {unit: &unit{name: "two"}}}}
		seen := map[string]int{}
		for _, s := range plan(seed, 10*time.Minute)[trackReceivers] {
			if s.fault.name == "receiver killed" {
				b := &breaking{lab: l, nth: s.nth}
				seen[b.anyReceiver().name]++
			}
		}
		if seen["one"] < 2 || seen["two"] < 2 {
			t.Errorf("seed %d kills them %v times", seed, seen)
		}
	}
}
