package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// TestReplayScripts runs the scripts of testdata/replay as TestScripts does, each
// on 1,200 events: 1 to 4 are vouchers that were created, stopped, created, and an
// order that was refunded, and the rest are vouchers that were created.
func TestReplayScripts(t *testing.T) {
	t.Parallel()
	bin := buildReplayer(t)
	files, err := filepath.Glob("testdata/replay/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := &scripted{t: t, site: newSite(t)}
			for i, typ := range []string{"voucher.created", "voucher.stopped", "voucher.created", "order.refunded"} {
				c.site.receive(t, typ, alipaytest.Options{NotifyID: fmt.Sprintf("n-%d", i+1)})
			}
			c.site.copyEvents(t, 1200)
			testscript.Run(t, testscript.Params{
				Files: []string{file}, Cmds: c.commands(), RequireExplicitExec: true, RequireUniqueNames: true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", filepath.Dir(bin)+string(filepath.ListSeparator)+env.Getenv("PATH"))
					env.Setenv("ALIPAY_NOTIFY_CONFIG", c.site.config)
					env.Setenv("APP", c.site.app.ID)
					env.Setenv("GORACE", os.Getenv("GORACE")) // scripts/test.sh says why
					return nil
				},
			})
		})
	}
}

// fillEvents stores one event and copies of it.
func (s *site) fillEvents(t *testing.T, total int) {
	t.Helper()
	s.receive(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"})
	s.copyEvents(t, total)
}

// copyEvents stores copies of the first event, with ids of their own, until there
// are as many as wanted.
func (s *site) copyEvents(t *testing.T, total int) {
	t.Helper()
	m := s.stored(t, 1)
	for i := s.messages(t, stream.Events) + 1; i <= uint64(total); i++ {
		header, id := nats.Header(maps.Clone(m.Header)), fmt.Sprintf("n-%d", i)
		header[events.HeaderID], header[events.HeaderMessageID] = []string{id}, []string{s.app.ID + ":" + id}
		if _, err := s.js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: header, Data: m.Data}, jetstream.WithStallWait(limit)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.js.PublishAsyncComplete()
	if got := s.messages(t, stream.Events); got != uint64(total) {
		t.Fatalf("%d events are stored, want %d", got, total)
	}
}
