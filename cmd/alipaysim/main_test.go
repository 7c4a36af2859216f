package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ran is what a command line gave.
type ran struct {
	code           int
	stdout, stderr string
}

// runLine runs one command line in process.
func runLine(ctx context.Context, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr, nil)
	return ran{code, stdout.String(), stderr.String()}
}

// keyDir is a directory with fresh keys.
func keyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if got := runLine(t.Context(), "keys", "--dir", dir); got.code != 0 {
		t.Fatalf("keys: exit %d: %s", got.code, got.stderr)
	}
	return dir
}

func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"keys", "--help"}, {"send", "--help"}, {"serve", "--help"}} {
		got := runLine(t.Context(), args...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  alipaysim ") {
			t.Errorf("%v: exit %d, stderr %q, stdout:\n%s", args, got.code, got.stderr, got.stdout)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	const help = "Try: alipaysim send --help\n"
	const serveHelp = "Try: alipaysim serve --help\n"
	dir := keyDir(t)
	key := "--key=" + filepath.Join(dir, alipayPrivateKey)
	app := "--app-key=" + filepath.Join(dir, appPublicKey)
	for line, want := range map[string]string{
		"nonsense":                  "alipaysim: unknown command \"nonsense\" for \"alipaysim\"\nTry: alipaysim --help\n",
		"keys extra":                "alipaysim: unknown command \"extra\" for \"alipaysim keys\"\nTry: alipaysim keys --help\n",
		"keys --bits 512":           "alipaysim: --bits 512: want 1024 to 4096\nTry: alipaysim keys --help\n",
		"keys --if-missing --force": "alipaysim: --if-missing and --force exclude each other\nTry: alipaysim keys --help\n",
		"keys -o yaml":              "alipaysim: invalid argument \"yaml\" for \"-o, --output\" flag: unknown format \"yaml\": want table, json or ndjson\nTry: alipaysim keys --help\n",

		"send":                        "alipaysim: which TYPE is to be sent?\nTry: alipaysim send --list\n",
		"send voucher.craeted":        "alipaysim: unknown type \"voucher.craeted\"\nTry: alipaysim send --list\n",
		"send voucher.created --list": "alipaysim: --list takes no TYPE\nTry: alipaysim send --list\n",
		"send a b":                    "alipaysim: accepts at most 1 arg(s), received 2\n" + help,
		"send all --url ftp://x/":     "alipaysim: --url \"ftp://x/\": want http:// or https:// and a host\n" + help,
		"send all --url http://%zz":   "alipaysim: --url: parse \"http://%zz\": invalid URL escape \"%zz\"\n" + help,
		"send all --timeout 0":        "alipaysim: --timeout 0s: want more than 0\n" + help,
		"send all --count 0":          "alipaysim: --count 0: want 1 or more\n" + help,
		"send all --rate -1":          "alipaysim: --rate -1: want 0 or more\n" + help,
		"send all --rate NaN":         "alipaysim: --rate NaN: want 0 or more\n" + help,
		"send all --concurrency 0":    "alipaysim: --concurrency 0: want 1 or more\n" + help,
		"send all --duplicate -1":     "alipaysim: --duplicate -1: want 0 or more\n" + help,
		"send all --retries -1":       "alipaysim: --retries -1: want 0 or more\n" + help,
		"send all --no-retry --retries 2": "alipaysim: --retries and --no-retry exclude each other\n" +
			help,
		"send all --time-scale 0":                      "alipaysim: --time-scale 0: want more than 0\n" + help,
		"send all --notify-id x":                       "alipaysim: --notify-id names one notification, not several\nTry: alipaysim send TYPE --notify-id ID --duplicate N\n",
		"send card.open_result --key nowhere.pem":      "alipaysim: --key: there is no file nowhere.pem\nTry: alipaysim keys\n",
		"send card.open_result --field x " + key:       "alipaysim: --field \"x\": want name=value\n" + help,
		"send card.open_result --rule v1 " + key:       "alipaysim: card.open_result: unknown rule \"v1\": want keep, drop or insert\n" + help,
		"send card.open_result --sign-type MD5 " + key: "alipaysim: card.open_result: unknown sign type \"MD5\": want RSA2 or RSA\n" + help,
		"send card.open_result --charset big5 " + key:  "alipaysim: card.open_result: unknown charset \"big5\": want UTF-8, GBK or GB18030\n" + help,
		"send card.open_result --aes-key nix " + key:   "alipaysim: --aes-key: there is no file nix\nTry: alipaysim keys\n",
		"send account.event --notify-id 1 " + key:      "alipaysim: account.event: notifications of the 生活号 gateway have no notify_id\n" + help,
		"send card.open_result --key " + filepath.Join(dir, aesKeyFile): "alipaysim: --key: " + filepath.Join(dir, aesKeyFile) +
			": no PEM block found\n" + help,

		"serve extra":                              "alipaysim: unknown command \"extra\" for \"alipaysim serve\"\n" + serveHelp,
		"serve --listen 8088":                      "alipaysim: --listen: address 8088: missing port in address\n" + serveHelp,
		"serve --url ftp://x/":                     "alipaysim: --url \"ftp://x/\": want http:// or https:// and a host\n" + serveHelp,
		"serve --url http://%zz":                   "alipaysim: --url: parse \"http://%zz\": invalid URL escape \"%zz\"\n" + serveHelp,
		"serve --time-scale NaN":                   "alipaysim: --time-scale NaN: want more than 0\n" + serveHelp,
		"serve --operation-delay 0":                "alipaysim: --operation-delay 0s: want more than 0\n" + serveHelp,
		"serve --app-cert x":                       "alipaysim: --app-cert needs --alipay-cert and --alipay-root-cert\n" + serveHelp,
		"serve --encrypt-notifications":            "alipaysim: --encrypt-notifications needs --aes-key\n" + serveHelp,
		"serve --api-fault html":                   "alipaysim: --api-fault: fault \"html\": want KIND=PROBABILITY, such as throttle=0.05\n" + serveHelp,
		"serve --key nowhere.pem":                  "alipaysim: --key: there is no file nowhere.pem\nTry: alipaysim keys\n",
		"serve --app-key 2=nix " + key:             "alipaysim: --app-key: there is no file nix\nTry: alipaysim keys\n",
		"serve --aes-key 2=nix " + key + " " + app: "alipaysim: --aes-key: app 2 has neither --app-key nor --app-cert\n" + serveHelp,
		"serve --drop 2 " + key + " " + app:        "alipaysim: drop 2: want a probability, 0 to 1\n" + serveHelp,
		"serve --journal nix/x " + key + " " + app: "alipaysim: --journal: open nix/x: no such file or directory\n" + serveHelp,
		"serve " + key + " " + app + " " + app:     "alipaysim: --app-key: app 2021000000000001 has a key or certificate already\n" + serveHelp,
		"serve --alipay-cert nix --alipay-root-cert nix --app-cert 3=x " + key: "alipaysim: --alipay-cert: there is no file nix\nTry: alipaysim keys\n",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			got := runLine(t.Context(), strings.Fields(line)...)
			if got.code != 2 || got.stdout != "" || got.stderr != want {
				t.Errorf("exit %d, stdout %q, stderr:\n%s\nwant exit 2, no stdout, stderr:\n%s", got.code, got.stdout, got.stderr, want)
			}
		})
	}
}
