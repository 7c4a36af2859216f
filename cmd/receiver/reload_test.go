package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/server"
)

// fakeStore remembers keys. It fails as often as away says, or never answers.
type fakeStore struct {
	mu      sync.Mutex
	away    int
	hangs   bool
	records map[string][]byte
}

func (s *fakeStore) Connected() bool { return true }

func (s *fakeStore) RememberKey(ctx context.Context, id string, record []byte) error {
	if s.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away > 0 {
		s.away--
		return errors.New("away")
	}
	s.records[id] = record
	return nil
}

func (s *fakeStore) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for id := range s.records {
		all = append(all, id)
	}
	return all
}

// lines is what a log says. It is safe for concurrent use.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take gives what was said since the last time.
func (l *lines) take(t *testing.T) (said []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var e struct{ Message string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		said = append(said, e.Message)
	}
	l.buf.Reset()
	return said
}

// reloading is a reloader at work on a folder.
type reloading struct {
	*reloader
	t      *testing.T
	dir    string
	fake   *fakeStore
	log    lines
	bodies [][]byte // a notification signed by each key
}

func (r *reloading) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// want waits until d has passed, then checks which keys are in use, and the log.
func (r *reloading) want(d time.Duration, keys []bool, said ...string) {
	r.t.Helper()
	<-time.After(d)
	synctest.Wait()
	for i, body := range r.bodies {
		var res ingest.Result
		_, err := r.receiver.pipeline.Decide(ingest.Request{Body: string(body), ReceivedAt: time.Now()}, &res)
		if (err == nil) != keys[i] {
			r.t.Errorf("key %d is in use: %t, want %t (%v)", i, err == nil, keys[i], err)
		}
	}
	if got := r.log.take(r.t); !slices.Equal(got, said) {
		r.t.Errorf("the log says %q, want %q", got, said)
	}
}

const (
	saidReloaded = "keys reloaded"
	saidFailed   = "the new keys cannot be used; the old ones stay in use"
	saidForgot   = "the key is not remembered yet"
)

// list writes a configuration with these key files.
func (r *reloading) list(files string) {
	r.write("config.yaml", "apps: [{app_id: \"1\", alipay_public_keys: ["+files+"]}]\n")
}

// begin loads the folder and starts the reloader; before is done between the two.
func (r *reloading) begin(before func()) (hup chan<- os.Signal, end func()) {
	r.t.Helper()
	path := filepath.Join(r.dir, "config.yaml")
	seen := wire.Look(path, nil)
	cfg, loaded, err := wire.ReceiverConfig(path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	before()
	daemon := &receiver{
		cfg: cfg, log: zerolog.New(&r.log), metrics: server.NewMetrics("test", func() bool { return true }),
		pipeline: ingest.New(ingest.Options{}, loaded.Apps...),
	}
	r.reloader = newReloader(daemon, path, nil, loaded, seen)
	r.store = r.fake
	ctx, cancel := context.WithCancel(r.t.Context())
	signals := make(chan os.Signal, 1)
	var running sync.WaitGroup
	running.Go(func() { r.run(ctx, signals) })
	return signals, func() {
		cancel()
		running.Wait()
	}
}

// twoKeys makes two keys of an app, and a notification signed by each.
func twoKeys(t *testing.T) (keys, bodies [][]byte) {
	t.Helper()
	for range 2 {
		app := alipaytest.NewApp(t, "1")
		body, err := app.Notification(t, "voucher.created", alipaytest.Options{}).Body(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		keys, bodies = append(keys, app.PublicPEM), append(bodies, body)
	}
	return keys, bodies
}

// A start waits for its servers. A key that was rotated meanwhile counted as seen,
// and genuine notifications were refused until it changed once more. And the first
// reloader remembered keys before it looked again: with a store that did not
// answer, the keys of six apps kept it from doing so for good.
func TestReloadAtOnce(t *testing.T) {
	t.Parallel()
	keys, bodies := twoKeys(t) // made out here, because the year in the bubble is 2000
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &reloading{t: t, dir: dir, fake: &fakeStore{hangs: true}, bodies: bodies}
		r.write("a.pem", string(keys[0]))
		r.list("a.pem")
		hup, end := r.begin(func() { r.write("a.pem", string(keys[1])) })
		defer end()
		r.want(0, []bool{false, true}, saidReloaded)
		r.write("a.pem", string(keys[0]))
		hup <- os.Interrupt
		r.want(0, []bool{true, false}, saidReloaded)
		r.want(rememberTimeout, []bool{true, false}, saidForgot)
	})
}

// TestReloadLooks changes files under a reloader that nobody signals. It looks
// every 30 seconds: not before that, once for each change, and what cannot be
// used changes nothing.
func TestReloadLooks(t *testing.T) {
	t.Parallel()
	keys, bodies := twoKeys(t) // made out here, because the year in the bubble is 2000
	first, both, second := []bool{true, false}, []bool{true, true}, []bool{false, true}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &reloading{t: t, dir: dir, fake: &fakeStore{away: 1, records: map[string][]byte{}}, bodies: bodies}
		r.write("a.pem", string(keys[0]))
		r.write("b.pem", string(keys[1]))
		r.list("a.pem")
		hup, end := r.begin(func() {})

		r.want(time.Second, first, saidForgot)
		r.want(28*time.Second, first)
		if ids := r.fake.ids(); len(ids) != 0 {
			t.Errorf("%v are remembered while the store is away", ids)
		}
		r.want(time.Second, first) // the first look, at 30 s: nothing has changed
		if ids := r.fake.ids(); len(ids) != 1 {
			t.Errorf("%v are remembered, want the one in use", ids)
		}

		r.list("a.pem, b.pem")
		r.want(29*time.Second, first)
		r.want(time.Second, both, saidReloaded)
		r.want(5*time.Minute, both)
		if ids := r.fake.ids(); len(ids) != 2 {
			t.Errorf("%v are remembered, want both", ids)
		}

		// The file stays and what is in it changes: half a key, then a whole one.
		r.write("b.pem", string(keys[1])[:200])
		r.want(5*time.Minute, both, saidFailed) // said once
		r.write("b.pem", string(keys[1]))
		r.want(30*time.Second, both, saidReloaded)
		r.list("a.pem, none.pem")
		r.want(5*time.Minute, both, saidFailed)
		r.write("none.pem", string(keys[1])) // what was missing comes
		r.want(30*time.Second, both, saidReloaded)
		r.write("config.yaml", "apps: [")
		r.want(5*time.Minute, both, saidFailed)

		// A signal does not wait for the next look, and the look that follows
		// has nothing more to say.
		r.list("b.pem")
		hup <- os.Interrupt
		r.want(0, second, saidReloaded)
		r.want(5*time.Minute, second)
		hup <- os.Interrupt // nothing has changed, and somebody asks all the same
		r.want(0, second, saidReloaded)

		end()
	})
}
