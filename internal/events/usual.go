package events

import "strings"

// mostUsualDepth is how deep what Alipay writes is nested, and more.
const mostUsualDepth = 16

// usualObject tells whether text is one complete JSON object of the kind that Alipay
// writes: without blanks between its parts, escapes in its strings and exponents in
// its numbers. Whatever it says yes to is valid. To everything else it says no, and
// the library has to be asked, which takes three times as long and was most of what
// typing an event costs.
func usualObject(text string) bool {
	return strings.HasPrefix(text, "{") && usualValue(text, 0, mostUsualDepth) == len(text)
}

// usualValue gives where the value that begins at a place ends, or -1.
func usualValue(s string, at, depth int) int {
	switch c := byteAt(s, at); {
	case c == '"':
		return usualText(s, at)
	case c == '{' || c == '[':
		return usualList(s, at, depth-1)
	case c == '-' || digit(c):
		return usualNumber(s, at)
	}
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(s[at:], word) {
			return at + len(word)
		}
	}
	return -1
}

// usualList is usualValue of an object or an array.
func usualList(s string, at, depth int) int {
	named, end := s[at] == '{', s[at]+2 // '}' and ']' are two behind their counterparts
	if depth < 0 {
		return -1
	}
	if at++; byteAt(s, at) == end {
		return at + 1
	}
	for ; ; at++ {
		if named {
			if at = usualText(s, at); at < 0 || byteAt(s, at) != ':' {
				return -1
			}
			at++
		}
		if at = usualValue(s, at, depth); at < 0 {
			return -1
		}
		switch byteAt(s, at) {
		case end:
			return at + 1
		case ',':
		default:
			return -1
		}
	}
}

// endsUsualText are the bytes that end a string, or make it an unusual one.
var endsUsualText = func() (set [256]bool) {
	for c := range ' ' {
		set[c] = true
	}
	set['"'], set['\\'] = true, true
	return set
}()

// usualText is usualValue of a string.
func usualText(s string, at int) int {
	if byteAt(s, at) != '"' {
		return -1
	}
	for at++; at < len(s); at++ {
		if c := s[at]; !endsUsualText[c] {
			continue
		} else if c == '"' {
			return at + 1
		}
		return -1
	}
	return -1
}

// usualNumber is usualValue of a number. It ends before an exponent, where nobody
// expects one.
func usualNumber(s string, at int) int {
	if s[at] == '-' {
		at++
	}
	begin := at
	if at = pastDigits(s, at); at == begin || s[begin] == '0' && at > begin+1 {
		return -1
	}
	if byteAt(s, at) == '.' {
		begin = at + 1
		if at = pastDigits(s, begin); at == begin {
			return -1
		}
	}
	return at
}

// pastDigits gives where those that begin at a place end.
func pastDigits(s string, at int) int {
	for at < len(s) && digit(s[at]) {
		at++
	}
	return at
}

// byteAt gives 0 behind the end, which nobody looks for.
func byteAt(s string, at int) byte {
	if at < len(s) {
		return s[at]
	}
	return 0
}
