//go:build e2e

package e2e

import (
	"fmt"
	bigint "math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
)

// authority issues certificates with openssl, as Alipay's does: a root, and an
// intermediate that signs the leaves.
type authority struct {
	dir  string
	last int
}

const authorityConfig = `
[ca]
default_ca = d
[d]
database = %[1]s/index.txt
serial = %[1]s/serial
new_certs_dir = %[1]s
default_md = sha256
policy = any
unique_subject = no
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign
`

// newAuthority makes an authority of this name, as openssl's -subj has it.
func newAuthority(t *testing.T, subject string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.file(t, "ca.cnf", []byte(fmt.Sprintf(authorityConfig, a.dir)))
	a.file(t, "index.txt", nil)
	keys := alipaytest.NewApp(t, "")
	a.openssl(t, "req", "-x509", "-new", "-utf8", "-key", a.key(t, "root.key", keys.Key), "-sha256", "-days", "9000",
		"-subj", "/C=CN/O=TEST-ONLY/CN=TEST-ONLY Root", "-out", a.path("root.crt"))
	key := a.key(t, "intermediate.key", keys.OwnKey)
	a.issue(t, "root", "authority", key, subject, time.Now().AddDate(20, 0, 0), "intermediate.crt")
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	return (&config{dir: a.dir}).file(t, name, content)
}

func (a *authority) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(a.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// key puts a private key where openssl finds it.
func (a *authority) key(t *testing.T, name string, key *alipaytest.Key) string {
	t.Helper()
	private, err := key.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	return a.file(t, name, private)
}

func (a *authority) openssl(t *testing.T, args ...string) string {
	t.Helper()
	got := run(t, "openssl", args...)
	got.want(t, 0)
	return got.stdout
}

// issue has an issuer sign a certificate that has begun in 2020.
func (a *authority) issue(t *testing.T, issuer, extensions, keyFile, subject string, until time.Time, out string) {
	t.Helper()
	a.openssl(t, "req", "-new", "-utf8", "-key", keyFile, "-subj", subject, "-out", a.path("request"))
	a.openssl(t, "ca", "-batch", "-notext", "-utf8", "-preserveDN", "-rand_serial", "-config", a.path("ca.cnf"), "-in", a.path("request"),
		"-cert", a.path(issuer+".crt"), "-keyfile", a.path(issuer+".key"), "-extensions", extensions,
		"-startdate", "20200101000000Z", "-enddate", until.UTC().Format("20060102150405Z"), "-out", a.path(out))
}

// leaf issues a certificate of Alipay's key and gives it alone.
func (a *authority) leaf(t *testing.T, key *alipaytest.Key, until time.Time) []byte {
	t.Helper()
	a.last++
	name := fmt.Sprintf("leaf-%d", a.last)
	a.issue(t, "intermediate", "leaf", a.key(t, name+".key", key), "/C=CN/O=TEST-ONLY/CN=TEST-ONLY Alipay", until, name+".crt")
	return a.read(t, name+".crt")
}

// serialNumber is Alipay's name of a certificate, computed by openssl: the MD5
// of the issuer in the spelling of RFC 2253 and the decimal serial number.
func (a *authority) serialNumber(t *testing.T, certificate []byte) string {
	t.Helper()
	file := a.file(t, "asked.crt", certificate)
	_, issuer, _ := strings.Cut(a.openssl(t, "x509", "-in", file, "-noout", "-issuer", "-nameopt", "RFC2253,-esc_msb"), "=")
	_, hex, _ := strings.Cut(strings.TrimSpace(a.openssl(t, "x509", "-in", file, "-noout", "-serial")), "=")
	serial, ok := new(bigint.Int).SetString(hex, 16)
	if !ok {
		t.Fatalf("openssl calls the serial number %q", hex)
	}
	text := a.file(t, "name", []byte(strings.TrimSpace(issuer)+serial.String()))
	sum, _, _ := strings.Cut(a.openssl(t, "dgst", "-md5", "-r", text), " ")
	return sum
}

// sm2 is a certificate on a curve that Go does not know, such as stand in
// Alipay's files; nil where this openssl cannot make one.
func (a *authority) sm2(t *testing.T) []byte {
	t.Helper()
	if got := run(t, "openssl", "ecparam", "-name", "SM2", "-genkey", "-noout", "-out", a.path("sm2.key")); got.code != 0 {
		t.Logf("this openssl has no SM2:\n%s", got.stderr)
		return nil
	}
	a.openssl(t, "req", "-x509", "-new", "-sm3", "-key", a.path("sm2.key"), "-subj", "/C=CN/CN=TEST-ONLY SM2", "-out", a.path("sm2.crt"))
	return a.read(t, "sm2.crt")
}

// certFile is one file of alipay_certs.
type certFile struct {
	leaf  []byte
	text  []byte // the whole file
	state string // what check says of it
}

// certified is an app in certificate mode.
type certified struct {
	app   *alipaytest.App
	files []certFile
}

// TestCertificates runs apps in certificate mode. What verifies is the key, so
// a renewed and an expired certificate do as well; the operator hears of it.
func TestCertificates(t *testing.T) {
	t.Parallel()
	plain := newAuthority(t, "/C=CN/O=TEST-ONLY Financial/OU=Certification Authority/CN=TEST-ONLY Authority Class 2 R1")
	odd := newAuthority(t, `/CN=测试 #1, "R2"/O=TEST-ONLY; Ltd. + Sons/C=CN`)
	now := time.Now()
	later, soon, past := now.AddDate(4, 0, 0), now.AddDate(0, 0, 29), now.AddDate(0, 0, -3)
	var apps []certified
	add := func(files func(key *alipaytest.Key) []certFile) {
		app := alipaytest.NewApp(t, fmt.Sprintf("202100000000000%d", len(apps)+1))
		apps = append(apps, certified{app: app, files: files(app.Key)})
	}
	chain := func(a *authority, key *alipaytest.Key, until time.Time, state string) certFile {
		leaf := a.leaf(t, key, until)
		return certFile{leaf: leaf, text: slices.Concat(leaf, a.read(t, "intermediate.crt")), state: state}
	}
	add(func(key *alipaytest.Key) []certFile { return []certFile{chain(plain, key, later, "ok")} })
	add(func(key *alipaytest.Key) []certFile {
		leaf := odd.leaf(t, key, later)
		return []certFile{{leaf: leaf, text: leaf, state: "ok"}}
	})
	add(func(key *alipaytest.Key) []certFile { // the key of a renewed certificate stays the same
		return []certFile{chain(plain, key, soon, "warn"), chain(plain, key, later, "ok")}
	})
	add(func(key *alipaytest.Key) []certFile { return []certFile{chain(odd, key, past, "warn")} })
	if sm2 := plain.sm2(t); sm2 != nil { // before the leaf, and after it
		add(func(key *alipaytest.Key) []certFile {
			first, second := chain(plain, key, soon, "warn"), chain(plain, key, later, "ok")
			first.text, second.text = slices.Concat(sm2, first.text), slices.Concat(second.leaf, sm2)
			return []certFile{first, second}
		})
	}

	config := newConfig(t, apps[0].app)
	var entries []any
	want := map[string]string{} // state by certificate, as check names them
	var ending []string         // the apps whose certificates end soon
	for i, c := range apps {
		var files []string
		for j, f := range c.files {
			files = append(files, fmt.Sprintf("app-%d-%d.crt", i, j))
			config.file(t, files[j], f.text)
			want["app "+c.app.ID+": certificate "+plain.serialNumber(t, f.leaf)] = f.state
			if f.state == "warn" {
				ending = append(ending, c.app.ID)
			}
		}
		entries = append(entries, map[string]any{"app_id": c.app.ID, "alipay_certs": files})
	}
	config.keys["apps"] = entries

	checked := config.run(t, "check", "-o", "json")
	checked.want(t, 0)
	for _, row := range rows(t, checked.stdout) {
		if row["check"] != "certificates" {
			continue
		}
		name, _, _ := strings.Cut(row["detail"].(string), " is valid until ")
		if want[name] != row["state"] || (row["state"] == "warn") != (row["try"] != nil) {
			t.Errorf("check says %v, want state %q", row, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("check does not speak of %v:\n%s", want, checked.stdout)
	}

	r := ready(t, config)
	var sent []string
	for _, c := range apps {
		n := voucher(t, c.app)
		r.send(t, n).want(t, http.StatusOK, "success")
		sent = append(sent, n.ID())
		if proved := r.metric(t, "alipay_notify_verified_total", `app_id="`+c.app.ID+`"`, `key_id="`+keyID(c.app)+`"`); proved != 1 {
			t.Errorf("app %s: %v are counted as proved by its key, want 1", c.app.ID, proved)
		}
		forged := c.app.Notification(t, "voucher.created", alipaytest.Options{Key: c.app.OwnKey})
		r.send(t, forged).want(t, http.StatusUnauthorized, "fail")
	}
	wantOnce(t, ids(r.events(t)), sent)
	var warned []string
	for _, line := range r.lines("Alipay's certificate ends soon: download the new one and put it beside the old one") {
		warned = append(warned, line.text("app_id"))
	}
	if !slices.Equal(warned, ending) {
		t.Errorf("the log warns of %v, want %v", warned, ending)
	}
	for app, end := range map[*alipaytest.App]time.Time{apps[1].app: later, apps[3].app: past} {
		if got := r.metric(t, "alipay_notify_certificate_not_after_seconds", `app_id="`+app.ID+`"`); got != float64(end.Unix()) {
			t.Errorf("app %s: the certificate ends at %v, want %d", app.ID, got, end.Unix())
		}
	}
}

// TestWrongKeys gives the receiver what people give by mistake. It does not
// start, and says what is wrong with which file; each mistake is enough, and
// all of them are told at once.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "/C=CN/O=TEST-ONLY/CN=TEST-ONLY Authority")
	app := alipaytest.NewApp(t, "")
	short, err := alipaytest.GenerateKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	leaf := a.leaf(t, app.Key, time.Now().AddDate(1, 0, 0))
	a.openssl(t, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", a.path("ec.key"))

	config := newConfig(t, app)
	config.file(t, "app-private.pem", private)
	const keys, certs = "alipay_public_keys", "alipay_certs"
	var all []any
	var words []string
	for i, c := range []struct {
		list, file string
		content    []byte
		word       string
	}{
		{keys, "short.pem", short.PublicPEM(), "the key has 1024 bits"},
		{certs, "short.crt", a.leaf(t, short, time.Now().AddDate(1, 0, 0)), "the key has 1024 bits"},
		{keys, "private.pem", private, "this is a private key"},
		{certs, "private.crt", private, "this is a private key"},
		{keys, "own.pem", app.OwnKey.PublicPEM(), "this is the app's own public key"},
		{keys, "own-bare.txt", []byte(app.OwnKey.PublicBase64()), "this is the app's own public key"},
		{certs, "own.crt", a.leaf(t, app.OwnKey, time.Now().AddDate(1, 0, 0)), "this is the app's own public key"},
		{keys, "leaf.crt", leaf, "this is a certificate; it belongs in alipay_certs"},
		{certs, "alipay.pem", app.PublicPEM, "a public key belongs in alipay_public_keys"},
		{certs, "root.crt", a.read(t, "root.crt"), "this is an authority's certificate"},
		{keys, "development.pem", app.Key.DevelopmentPublicPEM(), "this is a development key"},
		{keys, "ec.pem", []byte(a.openssl(t, "pkey", "-in", a.path("ec.key"), "-pubout")), "signed with RSA"},
		{keys, "two.pem", append(slices.Clone(app.PublicPEM), app.OwnKey.PublicPEM()...), "one file holds one key"},
		{keys, "empty.pem", nil, "neither PEM nor bare base64"},
		{certs, "cut.crt", leaf[:len(leaf)/2], "no PEM certificate"},
	} {
		config.file(t, c.file, c.content)
		entry := map[string]any{"app_id": fmt.Sprintf("20210000000000%02d", i+1), c.list: []string{c.file}, "private_key": "app-private.pem"}
		all, words = append(all, entry), append(words, c.file+": ", c.word)
		t.Run(c.file, func(t *testing.T) {
			config.keys["apps"] = []any{entry}
			config.run(t).want(t, 2, c.file+": ", c.word, "Try: receiver check")
		})
	}
	config.keys["apps"] = all
	config.run(t).want(t, 2, words...)

	// A development key is one, until somebody says that this is development.
	config.keys["apps"] = []any{map[string]any{"app_id": app.ID, "alipay_public_keys": []string{"development.pem"}}}
	config.keys["dev"] = true
	ready(t, config).send(t, voucher(t, app)).want(t, http.StatusOK, "success")
}
