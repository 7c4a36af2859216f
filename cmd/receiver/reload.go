package main

import (
	"context"
	"crypto/sha256"
	"os"
	"time"

	"alipay-notify/cmd/internal/wire"
)

const (
	// reloadEvery is how often the key files are looked at.
	reloadEvery = 30 * time.Second
	// rememberTimeout bounds the keeping of one key in ALIPAY_KEYS.
	rememberTimeout = 5 * time.Second
)

// reloader takes new keys into use while the receiver runs: on SIGHUP, and when
// a file has changed. The apps change all at once or not at all; when the new
// files do not load, the old keys stay. Nothing but apps and keys is reloaded.
type reloader struct {
	receiver *receiver
	path     string
	environ  []string
	keys     wire.Keys
	seen     [sha256.Size]byte

	store      keyStore
	remembered map[string]bool // ids that ALIPAY_KEYS has
}

// keyStore is ALIPAY_KEYS.
type keyStore interface {
	Connected() bool
	RememberKey(ctx context.Context, id string, record []byte) error
}

func newReloader(r *receiver, path string, environ []string, keys wire.Keys) *reloader {
	return &reloader{
		receiver: r, path: path, environ: environ, keys: keys,
		seen: wire.Digest(path, r.cfg), store: r.client, remembered: make(map[string]bool),
	}
}

// run reloads on every signal of hup and on every change, until ctx ends.
func (l *reloader) run(ctx context.Context, hup <-chan os.Signal) {
	look := time.NewTicker(reloadEvery)
	defer look.Stop()
	l.remember(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			l.reload()
		case <-look.C:
			if l.changed() {
				l.reload()
			}
		}
		l.remember(ctx)
	}
}

// changed compares the files with what they were at the last look, so that a
// file that does not load is reported once and not every 30 seconds.
func (l *reloader) changed() bool {
	cfg, _ := wire.Config(l.path, l.environ) // what cannot be read counts as a change, once
	now := wire.Digest(l.path, cfg)
	changed := now != l.seen
	l.seen = now
	return changed
}

func (l *reloader) reload() {
	r := l.receiver
	l.changed() // before they are loaded: what changes from now on is seen at the next look
	_, keys, err := wire.ReceiverConfig(l.path, l.environ)
	r.metrics.Reloaded(err == nil)
	if err != nil {
		r.log.Error().Err(err).Msg("the new keys cannot be used; the old ones stay in use")
		return
	}
	r.pipeline.SetApps(keys.Apps...)
	r.useCerts(keys)
	l.keys = keys
	line := r.log.Info()
	for _, a := range keys.Apps {
		var ids []string
		for _, k := range a.Verifier.Keys() {
			ids = append(ids, k.ID)
		}
		line.Strs("keys_"+a.ID, ids)
	}
	line.Msg("keys reloaded")
}

// remember keeps every key in ALIPAY_KEYS. A proof is only worth as much as the
// key that it names, so what fails is tried again at the next look.
func (l *reloader) remember(ctx context.Context) {
	r := l.receiver
	for _, a := range l.keys.Apps {
		for _, k := range a.Verifier.Keys() {
			if l.remembered[k.ID] || !l.store.Connected() {
				continue
			}
			record, err := wire.NewKeyRecord(a.ID, k, time.Now())
			if err == nil {
				ctx, cancel := context.WithTimeout(ctx, rememberTimeout)
				err = l.store.RememberKey(ctx, k.ID, record)
				cancel()
			}
			if err != nil {
				r.log.Warn().Str("key", k.ID).Err(err).Msg("the key is not remembered yet")
				continue
			}
			l.remembered[k.ID] = true
		}
	}
}

// useCerts watches the dates of the certificates in use. A certificate that has
// ended is no reason to refuse: its key stays the same when it is renewed.
func (r *receiver) useCerts(keys wire.Keys) {
	r.metrics.Certificates(func(add func(appID, sn string, notAfter time.Time)) {
		for _, c := range keys.Certs {
			add(c.AppID, c.SN, c.NotAfter)
		}
	})
	for _, c := range keys.Certs {
		if time.Until(c.NotAfter) < wire.CertWarning {
			r.log.Warn().Str("app_id", c.AppID).Str("sn", c.SN).Time("not_after", c.NotAfter).
				Msg("Alipay's certificate ends soon: download the new one and put it beside the old one")
		}
	}
}
