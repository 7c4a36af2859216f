//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// TestFullDisk fills the disk under the embedded server. From then on nothing
// is acknowledged, the process ends with an error, and with room again
// everything acknowledged is there.
//
// The server once did not stop at a full disk: its JetStream ran on, with an
// archive that answered nothing until the next start, room or not, while the
// receiver called itself ready.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config := newConfig(t, app)
	disk := filepath.Join(config.dir, "nats")
	mount(t, disk, "size=8m")
	r := ready(t, config)

	var acknowledged []string
	const most = 2000 // far more than 8 MiB hold
	for len(acknowledged) < most {
		n := voucher(t, app)
		n.SetPayload("note", noise(t))
		got, err := r.try(bodyOf(t, n))
		if err != nil {
			break // it has ended
		}
		if !got.acknowledged() {
			got.want(t, http.StatusServiceUnavailable, "fail")
			break
		}
		acknowledged = append(acknowledged, n.ID())
	}
	if len(acknowledged) == 0 || len(acknowledged) == most {
		t.Fatalf("%d were acknowledged, want some and then no more", len(acknowledged))
	}
	// Alipay's retries go on meanwhile.
	eventually(t, "the receiver ends", func() bool {
		n := voucher(t, app)
		n.SetPayload("note", noise(t))
		got, err := r.try(bodyOf(t, n))
		if err == nil && got.acknowledged() {
			acknowledged = append(acknowledged, n.ID()) // there was room for one more: then it must be stored, too
		}
		return r.ended()
	})
	if code := r.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	t.Logf("%d were acknowledged before the disk was full", len(acknowledged))

	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	again := ready(t, config)
	wantStored(t, ids(again.events(t)), acknowledged)
	again.send(t, voucher(t, app)).want(t, http.StatusOK, "success")
}

// noise is 24 KiB that no compression makes smaller.
func noise(t *testing.T) string {
	t.Helper()
	b := make([]byte, 18<<10)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// mount puts a small disk of memory at path for the length of the test.
func mount(t *testing.T, path, options string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", path, "tmpfs", 0, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("a small disk cannot be mounted here (%v): run as root with CAP_SYS_ADMIN", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
}
