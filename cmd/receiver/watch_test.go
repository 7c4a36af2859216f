package main

import (
	"errors"
	"testing"
)

// A balancer that sees one bad look in passing must not take the receiver out,
// and one that comes and goes must not send it requests in between.
func TestDamper(t *testing.T) {
	away := errors.New("away")
	for _, tt := range []struct{ looks, ready string }{
		{"gggg", "yyyy"},
		{"gbg", "yyy"},
		{"gbgbgbg", "yyyyyyy"},
		{"gbb", "yyn"},
		{"bbgggg", "ynnnyy"},
		{"bbggbggg", "ynnnnnny"},
		{"bbgbgbgggb", "ynnnnnnnyy"},
	} {
		var d damper
		for i, look := range tt.looks {
			var why error
			if look == 'b' {
				why = away
			}
			if ready := d.see(why) == nil; ready != (tt.ready[i] == 'y') {
				t.Errorf("%s: after %s ready is %v", tt.looks, tt.looks[:i+1], ready)
			}
		}
	}
}
