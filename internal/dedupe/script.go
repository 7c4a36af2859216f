package dedupe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts do one step for each of the KEYS, on Redis 6 and later and on
// Valkey: a single key where calls go alone, several where they share a round
// trip. One script call for ten keys costs Redis a third of ten script calls.
//
// ARGV[1] is an expiry in milliseconds. Two more belong to each key: our lease
// value, in which the random token is, and something that depends on the script.
// Values are compared whole and never parsed here. The answer is a list, with
// for each key
//
//	1       it is as the script wants it
//	0       the key holds something that is not even a string
//	string  what is there instead, and was left alone
//
// Each can be repeated without harm, because it takes its own outcome for
// success: the client may send it again when an answer was lost, and so do we
// when Redis refuses to do several keys at once. They begin with the same lines.
// pcall, because GET fails on another type, and how that looks from outside of
// the script differs between servers.
const eachKey = `
local function read(key)
  local v = redis.pcall('GET', key)
  if type(v) == 'table' and v.err and string.find(v.err, 'WRONGTYPE', 1, true) then return 0 end
  return v
end
local function write(key, value) redis.call('SET', key, value, 'PX', ARGV[1]) end
local said = {}
for i, key in ipairs(KEYS) do
  local lease, other = ARGV[2 * i], ARGV[2 * i + 1]
`

const sayEach = `
  said[i] = v
end
return said
`

var (
	// claimScript takes the key when it is free, when the claim is ours already
	// (the answer to a first sending was lost; the lease starts anew, which is
	// nobody's loss), or when it holds exactly the commit "other", of which the
	// caller knows that its place is gone. Anything else is another's: a lease, or
	// a commit that was made since the caller looked.
	claimScript = redis.NewScript(eachKey + `
  local v = read(key)
  if not v or v == lease or (other ~= '' and v == other) then
    write(key, lease)
    v = 1
  end
` + sayEach)

	// commitScript replaces our lease by the commit "other".
	//
	// With no value there our lease ran out and nobody took the key, or whoever
	// took it gave it back, or Redis lost its keys, or the claim never arrived:
	// in each case the event is stored, so the commit is true, and no claim is
	// overwritten. With that very commit there it is done already.
	//
	// Another's lease stays: its holder will publish, learn that the event is
	// stored, and commit that. Another's commit stays: it is as true as ours, or
	// Holds will show that it is not.
	commitScript = redis.NewScript(eachKey + `
  local v = read(key)
  if not v or v == lease or v == other then
    write(key, other)
    v = 1
  end
` + sayEach)

	// releaseScript deletes our lease and nothing else. With no value there, there
	// is nothing to release.
	releaseScript = redis.NewScript(eachKey + `
  local v = read(key)
  if v == lease then redis.call('DEL', key) end
  if not v or v == lease then v = 1 end
` + sayEach)
)

// operation is a script with the expiry that it sets, once as the scripts take it.
type operation struct {
	script *redis.Script
	expiry string
	ttl    time.Duration
}

// call is one step of the protocol on one key.
type call struct {
	op           *operation
	key          string
	lease, other string
	ahead        Ahead // of a claim, or nil
}

// simple tells whether SET ... NX may do: nearly every claim finds its key free,
// and a script costs Redis half as much again. Where the key is not free, that says
// nothing yet (the answer to a first sending may have been lost), and the script is
// asked.
func (c *call) simple() bool { return c.op.script == claimScript && c.other == "" }

// errTaken goes with the error of a claim whose key was found taken: it may be ours,
// by a sending whose answer was lost and that the client repeated.
var errTaken = errors.New("the key was not free")

// claimed is the answer of a step that was done.
const claimed = int64(1)

// begun is claimed, where what waited for the claim has begun.
type begun struct{}

// answer is what a script said of a key.
type answer struct {
	done  bool   // the key is as the script wants it
	begun bool   // and call.ahead has begun
	raw   string // otherwise what is there,
	value value  // decoded
}

// call does one step. Every error means that Redis was not effectively asked: no
// answer within the timeout, or a refusal (OOM, READONLY, LOADING, CLUSTERDOWN,
// NOAUTH, NOPERM, ...), which for our purpose is the same.
func (r *Redis) call(ctx context.Context, c call) (answer, error) {
	reply, err := r.eval.eval(ctx, c)
	return newAnswer(reply, err)
}

func newAnswer(reply any, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	switch reply := reply.(type) {
	case int64:
		return answer{done: reply == claimed}, nil
	case begun:
		return answer{done: true, begun: true}, nil
	case string:
		return answer{raw: reply, value: decodeValue(reply)}, nil
	case error:
		return answer{}, reply
	default:
		return answer{}, fmt.Errorf("unexpected answer of type %T", reply)
	}
}

// mayHaveHappened says whether a call that failed with err may have had its
// effect. A refusal by the server and a call that was never sent have not; of
// everything else we cannot know. (When the client repeated a call, err is that
// of the last sending. A first one that did get through is then missed, unless it
// was a claim that met itself, and its lease ends by itself.)
func mayHaveHappened(err error) bool {
	if errors.Is(err, errTaken) {
		return true
	}
	if refused(err) {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false
	}
	for _, unsent := range []error{errNotSent, redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted} {
		if errors.Is(err, unsent) {
			return false
		}
	}
	return true
}

// refused says that the server answered, and said no.
func refused(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// millis is d as the PX argument.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
