package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/cli"
)

const (
	defaultURL = "http://127.0.0.1:8080/alipay/notify"
	allTypes   = "all"
	sendHelp   = "alipaysim send --help"
)

// sendOptions are the flags of send, as given.
type sendOptions struct {
	typ    string
	list   bool
	format cli.Format

	url     string
	timeout time.Duration

	appID    string
	key      string
	signType string
	rule     string
	charset  string
	aesKey   string
	fields   []string
	notifyID string

	count       int
	rate        float64
	concurrency int
	duplicate   int
	retries     int
	noRetry     bool
	timeScale   float64
	sameBytes   bool
}

func (o *sendOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.list, "list", false, "show the types that can be sent")
	cli.AddFormat(flags, &o.format)

	flags.StringVar(&o.url, "url", defaultURL, "where the receiver listens")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long one delivery may take")

	flags.StringVar(&o.appID, "app-id", alipaytest.DefaultAppID, "app that is notified")
	flags.StringVar(&o.key, "key", filepath.Join(defaultKeyDir, alipayPrivateKey), "private key that plays Alipay's")
	flags.StringVar(&o.signType, "sign-type", "RSA2", "RSA2 or RSA")
	flags.StringVar(&o.rule, "rule", "", "sign_type is signed (keep), not signed (drop), or signed but not sent (insert); default: as Alipay does for the type")
	flags.StringVar(&o.charset, "charset", "", "UTF-8, GBK or GB18030; default: GBK for account.event, else UTF-8")
	flags.StringVar(&o.aesKey, "aes-key", "", "encrypt biz_content with the key in this file")
	flags.StringArrayVar(&o.fields, "field", nil, "name=value to override or add in the payload; repeatable")
	flags.StringVar(&o.notifyID, "notify-id", "", "notify_id; default: a new one")

	flags.IntVar(&o.count, "count", 1, "notifications of each type")
	flags.Float64Var(&o.rate, "rate", 0, "notifications begun per second; 0 is as fast as it goes")
	flags.IntVar(&o.concurrency, "concurrency", 1, "notifications on their way at once")
	flags.IntVar(&o.duplicate, "duplicate", 0, "times that each is sent again after success")
	flags.IntVar(&o.retries, "retries", 7, "retries at most; Alipay's schedule has 7")
	flags.BoolVar(&o.noRetry, "no-retry", false, "the same as --retries 0")
	flags.Float64Var(&o.timeScale, "time-scale", 1, "how much faster than Alipay's the retry schedule runs")
	flags.BoolVar(&o.sameBytes, "same-bytes", false, "retries and duplicates repeat the first body instead of being stamped and signed anew")
}

// check finds mistakes in the flags; it opens nothing.
func (o *sendOptions) check(flags *pflag.FlagSet) error {
	usage := func(format string, args ...any) error { return cli.Usagef(sendHelp, format, args...) }
	target, err := url.Parse(o.url)
	positive := func(f float64) bool { return f > 0 && !math.IsInf(f, 0) }
	switch {
	case o.typ == "":
		return cli.Usagef("alipaysim send --list", "which TYPE is to be sent?")
	case o.types() == nil:
		return cli.Usagef("alipaysim send --list", "unknown type %q", o.typ)
	case err != nil:
		return usage("--url: %w", err)
	case target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return usage("--url %q: want http:// or https:// and a host", o.url)
	case o.timeout <= 0:
		return usage("--timeout %s: want more than 0", o.timeout)
	case o.count < 1:
		return usage("--count %d: want 1 or more", o.count)
	case o.rate != 0 && !positive(o.rate):
		return usage("--rate %v: want 0 or more", o.rate)
	case o.concurrency < 1:
		return usage("--concurrency %d: want 1 or more", o.concurrency)
	case o.duplicate < 0:
		return usage("--duplicate %d: want 0 or more", o.duplicate)
	case o.retries < 0:
		return usage("--retries %d: want 0 or more", o.retries)
	case o.noRetry && flags.Changed("retries"):
		return usage("--retries and --no-retry exclude each other")
	case !positive(o.timeScale):
		return usage("--time-scale %v: want more than 0", o.timeScale)
	case o.notifyID != "" && (o.count > 1 || o.typ == allTypes):
		return cli.Usagef("alipaysim send TYPE --notify-id ID --duplicate N",
			"--notify-id names one notification, not several")
	}
	return nil
}

// types are the entity.action names that TYPE stands for; nil is none. The
// gateway check is no event and not part of all.
func (o *sendOptions) types() []string {
	var out []string
	for _, t := range alipaytest.Types() {
		if t.Type == o.typ || o.typ == allTypes && t.Event {
			out = append(out, t.Type)
		}
	}
	return out
}

// notification reads the keys and gives what all notifications have in common.
func (o *sendOptions) notification() (alipaytest.Options, error) {
	opts := alipaytest.Options{
		AppID:    o.appID,
		NotifyID: o.notifyID,
		Charset:  alipaytest.Charset(o.charset),
		Signing:  alipaytest.Signing{SignType: alipaytest.SignType(o.signType), Rule: alipaytest.Rule(o.rule)},
	}
	for _, field := range o.fields {
		name, value, ok := strings.Cut(field, "=")
		if !ok || name == "" {
			return opts, cli.Usagef(sendHelp, "--field %q: want name=value", field)
		}
		opts.Payload = append(opts.Payload, alipaytest.Field{Name: name, Value: value})
	}
	var err error
	if opts.Key, err = readKeyFile("--key", o.key, alipaytest.ParsePrivatePEM); err != nil {
		return opts, err
	}
	if o.aesKey != "" {
		opts.AESKey, err = readKeyFile("--aes-key", o.aesKey, alipaytest.ParseAESKey)
	}
	return opts, err
}

// readKeyFile reads a key of either sort. A missing file has one likely cause,
// and its message the remedy.
func readKeyFile[K any](flag, path string, parse func([]byte) (K, error)) (K, error) {
	var none K
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, cli.Usagef("alipaysim keys", "%s: there is no file %s", flag, path)
	}
	if err != nil {
		return none, cli.Usagef(sendHelp, "%s: %w", flag, err)
	}
	key, err := parse(data)
	if err != nil {
		return none, cli.Usagef(sendHelp, "%s: %w", flag, fmt.Errorf("%s: %w", path, err))
	}
	return key, nil
}
