package dedupe_test

import (
	"context"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/dedupe"
)

// answers is a client hook that answers commands by their name, without a server.
type answers map[string]any

func (a answers) DialHook(next redis.DialHook) redis.DialHook { return next }
func (a answers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a answers) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch v := a[cmd.Name()].(type) {
		case error:
			cmd.SetErr(v)
			return v
		case string:
			cmd.(*redis.StringCmd).SetVal(v)
		case map[string]string:
			cmd.(*redis.MapStringStringCmd).SetVal(v)
		}
		return nil
	}
}

func TestCheck(t *testing.T) {
	const good = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\n"
	noperm := refusal("NOPERM this user has no permissions")
	tests := map[string]struct {
		answers answers
		want    []string // beginnings of the findings
	}{
		"good":       {answers{"info": good}, []string{"redis 7.0.15, standalone, master"}},
		"valkey":     {answers{"info": good + "valkey_version:8.1.0\r\n"}, []string{"valkey 8.1.0, standalone, master"}},
		"evicts":     {answers{"info": strings.Replace(good, "noeviction", "allkeys-lru", 1)}, []string{"redis", "warning: maxmemory-policy is allkeys-lru"}},
		"replica":    {answers{"info": strings.Replace(good, "role:master", "role:slave", 1)}, []string{"redis", `warning: the role is "slave"`}},
		"old":        {answers{"info": strings.Replace(good, "7.0.15", "5.0.1", 1)}, []string{"redis", "warning: version 5.0.1 is older than 6"}},
		"no scripts": {answers{"info": good, "evalsha": noperm}, []string{"redis", "warning: claims are refused: NOPERM"}},
		"no info": {answers{"info": noperm, "config": map[string]string{"maxmemory-policy": "noeviction"}},
			[]string{"warning: version and role are unknown"}},
		"nothing": {answers{"info": noperm, "config": noperm, "ping": noperm},
			[]string{"warning: version and role are unknown", "warning: maxmemory-policy is unknown"}},
		"down":         {answers{"ping": errConn}, nil},
		"down later":   {answers{"info": good, "evalsha": errConn}, nil},
		"down at last": {answers{"info": errConn}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client := open(t, "127.0.0.1:1")
			client.AddHook(tt.answers)
			got, err := dedupe.Check(t.Context(), client)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("err = %v", err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("findings %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("finding %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

// TestCheckCluster: every master is looked at, under its address.
func TestCheckCluster(t *testing.T) {
	server := miniredis.RunT(t)
	client, err := dedupe.Open("redis+cluster://"+server.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := dedupe.Check(t.Context(), client)
	if err != nil || len(got) == 0 || !strings.Contains(got[0], server.Addr()) {
		t.Errorf("findings %q, err %v", got, err)
	}
}
