package openapi

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Gateway is one of Alipay's two protocols.
type Gateway string

// The protocols. The same parameters go through either; the operation table says
// where each belongs.
const (
	V3 Gateway = "v3" // REST below /v3
	V2 Gateway = "v2" // gateway.do
)

// Effect tells reads from writes.
type Effect string

// The effects.
const (
	Read  Effect = "read"
	Write Effect = "write"
)

// Operation is one row of the operation table: what Alipay's documents say of a
// method (5.1 to 5.5), as far as a client needs it.
type Operation struct {
	Method string // Alipay's name
	Title  string // and what it calls it
	Verb   string // of v3
	Path   string // of v3; {name} is replaced by the parameter
	Effect Effect
	Repeat string // the field that makes a repeat harmless: same number and parameters, same result
	Causes string // the entity.action of the notification that follows success, or nothing
	Fields []Field
	Either [][]string // of each group at least one is needed
	OnlyOf []string   // of these exactly one is needed
	Errors []string   // business codes
}

// Field is a parameter. Fields of blocks have a dotted name, and are required
// where the block is there.
type Field struct {
	Name     string
	Required bool
	Max      int   // characters; 0: not documented
	Most     int64 // the largest number, or the most items of a list; 0: not documented
	public   bool  // a public parameter of gateway.do, not part of biz_content
	token    bool  // a user's token: public too, in the query of v3, and never shown
}

func need(name string, chars int) Field { return Field{Name: name, Required: true, Max: chars} }

func may(name string, chars int) Field { return Field{Name: name, Max: chars} }

func most(f Field, n int64) Field {
	f.Most = n
	return f
}

// others are fields of which only the name is known.
func others(names string) []Field {
	var fields []Field
	for name := range strings.FieldsSeq(names) {
		fields = append(fields, Field{Name: name})
	}
	return fields
}

// inPath finds the parameters of a path.
var inPath = regexp.MustCompile(`\{([a-z_]+)\}`)

// bodyless tells verbs whose parameters go into the query.
func bodyless(verb string) bool { return verb == "GET" || verb == "DELETE" }

// Operations is the whole table, by method.
func Operations() []Operation {
	return slices.SortedFunc(maps.Values(table), func(a, b Operation) int { return strings.Compare(a.Method, b.Method) })
}

// Lookup finds a method in the table.
func Lookup(method string) (Operation, bool) {
	op, ok := table[method]
	return op, ok
}

// knows tells whether the documents name a parameter at the top level.
func (op Operation) knows(name string) bool {
	return slices.ContainsFunc(op.Fields, func(f Field) bool { return f.Name == name })
}

// effectByName guesses for methods that the table does not have: Alipay's names
// end in what they do, and what only asks says query.
func effectByName(method string) Effect {
	if strings.Contains(method[strings.LastIndexByte(method, '.')+1:], "query") {
		return Read
	}
	return Write
}

// nearest is the method of the table that is spelt most alike, if one is near.
func nearest(method string) string {
	best, least := "", 1+len(method)/4
	for _, op := range Operations() {
		if d := distance(method, op.Method); d < least {
			best, least = op.Method, d
		}
	}
	return best
}

// distance is the number of changes of one byte between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
