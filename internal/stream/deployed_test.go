package stream_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/stream"
)

// deployed is a server with the very configuration that deploy/ hands out.
type deployed struct {
	server *server.Server
	layout stream.Layout
}

func startDeployed(t *testing.T) deployed {
	t.Helper()
	for _, name := range []string{"ALIPAY_RECEIVER", "ALIPAY_REPLAYER", "ALIPAY_PROVISION", "ALIPAY_ORDERS", "NATS_ADMIN"} {
		t.Setenv(name+"_PASSWORD", "password-of-"+strings.ToLower(name))
	}
	o, err := server.ProcessConfigFile("../../deploy/nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !o.JetStream || !o.SyncAlways {
		t.Errorf("JetStream %v, sync always %v", o.JetStream, o.SyncAlways)
	}
	o.Host, o.Port, o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT, "", 0
	o.StoreDir, o.NoLog, o.NoSigs = t.TempDir(), true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { stopServer(s) })
	if !s.ReadyForConnections(limit) {
		t.Fatal("the server did not start")
	}
	d := deployed{server: s, layout: stream.NewLayout(options())}
	provision(t, d.client(t, "provision"), d.layout)
	return d
}

func (d deployed) url(user string) string {
	name := map[string]string{"admin": "nats_admin"}[user]
	if name == "" {
		name = "alipay_" + user
	}
	return "nats://" + url.UserPassword(user, "password-of-"+name).String() + "@" + d.server.Addr().String()
}

// client is our own adapter as a user. Anything that the server denies it fails
// the test: every call has to be among the permissions.
func (d deployed) client(t *testing.T, user string) *stream.Client {
	t.Helper()
	var mu sync.Mutex
	var denied []error
	c := connect(t, stream.ConnectOptions{URL: d.url(user), Name: user, Observe: func(_ string, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			mu.Lock()
			denied = append(denied, err)
			mu.Unlock()
		}
	}})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, err := range denied {
			t.Errorf("%s: %v", user, err)
		}
	})
	return c
}

// person is a bare connection as a user, which tries what it may not.
type person struct {
	name   string
	nc     *nats.Conn
	js     jetstream.JetStream
	denied chan error
}

func (d deployed) person(t *testing.T, user string) person {
	t.Helper()
	p := person{name: user, denied: make(chan error, 100)}
	nc, err := nats.Connect(d.url(user), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		p.denied <- err
	}))
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	t.Cleanup(nc.Close)
	p.nc = nc
	prefix := "$JS.API"
	if user == "orders" {
		prefix = "ALIPAY.API" // another account
	}
	if p.js, err = jetstream.NewWithAPIPrefix(nc, prefix); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait gives what the server has against what was just sent, or nil.
func (p person) wait(t *testing.T) error {
	t.Helper()
	if err := p.nc.FlushTimeout(limit); err != nil { // the server has answered to all of it
		t.Fatal(err)
	}
	// The library reports violations on a goroutine of its own, in order: the
	// marker comes behind all before it.
	marker := "not.allowed.to.anybody." + nats.NewInbox()
	if err := p.nc.Publish(marker, nil); err != nil {
		t.Fatal(err)
	}
	var first error
	for {
		select {
		case err := <-p.denied:
			if strings.Contains(err.Error(), marker) {
				return first
			}
			if first == nil {
				first = err
			}
		case <-time.After(limit):
			t.Fatalf("%s: even the marker is allowed", p.name)
		}
	}
}

func (p person) mayNotPublish(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		if err := p.nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := p.wait(t); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s may publish %s (%v)", p.name, subject, err)
		}
	}
}

func (p person) mayNotSubscribe(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		sub, err := p.nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.wait(t); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s may subscribe to %s (%v)", p.name, subject, err)
		}
		_ = sub.Unsubscribe()
	}
}
