package verify_test

import (
	"crypto/x509"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/verify"
)

// addVectors seeds a target with the bodies of testdata.
func addVectors(f *testing.F, add func(body []byte)) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(data[slices.Index(data, '&')+1:]) // header and all is as good a seed
		add(data)
	}
	for _, text := range []string{
		"", "&", "=", "a", "a=", "=a", "a=b&b=c", "a+%2B=%61", "%", "a=%4", "a=%zz", "a=1&%61=2", "a%3D=1", "a=1;b=2", "\x00=%00",
		"a-b=1&ab=2&a=3", "sign=s&sign_type=&m=", "sign_type=RSA2&sign", "%C3%28=\xff\xfe",
	} {
		add([]byte(text))
	}
}

// FuzzParseForm: never a panic; what was parsed is sorted and unique, encodes
// and parses to itself, and net/url reads the same.
func FuzzParseForm(f *testing.F) {
	addVectors(f, func(body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := verify.ParseForm(string(body))
		if len(body) < 1<<12 { // net/url limits the number of fields at its own place
			checkAgainstURL(t, string(body), form, err)
		}
		if err == nil {
			checkParsed(t, form)
		}
	})
}

// FuzzSigningString: the order on the wire does not matter; each rule gives the
// string that the independent signer gives; no two candidates coincide; and
// none that the signer can make is missing.
func FuzzSigningString(f *testing.F) {
	addVectors(f, func(body []byte) { f.Add(body, uint64(1)) })
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		form, err := verify.ParseForm(string(body))
		if err != nil {
			return
		}
		fields := fieldsOf(form)
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		shuffled, err := verify.NewForm(fields...)
		if err != nil {
			t.Fatal(err)
		}
		var theirs alipaytest.Form
		for _, field := range fields {
			theirs = append(theirs, alipaytest.Field(field))
		}
		rules := form.Rules(both)
		strings := make(map[string]verify.Rule)
		for _, rule := range rules {
			got := form.SigningString(rule)
			if other, there := strings[got]; there {
				t.Fatalf("%v and %v both give %q", other, rule, got)
			}
			strings[got] = rule
			if again := shuffled.SigningString(rule); again != got {
				t.Fatalf("%v: order matters\n%q\n%q", rule, got, again)
			}
			if want := theirString(t, theirs, rule); got != want {
				t.Fatalf("%v: got  %q\nwant %q", rule, got, want)
			}
		}
		for _, rule := range candidates(form) {
			if text := theirString(t, theirs, rule); !hasKey(strings, text) {
				t.Fatalf("%v is not tried: %q", rule, text)
			}
		}
	})
}

// candidates are the rules of the design, without any care for repetitions.
func candidates(form verify.Form) (rules []verify.Rule) {
	for _, drop := range []bool{false, true} {
		rules = append(rules,
			verify.Rule{SignType: verify.KeepSignType, DropEmpty: drop},
			verify.Rule{SignType: verify.DropSignType, DropEmpty: drop})
		if _, there := form.Lookup("sign_type"); there {
			continue
		}
		for _, signType := range both {
			rules = append(rules, verify.Rule{SignType: verify.InsertSignType, Inserted: signType, DropEmpty: drop})
		}
	}
	return rules
}

func theirString(t *testing.T, form alipaytest.Form, rule verify.Rule) string {
	t.Helper()
	text, err := alipaytest.SigningString(form, alipaytest.Signing{
		Rule: alipaytest.Rule(rule.SignType), SignType: alipaytest.SignType(rule.Inserted), DropEmpty: rule.DropEmpty,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hasKey(m map[string]verify.Rule, key string) bool { _, ok := m[key]; return ok }

// FuzzDecrypt: never a panic, and what comes back was accepted and is shorter
// than the ciphertext by one to sixteen bytes.
func FuzzDecrypt(f *testing.F) {
	for _, text := range []string{"", "=", "AA==", "ILpoMowjIQjfYMR847rnFQ==", "{}", "ILpoMowjIQjf\nYMR847rnFQ==", base64.StdEncoding.EncodeToString(make([]byte, 48))} {
		f.Add([]byte("0123456789abcdef"), text)
	}
	f.Add([]byte{0x69, 0xae, 0x01, 0xb5, 0x9e, 0x2d, 0xb2, 0x99, 0xb6, 0xc2, 0x75, 0xcb, 0x6f, 0x54, 0xe1, 0x40}, "ILpoMowjIQjfYMR847rnFQ==")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		key, err := verify.ParseAESKey([]byte(base64.StdEncoding.EncodeToString(raw)))
		if (err == nil) != (len(raw) == 16) {
			t.Fatalf("a key of %d bytes: %v", len(raw), err)
		}
		if err != nil {
			return
		}
		calls := 0
		plain, err := verify.Decrypt([]verify.AESKey{key, key}, text, func([]byte) bool { calls++; return calls == 2 })
		if (err == nil) != (calls == 2) {
			t.Fatalf("accept was asked %d times, and then: %v", calls, err)
		}
		if err != nil {
			return
		}
		sealed, err := base64.StdEncoding.DecodeString(text)
		if cut := len(sealed) - len(plain); err != nil || cut < 1 || cut > 16 {
			t.Fatalf("%d bytes of padding, %v", cut, err)
		}
	})
}

// FuzzParsePublicKey: never a panic; a key that is taken is long enough, has
// the id of its encoding, and is read back the same.
func FuzzParsePublicKey(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.pem"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
		if key, err := verify.ParsePublicKey(data); err == nil {
			f.Add([]byte(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key.Key))))
		}
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("MIIB"))
	f.Add([]byte("\ufeff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := verify.ParsePublicKey(data)
		if err != nil {
			if key.Key != nil || key.ID != "" {
				t.Fatalf("%v, and still %+v", err, key)
			}
			return
		}
		if key.Key.N.BitLen() < verify.MinKeyBits || len(key.ID) != 16 {
			t.Fatalf("%d bits, id %q", key.Key.N.BitLen(), key.ID)
		}
		again, err := verify.ParsePublicKey([]byte(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key.Key))))
		if err != nil || again.ID != key.ID {
			t.Fatalf("read back: %+v, %v", again, err)
		}
	})
}
