//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// TestConfigErrors has several things wrong at once: each is named, none of the
// values is repeated, and the exit code is 2.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	config := newConfig(t, alipaytest.NewApp(t, ""))
	config.keys["http.path"] = "notify"
	config.keys["http.max_in_flight"] = 0
	config.keys["http.colour"] = "red"
	config.keys["redis.url"] = "http://user:hunter2@redis.example"
	config.keys["redis.lease"] = "1s"
	config.keys["nats.replicas"] = 2
	config.keys["log.level"] = "loud"
	problems := []string{
		"http.path", "http.max_in_flight", "http.colour", "redis.url", "redis.lease", "nats.replicas", "log.level", "Try: ",
	}
	for _, verb := range [][]string{nil, {"check"}, {"provision"}, {"config"}, {"config", "-o", "json"}} {
		got := config.run(t, verb...)
		got.want(t, 2, problems...)
		if strings.Contains(got.stdout+got.stderr, "hunter2") {
			t.Errorf("receiver %v repeats what may be a password:\n%s%s", verb, got.stdout, got.stderr)
		}
	}
	run(t, tools.receiver, "--config", filepath.Join(t.TempDir(), "none.yaml")).want(t, 2, "no such file")
	run(t, tools.receiver, "--colour").want(t, 2, "unknown flag", "Try: receiver --help")
	run(t, tools.receiver, "provision", "-o", "xml").want(t, 2, "unknown format")
	run(t, tools.receiver, "config", "-o", "table").want(t, 2, "unknown format")
}

// TestKeyErrors names every key that cannot be used, at once.
func TestKeyErrors(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config := newConfig(t, app)
	private, err := app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	config.file(t, "private.pem", private)
	config.file(t, "bad.key", []byte("AAAA"))
	config.keys["apps"] = []any{
		map[string]any{"app_id": "1", "alipay_public_keys": []string{"none.pem", "private.pem"}},
		map[string]any{"app_id": "2", "alipay_public_keys": []string{"alipay.pem"}, "aes_keys": []string{"bad.key"}},
	}
	problems := []string{"apps[0] (1)", "none.pem", "no such file", "private.pem: this is a private key", "apps[1] (2)", "bad.key"}
	config.run(t).want(t, 2, problems...)
	checked := config.run(t, "check")
	checked.want(t, 1)
	for _, problem := range problems {
		if !strings.Contains(checked.stdout, problem) {
			t.Errorf("check does not say %q:\n%s", problem, checked.stdout)
		}
	}
}

// TestConfigMasked prints what is in effect, the environment laid over the
// file, and no secret of any URL.
func TestConfigMasked(t *testing.T) {
	t.Parallel()
	config := newConfig(t, alipaytest.NewApp(t, ""))
	config.keys["redis.url"] = "redis://user:hunter2@redis.example:6379/0?password=hunter2"
	config.keys["nats.url"] = "nats://hunter2@a.example:4222,nats://user:hun%2Fter2@b.example:4222"
	for _, format := range []string{"yaml", "json"} {
		got := config.run(t, "config", "-o", format)
		got.want(t, 0)
		for _, secret := range []string{"hunter2", "ter2", "user"} {
			if strings.Contains(got.stdout+got.stderr, secret) {
				t.Errorf("-o %s shows %q:\n%s", format, secret, got.stdout)
			}
		}
		for _, shown := range []string{"redis.example:6379", "a.example:4222", "b.example:4222", "***", "max_signed_age"} {
			if !strings.Contains(got.stdout, shown) {
				t.Errorf("-o %s does not show %q:\n%s", format, shown, got.stdout)
			}
		}
	}

	cmd := command(tools.receiver, "config", "-o", "json", "--config", config.save(t))
	cmd.Env = append(cmd.Env, "ALIPAY_NOTIFY_HTTP__MAX_BODY=4096", "ALIPAY_NOTIFY_REDIS__URL=redis://:hunter2@other.example")
	out, err := cmd.Output()
	var effective struct {
		HTTP struct {
			MaxBody int `json:"max_body"`
		}
		Redis struct{ URL string }
	}
	if err != nil || json.Unmarshal(out, &effective) != nil {
		t.Fatalf("config -o json: %v\n%s", err, out)
	}
	if effective.HTTP.MaxBody != 4096 || effective.Redis.URL != "redis://***@other.example" {
		t.Errorf("in effect is %+v, want what the environment says, masked", effective)
	}
}

// TestCheck looks at everything that the receiver needs, before and while it
// runs, and fails where it would fail.
func TestCheck(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	states := func(got result) map[string]string {
		all := map[string]string{}
		for _, row := range rows(t, got.stdout) {
			if name, state := row["check"].(string), row["state"].(string); all[name] == "" || state == "fail" || all[name] == "ok" {
				all[name] = state // the worst
			}
		}
		return all
	}
	want := func(config *config, code int, words ...string) {
		t.Helper()
		got := config.run(t, "check", "-o", "json")
		got.want(t, code)
		all := states(got)
		for _, word := range words {
			name, state, _ := strings.Cut(word, " ")
			if all[name] != state {
				t.Errorf("check says %v, want %s\n%s", all, word, got.stdout)
			}
		}
	}

	embedded := newConfig(t, app)
	want(embedded, 0, "configuration ok", "keys ok", "redis ok", "nats ok")
	ready(t, embedded)
	want(embedded, 0, "nats ok", "streams ok")

	config, redis, nats := newConfig(t, app), startRedis(t), startNATS(t)
	config.keys["redis.url"], config.keys["nats.url"] = redis.url(), nats.url()
	want(config, 1, "redis ok", "nats ok", "streams fail") // nothing is provisioned
	config.run(t, "provision").want(t, 0)
	want(config, 0, "redis ok")
	redis.kill()
	want(config, 1, "redis fail", "keys ok")
	nats.kill()
	want(config, 1, "redis fail", "nats fail")
	config.run(t, "provision").want(t, 1, "connect to NATS")
}
