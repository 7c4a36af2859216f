package explain

import (
	"iter"
	"slices"
	"strings"

	"alipay-notify/internal/verify"
)

// with gives the fields with one value replaced.
func (r repairable) with(i int, value string) []verify.Field {
	out := slices.Clone(r.fields)
	out[i].Value = value
	return out
}

func (r repairable) find(name string) int {
	return slices.IndexFunc(r.fields, func(f verify.Field) bool { return f.Name == name })
}

// without gives the fields whose place is not marked.
func (r repairable) without(drop func(i int) bool) []verify.Field {
	out := make([]verify.Field, 0, len(r.fields))
	for i, f := range r.fields {
		if !drop(i) {
			out = append(out, f)
		}
	}
	return out
}

// changing makes a repair of functions on a value: each of them on all values
// at once, and then on each alone.
func changing(functions ...func(string) string) func(repairable) iter.Seq[variant] {
	return func(r repairable) iter.Seq[variant] {
		return func(yield func(variant) bool) {
			for _, f := range functions {
				if !applied(r, f, true, yield) {
					return
				}
			}
		}
	}
}

// eachChanged is changing for damage that is never done to all values alike.
func eachChanged(functions ...func(string) string) func(repairable) iter.Seq[variant] {
	return func(r repairable) iter.Seq[variant] {
		return func(yield func(variant) bool) {
			for _, f := range functions {
				if !applied(r, f, false, yield) {
					return
				}
			}
		}
	}
}

// changingJSON is changing for values that look like JSON.
func changingJSON(functions ...func(string) string) func(repairable) iter.Seq[variant] {
	var guarded []func(string) string
	for _, f := range functions {
		guarded = append(guarded, func(s string) string {
			if !looksJSON(s) {
				return s
			}
			return f(s)
		})
	}
	return changing(guarded...)
}

func looksJSON(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s != "" && (s[0] == '{' || s[0] == '[')
}

func applied(r repairable, f func(string) string, together bool, yield func(variant) bool) bool {
	all := slices.Clone(r.fields)
	var changed []int
	for i := range all {
		if all[i].Name == "sign" {
			continue
		}
		if v := f(all[i].Value); v != all[i].Value {
			all[i].Value = v
			changed = append(changed, i)
		}
	}
	switch {
	case len(changed) == 0:
		return true
	case len(changed) == 1:
		return yield(variant{fields: all, field: all[changed[0]].Name, wide: true})
	case together && !yield(variant{fields: all, wide: true}):
		return false
	}
	for _, i := range changed {
		if !yield(variant{fields: r.with(i, all[i].Value), field: all[i].Name}) {
			return false
		}
	}
	return true
}

// renaming makes a repair of a function on a name.
func renaming(f func(string) string) func(repairable) iter.Seq[variant] {
	return func(r repairable) iter.Seq[variant] {
		return func(yield func(variant) bool) {
			out := slices.Clone(r.fields)
			for i := range out {
				out[i].Name = f(out[i].Name)
			}
			if !slices.Equal(out, r.fields) {
				yield(variant{fields: out, wide: true})
			}
		}
	}
}

// maxSubset bounds the places of which every selection is tried.
const maxSubset = 8

// subsets gives the selections of n places: all, each alone, then the others
// while n is small.
func subsets(n int) iter.Seq[func(int) bool] {
	return func(yield func(func(int) bool) bool) {
		if n == 0 || !yield(func(int) bool { return true }) || n == 1 {
			return
		}
		for k := range n {
			if !yield(func(i int) bool { return i == k }) {
				return
			}
		}
		if n > maxSubset {
			return
		}
		for mask := 3; mask < 1<<n-1; mask++ {
			if mask&(mask-1) != 0 && !yield(func(i int) bool { return mask>>i&1 == 1 }) {
				return
			}
		}
	}
}

// spot is one byte of one field.
type spot struct{ field, at int }

// plusLost turns spaces into '+': all of them, all of one field, and selections.
// Times hold a space of their own.
func plusLost(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		plus := func(s string) string {
			if isTime(s) {
				return s
			}
			return strings.ReplaceAll(s, " ", "+")
		}
		if !applied(r, plus, true, yield) {
			return
		}
		var spots []spot
		for i, f := range r.fields {
			for at := 0; f.Name != "sign" && !isTime(f.Value) && len(spots) <= maxSpots; at++ {
				next := strings.IndexByte(f.Value[at:], ' ')
				if next < 0 {
					break
				}
				at += next
				spots = append(spots, spot{i, at})
			}
		}
		if len(spots) > maxSpots {
			return
		}
		for chosen := range subsets(len(spots)) {
			fields := slices.Clone(r.fields)
			for k, s := range spots {
				if chosen(k) {
					v := fields[s.field].Value
					fields[s.field].Value = v[:s.at] + "+" + v[s.at+1:]
				}
			}
			if !yield(variant{fields: fields}) {
				return
			}
		}
	}
}

// maxSpots bounds the spaces that are looked at one by one.
const maxSpots = 64

// isTime tells a time as Alipay writes it: yyyy-MM-dd HH:mm:ss.
func isTime(s string) bool {
	return len(s) >= 19 && len(s) <= 23 && s[4] == '-' && s[7] == '-' && s[10] == ' ' && s[13] == ':' && s[16] == ':'
}

// edges are what trimming takes away, the likeliest first.
var edges = []struct{ before, after string }{
	{"", " "}, {" ", ""}, {"", "\n"}, {"", "\r\n"}, {"\n", ""}, {"", "\t"}, {"\t", ""}, {" ", " "},
}

// untrimmed puts white space back, at one edge of one field.
func untrimmed(r repairable) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		for _, e := range edges {
			for i, f := range r.fields {
				if f.Name != "sign" && !yield(variant{fields: r.with(i, e.before+f.Value+e.after), field: f.Name}) {
					return
				}
			}
		}
	}
}
