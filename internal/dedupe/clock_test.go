package dedupe_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"alipay-notify/internal/dedupe"
)

// TestClock: a server whose clock is wrong is told from one that is merely far.
func TestClock(t *testing.T) {
	server := miniredis.RunT(t)
	client := open(t, server.Addr())
	for _, off := range []time.Duration{0, time.Hour, -3 * time.Minute} {
		server.SetTime(time.Now().Add(off))
		ahead, within, known, err := dedupe.Clock(t.Context(), client)
		// The fake's clock stands still meanwhile, which is part of the difference.
		if err != nil || !known || (ahead-off).Abs() > within+10*time.Second {
			t.Errorf("%v: ahead %v, within %v, known %t, %v", off, ahead, within, known, err)
		}
	}
	cluster, err := dedupe.Open("redis+cluster://"+server.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	server.SetTime(time.Now().Add(time.Hour))
	if ahead, _, known, err := dedupe.Clock(t.Context(), cluster); err != nil || !known || ahead < 59*time.Minute {
		t.Errorf("cluster: ahead %v, known %t, %v", ahead, known, err)
	}
}

// TestClockUnknown: what an ACL forbids is no failure, a server that is away is one.
func TestClockUnknown(t *testing.T) {
	client := open(t, "127.0.0.1:1")
	client.AddHook(answers{"time": refusal("NOPERM this user has no permissions")})
	if _, _, known, err := dedupe.Clock(t.Context(), client); known || err != nil {
		t.Errorf("forbidden: known %t, %v", known, err)
	}
	for _, command := range []string{"ping", "time"} {
		client := open(t, "127.0.0.1:1")
		client.AddHook(answers{command: errConn})
		if _, _, _, err := dedupe.Clock(t.Context(), client); err == nil {
			t.Errorf("%s fails, and there is no error", command)
		}
	}
}
