package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	// Key is the place: a key's path such as apps[0].app_id, the file when it
	// could not be read, or the name of an environment variable.
	Key string `json:"key"`
	// What is wrong and why it matters, on one line and without the value.
	What string `json:"what"`
}

func (p Problem) String() string { return p.Key + ": " + p.What }

// Problems is everything that is wrong with the configuration, as an error:
// first what could not be read, then what cannot work.
type Problems []Problem

// Error is all problems, one a line.
func (p Problems) Error() string { return strings.Join(p.Lines(), "\n") }

// Lines is all problems as text, one string each and none with a line break.
func (p Problems) Lines() []string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return lines
}

// add notes one problem.
func (p *Problems) add(key, format string, args ...any) {
	*p = append(*p, Problem{Key: key, What: fmt.Sprintf(format, args...)})
}

// err is p as an error, and a plain nil when there is nothing wrong.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// without leaves out what is only a consequence of others: a value that could
// not be read is not also reported as missing.
func (p Problems) without(others Problems) Problems {
	var rest Problems
	for _, problem := range p {
		if !others.touch(problem.Key) {
			rest = append(rest, problem)
		}
	}
	return rest
}

// touch tells whether one of the problems is at key, above it, or below it.
func (p Problems) touch(key string) bool {
	for i := range p {
		if within(p[i].Key, key) || within(key, p[i].Key) {
			return true
		}
	}
	return false
}

// within tells whether key is outer or a part of it.
func within(key, outer string) bool {
	rest, ok := strings.CutPrefix(key, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
