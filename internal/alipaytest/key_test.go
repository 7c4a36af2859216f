package alipaytest_test

import (
	"bytes"
	"strings"
	"testing"

	"alipay-notify/internal/alipaytest"
)

func TestPrivatePEMRoundTrip(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	data, err := key.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := alipaytest.ParsePrivatePEM(data)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Public().Equal(key.Public()) {
		t.Error("another key came back")
	}
}

func TestPublicPEMTellsDevelopmentKeys(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	for _, tt := range []struct {
		name        string
		data        []byte
		development bool
	}{
		{"plain", key.PublicPEM(), false},
		{"with the marker", key.DevelopmentPublicPEM(), true},
	} {
		public, development, err := alipaytest.ParsePublicPEM(tt.data)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !public.Equal(key.Public()) || development != tt.development {
			t.Errorf("%s: same key %v, development %v, want true, %v", tt.name, public.Equal(key.Public()), development, tt.development)
		}
	}
	if !bytes.HasPrefix(key.DevelopmentPublicPEM(), []byte(alipaytest.DevelopmentMarker)) {
		t.Error("the file does not begin with the marker")
	}
}

func TestOpensslReadsOurKeyFiles(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	private, err := key.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := openssl(t, private, "pkey", "-noout", "-check"); err != nil {
		t.Errorf("private key: %v: %s", err, out)
	}
	out, err := openssl(t, key.DevelopmentPublicPEM(), "pkey", "-pubin", "-pubout")
	if err != nil {
		t.Errorf("public key: %v: %s", err, out)
	}
	if want := strings.TrimSpace(string(key.PublicPEM())); out != want {
		t.Errorf("openssl reads another public key:\n%s\nwant\n%s", out, want)
	}
	if strings.Contains(key.PublicBase64(), "\n") || !strings.HasPrefix(key.PublicBase64(), "MII") {
		t.Errorf("not one line of base64: %q", key.PublicBase64())
	}
}

func TestParsePEMRefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	public := testKey(t).PublicPEM()
	if _, err := alipaytest.ParsePrivatePEM([]byte("nothing")); err == nil {
		t.Error("no PEM at all was taken for a private key")
	}
	if _, err := alipaytest.ParsePrivatePEM(public); err == nil {
		t.Error("a public key was taken for a private one")
	}
	if _, _, err := alipaytest.ParsePublicPEM([]byte("nothing")); err == nil {
		t.Error("no PEM at all was taken for a public key")
	}
}

func TestSignBytesRefusesUnknownSignTypes(t *testing.T) {
	t.Parallel()
	if _, err := testKey(t).SignBytes([]byte("x"), "SM2"); err == nil {
		t.Error("SM2 was signed as something else")
	}
}

func TestNewAppIsComplete(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	if app.ID != alipaytest.DefaultAppID || len(app.AESKey) != 16 || app.Key.Public().Equal(app.OwnKey.Public()) {
		t.Errorf("incomplete: %+v", app)
	}
	form, err := app.Notification(t, "voucher.created", alipaytest.Options{}).Form(sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, form, "app_id"); got != app.ID {
		t.Errorf("app_id %s, want %s", got, app.ID)
	}
	public, development, err := alipaytest.ParsePublicPEM(app.PublicPEM)
	if err != nil || development || !public.Equal(app.Key.Public()) {
		t.Errorf("PublicPEM is not Key's, or is marked: %v, %v", development, err)
	}
}
