package events

import (
	"bytes"
	"encoding/json"
	"testing"
)

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
		members, err := splitObject(data)
		var want map[string]json.RawMessage
		if json.Unmarshal(data, &want) != nil || want == nil {
			return // not a valid object: only that it did not panic is asked
		}
		if err != nil {
			if names := bytes.Count(data, []byte(":")); names <= len(want) {
				t.Fatalf("%s: %v, but no name can stand twice", data, err)
			}
			return
		}
		if len(members) != len(want) {
			t.Fatalf("%s: %d members, want %d", data, len(members), len(want))
		}
		for _, m := range members {
			if !bytes.Equal(m.value, want[m.name]) {
				t.Errorf("%s: member %q is %s, want %s", data, m.name, m.value, want[m.name])
			}
		}
		if !json.Valid(appendObject(nil, members)) {
			t.Errorf("%s: written back as %s, which is not JSON", data, appendObject(nil, members))
		}
	})
}
