package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A supervisor stopped a receiver whose embedded server was still reading its store,
// and noted a failure: it ended with 1, as if the start had gone wrong by itself.
func TestStoppedWhileStarting(t *testing.T) {
	t.Parallel()
	// Not t.TempDir: whoever is asked to stop does not wait for the server's own end,
	// and it may still write there.
	dir, err := os.MkdirTemp("", "alipay-notify-start")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for began := time.Now(); os.RemoveAll(dir) != nil && time.Since(began) < 10*time.Second; {
			<-time.After(20 * time.Millisecond)
		}
	})
	keys, _ := twoKeys(t)
	config := filepath.Join(dir, "alipay-notify.yaml")
	for name, text := range map[string]string{
		"key.pem": string(keys[0]),
		"alipay-notify.yaml": `apps: [{app_id: "1", alipay_public_keys: [key.pem]}]
http: {listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
nats: {embedded: {listen: "127.0.0.1:0", dir: data}}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"--config", config}, &stdout, &stderr, nil); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, stderr.String())
	}
	if !strings.Contains(stderr.String(), "stopped while starting") {
		t.Errorf("the log does not say that it had not started: %s", stderr.String())
	}
}
