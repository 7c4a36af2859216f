package proof_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"alipay-notify-consumer/proof"
)

// alipay is a key pair that plays Alipay's.
type alipay struct {
	key *rsa.PrivateKey
	der []byte
	id  string
}

var newAlipay = sync.OnceValue(func() alipay {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return alipay{key, der, hex.EncodeToString(sum[:8])}
})

func (a alipay) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: a.der})
}

// sign signs fields under a rule as Alipay-Proof names it.
func (a alipay) sign(t *testing.T, fields map[string]string, rule string) map[string]string {
	t.Helper()
	signed := maps.Clone(fields)
	if strings.HasPrefix(rule, "drop-") {
		delete(signed, "sign_type")
	} else {
		signed["sign_type"] = "RSA2"
	}
	if strings.HasSuffix(rule, ",drop-empty") {
		maps.DeleteFunc(signed, func(_, v string) bool { return v == "" })
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		text = append(text, name+"="+signed[name])
	}
	sum := sha256.Sum256([]byte(strings.Join(text, "&")))
	signature, err := rsa.SignPKCS1v15(nil, a.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	fields = maps.Clone(fields)
	fields["sign"] = base64.StdEncoding.EncodeToString(signature)
	return fields
}

func encode(fields map[string]string) string {
	values := url.Values{}
	for name, value := range fields {
		values.Set(name, value)
	}
	return values.Encode()
}

func fields(changes ...string) map[string]string {
	f := map[string]string{
		"app_id": "2021", "notify_id": "n-1", "msg_method": "m", "utc_timestamp": "1767323045006", "charset": "UTF-8", "version": "1.1",
		"sign_type": "RSA2", "biz_content": `{"activity_id":"a&bz=c 活动+%20"}`,
	}
	for i := 0; i < len(changes); i += 2 {
		f[changes[i]] = changes[i+1]
	}
	return f
}

func check(t *testing.T, raw, encoding, proofHeader string) (proof.Notification, error) {
	t.Helper()
	c, err := proof.NewChecker(newAlipay().pem())
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"Alipay-Raw": raw, "Alipay-Raw-Encoding": encoding, "Alipay-Proof": proofHeader}
	return c.Check(func(name string) string { return headers[name] })
}

func proofOf(rule string) string { return "key=" + newAlipay().id + "; rule=" + rule }

const keep = "keep-sign-type,keep-empty"

func TestGenuine(t *testing.T) {
	t.Parallel()
	a := newAlipay()
	for _, rule := range []string{keep, "keep-sign-type,drop-empty", "drop-sign-type,keep-empty", "drop-sign-type,drop-empty",
		"insert-sign-type,keep-empty", "insert-sign-type,drop-empty"} {
		f := fields("msg_app_id", "")
		if strings.HasPrefix(rule, "insert-") {
			delete(f, "sign_type")
		}
		got, err := check(t, encode(a.sign(t, f, rule)), "", proofOf(rule))
		if err != nil || got.AppID != "2021" || got.ID != "n-1" || got.Method != "m" || string(got.Content) != f["biz_content"] ||
			!got.SentAt.Equal(time.UnixMilli(1767323045006)) {
			t.Errorf("%s: got %+v, %v", rule, got, err)
		}
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	body := encode(newAlipay().sign(t, fields(), keep))
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte(body))
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for encoding, raw := range map[string]string{
		"": body, "base64": base64.StdEncoding.EncodeToString([]byte(body)), "gzip+base64": base64.StdEncoding.EncodeToString(zipped.Bytes()),
	} {
		if _, err := check(t, raw, encoding, proofOf(keep)); err != nil {
			t.Errorf("%q: %v", encoding, err)
		}
	}
	for _, encoding := range []string{"base64", "gzip+base64", "zstd"} {
		if _, err := check(t, body, encoding, proofOf(keep)); err == nil {
			t.Errorf("%q was read although it is none", encoding)
		}
	}
	bomb := bytes.Buffer{}
	zip = gzip.NewWriter(&bomb)
	_, _ = zip.Write(make([]byte, 17<<20))
	_ = zip.Close()
	if _, err := check(t, base64.StdEncoding.EncodeToString(bomb.Bytes()), "gzip+base64", proofOf(keep)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a small request that unpacks to 17 MiB: %v", err)
	}
}

// TestContentElsewhere: what cannot be read here is proved all the same.
func TestContentElsewhere(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]map[string]string{
		"encrypted": fields("encrypt_type", "AES", "biz_content", "AAAA=="),
		"GBK":       fields("charset", "GBK", "biz_content", "{\"name\":\"\xbb\xee\xb6\xaf\"}"),
	} {
		got, err := check(t, encode(newAlipay().sign(t, f, keep)), "", proofOf(keep))
		if err != nil || got.Content != nil || got.ID != "n-1" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestForged(t *testing.T) {
	t.Parallel()
	a := newAlipay()
	genuine := a.sign(t, fields(), keep)
	with := func(changes ...string) string {
		f := maps.Clone(genuine)
		for i := 0; i < len(changes); i += 2 {
			f[changes[i]] = changes[i+1]
		}
		return encode(f)
	}
	without := func(name string) string {
		f := maps.Clone(genuine)
		delete(f, name)
		return encode(f)
	}
	// One signature, several forms: fields merged into one, or one split in two.
	merged := maps.Clone(genuine)
	merged["notify_id"] = "n-1&sign_type=RSA2"
	delete(merged, "sign_type")
	split := maps.Clone(genuine)
	split["biz_content"], split["bz"] = `{"activity_id":"a`, "c 活动+%20\"}"
	for name, tt := range map[string]struct{ raw, proof, says string }{
		"nothing":                     {"", proofOf(keep), "missing"},
		"changed":                     {with("notify_id", "n-2"), proofOf(keep), "is wrong"},
		"one field more":              {with("x", "y"), proofOf(keep), "is wrong"},
		"one field less":              {without("version"), proofOf(keep), "is wrong"},
		"no signature":                {without("sign"), proofOf(keep), "wrong"},
		"a broken signature":          {with("sign", "!"), proofOf(keep), "not base64"},
		"another algorithm":           {with("sign_type", "RSA"), proofOf("drop-sign-type,keep-empty"), "not RSA2"},
		"another rule":                {encode(genuine), proofOf("drop-sign-type,keep-empty"), "is wrong"},
		"a rule that is none":         {encode(genuine), proofOf("any-sign-type,keep-empty"), "unknown"},
		"a rule by half":              {encode(genuine), proofOf("keep-sign-type"), "unknown"},
		"insert beside the field":     {encode(genuine), proofOf("insert-sign-type,keep-empty"), "inserts"},
		"no proof":                    {encode(genuine), "", "missing"},
		"another key":                 {encode(genuine), "key=0123456789abcdef; rule=" + keep, "0123456789abcdef"},
		"fields merged into an id":    {encode(merged), proofOf(keep), "'&'"},
		"biz_content split at its &":  {encode(split), proofOf(keep), "not one JSON object"},
		"a repeated field":            {encode(genuine) + "&notify_id=n-1", proofOf(keep), "no form"},
		"an empty field added":        {with("encrypt_type", ""), proofOf(keep), "is wrong"},
		"a broken escape":             {encode(genuine) + "&x=%zz", proofOf(keep), "no form"},
		"a name with = in it":         {encode(genuine) + "&a%3Db=c", proofOf(keep), "no form"},
		"too many fields":             {encode(genuine) + strings.Repeat("&", 9) + manyFields(), proofOf(keep), "no form"},
		"biz_content that is no JSON": {encode(a.sign(t, fields("biz_content", "x"), keep)), proofOf(keep), "not one JSON object"},
		"no time":                     {encode(a.sign(t, fields("utc_timestamp", ""), keep)), proofOf(keep), "utc_timestamp"},
		"a return URL":                {encode(a.sign(t, fields("notify_id", ""), keep)), proofOf(keep), "lacks"},
	} {
		if got, err := check(t, tt.raw, "", tt.proof); err == nil {
			t.Errorf("%s: taken for genuine: %+v", name, got)
		} else if strings.Contains(err.Error(), "活动") || strings.Contains(err.Error(), "n-1") {
			t.Errorf("%s: the error quotes the request: %v", name, err)
		} else if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: refused for another reason: %v", name, err)
		}
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range 300 {
		b.WriteString("&f" + strings.Repeat("x", i) + "=1")
	}
	return b.String()
}

func TestKeys(t *testing.T) {
	t.Parallel()
	a := newAlipay()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	smallDER, _ := x509.MarshalPKIXPublicKey(small.Public())
	private, _ := x509.MarshalPKCS8PrivateKey(a.key)
	for name, tt := range map[string]struct {
		file []byte
		good bool
	}{
		"PEM":                      {a.pem(), true},
		"PEM with text before it":  {append([]byte("a note\n"), a.pem()...), true},
		"base64 as in the console": {[]byte(base64.StdEncoding.EncodeToString(a.der) + "\n"), true},
		"a small key":              {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: smallDER}), false},
		"a private key":            {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), false},
		"nothing":                  {nil, false},
		"text":                     {[]byte("no key!"), false},
	} {
		if _, err := proof.NewChecker(tt.file); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := proof.NewChecker(); err == nil {
		t.Error("a checker without keys")
	}
}
