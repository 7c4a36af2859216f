package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"sync"
	"time"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/ingest"
)

const (
	// reloadEvery is how often the key files are looked at.
	reloadEvery = 30 * time.Second
	// rememberTimeout bounds the keeping of one key in ALIPAY_KEYS.
	rememberTimeout = 5 * time.Second
	// rememberAgain is how long it counts.
	rememberAgain = time.Hour
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
	remembered map[string]time.Time // when ALIPAY_KEYS took an id; of remember alone
}

// keyStore is ALIPAY_KEYS.
type keyStore interface {
	Connected() bool
	RememberKey(ctx context.Context, id string, record []byte) error
}

// newReloader makes a reloader of keys that are in use. seen is wire.Look of before
// they were loaded: a start can wait for its servers for minutes, and whoever
// rotates a key meanwhile must not wait for the change after that.
func newReloader(r *receiver, path string, environ []string, keys wire.Keys, seen [sha256.Size]byte) *reloader {
	return &reloader{
		receiver: r, path: path, environ: environ, keys: keys,
		seen: seen, store: r.client, remembered: make(map[string]time.Time),
	}
}

// run reloads on every signal of hup and on every change, until ctx ends.
func (l *reloader) run(ctx context.Context, hup <-chan os.Signal) {
	// A store that does not answer must not keep new keys from being taken into use.
	due := make(chan []ingest.App, 1)
	var remembering sync.WaitGroup
	remembering.Go(func() {
		for apps := range due {
			l.remember(ctx, apps)
		}
	})
	defer remembering.Wait()
	defer close(due)
	look := time.NewTicker(reloadEvery)
	defer look.Stop()
	if l.changed() {
		l.reload()
	}
	for {
		select { // the newest are enough
		case <-due:
		default:
		}
		due <- l.keys.Apps
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
	}
}

// changed compares the files with what they were at the last look, so that a
// file that does not load is reported once and not every 30 seconds.
func (l *reloader) changed() bool {
	now := wire.Look(l.path, l.environ)
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
// key that it names, so what fails is tried again at the next look, and what was
// done is done again after an hour: the store may have been made anew.
func (l *reloader) remember(ctx context.Context, apps []ingest.App) {
	r := l.receiver
	for _, a := range apps {
		for _, k := range a.Verifier.Keys() {
			if time.Since(l.remembered[k.ID]) < rememberAgain || !l.store.Connected() {
				continue
			}
			record, err := wire.NewKeyRecord(a.ID, k, time.Now())
			if err == nil {
				ctx, cancel := context.WithTimeout(ctx, rememberTimeout)
				err = l.store.RememberKey(ctx, k.ID, record)
				cancel()
			}
			if ctx.Err() != nil {
				return // we are stopping
			}
			if err != nil {
				r.log.Warn().Str("key", k.ID).Err(err).Msg("the key is not remembered yet")
			}
			if errors.Is(err, context.DeadlineExceeded) {
				return // nor would the others be
			}
			if err == nil {
				l.remembered[k.ID] = time.Now()
			}
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
