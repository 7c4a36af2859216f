package plainhttp

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The timer can be armed twice for one request, by a look that is held up while it arms
// it again. Two looks at once would read into the same buffer, and the end of the second
// would pass for that of another one.
func TestOneLookAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &conn{net: near, buf: make([]byte, 8), watched: make(chan struct{}, 1), opened: time.Now()}
		c.watch = time.AfterFunc(time.Hour, c.look)
		c.began.Store(looking)
		go c.look()
		synctest.Wait()
		far.Close()  //nolint:errcheck // a pipe
		near.Close() //nolint:errcheck // a pipe
		synctest.Wait()
		c.watch.Stop()
		if len(c.watched) > 0 || c.armed.Load() {
			t.Errorf("looked %d times beside another look", len(c.watched))
		}
	})
}
