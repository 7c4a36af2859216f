package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

// TestScripts runs the built command against real servers, as each file in
// testdata/script says: stdout, stderr and exit code. Each script has a server
// and a configuration of its own; those named users* have one with the users and
// permissions of deploy/nats, and those named asking* a stand-in for Alipay to ask.
func TestScripts(t *testing.T) {
	bin := buildReplayer(t)
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c := &scripted{t: t}
			switch name := filepath.Base(file); {
			case strings.HasPrefix(name, "users"):
				c.deploy(t)
			case strings.HasPrefix(name, "asking"):
				c.shop = newShop(t, func(c *platform.Config) { c.Mischief.Drop = 1 }) // nothing is ever heard of
				c.site = c.shop.site
			default:
				c.site = newSite(t)
			}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, Cmds: c.commands(), RequireExplicitExec: true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", filepath.Dir(bin)+string(filepath.ListSeparator)+env.Getenv("PATH"))
					env.Setenv("ALIPAY_NOTIFY_CONFIG", c.site.config)
					env.Setenv("APP", c.site.app.ID)
					env.Setenv("GORACE", os.Getenv("GORACE")) // scripts/test.sh says why
					if c.nats != nil {
						env.Setenv("MONITOR", "http://"+c.nats.MonitorAddr().String())
					}
					return nil
				},
			})
		})
	}
}

// buildReplayer builds the command as the tests are built, with their compiled packages.
func buildReplayer(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "replayer")
	args := []string{"build", "-o", bin}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// scripted is what one script works with.
type scripted struct {
	t    *testing.T
	site *site
	nats *server.Server // of users*
	shop *shop          // of asking*
}

// command is one of our own, beside testscript's.
type command = func(*testscript.TestScript, bool, []string)

// plain makes a command that takes at least so many arguments, and no "!".
func plain(least int, f func(ts *testscript.TestScript, args []string)) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("usage: at least %d arguments, and no !", least)
		}
		f(ts, args)
	}
}

// commands are all of our own.
func (c *scripted) commands() map[string]command {
	all := c.surroundings()
	maps.Copy(all, c.happenings())
	return all
}

// happenings are the commands by which something becomes stored, or answered.
func (c *scripted) happenings() map[string]command {
	return map[string]command{
		// receive TYPE NOTIFY_ID [FIELD=VALUE]... takes a notification as the receiver does; - is no id.
		"receive": plain(2, func(_ *testscript.TestScript, args []string) {
			o := alipaytest.Options{NotifyID: strings.TrimPrefix(args[1], "-")}
			for _, field := range args[2:] {
				name, value, _ := strings.Cut(field, "=")
				o.Payload = append(o.Payload, alipaytest.Field{Name: name, Value: value})
			}
			c.site.receive(c.t, args[0], o)
		}),
		// consumer NAME STREAM ANSWERS makes a consumer and has it answer: a acknowledge, x give up, t terminate.
		"consumer": plain(3, func(ts *testscript.TestScript, args []string) {
			consumer, err := c.site.js.Consumer(c.t.Context(), args[1], args[0])
			if errors.Is(err, jetstream.ErrConsumerNotFound) {
				consumer = c.site.consumer(c.t, args[0], args[1])
			} else if err != nil {
				ts.Fatalf("%v", err)
			}
			if args[2] != "-" {
				c.site.answers(c.t, consumer, args[2])
			}
		}),
		// refuse TYPE NOTIFY_ID... sends notifications to a receiver with the wrong key.
		"refuse": plain(2, func(_ *testscript.TestScript, args []string) {
			r := newRefusing(c.t, c.site, wrongKey(c.t))
			for _, id := range args[1:] {
				r.refuse(c.t, c.site.app.Notification(c.t, args[0], alipaytest.Options{NotifyID: id}), time.Now())
			}
		}),
		// ambiguous NOTIFY_ID... sends trade notifications of which nobody can say where a field ends.
		"ambiguous": plain(1, func(_ *testscript.TestScript, args []string) {
			r := newRefusing(c.t, c.site, c.site.app.PublicPEM)
			for _, id := range args {
				n := c.site.app.Notification(c.t, "trade.status_changed", alipaytest.Options{NotifyID: id})
				n.Set("aaa", "x&agreement_no=1")
				r.refuse(c.t, n, time.Now())
			}
		}),
		// altered NOTIFY_ID stores the first event again, as another one than was signed.
		"altered": plain(1, func(_ *testscript.TestScript, args []string) {
			m := c.site.stored(c.t, 1)
			header := make(map[string]string)
			for name, values := range m.Header {
				header[name] = values[0]
			}
			header[events.HeaderID], header[events.HeaderMessageID] = args[0], args[0]
			c.site.publish(c.t, m.Subject, string(m.Data), header)
		}),
		// keep APP REASON NOTIFY_ID stores a quarantined request.
		"keep": plain(3, func(_ *testscript.TestScript, args []string) {
			kept := events.Kept{AppID: args[0], Reason: args[1], Outcome: "refused", NotifyID: args[2], Proof: "p", ReceivedAt: time.Now(), Body: "user_id=" + somebody}
			c.site.publish(c.t, kept.Subject(), kept.Body, kept.Header())
		}),
		// unheard writes the id of an activity that Alipay published and nobody heard of.
		"unheard": plain(1, func(ts *testscript.TestScript, args []string) {
			ids, err := c.shop.p.AddActivities("", 1, "ACTIVE")
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ids[0]), 0o600))
		}),
		// request FILE writes the parameters by which a voucher is created.
		"request": plain(1, func(ts *testscript.TestScript, args []string) {
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), asJSON(newVoucher("a test", 10)), 0o600))
		}),
		// crash VERB leaves what a writing verb leaves that dies at work.
		"crash": plain(1, func(ts *testscript.TestScript, args []string) {
			if err := crash(c.t, c.site.client, args[0]); err != nil {
				ts.Fatalf("%v", err)
			}
		}),
	}
}

// surroundings are the commands that run something, or change what it runs on.
func (c *scripted) surroundings() map[string]command {
	return map[string]command{
		// exits CODE COMMAND... runs a command that must end with the code.
		"exits": plain(2, func(ts *testscript.TestScript, args []string) {
			err := ts.Exec(args[1], args[2:]...)
			code := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				ts.Fatalf("%v", err)
			}
			if fmt.Sprint(code) != args[0] {
				ts.Fatalf("exit code %d, want %s", code, args[0])
			}
		}),
		// remove STREAM SEQUENCE takes a message out.
		"remove": plain(2, func(ts *testscript.TestScript, args []string) {
			sequence, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				ts.Fatalf("%v", err)
			}
			if err := c.site.client.Remove(c.t.Context(), args[0], sequence); err != nil {
				ts.Fatalf("%v", err)
			}
		}),
		// drop STREAM deletes a stream.
		"drop": plain(1, func(ts *testscript.TestScript, args []string) {
			if err := c.site.js.DeleteStream(c.t.Context(), args[0]); err != nil {
				ts.Fatalf("%v", err)
			}
		}),
		// redis [OFFSET] starts a Redis whose clock is wrong by so much.
		"redis": plain(0, func(ts *testscript.TestScript, args []string) {
			r := miniredis.RunT(c.t)
			if len(args) > 0 {
				off, err := time.ParseDuration(args[0])
				if err != nil {
					ts.Fatalf("%v", err)
				}
				r.SetTime(time.Now().Add(off))
			}
			ts.Setenv("ALIPAY_NOTIFY_REDIS__URL", "redis://"+r.Addr())
		}),
		// user NAME goes on as this NATS user.
		"user": plain(1, func(ts *testscript.TestScript, args []string) {
			ts.Setenv("ALIPAY_NOTIFY_NATS__URL", c.url(args[0]))
		}),
	}
}

// forgetful stores the first of two records.
type forgetful struct {
	*stream.Client
	stored bool
}

func (f *forgetful) Record(ctx context.Context, subject, id string, record []byte) error {
	if f.stored {
		return nil
	}
	f.stored = true
	return f.Client.Record(ctx, subject, id, record)
}

// crash stores the record of before a run, and none of after it.
func crash(t *testing.T, client *stream.Client, verb string) error {
	t.Helper()
	_, err := audit.New(&forgetful{Client: client}, audit.Options{}).Run(t.Context(), audit.Plan{Verb: verb, Items: 7, Target: "somewhere"},
		audit.Consent{Execute: true, Reason: "INC 7"}, func(context.Context, string) (audit.Outcome, error) { return audit.Outcome{Done: 7}, nil })
	return err
}

// deploy starts a server with the configuration that deploy/ hands out.
func (c *scripted) deploy(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ALIPAY_RECEIVER", "ALIPAY_REPLAYER", "ALIPAY_PROVISION", "ALIPAY_ORDERS", "NATS_ADMIN"} {
		t.Setenv(name+"_PASSWORD", "password-of-"+strings.ToLower(name))
	}
	o, err := server.ProcessConfigFile("../../deploy/nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.HTTPHost, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT
	o.StoreDir, o.NoLog, o.NoSigs = t.TempDir(), true, true
	if c.nats, err = server.NewServer(o); err != nil {
		t.Fatal(err)
	}
	go c.nats.Start()
	t.Cleanup(func() { c.nats.Shutdown(); c.nats.WaitForShutdown() })
	if !c.nats.ReadyForConnections(limit) {
		t.Fatal("the server did not start")
	}
	s := &site{dir: t.TempDir(), app: alipaytest.NewApp(t, "")}
	c.site = s
	s.config = filepath.Join(s.dir, "alipay-notify.yaml")
	text := fmt.Sprintf("apps:\n  - app_id: %q\n    alipay_public_keys: [alipay.pem]\nnats: { url: \"nats://%s\", max_bytes: 67108864 }\n", s.app.ID, c.nats.Addr())
	for file, data := range map[string][]byte{s.config: []byte(text), filepath.Join(s.dir, "alipay.pem"): s.app.PublicPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.connect(t)
}

// connect makes the streams as provision, and goes on as the receiver.
func (c *scripted) connect(t *testing.T) {
	t.Helper()
	s := c.site
	dial := func(user string) *stream.Client {
		client, err := stream.Connect(stream.ConnectOptions{URL: c.url(user), Name: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	s.client = dial("provision")
	s.provision(t)
	nc, err := nats.Connect(c.url("provision"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	key, err := verify.ParsePublicKey(s.app.PublicPEM)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New([]verify.PublicKey{key}, []verify.SignType{verify.RSA2})
	if err != nil {
		t.Fatal(err)
	}
	s.pipeline = ingest.New(ingest.Options{Once: dedupe.Stream{}, Publisher: dial("receiver").NewPublisher()}, ingest.App{ID: s.app.ID, Verifier: verifier})
}

func (c *scripted) url(user string) string {
	return "nats://" + url.UserPassword(user, "password-of-alipay_"+user).String() + "@" + c.nats.Addr().String()
}
