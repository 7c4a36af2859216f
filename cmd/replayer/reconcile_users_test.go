package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/stream"
)

// With the users and permissions of deploy/nats: what query, call and reconcile do
// on NATS is what the user replayer may do, expectations and inferred events
// included.
func TestAskingAsDeployed(t *testing.T) { // not parallel: nats.conf takes passwords from the environment
	c := &scripted{t: t}
	c.deploy(t)
	s := &shop{site: c.site}
	var err error
	s.p, err = platform.New(platform.Config{
		Key: s.app.Key, Seed: 7, TimeScale: 1e6, Notifier: &receiving{s.site, make(chan struct{}, 16)},
		Apps: []platform.App{{ID: s.app.ID, Public: s.app.OwnKey.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.p.Close)
	server := httptest.NewServer(s.p.Handler())
	t.Cleanup(server.Close)
	private, err := s.app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "app.pem", string(private))
	s.write(t, "alipay-notify.yaml", fmt.Sprintf(
		"dev: true\nopenapi: { base_url: %q }\nnats: { url: %q }\napps:\n  - { app_id: %q, alipay_public_keys: [alipay.pem], private_key: app.pem }\n",
		server.URL, c.url("replayer"), s.app.ID))

	ids, err := s.p.AddActivities("", 2, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 2)
	s.call(t, vouchers+"stop", change(ids[0], nil))
	s.quiet(t, 3)
	s.query(t, "voucher", ids[0], "--reveal", "--reason", "a look")
	if err := s.p.SetActivity("", ids[1], "FINISHED"); err != nil { // its notification is lost
		t.Fatal(err)
	}
	if got := s.want(t, 0, append([]string{"reconcile", "--expectations"}, fast...)...); !strings.Contains(got.stderr, "fulfilled 1") {
		t.Errorf("expectations: %s", got.stderr)
	}
	for _, source := range [][]string{{ids[0], ids[1]}, {"--from-alipay"}, nil} {
		got := s.want(t, 1, append(append([]string{"reconcile", "--emit"}, source...), fast...)...)
		if !strings.Contains(got.stderr, "2 items in ") || !strings.Contains(got.stderr, "missing events: voucher.stopped 1") {
			t.Errorf("%v: %s", source, got.stderr)
		}
	}
	emit := append([]string{"reconcile", "--emit", "--execute", "--reason", "INC-4"}, fast...)
	s.want(t, 0, emit...)
	if got := s.want(t, 0, emit...); !strings.Contains(got.stderr, "inferred 1") || s.stores(t, stream.Inferred) != 1 {
		t.Errorf("%d inferred, %s", s.stores(t, stream.Inferred), got.stderr)
	}
}
