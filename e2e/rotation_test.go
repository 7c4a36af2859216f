//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
)

const (
	rotationRate    = 100 // notifications a second, as far as the machine goes along
	rotationSenders = 8
	rotationStep    = 100 // acknowledged in each step of the rotation
)

// TestRotation changes Alipay's key under load, as the documentation says: the
// new key is put beside the old one, Alipay changes over, the old one is taken
// away. Not one request is refused at any time. What cannot be used changes
// nothing. Both keys are remembered.
func TestRotation(t *testing.T) {
	t.Parallel()
	app, next := alipaytest.NewApp(t, ""), alipaytest.NewApp(t, "")
	config := newConfig(t, app)
	list := func(files ...string) {
		config.keys["apps"] = []any{map[string]any{"app_id": app.ID, "alipay_public_keys": files}}
		config.save(t)
	}
	config.file(t, "new.pem", next.PublicPEM)
	r := ready(t, config)
	reload := func(message string) entry {
		t.Helper()
		before := len(r.lines(message))
		r.signal(t, syscall.SIGHUP)
		eventually(t, "the log says: "+message, func() bool { return len(r.lines(message)) > before })
		return r.lines(message)[before]
	}
	const reloaded, failed = "keys reloaded", "the new keys cannot be used; the old ones stay in use"
	load := startLoad(t, r, app)

	load.goOn(t, rotationStep)
	list("alipay.pem", "new.pem")
	reload(reloaded)
	load.goOn(t, rotationStep)
	load.sign(next.Key)
	load.goOn(t, rotationStep)
	list("new.pem")
	reload(reloaded)
	load.goOn(t, rotationStep)

	// Half a key, and then a configuration with a mistake in it.
	config.file(t, "new.pem", next.PublicPEM[:100])
	if why := reload(failed).text("error"); !strings.Contains(why, "new.pem") {
		t.Errorf("the log says %q, and does not name the file", why)
	}
	load.goOn(t, rotationStep/2)
	config.file(t, "new.pem", next.PublicPEM)
	config.keys["http.colour"] = "red"
	config.save(t)
	if why := reload(failed).text("error"); !strings.Contains(why, "http.colour") {
		t.Errorf("the log says %q, and does not name the mistake", why)
	}
	load.goOn(t, rotationStep/2)
	delete(config.keys, "http.colour")
	config.save(t)
	reload(reloaded)
	load.goOn(t, rotationStep/2)
	load.stop()

	for result, want := range map[string]float64{"done": 3, "failed": 2} {
		if got := r.metric(t, "alipay_notify_key_reloads_total", `result="`+result+`"`); got != want {
			t.Errorf("%v reloads are counted as %s, want %v", got, result, want)
		}
	}
	for _, outcome := range []string{"refused", "malformed", "internal", "overloaded"} {
		if n := r.metric(t, "alipay_notify_notifications_total", `outcome="`+outcome+`"`); n != 0 {
			t.Errorf("%v requests are counted as %s, want none", n, outcome)
		}
	}
	for name, a := range map[string]*alipaytest.App{"old": app, "new": next} {
		proved := r.metric(t, "alipay_notify_verified_total", `app_id="`+app.ID+`"`, `key_id="`+keyID(a)+`"`)
		if want := load.requests[a.Key]; proved != float64(want) || want < 2*rotationStep {
			t.Errorf("%v requests are counted as proved by the %s key, want %d", proved, name, want)
		}
		wantRemembered(t, r, app.ID, a)
	}
	wantOnce(t, ids(r.events(t)), load.acknowledged)

	// The old key has really gone.
	r.send(t, voucher(t, app)).want(t, http.StatusUnauthorized, "fail")
}

// keyID is the name of Alipay's key, computed from what the documentation says:
// the first 16 hex digits of the SHA-256 of the SubjectPublicKeyInfo.
func keyID(a *alipaytest.App) string {
	der, _ := base64.StdEncoding.DecodeString(a.Key.PublicBase64())
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// wantRemembered checks that ALIPAY_KEYS has the key.
func wantRemembered(t *testing.T, r *receiver, appID string, a *alipaytest.App) {
	t.Helper()
	keys, err := jetStream(t, r.nats, r.config.token()).KeyValue(t.Context(), "ALIPAY_KEYS")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := keys.Get(t.Context(), keyID(a))
	if err != nil {
		t.Fatalf("key %s: %v", keyID(a), err)
	}
	var got map[string]string
	if err := json.Unmarshal(entry.Value(), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339, got["first_seen"]); err != nil {
		t.Error(err)
	}
	delete(got, "first_seen")
	want := map[string]string{"key_id": keyID(a), "public_key": a.Key.PublicBase64(), "app_id": appID}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ALIPAY_KEYS (-want +got):\n%s", diff)
	}
}

// load is a steady stream of new notifications.
type load struct {
	receiver *receiver
	appID    string
	stop     func() // returns when all are answered

	signing sync.RWMutex // held for reading from the signature to the answer
	key     *alipaytest.Key

	mu           sync.Mutex
	acknowledged []string
	requests     map[*alipaytest.Key]int
}

// startLoad sends until stop is called, or the test ends.
func startLoad(t *testing.T, r *receiver, app *alipaytest.App) *load {
	t.Helper()
	done := make(chan struct{})
	var senders sync.WaitGroup
	l := &load{receiver: r, appID: app.ID, key: app.Key, requests: map[*alipaytest.Key]int{}}
	l.stop = sync.OnceFunc(func() {
		close(done)
		senders.Wait()
	})
	t.Cleanup(l.stop)
	tick := time.NewTicker(time.Second / rotationRate)
	t.Cleanup(tick.Stop)
	for range rotationSenders {
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					l.one(t)
				}
			}
		})
	}
	return l
}

func (l *load) one(t *testing.T) {
	l.signing.RLock()
	defer l.signing.RUnlock()
	n, err := alipaytest.New("voucher.created", alipaytest.Options{AppID: l.appID, Key: l.key})
	if err != nil {
		t.Error(err)
		return
	}
	requests := l.receiver.deliver(t, n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged = append(l.acknowledged, n.ID())
	l.requests[l.key] += requests
}

// sign changes the key when no request with the old one is under way, which
// operators cannot know of Alipay, and leave the old key for a day.
func (l *load) sign(key *alipaytest.Key) {
	l.signing.Lock()
	defer l.signing.Unlock()
	l.key = key
}

// goOn waits until so many more are acknowledged.
func (l *load) goOn(t *testing.T, more int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acknowledged)
	}
	target := count() + more
	eventually(t, "more are acknowledged", func() bool { return count() >= target || t.Failed() })
	if t.Failed() {
		t.FailNow()
	}
}
