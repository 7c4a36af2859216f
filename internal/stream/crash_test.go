package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"alipay-notify/internal/stream"
)

// crashDir names, to this test binary run as a child, the store that it is to
// publish to until it is killed.
const crashDir = "STREAM_TEST_CRASH_DIR"

// crashChild publishes as fast as it can and says what was acknowledged, one
// "n sequence place" a line.
func crashChild(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	e, err := stream.StartEmbedded(context.Background(), stream.EmbeddedOptions{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		fail(err)
	}
	c, err := stream.Connect(stream.ConnectOptions{URL: e.URL(), Token: e.Token(), Embed: e})
	if err != nil {
		fail(err)
	}
	changes, err := c.Plan(context.Background(), stream.NewLayout(options()), 0)
	if err != nil {
		fail(err)
	}
	if err := c.Apply(context.Background(), changes); err != nil {
		fail(err)
	}
	p := c.NewPublisher()
	var n atomic.Int64
	var out sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				i := int(n.Add(1))
				r, err := p.Publish(context.Background(), event(i))
				if err != nil {
					fail(err)
				}
				out.Lock()
				fmt.Println(i, r.Sequence, r.Place)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

// The promise itself: what was acknowledged survives kill -9, in place, and the
// stream still knows what it has.
func TestEmbeddedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	const enough = 300
	type ack struct {
		n, sequence int
		place       string
	}
	var acks []ack
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 || strings.Count(f[2], "/") != 2 {
			continue // cut off by the kill
		}
		i, err1 := strconv.Atoi(f[0])
		sequence, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		acks = append(acks, ack{i, sequence, f[2]})
		if len(acks) == enough {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // killed
	if len(acks) < enough {
		t.Fatalf("only %d were acknowledged before the child ended", len(acks))
	}

	e := startEmbedded(t, dir) // the kernel has dropped the lock
	c := embeddedClient(t, e)
	p := c.NewPublisher()
	for i, a := range acks[:len(acks)-1] { // the last line may be cut off
		got, err := c.Get(t.Context(), stream.Events, uint64(a.sequence)) //nolint:gosec // small
		if err != nil || got.ID != event(a.n).ID {
			t.Errorf("event %d was acknowledged at %d and is gone: %v", a.n, a.sequence, err)
		}
		if i%50 == 0 {
			if ok, err := p.Holds(t.Context(), a.place); !ok || err != nil {
				t.Errorf("the place of event %d no longer holds: %v", a.n, err)
			}
			if r := publish(t, p, event(a.n)); !r.Duplicate || r.Sequence != uint64(a.sequence) { //nolint:gosec // small
				t.Errorf("event %d is stored a second time: %+v", a.n, r)
			}
		}
	}
	t.Logf("%d acknowledged before the kill, all there", len(acks))
}
