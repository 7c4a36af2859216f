package dedupe

import (
	"context"
	"crypto/rand"
	"regexp"

	"github.com/redis/go-redis/v9"
)

// probeScript does what claims, commits and releases do, to a key that nobody has,
// and stores nothing: SET ... XX leaves a free key free. Before that the server
// has looked whether it takes writes (a replica, or one whose memory is full, does
// not) and whether this login may do all three.
var probeScript = redis.NewScript(`
redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], '', 'XX', 'PX', 1)
redis.call('DEL', KEYS[1])
return 1
`)

// Probe tells whether a claim would be taken now; nil says yes. It stores nothing.
// PING is not enough: a replica answers it, and so does a server that is full. Of a
// cluster it asks one master, another one each time.
func Probe(ctx context.Context, client redis.Scripter) error {
	return probeScript.Run(ctx, client, []string{Key("probe", rand.Text())}).Err()
}

// refusalCode is how a server says why: READONLY, OOM, NOPERM, ...
var refusalCode = regexp.MustCompile(`\b[A-Z]{3,}\b`)

// Refusal gives the code with which a server said no, which is all of an error that
// a stranger may read, or nothing where none answered.
func Refusal(err error) string {
	if !refused(err) {
		return ""
	}
	for _, c := range refusalCode.FindAllString(err.Error(), -1) {
		if c != "ERR" { // which servers before 7 put before what a script met
			return c
		}
	}
	return "ERR"
}
