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

// The scripts work on one key, KEYS[1], in one round trip, on Redis 6 and later
// and on Valkey. ARGV[1] is always our lease value, in which the random token
// is; values are compared whole and never parsed here. Each answers
//
//	1       it is as the script wants it
//	0       the key holds something that is not even a string
//	string  what is there instead, and was left alone
//
// Each can be repeated without harm, because it takes its own outcome for
// success: the client may send it again when an answer was lost. They begin with
// the same lines. pcall, because GET fails on another type, and how that looks
// from outside of the script differs between servers.
const readKey = `
local v = redis.pcall('GET', KEYS[1])
if type(v) == 'table' then
  if v.err and string.find(v.err, 'WRONGTYPE', 1, true) then return 0 end
  return v
end
`

var (
	// claimScript takes the key when it is free, when the claim is ours already
	// (the answer to a first sending was lost; the lease starts anew, which is
	// nobody's loss), or when it holds exactly the commit ARGV[3], of which the
	// caller knows that its place is gone. Anything else is another's: a lease, or
	// a commit that was made since the caller looked.
	claimScript = redis.NewScript(readKey + `
if not v or v == ARGV[1] or (ARGV[3] ~= '' and v == ARGV[3]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return v
`)

	// commitScript replaces our lease by the commit ARGV[3].
	//
	// With no value there our lease ran out and nobody took the key, or whoever
	// took it gave it back, or Redis lost its keys, or the claim never arrived:
	// in each case the event is stored, so the commit is true, and no claim is
	// overwritten. With that very commit there it is done already.
	//
	// Another's lease stays: its holder will publish, learn that the event is
	// stored, and commit that. Another's commit stays: it is as true as ours, or
	// Holds will show that it is not.
	commitScript = redis.NewScript(readKey + `
if not v or v == ARGV[1] or v == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
  return 1
end
return v
`)

	// releaseScript deletes our lease and nothing else. With no value there, there
	// is nothing to release.
	releaseScript = redis.NewScript(readKey + `
if not v then return 1 end
if v == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1
end
return v
`)
)

// answer is what a script said.
type answer struct {
	done  bool   // the key is as the script wants it
	raw   string // otherwise what is there,
	value value  // decoded
}

// call runs a script within the timeout. Every error means that Redis was not
// effectively asked: no answer, or a refusal (OOM, READONLY, LOADING,
// CLUSTERDOWN, NOAUTH, NOPERM, ...), which for our purpose is the same.
func (r *Redis) call(ctx context.Context, script *redis.Script, key string, args ...any) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, fmt.Errorf("no answer from redis within %s", r.opts.Timeout))
	defer cancel()
	reply, err := r.eval.eval(ctx, script, key, args)
	if err != nil {
		return answer{}, err
	}
	switch reply := reply.(type) {
	case int64:
		return answer{done: reply == 1}, nil
	case string:
		return answer{raw: reply, value: decodeValue(reply)}, nil
	default:
		return answer{}, fmt.Errorf("unexpected answer of type %T", reply)
	}
}

// mayHaveHappened says whether a call that failed with err may have had its
// effect. A refusal by the server and a call that was never sent have not; of
// everything else we cannot know. (When the client repeated a call, err is that
// of the last sending. A first one that did get through is then missed, and its
// lease ends by itself.)
func mayHaveHappened(err error) bool {
	if _, refused := errors.AsType[redis.Error](err); refused {
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

// millis is d as the PX argument.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
