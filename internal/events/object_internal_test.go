package events

import (
	"encoding/json"
	"testing"
)

// A name that stands a thousand times is gathered in one go: for a while each value was
// a copy of all before it, and a form of 240 KB took half a second.
func TestGatherIsLinear(t *testing.T) { // not parallel: it counts what is allocated
	members := make([]member, 2000)
	for i := range members {
		members[i] = newMember("a", "1")
	}
	if out := gather(members); len(out) != 1 || len(out[0].value) != 2*len(members)+1 || !json.Valid([]byte(out[0].value)) {
		t.Fatalf("%d members, the first has %d bytes", len(out), len(out[0].value))
	}
	if n := testing.AllocsPerRun(1, func() { gather(members) }); n > 50 {
		t.Errorf("%v allocations for %d values", n, len(members))
	}
}

// FuzzSplitObject holds our one-pass walk against the library's reading: of an
// object that the library finds valid, each member's name and value must come
// out the same, and no text at all may make it panic.
func FuzzSplitObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":"b\"}","c":[1,{"d":"]"}],"e":{"f":null}}`, `{"a\u0062":tRue}`, "{\"a\" :\t1e400\r\n, \"b\":-0.10}",
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[1]`, `{"a"}`, `{"a":}`, `{"a":"`, `{"a":"\`, `{,}`, `{"a":1,}`, `{"a":1]`, `"`, `{"`, `{"誠":"\\"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, repeated, err := splitObject(nil, string(data))
		var want map[string]json.RawMessage
		if json.Unmarshal(data, &want) != nil || want == nil {
			return // not a valid object: only that it did not panic is asked
		}
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if len(members) != len(want)+len(repeated) {
			t.Fatalf("%s: %d members of which %d are repeated, want %d", data, len(members), len(repeated), len(want))
		}
		last := make(map[string]string) // what the library takes of a repeated name
		for _, m := range members {
			last[m.name] = m.value
		}
		for name, value := range want {
			if string(value) != last[name] {
				t.Errorf("%s: member %q is %s, want %s", data, name, last[name], value)
			}
		}
		if gathered := gather(members); len(gathered) != len(want) || !json.Valid(appendObject(nil, gathered)) {
			t.Errorf("%s: %d names gathered to %s", data, len(want), appendObject(nil, gathered))
		}
		if !json.Valid(appendObject(nil, members)) {
			t.Errorf("%s: written back as %s, which is not JSON", data, appendObject(nil, members))
		}
	})
}
