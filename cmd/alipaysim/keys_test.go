package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// contents are the files of a directory by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[entry.Name()] = string(data)
	}
	return out
}

func TestKeysWritesFiveFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "dev")
	got := runLine(t.Context(), "keys", "--dir", dir, "-o", "json")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	var rows []struct{ Path, Purpose string }
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v:\n%s", len(rows), err, got.stdout)
	}
	for name, mode := range map[string]os.FileMode{
		alipayPrivateKey: 0o600, alipayPublicKey: 0o644, appPrivateKey: 0o600, appPublicKey: 0o644, aesKeyFile: 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %s", name, info, err, mode)
		}
	}

	files := contents(t, dir)
	if len(files) != 5 {
		t.Errorf("%d files, want 5: no temporary ones", len(files))
	}
	for private, public := range map[string]string{alipayPrivateKey: alipayPublicKey, appPrivateKey: appPublicKey} {
		key, err := alipaytest.ParsePrivatePEM([]byte(files[private]))
		if err != nil {
			t.Fatal(err)
		}
		half, development, err := alipaytest.ParsePublicPEM([]byte(files[public]))
		if err != nil || !development || !half.Equal(key.Public()) {
			t.Errorf("%s: of the private half %v, marked %v, %v", public, half.Equal(key.Public()), development, err)
		}
		if bits := key.Public().N.BitLen(); bits != 2048 {
			t.Errorf("%s has %d bits", private, bits)
		}
	}
	if _, err := alipaytest.ParseAESKey([]byte(files[aesKeyFile])); err != nil {
		t.Error(err)
	}
}

func TestKeysReplacesNothingUnasked(t *testing.T) {
	t.Parallel()
	dir := keyDir(t)
	before := contents(t, dir)
	unchanged := func(what string) {
		t.Helper()
		for name, content := range contents(t, dir) {
			if before[name] != content {
				t.Errorf("%s has changed %s", what, name)
			}
		}
	}

	got := runLine(t.Context(), "keys", "--dir", dir)
	want := "alipaysim: " + dir + " has keys already, nothing was written: alipay-private.pem, alipay-public.pem, " +
		"app-private.pem, app-public.pem, aes.key\nTry: alipaysim keys --force, to replace all five\n"
	if got.code != 3 || got.stdout != "" || got.stderr != want {
		t.Errorf("exit %d, stdout %q, stderr %q\nwant exit 3, %q", got.code, got.stdout, got.stderr, want)
	}
	unchanged("keys")

	if got := runLine(t.Context(), "keys", "--dir", dir, "--if-missing"); got != (ran{}) {
		t.Errorf("--if-missing: %+v, want nothing at all", got)
	}
	unchanged("--if-missing")

	if err := os.Remove(filepath.Join(dir, aesKeyFile)); err != nil {
		t.Fatal(err)
	}
	if got := runLine(t.Context(), "keys", "--dir", dir, "--if-missing"); got.code != 3 {
		t.Errorf("--if-missing with four of five: exit %d, want 3", got.code)
	}
	unchanged("--if-missing with four of five")

	if got := runLine(t.Context(), "keys", "--dir", dir, "--force"); got.code != 0 {
		t.Errorf("--force: exit %d: %s", got.code, got.stderr)
	}
	after := contents(t, dir)
	for name, content := range before {
		if after[name] == content || after[name] == "" {
			t.Errorf("--force has not replaced %s", name)
		}
	}
}

func TestKeysSaysWhyItCannotWrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runLine(t.Context(), "keys", "--dir", filepath.Join(file, "dev"))
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "not a directory") {
		t.Errorf("%+v", got)
	}
}
