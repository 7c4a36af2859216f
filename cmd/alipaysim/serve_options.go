package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/cli"
)

const serveHelp = "alipaysim serve --help"

// defaultListen is next to the receiver's ports, and nobody's.
const defaultListen = "127.0.0.1:8088"

// serveOptions are the flags of serve. Flags that name a file per app are
// APP_ID=FILE, or FILE for the default app.
type serveOptions struct {
	listen      string
	allowRemote bool
	url         string
	journal     string

	key        string
	appKeys    []string
	appCerts   []string
	aesKeys    []string
	authTokens []string
	alipayCert string
	rootCert   string
	encrypt    bool

	timeScale      float64
	operationDelay time.Duration
	mischief       platform.Mischief
	faults         []string
	seed           uint64
}

func (o *serveOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.listen, "listen", defaultListen, "address to listen on; port 0 is any that is free")
	flags.BoolVar(&o.allowRemote, "allow-remote", false, "allow an address that other machines reach")
	flags.StringVar(&o.url, "url", defaultURL, "where the receiver listens")
	flags.StringVar(&o.journal, "journal", "", "file for the journal; default: stdout")

	flags.StringVar(&o.key, "key", filepath.Join(defaultKeyDir, alipayPrivateKey), "private key that plays Alipay's")
	flags.StringArrayVar(&o.appKeys, "app-key", nil, "[APP_ID=]FILE with an app's public key; repeatable; default: "+filepath.Join(defaultKeyDir, appPublicKey))
	flags.StringArrayVar(&o.appCerts, "app-cert", nil, "[APP_ID=]FILE with an app's certificate, instead of its key: certificate mode; repeatable")
	flags.StringVar(&o.alipayCert, "alipay-cert", "", "certificate that answers name in certificate mode")
	flags.StringVar(&o.rootCert, "alipay-root-cert", "", "root certificates that callers name in certificate mode")
	flags.StringArrayVar(&o.aesKeys, "aes-key", nil, "[APP_ID=]FILE with the AES key of an app that may encrypt; repeatable")
	flags.BoolVar(&o.encrypt, "encrypt-notifications", false, "encrypt the notifications of apps that have an AES key")
	flags.StringArrayVar(&o.authTokens, "app-auth-token", nil, "[APP_ID=]FILE with the app_auth_token that an ISV's app may send; repeatable")

	flags.Float64Var(&o.timeScale, "time-scale", 1, "how much faster than Alipay's all waits are")
	flags.DurationVar(&o.operationDelay, "operation-delay", 2*time.Second, "how long an accepted operation is in flight, before scaling")
	flags.Float64Var(&o.mischief.Drop, "drop", 0, "probability that a notification is never sent")
	flags.Float64Var(&o.mischief.Duplicate, "duplicate", 0, "probability that one is sent again after success")
	flags.Float64Var(&o.mischief.Reorder, "reorder", 0, "probability that one is held back until a later one was sent")
	flags.Float64Var(&o.mischief.Tamper, "tamper", 0, "probability that the first sending is changed on its way")
	flags.DurationVar(&o.mischief.Delay, "delay", 0, "first sendings come up to so much later, before scaling")
	flags.StringArrayVar(&o.faults, "api-fault", nil, "KIND=PROBABILITY of what goes wrong with calls; repeatable; kinds: "+strings.Join(platform.FaultKinds(), ", "))
	flags.Uint64Var(&o.seed, "seed", 0, "what ids and all chance depend on; default: a new one, which is printed")
}

// check finds mistakes in the flags; it opens nothing.
func (o *serveOptions) check(flags *pflag.FlagSet) error {
	usage := func(format string, args ...any) error { return cli.Usagef(serveHelp, format, args...) }
	target, err := url.Parse(o.url)
	host, _, listenErr := net.SplitHostPort(o.listen)
	switch ip := net.ParseIP(host); {
	case listenErr != nil:
		return usage("--listen: %w", listenErr)
	case !o.allowRemote && host != "localhost" && !ip.IsLoopback():
		return cli.Declinedf("alipaysim serve --listen 127.0.0.1:8088, or --allow-remote if you mean it",
			"--listen %s: other machines would reach it, and it signs for whoever asks", o.listen)
	case err != nil:
		return usage("--url: %w", err)
	case target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return usage("--url %q: want http:// or https:// and a host", o.url)
	case !(o.timeScale > 0) || math.IsInf(o.timeScale, 0):
		return usage("--time-scale %v: want more than 0", o.timeScale)
	case o.operationDelay <= 0:
		return usage("--operation-delay %s: want more than 0", o.operationDelay)
	case len(o.appCerts) > 0 && (o.alipayCert == "" || o.rootCert == ""):
		return usage("--app-cert needs --alipay-cert and --alipay-root-cert")
	case o.encrypt && len(o.aesKeys) == 0:
		return usage("--encrypt-notifications needs --aes-key")
	}
	if !flags.Changed("seed") {
		var seed [4]byte // short enough to be typed
		rand.Read(seed[:])
		o.seed = uint64(binary.BigEndian.Uint32(seed[:]))
	}
	return nil
}

// config reads the files.
func (o *serveOptions) config() (platform.Config, error) {
	c := platform.Config{TimeScale: o.timeScale, OperationDelay: o.operationDelay, Mischief: o.mischief, Seed: o.seed}
	for _, text := range o.faults {
		f, err := platform.ParseFault(text)
		if err != nil {
			return c, cli.Usagef(serveHelp, "--api-fault: %w", err)
		}
		c.Faults = append(c.Faults, f)
	}
	var err error
	if c.Key, err = readKeyFile("--key", o.key, alipaytest.ParsePrivatePEM); err != nil {
		return c, err
	}
	asIs := func(data []byte) ([]byte, error) { return data, nil }
	if len(o.appCerts) > 0 {
		if c.AlipayCert, err = readKeyFile("--alipay-cert", o.alipayCert, asIs); err != nil {
			return c, err
		}
		if c.RootCert, err = readKeyFile("--alipay-root-cert", o.rootCert, asIs); err != nil {
			return c, err
		}
	}
	c.Apps, err = o.apps()
	return c, err
}

// apps reads what is said per app. Keys and certificates make one; the others
// are about one that is there.
func (o *serveOptions) apps() ([]platform.App, error) {
	if len(o.appKeys)+len(o.appCerts) == 0 {
		o.appKeys = []string{filepath.Join(defaultKeyDir, appPublicKey)}
	}
	var apps []platform.App
	for _, flag := range []struct {
		name  string
		given []string
		makes bool
		put   func(a *platform.App, data []byte) error
	}{
		{"--app-key", o.appKeys, true, func(a *platform.App, data []byte) (err error) {
			a.Public, err = parsePublic(data)
			return err
		}},
		{"--app-cert", o.appCerts, true, func(a *platform.App, data []byte) error { a.Cert = data; return nil }},
		{"--aes-key", o.aesKeys, false, func(a *platform.App, data []byte) (err error) {
			a.AESKey, err = alipaytest.ParseAESKey(data)
			a.Encrypt = o.encrypt
			return err
		}},
		{"--app-auth-token", o.authTokens, false, func(a *platform.App, data []byte) error {
			a.AuthToken = strings.TrimSpace(string(data))
			return nil
		}},
	} {
		for _, value := range flag.given {
			id, path := splitApp(value)
			i := slices.IndexFunc(apps, func(a platform.App) bool { return a.ID == id })
			switch {
			case i < 0 && !flag.makes:
				return nil, cli.Usagef(serveHelp, "%s: app %s has neither --app-key nor --app-cert", flag.name, id)
			case i >= 0 && flag.makes:
				return nil, cli.Usagef(serveHelp, "%s: app %s has a key or certificate already", flag.name, id)
			case i < 0:
				apps, i = append(apps, platform.App{ID: id}), len(apps)
			}
			if _, err := readKeyFile(flag.name, path, func(data []byte) (struct{}, error) {
				return struct{}{}, flag.put(&apps[i], data)
			}); err != nil {
				return nil, err
			}
		}
	}
	return apps, nil
}

func parsePublic(data []byte) (*rsa.PublicKey, error) {
	public, _, err := alipaytest.ParsePublicPEM(data)
	if err != nil {
		return nil, fmt.Errorf("%w (the app's public key is meant, as PEM)", err)
	}
	return public, nil
}

// splitApp takes APP_ID=FILE apart. A file may have '=' in its name, so what is
// before the first one has to be digits.
func splitApp(value string) (id, path string) {
	id, path, ok := strings.Cut(value, "=")
	if !ok || id == "" || strings.Trim(id, "0123456789") != "" {
		return alipaytest.DefaultAppID, value
	}
	return id, path
}
