// Package alipaytest is a stand-in for Alipay: it makes every notification that
// our catalogue knows, signs it, and delivers it on Alipay's retry schedule.
// Tests and cmd/alipaysim use it; production code never does.
//
// It shares no code with the packages it tests. The signing string, the form
// encoding, the charsets and the encryption are written here a second time, so
// that a mistake made in both places has to be made twice. Its own signatures
// are checked by openssl, and its rules by two captures of the real Alipay.
//
// What is fact and what is guess about Alipay stands in PROTOCOL.md; comments
// cite its sections. The same seed gives the same notification, byte for byte.
package alipaytest

// DefaultAppID is the app that notifications are addressed to when nobody says
// otherwise. It has the shape of a real one and belongs to nobody.
const DefaultAppID = "2021000000000001"

// TB is what NewApp needs of testing.TB. It is declared here so that a binary
// which imports this package does not carry the testing package.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// App is one app as a test meets it: the id, the key pair with which Alipay
// signs what it sends there, the app's own key pair, and an AES key.
type App struct {
	ID        string
	Key       *Key   // Alipay's: signs notifications
	OwnKey    *Key   // the app's: signs replies to the gateway check, and queries
	AESKey    []byte // 16 bytes; notifications are plain unless Options says so
	PublicPEM []byte // Key's public half, without the development marker
}

// NewApp makes an app with fresh 2048-bit keys and the given id, or
// DefaultAppID when id is empty. A key takes some 50 ms; share an App where a
// test makes many.
func NewApp(tb TB, id string) *App {
	tb.Helper()
	if id == "" {
		id = DefaultAppID
	}
	a := &App{ID: id, AESKey: NewAESKey()}
	var err error
	if a.Key, err = GenerateKey(2048); err != nil {
		tb.Fatalf("alipaytest: generate Alipay's key: %v", err)
	}
	if a.OwnKey, err = GenerateKey(2048); err != nil {
		tb.Fatalf("alipaytest: generate the app's key: %v", err)
	}
	a.PublicPEM = a.Key.PublicPEM()
	return a
}

// Notification makes a notification of this app: New with the app's id and key
// filled in where opts leaves them empty.
func (a *App) Notification(tb TB, typ string, opts Options) *Notification {
	tb.Helper()
	if opts.AppID == "" {
		opts.AppID = a.ID
	}
	if opts.Key == nil {
		opts.Key = a.Key
	}
	n, err := New(typ, opts)
	if err != nil {
		tb.Fatalf("alipaytest: new %s: %v", typ, err)
	}
	return n
}
