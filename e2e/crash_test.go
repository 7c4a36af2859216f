//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// crashNotifications are sent by crashSenders at once while crashKills
// processes are killed, in each mode.
const (
	crashNotifications = 320
	crashSenders       = 6
	crashKills         = 5
)

// TestKillEmbedded kills the receiver, and with it the server that stores the
// events, again and again under load.
func TestKillEmbedded(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	s := newStorm(t, app, newConfig(t, app))
	s.run(t, map[string]func(){"receiver": func() {
		s.receiver.kill()
		s.setReceiver(ready(t, s.config))
	}})
}

// TestKillExternal kills the receiver and the servers around it. A restarted
// Redis has forgotten everything, claims and commits; nats-server finds its
// store as it was.
func TestKillExternal(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, nats := external(t, app)
	config.keys["redis.lease"] = "5s" // a killed holder's claim runs out within the test
	s := newStorm(t, app, config)
	s.run(t, map[string]func(){
		"receiver": func() {
			s.receiver.kill()
			s.setReceiver(ready(t, config))
		},
		"redis-server": func() { redis.restart(t) },
		"nats-server": func() {
			nats.restart(t)
			s.receiver.waitReady(t)
		},
	})
}

// storm sends notifications as Alipay does, each until it is acknowledged, and
// keeps what was.
type storm struct {
	config *config
	bodies map[string]*alipaytest.Notification // by id

	mu           sync.Mutex
	receiver     *receiver
	queue        []string // ids to send
	acknowledged []string
}

func newStorm(t *testing.T, app *alipaytest.App, c *config) *storm {
	t.Helper()
	s := &storm{config: c, bodies: map[string]*alipaytest.Notification{}}
	for range crashNotifications {
		n := voucher(t, app)
		s.bodies[n.ID()] = n
		s.queue = append(s.queue, n.ID())
	}
	s.receiver = ready(t, c)
	return s
}

func (s *storm) setReceiver(r *receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver = r
}

// run sends everything while it kills, then compares what was acknowledged with
// what is stored: all of it, and each once.
func (s *storm) run(t *testing.T, victims map[string]func()) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ALIPAY_NOTIFY_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ALIPAY_NOTIFY_E2E_SEED: %v", err)
		}
	}
	t.Logf("again with ALIPAY_NOTIFY_E2E_SEED=%d", seed)

	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range crashSenders {
		senders.Go(func() { s.send(t, stop) })
	}
	s.kill(t, rand.New(rand.NewPCG(seed, 0)), victims)
	eventually(t, "everything is acknowledged at last", func() bool { return s.count() == crashNotifications })
	close(stop)
	senders.Wait()

	if len(s.acknowledged) != crashNotifications {
		t.Errorf("%d acknowledgements of %d notifications", len(s.acknowledged), crashNotifications)
	}
	// What a restart finds on the disk is what counts, not what a cache says.
	s.receiver.kill()
	wantOnce(t, ids(ready(t, s.config).events(t)), s.acknowledged)
}

// kill ends one process after another, each when as many more have been
// acknowledged as chance says. The senders go on meanwhile.
func (s *storm) kill(t *testing.T, random *rand.Rand, victims map[string]func()) {
	t.Helper()
	var names, order []string
	for name := range victims {
		names = append(names, name)
	}
	slices.Sort(names)
	for len(order) < crashKills { // every victim, in an order of chance
		for _, i := range random.Perm(len(names)) {
			order = append(order, names[i])
		}
	}
	at := 0
	for _, name := range order[:crashKills] {
		at += 1 + random.IntN(crashNotifications/crashKills-1)
		eventually(t, strconv.Itoa(at)+" are acknowledged", func() bool { return s.count() >= at })
		t.Logf("killing %s after %d acknowledgements", name, s.count())
		victims[name]()
	}
}

func (s *storm) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acknowledged)
}

// send posts what is in the queue until stop. What is not acknowledged goes to
// the end of the queue, stamped and signed anew when its turn comes.
func (s *storm) send(t *testing.T, stop <-chan struct{}) {
	pause := time.NewTicker(glance)
	defer pause.Stop()
	for {
		id, r := s.next()
		acknowledged := false
		if id != "" {
			body, err := s.bodies[id].Body(time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			got, err := r.try(body)
			acknowledged = err == nil && got.acknowledged()
			s.settle(id, acknowledged)
		}
		if acknowledged {
			select {
			case <-stop:
				return
			default:
				continue
			}
		}
		select { // a failure is no reason to hurry
		case <-stop:
			return
		case <-pause.C:
		}
	}
}

// next takes an id from the queue; empty means that there is none right now.
func (s *storm) next() (string, *receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return "", nil
	}
	id := s.queue[0]
	s.queue = s.queue[1:]
	return id, s.receiver
}

func (s *storm) settle(id string, acknowledged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if acknowledged {
		s.acknowledged = append(s.acknowledged, id)
	} else {
		s.queue = append(s.queue, id)
	}
}
