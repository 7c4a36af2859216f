//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

const (
	sizeSent = 2000 // notifications that the receiver really takes
	// settleTime is how long a process is left alone before its memory is looked
	// at. NATS lets the block that it wrote last go after ten seconds.
	settleTime = 15 * time.Second
)

// sizeCommand measures what one notification costs to remember. The receiver
// takes some; what it stored of one is then copied many times under other ids,
// which is quicker and the same to Redis and NATS.
func sizeCommand(ctx context.Context, args []string) error {
	o, err := parseOptions("size", args)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.remove()
	if b.profile, err = freePort(); err != nil {
		return err
	}
	if err := signAll(ctx, b.bodyFile, b.keyFile, sizeSent); err != nil {
		return err
	}
	event, err := b.sizeOutside(ctx)
	if err != nil {
		return err
	}
	for _, v := range []variant{{"without ids", false, false}, {"ids", true, false}, {"ids, each its own subject", true, true}} {
		if err := b.sizeNATS(ctx, event, v); err != nil {
			return fmt.Errorf("nats, %s: %w", v.name, err)
		}
	}
	return b.sizeEmbedded(ctx, event)
}

// settle waits, as a process at rest does.
func settle(ctx context.Context) error {
	select {
	case <-time.After(settleTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sizeOutside measures the receiver with servers of its own, and what it leaves
// in Redis. It gives one stored event.
func (b *bench) sizeOutside(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	a, err := b.tools.open(ctx, "a", b.keyFile, b.options)
	defer a.close()
	if err != nil {
		return nil, err
	}
	if err := settle(ctx); err != nil {
		return nil, err
	}
	rest, err := a.handler.usage()
	if err != nil {
		return nil, err
	}
	outcomes := filepath.Join(a.dir, "outcomes")
	if _, _, err := b.load(ctx, a, 8, []phase{{0, 20 * time.Second}}, outcomes); err != nil {
		return nil, err
	}
	if c, err := a.check(ctx, outcomes); err != nil || c.Success != sizeSent {
		return nil, errors.Join(err, fmt.Errorf("%d of %d were accepted", c.Success, sizeSent))
	}
	after, err := a.handler.usage()
	if err != nil {
		return nil, err
	}
	fmt.Printf("receiver, servers outside: %.1f MiB at rest, %.1f MiB after %d notifications\n", mib(rest.Resident), mib(after.Resident), sizeSent)
	if err := b.sizeRedis(ctx, a.redisAddr); err != nil {
		return nil, err
	}
	js, closeConn, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer closeConn()
	s, err := js.Stream(ctx, "ALIPAY_EVENTS")
	if err != nil {
		return nil, err
	}
	event, err := s.GetMsg(ctx, 1)
	if err != nil {
		return nil, err
	}
	fmt.Printf("one event: body %d bytes, payload %d bytes, subject %d bytes\n", len(event.Header.Get("Alipay-Raw")), len(event.Data), len(event.Subject))
	return event, nil
}

// sizeRedis copies one commit of the receiver's.
func (b *bench) sizeRedis(ctx context.Context, address string) error {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close() //nolint:errcheck // it only asked
	keys, _, err := client.Scan(ctx, 0, "alipay:dedupe:*", 10).Result()
	if err != nil || len(keys) == 0 {
		return errors.Join(err, errors.New("redis holds no commit"))
	}
	value, err := client.Get(ctx, keys[0]).Result()
	if err != nil {
		return err
	}
	usage, err := client.MemoryUsage(ctx, keys[0], 0).Result()
	if err != nil {
		return err
	}
	before, err := usedMemory(ctx, client)
	if err != nil {
		return err
	}
	const batch = 1000
	for first := 0; first < b.copies; first += batch {
		pipe := client.Pipeline()
		for i := first; i < min(first+batch, b.copies); i++ {
			pipe.Set(ctx, "alipay:dedupe:{"+appID+":"+notifyID(i+sizeSent)+"}", value, 72*time.Hour)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	after, err := usedMemory(ctx, client)
	if err != nil {
		return err
	}
	fmt.Printf("redis: key %d bytes, value %d bytes, MEMORY USAGE %d bytes; used_memory grows by %.0f bytes a commit (%d of them)\n",
		len(keys[0]), len(value), usage, float64(after-before)/float64(b.copies), b.copies)
	return nil
}

func usedMemory(ctx context.Context, client *redis.Client) (int64, error) {
	info, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	return field(info, "used_memory:")
}

// field finds the number after a name, at the beginning of a line.
func field(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no %q", name)
}

type variant struct {
	name     string
	ids      bool // in the duplicates window
	subjects bool // as many as events
}

// publish publishes count copies of an event under other ids.
func publish(js jetstream.JetStream, event *jetstream.RawStreamMsg, count int, v variant) error {
	base := event.Subject[:strings.LastIndexByte(event.Subject, '.')+1]
	for i := range count {
		m := &nats.Msg{Data: event.Data, Header: maps.Clone(event.Header)}
		subject := i % activities
		if v.subjects {
			subject = i
		}
		m.Subject = fmt.Sprintf("%s20161227008260045084%08d", base, subject)
		m.Header.Del("Nats-Msg-Id")
		m.Header.Set("ce-id", notifyID(i+sizeSent))
		if v.ids {
			m.Header.Set("Nats-Msg-Id", appID+":"+notifyID(i+sizeSent))
		}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(30*time.Second)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-time.After(time.Minute):
		return errors.New("not all copies were acknowledged")
	}
}

// sizeNATS measures one server with one kind of copies.
func (b *bench) sizeNATS(ctx context.Context, event *jetstream.RawStreamMsg, v variant) error {
	a, err := b.tools.open(ctx, "a", b.keyFile, b.options)
	defer a.close()
	if err != nil {
		return err
	}
	a.handler.stop()
	js, closeConn, err := a.connect()
	if err != nil {
		return err
	}
	defer closeConn()
	heap, err := heapOf(ctx, b.profile)
	if err != nil {
		return err
	}
	rest, err := a.nats.usage()
	if err != nil {
		return err
	}
	disk := diskOf(a.dir)
	if err := publish(js, event, b.copies, v); err != nil {
		return err
	}
	s, err := js.Stream(ctx, "ALIPAY_EVENTS")
	if err != nil {
		return err
	}
	state := s.CachedInfo().State
	if state.Msgs != uint64(b.copies) {
		return fmt.Errorf("the stream has %d messages", state.Msgs)
	}
	busy, err := a.nats.usage()
	if err != nil {
		return err
	}
	if err := settle(ctx); err != nil {
		return err
	}
	live, err := heapOf(ctx, b.profile)
	if err != nil {
		return err
	}
	each := float64(b.copies)
	fmt.Printf("nats, %d events, %s: live heap grows by %.0f bytes an event; resident %.1f -> %.1f MiB; stream %d bytes an event, disk %.0f\n",
		b.copies, v.name, float64(live-heap)/each, mib(rest.Resident), mib(busy.Resident), state.Bytes/state.Msgs, float64(diskOf(a.dir)-disk)/each)
	return nil
}

// heapOf is the live heap of a NATS server, after a collection.
func heapOf(ctx context.Context, port string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("the profile has no HeapAlloc"))
}

// diskOf is the space that the files of a folder take.
func diskOf(dir string) int64 {
	var sum int64
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { //nolint:errcheck // what has gone takes nothing
		var s syscall.Stat_t
		if err == nil && syscall.Lstat(path, &s) == nil {
			sum += s.Blocks * 512
		}
		return nil
	})
	return sum
}

// sizeEmbedded measures the receiver with its own server: at rest, and with ids
// in the window.
func (b *bench) sizeEmbedded(ctx context.Context, event *jetstream.RawStreamMsg) error {
	a, err := b.tools.open(ctx, "b", b.keyFile, b.options)
	defer a.close()
	if err != nil {
		return err
	}
	if err := settle(ctx); err != nil {
		return err
	}
	rest, err := a.handler.usage()
	if err != nil {
		return err
	}
	js, closeConn, err := a.connect()
	if err != nil {
		return err
	}
	defer closeConn()
	started := time.Now()
	if err := publish(js, event, b.copies, variant{ids: true}); err != nil {
		return err
	}
	took := time.Since(started)
	if err := settle(ctx); err != nil {
		return err
	}
	after, err := a.handler.usage()
	if err != nil {
		return err
	}
	allowed := int64(120<<20 + 200*b.copies)
	fmt.Printf("receiver, embedded: %.1f MiB at rest; with %d ids in the window %.1f MiB, peak %.1f (wanted: under %.1f); %.0f events/s synced\n",
		mib(rest.Resident), b.copies, mib(after.Resident), mib(after.Peak), mib(allowed), float64(b.copies)/took.Seconds())
	return nil
}
