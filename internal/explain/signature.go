package explain

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // an RSA (SHA-1) signature must be recognised to be named
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"

	"alipay-notify/internal/verify"
)

// role says whose a key is.
type role string

const (
	alipays role = "alipay"
	own     role = "own"
)

// knownKey is one key that may have made a signature.
type knownKey struct {
	verify.PublicKey
	role role
	app  string
}

// maxKnownKeys bounds the keys that are tried. With maxSpellings it keeps the
// RSA operations below MaxRSAOperations however many apps are configured.
const maxKnownKeys = 48

// knownKeys gives the keys of the app first, each key once.
func knownKeys(in *Input, appID string) []knownKey {
	var keys []knownKey
	add := func(a *App) {
		take := func(list []verify.PublicKey, r role) {
			for _, k := range list {
				known := slices.ContainsFunc(keys, func(o knownKey) bool { return o.ID == k.ID })
				if k.Key != nil && k.Key.N != nil && !known && len(keys) < maxKnownKeys {
					keys = append(keys, knownKey{PublicKey: k, role: r, app: a.ID})
				}
			}
		}
		// A key that stands in both places is the app's own: Alipay has none of
		// its private half.
		take(a.OwnKeys, own)
		take(a.Keys, alipays)
	}
	if a := appOf(in, appID); a != nil {
		add(a)
	}
	for i := range in.Apps {
		add(&in.Apps[i])
	}
	return keys
}

// target is a signature that a known key has opened: it was made by key, over
// the text with this digest.
type target struct {
	key      knownKey
	signType verify.SignType // empty: by an algorithm that Alipay does not use
	digest   []byte
	sig      []byte
	spelling *spelling // how sign had to be mended to be read, or nil
	sign     string    // sign as it is read
}

// prefixes are the beginnings of what PKCS #1 v1.5 signs (RFC 8017, 9.2).
var prefixes = []struct {
	signType verify.SignType
	der      string
	size     int
}{
	{verify.RSA2, "3031300d060960864801650304020105000420", sha256.Size},
	{verify.RSA, "3021300906052b0e03021a05000414", sha1.Size},
}

// open applies a public key to a signature. What comes out of the right key is
// the digest that was signed, behind padding that no other key gives by chance:
// so one operation tells whether the key made the signature, and all guesses at
// the text cost a hash each. It is used to find a cause; what is proved goes
// through the standard library's own verification as well.
func open(k knownKey, sig []byte) (*target, bool) {
	size := k.Key.Size()
	if size < 64 || len(sig) != size || k.Key.E < 3 {
		return nil, false
	}
	s := new(big.Int).SetBytes(sig)
	if s.Cmp(k.Key.N) >= 0 {
		return nil, false
	}
	em := s.Exp(s, big.NewInt(int64(k.Key.E)), k.Key.N).FillBytes(make([]byte, size))
	if em[0] != 0 || em[1] != 1 {
		return nil, false
	}
	pad := 2
	for pad < len(em) && em[pad] == 0xff {
		pad++
	}
	if pad < 2+8 || pad >= len(em) || em[pad] != 0 {
		return nil, false
	}
	info := em[pad+1:]
	for _, p := range prefixes {
		der, err := hex.DecodeString(p.der)
		if err == nil && len(info) == len(der)+p.size && bytes.HasPrefix(info, der) {
			return &target{key: k, signType: p.signType, digest: info[len(der):], sig: sig}, true
		}
	}
	return &target{key: k, sig: sig}, true
}

// hash gives the digest of a text.
func hash(t verify.SignType, text []byte) ([]byte, crypto.Hash) {
	if t == verify.RSA {
		sum := sha1.Sum(text) //nolint:gosec // see the import
		return sum[:], crypto.SHA1
	}
	sum := sha256.Sum256(text)
	return sum[:], crypto.SHA256
}

// fits tells whether the target signs the text.
func (t *target) fits(text []byte) bool {
	if t.signType == "" {
		return false
	}
	digest, _ := hash(t.signType, text)
	return bytes.Equal(digest, t.digest)
}

// confirm asks the standard library whether the signature fits the text.
func (t *target) confirm(text []byte) bool {
	digest, h := hash(t.signType, text)
	return rsa.VerifyPKCS1v15(t.key.Key, h, digest, t.sig) == nil
}

// spelling is one way in which the field sign gets damaged so that it can be
// undone: base64 has no character twice.
type spelling struct {
	code      string
	fault     int
	mend      func(string) string
	what, try string
}

// spellings are tried each alone, and then all one after the other.
var spellings = []spelling{
	{"sign_plus_lost", 1, func(s string) string { return strings.ReplaceAll(s, " ", "+") },
		"'+' in sign became a space: the body was decoded once more, or posted without encoding",
		"post the body as it came, byte for byte; a client that rebuilds it must write '+' as %2B"},
	{"sign_white_space", 17, withoutSpace,
		"white space or quotes stand in sign",
		"copy the body again in one piece, from a source that does not wrap lines"},
	{"sign_encoded_twice", 6, percentDecode,
		"sign is still percent-encoded after one decoding",
		"look for the client or proxy that encodes the body a second time"},
	{"sign_html_escaped", 8, func(s string) string { return signEntities.Replace(s) },
		"characters of sign were written as HTML entities",
		"take the body before any input filter (XSS, htmlspecialchars) sees it"},
	{"sign_backslashes", 9, func(s string) string { return strings.ReplaceAll(s, `\`, "") },
		"backslashes were put into sign",
		"take the body as it came: an escaping for JSON or SQL was left in"},
	{"sign_url_safe", 0, strings.NewReplacer("-", "+", "_", "/").Replace,
		"sign is in the URL-safe alphabet of base64",
		"look for the client or proxy that rewrites '+' and '/'"},
	{"sign_padding_lost", 0, repad,
		"the '=' at the end of sign is missing",
		"look for what splits pairs at every '=' or trims it"},
}

// maxSpellings is each of them alone, none, and all together.
const maxSpellings = 9

var signEntities = strings.NewReplacer("&#43;", "+", "&#x2B;", "+", "&#x2b;", "+", "&plus;", "+", "&#47;", "/",
	"&#x2F;", "/", "&#x2f;", "/", "&#61;", "=", "&#x3D;", "=", "&#x3d;", "=", "&equals;", "=")

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\v\f\"'", r) {
			return -1
		}
		return r
	}, s)
}

func repad(s string) string {
	s = strings.TrimRight(s, "=")
	return s + strings.Repeat("=", (4-len(s)%4)%4)
}

// maxSign bounds what is read as a signature; a key of 16384 bits needs 2732.
const maxSign = 16 << 10

// readings gives the spellings of sign that are base64, as it came first.
func readings(sign string) []target {
	if len(sign) > maxSign {
		return nil
	}
	var out []target
	try := func(text string, how *spelling) {
		sig, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || strings.ContainsAny(text, "\r\n") || len(sig) == 0 {
			return
		}
		if !slices.ContainsFunc(out, func(o target) bool { return o.sign == text }) {
			out = append(out, target{sig: sig, sign: text, spelling: how})
		}
	}
	try(sign, nil)
	all, last := sign, (*spelling)(nil)
	for i := range spellings {
		how := &spellings[i]
		try(how.mend(sign), how)
		// The chain takes entities and escapes off before a space becomes '+'.
		if how.code != "sign_plus_lost" && how.code != "sign_white_space" {
			if mended := how.mend(all); mended != all {
				all, last = mended, how
			}
		}
	}
	lines := strings.NewReplacer("\r", "", "\n", "", "\t", "", `"`, "").Replace(strings.TrimSpace(all))
	if plus := strings.ReplaceAll(lines, " ", "+"); plus != lines {
		lines, last = plus, &spellings[0]
	}
	try(repad(lines), last)
	return out
}
