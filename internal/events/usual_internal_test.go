package events

import (
	"encoding/json"
	"strings"
	"testing"
)

// usual is what must be known without the library, or looking for it would be for
// nothing.
var usual = []string{
	`{}`, `{"a":[]}`, `{"a":{}}`, `{"a":"b"}`, `{"a":"/誠%"}`, `{"":""}`, "{\"a\":\"\x7f\xff\"}",
	`{"activity_id":"2023071400826004501234","amount":-0.10,"count":12,"zero":0,"minus":-0,"on":true,"off":false,"none":null}`,
	`{"list":[{"a":[1,2.5,["x"]],"b":{"c":[{}]}},"d"],"e":[[],[[]]]}`,
	`{"a":` + strings.Repeat("[", mostUsualDepth-1) + strings.Repeat("]", mostUsualDepth-1) + `}`,
}

// notUsual is left to the library, which finds some of it valid.
var notUsual = []string{
	``, `{`, `}`, `[]`, `"a"`, `1`, ` {}`, `{} `, `{}{}`, `{"a": 1}`, `{"a" :1}`, `{"a":1 }`, `{"a":"\n"}`, `{"a":"\u0061"}`, "{\"a\":\"\n\"}", "{\"a\n\":1}",
	`{"a":1e5}`, `{"a":1E+5}`, `{"a":01}`, `{"a":-}`, `{"a":-01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1.2.3}`, `{"a":0x1}`,
	`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1,"b"}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[,]}`, `{"a":[1}`, `{"a":[1}]`, `{"a":{"b":1]`, `{a:1}`, `{'a':1}`,
	`{"a":nul}`, `{"a":nulll}`, `{"a":True}`, `{"a":"b}`, `{"a":"b"`, `{"a":"b"c}`, `{"a`, `{1:2}`,
	`{"a":` + strings.Repeat("[", mostUsualDepth) + strings.Repeat("]", mostUsualDepth) + `}`,
}

func TestUsualObject(t *testing.T) {
	t.Parallel()
	for _, text := range usual {
		if !json.Valid([]byte(text)) || !usualObject(text) {
			t.Errorf("%s is not usual", text)
		}
	}
	for _, text := range notUsual {
		if usualObject(text) {
			t.Errorf("%s is usual", text)
		}
	}
}

// Whatever is one byte away from what is usual is valid, too, or is not usual.
func TestUsualObjectByteByByte(t *testing.T) {
	t.Parallel()
	for _, text := range usual {
		for i := range len(text) {
			check := func(changed string) {
				if usualObject(changed) && !json.Valid([]byte(changed)) {
					t.Errorf("%q is usual, and is not valid", changed)
				}
			}
			check(text[:i] + text[i+1:])
			check(text[:i])
			for b := range 256 {
				check(text[:i] + string([]byte{byte(b)}) + text[i+1:])
				check(text[:i] + string([]byte{byte(b)}) + text[i:])
			}
		}
	}
}

// FuzzUsualObject holds that the library finds valid whatever is usual.
func FuzzUsualObject(f *testing.F) {
	for _, text := range append(usual, notUsual...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if usualObject(text) && (!json.Valid([]byte(text)) || text[0] != '{') {
			t.Errorf("%q is usual, and is not valid", text)
		}
	})
}
