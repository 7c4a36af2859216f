package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify-consumer/state"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	run := []string{"run", "--nats", "nats://127.0.0.1:1", "--state", "x"}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":                   {nil, 2, "Usage"},
		"help":                      {[]string{"--help"}, 0, "Usage"},
		"help of run":               {[]string{"run", "-h"}, 0, "Usage"},
		"an unknown command":        {[]string{"eat"}, 2, "Usage"},
		"no name":                   {run, 2, "--name"},
		"a name that is a filter":   {append(run, "--name", "a.>"), 2, "--name"},
		"a login in the URL":        {[]string{"run", "--nats", "nats://u:hunter2@127.0.0.1:1", "--state", "x", "--name", "a"}, 2, "--nats"},
		"a user without password":   {append(run, "--name", "a", "--user", "u"), 2, "--password-file"},
		"two logins":                {append(run, "--name", "a", "--token-file", "t", "--creds", "c"), 2, "--token-file"},
		"an unknown flag":           {append(run, "--name", "a", "--fast"), 2, "fast"},
		"an argument too many":      {append(run, "--name", "a", "b"), 2, `"b"`},
		"a key that is not there":   {append(run, "--name", "a", "--alipay-key", "no/such/file"), 1, "no/such/file"},
		"dump without a file":       {[]string{"dump"}, 2, "--state"},
		"dump of what is not there": {[]string{"dump", "--state", "no/such/file"}, 1, "no/such/file"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(tt.args, &stdout, &stderr); code != tt.code {
			t.Errorf("%s: exit code %d, want %d", name, code, tt.code)
		}
		if said := stdout.String() + stderr.String(); !strings.Contains(said, tt.says) {
			t.Errorf("%s: said %q, want %q in it", name, said, tt.says)
		} else if strings.Contains(said, "hunter2") {
			t.Errorf("%s: said a password: %q", name, said)
		}
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	s, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := command([]string{"dump", "--state", path}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %s", code, stderr.String())
	}
	if want := "{\n  \"activities\": {},\n  \"cards\": {},\n  \"events\": 0\n}\n"; stdout.String() != want {
		t.Errorf("got %s", stdout.String())
	}
}
