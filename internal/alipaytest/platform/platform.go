// Package platform is a stand-in for Alipay's open platform, as pebble is for
// ACME: the place where a client's assumptions break before production. It
// answers OpenAPI calls over both protocols (v3 REST and gateway.do) with real
// state, is as strict about signatures and parameters as PROTOCOL.md says
// Alipay is, and sends the notifications that operations cause. Where Alipay is
// unpredictable (an error with or without links, 200 or 204 for nothing), so is
// this, by a seed.
//
// It holds no production code and shares none with the client it tests: request
// signatures, certificate numbers and encryption are written here from the
// documents alone. State is in memory and ends with the process.
package platform

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"alipay-notify/internal/alipaytest"
)

// DefaultTemplateID is the card template that every app has from the start:
// the sample of PROTOCOL.md 2.4.
const DefaultTemplateID = "20200312000000000414103000300846"

// defaultOperationDelay is how long an accepted operation is in flight. What it
// is at Alipay, no document says.
const defaultOperationDelay = 2 * time.Second

// Notifier takes one notification to the receiver; the schedule given is always
// empty, so it tries once. *alipaytest.Client is one.
type Notifier interface {
	Deliver(ctx context.Context, n *alipaytest.Notification, s alipaytest.Schedule) (alipaytest.Result, error)
}

// App is an app that may call.
type App struct {
	ID        string
	Public    *rsa.PublicKey // verifies its calls; in certificate mode the certificate's
	Cert      []byte         // PEM; given, the app is in certificate mode
	AESKey    []byte         // 16 bytes; given, calls may be encrypted
	Encrypt   bool           // notifications are encrypted with AESKey
	AuthToken string         // the app_auth_token that an ISV may send; empty: none is valid

	MerchantID string // 2088...; empty is one made from ID
}

// Config is what a platform is made of. Key and Apps are needed; every other
// field may be zero.
type Config struct {
	Key  *alipaytest.Key // Alipay's: signs answers and notifications
	Apps []App

	// AlipayCert and RootCert (PEM) are for apps in certificate mode: which
	// certificate answers name, and which root the caller has to name.
	AlipayCert, RootCert []byte

	Notifier       Notifier      // nil: notifications are caused, and go nowhere
	TimeScale      float64       // how much faster than real its waits are; 0 is 1
	OperationDelay time.Duration // unscaled; 0 is 2 s
	Mischief       Mischief      // what becomes of notifications on their way
	Faults         []Fault       // what becomes of calls
	Seed           uint64        // of ids, mischief, faults and whims
	Journal        io.Writer     // one JSON object a line; nil: kept in memory alone
}

// app is a configured app, with all it owns at Alipay.
type app struct {
	App
	certSN string // empty: key mode
	merchant
}

// Platform is the stand-in. Its methods may be called by several goroutines.
type Platform struct {
	// Fixed by New.
	config   Config
	apps     map[string]*app
	alipaySN string
	rootSN   string
	journal  *journal
	passing  *passing

	// ctx ends with Close, and with it everything that is under way.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex // guards all below, and the merchants
	closed bool
	nonces nonces
	faults []*Fault
	luck   *rand.Rand // of faults
	whim   *rand.Rand // of what Alipay does one way or the other
	trace  *rand.Rand // of trace ids and nonces
}

// New makes a platform; Close ends it.
func New(c Config) (*Platform, error) {
	if c.Key == nil || len(c.Apps) == 0 {
		return nil, errors.New("a platform needs Alipay's key and at least one app")
	}
	if c.TimeScale <= 0 {
		c.TimeScale = 1
	}
	if c.OperationDelay == 0 {
		c.OperationDelay = defaultOperationDelay
	}
	p := &Platform{config: c, apps: map[string]*app{}, journal: &journal{w: c.Journal}, passing: newPassing()}
	for _, a := range c.Apps {
		if err := p.addApp(a); err != nil {
			return nil, fmt.Errorf("app %s: %w", a.ID, err)
		}
	}
	if err := c.Mischief.check(); err != nil {
		return nil, err
	}
	for _, f := range c.Faults {
		if err := p.AddFault(f); err != nil {
			return nil, err
		}
	}
	p.luck, p.whim, p.trace = p.draw("luck"), p.draw("whim"), p.draw("trace")
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

func (p *Platform) addApp(a App) error {
	if a.MerchantID == "" {
		a.MerchantID = "2088" + digits(p.draw("merchant", a.ID), 12)
	}
	out := &app{App: a, merchant: newMerchant()}
	switch {
	case a.ID == "" || strings.Trim(a.ID, "0123456789") != "":
		return errors.New("an app id is digits")
	case p.apps[a.ID] != nil:
		return errors.New("it is there twice")
	case a.AESKey != nil && len(a.AESKey) != 16, a.Encrypt && a.AESKey == nil:
		return errors.New("encryption needs an AES key of 16 bytes")
	}
	if a.Cert != nil {
		if err := p.certificateMode(out); err != nil {
			return err
		}
	}
	if out.Public == nil {
		return errors.New("it has no public key")
	}
	p.apps[a.ID] = out
	return nil
}

// certificateMode reads the three certificates that the mode is about.
func (p *Platform) certificateMode(a *app) error {
	cert, err := parseCert(a.Cert)
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	public, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("its certificate has a %T: want RSA", cert.PublicKey)
	}
	alipay, err := parseCert(p.config.AlipayCert)
	if err != nil {
		return fmt.Errorf("the certificate that answers name: %w", err)
	}
	if p.rootSN = rootSN(p.config.RootCert); p.rootSN == "" {
		return errors.New("no root certificate with an RSA signature was given")
	}
	a.Public, a.certSN, p.alipaySN = public, certSN(cert), certSN(alipay)
	return nil
}

// Handler answers /v3/..., /gateway.do, and, for callers on this machine,
// /_sim/... (see admin.go).
func (p *Platform) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/_sim/", p.admin())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		// Before the mux, which would tidy paths up: what was signed is what is read.
		case strings.HasPrefix(r.URL.Path, "/v3/"):
			p.serveV3(w, r)
		case r.URL.Path == "/gateway.do":
			p.serveGateway(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// Close ends what is under way: operations in flight stay so, notifications
// that nobody has acknowledged are journaled as interrupted. It returns when
// all of that has ended.
func (p *Platform) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
}

// begin runs work beside the caller until it ends or ctx does. The caller
// holds mu.
func (p *Platform) begin(work func(context.Context)) {
	if !p.closed {
		p.work.Go(func() { work(p.ctx) })
	}
}

// wait lets scaled time pass, and says whether the context let it.
func (p *Platform) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(time.Duration(float64(d) / p.config.TimeScale))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// draw is a source of chance that depends on the seed and on what it is for,
// and not on what came before: calls that come in another order, or at once,
// get the same ids and the same fate.
func (p *Platform) draw(about ...string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(about, "\x00")))
	return rand.New(rand.NewPCG(p.config.Seed, h.Sum64()))
}

// digits are n of them.
func digits(r *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = '0' + byte(r.IntN(10))
	}
	return string(out)
}

// hex are n hexadecimal digits.
func hex(r *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(out)
}
