package audit

import (
	"cmp"
	"crypto/rand"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxText bounds a reason, an error and a parameter in a record, in bytes.
const maxText = 500

// maxName bounds names in a record: of persons, hosts, verbs and apps, in bytes.
const maxName = 128

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Consent is what the operator said beside the verb. The zero Consent is a dry run.
type Consent struct {
	Execute bool   // --execute
	Reason  string // --reason: why, for whoever reads the trail; at most 500 bytes
	Expect  *int   // --expect: how many items the operator expects; nil when not said
	As      string // --as: who asks; empty is the user the operating system knows
	Job     string // --job: the job to resume; empty begins a new one
}

// check says whether the consent is whole (Usage) and covers the plan (Declined).
func (c Consent) check(p Plan) error {
	switch {
	case isBlank(c.Reason):
		return errorf(Usage, "%s: a reason is needed to execute", p.Verb)
	case len(c.Reason) > maxText:
		return errorf(Usage, "%s: the reason has %d bytes, at most %d", p.Verb, len(c.Reason), maxText)
	case c.As != "" && (isBlank(c.As) || len(c.As) > maxName):
		return errorf(Usage, "%s: the operator's name is blank or over %d bytes", p.Verb, maxName)
	case c.Job != "" && !jobName.MatchString(c.Job):
		// Made to fit, it could become the name of another job.
		return errorf(Usage, "%s: %q is not the name of a job", p.Verb, c.Job)
	case c.Expect != nil && *c.Expect < 0:
		return errorf(Usage, "%s: %d items cannot be expected", p.Verb, *c.Expect)
	case c.Expect != nil && *c.Expect != p.Items:
		return errorf(Declined, "%s: %d items were expected, the plan has %d", p.Verb, *c.Expect, p.Items)
	case c.Expect == nil && p.NeedsExpect():
		return errorf(Declined, "%s: %d items are more than %d: the expected number must be given",
			p.Verb, p.Items, MaxWithoutExpect)
	}
	return nil
}

// Person is who is at work, as far as the operating system knows.
type Person struct {
	Name string // the user
	Host string // the machine
}

func (p Person) String() string { return p.Name + "@" + p.Host }

// Operator finds who runs this process. It never fails: where a name is not to
// be had (a container without the user in its passwd file) it says the user's
// number, and else "unknown".
func Operator() Person {
	var p Person
	if u, err := user.Current(); err == nil {
		p.Name = u.Username
	}
	if p.Name == "" {
		p.Name = cmp.Or(os.Getenv("USER"), os.Getenv("LOGNAME"), os.Getenv("USERNAME"))
	}
	if id := os.Getuid(); p.Name == "" && id >= 0 {
		p.Name = "uid-" + strconv.Itoa(id)
	}
	p.Host, _ = os.Hostname()
	return Person{Name: cmp.Or(p.Name, "unknown"), Host: cmp.Or(p.Host, "unknown")}
}

// NewJobID makes a name for a job: in lower case, sorted by time to the second,
// and not to be had twice, as "20260102t150405-k5u2n7cwq3txm4zb".
func NewJobID(now time.Time) string {
	return now.UTC().Format("20060102t150405") + "-" + strings.ToLower(rand.Text()[:16])
}
